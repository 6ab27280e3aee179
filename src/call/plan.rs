//! The dial plan as data: who has which extension, what rings when the shop is called, over which line a number goes
//! out and what it may cost. [`Plan`] is a [`DialPlan`] that was found free of problems; only it can be dialled by.
//!
//! Deliberately absent: opening hours themselves (an input says `open`, `closed` or `holiday`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::countries::Country;
use crate::types::{Cents, DeviceId, LineId, PhoneNumber, PromptId};

/// As the owner's settings have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialPlan {
    /// ISO 3166: `US`.
    pub country: String,
    /// Completes seven digits where that is the custom (`206`).
    #[serde(default)]
    pub area_code: Option<String>,
    /// What the shop's people are used to dial for a line (`9`); outside numbers are understood without it.
    #[serde(default)]
    pub outside_prefix: Option<String>,
    /// Where help is to come: street address, floor (RAY BAUM's Act §506).
    pub location: String,
    /// In order of preference.
    pub lines: Vec<Line>,
    /// Phones and who sits at them.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// Several extensions under one name.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Short numbers that the shop's phones can dial.
    #[serde(default)]
    pub numbers: BTreeMap<String, Target>,
    /// What happens to calls from outside; the most particular rule counts.
    #[serde(default)]
    pub inbound: Vec<Inbound>,
    /// Which lines carry a number; the longest prefix counts.
    #[serde(default)]
    pub outbound: Vec<Outbound>,
    /// Exceptions from "no international, no premium numbers".
    #[serde(default)]
    pub allow: Allow,
    /// What stops a runaway before the bill.
    #[serde(default)]
    pub caps: Caps,
    /// What a caller hears and gets when nobody takes the call.
    #[serde(default)]
    pub nobody: Nobody,
    /// A phone of the shop hears a sentence before its call is refused: not allowed, not reached, lines busy. Else it
    /// makes its own tone, at once.
    #[serde(default)]
    pub spoken_reasons: bool,
    /// A call of any kind but emergency ends after this, in minutes.
    #[serde(default = "longest_min")]
    pub longest_min: u32,
}

fn longest_min() -> u32 {
    240
}

/// A line as call control sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// As in the configuration.
    pub id: LineId,
    /// What outside people dial to reach it; shown on calls that go out.
    #[serde(default)]
    pub number: Option<PhoneNumber>,
    /// Calls at a time.
    pub channels: u16,
    /// Emergency calls try lines in this order, lines without one after them, as listed.
    #[serde(default)]
    pub reserve: Option<u8>,
    /// The network takes other people's numbers as caller: forwarded calls show who really calls.
    #[serde(default)]
    pub pass_caller: bool,
}

/// A person's or a place's number inside the shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// `101`.
    pub number: String,
    /// Shown on other phones.
    #[serde(default)]
    pub name: Option<String>,
    /// All ring at once.
    pub devices: Vec<DeviceId>,
    /// In seconds.
    #[serde(default = "ring_s")]
    pub ring_s: u16,
    /// Who gets the call when it is not taken.
    #[serde(default)]
    pub otherwise: Option<Target>,
    /// Reaches this extension from outside: the call-back number of an emergency call.
    #[serde(default)]
    pub direct: Option<PhoneNumber>,
    /// Where it stands, when that is more particular than the shop's location.
    #[serde(default)]
    pub location: Option<String>,
    /// Outside calls do not show the number.
    #[serde(default)]
    pub withhold: bool,
}

fn ring_s() -> u16 {
    20
}

/// How a group rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingOrder {
    /// All at once; the first answer wins.
    #[default]
    Parallel,
    /// One after the other.
    Sequential,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// Of the shop.
    Extension(String),
    /// Somebody's mobile; goes out by the outbound rules and counts against the caps.
    Number(PhoneNumber),
}

/// Several who can take a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `sales`.
    pub name: String,
    /// In order.
    pub members: Vec<Member>,
    /// How they ring.
    #[serde(default)]
    pub order: RingOrder,
    /// Each (sequential) or all (parallel) ring so long, in seconds.
    #[serde(default = "ring_s")]
    pub ring_s: u16,
    /// Who gets the call when nobody takes it.
    #[serde(default)]
    pub otherwise: Option<Target>,
}

/// Who or what gets a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// By number.
    Extension(String),
    /// By name.
    Group(String),
    /// A flow answers it.
    Flow(String),
    /// An outside number, by the outbound rules.
    Number(PhoneNumber),
    /// An outside number over this line and no other.
    Line {
        /// Which.
        line: LineId,
        /// Whom.
        number: PhoneNumber,
    },
    /// Nobody: the sentence, and the text back.
    Nobody,
    /// A test: the caller hears what he says.
    Echo,
    /// A test: the caller hears a steady tone of 1,004 Hz.
    Tone,
}

/// A rule for calls from outside. One that names line and number goes before one that names a number, that before one
/// that names a line, and that before one that names neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// Came in there.
    #[serde(default)]
    pub line: Option<LineId>,
    /// Was called.
    #[serde(default)]
    pub number: Option<PhoneNumber>,
    /// Whose hours count; the shop's own when it is not said.
    #[serde(default)]
    pub schedule: Option<String>,
    /// Who gets it in business hours.
    pub open: Target,
    /// And outside of them.
    #[serde(default = "nobody")]
    pub closed: Target,
    /// And on holidays; as when closed when it is not said.
    #[serde(default)]
    pub holiday: Option<Target>,
}

fn nobody() -> Target {
    Target::Nobody
}

/// What the hours say now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hours {
    /// Business hours; also assumed of a schedule that nobody told of: better a phone that rings than none.
    #[default]
    Open,
    /// Outside of them.
    Closed,
    /// A holiday.
    Holiday,
}

/// A rule for calls to outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// E.164 with the plus, or empty for all numbers.
    pub prefix: String,
    /// Cheapest healthy one first; equal ones in this order.
    pub lines: Vec<OutboundLine>,
}

/// What a line asks for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundLine {
    /// Which.
    pub line: LineId,
    /// For each minute begun.
    #[serde(default)]
    pub per_minute: Cents,
    /// For each call answered.
    #[serde(default)]
    pub per_call: Cents,
}

/// What is denied unless it stands here. Prefixes in E.164 with the plus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// `+44`, or `+1876`.
    #[serde(default)]
    pub international: Vec<String>,
    /// `+1900555`.
    #[serde(default)]
    pub premium: Vec<String>,
}

/// A limit on one day's outgoing calls. Emergency calls and calls inside the shop do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Calls that a line took.
    pub calls: u32,
    /// Minutes begun.
    pub minutes: u32,
    /// By the outbound rules' rates.
    pub spend: Cents,
}

/// All limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Of the shop in a day.
    pub shop: Cap,
    /// Of one phone, group or flow in a day.
    pub user: Cap,
    /// To one number in a day.
    pub destination: Cap,
    /// Outgoing calls of the shop at a time.
    pub concurrent: u16,
    /// Outgoing calls of one user at a time.
    pub concurrent_user: u16,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            shop: Cap { calls: 500, minutes: 1500, spend: Cents(5000) },
            user: Cap { calls: 200, minutes: 600, spend: Cents(2000) },
            destination: Cap { calls: 60, minutes: 300, spend: Cents(1000) },
            concurrent: 30,
            concurrent_user: 4,
        }
    }
}

/// What a caller from outside gets when nobody takes the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nobody {
    /// The sentence in business hours.
    pub prompt: PromptId,
    /// The same when a text is on its way.
    pub prompt_with_text: PromptId,
    /// The sentence outside of business hours and on holidays.
    pub closed_prompt: PromptId,
    /// The same when a text is on its way.
    pub closed_prompt_with_text: PromptId,
    /// The flow behind "sorry we missed you"; no text back when there is none.
    pub text_flow: Option<String>,
    /// Who gave up ringing sooner gets no text, in seconds.
    pub text_after_s: u16,
    /// One text a caller in this time, in minutes.
    pub text_pause_min: u32,
}

impl Default for Nobody {
    fn default() -> Self {
        Self {
            prompt: PromptId::from("nobody"),
            prompt_with_text: PromptId::from("nobody-text"),
            closed_prompt: PromptId::from("closed"),
            closed_prompt_with_text: PromptId::from("closed-text"),
            text_flow: Some("Main_Menu".to_owned()),
            text_after_s: 5,
            text_pause_min: 60,
        }
    }
}

/// A dial plan without problems, and the data of its country.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) data: DialPlan,
    pub(super) country: Country,
    pub(super) devices: BTreeMap<DeviceId, usize>,
}

impl Plan {
    pub(super) fn line(&self, id: &LineId) -> Option<&Line> {
        self.data.lines.iter().find(|l| l.id == *id)
    }

    pub(super) fn extension(&self, number: &str) -> Option<&Extension> {
        self.data.extensions.iter().find(|e| e.number == number)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.data.groups.iter().find(|g| g.name == name)
    }

    /// Who sits at a phone.
    pub(super) fn extension_of(&self, device: &DeviceId) -> Option<&Extension> {
        self.devices.get(device).and_then(|at| self.data.extensions.get(*at))
    }

    pub(super) fn outbound(&self, number: &str) -> &[OutboundLine] {
        let fits = self.data.outbound.iter().filter(|o| number.starts_with(&o.prefix));
        fits.max_by_key(|o| o.prefix.len()).map_or(&[], |o| o.lines.as_slice())
    }

    pub(super) fn inbound(&self, line: &LineId, number: Option<&PhoneNumber>) -> Option<&Inbound> {
        let fits = self.data.inbound.iter().filter(|rule| {
            rule.line.as_ref().is_none_or(|l| l == line)
                && rule.number.as_ref().is_none_or(|n| Some(n) == number)
        });
        // The first of equals: `max_by_key` would take the last.
        fits.rev().max_by_key(|rule| (rule.number.is_some(), rule.line.is_some()))
    }

    /// The longest that a call may last.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_secs(u64::from(self.data.longest_min) * 60)
    }
}
