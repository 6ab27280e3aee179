//! What must be true at the end, from three witnesses: the network's log, the dealer's books, the box's own lists.

use super::Error;
use super::customer::{Customer, Misfit, Talk};
use super::installation::Installation;
use super::network::Network;
use crate::dealer::{Kind, Order};
use crate::modem::Submitted;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// One life of the box, from start to kill.
#[derive(Debug, Clone)]
pub struct Life {
    started: Instant,
    /// Unix time in milliseconds.
    started_ms: f64,
    /// Where in its log this life begins.
    log_offset: u64,
    /// It ended by SIGKILL.
    pub(super) killed: bool,
    /// Customers who texted while nobody was there.
    owed: Vec<usize>,
    first_text: Option<Duration>,
    first_answer: Option<Duration>,
}

impl Life {
    pub(super) fn new(started: Instant, log_offset: u64, owed: Vec<usize>) -> Life {
        let ago = started.elapsed().as_secs_f64() * 1000.0;
        // Microseconds since 1970 fit a double's 53 bits until the year 2255.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let now = jiff::Timestamp::now().as_microsecond() as f64 / 1000.0;
        Life {
            started,
            started_ms: now - ago,
            log_offset,
            killed: false,
            owed,
            first_text: None,
            first_answer: None,
        }
    }

    /// A text is with the network.
    pub(super) fn spoke(&mut self) {
        let after = self.started.elapsed();
        self.first_text.get_or_insert(after);
    }

    /// A customer was answered.
    pub(super) fn answered(&mut self, customer: usize) {
        if self.first_answer.is_none() && self.owed.contains(&customer) {
            self.first_answer = Some(self.started.elapsed());
        }
    }
}

/// What the scenario saw.
pub(super) struct Found {
    pub(super) customers: Vec<Customer>,
    pub(super) orders: Vec<Order>,
    pub(super) said: BTreeMap<(String, String), usize>,
    pub(super) misfits: Vec<(String, Misfit)>,
    pub(super) stuck: Vec<String>,
    pub(super) resent: Vec<String>,
    pub(super) lives: Vec<Life>,
    /// Whole texts that the network took.
    pub(super) submitted: Vec<Submitted>,
    pub(super) term: Duration,
}

/// The figures, and every violation in words.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// SIGKILLs.
    pub kills: usize,
    /// Conversations that came to their end.
    pub conversations: usize,
    /// Customers' texts.
    pub texts_in: usize,
    /// The box's texts that the network took.
    pub texts_out: usize,
    /// PDUs of them.
    pub parts_out: usize,
    /// Texts marked unknown, by what the emulator says of them.
    pub unknown: Unknown,
    /// Texts that the staff sent again because a customer heard nothing.
    pub resent: usize,
    /// PDUs that went out once more with these, though the network had them: a text of several parts was cut twice,
    /// and one of the parts in doubt had left. The phone knows it again by its number.
    pub parts_again: usize,
    /// Orders in the dealer's books.
    pub orders: usize,
    /// Orders that the box lists as unknown.
    pub orders_unknown: usize,
    /// From the program's start until a whole text was with the network, where texts had come while nobody was
    /// there; sorted.
    pub restarts: Vec<Duration>,
    /// From the program's start until one of those texts was answered, behind all that was in the line's queue;
    /// sorted.
    pub answers: Vec<Duration>,
    /// From SIGTERM to the end.
    pub term: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Where the kill cut the sends that became unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unknown {
    /// The network had taken it; the box had not written down the answer.
    pub sent: usize,
    /// The modem had shown its prompt, or was about to.
    pub at_prompt: usize,
    /// The box had written it down as handed over; the modem had not heard of it.
    pub before_prompt: usize,
}

impl Unknown {
    /// All of them.
    #[must_use]
    pub fn all(self) -> usize {
        self.sent + self.at_prompt + self.before_prompt
    }
}

/// Half of them and all of them are below.
fn spread(sorted: &[Duration]) -> String {
    let half = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let most = sorted.last().copied().unwrap_or_default();
    format!("p50 {} ms, max {} ms ({} measured)", half.as_millis(), most.as_millis(), sorted.len())
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unknown { sent, at_prompt, before_prompt } = self.unknown;
        let rows: [(&str, String); 12] = [
            ("kills", self.kills.to_string()),
            ("conversations", self.conversations.to_string()),
            ("texts in", self.texts_in.to_string()),
            ("texts out", format!("{} ({} PDUs)", self.texts_out, self.parts_out)),
            (
                "unknown",
                format!(
                    "{} ({sent} taken by the network, {at_prompt} at the prompt, {before_prompt} before it)",
                    self.unknown.all()
                ),
            ),
            (
                "sent again by staff",
                format!("{} ({} PDUs of them needlessly)", self.resent, self.parts_again),
            ),
            ("orders", self.orders.to_string()),
            ("orders unknown", self.orders_unknown.to_string()),
            ("restart to text", spread(&self.restarts)),
            ("restart to answer", spread(&self.answers)),
            ("SIGTERM to end", format!("{} ms", self.term.as_millis())),
            ("violations", self.violations.len().to_string()),
        ];
        for (name, value) in &rows {
            writeln!(f, "{name:<20} {value}")?;
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "VIOLATION {violation}"))
    }
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Longest time that a restart and SIGTERM may take.
const BOUND: Duration = Duration::from_secs(2);

/// Hears the witnesses. The box must have ended.
pub(super) async fn weigh(
    found: Found,
    box_: &Installation,
    network: Network<'_>,
) -> Result<Evidence, Error> {
    let rows = box_.rows(&["sms", "list", "--limit", "1000000"]).await?;
    let unknown_orders = box_.rows(&["orders", "unknown"]).await?;
    let told = std::fs::read(box_.log())?;
    let entries = network.entries()?;
    let mut evidence = Evidence {
        kills: found.lives.iter().filter(|l| l.killed).count(),
        conversations: found.customers.iter().map(|c| c.talks().len() - usize::from(!c.is_idle())).sum(),
        texts_in: found.said.values().sum(),
        texts_out: entries.iter().filter(|e| e.ends_a_text()).count(),
        parts_out: entries.iter().filter(|e| matches!(e.what, What::Submitted { .. })).count(),
        resent: found.resent.len(),
        orders: found.orders.len(),
        orders_unknown: unknown_orders.len(),
        term: found.term,
        ..Evidence::default()
    };
    for (phone, Misfit { why, text }) in &found.misfits {
        evidence.violations.push(format!("{phone}: {why}: {text:?}"));
    }
    evidence.violations.extend(found.stuck.iter().map(|who| format!("never answered: {who}")));
    timing(&found, &mut evidence);
    texts_in(&found, &rows, &mut evidence);
    texts_out(&found, &rows, &mut evidence);
    let free = match network.is_upstream() {
        true => whole_and_resent(&found, &rows),
        false => in_doubt_and_resent(&found, &rows, &told),
    };
    parts_twice(&entries, &free, &mut evidence);
    complaints(&told, &mut evidence);
    orders(&found, &unknown_orders, &mut evidence);
    confirmations(&found, &rows, &mut evidence);
    match network.is_upstream() {
        true => unknown_at_upstream(&found, &rows, &mut evidence),
        false => unknown(&found, &rows, &entries, &told, &mut evidence),
    }
    Ok(evidence)
}

fn timing(found: &Found, evidence: &mut Evidence) {
    let waited = || found.lives.iter().filter(|life| !life.owed.is_empty());
    evidence.restarts = waited().filter_map(|life| life.first_text).collect();
    evidence.answers = waited().filter_map(|life| life.first_answer).collect();
    evidence.restarts.sort();
    evidence.answers.sort();
    let late: Vec<String> = evidence
        .restarts
        .iter()
        .filter(|after| **after >= BOUND)
        .map(|after| format!("{after:?} from the start to the first text"))
        .collect();
    evidence.violations.extend(late);
    if found.term >= BOUND {
        evidence.violations.push(format!("{:?} from SIGTERM to the end", found.term));
    }
}

/// Every text of a customer is stored exactly once.
fn texts_in(found: &Found, rows: &[Value], evidence: &mut Evidence) {
    let mut stored: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| text(row, "direction") == "in") {
        *stored.entry((text(row, "person").to_owned(), text(row, "body").to_owned())).or_default() += 1;
    }
    let both: BTreeSet<_> = stored.keys().chain(found.said.keys()).collect();
    for key in both {
        let (said, kept) = (found.said.get(key).unwrap_or(&0), stored.get(key).unwrap_or(&0));
        if said != kept {
            let (phone, body) = key;
            evidence.violations.push(format!("{phone} said {body:?} {said} times; {kept} are stored"));
        }
    }
}

/// What the box calls sent or delivered was with the network as often, and what was with the network is in its list.
fn texts_out(found: &Found, rows: &[Value], evidence: &mut Evidence) {
    let mut taken: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for text in &found.submitted {
        *taken.entry((&text.to, &text.text)).or_default() += 1;
    }
    let mut listed: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for row in rows.iter().filter(|row| text(row, "direction") == "out") {
        let (all, sure) = listed.entry((text(row, "person"), text(row, "body"))).or_default();
        *all += 1;
        *sure += usize::from(matches!(text(row, "status"), "sent" | "delivered"));
    }
    let keys: BTreeSet<_> = taken.keys().chain(listed.keys()).collect();
    for key in keys {
        let taken = taken.get(key).copied().unwrap_or_default();
        let (all, sure) = listed.get(key).copied().unwrap_or_default();
        let (phone, body) = key;
        if taken > all {
            evidence.violations.push(format!("{phone} got {body:?} {taken} times, {all} are listed"));
        }
        if sure > taken {
            evidence
                .violations
                .push(format!("{sure} times called sent, {taken} times taken: {phone} {body:?}"));
        }
    }
}

/// The box itself found nothing that must not be.
fn complaints(told: &[u8], evidence: &mut Evidence) {
    let said = String::from_utf8_lossy(told);
    let bad =
        |line: &&str| line.contains("panicked") || line.contains(" ERROR ") || line.contains("edge died");
    evidence.violations.extend(said.lines().filter(bad).map(|line| format!("in its log: {line}")));
}

/// A part that the staff were free to send again: who to, its number, the whole text.
type Free<'a> = (&'a str, Option<u64>, &'a str);

/// Parts that the box had called unknown, of texts that the staff sent again.
fn in_doubt_and_resent<'a>(found: &Found, rows: &'a [Value], told: &[u8]) -> Vec<Free<'a>> {
    let said = String::from_utf8_lossy(told);
    let parts: BTreeSet<(&str, &str)> =
        said.lines().filter_map(marked).filter_map(|id| id.split_once('/')).collect();
    let resent = rows.iter().filter(|row| found.resent.iter().any(|id| id == text(row, "id")));
    resent
        .flat_map(|row| {
            let numbers = parts.iter().filter(move |(id, _)| *id == text(row, "id"));
            numbers.map(move |(_, number)| (text(row, "person"), number.parse().ok(), text(row, "body")))
        })
        .collect()
}

/// Texts for an upstream that the staff sent again: they have one part, without a number.
fn whole_and_resent<'a>(found: &Found, rows: &'a [Value]) -> Vec<Free<'a>> {
    let resent = rows.iter().filter(|row| found.resent.iter().any(|id| id == text(row, "id")));
    resent.map(|row| (text(row, "person"), None, text(row, "body"))).collect()
}

/// Between two texts of a customer no PDU goes out twice to that customer, unless the staff wanted it: then once more.
fn parts_twice(entries: &[Entry], free: &[Free<'_>], evidence: &mut Evidence) {
    let mut turns: BTreeMap<&str, BTreeSet<(&str, Option<u64>)>> = BTreeMap::new();
    let mut free = free.to_vec();
    for entry in entries {
        match &entry.what {
            What::Arrived { from } => {
                turns.remove(from.as_str());
            }
            What::Submitted { to, text, part, .. } => {
                if turns.entry(to).or_default().insert((text, *part)) {
                    continue;
                }
                let wanted = free.iter().position(|(person, number, body)| {
                    person == to && number == part && body.contains(text.as_str())
                });
                match wanted {
                    Some(at) => {
                        free.remove(at);
                        evidence.parts_again += 1;
                    }
                    None => {
                        evidence.violations.push(format!("sent twice to {to}: part {part:?} {text:?}"));
                    }
                }
            }
            What::Command => {}
        }
    }
}

/// Every order that a customer gave is in the books once, as the customer gave it, and nothing else is.
fn orders(found: &Found, unknown: &[Value], evidence: &mut Evidence) {
    let mut matched = BTreeSet::new();
    for customer in &found.customers {
        for talk in customer.talks() {
            for (kind, given) in [(Kind::Service, talk.ordered_service), (Kind::Parts, talk.ordered_part)] {
                let theirs: Vec<&Order> =
                    found.orders.iter().filter(|o| o.kind == kind && is_of(o, customer, talk)).collect();
                matched.extend(theirs.iter().map(|o| o.order_id.clone()));
                let doubt = || unknown.iter().any(|row| row_is_of(row, kind, talk));
                let what = format!("{} {kind:?} {:?}", customer.phone, talk.description);
                match (theirs.len(), given) {
                    (1, true) | (0, false) => {}
                    (0, true) if doubt() => {}
                    (0, true) => evidence.violations.push(format!("lost order: {what}")),
                    (count, _) => evidence.violations.push(format!("{count} orders: {what}")),
                }
            }
        }
    }
    for order in found.orders.iter().filter(|o| !matched.contains(&o.order_id)) {
        evidence.violations.push(format!("nobody gave this order: {} {}", order.order_id, order.body));
    }
}

fn is_of(order: &Order, customer: &Customer, talk: &Talk) -> bool {
    let body = &order.body;
    let own = order.customer_id == customer.id
        && text(body, "equipment_id") == talk.machine.id
        && text(body, "equipment_serial") == talk.machine.serial
        && text(body, "customer_phone") == customer.phone;
    own && match order.kind {
        Kind::Service => text(body, "description") == talk.description,
        Kind::Parts => {
            let item = body.pointer("/items/0").unwrap_or(&Value::Null);
            item.get("quantity").and_then(Value::as_u64) == Some(talk.quantity)
                && Some(text(item, "part_number")) == talk.part.as_deref()
        }
    }
}

/// A row of `orders unknown`, as the box prints it.
fn row_is_of(row: &Value, kind: Kind, talk: &Talk) -> bool {
    let body = row.pointer("/order/body").unwrap_or(&Value::Null);
    text(body, "equipment_serial") == talk.machine.serial
        && match kind {
            Kind::Service => text(body, "description") == talk.description,
            Kind::Parts => body.pointer("/items/0/quantity").and_then(Value::as_u64) == Some(talk.quantity),
        }
}

/// Every order is told to its customer, unless that very text was cut by a kill, or the order is in doubt.
fn confirmations(found: &Found, rows: &[Value], evidence: &mut Evidence) {
    for order in &found.orders {
        let Some(customer) = found.customers.iter().find(|c| c.id == order.customer_id) else { continue };
        let told = customer.told().get(&order.order_id).copied().unwrap_or_default();
        let cut = || {
            rows.iter().any(|row| {
                text(row, "direction") == "out"
                    && text(row, "status") == "unknown"
                    && text(row, "person") == customer.phone
                    && text(row, "body").contains(&format!("Order #{}\n", order.order_id))
            })
        };
        let doubts = customer.told_of_doubt();
        if told == 0 && doubts == 0 && !cut() {
            evidence.violations.push(format!("{} was never told of {}", customer.phone, order.order_id));
        }
    }
}

/// At most one text a kill is unknown, and the emulator saw it cut.
fn unknown(found: &Found, rows: &[Value], entries: &[Entry], told: &[u8], evidence: &mut Evidence) {
    let mut known = BTreeSet::new();
    // Lives that were killed before they wrote anything leave the doubt to the next.
    let mut before = 0;
    for (at, life) in found.lives.iter().enumerate() {
        let from = usize::try_from(life.log_offset).unwrap_or(usize::MAX);
        let to = found.lives.get(at + 1).map_or(told.len(), |l| usize::try_from(l.log_offset).unwrap_or(0));
        let said = String::from_utf8_lossy(told.get(from..to).unwrap_or_default());
        let new: Vec<&str> = said.lines().filter_map(marked).filter(|id| !known.contains(*id)).collect();
        if new.len() > 1 {
            evidence.violations.push(format!("{} texts are unknown after one kill: {new:?}", new.len()));
        }
        for id in &new {
            if at == 0 {
                evidence.violations.push(format!("{id} is unknown though nothing was killed"));
            }
            let message = id.split('/').next().unwrap_or_default();
            let row = rows.iter().find(|row| text(row, "id") == message).unwrap_or(&Value::Null);
            let window = found.lives.get(before..at).unwrap_or_default();
            let from_ms = window.first().map_or(0.0, |l| l.started_ms);
            let cut = cut(entries, from_ms, life.started_ms);
            match cut {
                Some(What::Submitted { to, text: said, .. })
                    if to == text(row, "person") && text(row, "body").contains(said) =>
                {
                    evidence.unknown.sent += 1;
                }
                Some(What::Command) => evidence.unknown.at_prompt += 1,
                Some(_) | None => evidence.unknown.before_prompt += 1,
            }
        }
        if !new.is_empty() || said.contains("ready") {
            before = at;
        }
        known.extend(new.into_iter().map(str::to_owned));
    }
}

/// Texts that stay unknown though they could be looked for: were they there?
fn unknown_at_upstream(found: &Found, rows: &[Value], evidence: &mut Evidence) {
    for row in rows.iter().filter(|row| text(row, "status") == "unknown") {
        let (person, body) = (text(row, "person"), text(row, "body"));
        let taken = found.submitted.iter().any(|t| t.to == person && t.text == body);
        match taken {
            true => evidence.unknown.sent += 1,
            false => evidence.unknown.before_prompt += 1,
        }
    }
}

/// `… text SM…/1 is unknown: the box stopped …`
fn marked(line: &str) -> Option<&str> {
    let (head, _) = line.split_once(" is unknown: the box stopped")?;
    head.rsplit_once("text ").map(|(_, id)| id)
}

/// How far the last send between two moments had come.
fn cut(entries: &[Entry], from_ms: f64, to_ms: f64) -> Option<&What> {
    let within = entries.iter().filter(|e| e.t_ms >= from_ms && e.t_ms < to_ms);
    within.filter(|e| matches!(e.what, What::Command | What::Submitted { .. })).map(|e| &e.what).next_back()
}

/// One entry of the network's log that matters here.
pub(super) struct Entry {
    pub(super) t_ms: f64,
    pub(super) what: What,
}

pub(super) enum What {
    Arrived {
        from: String,
    },
    /// The box typed +CMGS.
    Command,
    /// The network took a PDU.
    Submitted {
        to: String,
        text: String,
        part: Option<u64>,
        total: Option<u64>,
    },
}

impl Entry {
    fn ends_a_text(&self) -> bool {
        matches!(&self.what, What::Submitted { part, total, .. } if part == total)
    }
}

/// The emulator's log.
pub(super) fn read_log(path: &Path) -> Result<Vec<Entry>, Error> {
    let all = std::fs::read_to_string(path)?;
    let mut entries = Vec::new();
    for line in all.lines() {
        let value: Value = serde_json::from_str(line).map_err(std::io::Error::other)?;
        let t_ms = value.get("t_ms").and_then(Value::as_f64).unwrap_or_default();
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let what = match (text(&value, "dir"), text(&value, "event")) {
            ("net", "arrived") => What::Arrived { from: text(&value, "from").to_owned() },
            ("net", "submitted") if value.get("accepted") == Some(&Value::Bool(true)) => What::Submitted {
                to: text(&value, "to").to_owned(),
                text: text(&value, "text").to_owned(),
                part: number("part"),
                total: number("total"),
            },
            ("rx", _) if text(&value, "bytes").contains("+CMGS=") => What::Command,
            _ => continue,
        };
        entries.push(Entry { t_ms, what });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found() -> Found {
        Found {
            customers: Vec::new(),
            orders: Vec::new(),
            said: BTreeMap::new(),
            misfits: Vec::new(),
            stuck: Vec::new(),
            resent: Vec::new(),
            lives: Vec::new(),
            submitted: Vec::new(),
            term: Duration::ZERO,
        }
    }

    fn submitted(t_ms: f64, text: &str) -> Entry {
        let what = What::Submitted { to: "+1".into(), text: text.into(), part: Some(1), total: Some(2) };
        Entry { t_ms, what }
    }

    #[test]
    fn a_text_that_is_stored_twice_or_not_at_all_is_named() {
        let mut found = found();
        found.said = BTreeMap::from([(("+1".into(), "MENU".into()), 1), (("+2".into(), "MENU".into()), 1)]);
        let row = json!({"direction": "in", "person": "+1", "body": "MENU"});
        let mut evidence = Evidence::default();
        texts_in(&found, &[row.clone(), row], &mut evidence);
        assert_eq!(evidence.violations.len(), 2, "{evidence}");
    }

    #[test]
    fn a_text_that_is_called_sent_and_never_was_is_named() {
        let mut found = found();
        let row = |status: &str| json!({"direction": "out", "person": "+1", "body": "Hi", "status": status});
        for (status, faults) in [("delivered", 1), ("sent", 1), ("unknown", 0), ("failed", 0)] {
            let mut evidence = Evidence::default();
            texts_out(&found, &[row(status)], &mut evidence);
            assert_eq!(evidence.violations.len(), faults, "{status}");
        }
        found.submitted =
            vec![Submitted { seq: 1, to: "+1".into(), text: "Hi".into(), parts: 1, bytes: 2, t_ms: 0 }];
        let mut evidence = Evidence::default();
        texts_out(&found, &[row("delivered")], &mut evidence);
        assert_eq!(evidence.violations, [""; 0]);
        texts_out(&found, &[], &mut evidence);
        assert_eq!(evidence.violations.len(), 1, "sent, and not in the list");
    }

    #[test]
    fn a_pdu_that_goes_out_twice_in_one_turn_is_named() {
        let arrived = || Entry { t_ms: 2.0, what: What::Arrived { from: "+1".into() } };
        let mut evidence = Evidence::default();
        parts_twice(&[submitted(1.0, "a"), arrived(), submitted(3.0, "a")], &[], &mut evidence);
        assert_eq!(evidence.violations, [""; 0]);
        let twice = [submitted(1.0, "a"), submitted(3.0, "a")];
        parts_twice(&twice, &[], &mut evidence);
        assert_eq!(evidence.violations.len(), 1);
        parts_twice(&twice, &[("+2", Some(1), "a..."), ("+1", Some(2), "a...")], &mut evidence);
        assert_eq!((evidence.violations.len(), evidence.parts_again), (2, 0), "another's, another part");
        parts_twice(&twice, &[("+1", Some(1), "a...")], &mut evidence);
        assert_eq!((evidence.violations.len(), evidence.parts_again), (2, 1));
        let thrice = [submitted(1.0, "a"), submitted(3.0, "a"), submitted(4.0, "a")];
        parts_twice(&thrice, &[("+1", Some(1), "a...")], &mut evidence);
        assert_eq!((evidence.violations.len(), evidence.parts_again), (3, 2), "wanted once, sent twice more");
    }

    #[test]
    fn the_last_send_before_a_kill_is_the_one_that_was_cut() {
        let command = |t_ms| Entry { t_ms, what: What::Command };
        let entries = [command(1.0), submitted(2.0, "a"), command(3.0), submitted(9.0, "b")];
        assert!(matches!(cut(&entries, 0.0, 3.0), Some(What::Submitted { text, .. }) if text == "a"));
        assert!(matches!(cut(&entries, 0.0, 5.0), Some(What::Command)));
        assert!(cut(&entries, 4.0, 5.0).is_none());
        assert_eq!(marked("WARN text SM1/2 is unknown: the box stopped while"), Some("SM1/2"));
        assert_eq!(marked("INFO ready"), None);
    }
}
