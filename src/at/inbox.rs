//! Which slots must be read, swept, acknowledged or deleted, and which have been reported: each message once until
//! it is freed. Holds no message beyond its hex, knows no command's wording.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::types::{Mem, Slot};

/// Announced slots that wait to be read; beyond it the whole memory is swept instead.
const ANNOUNCED_MAX: usize = 512;
/// From so many announced slots in one memory on, one listing is cheaper than reading each.
const LIST_FROM: usize = 3;
/// Tries to read or delete one slot before it is left to the next sweep.
const TRIES: u8 = 3;
/// Indexes that are read one by one when a memory can neither be listed nor tells its size.
const SIZE_UNKNOWN: u16 = 50;
/// Commands in one memory before another one has its turn: switching costs a command.
const MEMORY_TURN: u32 = 16;

/// The next thing to do for received texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Acknowledge a message that the modem handed over without storing it.
    Ack(Slot),
    /// Read everything in a memory.
    List(Mem),
    Read(Slot),
    Delete(Slot),
}

impl Work {
    /// The memory that must be selected for it.
    pub(super) fn mem(self) -> Option<Mem> {
        match self {
            Self::Ack(_) => None,
            Self::List(mem) => Some(mem),
            Self::Read(slot) | Self::Delete(slot) => Some(slot.mem),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freeing {
    /// The daemon has not committed it yet.
    No,
    Wanted,
    /// `+CMGD` is on its way: what is announced for this slot now is another message.
    UnderWay,
    /// `+CMGD` went wrong, or seemed to. It may have been done, and another message may lie there by now: the slot is
    /// read before anything is deleted again.
    Doubted,
}

#[derive(Debug)]
struct Held {
    pdu: String,
    freeing: Freeing,
    /// Deletions that went wrong.
    refusals: u8,
}

impl Held {
    /// What is announced or found in its slot may be another message.
    fn may_be_another(&self) -> bool {
        matches!(self.freeing, Freeing::UnderWay | Freeing::Doubted)
    }
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    announced: VecDeque<Slot>,
    held: BTreeMap<Slot, Held>,
    to_free: VecDeque<Slot>,
    sweeps: VecDeque<Mem>,
    /// Slots whose single reading belongs to a sweep that is not over before.
    swept_singly: BTreeSet<Slot>,
    /// Announced before a listing began that was to show them: what it did not show is read, and listed no more.
    listed: BTreeSet<Slot>,
    tries: BTreeMap<Slot, u8>,
    unlistable: BTreeSet<Mem>,
    missed_lists: BTreeMap<Mem, u8>,
    sizes: BTreeMap<Mem, u16>,
    free_next: bool,
    run: u32,
    /// Announcements of slots that were reported already.
    pub(super) repeated: u64,
}

impl Inbox {
    /// Forgets everything of a connection that ended.
    pub(super) fn clear(&mut self) {
        *self = Self { repeated: self.repeated, ..Self::default() };
    }

    /// How many messages a memory holds at most, from `+CPMS`.
    pub(super) fn set_size(&mut self, mem: Mem, size: u16) {
        self.sizes.insert(mem, size);
    }

    /// `+CMTI` or `+CDSI` named this slot.
    pub(super) fn announce(&mut self, slot: Slot) {
        let known = self.held.get(&slot).is_some_and(|held| !held.may_be_another());
        if known || self.announced.contains(&slot) {
            self.repeated += 1;
        } else if self.announced.len() >= ANNOUNCED_MAX {
            self.want_sweep(slot.mem);
        } else {
            self.announced.push_back(slot);
        }
    }

    /// Every message in this memory shall be looked at.
    pub(super) fn want_sweep(&mut self, mem: Mem) {
        if !self.sweeps.contains(&mem) {
            self.sweeps.push_back(mem);
        }
    }

    /// A PDU lies in this slot. True when it is to be reported: not known yet, and not the same store under
    /// another memory's name (one store answering as SM and as ME was seen).
    pub(super) fn hold(&mut self, slot: Slot, pdu: &str) -> bool {
        self.settle(slot);
        if let Some(held) = self.held.get_mut(&slot).filter(|held| held.freeing == Freeing::Doubted) {
            // What cannot be read is not deleted on the strength of that.
            if held.pdu == pdu {
                held.freeing = Freeing::Wanted;
                self.to_free.push_back(slot);
            }
            return false;
        }
        let alias = |(other, held): (&Slot, &Held)| {
            ![other.mem, slot.mem].contains(&Mem::Direct) && other.index == slot.index && held.pdu == pdu
        };
        if self.held.contains_key(&slot) || self.held.iter().any(alias) {
            return false;
        }
        self.held.insert(slot, Held { pdu: pdu.to_owned(), freeing: Freeing::No, refusals: 0 });
        true
    }

    /// True when what is held here was deleted, though the modem did not say so, and another message lies there now.
    pub(super) fn is_another(&self, slot: Slot, pdu: &str) -> bool {
        self.held.get(&slot).is_some_and(|held| held.freeing == Freeing::Doubted && held.pdu != pdu)
    }

    /// True when it is not known whether what is held here was deleted.
    pub(super) fn is_doubted(&self, slot: Slot) -> bool {
        self.held.get(&slot).is_some_and(|held| held.freeing == Freeing::Doubted)
    }

    /// This slot could not be read properly. True when it is worth another try, which is then planned.
    pub(super) fn retry(&mut self, slot: Slot) -> bool {
        let tries = self.tries.entry(slot).or_insert(0);
        *tries += 1;
        if *tries >= TRIES || slot.mem == Mem::Direct {
            return false;
        }
        self.swept_singly.insert(slot);
        if !self.announced.contains(&slot) {
            self.announced.push_front(slot);
        }
        true
    }

    /// A slot that was to be read seemed to hold nothing. True when that is odd, since it was announced, no listing
    /// lacked it, and it has not been asked twice: it is planned once more then.
    pub(super) fn doubt(&mut self, slot: Slot) -> bool {
        let known_empty = self.swept_singly.contains(&slot) || self.listed.contains(&slot);
        let odd = !known_empty && !self.tries.contains_key(&slot);
        if odd {
            self.tries.insert(slot, 1);
            self.announced.push_front(slot);
        }
        odd
    }

    /// Nothing more is expected of reading this slot. True when its emptiness is no news (it was read on suspicion).
    pub(super) fn settle(&mut self, slot: Slot) -> bool {
        self.tries.remove(&slot);
        self.listed.remove(&slot);
        self.swept_singly.remove(&slot)
    }

    /// The daemon has committed what lay here. False for a slot that was not reported in this connection.
    pub(super) fn free(&mut self, slot: Slot) -> bool {
        let Some(held) = self.held.get_mut(&slot) else { return false };
        if held.freeing == Freeing::No {
            held.freeing = Freeing::Wanted;
            self.to_free.push_back(slot);
        }
        true
    }

    /// The modem said that it is gone. False when it was not held.
    pub(super) fn freed(&mut self, slot: Slot) -> bool {
        self.tries.remove(&slot);
        self.held.remove(&slot).is_some()
    }

    /// Deleting failed, or nobody said that it did not; it is tried again, at the latest after the next sweep, unless
    /// the slot turns out to hold something else.
    pub(super) fn keep_wanting(&mut self, slot: Slot) {
        let Some(held) = self.held.get_mut(&slot) else { return };
        held.refusals = held.refusals.saturating_add(1);
        if slot.mem == Mem::Direct {
            held.freeing = Freeing::Wanted;
            if held.refusals < TRIES {
                self.to_free.push_back(slot);
            }
            return;
        }
        held.freeing = Freeing::Doubted;
        if held.refusals < TRIES && !self.announced.contains(&slot) {
            self.announced.push_back(slot);
        }
    }

    /// A sweep is due: what could not be deleted before is tried again.
    pub(super) fn revive_frees(&mut self) {
        for (slot, held) in &mut self.held {
            let (queue, waits) = match held.freeing {
                Freeing::Wanted => (&mut self.to_free, true),
                Freeing::Doubted => (&mut self.announced, true),
                Freeing::No | Freeing::UnderWay => (&mut self.to_free, false),
            };
            if waits && !queue.contains(slot) {
                held.refusals = 0;
                queue.push_back(*slot);
            }
        }
    }

    /// Listing this memory did not work. After a refusal, or two missed answers, its slots are read one by one.
    pub(super) fn list_failed(&mut self, mem: Mem, refused: bool) {
        let missed = self.missed_lists.entry(mem).or_insert(0);
        *missed += 1;
        if refused || *missed >= 2 {
            self.unlistable.insert(mem);
        }
        self.want_sweep(mem);
    }

    /// This memory cannot be selected: nothing more is done in it.
    pub(super) fn abandon(&mut self, mem: Mem) {
        self.announced.retain(|slot| slot.mem != mem);
        self.to_free.retain(|slot| slot.mem != mem);
        self.swept_singly.retain(|slot| slot.mem != mem);
        self.listed.retain(|slot| slot.mem != mem);
        self.sweeps.retain(|other| *other != mem);
    }

    /// True when no sweep is wanted or half done.
    pub(super) fn is_swept(&self) -> bool {
        self.sweeps.is_empty() && self.swept_singly.is_empty()
    }

    /// Takes the next thing to do; `current` is the memory that is selected.
    pub(super) fn next(&mut self, current: Option<Mem>) -> Option<Work> {
        if let Some(at) = self.to_free.iter().position(|slot| slot.mem == Mem::Direct) {
            return self.to_free.remove(at).map(Work::Ack);
        }
        self.expand_unlistable();
        let held = &self.held;
        self.announced.retain(|slot| held.get(slot).is_none_or(|held| held.freeing == Freeing::Doubted));
        let mems: BTreeSet<Mem> =
            self.sweeps.iter().copied().chain(self.slots().map(|slot| slot.mem)).collect();
        let other = mems.iter().copied().find(|mem| Some(*mem) != current);
        let mem = match current.filter(|mem| mems.contains(mem)) {
            Some(mem) if self.run < MEMORY_TURN || other.is_none() => mem,
            _ => other?,
        };
        self.run = if Some(mem) == current { self.run.saturating_add(1) } else { 0 };
        self.next_in(mem)
    }

    /// Work that was taken and could not be begun.
    pub(super) fn put_back(&mut self, work: Work) {
        match work {
            Work::List(mem) if !self.sweeps.contains(&mem) => self.sweeps.push_front(mem),
            Work::List(_) => {}
            Work::Read(slot) => self.announced.push_front(slot),
            Work::Ack(slot) => self.to_free.push_front(slot),
            Work::Delete(slot) => {
                if let Some(held) = self.held.get_mut(&slot) {
                    held.freeing = Freeing::Wanted;
                }
                self.to_free.push_front(slot);
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.announced.iter().chain(&self.to_free)
    }

    fn next_in(&mut self, mem: Mem) -> Option<Work> {
        let of_mem = || self.announced.iter().filter(|slot| slot.mem == mem);
        let announced = of_mem().filter(|slot| !self.listed.contains(slot)).count();
        let held = self.held.keys().filter(|slot| slot.mem == mem).count();
        let swept = self.sweeps.iter().position(|other| *other == mem);
        // A listing repeats what is held already: it must bring more news than repetition.
        let worth_it = announced >= LIST_FROM && announced >= held && !self.unlistable.contains(&mem);
        if swept.is_some() || worth_it {
            let listed: Vec<Slot> = of_mem().copied().collect();
            self.listed.extend(listed);
            if let Some(at) = swept {
                self.sweeps.remove(at);
            }
            return Some(Work::List(mem));
        }
        let read = self.announced.iter().position(|slot| slot.mem == mem);
        let free = self.to_free.iter().position(|slot| slot.mem == mem);
        match (read, free) {
            (read, Some(at)) if self.free_next || read.is_none() => {
                self.free_next = false;
                let slot = self.to_free.remove(at)?;
                if let Some(held) = self.held.get_mut(&slot) {
                    held.freeing = Freeing::UnderWay;
                }
                Some(Work::Delete(slot))
            }
            (Some(at), _) => {
                self.free_next = true;
                self.announced.remove(at).map(Work::Read)
            }
            (None, _) => None,
        }
    }

    /// Turns wanted sweeps of memories that cannot be listed into single readings.
    fn expand_unlistable(&mut self) {
        let unlistable = &self.unlistable;
        let singly: Vec<Mem> = self.sweeps.iter().copied().filter(|mem| unlistable.contains(mem)).collect();
        self.sweeps.retain(|mem| !unlistable.contains(mem));
        for mem in singly {
            let size = self.sizes.get(&mem).copied().unwrap_or(SIZE_UNKNOWN);
            for index in 0..=size {
                let slot = Slot { mem, index };
                if !self.held.contains_key(&slot) && !self.announced.contains(&slot) {
                    self.swept_singly.insert(slot);
                    self.announced.push_back(slot);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sm(index: u16) -> Slot {
        Slot { mem: Mem::SM, index }
    }

    #[test]
    fn a_slot_is_read_once_and_again_only_when_it_was_freed() {
        let mut inbox = Inbox::default();
        inbox.announce(sm(3));
        inbox.announce(sm(3));
        assert_eq!(inbox.next(Some(Mem::SM)), Some(Work::Read(sm(3))));
        assert!(inbox.hold(sm(3), "00AA"));
        inbox.announce(sm(3));
        assert_eq!(inbox.next(Some(Mem::SM)), None);
        assert!(inbox.free(sm(3)));
        assert_eq!(inbox.next(Some(Mem::SM)), Some(Work::Delete(sm(3))));
        // The next text may take the slot before the answer to +CMGD is here.
        inbox.announce(sm(3));
        assert!(inbox.freed(sm(3)));
        assert_eq!(inbox.next(Some(Mem::SM)), Some(Work::Read(sm(3))));
    }

    #[test]
    fn reading_and_deleting_take_turns() {
        let mut inbox = Inbox::default();
        for index in 1..=2 {
            inbox.hold(sm(index), &format!("00A{index}"));
            inbox.free(sm(index));
        }
        inbox.announce(sm(8));
        inbox.announce(sm(9));
        let order: Vec<_> = std::iter::from_fn(|| inbox.next(Some(Mem::SM))).collect();
        assert_eq!(order, [Work::Read(sm(8)), Work::Delete(sm(1)), Work::Read(sm(9)), Work::Delete(sm(2)),]);
    }

    #[test]
    fn many_announcements_are_fetched_with_one_listing() {
        let mut inbox = Inbox::default();
        (1..=5).for_each(|index| inbox.announce(sm(index)));
        assert_eq!(inbox.next(Some(Mem::SM)), Some(Work::List(Mem::SM)));
    }

    #[test]
    fn one_store_under_two_names_is_reported_once() {
        let mut inbox = Inbox::default();
        assert!(inbox.hold(Slot { mem: Mem::ME, index: 4 }, "00AA"));
        assert!(!inbox.hold(sm(4), "00AA"));
        assert!(inbox.hold(sm(5), "00AA"));
    }

    #[test]
    fn a_memory_that_cannot_be_listed_is_read_slot_by_slot() {
        let mut inbox = Inbox::default();
        inbox.set_size(Mem::SM, 2);
        inbox.list_failed(Mem::SM, true);
        let order: Vec<_> = std::iter::from_fn(|| inbox.next(Some(Mem::SM))).collect();
        assert_eq!(order, [Work::Read(sm(0)), Work::Read(sm(1)), Work::Read(sm(2))]);
        assert!(!inbox.is_swept());
        (0..=2).for_each(|index| assert!(inbox.settle(sm(index))));
        assert!(inbox.is_swept());
    }

    #[test]
    fn a_busy_memory_does_not_starve_the_other() {
        let mut inbox = Inbox::default();
        inbox.announce(Slot { mem: Mem::ME, index: 1 });
        let mut others = 0;
        for index in 0..40 {
            inbox.announce(sm(index));
            match inbox.next(Some(Mem::SM)) {
                Some(Work::Read(slot)) if slot.mem == Mem::ME => others += 1,
                Some(Work::Read(slot)) => {
                    inbox.hold(slot, &format!("00{index:04}"));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(others, 1);
    }
}
