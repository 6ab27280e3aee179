//! What is waited for and until when: one queue by time, and by key the time that each stands at. Owns no clock and no
//! names: whoever has such a queue says what its keys are, and is told the time.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use super::Mono;

/// Each key at most once, the earliest first; of those at the same time the least key.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    queue: BTreeSet<(Mono, K)>,
    of: BTreeMap<K, Mono>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { queue: BTreeSet::new(), of: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Deadlines<K> {
    /// Sets a deadline, or moves it.
    pub fn set(&mut self, key: K, at: Mono) {
        let Some(stands) = self.of.get_mut(&key) else {
            self.of.insert(key.clone(), at);
            self.queue.insert((at, key));
            return;
        };
        let before = (std::mem::replace(stands, at), key);
        // The key that stands there moves, and what it holds stays where it was allocated.
        let (_, key) = self.queue.take(&before).unwrap_or(before);
        self.queue.insert((at, key));
    }

    /// Sets a deadline that may be set already: the earlier one stays.
    pub fn set_earliest(&mut self, key: K, at: Mono) {
        if self.get(&key).is_none_or(|before| at < before) {
            self.set(key, at);
        }
    }

    /// Takes a deadline away; when it would have been.
    pub fn cancel<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<Mono>
    where
        K: Borrow<Q>,
    {
        let (key, at) = self.of.remove_entry(key)?;
        self.queue.remove(&(at, key));
        Some(at)
    }

    /// When it is due, if it is waited for.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Mono>
    where
        K: Borrow<Q>,
    {
        self.of.get(key).copied()
    }

    /// Takes the next that is due.
    pub fn take_due(&mut self, now: Mono) -> Option<K> {
        self.queue.first().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.queue.pop_first()?;
        self.of.remove(&key);
        Some(key)
    }

    /// The next to be due.
    #[must_use]
    pub fn next(&self) -> Option<(Mono, &K)> {
        self.queue.first().map(|(at, key)| (*at, key))
    }

    /// All keys, by key.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.of.keys()
    }

    /// The keys of a range, by key: those of one owner stand together.
    pub fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = &K> {
        self.of.range(keys).map(|(key, _)| key)
    }

    /// How many are waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_least() {
        let mut deadlines = Deadlines::default();
        for (key, at) in [("c", 5), ("b", 7), ("a", 7), ("d", 9)] {
            deadlines.set(key.to_owned(), Mono(at));
        }
        assert_eq!(deadlines.cancel("d"), Some(Mono(9)));
        assert_eq!(deadlines.cancel("d"), None);
        assert_eq!(deadlines.next(), Some((Mono(5), &"c".to_owned())));
        assert_eq!(deadlines.take_due(Mono(4)), None);
        let due: Vec<String> = std::iter::from_fn(|| deadlines.take_due(Mono(7))).collect();
        assert_eq!(due, ["c", "a", "b"]);
        assert!(deadlines.is_empty());
    }

    #[test]
    fn the_keys_of_one_owner_are_a_range() {
        let mut deadlines = Deadlines::default();
        for key in [(1, 'a'), (1, 'b'), (2, 'a'), (3, 'a')] {
            deadlines.set(key, Mono(1));
        }
        let of_one: Vec<_> = deadlines.range((1, 'a')..=(1, 'z')).copied().collect();
        assert_eq!(of_one, [(1, 'a'), (1, 'b')]);
    }

    proptest! {
        /// The queue and the keys never disagree, whatever was set, moved and taken.
        #[test]
        fn it_is_a_map_that_is_read_by_time(steps in prop::collection::vec((0..5_u8, 0..20_u64, 0..4_u8), 0..60)) {
            let (mut deadlines, mut map) = (Deadlines::default(), BTreeMap::new());
            for (key, at, what) in steps {
                match what {
                    0 => {
                        deadlines.set(key, Mono(at));
                        map.insert(key, at);
                    }
                    1 => {
                        deadlines.set_earliest(key, Mono(at));
                        map.entry(key).and_modify(|before| *before = at.min(*before)).or_insert(at);
                    }
                    2 => {
                        prop_assert_eq!(deadlines.cancel(&key), map.remove(&key).map(Mono));
                    }
                    _ => {
                        let due = map.iter().map(|(key, at)| (*at, *key)).min().filter(|(due, _)| *due <= at);
                        prop_assert_eq!(deadlines.take_due(Mono(at)), due.map(|(_, key)| key));
                        due.and_then(|(_, key)| map.remove(&key));
                    }
                }
                prop_assert_eq!(deadlines.len(), map.len());
                prop_assert_eq!(deadlines.get(&key), map.get(&key).copied().map(Mono));
                let next = map.iter().map(|(key, at)| (Mono(*at), *key)).min();
                prop_assert_eq!(deadlines.next().map(|(at, key)| (at, *key)), next);
            }
        }
    }
}
