//! What a refusal means for the text that was refused, and for a SIM that is still waking up. A table, with its
//! sources; the outbox decides how often to try again.

use super::reply::Refusal;

/// What to tell about a text that the modem or the network refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The same PDU may be taken later.
    Temporary,
    /// The same PDU will be refused again.
    Permanent,
    /// The network did not answer in time: it may have taken the text.
    Unknown,
}

impl Refusal {
    /// Reads the tables of 3GPP TS 27.005 §3.2.5 and 27.007 §9.2.
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            // No code at all: the modem was not in the mood, or the command is wrong for ever. The bound on tries
            // is the outbox's.
            Self::Plain | Self::Words(_) => Meaning::Temporary,
            Self::Cms(code) => cms(*code),
            Self::Cme(code) => cme(*code),
        }
    }

    /// True while the SIM or the modem is still busy with itself, and the same command is worth repeating soon.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            // 27.005: 314 SIM busy; 515: "please wait, init or command processing in progress" (vendors).
            Self::Cms(code) => matches!(code, 314 | 515),
            // 27.007: 14 SIM busy; 515 as above.
            Self::Cme(code) => matches!(code, 14 | 515),
            Self::Words(words) => words.to_ascii_lowercase().contains("busy"),
            Self::Plain => false,
        }
    }

    /// True when a slot turned out to hold nothing (27.005 §3.2.5: 321 invalid memory index; 27.007 §9.2: 21
    /// invalid index, 22 not found).
    pub(super) fn is_empty_slot(&self) -> bool {
        matches!(self, Self::Cms(321) | Self::Cme(21 | 22))
    }
}

fn cms(code: u16) -> Meaning {
    match code {
        // 3GPP TS 24.011 §8.2.5.4 RP-cause: 27 destination out of order, 38 network out of order, 41 temporary
        // failure, 42 congestion, 47 resources unavailable.
        27 | 38 | 41 | 42 | 47 => Meaning::Temporary,
        // 3GPP TS 23.040 §9.2.3.22 TP-FCS: C0 SC busy, C2 SC system failure, D3 memory capacity exceeded.
        192 | 194 | 211 => Meaning::Temporary,
        // 27.005: ME failure, service reserved; 302 (operation not allowed) is what modems say before the SIM is read.
        300..=302 => Meaning::Temporary,
        // 27.005: SIM missing, locked, failing, busy, wrong, PIN2, PUK2: the line is at fault, not the text.
        310..=318 => Meaning::Temporary,
        // 27.005: memory failure, memory full; 330 SMSC address unknown (seen just after power-up); no network.
        320 | 322 | 330 | 331 => Meaning::Temporary,
        // 27.005: network timeout. The text was handed over and no answer came: it may have been taken.
        332 => Meaning::Unknown,
        // 27.005: unknown error, said for nearly everything by many modems.
        500 => Meaning::Temporary,
        // Vendors' own: 513 and 514 are "message too long" and "invalid parameters" (Quectel); the rest (512 MM
        // establishment failure or SIM not ready, 515 busy, 604 …) speak of the radio or the modem.
        513 | 514 => Meaning::Permanent,
        512.. => Meaning::Temporary,
        // Everything else is about the number, the subscription or the PDU: 1, 8, 10, 21, 28-30, 50, 69, 81-127,
        // other TP-FCS, 303-305, 321, 340.
        _ => Meaning::Permanent,
    }
}

fn cme(code: u16) -> Meaning {
    match code {
        // 27.007 §9.2: SIM missing, locked, failing, busy, wrong; memory full or failing.
        5 | 10..=18 | 20 | 23 => Meaning::Temporary,
        // No network service; emergency calls only.
        30 | 32 => Meaning::Temporary,
        // Network timeout: as CMS 332.
        31 => Meaning::Unknown,
        // Phone failure, no connection, unknown, and vendors' own.
        0 | 1 | 100 | 512.. => Meaning::Temporary,
        _ => Meaning::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_sorted_by_who_is_at_fault() {
        for code in [38, 41, 42, 47, 331, 500, 512, 515, 314] {
            assert_eq!(Refusal::Cms(code).meaning(), Meaning::Temporary, "{code}");
        }
        for code in [1, 8, 10, 21, 28, 50, 69, 304] {
            assert_eq!(Refusal::Cms(code).meaning(), Meaning::Permanent, "{code}");
        }
        assert_eq!(Refusal::Cms(332).meaning(), Meaning::Unknown);
        assert_eq!(Refusal::Cme(14).meaning(), Meaning::Temporary);
        assert_eq!(Refusal::Cme(4).meaning(), Meaning::Permanent);
    }
}
