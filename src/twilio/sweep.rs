//! One listing of what came in, from its first page to its last text. The upstream lists newest first and the box
//! wants oldest first, so the pages are gathered before anything is told. A chain that is longer than the box wants to
//! hold keeps its oldest pages and the addresses of the others, which are fetched once more when their turn comes:
//! a backlog of any length is told whole and in order.

use std::collections::VecDeque;

use super::ask::Ask;
use super::rest::{Listing, Message, MessagePage};
use crate::types::Wall;

/// Pages that are held.
pub(super) const HELD: usize = 20;
/// Addresses that are held: a chain that never ends is a fault of the upstream.
const PAGES_MOST: usize = 20_000;

/// How far back a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A little: while so much comes in that to list the overlap takes long. It proves nothing of what shows late.
    Near,
    /// The overlap.
    Overlap,
    /// A day, and also what this process told before: once a day.
    Day,
}

/// See the head of this file.
pub(super) struct Sweep {
    /// Nothing older is told.
    since: Wall,
    pub(super) reach: Reach,
    /// Messages that were listed.
    pub(super) listed: usize,
    /// The upstream's clock when it began.
    pub(super) began: Option<Wall>,
    /// Texts told.
    pub(super) told: usize,
    stage: Stage,
    /// Newest first. The newest page of all has no address of its own and is always held.
    held: VecDeque<(Option<String>, Vec<Message>)>,
    dropped: Vec<String>,
    /// Oldest first.
    queue: VecDeque<Message>,
    pages: usize,
    newest: Option<Wall>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    First(Listing),
    Next(String),
    Telling,
    /// A page that was dropped.
    Again(String),
}

impl Sweep {
    /// Everything to `to` since then.
    pub(super) fn new(to: String, since: Wall, size: u16, reach: Reach) -> Self {
        let first = Listing { to: Some(to), from: None, since: Some(since), size };
        Self {
            since,
            reach,
            listed: 0,
            began: None,
            told: 0,
            stage: Stage::First(first),
            held: VecDeque::new(),
            dropped: Vec::new(),
            queue: VecDeque::new(),
            pages: 0,
            newest: None,
        }
    }

    /// The request that it needs to go on.
    pub(super) fn ask(&self) -> Option<Ask> {
        match &self.stage {
            Stage::First(listing) => Some(Ask::List(listing.clone())),
            Stage::Next(uri) | Stage::Again(uri) => Some(Ask::Page(uri.clone())),
            Stage::Telling => None,
        }
    }

    /// True when one page has come that others follow, and every text in it is news: there are many.
    pub(super) fn is_all_news(&self, is_told: impl Fn(&str) -> bool) -> bool {
        matches!(self.stage, Stage::Next(_))
            && self.pages == 1
            && self.held.iter().all(|(_, page)| !page.iter().any(|message| is_told(&message.sid)))
    }

    /// True as long as not one page has come.
    pub(super) fn is_first(&self) -> bool {
        matches!(self.stage, Stage::First(_))
    }

    /// Takes the answer to [`Sweep::ask`].
    pub(super) fn take(&mut self, page: MessagePage, at: Option<Wall>) {
        let floor = Wall(self.since.0.saturating_sub(1000));
        let is_old = |message: &Message| message.at().is_some_and(|at| at < floor);
        // Filters by day bring more than was asked for; past a whole page of that there is nothing of ours.
        let over = !page.messages.is_empty() && page.messages.iter().all(is_old);
        let kept: Vec<Message> =
            page.messages.into_iter().filter(|m| m.is_received() && !is_old(m)).collect();
        let listed = kept.len();
        let stage = std::mem::replace(&mut self.stage, Stage::Telling);
        let uri = match stage {
            Stage::First(_) => {
                self.began = at;
                None
            }
            Stage::Next(uri) => Some(uri),
            Stage::Telling => return,
            Stage::Again(_) => return self.enqueue(kept),
        };
        self.pages += 1;
        self.listed += listed;
        let next = page.next_page_uri.filter(|next| !over && uri.as_ref() != Some(next));
        self.held.push_back((uri, kept));
        if self.held.len() > HELD
            && let Some((Some(uri), _)) = self.held.remove(1)
        {
            self.dropped.push(uri);
        }
        if let Some(next) = next.filter(|_| self.pages < PAGES_MOST) {
            self.stage = Stage::Next(next);
        }
    }

    /// The oldest text that was not told, once all are gathered. `None`: see [`Sweep::ask`]; where that is `None` too,
    /// the sweep is over.
    pub(super) fn head(&mut self) -> Option<&Message> {
        while self.queue.is_empty() && self.stage == Stage::Telling {
            if self.held.len() > 1 || self.dropped.is_empty() {
                let (_, page) = self.held.pop_back()?;
                self.enqueue(page);
            } else if let Some(uri) = self.dropped.pop() {
                self.stage = Stage::Again(uri);
            }
        }
        self.queue.front()
    }

    /// The head has been told, or is not to be told.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.newest = self.newest.max(message.at());
        Some(message)
    }

    fn enqueue(&mut self, page: Vec<Message>) {
        let mut page: Vec<Message> = page.into_iter().rev().collect();
        // Of the same second the later in the list is the older; some lists are not quite in order.
        page.sort_by_key(Message::at);
        self.queue.extend(page);
    }

    /// At the end of a page that others follow: when its newest text was sent. All before are told.
    pub(super) fn milestone(&mut self) -> Option<Wall> {
        let more = !self.held.is_empty() || !self.dropped.is_empty();
        if self.queue.is_empty() && more { self.newest.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T08:00:00Z.
    const EIGHT: i64 = 1_795_161_600_000;

    fn message(number: usize) -> Message {
        let at = Wall(EIGHT + i64::try_from(number).unwrap() * 1000);
        let date = jiff::Timestamp::from_millisecond(at.0).unwrap();
        serde_json::from_value(serde_json::json!({
            "sid": format!("SM{number}"),
            "direction": "inbound",
            "status": "received",
            "date_sent": date.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        }))
        .unwrap()
    }

    /// An upstream with so many messages, in pages of so many. What is told, and how many requests it took.
    fn swept(count: usize, size: usize, more_while_listing: usize) -> (Vec<String>, usize) {
        let mut sweep = Sweep::new("+12065550199".to_owned(), Wall(EIGHT), 500, Reach::Overlap);
        let (mut told, mut requests, mut now) = (Vec::new(), 0, count);
        loop {
            while sweep.head().is_some() {
                told.extend(sweep.pop().map(|m| m.sid));
            }
            let Some(ask) = sweep.ask() else { return (told, requests) };
            requests += 1;
            // Page tokens name the last message of the page before.
            let below = match ask {
                Ask::List(_) => now,
                Ask::Page(uri) => uri.parse().unwrap(),
                other => unreachable!("{other:?}"),
            };
            let from = below.saturating_sub(size);
            let messages = (from..below).rev().map(message).collect();
            let next_page_uri = (from > 0).then(|| from.to_string());
            sweep.take(MessagePage { messages, next_page_uri }, Some(Wall(EIGHT)));
            now += more_while_listing;
        }
    }

    #[test]
    fn texts_are_told_oldest_first_whatever_their_number() {
        for count in [0, 1, 9, 10, 11, 199, 200, 201, 1234] {
            let (told, requests) = swept(count, 10, 0);
            let all: Vec<String> = (0..count).map(|n| format!("SM{n}")).collect();
            assert_eq!(told, all, "{count}");
            assert!(requests <= count.div_ceil(10).max(1) * 2, "{requests} requests for {count}");
        }
    }

    #[test]
    fn texts_that_come_in_meanwhile_move_nothing() {
        assert_eq!(swept(1234, 10, 3).0, (0..1234).map(|n| format!("SM{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_filter_by_day_brings_too_much_is_neither_told_nor_followed() {
        let since = Wall(EIGHT + 50_000);
        let mut sweep = Sweep::new(String::new(), since, 100, Reach::Overlap);
        let page = |range: std::ops::Range<usize>| MessagePage {
            messages: range.rev().map(message).collect(),
            next_page_uri: Some("/more".to_owned()),
        };
        sweep.take(page(40..60), None);
        assert!(matches!(sweep.ask(), Some(Ask::Page(_))));
        sweep.take(page(20..40), None);
        assert_eq!(sweep.ask(), None);
        let mut told = Vec::new();
        while sweep.head().is_some() {
            told.extend(sweep.pop().map(|m| m.sid));
        }
        assert_eq!(told.first().map(String::as_str), Some("SM49"), "whole seconds: one is given");
        assert_eq!(told.len(), 11);
    }
}
