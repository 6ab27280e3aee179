//! One name for each thing that is asked of the dealer, however a flow spells its URL.

/// Everything that a profile may include, and everything that transactions may.
const PROFILE: [&str; 4] = ["equipment", "addresses", "resources", "parts"];
const TRANSACTIONS: [&str; 3] = ["service_orders", "parts_orders", "invoices"];

/// The key under which the answer to this path is kept: percent-encoding made even (`%2B1206…` and `+1206…` are
/// one), query parameters sorted, the list in `include` sorted and without repeats, no fragment.
#[must_use]
pub fn cache_key(path: &str) -> String {
    let (path, query) = split(path);
    let mut key = path.split('/').map(|part| encode(&decode(part, false))).collect::<Vec<_>>().join("/");
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let text = |part| String::from_utf8_lossy(&decode(part, true)).into_owned();
            let (name, value) = (text(name), text(value));
            if name != "include" {
                return (name, value);
            }
            let mut list: Vec<&str> =
                value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            list.sort_unstable();
            list.dedup();
            (name, list.join(","))
        })
        .collect();
    parameters.sort();
    for (at, (name, value)) in parameters.iter().enumerate() {
        key.push(if at == 0 { '?' } else { '&' });
        key.push_str(&encode(name.as_bytes()));
        key.push('=');
        key.push_str(&encode(value.as_bytes()));
    }
    key
}

/// The same request with everything included that the contract knows, when it is a profile or transactions: one
/// kept answer then serves every flow, also one that was not asked before the dealer went away. Other paths
/// are as they were.
#[must_use]
pub fn widened(path: &str) -> String {
    let (bare, _) = split(path);
    let parts: Vec<&str> = bare.split('/').filter(|part| !part.is_empty()).collect();
    let includes = match parts[..] {
        ["api", "customers", "by-phone", _] => &PROFILE[..],
        ["api", "customers", _, "transactions"] => &TRANSACTIONS[..],
        _ => return path.to_owned(),
    };
    format!("{bare}?include={}", includes.join(","))
}

fn split(path: &str) -> (&str, &str) {
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    path.split_once('?').unwrap_or((path, ""))
}

/// `plus_is_space` as in a query (WHATWG URL §5.1); what is not an escape stays as it is.
fn decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(high), Some(low)) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (byte, escaped) {
            (_, Some((high, low))) => {
                decoded.push(high * 16 + low);
                at += 2;
            }
            (b'+', None) if plus_is_space => decoded.push(b' '),
            (byte, None) => decoded.push(*byte),
        }
        at += 1;
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Unreserved characters (RFC 3986 §2.3) and the comma stay; everything else is escaped in capitals.
fn encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => {
                encoded.push(char::from(*byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_has_one_key_however_it_is_spelt() {
        let key = "/api/customers/by-phone/%2B12065550101?include=addresses,equipment";
        for spelling in [
            key,
            "/api/customers/by-phone/+12065550101?include=equipment,addresses",
            "/api/customers/by-phone/%2b12065550101?include=equipment%2Caddresses,equipment#top",
            "/api/customers/by-phone/%2B12065550101?&include=equipment,,%20addresses",
        ] {
            assert_eq!(cache_key(spelling), key, "{spelling}");
        }
        assert_eq!(cache_key("/a?b=2&a=1"), cache_key("/a?a=1&b=2"));
        assert_ne!(cache_key("/a%2Fb"), cache_key("/a/b"));
        assert_eq!(cache_key("/a?b=%zz%4"), "/a?b=%25zz%254");
        assert_eq!(cache_key(key), cache_key(&cache_key(key)));
    }

    #[test]
    fn a_narrow_request_is_widened_so_that_one_answer_serves_all_flows() {
        assert_eq!(
            widened("/api/customers/C-1/transactions?include=invoices"),
            "/api/customers/C-1/transactions?include=service_orders,parts_orders,invoices"
        );
        assert_eq!(
            widened("/api/customers/by-phone/%2B12065550101"),
            "/api/customers/by-phone/%2B12065550101?include=equipment,addresses,resources,parts"
        );
        assert_eq!(widened("/api/loyalty?x=1"), "/api/loyalty?x=1");
    }
}
