//! The sentences and the music that the program carries, put together from clips that `scripts/prompts` makes. An
//! owner's WAV file of the same name stands in for any of them.

use super::prompt::{Clip, Prompt};
use crate::rtp::codec::Rate;
use crate::types::PromptId;

/// Between two clips of one prompt.
const PAUSE: Clip = Clip::Silence(2_000);

const THANKS: Clip = Clip::Sound(include_bytes!("clips/thanks.ulaw"));
const NOBODY: Clip = Clip::Sound(include_bytes!("clips/nobody.ulaw"));
const CLOSED: Clip = Clip::Sound(include_bytes!("clips/closed.ulaw"));
const AGAIN: Clip = Clip::Sound(include_bytes!("clips/again.ulaw"));
const TEXT: Clip = Clip::Sound(include_bytes!("clips/text.ulaw"));
const BARRED: Clip = Clip::Sound(include_bytes!("clips/barred.ulaw"));
const UNREACHABLE: Clip = Clip::Sound(include_bytes!("clips/unreachable.ulaw"));
const LINES_BUSY: Clip = Clip::Sound(include_bytes!("clips/lines-busy.ulaw"));
const NO_LINE: Clip = Clip::Sound(include_bytes!("clips/emergency-no-line.ulaw"));
const MUSIC: Clip = Clip::Sound(include_bytes!("clips/hold-music.ulaw"));

/// Each prompt by name, with its clips.
const SHIPPED: [(&str, &[Clip]); 9] = [
    // Nobody takes the call.
    ("nobody", &[THANKS, PAUSE, NOBODY, PAUSE, AGAIN]),
    // And a text is on its way.
    ("nobody-text", &[THANKS, PAUSE, NOBODY, PAUSE, TEXT]),
    // Outside of business hours.
    ("closed", &[THANKS, PAUSE, CLOSED, PAUSE, AGAIN]),
    ("closed-text", &[THANKS, PAUSE, CLOSED, PAUSE, TEXT]),
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

/// All of them, ready to be played.
pub fn prompts() -> impl Iterator<Item = (PromptId, Prompt)> {
    SHIPPED.iter().map(|(name, clips)| (PromptId::from(*name), Prompt::of_clips(Rate::Narrow, clips)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::prompt::Playing;
    use super::*;

    fn samples(name: &str) -> Vec<i16> {
        let (id, prompt) = prompts().find(|(id, _)| id.as_str() == name).unwrap();
        let mut samples = vec![0; prompt.millis() * 8];
        assert!(Playing::new(id, Arc::new(prompt), false).fill(&mut samples));
        samples
    }

    fn level(samples: &[i16]) -> f64 {
        let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let count = u32::try_from(samples.len()).unwrap();
        20.0 * ((sum / f64::from(count)).sqrt() / 32_768.0).log10()
    }

    #[test]
    fn every_prompt_is_there_at_the_level_of_speech_and_short() {
        for name in names() {
            let samples = samples(name);
            let seconds = samples.len() / 8000;
            assert!((1..=12).contains(&seconds), "{name}: {seconds} s");
            assert!((-30.0..-16.0).contains(&level(&samples)), "{name}: {:.1} dB", level(&samples));
        }
    }

    #[test]
    fn all_clips_together_are_small() {
        let all = [THANKS, NOBODY, CLOSED, AGAIN, TEXT, BARRED, UNREACHABLE, LINES_BUSY, NO_LINE, MUSIC];
        assert!(all.iter().map(Clip::len).sum::<usize>() <= 300_000);
    }

    #[test]
    fn music_has_no_seam_where_it_begins_again() {
        let music = samples("hold-music");
        let step = |pair: &[i16]| i32::from(pair[1]) - i32::from(pair[0]);
        let largest = music.windows(2).map(|w| step(w).abs()).max().unwrap();
        let seam = step(&[music[music.len() - 1], music[0]]).abs();
        assert!(seam <= largest, "{seam} at the seam, {largest} elsewhere");
    }
}
