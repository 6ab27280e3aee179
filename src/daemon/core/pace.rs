//! What leaves next by a line, and when: pace of lines and people, two robots that text each other, and the order of
//! one person's texts.

use std::collections::HashSet;
use std::time::Duration;

use super::Cx;
use super::enclosing::Wants;
use super::gate::Pass;
use super::inbound::Text;
use super::lines::Line;
use super::posts::DOUBT_HOLDS;
use super::sending::AHEAD_OF_ALL;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::config::ShopSettings;
use crate::messaging::rates::{Grant, Heard, Limits, Pace};
use crate::store::{MessageRow, Source};
use crate::types::{LineId, MessageId, Mono, Now, PhoneNumber};

/// How many texts that may not leave yet are looked past in search of one that may.
const LOOKED_PAST: usize = 1000;

/// What a line is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing may leave now.
    Nothing,
    /// The queue changed: to be looked at again.
    Changed,
    /// This text, with consent's leave.
    Text(MessageId, Pass),
}

/// Whether one text may leave.
enum Leave {
    Go(Pass),
    /// The line has no room before then.
    LineWaits(Mono),
    /// The person has none; `None`: something will say when.
    PersonWaits(Option<Mono>),
    Never(String),
    /// Not at this hour.
    OutOfHours,
}

/// The limits that the owner set.
pub(super) fn limits(settings: &ShopSettings) -> Limits {
    let replies = settings.count("sms.replies").max(1);
    let window = settings.seconds("sms.replies_window");
    Limits {
        line: Pace { burst: settings.count("sms.burst"), every: settings.seconds("sms.pace") },
        person: Pace { burst: replies, every: window / replies },
        replies: usize::try_from(replies).unwrap_or(usize::MAX),
        window,
        quick: settings.count("sms.loop_quick"),
        slow: settings.count("sms.loop_slow"),
        ..Limits::default()
    }
}

impl Shop {
    /// Until the line's pace has room for one more text, behind those that wait there.
    pub(super) fn pace_wait(&self, now: Now, line: &Line) -> Duration {
        if !line.takes_whole() {
            return Duration::ZERO;
        }
        let room = self.rates.line_at(&line.setup.id, now.mono).since(now.mono);
        let before = u32::try_from(line.queue.len()).unwrap_or(u32::MAX);
        room + self.settings.seconds("sms.pace").saturating_mul(before)
    }

    /// The next text of a line. One person's texts keep their order; nobody waits for another's turn.
    pub(super) fn next_text(&mut self, cx: &mut Cx<'_>, id: &LineId) -> Next {
        let mut held: HashSet<String> = HashSet::new();
        let mut wake: Option<Mono> = None;
        for at in 0..LOOKED_PAST {
            let next = self.lines.get(id).and_then(|l| l.queue.get(at));
            let Some((message, person)) = next.cloned() else { break };
            if held.contains(&person) {
                continue;
            }
            match self.leave(cx.now, id, &message, &person) {
                None => {
                    if let Some(line) = self.lines.get_mut(id) {
                        line.queue.remove(&message);
                    }
                    return Next::Changed;
                }
                Some(Leave::Go(pass)) => return Next::Text(message, pass),
                Some(Leave::LineWaits(until)) => {
                    wake = wake.into_iter().chain([until]).min();
                    break;
                }
                Some(Leave::PersonWaits(until)) => {
                    wake = wake.into_iter().chain(until).min();
                    held.insert(person);
                }
                Some(Leave::OutOfHours) => {
                    if let Some(line) = self.lines.get_mut(id) {
                        line.queue.remove(&message);
                    }
                    self.enqueue(cx, &message);
                    return Next::Changed;
                }
                Some(Leave::Never(why)) => {
                    if !self.goes_another_way(cx, id, &message) {
                        self.fail_message(cx, &message, &why);
                    }
                    return Next::Changed;
                }
            }
        }
        if let Some(wake) = wake {
            cx.timers.set(TimerKey::Pump(self.id.clone(), id.clone()), wake);
        }
        Next::Nothing
    }

    /// `None`: the text is not there any more.
    fn leave(&mut self, now: Now, id: &LineId, message: &MessageId, person: &str) -> Option<Leave> {
        // One that was accepted after all, when it waited to be sent again, is not to be sent.
        let out =
            self.outgoing.get(message).filter(|o| o.posting.as_ref().is_none_or(|p| !p.is_settled()))?;
        let line = self.lines.get(id)?;
        let pass = match self.pass(&out.row, id, now) {
            Ok(pass) => pass,
            Err(why) => return Some(Leave::Never(why)),
        };
        if self.out_of_hours(message, now) {
            return Some(Leave::OutOfHours);
        }
        if let Some(why) = self.barred(now, person, line, Wants::of(out)).filter(|_| out.is_untouched()) {
            return Some(Leave::Never(why));
        }
        if line.posts.values().any(|p| p == person) {
            return Some(Leave::PersonWaits(None));
        }
        for doubt in line.doubts.get(person).into_iter().flatten() {
            let Some(other) = self.outgoing.get(doubt) else { continue };
            let since = other.posting.as_ref().map_or(Mono(0), |posting| posting.doubt);
            // What is looked for by its words must not get a twin, and of a template nobody knows the words.
            let template = other.row.carriage.template.is_some() || self.goes_as_template(now, id, out);
            if template || other.row.body == out.row.body {
                return Some(Leave::PersonWaits(None));
            }
            if now.mono.since(since) < DOUBT_HOLDS {
                return Some(Leave::PersonWaits(Some(since + DOUBT_HOLDS)));
            }
        }
        if out.granted {
            return Some(Leave::Go(pass));
        }
        let paced = (line.takes_whole() && !self.settings.seconds("sms.pace").is_zero()).then_some(id);
        let leave = self.ask_pace(now, paced, message, person, pass)?;
        if let (Leave::Go(_), Some(out)) = (&leave, self.outgoing.get_mut(message)) {
            out.granted = true;
        }
        Some(leave)
    }

    fn ask_pace(
        &mut self,
        now: Now,
        line: Option<&LineId>,
        message: &MessageId,
        person: &str,
        pass: Pass,
    ) -> Option<Leave> {
        let row = &self.outgoing.get(message)?.row;
        let number = PhoneNumber::parse(person, None);
        let free = self.is_free(row);
        let program = matches!(row.source, Source::Program | Source::Campaign(_));
        let line_at = line.map_or(now.mono, |line| self.rates.line_at(line, now.mono));
        let grant = match number {
            Ok(number) if !free => self.rates.ask(line, &number, now.mono),
            Ok(_) | Err(_) => {
                if let Some(line) = line {
                    self.rates.take_line(line, now.mono);
                }
                return Some(Leave::Go(pass));
            }
        };
        Some(match grant {
            Grant::Go => Leave::Go(pass),
            Grant::Wait(_) if line_at > now.mono => Leave::LineWaits(line_at),
            Grant::Wait(at) => Leave::PersonWaits(Some(at)),
            // A program does not answer: it is no part of the loop.
            Grant::Looping if program => Leave::Go(pass),
            Grant::Looping => Leave::Never("not sent: two robots seem to be texting each other".to_owned()),
        })
    }

    /// Texts that nothing holds up: staff's own, those to staff, about consent, about an emergency.
    fn is_free(&self, row: &MessageRow) -> bool {
        let source = match &row.source {
            Source::Staff | Source::Consent => true,
            Source::Person | Source::Flow(_) | Source::Box | Source::Program | Source::Campaign(_) => false,
        };
        source || row.note.as_deref() == Some(AHEAD_OF_ALL) || self.is_staff(&row.peer)
    }

    /// A text came in that is no STOP or START. `Some`: it is stored and not answered, and why: two robots are texting
    /// each other. Staff are told once.
    pub(super) fn heard_a_robot(&mut self, cx: &mut Cx<'_>, text: &Text) -> Option<String> {
        let person = text.from.as_str();
        let Ok(number) = PhoneNumber::parse(person, None) else { return None };
        if self.is_staff(person) {
            return None;
        }
        let heard = self.rates.handle_inbound(&number, &text.body, cx.now.mono);
        let silence = Limits::default().silence;
        cx.timers.set_earliest(TimerKey::Rates(self.id.clone()), cx.now.mono + silence);
        let why = "two robots seem to be texting each other: stored and not answered";
        match heard {
            Heard::Talk => None,
            Heard::Looping => Some(why.to_owned()),
            Heard::LoopFound => {
                self.count("loops_found");
                let ticket = self.talk(cx, person).ticket;
                cx.alarm(format!(
                    "shop {}: #{ticket} and the box answer each other without end; the box stops",
                    self.id
                ));
                self.tell_staff(
                    cx,
                    &format!(
                        "#{ticket} {person} seems to be a robot: its texts and ours answer each other. It gets no \
                         answers until it was silent for {} minutes.",
                        silence.as_secs() / 60
                    ),
                );
                Some(why.to_owned())
            }
        }
    }

    /// Forgets who was silent.
    pub(super) fn forget_rates(&mut self, cx: &mut Cx<'_>) {
        self.rates.handle_timeout(cx.now.mono);
        if let Some((at, _)) = self.rates.poll_timeout() {
            // Not for each of them by itself.
            let at = at.max(cx.now.mono + Duration::from_secs(60));
            cx.timers.set(TimerKey::Rates(self.id.clone()), at);
        }
    }
}
