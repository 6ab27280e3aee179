//! HTML, URLs and base64.

use std::fmt::Write as _;

use base64::prelude::*;

use super::super::budget::Fault;
use super::super::run::Shared;
use super::super::value::Value;
use super::{Arguments, Result, built, text_of};

fn escaped(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

pub(super) fn escape<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let text = text_of(input, shared)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match escaped(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    built(out, shared)
}

/// Leaves what is already an entity.
pub(super) fn escape_once<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let text = text_of(input, shared)?;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let is_entity = c == '&' && starts_entity(text.get(at + 1..).unwrap_or(""));
        match escaped(c).filter(|_| !is_entity) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    built(out, shared)
}

/// `amp;` or `#39;`: names and numbers of a sane length.
fn starts_entity(rest: &str) -> bool {
    let (rest, is_number) = rest.strip_prefix('#').map_or((rest, false), |rest| (rest, true));
    let length = rest
        .bytes()
        .take(32)
        .take_while(|b| if is_number { b.is_ascii_digit() } else { b.is_ascii_alphabetic() })
        .count();
    length > 0 && rest.as_bytes().get(length) == Some(&b';')
}

pub(super) fn strip_html<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let text = text_of(input, shared)?;
    let mut out = String::new();
    let mut rest = text.as_ref();
    // An opening without its end stays, and so do all of its kind after it: no second search.
    let mut ends = [("<script", "</script>", true), ("<!--", "-->", true), ("<style", "</style>", true)];
    while let Some(at) = rest.find('<') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let mut skip = None;
        for (open, close, is_possible) in &mut ends {
            if *is_possible && tail.starts_with(*open) {
                skip = tail.find(*close).map(|end| end + close.len());
                *is_possible = skip.is_some();
                break;
            }
        }
        let Some(skip) = skip.or_else(|| tail.find('>').map(|end| end + 1)) else {
            rest = tail;
            break;
        };
        rest = tail.get(skip..).unwrap_or("");
    }
    out.push_str(rest);
    built(out, shared)
}

pub(super) fn url_encode<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let text = text_of(input, shared)?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").map_err(|_| Fault::Output)?,
        }
    }
    built(out, shared)
}

pub(super) fn url_decode<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let text = text_of(input, shared)?;
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                bytes = ahead;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    match String::from_utf8(out) {
        Ok(text) => built(text, shared),
        Err(_) => Fault::value("what was decoded is no text"),
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

pub(super) fn base64_encode<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    encode(input, shared, &BASE64_STANDARD)
}

pub(super) fn base64_url_safe_encode<'v>(
    input: &Value<'v>,
    _: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    encode(input, shared, &BASE64_URL_SAFE)
}

fn encode<'v>(input: &Value<'v>, shared: &mut Shared<'v>, engine: &impl Engine) -> Result<'v> {
    let text = text_of(input, shared)?;
    built(engine.encode(text.as_bytes()), shared)
}

/// Both alphabets, with or without padding.
pub(super) fn base64_decode<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let text = text_of(input, shared)?;
    let body = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(body.len());
    for chunk in body.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for byte in chunk {
            let Some(digit) = digit(*byte) else { return Fault::value("this is not base64") };
            bits = bits << 6 | digit;
        }
        bits <<= 6 * (4 - chunk.len());
        let [_, bytes @ ..] = bits.to_be_bytes();
        match chunk.len() {
            1 => return Fault::value("this is not base64"),
            length => out.extend(bytes.iter().take(length - 1)),
        }
    }
    match String::from_utf8(out) {
        Ok(text) => built(text, shared),
        Err(_) => Fault::value("what was decoded is no text"),
    }
}

fn digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
