//! The sentences and the music that the program carries, put together from clips that `scripts/prompts` makes. An
//! owner's WAV file of the same name stands in for any of them.

use super::Prompt;
use crate::rtp::codec::Rate;
use crate::rtp::g711::Law;
use crate::types::PromptId;

/// Samples a second of a shipped prompt.
pub const RATE: u32 = 8000;
/// Between two clips of one prompt, in samples.
const PAUSE: usize = 2_000;

const THANKS: &[u8] = include_bytes!("clips/thanks.ulaw");
const NOBODY: &[u8] = include_bytes!("clips/nobody.ulaw");
const CLOSED: &[u8] = include_bytes!("clips/closed.ulaw");
const AGAIN: &[u8] = include_bytes!("clips/again.ulaw");
const TEXT: &[u8] = include_bytes!("clips/text.ulaw");
const BARRED: &[u8] = include_bytes!("clips/barred.ulaw");
const UNREACHABLE: &[u8] = include_bytes!("clips/unreachable.ulaw");
const LINES_BUSY: &[u8] = include_bytes!("clips/lines-busy.ulaw");
const NO_LINE: &[u8] = include_bytes!("clips/emergency-no-line.ulaw");
const MUSIC: &[u8] = include_bytes!("clips/hold-music.ulaw");

/// Each prompt by name, with its clips.
const SHIPPED: [(&str, &[&[u8]]); 9] = [
    // Nobody takes the call.
    ("nobody", &[THANKS, NOBODY, AGAIN]),
    // And a text is on its way.
    ("nobody-text", &[THANKS, NOBODY, TEXT]),
    // Outside of business hours.
    ("closed", &[THANKS, CLOSED, AGAIN]),
    ("closed-text", &[THANKS, CLOSED, TEXT]),
    // The dial plan or a cap says no.
    ("barred", &[BARRED]),
    ("unreachable", &[UNREACHABLE]),
    ("lines-busy", &[LINES_BUSY]),
    // Somebody calls for help, and no line of the box works.
    ("emergency-no-line", &[NO_LINE]),
    // Ten seconds without a seam, played again and again.
    ("hold-music", &[MUSIC]),
];

/// The names of all prompts that the program carries.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// Samples of a prompt, linear, at [`RATE`]; `None` when the program carries none of this name.
#[must_use]
pub fn samples(prompt: &PromptId) -> Option<Vec<i16>> {
    let (_, clips) = SHIPPED.iter().find(|(name, _)| *name == prompt.as_str())?;
    let length = clips.iter().map(|clip| clip.len() + PAUSE).sum();
    let mut samples = Vec::with_capacity(length);
    for clip in *clips {
        if !samples.is_empty() {
            samples.resize(samples.len() + PAUSE, 0);
        }
        samples.extend(clip.iter().map(|code| Law::Mu.decode_sample(*code)));
    }
    Some(samples)
}

/// All of them, ready to be played.
pub fn prompts() -> impl Iterator<Item = (PromptId, Prompt)> {
    names().filter_map(|name| {
        let id = PromptId::from(name);
        let prompt = Prompt::new(Rate::Narrow, samples(&id)?);
        Some((id, prompt))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let count = u32::try_from(samples.len()).unwrap();
        20.0 * ((sum / f64::from(count)).sqrt() / 32_768.0).log10()
    }

    #[test]
    fn every_prompt_is_there_at_the_level_of_speech_and_short() {
        for name in names() {
            let samples = samples(&PromptId::from(name)).unwrap();
            let seconds = samples.len() / 8000;
            assert!((1..=12).contains(&seconds), "{name}: {seconds} s");
            assert!((-30.0..-16.0).contains(&level(&samples)), "{name}: {:.1} dB", level(&samples));
        }
        assert_eq!(samples(&PromptId::from("nothing")), None);
    }

    #[test]
    fn all_clips_together_are_small() {
        let all = [THANKS, NOBODY, CLOSED, AGAIN, TEXT, BARRED, UNREACHABLE, LINES_BUSY, NO_LINE, MUSIC];
        assert!(all.iter().map(|clip| clip.len()).sum::<usize>() <= 300_000);
    }

    #[test]
    fn music_has_no_seam_where_it_begins_again() {
        let music = samples(&PromptId::from("hold-music")).unwrap();
        let step = |pair: &[i16]| i32::from(pair[1]) - i32::from(pair[0]);
        let largest = music.windows(2).map(|w| step(w).abs()).max().unwrap();
        let seam = step(&[music[music.len() - 1], music[0]]).abs();
        assert!(seam <= largest, "{seam} at the seam, {largest} elsewhere");
    }
}
