//! Percent codes (RFC 3986 §2.1). Which characters go without is the caller's to say.

/// Codes undone; what is no code stays as it is, what is no UTF-8 becomes U+FFFD.
pub(crate) fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        bytes.push(code.map_or(*first, |(high, low)| high * 16 + low));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// ASCII letters, digits and what is in `plain` as they are, all else in codes.
pub(crate) fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_stays() {
        assert_eq!(decode(b"%zz%4%+1%%41+%c3%A9%"), "%zz%4%+1%A+\u{e9}%");
        assert_eq!(encode("a-b/\u{e9}", b"-"), "a-b%2F%C3%A9");
    }
}
