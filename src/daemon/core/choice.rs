//! Which line a text goes by, and why, in words that staff read. Pure: what is known of the lines comes in.
//!
//! Rules, in full, the first that fits:
//! - A line that is barred for this text (consent; WhatsApp without a window or a template) is never chosen.
//! - The line that took over while this conversation goes on, as long as it can send: nobody is sent back and forth.
//! - The number that the person knows: the line that they wrote to last. While it is down for less than the patience, the
//!   text waits there.
//! - Of the lines that can send: one that need not wait for its pace, then by the order of preference, then by cost.
//! - When none can: the number that they know, else the first. The text waits there.

use std::time::Duration;

use crate::types::{Channel, LineId};

/// A line that has to wait longer than this for its pace comes after one that has not.
const SLOW: Duration = Duration::from_secs(10);

/// How a line fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It can send.
    Up,
    /// It cannot, for so long.
    Down(Duration),
}

/// One of the shop's lines, as it stands for this text.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a LineId,
    pub(super) channel: Channel,
    pub(super) health: Health,
    /// Why it must not carry this text.
    pub(super) barred: Option<String>,
    /// Until its pace has room.
    pub(super) wait: Duration,
    /// Lower first.
    pub(super) priority: u16,
    /// Of one text, in thousandths of a cent.
    pub(super) cost: u32,
}

/// What the person knows of the shop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The line that they wrote to last.
    pub(super) line: Option<&'a LineId>,
    /// The line that took its place while this conversation goes on.
    pub(super) moved: Option<&'a LineId>,
    /// How long a line is down before another takes its texts.
    pub(super) patience: Duration,
}

/// A line, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) line: LineId,
    pub(super) why: String,
    /// It is used in the place of the one that the person knows.
    pub(super) instead: bool,
}

/// The line for a text; why there is none.
pub(super) fn choose(lines: &[Candidate<'_>], known: Known<'_>) -> Result<Choice, String> {
    let allowed: Vec<&Candidate<'_>> = lines.iter().filter(|c| c.barred.is_none()).collect();
    if allowed.is_empty() {
        let barred = lines.iter().find_map(|c| Some(format!("{}: {}", c.id, c.barred.as_ref()?)));
        return Err(barred.unwrap_or_else(|| "the shop has no line".to_owned()));
    }
    let find = |id: Option<&LineId>| allowed.iter().copied().find(|c| Some(c.id) == id);
    let chosen = |c: &Candidate<'_>, why: String, instead| Choice { line: c.id.clone(), why, instead };
    let (home, moved) = (find(known.line), find(known.moved).filter(|c| Some(c.id) != known.line));
    if let Some(line) = moved.filter(|c| c.health == Health::Up) {
        return Ok(chosen(line, "it took over in this conversation".to_owned(), true));
    }
    match home.map(|c| (c, c.health)) {
        Some((line, Health::Up)) => return Ok(chosen(line, "the number that they know".to_owned(), false)),
        Some((line, Health::Down(since))) if since < known.patience => {
            let why = format!("the number that they know; down since {} s", since.as_secs());
            return Ok(chosen(line, why, false));
        }
        Some((_, Health::Down(_))) | None => {}
    }
    let rank = |c: &&Candidate<'_>| (c.wait > SLOW, c.priority, c.cost);
    let up = allowed.iter().copied().filter(|c| c.health == Health::Up).min_by_key(rank);
    match (up, home) {
        (Some(line), _) => {
            Ok(chosen(line, reason(line, lines, &allowed, known), known.line.is_some_and(|k| k != line.id)))
        }
        (None, Some(home)) => {
            Ok(chosen(home, "the number that they know; no line can send now".to_owned(), false))
        }
        (None, None) => {
            let first = allowed.iter().copied().min_by_key(|c| (c.priority, c.cost));
            let first = first.ok_or_else(|| "the shop has no line".to_owned())?;
            Ok(chosen(first, "no line can send now".to_owned(), false))
        }
    }
}

fn reason(
    line: &Candidate<'_>,
    all: &[Candidate<'_>],
    allowed: &[&Candidate<'_>],
    known: Known<'_>,
) -> String {
    let home = all.iter().find(|c| Some(c.id) == known.line);
    match home.map(|c| (c, &c.barred, c.health)) {
        Some((c, Some(why), _)) => return format!("not by {}: {why}", c.id),
        Some((c, None, Health::Down(since))) => {
            return format!("{} is down since {} s", c.id, since.as_secs());
        }
        Some((_, None, Health::Up)) | None => {}
    }
    let channel = all.iter().filter(|c| c.channel == line.channel).count();
    if all.len() == 1 {
        return "the shop's only line".to_owned();
    }
    if let ([only], Channel::WhatsApp, 1) = (allowed, line.channel, channel) {
        return format!("the only WhatsApp line, and {} is the only one that may", only.id);
    }
    let before = allowed.iter().find(|c| (c.priority, c.cost) < (line.priority, line.cost));
    match before.map(|c| (c, c.health)) {
        Some((c, Health::Down(since))) => format!("{} is down since {} s", c.id, since.as_secs()),
        Some((c, Health::Up)) => format!("{} has to wait for its pace", c.id),
        None if allowed.iter().any(|c| c.priority == line.priority && c.cost > line.cost) => {
            "the cheapest".to_owned()
        }
        None => "the first in the shop's order".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(id: &LineId, priority: u16) -> Candidate<'_> {
        Candidate {
            id,
            channel: Channel::Sms,
            health: Health::Up,
            barred: None,
            wait: Duration::ZERO,
            priority,
            cost: 0,
        }
    }

    fn known<'a>(line: Option<&'a LineId>, moved: Option<&'a LineId>) -> Known<'a> {
        Known { line, moved, patience: Duration::from_secs(5) }
    }

    fn down(seconds: u64) -> Health {
        Health::Down(Duration::from_secs(seconds))
    }

    #[test]
    fn the_number_that_they_know_goes_before_order_and_cost() {
        let (sim, up) = (LineId::from("sim1"), LineId::from("twilio"));
        let dear = Candidate { cost: 900, ..line(&up, 1) };
        let lines = [line(&sim, 0), dear];
        assert_eq!(choose(&lines, known(Some(&up), None)).unwrap().line, up);
        let first = choose(&lines, known(None, None)).unwrap();
        assert_eq!((first.line, first.why.as_str()), (sim, "the first in the shop's order"));
    }

    #[test]
    fn a_line_that_is_down_for_long_is_replaced_and_a_short_one_waited_for() {
        let (sim, up) = (LineId::from("sim1"), LineId::from("twilio"));
        let lines = |health| [Candidate { health, ..line(&sim, 0) }, line(&up, 1)];
        assert_eq!(choose(&lines(down(4)), known(Some(&sim), None)).unwrap().line, sim);
        let long = choose(&lines(down(12)), known(Some(&sim), None)).unwrap();
        assert_eq!(
            (long.line, long.why.as_str(), long.instead),
            (up.clone(), "sim1 is down since 12 s", true)
        );
        // Back again: those in the middle of a conversation stay, others come back.
        assert_eq!(choose(&lines(Health::Up), known(Some(&sim), Some(&up))).unwrap().line, up);
        assert_eq!(choose(&lines(Health::Up), known(Some(&sim), None)).unwrap().line, sim);
        // A stranger waits for nothing.
        assert_eq!(choose(&lines(down(1)), known(None, None)).unwrap().line, up);
    }

    #[test]
    fn among_equals_the_cheapest_and_one_that_need_not_wait() {
        let (a, b, c) = (LineId::from("a"), LineId::from("b"), LineId::from("c"));
        let dear = Candidate { cost: 900, ..line(&a, 1) };
        let cheap = Candidate { cost: 700, ..line(&b, 1) };
        let busy = Candidate { wait: Duration::from_secs(60), ..line(&c, 0) };
        let chosen = choose(&[dear.clone(), cheap.clone()], known(None, None)).unwrap();
        assert_eq!((chosen.line, chosen.why.as_str()), (b.clone(), "the cheapest"));
        let chosen = choose(&[dear, cheap, busy], known(None, None)).unwrap();
        assert_eq!((chosen.line, chosen.why.as_str()), (b, "c has to wait for its pace"));
    }

    #[test]
    fn a_barred_line_says_why() {
        let wa = LineId::from("wa");
        let barred = Some("their last WhatsApp text is older than 24 hours".to_owned());
        let closed = Candidate { channel: Channel::WhatsApp, barred, ..line(&wa, 0) };
        let why = choose(std::slice::from_ref(&closed), known(Some(&wa), None)).unwrap_err();
        assert_eq!(why, "wa: their last WhatsApp text is older than 24 hours");
        let sim = LineId::from("sim1");
        let chosen = choose(&[closed, line(&sim, 1)], known(Some(&wa), None)).unwrap();
        assert_eq!(chosen.line, sim);
        assert!(chosen.why.starts_with("not by wa"), "{}", chosen.why);
        assert_eq!(choose(&[], known(None, None)).unwrap_err(), "the shop has no line");
    }

    proptest! {
        #[test]
        fn never_a_barred_line_never_a_dead_one_while_another_lives(
            lines in prop::collection::vec((any::<bool>(), 0..2_u8, 0..30_u64, 0..3_u16, 0..3_u32, 0..30_u64), 0..6),
            home in prop::option::of(0..6_usize),
            moved in prop::option::of(0..6_usize),
        ) {
            let ids: Vec<LineId> = (0..6).map(|n| LineId(format!("line{n}"))).collect();
            let all: Vec<Candidate<'_>> = lines.iter().zip(&ids).map(|((barred, up, since, priority, cost, wait), id)| Candidate {
                health: if *up == 0 { down(*since) } else { Health::Up },
                barred: barred.then(|| "no".to_owned()),
                cost: *cost,
                wait: Duration::from_secs(*wait),
                ..line(id, *priority)
            }).collect();
            let known = known(home.map(|n| &ids[n]), moved.map(|n| &ids[n]));
            let by_id = |id: &LineId| all.iter().find(|c| c.id == id);
            let usable = |c: &&Candidate<'_>| c.barred.is_none() && c.health == Health::Up;
            match choose(&all, known) {
                Err(_) => prop_assert!(all.iter().all(|c| c.barred.is_some())),
                Ok(choice) => {
                    let chosen = by_id(&choice.line).unwrap();
                    prop_assert!(chosen.barred.is_none());
                    prop_assert!(!choice.why.is_empty());
                    let waits_at_home = known.line == Some(chosen.id)
                        && matches!(chosen.health, Health::Down(d) if d < known.patience);
                    if all.iter().any(|c| usable(&c)) {
                        prop_assert!(usable(&chosen) || waits_at_home);
                    }
                    let home = known.line.and_then(by_id).filter(|c| usable(c));
                    let moved = known.moved.and_then(by_id).filter(|c| usable(c));
                    if let (Some(home), None) = (home, moved) {
                        prop_assert_eq!(home.id, &choice.line, "the number that they know");
                    }
                    prop_assert_eq!(&choice, &choose(&all, known).unwrap());
                }
            }
        }
    }
}
