//! Digest authentication with MD5 and SHA-256 (RFC 7616, RFC 8760): the answer to a challenge, and its check.

use super::Message;
use super::uri::split_outside;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    #[default]
    Md5,
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn read(name: Option<&str>) -> Option<Algorithm> {
        match name.unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => Some(Algorithm::Md5),
            "SHA-256" => Some(Algorithm::Sha256),
            _ => None,
        }
    }

    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// Who somebody is and what only they know.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// What a server asks, out of WWW-Authenticate or Proxy-Authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub algorithm: Algorithm,
    /// The server offered `qop=auth`.
    pub qop: bool,
    pub opaque: Option<String>,
    pub stale: bool,
}

impl Challenge {
    #[must_use]
    pub fn new(realm: &str, nonce: &str, algorithm: Algorithm, stale: bool) -> Challenge {
        Challenge { realm: realm.into(), nonce: nonce.into(), algorithm, qop: true, opaque: None, stale }
    }

    /// The first challenge of a 401 or 407 that can be answered (RFC 8760 §2.4: they stand in order of preference).
    #[must_use]
    pub fn first(response: &Message) -> Option<Challenge> {
        let asks = |name: &str| name == "WWW-Authenticate" || name == "Proxy-Authenticate";
        response.headers.iter().filter(|(name, _)| asks(name)).find_map(|(_, value)| Challenge::read(value))
    }

    fn read(value: &str) -> Option<Challenge> {
        let fields = fields(value)?;
        let field = |name: &str| fields.get(name).map(String::as_str);
        let qops = field("qop");
        let qop = qops.is_some_and(|q| q.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qops.is_some() && !qop {
            return None;
        }
        Some(Challenge {
            realm: field("realm")?.into(),
            nonce: field("nonce")?.into(),
            algorithm: Algorithm::read(field("algorithm"))?,
            qop,
            opaque: field("opaque").map(str::to_owned),
            stale: field("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The value of WWW-Authenticate or Proxy-Authenticate.
    #[must_use]
    pub fn write(&self) -> String {
        let (realm, nonce, algorithm) = (&self.realm, &self.nonce, self.algorithm.name());
        let qop = if self.qop { ", qop=\"auth\"" } else { "" };
        let stale = if self.stale { ", stale=true" } else { "" };
        format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}{qop}{stale}")
    }

    /// The value of Authorization or Proxy-Authorization; `count` is how often this nonce was used, from 1.
    #[must_use]
    pub fn answer(&self, who: &Credentials, method: &str, uri: &str, count: u32) -> String {
        let (user, realm, nonce) = (&who.user, &self.realm, &self.nonce);
        let cnonce = super::token();
        let count = format!("{count:08x}");
        let proof =
            proof(self.algorithm, who, realm, nonce, method, uri, self.qop.then_some((&count, &cnonce)));
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{proof}\", algorithm={}",
            self.algorithm.name()
        );
        if self.qop {
            value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        value
    }
}

/// Whether an Authorization value answers a challenge with this nonce for who it should.
#[must_use]
pub fn proves(value: &str, who: &Credentials, method: &str, nonce: &str) -> bool {
    let Some(fields) = fields(value) else { return false };
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let Some(algorithm) = Algorithm::read(fields.get("algorithm").map(String::as_str)) else { return false };
    let qop = fields.contains_key("qop").then(|| (field("nc"), field("cnonce")));
    let wanted = proof(algorithm, who, field("realm"), nonce, method, field("uri"), qop);
    field("username") == who.user
        && field("nonce") == nonce
        && field("response").eq_ignore_ascii_case(&wanted)
}

/// The nonce that an Authorization value was made with.
#[must_use]
pub fn nonce_of(value: &str) -> Option<String> {
    fields(value)?.remove("nonce")
}

/// RFC 7616 §3.4.1.
fn proof(
    algorithm: Algorithm,
    who: &Credentials,
    realm: &str,
    nonce: &str,
    method: &str,
    uri: &str,
    qop: Option<(&str, &str)>,
) -> String {
    let secret = algorithm.hash(&format!("{}:{realm}:{}", who.user, who.password));
    let request = algorithm.hash(&format!("{method}:{uri}"));
    match qop {
        Some((count, cnonce)) => algorithm.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}")),
        None => algorithm.hash(&format!("{secret}:{nonce}:{request}")),
    }
}

fn fields(value: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let pairs = split_outside(rest, ',').into_iter().filter_map(|pair| pair.split_once('='));
    let clean = |value: &str| value.trim().trim_matches('"').replace("\\\"", "\"");
    Some(pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), clean(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1, which gives the proofs for both algorithms.
    #[test]
    fn the_proofs_of_the_rfc_are_made() {
        let who = Credentials { user: "Mufasa".into(), password: "Circle of Life".into() };
        let (realm, nonce) = ("http-auth@example.org", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v");
        let qop = Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"));
        let made = |a| proof(a, &who, realm, nonce, "GET", "/dir/index.html", qop);
        assert_eq!(made(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            made(Algorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn an_answer_proves_itself_and_nothing_else() {
        let who = Credentials { user: "100".into(), password: "secret".into() };
        let other = Credentials { user: "100".into(), password: "guess".into() };
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let challenge =
                Challenge::read(&Challenge::new("shop, x", "n1", algorithm, false).write()).unwrap();
            for count in [1, 10, 256] {
                let answer = challenge.answer(&who, "REGISTER", "sip:shop", count);
                assert!(proves(&answer, &who, "REGISTER", "n1"), "{algorithm:?} {count}");
                assert!(!proves(&answer, &other, "REGISTER", "n1"));
                assert!(!proves(&answer, &who, "INVITE", "n1"));
                assert!(!proves(&answer, &who, "REGISTER", "n2"));
            }
        }
        assert!(!proves("Basic eA==", &who, "REGISTER", "n1"));
    }
}
