//! `application/x-www-form-urlencoded`, as queries and bodies have it. A list keeps order and repeated names.

use crate::percent;

/// Names and values in the order sent.
pub(super) type Pairs = Vec<(String, String)>;

/// Never fails: what is no percent code stays as it is, what is no UTF-8 becomes U+FFFD.
pub(super) fn parse(text: &[u8]) -> Pairs {
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            (decode_plus(name), decode_plus(value))
        })
        .collect()
}

/// The inverse of [`parse`].
pub(super) fn write(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// The first value of that name.
pub(super) fn get<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn decode_plus(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent::decode(&spaced)
}

/// A part of a path, its percent codes undone; a plus is a plus.
pub(super) fn decode(text: &str) -> String {
    percent::decode(text.as_bytes())
}

/// Everything but RFC 3986's unreserved characters as percent codes.
pub(super) fn encode(text: &str) -> String {
    percent::encode(text, b"-._~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_in_a_filters_name_is_part_of_the_name_encoded_or_not() {
        for query in ["DateSent%3E=2026-11-20", "DateSent>=2026-11-20"] {
            assert_eq!(get(&parse(query.as_bytes()), "DateSent>"), Some("2026-11-20"), "{query}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let pairs: Pairs = vec![("Body".into(), "a+b & 100% é\n".into()), ("Empty".into(), String::new())];
        assert_eq!(parse(write(&pairs).as_bytes()), pairs);
        assert_eq!(parse(b"a=%zz&b=%4"), vec![("a".into(), "%zz".into()), ("b".into(), "%4".into())]);
    }
}
