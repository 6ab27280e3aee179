//! Texts at the upstream whose end is not known: when each is asked for next, and what is news. A box that nobody can
//! call must ask; it asks soon, then ever more seldom, for a day. Many at once are read off a list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{Delivery, Mono, PostStatus};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// After these ages, then hourly for a day.
const AGES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(600)];
/// Texts that are followed; the oldest stay.
const MOST: usize = 5000;
/// From so many due at a time on a list is read in place of each by itself.
const MANY: usize = 20;

struct Tracked {
    added: Mono,
    /// How old it was then.
    age: Duration,
    due: Mono,
    known: Option<(Delivery, Option<u32>)>,
    /// No list shows it.
    unlisted: bool,
}

impl Tracked {
    fn age(&self, now: Mono) -> Duration {
        self.age + now.since(self.added)
    }

    /// `None`: it is given up.
    fn next(&self, now: Mono) -> Option<Mono> {
        let age = self.age(now);
        if age >= DAY {
            return None;
        }
        let next = AGES.into_iter().find(|step| *step > age).unwrap_or(age + HOUR);
        Some(now + (next - age))
    }
}

/// What is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This one.
    One(String),
    /// These, by a list of what was sent; the oldest is so old.
    Listed(BTreeSet<String>, Duration),
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Tracks {
    by_sid: BTreeMap<String, Tracked>,
    due: BTreeSet<(Mono, String)>,
}

impl Tracks {
    /// Follows a text of this age. One that was handed over before the box started is asked for at once.
    pub(super) fn add(&mut self, sid: &str, age: Duration, now: Mono) {
        if self.by_sid.contains_key(sid) {
            return;
        }
        if self.by_sid.len() >= MOST {
            tracing::debug!(sid, "too many texts are followed: this one is not");
            return;
        }
        // A clock that was wrong must not end it before it was asked for twice.
        let age = age.min(DAY - 2 * HOUR);
        let mut tracked = Tracked { added: now, age, due: now, known: None, unlisted: false };
        if age < AGES[0] {
            tracked.due = tracked.next(now).unwrap_or(now);
        }
        self.due.insert((tracked.due, sid.to_owned()));
        self.by_sid.insert(sid.to_owned(), tracked);
    }

    /// When something is due.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is due.
    pub(super) fn wanted(&self, now: Mono) -> Option<Wanted> {
        let due = || self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, sid)| sid);
        let (_, first) = self.due.first().filter(|(at, _)| *at <= now)?;
        let listable = |sid: &&String| self.by_sid.get(*sid).is_some_and(|t| !t.unlisted);
        if due().filter(listable).take(MANY).count() < MANY {
            return Some(Wanted::One(first.clone()));
        }
        let sids: BTreeSet<String> = due().filter(listable).cloned().collect();
        let oldest = sids.iter().filter_map(|sid| Some(self.by_sid.get(sid)?.age(now))).max();
        Some(Wanted::Listed(sids, oldest.unwrap_or_default()))
    }

    /// The upstream says where one stands. `Some`: that is news.
    pub(super) fn told(&mut self, status: PostStatus, now: Mono) -> Option<PostStatus> {
        let tracked = self.by_sid.get_mut(&status.sid)?;
        let known = Some((status.status, status.error));
        let news = tracked.known != known;
        tracked.known = known;
        if status.status.is_final() {
            self.forget(&status.sid);
        } else {
            self.asked(&status.sid, now);
        }
        news.then_some(status)
    }

    /// It was asked for, whatever came of it: the next time is later.
    pub(super) fn asked(&mut self, sid: &str, now: Mono) {
        let Some(tracked) = self.by_sid.get_mut(sid) else { return };
        match tracked.next(now) {
            Some(next) => {
                self.due.remove(&(tracked.due, sid.to_owned()));
                tracked.due = next;
                self.due.insert((next, sid.to_owned()));
            }
            None => self.forget(sid),
        }
    }

    /// The list that should have shown it did not: it is asked for by itself.
    pub(super) fn unlisted(&mut self, sid: &str) {
        if let Some(tracked) = self.by_sid.get_mut(sid) {
            tracked.unlisted = true;
        }
    }

    /// There is no such text any more.
    pub(super) fn forget(&mut self, sid: &str) {
        if let Some(tracked) = self.by_sid.remove(sid) {
            self.due.remove(&(tracked.due, sid.to_owned()));
        }
    }

    /// How many are followed.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_sid.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(sid: &str, status: Delivery) -> PostStatus {
        PostStatus { sid: sid.to_owned(), status, error: None, price: None }
    }

    #[test]
    fn a_text_is_asked_for_soon_then_seldom_and_given_up_after_a_day() {
        let mut tracks = Tracks::default();
        tracks.add("SM1", Duration::ZERO, Mono(0));
        let mut times = Vec::new();
        while let Some(at) = tracks.next_due() {
            assert_eq!(tracks.wanted(at), Some(Wanted::One("SM1".to_owned())));
            times.push(at.0 / 1000);
            tracks.asked("SM1", at);
        }
        assert_eq!(times[..6], [5, 30, 120, 600, 4200, 7800]);
        assert!(times.len() == 28 && *times.last().unwrap() >= 86_400, "{times:?}");
        assert_eq!(tracks.len(), 0);
    }

    #[test]
    fn only_a_change_is_news_and_the_end_ends_it() {
        let mut tracks = Tracks::default();
        tracks.add("SM1", Duration::from_secs(40), Mono(0));
        assert_eq!(tracks.next_due(), Some(Mono(0)), "it was handed over before the start");
        assert!(tracks.told(status("SM1", Delivery::Sent), Mono(0)).is_some());
        assert_eq!(tracks.told(status("SM1", Delivery::Sent), Mono(80_000)), None);
        assert!(tracks.told(status("SM1", Delivery::Delivered), Mono(90_000)).is_some());
        assert_eq!(tracks.told(status("SM1", Delivery::Delivered), Mono(95_000)), None);
        assert_eq!(tracks.next_due(), None);
    }

    #[test]
    fn many_at_a_time_are_read_off_a_list_and_those_that_it_lacks_by_themselves() {
        let mut tracks = Tracks::default();
        for n in 0..30 {
            tracks.add(&format!("SM{n:02}"), Duration::ZERO, Mono(n));
        }
        assert_eq!(tracks.wanted(Mono(4_999)), None);
        let Some(Wanted::Listed(sids, oldest)) = tracks.wanted(Mono(6_000)) else { unreachable!() };
        assert_eq!((sids.len(), oldest), (30, Duration::from_secs(6)));
        for sid in &sids {
            if sid == "SM07" {
                tracks.unlisted(sid);
            } else {
                assert!(tracks.told(status(sid, Delivery::Delivered), Mono(6_000)).is_some());
            }
        }
        assert_eq!(tracks.wanted(Mono(6_000)), Some(Wanted::One("SM07".to_owned())));
    }

    #[test]
    fn the_oldest_stay_when_there_are_too_many() {
        let mut tracks = Tracks::default();
        for n in 0..MOST + 5 {
            tracks.add(&format!("SM{n}"), Duration::ZERO, Mono(0));
        }
        assert_eq!(tracks.len(), MOST);
        assert!(tracks.told(status("SM0", Delivery::Sent), Mono(1)).is_some());
    }
}
