//! The Studio flow in the cloud: rings the box, takes a voicemail where it does not answer, and puts the box's own calls
//! through. Texts have no branch: the box polls them, and what Studio answered would be answered twice.

use serde_json::{Value, json};

use super::Wanted;

/// How long the box rings, in seconds: four or five rings, as a caller expects of a shop.
const RINGS: u32 = 20;
/// Longest voicemail, in seconds.
const LONGEST: u32 = 180;
/// What a caller hears when no greeting is given.
pub const GREETING: &str =
    "Nobody can take your call right now. Please leave a message after the tone, and we will call you back.";

/// The flow's definition, Studio v2.
#[must_use]
pub fn definition(wanted: &Wanted) -> Value {
    let is = |name: &str, value: &str, kind: &str, argument: &str, next: &str| {
        json!({
            "next": next,
            "event": "match",
            "conditions": [
                { "friendly_name": name, "arguments": [argument], "type": kind, "value": value }
            ],
        })
    };
    let state = |name: &str, kind: &str, transitions: Value, mut properties: Value, x: i32, y: i32| {
        properties["offset"] = json!({ "x": x, "y": y });
        json!({ "name": name, "type": kind, "transitions": transitions, "properties": properties })
    };
    let called = "{{trigger.call.To}}";
    let became = "{{widgets.ring_box.DialCallStatus}}";
    let states = [
        state(
            "Trigger",
            "trigger",
            json!([{ "next": "from_box", "event": "incomingCall" }]),
            json!({}),
            0,
            0,
        ),
        // A call that the box places through its domain is for `sip:NUMBER@DOMAIN`; one from outside is for a number.
        state(
            "from_box",
            "split-based-on",
            json!([
                { "next": "ring_box", "event": "noMatch" },
                is("The box calls out", "sip:", "starts_with", called, "call_out"),
            ]),
            json!({ "input": called }),
            0,
            200,
        ),
        state(
            "ring_box",
            "connect-call-to",
            json!([{ "next": "answered", "event": "callCompleted" }, { "event": "hangup" }]),
            json!({
                "noun": "sip",
                "to": wanted.address(),
                "sip_endpoint": wanted.address(),
                "caller_id": "{{contact.channel.address}}",
                "record": false,
                "timeout": RINGS,
            }),
            -200,
            400,
        ),
        state(
            "answered",
            "split-based-on",
            json!([
                { "next": "greeting", "event": "noMatch" },
                is("The box took it", "completed, answered", "matches_any_of", became, ""),
            ]),
            json!({ "input": became }),
            -200,
            600,
        ),
        state(
            "greeting",
            "say-play",
            json!([{ "next": "voicemail", "event": "audioComplete" }]),
            json!({ "say": wanted.greeting, "loop": 1 }),
            -200,
            800,
        ),
        state(
            "voicemail",
            "record-voicemail",
            json!([{ "event": "recordingComplete" }, { "event": "noAudio" }, { "event": "hangup" }]),
            json!({
                "transcribe": false,
                "trim": "trim-silence",
                "play_beep": "true",
                "finish_on_key": "#",
                "timeout": 5,
                "max_length": LONGEST,
            }),
            -200,
            1000,
        ),
        state(
            "call_out",
            "connect-call-to",
            json!([{ "event": "callCompleted" }, { "event": "hangup" }]),
            json!({
                "noun": "number",
                "to": "{{trigger.call.To | remove: 'sip:' | split: '@' | first}}",
                "caller_id": wanted.number.as_str(),
                "record": false,
                "timeout": 60,
            }),
            200,
            400,
        ),
    ];
    json!({
        "description": format!("Calls of {}, made by Backroom: the box at {}", wanted.number, wanted.domain),
        "states": states,
        "initial_state": "Trigger",
        "flags": { "allow_concurrent_calls": true },
    })
}
