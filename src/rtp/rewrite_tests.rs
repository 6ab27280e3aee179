//! What a listener sees while sources come and go.

use super::*;
use proptest::prelude::*;

const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);

fn rewriter() -> Rewriter {
    Rewriter::new(0xabcd, 65_530, u32::MAX - 300, 8000)
}

fn from(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
    Header { marker: false, payload_type: 0, sequence, timestamp, ssrc }
}

fn at(millis: u64) -> Micros {
    Micros(1_000_000 + millis * 1000)
}

#[test]
fn a_transfer_is_one_stream_with_a_marker() {
    let mut rewriter = rewriter();
    let mut heard = Vec::new();
    for i in 0..5u16 {
        let header = from(1, 100 + i, 5000 + u32::from(i) * 160);
        heard.push(rewriter.rewrite(A, &header, at(u64::from(i) * 20)).unwrap());
    }
    for i in 0..5u16 {
        let header = from(2, 40_000 + i, 77 + u32::from(i) * 160);
        heard.push(rewriter.rewrite(B, &header, at(100 + u64::from(i) * 20)).unwrap());
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
    let markers: Vec<bool> = heard.iter().map(|h| h.marker).collect();
    assert_eq!(markers, [true, false, false, false, false, true, false, false, false, false]);
    assert!(heard.iter().all(|h| h.ssrc == 0xabcd));
}

#[test]
fn after_hold_the_clock_has_gone_on_and_the_sequence_has_not() {
    let mut rewriter = rewriter();
    let before = rewriter.rewrite(A, &from(1, 10, 0), at(0)).unwrap();
    rewriter.part(at(20));
    let after = rewriter.rewrite(A, &from(1, 900, 9_999_999), at(30_000)).unwrap();
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(240_000));
}

#[test]
fn loss_and_reordering_before_the_box_stay_visible() {
    let mut rewriter = rewriter();
    let first = rewriter.rewrite(A, &from(1, 10, 1600), at(0)).unwrap();
    let later = rewriter.rewrite(A, &from(1, 13, 2080), at(60)).unwrap();
    let late = rewriter.rewrite(A, &from(1, 12, 1920), at(61)).unwrap();
    assert_eq!(later.sequence, first.sequence.wrapping_add(3));
    assert_eq!(
        (late.sequence, late.timestamp),
        (first.sequence.wrapping_add(2), first.timestamp.wrapping_add(320))
    );
    let before = rewriter.rewrite(A, &from(1, 9, 1440), at(62));
    assert_eq!(before, None, "its number belongs to whoever spoke before");
}

#[test]
fn stragglers_of_the_last_source_do_not_switch_back() {
    let mut rewriter = rewriter();
    rewriter.rewrite(A, &from(1, 10, 0), at(0)).unwrap();
    let new = rewriter.rewrite(A, &from(2, 500, 0), at(20)).unwrap();
    assert_eq!(rewriter.rewrite(A, &from(1, 11, 160), at(25)), None);
    let next = rewriter.rewrite(A, &from(2, 501, 160), at(40)).unwrap();
    assert_eq!(next.sequence, new.sequence.wrapping_add(1));
    let back = rewriter.rewrite(A, &from(1, 40, 8000), at(1000)).unwrap();
    assert_eq!((back.sequence, back.marker), (next.sequence.wrapping_add(1), true));
}

#[test]
fn a_far_end_that_starts_anew_under_its_old_name_is_believed_at_the_second_packet() {
    let mut rewriter = rewriter();
    let last = rewriter.rewrite(A, &from(1, 10, 0), at(0)).unwrap();
    assert_eq!(rewriter.rewrite(A, &from(1, 30_000, 5), at(20)), None);
    let wild = rewriter.rewrite(A, &from(1, 11, 160), at(22)).unwrap();
    assert_eq!(wild.sequence, last.sequence.wrapping_add(1), "a single stray changes nothing");
    assert_eq!(rewriter.rewrite(A, &from(1, 30_000, 5), at(40)), None);
    let anew = rewriter.rewrite(A, &from(1, 30_001, 165), at(60)).unwrap();
    assert_eq!(anew.sequence, wild.sequence.wrapping_add(1));
}

#[test]
fn new_timestamps_under_old_sequence_numbers_are_made_continuous() {
    let mut rewriter = rewriter();
    let last = rewriter.rewrite(A, &from(1, 10, 0), at(0)).unwrap();
    let anew = rewriter.rewrite(A, &from(1, 11, 0x7000_0000), at(20)).unwrap();
    assert_eq!(anew.timestamp, last.timestamp.wrapping_add(160));
    let next = rewriter.rewrite(A, &from(1, 12, 0x7000_00a0), at(40)).unwrap();
    assert_eq!(next.timestamp, last.timestamp.wrapping_add(320));
}

#[test]
fn what_the_box_puts_in_and_takes_out_leaves_no_gap() {
    let mut rewriter = rewriter();
    let first = rewriter.rewrite(A, &from(1, 10, 0), at(0)).unwrap();
    rewriter.swallow(A, &from(1, 11, 160), at(20));
    rewriter.swallow(A, &from(1, 12, 160), at(40));
    let next = rewriter.rewrite(A, &from(1, 13, 480), at(60)).unwrap();
    assert_eq!(next.sequence, first.sequence.wrapping_add(1));
    assert_eq!(next.timestamp, first.timestamp.wrapping_add(480));
    let key = rewriter.insert(101, true, None, at(80));
    let again = rewriter.insert(101, false, Some(key.timestamp), at(100));
    assert_eq!(
        (key.sequence, again.sequence),
        (next.sequence.wrapping_add(1), next.sequence.wrapping_add(2))
    );
    assert_eq!((key.timestamp, again.timestamp), (next.timestamp.wrapping_add(160), key.timestamp));
    let after = rewriter.rewrite(A, &from(1, 14, 960), at(120)).unwrap();
    assert_eq!(after.sequence, again.sequence.wrapping_add(1));
    assert_eq!(after.timestamp, first.timestamp.wrapping_add(960));
    assert_eq!(rewriter.rewrite(A, &from(1, 12, 320), at(121)), None, "its number was given to a key");
}

/// One thing that happens to the stream.
#[derive(Clone, Debug)]
enum Step {
    Packet { source: usize, lost: u16 },
    Late { source: usize },
    Insert,
    Swallow { source: usize },
    Restart { source: usize, sequence: u16, timestamp: u32, same_ssrc: bool },
    Part,
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3usize, 0..4u16).prop_map(|(source, lost)| Step::Packet { source, lost }),
        2 => (0..3usize).prop_map(|source| Step::Late { source }),
        2 => Just(Step::Insert),
        2 => (0..3usize).prop_map(|source| Step::Swallow { source }),
        1 => (0..3usize, any::<u16>(), any::<u32>(), any::<bool>())
            .prop_map(|(source, sequence, timestamp, same_ssrc)| Step::Restart { source, sequence, timestamp, same_ssrc }),
        1 => Just(Step::Part),
        1 => (20..60_000u64).prop_map(Step::Pause),
    ]
}

proptest! {
    #[test]
    fn any_switching_of_sources_is_one_continuous_stream(steps in prop::collection::vec(step(), 1..200)) {
        let mut rewriter = rewriter();
        let mut sources = [from(10, 65_500, 0), from(20, 7, 4_000_000_000), from(30, 30_000, 99)];
        let mut now = at(0);
        let mut numbers = std::collections::HashSet::new();
        let mut newest: Option<Header> = None;
        for step in steps {
            now = now.plus(20_000);
            let (left, lost) = match step {
                Step::Packet { source, lost } => {
                    let header = &mut sources[source];
                    header.sequence = header.sequence.wrapping_add(lost + 1);
                    header.timestamp = header.timestamp.wrapping_add(160 * u32::from(lost + 1));
                    (rewriter.rewrite(StreamId(u32::try_from(source).unwrap()), header, now), 3)
                }
                Step::Late { source } => {
                    let mut header = sources[source];
                    header.sequence = header.sequence.wrapping_sub(1);
                    header.timestamp = header.timestamp.wrapping_sub(160);
                    let left = rewriter.rewrite(StreamId(u32::try_from(source).unwrap()), &header, now);
                    // The same packet may come twice: then it leaves twice, as it came.
                    if left.is_some_and(|l| numbers.contains(&l.sequence)) { continue; }
                    (left, 3)
                }
                Step::Insert => (Some(rewriter.insert(101, false, None, now)), 0),
                Step::Swallow { source } => {
                    let header = &mut sources[source];
                    header.sequence = header.sequence.wrapping_add(1);
                    header.timestamp = header.timestamp.wrapping_add(160);
                    rewriter.swallow(StreamId(u32::try_from(source).unwrap()), header, now);
                    (None, 0)
                }
                Step::Restart { source, sequence, timestamp, same_ssrc } => {
                    let header = &mut sources[source];
                    *header = Header { sequence, timestamp, ssrc: header.ssrc + u32::from(!same_ssrc), ..*header };
                    (None, 0)
                }
                Step::Part => { rewriter.part(now); (None, 0) }
                Step::Pause(millis) => { now = now.plus(millis * 1000); (None, 0) }
            };
            let Some(left) = left else { continue };
            prop_assert_eq!(left.ssrc, 0xabcd);
            if let Some(last) = newest {
                let ahead = sequence_diff(left.sequence, last.sequence);
                prop_assert!(ahead != 0, "{:?} twice", left.sequence);
                // A restart under the same name may look like loss of as much as a dropout.
                prop_assert!(ahead <= (lost + 1).max(MAX_DROPOUT), "{last:?} then {left:?}");
                if ahead > 0 {
                    let wild = i32::try_from(WILD_SECONDS * 8000).unwrap();
                    let moved = timestamp_diff(left.timestamp, last.timestamp);
                    prop_assert!(moved > -wild * 2 && moved < wild * 60, "{moved}: {last:?} then {left:?}");
                    newest = Some(left);
                }
            } else {
                newest = Some(left);
            }
            numbers.insert(left.sequence);
        }
    }
}
