//! The modem's message memories (`+CPMS`, 3GPP TS 27.005 §3.2.2): which there are, which one takes new texts, which
//! is selected.

use std::collections::BTreeMap;

use super::reply::{self, Field};
use crate::types::Mem;

/// See the head of this file. Until the modem has told, its one memory is thought to be the SIM.
#[derive(Debug, Default)]
pub(super) struct Stores {
    /// Whether `+CPMS` works; without it nothing is ever selected.
    tracked: bool,
    offered: Vec<Vec<String>>,
    candidates: Vec<Mem>,
    sizes: BTreeMap<Mem, u16>,
    current: Option<Mem>,
    /// The receiving memory cannot be selected again after another one.
    homeless: bool,
    sweep: Vec<Mem>,
}

impl Stores {
    /// `+CPMS: (<mem1>,…),(<mem2>,…),(<mem3>,…)`.
    pub(super) fn offered(&mut self, test: &str) {
        self.offered = reply::value_sets(test);
        let mems = |at: usize| -> Vec<Mem> {
            let names = self.offered.get(at).or(self.offered.first());
            names.into_iter().flatten().filter_map(|name| Mem::parse(name)).collect()
        };
        let readable = mems(0);
        let receiving = mems(2);
        let both = |mem: &Mem| readable.contains(mem) && receiving.contains(mem);
        // The modem's own memory first: it wears the SIM less, when both hold the same.
        self.candidates = [Mem::ME, Mem::SM].into_iter().filter(both).collect();
        if self.candidates.is_empty() {
            self.candidates = [Mem::MT].into_iter().filter(both).collect();
        }
        // MT is both of the others: sweeping it too would report everything twice.
        self.sweep = [Mem::ME, Mem::SM, Mem::SR].into_iter().filter(|mem| readable.contains(mem)).collect();
        if self.sweep.iter().all(|mem| *mem == Mem::SR) && readable.contains(&Mem::MT) {
            self.sweep.insert(0, Mem::MT);
        }
        self.tracked = !self.candidates.is_empty();
    }

    /// The memory to try as the receiving one, in order.
    pub(super) fn candidate(&self, at: usize) -> Option<Mem> {
        self.candidates.get(at).copied()
    }

    /// `AT+CPMS=…` that receives into this memory, and reads from it.
    pub(super) fn use_text(&self, mem: Mem) -> String {
        let name = mem.as_str();
        let written = match self.offered.get(1) {
            Some(names) if !names.iter().any(|one| one == name) => names.first().map_or(name, String::as_str),
            _ => name,
        };
        match self.offered.len() {
            0 | 1 => format!("AT+CPMS=\"{name}\""),
            2 => format!("AT+CPMS=\"{name}\",\"{written}\""),
            _ => format!("AT+CPMS=\"{name}\",\"{written}\",\"{name}\""),
        }
    }

    /// The candidate was taken: `+CPMS: <used1>,<total1>,…`.
    pub(super) fn tried(&mut self, at: usize, answer: &str) {
        if let Some(mem) = self.candidate(at) {
            let size = reply::fields(answer).get(1).and_then(Field::number).unwrap_or(0);
            self.sizes.insert(mem, size);
            self.current = Some(mem);
        }
    }

    /// The memory to receive into, unless it is in use already: of those that were taken, the one that holds most.
    pub(super) fn chosen(&self) -> Option<Mem> {
        self.receiving().filter(|mem| self.current != Some(*mem))
    }

    fn receiving(&self) -> Option<Mem> {
        let taken = self.candidates.iter().filter_map(|mem| Some((*mem, *self.sizes.get(mem)?)));
        // max_by_key keeps the last of equals; reversed, the first candidate wins.
        taken.rev().max_by_key(|(_, size)| *size).map(|(mem, _)| mem)
    }

    /// The chosen one was taken.
    pub(super) fn in_use(&mut self, _answer: &str) {
        self.current = self.receiving();
    }

    /// `+CPMS: "<mem1>",<used>,<total>,"<mem2>",…` of a modem that does not say what it offers.
    pub(super) fn as_found(&mut self, answer: &str) {
        let fields = reply::fields(answer);
        let at = |n: usize| fields.get(n).and_then(|field| Mem::parse(field.text()));
        self.current = at(0);
        self.tracked = self.current.is_some();
        for (mem, size) in [(at(0), 2), (at(6), 8)] {
            let Some(mem) = mem else { continue };
            if !self.sweep.contains(&mem) {
                self.sweep.push(mem);
            }
            if let Some(size) = fields.get(size).and_then(Field::number) {
                self.sizes.insert(mem, size);
            }
        }
    }

    /// The memory that `+CMGR`, `+CMGL` and `+CMGD` speak of now; `None` when that is not known or not to be chosen.
    pub(super) fn current(&self) -> Option<Mem> {
        self.current
    }

    /// True when this memory must be selected before it is read.
    pub(super) fn must_select(&self, mem: Mem) -> bool {
        self.tracked && self.current != Some(mem)
    }

    /// `+CPMS="<mem>"` was taken, or (`None`) its fate is not known.
    pub(super) fn selected(&mut self, mem: Option<Mem>) {
        self.current = mem;
    }

    /// The memory to return to when there is nothing to do, so that the next text costs one command less.
    pub(super) fn home(&self) -> Option<Mem> {
        self.receiving().filter(|mem| !self.homeless && self.must_select(*mem))
    }

    /// `+CPMS="<mem>"` was refused.
    pub(super) fn refused(&mut self, mem: Mem) {
        self.homeless |= self.receiving() == Some(mem);
    }

    /// Every memory in which texts may lie.
    pub(super) fn all(&self) -> Vec<Mem> {
        if self.sweep.is_empty() { vec![Mem::SM] } else { self.sweep.clone() }
    }

    /// How many messages each memory holds at most, as far as told.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (Mem, u16)> {
        self.sizes.iter().map(|(mem, size)| (*mem, *size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receives_into_the_memory_that_holds_more_and_sweeps_all() {
        let mut stores = Stores::default();
        stores.offered("(\"SM\",\"ME\",\"MT\",\"SR\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")");
        assert_eq!(stores.use_text(Mem::ME), "AT+CPMS=\"ME\",\"ME\",\"ME\"");
        stores.tried(0, "0,23,0,23,0,23");
        stores.tried(1, "1,50,1,50,1,50");
        assert_eq!(stores.chosen(), None);
        assert_eq!(stores.receiving(), Some(Mem::SM));
        assert_eq!(stores.all(), [Mem::ME, Mem::SM, Mem::SR]);
        stores.tried(0, "0,255,0,255,0,255");
        stores.tried(1, "1,50,1,50,1,50");
        assert_eq!(stores.chosen(), Some(Mem::ME));
    }

    #[test]
    fn a_modem_that_only_says_what_it_uses_is_taken_as_it_is() {
        let mut stores = Stores::default();
        stores.as_found("\"SM\",3,30,\"SM\",3,30,\"ME\",0,99");
        assert_eq!(stores.all(), [Mem::SM, Mem::ME]);
        assert!(!stores.must_select(Mem::SM));
        assert!(stores.must_select(Mem::ME));
    }
}
