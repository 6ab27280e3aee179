//! SIPp (Debian `sip-tester`) against a box: a foreign program says the messages of each RFC and judges the answers.
//! Each case has a box of its own on a loopback network of its own, so that all of them can run at once: the box is
//! `.1`, the calling trunk `.2`, the trunks that are called `.3` and `.4`, a phone `.5`. TLS is spoken by stunnel beside SIPp.
//!
//! Scenarios are `hil/sipp/*.xml`. Which of them play together stands in `cases`. A machine that is held up for half a
//! second makes right retransmissions over UDP, which fail no case: what crosses its answer is taken twice, and where one
//! request follows another, answers are matched by transaction, or SIPp takes a repeated one for the next.

mod cases;
mod cli;
mod machine;
mod shop;

pub use cases::{CASES, Case};
pub use cli::{Args, matrix, play_all, run};
pub use machine::{Outcome, missing, play};

use std::net::Ipv4Addr;
use std::time::Duration;

/// For what must happen, and has no time of its own: far beyond what it takes on a machine whose disk has much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// How SIP travels in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Way {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// A connection that stunnel encrypts, either way round.
    Tls,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// As Via has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }
}

/// The addresses of one case.
#[derive(Clone, Copy, Debug)]
struct Net {
    second: u8,
    third: u8,
}

impl Net {
    /// Runs of different processes do not meet.
    fn new(ordinal: u8) -> Self {
        let second = u8::try_from(std::process::id() % 200).unwrap_or(0) + 32;
        Self { second, third: ordinal }
    }

    fn host(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, self.third, last)
    }
}

/// Who is at which address.
mod hosts {
    pub(super) const SHOP: u8 = 1;
    pub(super) const CALLER: u8 = 2;
    /// A caller that is a phone, and no trunk.
    pub(super) const PHONE: u8 = 5;
    pub(super) const CALLEES: [u8; 2] = [3, 4];
    /// What stunnel shows SIPp in place of the box.
    pub(super) const TUNNEL: u8 = 12;
}
