//! Which scenarios play together, what is dialled, and how the box's record of it must end.

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is tried.
    pub name: &'static str,
    /// The caller's scenario.
    pub caller: &'static str,
    /// Those of the trunks that are called, in the order in which the box is to choose them.
    pub callees: &'static [&'static str],
    /// What is dialled.
    pub dialled: &'static str,
    /// Calls in all, and at a second.
    pub calls: (u16, u16),
    /// How many of them each callee gets.
    pub taken: &'static [u16],
    /// Milliseconds that it is talked.
    pub hold: u16,
    /// Percent of the packets that SIPp loses, coming and going.
    pub loss: u8,
    /// Seconds that it may take.
    pub within: u16,
    /// `true`: the caller is a phone of the shop; else a trunk.
    pub phone: bool,
    /// How every record of it ends; none where no call is made.
    pub end: Option<&'static str>,
}

/// What the shop's plan sends out again: trunk `b`, then `c`.
pub(super) const OUT: &str = "+12065550101";
/// What goes out over trunk `c` only.
pub(super) const OUT_C: &str = "+12065550160";

const PLAIN: Case = Case {
    name: "",
    caller: "call",
    callees: &["answer"],
    dialled: OUT,
    calls: (1, 1),
    taken: &[1],
    hold: 200,
    loss: 0,
    within: 40,
    phone: false,
    end: Some("hangup"),
};

const ALONE: Case = Case { callees: &[], taken: &[], end: None, ..PLAIN };

/// All cases.
pub const CASES: &[Case] = &[
    Case { name: "OPTIONS", caller: "options", ..ALONE },
    Case { name: "call", ..PLAIN },
    Case { name: "callee hangs up", caller: "called_off", callees: &["hangs_up"], ..PLAIN },
    Case { name: "CANCEL", caller: "cancel", callees: &["ring"], end: Some("cancelled"), ..PLAIN },
    Case { name: "PRACK", caller: "prack", callees: &["reliable"], ..PLAIN },
    Case { name: "hold", caller: "hold", ..PLAIN },
    Case { name: "session timer, 422", caller: "timers", ..PLAIN },
    Case {
        name: "REFER",
        caller: "refer",
        callees: &["answer", "hangs_up"],
        dialled: "+12065550150",
        taken: &[1, 1],
        phone: true,
        ..PLAIN
    },
    Case { name: "UPDATE", caller: "update", ..PLAIN },
    Case { name: "late offer", caller: "late_offer", ..PLAIN },
    Case { name: "302 within the trunk", callees: &["moved"], taken: &[2], ..PLAIN },
    Case { name: "302 to a stranger", callees: &["moved_away"], end: Some("nobody"), ..PLAIN },
    Case { name: "several 18x", callees: &["progress"], ..PLAIN },
    Case { name: "glare 491, theirs", caller: "glare_update", ..PLAIN },
    Case { name: "glare 491, ours", caller: "long_call", callees: &["glare"], within: 100, ..PLAIN },
    Case { name: "BYE crossing", callees: &["crossing"], ..PLAIN },
    Case { name: "no ACK", caller: "no_ack", within: 80, end: None, ..PLAIN },
    Case {
        name: "503, Retry-After",
        callees: &["overload", "answer"],
        calls: (2, 1),
        taken: &[1, 2],
        ..PLAIN
    },
    Case { name: "unknown method", caller: "unknown", ..PLAIN },
    Case { name: "unknown method outside", caller: "unknown_outside", ..ALONE },
    Case { name: "unknown extension, 420", caller: "required", ..ALONE },
    // Talked so long that an ACK is lost seven times before the BYE in one of ten million calls.
    Case { name: "5 % loss", calls: (60, 15), taken: &[60], hold: 16_000, loss: 5, within: 100, ..PLAIN },
];

/// The text of a scenario.
pub(super) fn scenario(name: &str) -> Option<&'static str> {
    SCENARIOS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        const SCENARIOS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../sipp/", $name, ".xml")))),+];
    };
}

scenarios![
    "answer",
    "call",
    "called_off",
    "cancel",
    "crossing",
    "glare",
    "glare_update",
    "hangs_up",
    "hold",
    "late_offer",
    "long_call",
    "moved",
    "moved_away",
    "no_ack",
    "options",
    "overload",
    "prack",
    "progress",
    "refer",
    "register",
    "reliable",
    "required",
    "ring",
    "timers",
    "unknown",
    "unknown_outside",
    "update",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_scenarios_and_counts() {
        for case in CASES {
            for name in [case.caller].iter().chain(case.callees) {
                assert!(scenario(name).is_some(), "{}: {name}", case.name);
            }
            assert_eq!(case.callees.len(), case.taken.len(), "{}", case.name);
        }
    }

    /// RFC 2606 and the numbering plan leave numbers for examples; nothing else is dialled, and nobody's help.
    #[test]
    fn nothing_but_fictional_numbers_is_dialled() {
        for case in CASES {
            assert!(case.dialled.starts_with("+120655501"), "{}", case.name);
        }
    }
}
