//! What the box makes itself: prompts, tones, echoes, and one codec out of another.

use super::*;
use crate::media::Prompt;
use crate::rtp::hearing::Spectrum;
use crate::types::Tone;

fn rate(codec: AudioCodec) -> Rate {
    plan::codec(codec).rate()
}

fn prompt(hertz: f32, millis: usize, rate: Rate) -> Prompt {
    let mut samples = vec![0; millis * rate.per_milli()];
    ToneSource::new(&[hertz], -16.0, rate).fill(&mut samples);
    Prompt::new(rate, samples)
}

/// Every packet follows the last: of one source, without a gap.
fn continuous(heard: &[Got]) {
    for pair in heard.windows(2) {
        let [before, after] = [pair[0].header, pair[1].header];
        assert_eq!((after.ssrc, after.sequence), (before.ssrc, before.sequence.wrapping_add(1)));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
    }
}

#[test]
fn a_tone_is_heard_through_every_pair_of_codecs() {
    use AudioCodec::{G722, Pcma, Pcmu};
    let mut rig = Rig::new(21_000);
    for (n, (from, to)) in [(Pcmu, Pcma), (Pcma, Pcmu), (Pcmu, G722), (G722, Pcma)].into_iter().enumerate() {
        let mut a = rig.phone(&format!("a{n}"), |s| s.audio = vec![format(from)]);
        let b = rig.phone(&format!("b{n}"), |s| s.audio = vec![format(to)]);
        rig.join(&a, &b);
        let mut voice = Voice::new(from, &[440.0, 1000.0]);
        let mut heard = Vec::new();
        let mut decoder = Decoder::new(plan::codec(to));
        let mut packets = Vec::new();
        for _ in 0..40 {
            a.speak(&mut voice);
            let got = b.hear();
            let mut samples = [0; 320];
            let count = decoder.decode(&got.payload, &mut samples);
            heard.extend_from_slice(&samples[..count]);
            packets.push(got);
        }
        continuous(&packets[1..]);
        assert!(packets.iter().all(|p| p.header.payload_type == format(to).send));
        let end = &heard[heard.len() / 2..];
        let spectrum = Spectrum::of(end, rate(to));
        assert!(spectrum.only(&[440.0, 1000.0]), "{from:?} to {to:?}: {spectrum:?}");
    }
}

#[test]
fn a_far_end_that_changes_its_codec_is_understood_and_relayed_again_when_it_can_be() {
    let mut rig = Rig::new(21_100);
    let mut a = rig.phone("a", |s| s.audio = vec![format(AudioCodec::G722), format(AudioCodec::Pcmu)]);
    let b = rig.phone("b", |_| {});
    rig.join(&a, &b);
    let mut wide = Voice::new(AudioCodec::G722, &[700.0]);
    let mut heard = Vec::new();
    for _ in 0..20 {
        a.speak(&mut wide);
        heard.push(b.hear());
    }
    assert!(heard.iter().all(|got| got.header.payload_type == 0));
    // Frames that were made already may still arrive; then it is straight.
    until("what is sent is relayed", || {
        a.send(0, &[42; 160]);
        a.next.timestamp += 160;
        b.hear().payload == [42; 160]
    });
    a.send(0, &[43; 160]);
    assert_eq!(b.hear().payload, [43; 160]);
}

#[test]
fn packets_of_another_length_are_cut_to_what_was_agreed() {
    let mut rig = Rig::new(21_200);
    let mut a = rig.phone("a", |_| {});
    let b = rig.phone("b", |s| s.ptime = 30);
    rig.join(&a, &b);
    let mut lengths = Vec::new();
    let mut heard = Vec::new();
    for n in 0..14 {
        a.say(n);
    }
    // Two of twenty pass before it is sure that they are no accident; the other 240 ms are eight of thirty.
    for _ in 0..10 {
        let got = b.hear();
        lengths.push(got.payload.len());
        heard.push(got);
    }
    assert_eq!(lengths, [160, 160, 240, 240, 240, 240, 240, 240, 240, 240]);
    for pair in heard[2..].windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
        assert_eq!(pair[1].header.timestamp, pair[0].header.timestamp.wrapping_add(240));
    }
    b.hears_nothing();
}

#[test]
fn a_prompt_is_heard_whole_evenly_and_said_to_be_over() {
    let mut rig = Rig::new(21_300);
    rig.media.add_prompt(PromptId::from("hello"), prompt(523.0, 400, Rate::Narrow));
    let a = rig.phone("a", |_| {});
    let play =
        |leg: &LegId| MediaCommand::Play { leg: leg.clone(), prompt: PromptId::from("hello"), repeat: false };
    let played = |leg: &LegId| {
        MediaReport::Media(MediaEvent::Played { leg: leg.clone(), prompt: PromptId::from("hello") })
    };
    rig.media.command(play(&a.leg));
    let begin = Instant::now();
    let packets: Vec<Got> = (0..20).map(|_| a.hear()).collect();
    let took = begin.elapsed();
    assert!((Duration::from_millis(370)..Duration::from_millis(3000)).contains(&took), "{took:?}");
    continuous(&packets);
    assert!(packets[0].header.marker && packets[1..].iter().all(|p| !p.header.marker));
    assert_eq!(rig.report(), played(&a.leg));
    a.hears_nothing();
    rig.media.command(play(&a.leg));
    assert!(Spectrum::of(&a.listen(AudioCodec::Pcmu, 20), Rate::Narrow).only(&[523.0]));
    assert_eq!(rig.report(), played(&a.leg));
    let nobody = LegId::from("nobody");
    rig.media.command(play(&nobody));
    assert_eq!(rig.report(), played(&nobody), "a leg that is not open");
}

#[test]
fn a_prompt_that_does_not_exist_is_over_at_once() {
    let mut rig = Rig::new(21_400);
    let a = rig.phone("a", |_| {});
    let prompt = PromptId::from("missing");
    rig.media.command(MediaCommand::Play { leg: a.leg.clone(), prompt: prompt.clone(), repeat: true });
    assert_eq!(rig.report(), MediaReport::Media(MediaEvent::Played { leg: a.leg.clone(), prompt }));
}

#[test]
fn music_on_hold_goes_on_until_the_call_does() {
    let mut rig = Rig::new(21_500);
    rig.media.add_prompt(PromptId::from("music"), prompt(660.0, 50, Rate::Wide));
    let (mut a, b) = (rig.phone("a", |_| {}), rig.phone("b", |_| {}));
    rig.join(&a, &b);
    a.say(1);
    let mut heard = vec![b.hear()];
    rig.part(&a, &b);
    let music = MediaCommand::Play { leg: b.leg.clone(), prompt: PromptId::from("music"), repeat: true };
    rig.media.command(music);
    for _ in 0..30 {
        heard.push(b.hear());
    }
    rig.media.command(MediaCommand::StopPlaying { leg: b.leg.clone() });
    rig.join(&a, &b);
    until("the call is heard again", || {
        a.say(2);
        let got = b.hear();
        heard.push(got.clone());
        got.payload == [2; 160]
    });
    for pair in heard.windows(2) {
        let [before, after] = [pair[0].header, pair[1].header];
        assert_eq!((after.ssrc, after.sequence), (before.ssrc, before.sequence.wrapping_add(1)));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((160..8000).contains(&step), "{step}");
    }
    rig.no_report();
}

#[test]
fn tones_sound_as_callers_learnt_them_and_the_milliwatt_everywhere_alike() {
    let mut rig = Rig::new(21_600);
    let a = rig.phone("a", |_| {});
    let b = rig.phone("b", |s| s.audio = vec![format(AudioCodec::G722)]);
    let tone = |phone: &Phone, tone| rig.media.command(MediaCommand::Tone { leg: phone.leg.clone(), tone });
    tone(&a, Tone::RingBack);
    assert!(Spectrum::of(&a.listen(AudioCodec::Pcmu, 20), Rate::Narrow).only(&[440.0, 480.0]));
    tone(&b, Tone::Milliwatt);
    let heard = b.listen(AudioCodec::G722, 20);
    let spectrum = Spectrum::of(&heard[1600..], Rate::Wide);
    assert!(spectrum.only(&[1004.0]), "{spectrum:?}");
    assert!((spectrum.peaks[0].level + 6.18).abs() < 0.5, "{spectrum:?}");
    rig.media.command(MediaCommand::StopPlaying { leg: a.leg.clone() });
    until("the tone has stopped", || {
        a.socket.set_read_timeout(Some(NOT_AT_ALL)).unwrap();
        a.socket.recv_from(&mut [0; 2000]).is_err()
    });
}

#[test]
fn who_asks_for_an_echo_hears_himself() {
    let mut rig = Rig::new(21_700);
    let mut a = rig.phone("a", |_| {});
    rig.media.command(MediaCommand::Echo { leg: a.leg.clone() });
    let mut heard = Vec::new();
    for n in 0..10 {
        a.say(n);
        heard.push(a.hear());
    }
    continuous(&heard);
    assert!(heard.iter().zip(0..).all(|(got, n)| got.payload == [n; 160]));
    assert!(heard.iter().all(|got| got.header.ssrc != a.next.ssrc));
    a.press('1');
    rig.heard("a", '1', false);
    a.hears_nothing();
    rig.media.command(MediaCommand::StopPlaying { leg: a.leg.clone() });
    a.say(1);
    a.hears_nothing();
}

#[test]
fn a_background_that_the_other_side_cannot_be_told_of_is_made_for_it() {
    let mut rig = Rig::new(21_800);
    let noise = Some(OtherFormat { send: 13, receive: 13, clock: 8000 });
    let mut a = rig.phone("a", |s| s.comfort_noise = noise);
    let mut b = rig.phone("b", |_| {});
    let mut c = rig.phone("c", |s| s.comfort_noise = noise);
    rig.join(&a, &b);
    a.say(1);
    b.hear();
    a.send(13, &[40]);
    let heard = b.listen(AudioCodec::Pcmu, 10);
    let level = crate::rtp::mixer::level(&heard);
    assert!((-43..=-37).contains(&level), "{level}");
    until("speech is heard again", || {
        a.say(2);
        b.hear().payload == [2; 160]
    });
    rig.part(&a, &b);
    rig.join(&a, &c);
    a.send(13, &[41]);
    let got = c.hear();
    assert_eq!((got.header.payload_type, got.payload), (13, vec![41]));
    b.say(1);
    c.say(1);
    assert_eq!(a.hear().payload, [1; 160]);
}
