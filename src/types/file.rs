//! Files of texts: what kind a file is, by its bytes first, and a name that is safe to write. The bounds are Twilio's of an
//! MMS: ten files, 5 MB in all.
//!
//! Deliberately absent: turning one kind into another.

use serde::{Deserialize, Serialize};

/// Files of one text (Twilio 21623).
pub const FILES_MOST: usize = 10;
/// All files of one text together, in bytes.
pub const FILES_LARGEST: usize = 5 << 20;
/// Longest name of a file, in characters.
const NAME_LONGEST: usize = 80;

/// A file of a text on its way out, as the line is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enclosed {
    /// At a public address.
    Link(String),
    /// One of the box's own, kept with the text under this number. The line makes an address of it at which the upstream
    /// can fetch it for a while.
    Kept(u8),
}

/// A file that is to be sent, as it was read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFile {
    /// What it is called where it came from.
    pub name: String,
    /// All of it.
    #[serde(with = "as_base64")]
    pub bytes: Vec<u8>,
}

/// Without its bytes and its name: both may be personal.
impl std::fmt::Debug for OwnFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnFile").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(|_| D::Error::custom("not base64"))
    }
}

/// MIME type and the ending that goes with it. Types that begin alike stand in the order in which they are looked for.
const KINDS: &[(&str, &str)] = &[
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tif"),
    ("image/heic", "heic"),
    ("application/pdf", "pdf"),
    ("video/mp4", "mp4"),
    ("video/3gpp", "3gp"),
    ("video/quicktime", "mov"),
    ("video/mpeg", "mpg"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/ogg", "ogg"),
    ("audio/amr", "amr"),
    ("audio/vnd.wave", "wav"),
    ("audio/wav", "wav"),
    ("text/vcard", "vcf"),
    ("text/x-vcard", "vcf"),
    ("text/calendar", "ics"),
    ("text/csv", "csv"),
    ("text/plain", "txt"),
];

/// The MIME type of a file that may be sent; `None`: a kind that Twilio takes on no channel. Bytes say more than the name
/// does; only what is plain text is told apart by its ending.
#[must_use]
pub fn kind_of(name: &str, bytes: &[u8]) -> Option<&'static str> {
    let has = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    let at_start: &[(&[u8], &str)] = &[
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF8", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"%PDF-", "application/pdf"),
        (b"ID3", "audio/mpeg"),
        (b"\xff\xfb", "audio/mpeg"),
        (b"\xff\xf3", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"#!AMR", "audio/amr"),
        (b"\0\0\x01\xba", "video/mpeg"),
        (b"\0\0\x01\xb3", "video/mpeg"),
    ];
    if let Some((_, kind)) = at_start.iter().find(|(magic, _)| has(0, magic)) {
        return Some(kind);
    }
    // Words begin with these two letters too; four bytes that are kept free tell.
    if has(0, b"BM") && has(6, &[0; 4]) {
        return Some("image/bmp");
    }
    if has(0, b"RIFF") {
        return match (has(8, b"WEBP"), has(8, b"WAVE")) {
            (true, _) => Some("image/webp"),
            (_, true) => Some("audio/vnd.wave"),
            (false, false) => None,
        };
    }
    if has(4, b"ftyp") {
        return match bytes.get(8..12).unwrap_or_default() {
            b"qt  " => Some("video/quicktime"),
            b"M4A " => Some("audio/mp4"),
            [b'3', b'g', ..] => Some("video/3gpp"),
            b"heic" | b"heix" | b"mif1" | b"avif" => None,
            _ => Some("video/mp4"),
        };
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}');
    match ending(name).as_str() {
        "vcf" | "vcard" if text.trim_start().starts_with("BEGIN:VCARD") => Some("text/vcard"),
        "ics" if text.trim_start().starts_with("BEGIN:VCALENDAR") => Some("text/calendar"),
        "csv" => Some("text/csv"),
        _ => None,
    }
}

fn ending(name: &str) -> String {
    name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}

/// The ending of a file of this MIME type; `bin` of one that is not known.
#[must_use]
pub fn ending_of(content_type: &str) -> &'static str {
    KINDS.iter().find(|(kind, _)| *kind == content_type).map_or("bin", |(_, ending)| ending)
}

/// A name that is safe in a directory and in a header: letters, digits, `-`, `_` and single dots, with the ending of the
/// type. Empty where nothing is left of it.
#[must_use]
pub fn safe_name(name: &str, content_type: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let stem: String = stem.chars().take(NAME_LONGEST).map(safe).collect();
    let stem = stem.trim_matches('_');
    if stem.is_empty() { String::new() } else { format!("{stem}.{}", ending_of(content_type)) }
}

/// Why an address is none at which an upstream can fetch a file. Plain `http` is for addresses that a flow names: Twilio
/// takes it, and the flow ran there before.
///
/// # Errors
/// In words.
pub fn check_link(url: &str, plain: bool) -> Result<(), &'static str> {
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) if plain => rest,
        (None, _) => return Err("it must begin with https://"),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.contains('@') {
        return Err("it names no host, or a password");
    }
    if url.len() > 2048 {
        return Err("it is longer than 2048 characters");
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\');
    if url.contains(odd) { Err("it has characters that no address has") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_a_file_is_and_the_name_does_only_for_text() {
        let cases: &[(&str, &[u8], Option<&str>)] = &[
            ("photo.jpg", b"\xff\xd8\xff\xe0..", Some("image/jpeg")),
            ("photo.txt", b"\x89PNG\r\n\x1a\n..", Some("image/png")),
            ("x", b"RIFF\x04\0\0\0WEBPVP8 ", Some("image/webp")),
            ("x.jpg", b"RIFF\x04\0\0\0AVI ", None),
            ("a.mp4", b"\0\0\0\x18ftypisom", Some("video/mp4")),
            ("a.3gp", b"\0\0\0\x18ftyp3gp4", Some("video/3gpp")),
            ("photo.heic", b"\0\0\0\x18ftypheic", None),
            ("card.vcf", b"BEGIN:VCARD\r\n", Some("text/vcard")),
            ("card.vcf", b"<html>", None),
            ("list.CSV", b"a,b\n", Some("text/csv")),
            ("list.csv", b"BMW,Audi,Volvo\n", Some("text/csv")),
            ("a.bmp", b"BM\x46\0\0\0\0\0\0\0\x36\0", Some("image/bmp")),
            ("card.vcf", b"\xef\xbb\xbfBEGIN:VCARD\r\n", Some("text/vcard")),
            ("page.html", b"<html>", None),
            ("photo.jpg", b"<html>", None),
            ("run.sh", b"#!/bin/sh", None),
            ("empty.jpg", b"", None),
        ];
        for (name, bytes, kind) in cases {
            assert_eq!(kind_of(name, bytes), *kind, "{name}");
        }
    }

    #[test]
    fn a_name_is_made_safe_for_directories_and_headers() {
        let jpeg = |name| safe_name(name, "image/jpeg");
        assert_eq!(jpeg("photo 1.JPG"), "photo_1.jpg");
        assert_eq!(jpeg("../../etc/passwd"), "passwd.jpg");
        assert_eq!(jpeg("C:\\x\\a\"b\r\n.png"), "a_b.jpg");
        assert_eq!((jpeg(""), jpeg("..."), jpeg("/")), (String::new(), String::new(), String::new()));
        assert_eq!(safe_name("été", "application/x-thing"), "t.bin");
        assert!(jpeg(&"a".repeat(500)).len() <= 84);
    }

    #[test]
    fn an_address_is_public_https_unless_a_flow_names_it() {
        assert_eq!(check_link("https://example.com/a.jpg?x=1", false), Ok(()));
        assert_eq!(check_link("http://example.com/a.jpg", true), Ok(()));
        for bad in [
            "http://example.com/a",
            "https://",
            "https://a@b/c",
            "https://a/b c",
            "file:///etc/passwd",
            "a.jpg",
        ] {
            assert!(check_link(bad, false).is_err(), "{bad}");
        }
    }
}
