//! One leg as the thread has it: its line, both halves and what it hears. Owns how a packet passes from one leg's
//! ear to another's mouth.

use std::time::Instant;

use crate::media::ear::{Ear, KeyChange};
use crate::media::line::{Line, ReportLine};
use crate::media::mouth::{Mouth, Said};
use crate::media::plan::{Action, Meaning, Plan, mutes_keys};
use crate::media::prompt::Playing;
use crate::media::report::Reports;
use crate::rtp::Micros;
use crate::rtp::event::EventPayload;
use crate::rtp::packet::{Header, Packet};
use crate::rtp::tones::TonePlayer;
use crate::types::{LegId, MediaStream};

/// What a leg hears.
pub(super) enum Source {
    /// Nothing, but keys that are pressed for it.
    Nothing,
    /// The leg at this place.
    Leg(usize),
    /// Itself.
    Echo,
    /// A prompt.
    Prompt(Box<Playing>),
    /// A tone.
    Tone(Box<TonePlayer>),
}

/// What every packet needs stands first and together.
#[repr(C)]
pub(super) struct Leg {
    /// When anything of the far end came, or would have begun to.
    pub(super) life: Micros,
    /// It was told that nothing came since.
    pub(super) silence_told: bool,
    /// RTCP comes on the port of RTP.
    pub(super) mux: bool,
    /// They may send.
    pub(super) receives: bool,
    /// The kernel tells of its packets.
    pub(super) watched: bool,
    pub(super) source: Source,
    pub(super) ear: Ear,
    pub(super) line: Line,
    pub(super) mouth: Mouth,
    pub(super) report_line: ReportLine,
    pub(super) reports: Reports,
    pub(super) stream: Option<Box<MediaStream>>,
    pub(super) id: LegId,
    pub(super) opened: Instant,
}

impl Leg {
    /// What was agreed, first or again.
    pub(super) fn agree(&mut self, stream: Box<MediaStream>, now: Micros) {
        self.line.describe(stream.remote, &stream.sources, stream.srtp.is_some(), now);
        self.mux = stream.rtcp_mux;
        self.report_line.describe(if stream.rtcp_mux { stream.remote } else { stream.remote_rtcp });
        self.ear.agree(&stream);
        self.mouth.agree(&stream, now);
        (self.life, self.silence_told, self.receives) = (now, false, stream.receives);
        self.stream = Some(stream);
    }

    /// The leg that it hears.
    pub(super) fn peer(&self) -> Option<usize> {
        match self.source {
            Source::Leg(peer) => Some(peer),
            Source::Nothing | Source::Echo | Source::Prompt(_) | Source::Tone(_) => None,
        }
    }

    /// Its packets go nowhere, or back.
    pub(super) fn route_alone(&mut self) {
        let Some(stream) = &self.stream else { return };
        let plan = match self.source {
            Source::Echo => Plan::echo(stream),
            Source::Nothing | Source::Leg(_) | Source::Prompt(_) | Source::Tone(_) => Plan::alone(stream),
        };
        self.ear.route(plan, false);
    }

    /// Its packets go to `to`.
    pub(super) fn route_to(&mut self, to: &Self) {
        let Some(from) = &self.stream else { return };
        match &to.stream {
            Some(to) => self.ear.route(Plan::between(from, to), mutes_keys(from, to)),
            None => self.ear.route(Plan::alone(from), false),
        }
    }

    /// Sends a report that is due, or the last one with a goodbye.
    pub(super) fn send_report(
        &mut self,
        clocks: (Micros, crate::rtp::rtcp::Ntp),
        goodbye: bool,
        buffer: &mut [u8],
    ) {
        let Self { reports, ear, mouth, .. } = self;
        let written = if goodbye {
            reports.write_goodbye(ear, mouth, clocks, buffer)
        } else {
            reports.write(ear, mouth, clocks, buffer)
        };
        let sealed = written.ok().and_then(|len| mouth.seal_report(buffer, len));
        let Some(datagram) = sealed.and_then(|len| buffer.get(..len)) else { return };
        // A report that does not leave is followed by the next.
        if self.mux {
            self.line.send(datagram);
        } else {
            self.report_line.send(datagram);
        }
    }
}

/// A packet that was believed, on its way from one leg to another.
pub(super) struct Passing<'a> {
    pub(super) header: Header,
    /// Where its payload lies.
    pub(super) payload: (usize, usize),
    pub(super) meaning: Meaning,
    pub(super) action: Action,
    pub(super) key: KeyChange,
    /// The packet, and room behind it.
    pub(super) buffer: &'a mut [u8],
    pub(super) len: usize,
    pub(super) now: Micros,
}

impl Passing<'_> {
    /// Puts it to the other leg, or to the same.
    pub(super) fn pass(self, ear: &mut Ear, mouth: &mut Mouth, line: &Line) -> Said {
        match (self.action, self.meaning) {
            (Action::Relay(kind), Meaning::Audio(_)) => {
                ear.stop_decoding();
                self.relay(kind, true, mouth, line)
            }
            (Action::Recode(kind, law), _) => {
                ear.stop_decoding();
                let (from, to) = self.payload;
                law.recode_in_place(self.buffer.get_mut(from..to).unwrap_or_default());
                self.relay(kind, true, mouth, line)
            }
            (Action::Relay(kind), Meaning::Noise | Meaning::Key(_)) => {
                if mouth.is_straight() && !ear.is_decoding() {
                    return self.relay(kind, false, mouth, line);
                }
                self.also(ear);
                Said::Kept
            }
            (Action::Key(kind, clock), _) => self.key(kind, clock, ear, mouth, line),
            (Action::Decode, Meaning::Audio(audio)) => {
                if let Some(Ok(packet)) = self.buffer.get(..self.len).map(Packet::parse) {
                    ear.decode(audio, &packet, self.now);
                }
                Said::Kept
            }
            (Action::MakeNoise, _) if !ear.is_decoding() => {
                let (from, to) = self.payload;
                mouth.set_noise(self.buffer.get(from..to).unwrap_or_default(), self.now);
                Said::Kept
            }
            (Action::Stop | Action::Decode | Action::MakeNoise, _) => {
                self.also(ear);
                Said::Kept
            }
        }
    }

    fn relay(self, kind: u8, sound: bool, mouth: &mut Mouth, line: &Line) -> Said {
        let header = Header { payload_type: kind, ..self.header };
        mouth.relay(line, &header, self.buffer, self.len, sound.then_some(self.payload), self.now)
    }

    fn also(&self, ear: &mut Ear) {
        if let Some(Ok(packet)) = self.buffer.get(..self.len).map(Packet::parse) {
            ear.also(&packet, self.now);
        }
    }

    fn key(self, kind: u8, clock: u32, ear: &mut Ear, mouth: &mut Mouth, line: &Line) -> Said {
        let Meaning::Key(own) = self.meaning else { return Said::Kept };
        if mouth.is_straight() && !ear.is_decoding() {
            let (from, to) = self.payload;
            if own != clock
                && let Some(bytes) = self.buffer.get_mut(from..to)
                && let Ok(event) = EventPayload::parse(bytes)
                && let Some(place) = bytes.first_chunk_mut::<4>()
            {
                *place = event.rescaled(own, clock).to_bytes();
            }
            return self.relay(kind, false, mouth, line);
        }
        self.also(ear);
        if let Some(event) = self.key.began {
            mouth.hold_key(event, self.now);
        }
        if self.key.ended {
            mouth.release_key();
        }
        Said::Kept
    }
}
