//! What call control knows of each line at the moment: up or down, how many calls it carries, whether it asked to be
//! left alone; and in which order lines are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::caps::Rate;
use super::plan::{Line, OutboundLine, Plan};
use crate::types::{LegId, LineId, Mono};

/// Longest rest that a line is given for its Retry-After.
const REST_MOST: Duration = Duration::from_secs(600);
/// So many calls in a row that a line did not carry put it behind the dearer ones.
const FAILURES_BAD: u32 = 3;

#[derive(Debug, Default)]
struct Book {
    up: bool,
    legs: BTreeSet<LegId>,
    rest_until: Mono,
    failures: u32,
}

/// Every line that calls may use.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<LineId, Book>);

impl Lines {
    pub(super) fn set_up(&mut self, line: &LineId, up: bool) {
        let book = self.0.entry(line.clone()).or_default();
        if up && !book.up {
            book.rest_until = Mono(0);
            book.failures = 0;
        }
        book.up = up;
    }

    pub(super) fn is_up(&self, line: &LineId) -> bool {
        self.0.get(line).is_some_and(|b| b.up)
    }

    pub(super) fn any_up(&self, plan: &Plan) -> bool {
        plan.data.lines.iter().any(|l| self.is_up(&l.id))
    }

    pub(super) fn add(&mut self, line: &LineId, leg: &LegId) {
        self.0.entry(line.clone()).or_default().legs.insert(leg.clone());
    }

    pub(super) fn remove(&mut self, line: &LineId, leg: &LegId) {
        if let Some(book) = self.0.get_mut(line) {
            book.legs.remove(leg);
        }
    }

    pub(super) fn legs(&self, line: &LineId) -> usize {
        self.0.get(line).map_or(0, |b| b.legs.len())
    }

    pub(super) fn has_room(&self, line: &Line) -> bool {
        self.legs(&line.id) < usize::from(line.channels)
    }

    /// The line did not carry a call.
    pub(super) fn failed(&mut self, line: &LineId, retry_after: Option<Duration>, now: Mono) {
        let book = self.0.entry(line.clone()).or_default();
        book.failures = book.failures.saturating_add(1);
        if let Some(rest) = retry_after {
            book.rest_until = book.rest_until.max(now + rest.min(REST_MOST));
        }
    }

    /// It did: the far side's answer, whatever it was, came through it.
    pub(super) fn worked(&mut self, line: &LineId) {
        if let Some(book) = self.0.get_mut(line) {
            book.failures = 0;
        }
    }

    /// The lines that may carry an ordinary call now, healthy ones by cost, then the others by cost.
    pub(super) fn for_call(&self, plan: &Plan, lines: &[OutboundLine], now: Mono) -> Vec<(LineId, Rate)> {
        let mut fit: Vec<(bool, i64, usize, &OutboundLine)> = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(book) = self.0.get(&line.line) else { continue };
            let room = plan.line(&line.line).is_some_and(|l| self.has_room(l));
            if book.up && room && book.rest_until <= now {
                let cost = line.per_minute.0.saturating_add(line.per_call.0);
                fit.push((book.failures >= FAILURES_BAD, cost, at, line));
            }
        }
        fit.sort_by_key(|(bad, cost, at, _)| (*bad, *cost, *at));
        fit.into_iter()
            .map(|(.., l)| (l.line.clone(), Rate { per_minute: l.per_minute, per_call: l.per_call }))
            .collect()
    }

    /// All lines in the order in which an emergency call tries them: those that are up and free, those that have to be
    /// cleared, and those that are down: a modem may call for help without being registered.
    pub(super) fn for_emergency<'p>(&self, plan: &'p Plan) -> Vec<&'p Line> {
        let mut all: Vec<(u8, u8, usize, &Line)> = Vec::new();
        for (at, line) in plan.data.lines.iter().enumerate() {
            let state = match (self.is_up(&line.id), self.has_room(line)) {
                (true, true) => 0,
                (true, false) => 1,
                (false, _) => 2,
            };
            all.push((state, line.reserve.unwrap_or(u8::MAX), at, line));
        }
        all.sort_by_key(|(state, reserve, at, _)| (*state, *reserve, *at));
        all.into_iter().map(|(.., line)| line).collect()
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.0.values().map(|b| b.legs.len()).sum()
    }
}
