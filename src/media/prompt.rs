//! Recorded and spoken prompts as samples, read from WAV files: 8 or 16 kHz, mono, 16-bit PCM or either law of
//! G.711. Owns their reading and the place up to which one is played; who hears it stands in `worker`.

use std::sync::Arc;

use thiserror::Error;

use crate::rtp::codec::Rate;
use crate::rtp::g711::Law;
use crate::types::PromptId;

/// Why a file is no prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PromptError {
    /// It does not begin as a WAV file.
    #[error("not a WAV file (no RIFF header)")]
    NotWav,
    /// It ends before its chunks do, or has none of format or data.
    #[error("the WAV file is cut off or has no format or no data")]
    Short,
    /// Stereo, for instance.
    #[error("{0} channels: one is wanted (sox in.wav -c 1 out.wav)")]
    Channels(u16),
    /// Another rate.
    #[error("{0} samples a second: 8000 or 16000 are wanted (sox in.wav -r 8000 out.wav)")]
    Rate(u32),
    /// MP3 in a WAV, 24 bits, floating point.
    #[error("format {format} with {bits} bits: 16-bit PCM (1), A-law (6) or µ-law (7) are wanted")]
    Format {
        /// Of `mmreg.h`.
        format: u16,
        /// A sample.
        bits: u16,
    },
}

/// A prompt in memory: 16 kB a second at 8 kHz, or in the program itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Prompt {
    rate: Rate,
    samples: Samples,
}

/// Where the sound is.
#[derive(Debug, PartialEq, Eq)]
enum Samples {
    Linear(Box<[i16]>),
    /// Decoded when they are heard: nobody pays memory for sentences that are not.
    Clips(&'static [Clip]),
}

/// A piece of a prompt that the program carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clip {
    /// µ-law.
    Sound(&'static [u8]),
    /// So many samples.
    Silence(usize),
}

impl Clip {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Sound(codes) => codes.len(),
            Self::Silence(samples) => *samples,
        }
    }
}

impl Samples {
    fn len(&self) -> usize {
        match self {
            Self::Linear(samples) => samples.len(),
            Self::Clips(clips) => clips.iter().map(Clip::len).sum(),
        }
    }

    /// Writes samples from `at` on, perhaps fewer than there is room for; none at the end.
    fn read(&self, mut at: usize, room: &mut [i16]) -> usize {
        let clips = match self {
            Self::Linear(samples) => {
                let left = samples.get(at..).unwrap_or_default();
                room.iter_mut().zip(left).for_each(|(place, sample)| *place = *sample);
                return left.len().min(room.len());
            }
            Self::Clips(clips) => clips,
        };
        for clip in *clips {
            if at >= clip.len() {
                at -= clip.len();
                continue;
            }
            let count = (clip.len() - at).min(room.len());
            let places = room.iter_mut().take(count);
            match clip {
                Clip::Sound(codes) => {
                    places
                        .zip(codes.iter().skip(at))
                        .for_each(|(place, code)| *place = Law::Mu.decode_sample(*code));
                }
                Clip::Silence(_) => places.for_each(|place| *place = 0),
            }
            return count;
        }
        0
    }
}

const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

impl Prompt {
    /// Of samples.
    #[must_use]
    pub fn new(rate: Rate, samples: Vec<i16>) -> Self {
        Self { rate, samples: Samples::Linear(samples.into()) }
    }

    /// Of what the program carries.
    pub(super) fn of_clips(rate: Rate, clips: &'static [Clip]) -> Self {
        Self { rate, samples: Samples::Clips(clips) }
    }

    /// Of a WAV file's bytes.
    ///
    /// # Errors
    /// [`PromptError`], which says what to do.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, PromptError> {
        let mut rest = match bytes {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', rest @ ..] => rest,
            _ => return Err(PromptError::NotWav),
        };
        let mut format = None;
        loop {
            let (head, after) = rest.split_first_chunk::<8>().ok_or(PromptError::Short)?;
            let [i0, i1, i2, i3, l0, l1, l2, l3] = *head;
            let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            match &[i0, i1, i2, i3] {
                b"fmt " => format = Some(Format::parse(after.get(..len).ok_or(PromptError::Short)?)?),
                b"data" => {
                    let format = format.ok_or(PromptError::Short)?;
                    // Who writes to a pipe does not know the length and says 0 or more than there is.
                    let data = after.get(..len).filter(|d| !d.is_empty()).unwrap_or(after);
                    return Ok(format.read(data));
                }
                _ => {}
            }
            // Chunks begin at even places.
            let next = len.checked_add(len % 2).ok_or(PromptError::Short)?;
            rest = after.get(next..).ok_or(PromptError::Short)?;
        }
    }

    /// How long it lasts, in ms.
    #[must_use]
    pub fn millis(&self) -> usize {
        self.samples.len() / self.rate.per_milli()
    }
}

#[derive(Clone, Copy)]
struct Format {
    rate: Rate,
    law: Option<Law>,
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, PromptError> {
        let field = |at: usize| chunk.get(at..at + 2).and_then(|b| b.first_chunk::<2>());
        let short = |at: usize| field(at).map(|b| u16::from_le_bytes(*b)).ok_or(PromptError::Short);
        let (mut format, channels, bits) = (short(0)?, short(2)?, short(14)?);
        let hertz = u32::from(short(4)?) | u32::from(short(6)?) << 16;
        if format == EXTENSIBLE {
            format = short(24)?;
        }
        let law = match (format, bits) {
            (PCM, 16) => None,
            (A_LAW, 8) => Some(Law::A),
            (MU_LAW, 8) => Some(Law::Mu),
            _ => return Err(PromptError::Format { format, bits }),
        };
        if channels != 1 {
            return Err(PromptError::Channels(channels));
        }
        let rate = match hertz {
            8000 => Rate::Narrow,
            16_000 => Rate::Wide,
            other => return Err(PromptError::Rate(other)),
        };
        Ok(Self { rate, law })
    }

    fn read(self, data: &[u8]) -> Prompt {
        let samples = match self.law {
            None => data.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect(),
            Some(law) => data.iter().map(|code| law.decode_sample(*code)).collect(),
        };
        Prompt::new(self.rate, samples)
    }
}

/// A prompt that somebody hears.
#[derive(Clone, Debug)]
pub(super) struct Playing {
    pub(super) id: PromptId,
    prompt: Arc<Prompt>,
    at: usize,
    repeat: bool,
}

impl Playing {
    pub(super) fn new(id: PromptId, prompt: Arc<Prompt>, repeat: bool) -> Self {
        // Nothing repeated is an end too.
        let repeat = repeat && prompt.samples.len() > 0;
        Self { id, prompt, at: 0, repeat }
    }

    pub(super) fn rate(&self) -> Rate {
        self.prompt.rate
    }

    /// Fills `frame`, with silence behind the prompt's end; false when nothing of it was left.
    pub(super) fn fill(&mut self, frame: &mut [i16]) -> bool {
        let mut written = 0;
        while let Some(room) = frame.get_mut(written..).filter(|room| !room.is_empty()) {
            let count = self.prompt.samples.read(self.at, room);
            self.at += count;
            written += count;
            if count == 0 {
                if !self.repeat {
                    break;
                }
                self.at = 0;
            }
        }
        frame.iter_mut().skip(written).for_each(|place| *place = 0);
        written > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wav(format: u16, channels: u16, hertz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend(format.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(hertz.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn the_three_formats_are_read() {
        let pcm = Prompt::from_wav(&wav(1, 1, 8000, 16, &[1, 0, 0xff, 0xff])).unwrap();
        assert_eq!(pcm, Prompt::new(Rate::Narrow, vec![1, -1]));
        let mu = Prompt::from_wav(&wav(7, 1, 8000, 8, &[0xff, 0x80])).unwrap();
        assert_eq!(mu, Prompt::new(Rate::Narrow, vec![0, 32_124]));
        let a = Prompt::from_wav(&wav(6, 1, 16_000, 8, &[0xd5; 32])).unwrap();
        assert_eq!((a.rate, a.millis()), (Rate::Wide, 2));
    }

    #[test]
    fn what_is_no_prompt_is_refused_with_what_to_do() {
        let refuse = |bytes: &[u8]| Prompt::from_wav(bytes).unwrap_err();
        assert_eq!(refuse(b"ID3\x04"), PromptError::NotWav);
        assert_eq!(refuse(&wav(1, 2, 8000, 16, &[0; 4])), PromptError::Channels(2));
        assert_eq!(refuse(&wav(1, 1, 44_100, 16, &[0; 4])), PromptError::Rate(44_100));
        assert_eq!(refuse(&wav(3, 1, 8000, 32, &[0; 4])), PromptError::Format { format: 3, bits: 32 });
        assert_eq!(refuse(b"RIFF\0\0\0\0WAVE"), PromptError::Short);
        assert!(PromptError::Rate(44_100).to_string().contains("sox"));
    }

    #[test]
    fn a_prompt_fills_frames_to_its_end_and_a_repeated_one_for_ever() {
        let prompt = Arc::new(Prompt::new(Rate::Narrow, vec![1, 2, 3]));
        let mut once = Playing::new(PromptId::from("p"), Arc::clone(&prompt), false);
        let mut frame = [9; 2];
        assert!(once.fill(&mut frame) && frame == [1, 2]);
        assert!(once.fill(&mut frame) && frame == [3, 0]);
        assert!(!once.fill(&mut frame));
        let mut again = Playing::new(PromptId::from("p"), prompt, true);
        let mut frame = [9; 8];
        assert!(again.fill(&mut frame) && frame == [1, 2, 3, 1, 2, 3, 1, 2]);
        let nothing = Arc::new(Prompt::new(Rate::Narrow, Vec::new()));
        assert!(!Playing::new(PromptId::from("p"), nothing, true).fill(&mut frame));
    }

    #[test]
    fn clips_follow_each_other_with_silence_between_across_the_edges_of_frames() {
        const CLIPS: &[Clip] = &[Clip::Sound(&[0x80, 0x00]), Clip::Silence(3), Clip::Sound(&[0x80])];
        for size in 1..8 {
            let mut playing =
                Playing::new(PromptId::from("p"), Arc::new(Prompt::of_clips(Rate::Narrow, CLIPS)), false);
            let (mut heard, mut frame) = (Vec::new(), vec![9; size]);
            while playing.fill(&mut frame) {
                heard.extend_from_slice(&frame);
            }
            assert_eq!(heard[..6], [32_124, -32_124, 0, 0, 0, 32_124]);
            assert!(heard[6..].iter().all(|sample| *sample == 0));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_prompt_or_an_error(cut in 0usize..80, at in 0usize..70, byte in any::<u8>()) {
            let mut bytes = wav(1, 1, 8000, 16, &[5; 20]);
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(cut);
            if let Ok(prompt) = Prompt::from_wav(&bytes) { prop_assert!(prompt.samples.len() <= 40); }
        }
    }
}
