//! Targets of the RTP room: packets, reports, keys.

use backroom::rtp::Micros;
use backroom::rtp::codec::Codec;
use backroom::rtp::comfort::ComfortNoise;
use backroom::rtp::event::{EventPayload, EventReceiver};
use backroom::rtp::packet::{Header, Packet, kind};
use backroom::rtp::playout::{Playout, PlayoutPayloads};
use backroom::rtp::reception::Reception;
use backroom::rtp::rewrite::{Rewriter, StreamId};
use backroom::rtp::rtcp::{Builder, Compound, Ntp, Rtcp};
use backroom::rtp::sdes::{MasterKey, Suite};
use backroom::rtp::srtp::{SrtpReceiver, SrtpSender};

use crate::engine::{Target, consider, hash_of};
use crate::samples;

/// All of them.
pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "rtp", seeds: samples::packets, words: &[], run: packets },
    Target { name: "rtcp", seeds: samples::reports, words: &[], run: reports },
    Target { name: "telephone-event", seeds: samples::keys, words: &[], run: keys },
];

/// Datagrams in one input: a length byte before each, so that a mutant can be a whole stream of them.
fn datagrams(bytes: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (datagram, next) = behind.split_at(behind.len().min(usize::from(*length)));
        all.push(datagram);
        rest = next;
    }
    all
}

fn packets(bytes: &[u8]) -> u64 {
    let payloads = PlayoutPayloads { codec: Codec::Pcmu, audio: 0, noise: Some(13), event: Some(101) };
    let mut playout = Playout::new(payloads, 20_000, 200_000, 1);
    let mut reception = Reception::new(7, 8000, 0);
    let mut rewriter = Rewriter::new(1, 65_535, u32::MAX, 8000);
    let key = MasterKey::from_bytes(&[7; 30]);
    let (mut sender, mut receiver) =
        (SrtpSender::new(Suite::Sha1Tag80, &key), SrtpReceiver::new(Suite::Sha1Tag80, &key));
    let mut now = Micros(0);
    let mut seen = Vec::new();
    let mut frame = [0; 160];
    for datagram in datagrams(bytes) {
        consider(kind(datagram));
        now = now.plus(1 + 20_000 * u64::from(datagram.len() != 1));
        let mut stranger = datagram.to_vec();
        assert!(receiver.unprotect(&mut stranger).is_err(), "nobody has the key");
        consider(receiver.unprotect_rtcp(&mut datagram.to_vec()));
        let parsed = Packet::parse(datagram);
        seen.push(u8::from(parsed.is_ok()));
        if let Ok(packet) = parsed {
            let mut copy = [0; 600];
            if let Ok(length) = packet.write(&mut copy) {
                let again = Packet::parse(&copy[..length]);
                assert_eq!(again, Ok(packet), "what is written is read the same");
                if let Ok(whole) = sender.protect(&mut copy, length) {
                    consider(receiver.unprotect(&mut copy[..whole]));
                }
            }
            if let Some(extension) = packet.extension {
                seen.push(u8::try_from(extension.elements().count().min(3)).unwrap_or(3));
            }
            let stream = StreamId(packet.header.ssrc % 3);
            if let Some(header) = rewriter.rewrite(stream, &packet.header, now) {
                let mut out = datagram.to_vec();
                assert!(header.patch(&mut out).is_ok(), "what was read can be patched");
            }
            consider(reception.packet(&packet.header, now));
            consider(ComfortNoise::parse(packet.payload));
            consider(playout.push(&packet, now));
        }
        if datagram.len().is_multiple_of(2) {
            seen.push(
                10 + u8::try_from(format!("{:?}", playout.pull(now, &mut frame)).len() % 20).unwrap_or(0),
            );
        }
    }
    consider(reception.report(now));
    consider(rewriter.timestamp_at(now));
    seen.dedup();
    seen.truncate(12);
    hash_of(&seen)
}

fn reports(bytes: &[u8]) -> u64 {
    let mut reception = Reception::new(7, 8000, 0);
    let mut seen = Vec::new();
    for datagram in datagrams(bytes) {
        let parsed = Compound::parse(datagram);
        let Ok(compound) = parsed else {
            seen.push(hash_of(&format!("{:?}", parsed.err())));
            continue;
        };
        for packet in compound.packets() {
            seen.push(match packet {
                Rtcp::SenderReport(sender, blocks) => {
                    reception.sender_report(&sender, Micros(sender.ntp.0));
                    10 + blocks.iter().filter_map(|b| b.round_trip(sender.ntp)).count() as u64
                }
                Rtcp::ReceiverReport(ssrc, blocks) => {
                    let blocks: Vec<_> = blocks.iter().take(31).collect();
                    let mut out = [0; 1000];
                    let written = Builder::new(&mut out).receiver_report(ssrc, &blocks).map(Builder::finish);
                    assert!(written.is_ok_and(|n| Compound::parse(&out[..n]).is_ok()), "ours can be read");
                    50
                }
                Rtcp::Description(name) => 100 + u64::from(name.is_some()),
                Rtcp::Goodbye(sources, reason) => {
                    110 + u64::from(reason.is_some()) + sources.iter().count() as u64
                }
                Rtcp::Other(_) => 200,
            });
        }
    }
    consider(reception.report(Micros(u64::MAX)));
    consider(Ntp::from_unix_micros(u64::MAX));
    seen.dedup();
    seen.truncate(8);
    hash_of(&seen)
}

/// Six bytes a packet: how much sequence and time go on, and the payload.
fn keys(bytes: &[u8]) -> u64 {
    let (steps, rest) = bytes.as_chunks::<6>();
    consider(EventPayload::parse(rest));
    let mut receiver = EventReceiver::new(8000);
    let mut header = Header::default();
    let mut now = Micros(0);
    let mut seen = Vec::new();
    for [step, mode, payload @ ..] in steps {
        header.sequence = header.sequence.wrapping_add(u16::from(*step & 7));
        header.timestamp = match mode & 3 {
            0 | 1 => header.timestamp,
            2 => header.timestamp.wrapping_add(u32::from(*step) << (mode >> 3)),
            _ => header.timestamp.wrapping_sub(u32::from(*step)),
        };
        header.ssrc = u32::from(mode & 4);
        header.marker = step & 8 != 0;
        now = now.plus(u64::from(*mode) * 1000);
        if let Ok(heard) = EventPayload::parse(payload) {
            assert_eq!(EventPayload::parse(&heard.to_bytes()), Ok(heard), "what is written is read the same");
            consider(heard.rescaled(48_000, 8000));
            consider(heard.rescaled(8000, 48_000));
        }
        let length = payload.len().saturating_sub(usize::from(step >> 7));
        match receiver.receive(&header, &payload[..length], now) {
            Ok(changes) => seen.push(changes.count()),
            Err(_) => seen.push(9),
        }
        seen.push(10 + usize::from(receiver.poll(now).is_some()));
    }
    seen.dedup();
    seen.truncate(10);
    hash_of(&seen)
}
