//! `hil text`: customers in conversation with a box that is killed again and again, from outside.
//!
//! The box is a process of its own; the emulated modem or the simulated Twilio ([`network`]), and the dealer, run here.
//! Customers read what the box texts and answer it ([`customer`]); the box dies at random moments, often just when it
//! sends or receives ([`town`]); in the end the network's log, the dealer's books and the box's own lists must tell the
//! same story ([`evidence`]).
//!
//! What a kill may cost, and nothing else: the one text that was with the modem is `unknown`. A customer who hears
//! nothing asks the shop; the staff look at `backroom sms unknown` and send that text again. Texts that were with Twilio
//! the box looks up by itself.

pub mod customer;
pub mod disk;
pub mod evidence;
pub mod installation;

mod cli;
mod network;
mod town;

pub use cli::{Args, run};
pub use customer::{Customer, Misfit, Reaction};
pub use evidence::{Evidence, Life, Unknown};
pub use installation::{Installation, Port, Running, Setup};
pub use network::Network;
pub use town::{Plan, visit};

/// Why a scenario could not be carried out; what it finds is in [`Evidence`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files and processes.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The emulated modem.
    #[error("{0}")]
    Modem(#[from] crate::modem::Error),
    /// The box ended by itself, or does not do what it is told.
    #[error("{0}")]
    Box(String),
}

/// SplitMix64: the same seed, the same moments.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Evenly from 0 to below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).checked_rem(end).unwrap_or(0)
    }

    /// Milliseconds from `from` to below `to`.
    pub(crate) fn ms(&mut self, from: u64, to: u64) -> std::time::Duration {
        std::time::Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }
}
