//! What an upstream is told of who wants texts from a number of ours there, and what it says to that.

use super::{PhoneNumber, Wall};

/// So many people at once.
pub const CONSENTS_MOST: usize = 25;

/// How somebody said what they said, as far as an upstream asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentSource {
    /// By a text of their own.
    Text,
    /// To somebody, or by telephone.
    Offline,
    /// Another way, or nobody knows.
    Other,
}

/// One person's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentItem {
    /// The entry of the consent ledger that says so; the item's key.
    pub entry: u64,
    /// Who.
    pub person: PhoneNumber,
    /// True: texts are welcome again. False: no more.
    pub welcome: bool,
    /// How they said so.
    pub source: ConsentSource,
    /// When, if that clock was sure.
    pub at: Option<Wall>,
}

/// One that the upstream did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentRefused {
    /// Its key.
    pub entry: u64,
    /// In words, without numbers of people.
    pub why: String,
    /// True when the same may be taken later.
    pub again: bool,
}

/// What became of people's wishes that were handed over together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentsAnswer {
    /// Taken, but for these.
    Taken(Vec<ConsentRefused>),
    /// None was taken, because of something about one or all of them: alone, the others may be.
    Refused {
        /// In words.
        why: String,
    },
    /// Not now, or nobody knows whether: to tell them again changes nothing that was taken.
    Later {
        /// In words.
        why: String,
        /// Asked for pause, seconds.
        pause: Option<u32>,
    },
    /// This account may not tell.
    Closed {
        /// In words.
        why: String,
    },
}
