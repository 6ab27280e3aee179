//! Message memories SM, ME and SR: slots with an index, reused lowest first (27.005 §3.1 `<mem>`, `<index>`).

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Mem {
    Sm,
    Me,
    Sr,
}

impl Mem {
    pub(super) const ALL: [Mem; 3] = [Mem::Sm, Mem::Me, Mem::Sr];

    pub(super) fn name(self) -> &'static str {
        match self {
            Mem::Sm => "SM",
            Mem::Me => "ME",
            Mem::Sr => "SR",
        }
    }

    pub(super) fn named(name: &str) -> Option<Mem> {
        Mem::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(name))
    }
}

/// `<stat>`, with its PDU-mode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stat {
    Unread,
    Read,
    Unsent,
    Sent,
}

impl Stat {
    pub(super) const ALL: [Stat; 4] = [Stat::Unread, Stat::Read, Stat::Unsent, Stat::Sent];

    pub(super) fn number(self) -> u8 {
        match self {
            Stat::Unread => 0,
            Stat::Read => 1,
            Stat::Unsent => 2,
            Stat::Sent => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Stat::Unread => "REC UNREAD",
            Stat::Read => "REC READ",
            Stat::Unsent => "STO UNSENT",
            Stat::Sent => "STO SENT",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Stored {
    pub(super) stat: Stat,
    /// Service centre address and TPDU in hexadecimal, as +CMGR gives it.
    pub(super) pdu: String,
}

#[derive(Debug)]
pub(super) struct Memory {
    slots: Vec<Option<Stored>>,
    first: usize,
}

impl Memory {
    pub(super) fn new(capacity: usize, first: usize) -> Memory {
        Memory { slots: vec![None; capacity], first }
    }

    pub(super) fn used(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Stores in the lowest free slot and returns its index; `None` if full.
    pub(super) fn put(&mut self, message: Stored) -> Option<usize> {
        let at = self.slots.iter().position(Option::is_none)?;
        *self.slots.get_mut(at)? = Some(message);
        Some(at + self.first)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Stored> {
        self.slots.get_mut(index.checked_sub(self.first)?)?.as_mut()
    }

    /// Empties a slot: `None` if there is no such slot, `Some(false)` if it was empty.
    pub(super) fn delete(&mut self, index: usize) -> Option<bool> {
        Some(self.slots.get_mut(index.checked_sub(self.first)?)?.take().is_some())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Stored)> {
        let first = self.first;
        self.slots.iter_mut().enumerate().filter_map(move |(i, s)| Some((i + first, s.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_reused_lowest_first() {
        let message = || Stored { stat: Stat::Unread, pdu: String::new() };
        let mut memory = Memory::new(2, 1);
        assert_eq!(
            (memory.put(message()), memory.put(message()), memory.put(message())),
            (Some(1), Some(2), None)
        );
        assert_eq!(memory.delete(1), Some(true));
        assert_eq!(memory.delete(1), Some(false));
        assert_eq!(memory.delete(3), None);
        assert_eq!(memory.put(message()), Some(1));
    }
}
