//! Descriptions of sound (RFC 8866) as offers and answers need them (RFC 3264); unknown lines are left out.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// `a=name` or `a=name:value`.
pub type Attribute = (String, Option<String>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdp {
    /// Id of `o=`; the same for all of a dialog's descriptions.
    pub id: u64,
    /// Version of `o=`; counts up with every change.
    pub version: u64,
    /// Address of the `c=` line of the whole description, as written.
    pub connection: Option<String>,
    pub attributes: Vec<Attribute>,
    pub media: Vec<Media>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, ….
    pub kind: String,
    /// 0: refused.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, ….
    pub protocol: String,
    /// Payload types, as written.
    pub formats: Vec<String>,
    /// Address of its own `c=` line.
    pub connection: Option<String>,
    pub attributes: Vec<Attribute>,
}

/// Who sends, as the writer of the description sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn read(name: &str) -> Option<Direction> {
        let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        all.into_iter().find(|direction| direction.name() == name)
    }

    #[must_use]
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

impl Sdp {
    /// `None`: no `v=0` in front, or a media line without a port.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Sdp> {
        let text = String::from_utf8_lossy(body);
        let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        if lines.next()? != "v=0" {
            return None;
        }
        let mut sdp = Sdp::default();
        for line in lines {
            let (kind, value) = line.split_once('=')?;
            match (kind, sdp.media.last_mut()) {
                ("o", _) => {
                    let mut words = value.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0));
                    sdp.id = words.next().unwrap_or(0);
                    sdp.version = words.next().unwrap_or(0);
                }
                ("c", place) => {
                    let address = value.split_whitespace().nth(2)?.to_owned();
                    match place {
                        Some(media) => media.connection = Some(address),
                        None => sdp.connection = Some(address),
                    }
                }
                ("a", place) => {
                    let attribute = match value.split_once(':') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (value.to_owned(), None),
                    };
                    place.map_or(&mut sdp.attributes, |media| &mut media.attributes).push(attribute);
                }
                ("m", _) => sdp.media.push(read_media(value)?),
                _ => {}
            }
        }
        Some(sdp)
    }

    /// The first stream of sound that was not refused, with its place.
    #[must_use]
    pub fn audio(&self) -> Option<(usize, &Media)> {
        self.media.iter().enumerate().find(|(_, media)| media.kind == "audio" && media.port != 0)
    }

    /// Where a stream is to be sent.
    #[must_use]
    pub fn address(&self, media: &Media) -> Option<SocketAddr> {
        let ip: IpAddr = media.connection.as_ref().or(self.connection.as_ref())?.parse().ok()?;
        Some(SocketAddr::new(ip, media.port))
    }

    /// What its writer does with a stream; an address of 0.0.0.0 is the hold of RFC 2543.
    #[must_use]
    pub fn direction(&self, media: &Media) -> Direction {
        let mut named = media.attributes.iter().chain(&self.attributes);
        let direction = named.find_map(|(name, _)| Direction::read(name)).unwrap_or_default();
        let held = self.address(media).is_some_and(|address| address.ip().is_unspecified());
        if held { Direction::new(direction.sends(), false) } else { direction }
    }
}

impl Media {
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_deref().unwrap_or_default())
    }

    /// Payload types with what they are called, such as `PCMU/8000`, in the order of the formats.
    #[must_use]
    pub fn codecs(&self) -> Vec<(u8, String)> {
        let map = |format: &String| {
            let number: u8 = format.parse().ok()?;
            let mapped =
                self.attributes.iter().filter(|(name, _)| name == "rtpmap").find_map(|(_, value)| {
                    let (kind, name) = value.as_deref()?.split_once(' ')?;
                    (kind == format).then(|| name.trim().to_owned())
                });
            let fixed = match number {
                0 => "PCMU/8000",
                8 => "PCMA/8000",
                9 => "G722/8000",
                _ => "",
            };
            Some((number, mapped.unwrap_or_else(|| fixed.to_owned())))
        };
        self.formats.iter().filter_map(map).collect()
    }
}

fn read_media(value: &str) -> Option<Media> {
    let mut words = value.split_whitespace();
    let kind = words.next()?.to_owned();
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let protocol = words.next()?.to_owned();
    let formats = words.map(str::to_owned).collect();
    Some(Media { kind, port, protocol, formats, ..Media::default() })
}

impl fmt::Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = |address: &str| if address.contains(':') { "IP6" } else { "IP4" };
        let attribute = |f: &mut fmt::Formatter<'_>, (name, value): &Attribute| match value {
            Some(value) => write!(f, "a={name}:{value}\r\n"),
            None => write!(f, "a={name}\r\n"),
        };
        let origin = self.connection.as_deref().unwrap_or("127.0.0.1");
        write!(f, "v=0\r\no=hil {} {} IN {} {origin}\r\ns=-\r\n", self.id, self.version, family(origin))?;
        if let Some(address) = &self.connection {
            write!(f, "c=IN {} {address}\r\n", family(address))?;
        }
        write!(f, "t=0 0\r\n")?;
        self.attributes.iter().try_for_each(|a| attribute(f, a))?;
        for media in &self.media {
            write!(f, "m={} {} {} {}\r\n", media.kind, media.port, media.protocol, media.formats.join(" "))?;
            if let Some(address) = &media.connection {
                write!(f, "c=IN {} {address}\r\n", family(address))?;
            }
            media.attributes.iter().try_for_each(|a| attribute(f, a))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let text = "v=0\r\no=hil 3 4 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=x\r\n\
            m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n\
            m=video 0 RTP/AVP 31\r\nc=IN IP6 ::1\r\n";
        let sdp = Sdp::read(text.as_bytes()).unwrap();
        assert_eq!(sdp.to_string(), text);
        let (place, audio) = sdp.audio().unwrap();
        assert_eq!((place, sdp.direction(audio)), (0, Direction::SendOnly));
        assert_eq!(audio.codecs(), [(0, "PCMU/8000".to_owned()), (101, "telephone-event/8000".to_owned())]);
        assert_eq!(sdp.address(audio), Some("127.0.0.1:4000".parse().unwrap()));
    }

    #[test]
    fn rubbish_is_no_description() {
        for text in [
            "",
            "v=1\r\n",
            "hello",
            "v=0\r\nm=audio\r\n",
            "v=0\r\nm=audio x RTP/AVP 0\r\n",
            "v=0\r\nc=IN\r\n",
        ] {
            assert_eq!(Sdp::read(text.as_bytes()), None, "{text:?}");
        }
    }
}
