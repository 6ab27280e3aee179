//! DNS messages (RFC 1035 §4): one question out, the records that answer it in. Pure. Whatever a server sends is an
//! answer or an error, never a panic and never a loop: a compressed name may only point backwards.

use core::net::{Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Naptr,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Srv => 33,
            Self::Naptr => 35,
        }
    }
}

const CNAME: u16 = 5;
const IN: u16 = 1;

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Lower case, without the last dot; empty when the service is decidedly not there.
    pub(super) target: String,
}

/// A NAPTR record (RFC 3403 §4.1) as SIP uses it: without a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) replacement: String,
}

/// One record that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv(Srv),
    Naptr(Naptr),
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// These, good for so many seconds; none when there are none.
    Records(Vec<Record>, u32),
    /// It does not fit: ask over TCP.
    Truncated,
    /// It cannot say (SERVFAIL, REFUSED, …); somebody else may.
    CannotSay(u8),
}

/// The bytes are no answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an answer to the question")]
pub(super) struct NoAnswer;

/// How long "there is no such record" is believed, in seconds.
const NOTHING_FOR: u32 = 60;

/// One question. `None` for a name that DNS cannot have.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 18);
    bytes.extend(id.to_be_bytes());
    // Recursion desired; one question.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.code().to_be_bytes());
    bytes.extend(IN.to_be_bytes());
    Some(bytes)
}

/// Reads what came for a question.
pub(super) fn answer(bytes: &[u8], asked: &[u8], name: &str, kind: Kind) -> Result<Said, NoAnswer> {
    read(bytes, asked, name, kind).ok_or(NoAnswer)
}

fn read(bytes: &[u8], asked: &[u8], name: &str, kind: Kind) -> Option<Said> {
    let mut at = Reader { bytes, at: 0 };
    let (id, flags) = (at.u16()?, at.u16()?);
    let counts = [at.u16()?, at.u16()?, at.u16()?, at.u16()?];
    let is_ours = asked.get(..2)? == id.to_be_bytes() && flags & 0x8000 != 0 && counts[0] == 1;
    let (question, code, class) = (at.name()?, at.u16()?, at.u16()?);
    let wanted = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if !is_ours || question != wanted || code != kind.code() || class != IN {
        return None;
    }
    let rcode = u8::try_from(flags & 0xf).ok()?;
    match rcode {
        0 if flags & 0x0200 != 0 => return Some(Said::Truncated),
        0 => {}
        // NXDOMAIN.
        3 => return Some(Said::Records(Vec::new(), NOTHING_FOR)),
        other => return Some(Said::CannotSay(other)),
    }
    let (mut owner, mut records, mut ttl) = (wanted, Vec::new(), u32::MAX);
    for _ in 0..counts[1] {
        let (of, code, class, good_for) = (at.name()?, at.u16()?, at.u16()?, at.u32()?);
        let length = usize::from(at.u16()?);
        let end = at.at.checked_add(length).filter(|end| *end <= bytes.len())?;
        if class == IN && of == owner && code == CNAME {
            owner = at.name()?;
            ttl = ttl.min(good_for);
        } else if class == IN && of == owner && code == kind.code() {
            records.push(at.record(kind, end)?);
            ttl = ttl.min(good_for);
        }
        at.at = end;
    }
    let ttl = if records.is_empty() { NOTHING_FOR } else { ttl };
    Some(Said::Records(records, ttl))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    /// A name in lower case, without the last dot.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut behind) = (self.at, None);
        // Each pointer goes further back than the one before.
        let mut least = self.at;
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length {
                0 => break,
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    for byte in label {
                        // A dot inside a label would make it two.
                        let plain = byte.is_ascii_graphic() && *byte != b'.';
                        name.push(if plain { char::from(byte.to_ascii_lowercase()) } else { '\u{fffd}' });
                    }
                    at += 1 + length;
                }
                0xc0..=0xff => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    behind.get_or_insert(at + 2);
                    at = (length & 0x3f) << 8 | low;
                    if at >= least {
                        return None;
                    }
                    least = at;
                }
                _ => return None,
            }
            if name.len() > 1024 {
                return None;
            }
        }
        self.at = behind.unwrap_or(at + 1);
        Some(name)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u8()?);
        let text = self.bytes.get(self.at..self.at + length)?;
        self.at += length;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn record(&mut self, kind: Kind, end: usize) -> Option<Record> {
        let record = match kind {
            Kind::A => Record::A(self.take::<4>()?.into()),
            Kind::Aaaa => Record::Aaaa(self.take::<16>()?.into()),
            Kind::Srv => {
                let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
                Record::Srv(Srv { priority, weight, port, target: self.name()? })
            }
            Kind::Naptr => {
                let (order, preference) = (self.u16()?, self.u16()?);
                let (flags, service) = (self.text()?, self.text()?);
                self.text()?;
                Record::Naptr(Naptr { order, preference, flags, service, replacement: self.name()? })
            }
        };
        (self.at == end).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A response with these raw records behind the question.
    fn response(asked: &[u8], flags: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = asked.to_vec();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[7] = u8::try_from(records.len()).unwrap();
        records.iter().for_each(|r| bytes.extend(*r));
        bytes
    }

    const OK: u16 = 0x8180;

    #[test]
    fn an_alias_is_followed_and_the_shortest_ttl_counts() {
        let asked = question(7, "sip.example.com", Kind::A).unwrap();
        // CNAME to "b" below the question's domain (offset 16), then A of that.
        let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x04\x01b\xc0\x10";
        let address = b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";
        let bytes = response(&asked, OK, &[alias, address]);
        let said = answer(&bytes, &asked, "SIP.example.com.", Kind::A).unwrap();
        assert_eq!(said, Said::Records(vec![Record::A([192, 0, 2, 1].into())], 30));
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let asked = question(7, "a.example", Kind::A).unwrap();
        let other = question(8, "a.example", Kind::A).unwrap();
        let bytes = response(&asked, OK, &[]);
        assert!(answer(&bytes, &asked, "a.example", Kind::A).is_ok());
        assert_eq!(answer(&bytes, &other, "a.example", Kind::A), Err(NoAnswer));
        assert_eq!(answer(&bytes, &asked, "b.example", Kind::A), Err(NoAnswer));
        assert_eq!(answer(&bytes, &asked, "a.example", Kind::Srv), Err(NoAnswer));
        assert_eq!(answer(&asked, &asked, "a.example", Kind::A), Err(NoAnswer));
    }

    #[test]
    fn what_a_server_cannot_say_is_told_apart_from_nothing() {
        let asked = question(7, "a.example", Kind::Srv).unwrap();
        let said = |flags| answer(&response(&asked, flags, &[]), &asked, "a.example", Kind::Srv).unwrap();
        assert_eq!(said(0x8183), Said::Records(vec![], 60));
        assert_eq!(said(0x8182), Said::CannotSay(2));
        assert_eq!(said(0x8380), Said::Truncated);
    }

    #[test]
    fn a_name_that_points_at_itself_ends() {
        let asked = question(7, "a.example", Kind::Srv).unwrap();
        let record = b"\xc0\x0c\0\x21\0\x01\0\0\0\x1e\0\x08\0\0\0\0\0\0\xc0\x2d";
        assert_eq!(answer(&response(&asked, OK, &[record]), &asked, "a.example", Kind::Srv), Err(NoAnswer));
    }

    #[test]
    fn a_name_that_dns_cannot_have_is_not_asked() {
        assert_eq!(question(1, "a..b", Kind::A), None);
        assert_eq!(question(1, "", Kind::A), None);
        assert_eq!(question(1, &"a".repeat(64), Kind::A), None);
        assert_eq!(question(1, &"a.".repeat(130), Kind::A), None);
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..300), count in 0u8..8) {
            for kind in [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr] {
                let asked = question(7, "sip.example.com", kind).unwrap();
                let mut bytes = response(&asked, OK, &[&tail]);
                bytes[7] = count;
                drop(answer(&bytes, &asked, "sip.example.com", kind));
                drop(answer(&tail, &asked, "sip.example.com", kind));
            }
        }
    }
}
