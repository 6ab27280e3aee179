//! How what one leg sends is put to another: by payload type, what to do with a packet. Owns the choice of a way
//! without decoding wherever both legs agreed on one. Pure; carried out by `ear` and `mouth`.

use crate::rtp::codec::Codec;
use crate::rtp::g711::Law;
use crate::types::{AudioCodec, AudioFormat, MediaStream};

/// What a packet of a payload type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Sound.
    Audio(AudioCodec),
    /// A key; ticks a second.
    Key(u32),
    /// A description of the background.
    Noise,
}

/// What becomes of it on its way to the other leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It leaves as it is under this payload type.
    Relay(u8),
    /// It leaves in the other law of G.711.
    Recode(u8, Law),
    /// A key leaves under this payload type on this clock.
    Key(u8, u32),
    /// It is decoded and written anew in what the other leg prefers.
    Decode,
    /// Its background is made here and written as sound.
    MakeNoise,
    /// It goes no further.
    Stop,
}

/// By the payload type that comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The way of most packets, at hand.
    first: Option<(u8, Meaning, Action)>,
    ways: Vec<(u8, Meaning, Action)>,
    /// Keys that are pressed at the far end are heard at the other without any help.
    pub(super) carries_keys: bool,
}

/// The codec of the media room for one of signalling's.
pub(super) fn codec(audio: AudioCodec) -> Codec {
    match audio {
        AudioCodec::Pcmu => Codec::Pcmu,
        AudioCodec::Pcma => Codec::Pcma,
        AudioCodec::G722 => Codec::G722,
    }
}

fn law(audio: AudioCodec) -> Option<Law> {
    match audio {
        AudioCodec::Pcmu => Some(Law::Mu),
        AudioCodec::Pcma => Some(Law::A),
        AudioCodec::G722 => None,
    }
}

/// The format in which a leg hears what the box makes: the first.
pub(super) fn preferred(stream: &MediaStream) -> Option<AudioFormat> {
    stream.audio.first().copied()
}

/// Keys in the sound of `from` become events for `to`, and must not be heard beside them.
pub(super) fn mutes_keys(from: &MediaStream, to: &MediaStream) -> bool {
    from.telephone_event.is_none() && to.telephone_event.is_some()
}

impl Plan {
    /// What comes of `from` and goes nowhere.
    pub(super) fn alone(from: &MediaStream) -> Self {
        Self::of(from, false, |_| Action::Stop)
    }

    /// What comes of `from` and goes to `to`.
    pub(super) fn between(from: &MediaStream, to: &MediaStream) -> Self {
        let muted = mutes_keys(from, to);
        // As events in both, or as sound in both.
        let carries_keys = from.telephone_event.is_some() == to.telephone_event.is_some();
        Self::of(from, carries_keys, |meaning| match meaning {
            Meaning::Audio(_) if muted => Action::Decode,
            Meaning::Audio(audio) => Self::audio(audio, to),
            Meaning::Key(_) => to.telephone_event.map_or(Action::Stop, |e| Action::Key(e.send, e.clock)),
            Meaning::Noise => to.comfort_noise.map_or(Action::MakeNoise, |n| Action::Relay(n.send)),
        })
    }

    /// What comes of `from` and goes back to it: no keys, which somebody else would take for his own.
    pub(super) fn echo(from: &MediaStream) -> Self {
        Self::of(from, false, |meaning| match meaning {
            Meaning::Audio(audio) => Self::audio(audio, from),
            Meaning::Key(_) => Action::Stop,
            Meaning::Noise => from.comfort_noise.map_or(Action::Stop, |n| Action::Relay(n.send)),
        })
    }

    fn audio(audio: AudioCodec, to: &MediaStream) -> Action {
        if let Some(same) = to.audio.iter().find(|f| f.codec == audio) {
            return Action::Relay(same.send);
        }
        let other_law = to.audio.iter().find(|f| law(f.codec).is_some());
        match (law(audio), other_law) {
            (Some(law), Some(format)) => Action::Recode(format.send, law),
            _ => Action::Decode,
        }
    }

    fn of(from: &MediaStream, carries_keys: bool, action: impl Fn(Meaning) -> Action) -> Self {
        let audio = from.audio.iter().map(|f| (f.receive, Meaning::Audio(f.codec)));
        let keys = from.telephone_event.iter().map(|e| (e.receive, Meaning::Key(e.clock)));
        let noise = from.comfort_noise.iter().map(|n| (n.receive, Meaning::Noise));
        let ways = audio.chain(keys).chain(noise).map(|(kind, meaning)| (kind, meaning, action(meaning)));
        let ways: Vec<_> = ways.collect();
        Self { first: ways.first().copied(), ways, carries_keys }
    }

    /// None for a payload type that was not agreed.
    pub(super) fn way(&self, payload_type: u8) -> Option<(Meaning, Action)> {
        if let Some((_, meaning, action)) = self.first.filter(|(kind, ..)| *kind == payload_type) {
            return Some((meaning, action));
        }
        let way = self.ways.iter().find(|(kind, ..)| *kind == payload_type);
        way.map(|(_, meaning, action)| (*meaning, *action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::OtherFormat;
    use AudioCodec::{G722, Pcma, Pcmu};

    fn stream(audio: &[(AudioCodec, u8, u8)], event: Option<u8>) -> MediaStream {
        let format = |(codec, send, receive): &(AudioCodec, u8, u8)| AudioFormat {
            codec: *codec,
            send: *send,
            receive: *receive,
        };
        MediaStream {
            remote: None,
            remote_rtcp: None,
            sources: Vec::new(),
            audio: audio.iter().map(format).collect(),
            telephone_event: event.map(|kind| OtherFormat { send: kind, receive: kind, clock: 8000 }),
            comfort_noise: None,
            ptime: 20,
            sends: true,
            receives: true,
            rtcp_mux: false,
            srtp: None,
        }
    }

    fn action(plan: &Plan, kind: u8) -> Option<Action> {
        plan.way(kind).map(|(_, action)| action)
    }

    #[test]
    fn whatever_both_agreed_is_relayed_whichever_each_prefers() {
        let a = stream(&[(G722, 9, 9), (Pcmu, 0, 0), (Pcma, 8, 8)], Some(101));
        let b = stream(&[(Pcma, 8, 8), (G722, 109, 110)], Some(96));
        let plan = Plan::between(&a, &b);
        assert_eq!(action(&plan, 9), Some(Action::Relay(109)), "what b receives is what we send");
        assert_eq!(action(&plan, 8), Some(Action::Relay(8)));
        assert_eq!(action(&plan, 0), Some(Action::Recode(8, Law::Mu)));
        assert_eq!(action(&plan, 101), Some(Action::Key(96, 8000)));
        assert_eq!(action(&plan, 13), None);
        assert_eq!(action(&Plan::between(&b, &a), 110), Some(Action::Relay(9)));
        assert!(plan.carries_keys);
    }

    #[test]
    fn only_what_nobody_shares_is_decoded() {
        let a = stream(&[(G722, 9, 9)], Some(101));
        let b = stream(&[(Pcmu, 0, 0)], Some(101));
        assert_eq!(action(&Plan::between(&a, &b), 9), Some(Action::Decode));
        assert_eq!(action(&Plan::between(&b, &a), 0), Some(Action::Decode));
    }

    #[test]
    fn keys_as_sound_are_taken_out_for_a_side_that_wants_events() {
        let (sound, events) = (stream(&[(Pcmu, 0, 0)], None), stream(&[(Pcmu, 0, 0)], Some(101)));
        assert_eq!(action(&Plan::between(&sound, &events), 0), Some(Action::Decode));
        assert!(!Plan::between(&sound, &events).carries_keys);
        let back = Plan::between(&events, &sound);
        assert_eq!((action(&back, 0), action(&back, 101)), (Some(Action::Relay(0)), Some(Action::Stop)));
        assert!(!back.carries_keys);
        let both = Plan::between(&sound, &sound);
        assert_eq!((action(&both, 0), both.carries_keys), (Some(Action::Relay(0)), true));
    }
}
