//! Who hears what: joins, prompts, tones and echoes, and the frames that are made of them. A part of the thread.

use std::sync::Arc;

use crate::media::MediaReport;
use crate::media::leg::Source;
use crate::media::mouth::Said;
use crate::media::prompt::{Playing, Prompt};
use crate::media::worker::{Worker, pair};
use crate::rtp::codec::{Codec, Rate};
use crate::rtp::tones::{Cadence, Step, Tone as Sound, TonePlayer};
use crate::types::{MediaEvent, PromptId, Tone};

/// Each frequency of a tone, in dBov.
const TONE_LEVEL: f32 = -16.0;
/// 0 dBm0 in dBov: a sine of 3.17 dBm0 just fits into G.711 (ITU-T G.711 §4), and has -3.01 dBov.
const MILLIWATT_LEVEL: f32 = -6.18;
const MILLIWATT: Cadence = Cadence { steps: &[Step { hertz: &[1004.0], millis: 1000 }], repeats: true };

impl Worker {
    /// Each hears the other.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        if a == b || self.leg(a).is_none() || self.leg(b).is_none() {
            return;
        }
        if self.leg(a).is_some_and(|leg| leg.peer() == Some(b)) {
            return;
        }
        self.hear(a, Source::Nothing);
        self.hear(b, Source::Nothing);
        self.turn(a, Source::Leg(b));
        self.turn(b, Source::Leg(a));
        self.route(a);
        self.begin_ticks_if_wanted(a);
        self.begin_ticks_if_wanted(b);
    }

    /// Something else than another leg is heard; who was joined is not any more.
    pub(super) fn hear(&mut self, place: usize, source: Source) {
        let Some(leg) = self.leg(place) else { return };
        if let (Source::Nothing, Source::Nothing) = (&leg.source, &source) {
            return;
        }
        let peer = leg.peer();
        self.turn(place, source);
        self.route(place);
        if let Some(peer) = peer {
            self.turn(peer, Source::Nothing);
            self.route(peer);
        }
        self.begin_ticks_if_wanted(place);
    }

    fn turn(&mut self, place: usize, source: Source) {
        let now = self.now;
        if let Some(leg) = self.leg(place) {
            leg.source = source;
            leg.ear.stop_decoding();
            leg.mouth.turn(now);
        }
    }

    /// Finds the ways of a leg's packets, and of its peer's.
    pub(super) fn route(&mut self, place: usize) {
        let Some(leg) = self.leg(place) else { return };
        match leg.peer() {
            Some(peer) => {
                if let Some((a, b)) = pair(&mut self.legs, place, peer) {
                    a.route_to(b);
                    b.route_to(a);
                }
            }
            None => leg.route_alone(),
        }
    }

    pub(super) fn play(&mut self, place: usize, id: PromptId, prompt: Arc<Prompt>, repeat: bool) {
        let Some(leg) = self.leg(place) else { return };
        if leg.peer().is_some() {
            // Who talks is not talked over; that it is over is true at once.
            let event = MediaEvent::Played { leg: leg.id.clone(), prompt: id };
            return self.tell(MediaReport::Media(event));
        }
        self.hear(place, Source::Prompt(Box::new(Playing::new(id, prompt, repeat))));
    }

    pub(super) fn tone(&mut self, place: usize, tone: Tone) {
        let region = self.region();
        let Some(leg) = self.leg(place).filter(|leg| leg.peer().is_none()) else { return };
        let (cadence, level) = match tone {
            Tone::RingBack => (Sound::Ringback.cadence(region), TONE_LEVEL),
            Tone::Busy => (Sound::Busy.cadence(region), TONE_LEVEL),
            Tone::Congestion => (Sound::Reorder.cadence(region), TONE_LEVEL),
            Tone::Milliwatt => (MILLIWATT, MILLIWATT_LEVEL),
        };
        let rate = leg.mouth.codec().map_or(Rate::Narrow, Codec::rate);
        self.hear(place, Source::Tone(Box::new(TonePlayer::new(cadence, level, rate))));
    }

    /// The next frame of a prompt or tone; true while there will be another.
    pub(super) fn play_frame(&mut self, place: usize, millis: usize, samples: &mut [i16]) -> (Said, bool) {
        let now = self.now;
        let Some(leg) = self.leg(place) else { return (Said::Kept, false) };
        // A prompt waits for an agreement, and for keys that are being pressed.
        let waits = leg.stream.is_none() || leg.mouth.is_pressing();
        let mut over = false;
        let (rate, playing) = match &mut leg.source {
            Source::Prompt(playing) => {
                let rate = playing.rate();
                let frame = samples.get_mut(..millis * rate.per_milli()).unwrap_or_default();
                over = !waits && !playing.fill(frame);
                (rate, true)
            }
            Source::Tone(player) => {
                let rate = player.rate();
                let frame = samples.get_mut(..millis * rate.per_milli()).unwrap_or_default();
                if !waits {
                    // After a tone that is not repeated there is silence.
                    player.fill(frame);
                }
                (rate, true)
            }
            Source::Nothing | Source::Leg(_) | Source::Echo => (Rate::Narrow, false),
        };
        if over {
            self.played(place);
            let more = self.leg(place).is_some_and(|leg| leg.mouth.wants_time());
            return (Said::Kept, more);
        }
        let silent = waits || !playing;
        let len = if silent { 0 } else { millis * rate.per_milli() };
        let said = leg.mouth.tick(&leg.line, samples.get(..len).unwrap_or_default(), rate, now);
        (said, playing || leg.mouth.wants_time())
    }
}
