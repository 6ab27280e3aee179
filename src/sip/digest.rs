//! Digest authentication (RFC 7616 and RFC 8760; RFC 2617 and RFC 2069 where the far side knows no better), both
//! sides. The client answers the strongest challenge and counts its uses. The server's nonces carry their own proof,
//! so that strangers who only collect challenges take no memory; the store remembers those that were used rightly,
//! and each use counts once. Time, client nonces and the server's key are inputs. auth-int and `Basic` are absent.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::message::{Auth, Method};
use super::uri::Uri;
use crate::types::Mono;

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Every device knows it.
    Md5,
    /// The key depends on both nonces.
    Md5Sess,
    /// RFC 8760.
    Sha256,
    /// RFC 8760; the key depends on both nonces.
    Sha256Sess,
}

impl Algorithm {
    /// Reads `algorithm`; a missing one is MD5.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Option<Self> {
        let all = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];
        let Some(text) = text else { return Some(Self::Md5) };
        all.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(text))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    fn is_sess(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    fn strength(self) -> u8 {
        match self {
            Self::Md5 | Self::Md5Sess => 0,
            Self::Sha256 | Self::Sha256Sess => 1,
        }
    }

    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// A user name and its password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login (kept back)")
    }
}

/// What the response is computed from (RFC 7616 §3.4.1).
struct Inputs<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    /// `nc` as eight digits, when qop is auth.
    count: Option<&'a str>,
    method: &'a Method,
    uri: &'a str,
}

impl Inputs<'_> {
    fn response(&self) -> String {
        let hash = |parts: &[&str]| self.algorithm.hash(parts);
        let mut a1 = hash(&[self.username, self.realm, self.password]);
        if self.algorithm.is_sess() {
            a1 = hash(&[&a1, self.nonce, self.cnonce]);
        }
        let a2 = hash(&[self.method.as_str(), self.uri]);
        match self.count {
            Some(count) => hash(&[&a1, self.nonce, count, self.cnonce, "auth", &a2]),
            None => hash(&[&a1, self.nonce, &a2]),
        }
    }
}

/// The client's side of one challenge. Kept for the requests that follow, so that they need no challenge of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    named: bool,
    qop: bool,
    stale: bool,
    uses: u32,
}

impl Client {
    /// Takes the strongest of the challenges that can be answered; of equals the first.
    #[must_use]
    pub fn new(challenges: &[Auth]) -> Option<Self> {
        let mut best: Option<Self> = None;
        for client in challenges.iter().filter_map(Self::read) {
            if best.as_ref().is_none_or(|b| client.algorithm.strength() > b.algorithm.strength()) {
                best = Some(client);
            }
        }
        best
    }

    fn read(challenge: &Auth) -> Option<Self> {
        let named = challenge.get("algorithm");
        let qop = challenge.get("qop").filter(|q| !q.trim().is_empty());
        let auth = |q: &String| q.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
        if !challenge.is_digest() || !qop.as_ref().is_none_or(auth) {
            return None;
        }
        Some(Self {
            realm: challenge.get("realm")?,
            nonce: challenge.get("nonce")?,
            opaque: challenge.get("opaque"),
            algorithm: Algorithm::parse(named.as_deref())?,
            named: named.is_some(),
            qop: qop.is_some(),
            stale: challenge.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
            uses: 0,
        })
    }

    /// Whose password is asked for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether only the nonce was wrong: answering is worth it though credentials were sent already.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Credentials for one request; each use counts. `uri` is the Request-URI. `cnonce` is fresh randomness.
    #[must_use]
    pub fn authorize(&mut self, login: &Login, method: &Method, uri: &Uri, cnonce: &str) -> Auth {
        self.uses = self.uses.saturating_add(1);
        let count = format!("{:08x}", self.uses);
        let uri = uri.to_string();
        let inputs = Inputs {
            algorithm: self.algorithm,
            username: &login.username,
            realm: &self.realm,
            password: &login.password,
            nonce: &self.nonce,
            cnonce,
            count: self.qop.then_some(&count),
            method,
            uri: &uri,
        };
        let response = inputs.response();
        let mut auth = Auth::digest()
            .quoted("username", &login.username)
            .quoted("realm", &self.realm)
            .quoted("nonce", &self.nonce)
            .quoted("uri", &uri)
            .quoted("response", &response);
        if self.named {
            auth = auth.plain("algorithm", self.algorithm.as_str());
        }
        if self.qop || self.algorithm.is_sess() {
            auth = auth.quoted("cnonce", cnonce);
        }
        if let Some(opaque) = &self.opaque {
            auth = auth.quoted("opaque", opaque);
        }
        if self.qop { auth.plain("qop", "auth").plain("nc", &count) } else { auth }
    }
}

/// What the server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Shown to users by some phones.
    pub realm: String,
    /// Offered in this order (RFC 8760 §2.4: the strongest first).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    pub nonce_life: Duration,
    /// How many nonces in use are remembered; beyond it the oldest must be renewed.
    pub nonces: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            realm: "backroom".to_owned(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            nonce_life: Duration::from_secs(3600),
            nonces: 4096,
        }
    }
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user is who they say.
    Accepted,
    /// The password is right, the nonce is not: too old, used already, or of another start. Challenge with `stale`.
    Stale,
    /// Anything else. Says nothing about whether the user exists.
    Refused,
}

/// The server's side.
pub struct Server {
    settings: ServerSettings,
    key: [u8; 32],
    /// The number of the last nonce.
    issued: u64,
    /// Nonces up to this number were forgotten while they were valid, and are no longer.
    floor: u64,
    /// The oldest first. In one piece: what is kept for an hour shares no page with what a burst leaves free.
    used: VecDeque<Used>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).field("used", &self.used.len()).finish()
    }
}

/// Which counts of a nonce were seen.
#[derive(Clone, Copy, Debug)]
struct Used {
    number: u64,
    issued: Mono,
    highest: u32,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Used {
    /// Takes a count if it is new. Requests may overtake each other by up to 63.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.seen = self.seen.checked_shl(by).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1_u64.checked_shl(self.highest - count).unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// What a nonce of ours says.
struct Nonce {
    issued: Mono,
    number: u64,
}

const MAC_BYTES: usize = 16;

impl Server {
    /// `key` is 32 bytes of randomness, made anew at each start.
    #[must_use]
    pub fn new(settings: ServerSettings, key: [u8; 32]) -> Self {
        Self { settings, key, issued: 0, floor: 0, used: VecDeque::new() }
    }

    /// Challenges for one response, one an algorithm, with one nonce.
    pub fn challenge(&mut self, stale: bool, now: Mono) -> Vec<Auth> {
        self.issued += 1;
        let nonce = self.nonce(&Nonce { issued: now, number: self.issued });
        let make = |algorithm: &Algorithm| {
            let auth = Auth::digest()
                .quoted("realm", &self.settings.realm)
                .quoted("nonce", &nonce)
                .quoted("qop", "auth")
                .plain("algorithm", algorithm.as_str());
            if stale { auth.plain("stale", "true") } else { auth }
        };
        self.settings.algorithms.iter().map(make).collect()
    }

    /// The credentials that answer us, among others that a request may carry for others on its way.
    #[must_use]
    pub fn ours<'a>(&self, credentials: &'a [Auth]) -> Option<&'a Auth> {
        let realm = Some(&self.settings.realm);
        credentials.iter().find(|c| c.is_digest() && c.get("realm").as_ref() == realm)
    }

    /// Checks credentials of a request. `password` is that of the user they name; `None` when there is no such user,
    /// which takes as long and answers the same.
    pub fn verify(
        &mut self,
        credentials: &Auth,
        method: &Method,
        request_uri: &Uri,
        password: Option<&str>,
        now: Mono,
    ) -> Verdict {
        let Some(given) = Given::read(credentials) else { return Verdict::Refused };
        let inputs = Inputs {
            algorithm: given.algorithm,
            username: &given.username,
            realm: &given.realm,
            password: password.unwrap_or_default(),
            nonce: &given.nonce,
            cnonce: &given.cnonce,
            count: given.count.as_deref(),
            method,
            uri: &given.uri,
        };
        let right = same(&inputs.response(), &given.response);
        // Only who knows the password has more looked at, so that neither time nor work tells who exists.
        let accepted = right
            && password.is_some()
            && given.realm == self.settings.realm
            && self.settings.algorithms.contains(&given.algorithm)
            && means(&given.uri, request_uri);
        match (accepted, self.read_nonce(&given.nonce)) {
            (false, _) => Verdict::Refused,
            (true, None) => Verdict::Stale,
            (true, Some(nonce)) => self.count(&nonce, given.count.as_deref(), now),
        }
    }

    fn count(&mut self, nonce: &Nonce, count: Option<&str>, now: Mono) -> Verdict {
        let life = self.settings.nonce_life;
        while self.used.front().is_some_and(|oldest| now.since(oldest.issued) > life) {
            self.used.pop_front();
        }
        if now.since(nonce.issued) > life || nonce.number <= self.floor {
            return Verdict::Stale;
        }
        let at = self.used.partition_point(|used| used.number < nonce.number);
        if self.used.get(at).is_none_or(|used| used.number != nonce.number) {
            let unused = Used { number: nonce.number, issued: nonce.issued, highest: 0, seen: 0 };
            self.used.insert(at, unused);
        }
        let Some(used) = self.used.get_mut(at) else { return Verdict::Stale };
        // Without a count (RFC 2069) a nonce serves once.
        let new = match count {
            Some(count) => u32::from_str_radix(count, 16).is_ok_and(|c| c > 0 && used.take(c)),
            None => used.take(u32::MAX),
        };
        while self.used.len() > self.settings.nonces {
            let Some(oldest) = self.used.pop_front() else { break };
            self.floor = oldest.number;
        }
        if new { Verdict::Accepted } else { Verdict::Stale }
    }

    fn nonce(&self, nonce: &Nonce) -> String {
        let mut bytes = Vec::with_capacity(16 + MAC_BYTES);
        bytes.extend(nonce.issued.0.to_be_bytes());
        bytes.extend(nonce.number.to_be_bytes());
        let mac = hmac(&self.key, &bytes);
        bytes.extend(mac.iter().take(MAC_BYTES));
        hex(&bytes)
    }

    /// `None` when it is none of ours.
    fn read_nonce(&self, text: &str) -> Option<Nonce> {
        let bytes = unhex(text)?;
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let nonce = Nonce { issued: Mono(number(0)?), number: number(8)? };
        same(&self.nonce(&nonce), text).then_some(nonce)
    }
}

/// The fields of credentials that we go by.
struct Given {
    algorithm: Algorithm,
    username: String,
    realm: String,
    nonce: String,
    cnonce: String,
    count: Option<String>,
    uri: String,
    response: String,
}

impl Given {
    fn read(auth: &Auth) -> Option<Self> {
        let qop = auth.get("qop").filter(|q| !q.is_empty());
        let count = match &qop {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let count = auth.get("nc")?;
                let digits = count.len() == 8 && count.bytes().all(|b| b.is_ascii_hexdigit());
                Some(digits.then_some(count)?)
            }
            Some(_) => return None,
        };
        let cnonce = auth.get("cnonce");
        if !auth.is_digest() || (qop.is_some() && cnonce.is_none()) {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::parse(auth.get("algorithm").as_deref())?,
            username: auth.get("username")?,
            realm: auth.get("realm")?,
            nonce: auth.get("nonce")?,
            cnonce: cnonce.unwrap_or_default(),
            count,
            uri: auth.get("uri")?,
            response: auth.get("response")?,
        })
    }
}

/// Whether the digest's URI means the Request-URI. Phones leave out ports and parameters; user and host they do not.
fn means(text: &str, request_uri: &Uri) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    match (&uri, request_uri) {
        (Uri::Sip(a), Uri::Sip(b)) => a.user() == b.user() && a.host.same_as(&b.host),
        (a, b) => a.same_as(b),
    }
}

/// Compares hexadecimal digits without telling by time where they differ.
fn same(a: &str, b: &str) -> bool {
    let differs = a.bytes().zip(b.bytes()).fold(0_u8, |sum, (x, y)| sum | (x ^ y.to_ascii_lowercase()));
    a.len() == b.len() && differs == 0
}

/// RFC 2104 with SHA-256 and a key of half a block.
fn hmac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    fn login() -> Login {
        Login { username: "10\"1".to_owned(), password: "s3cret:x".to_owned() }
    }

    fn uri() -> Uri {
        "sip:backroom.example:5060".parse().unwrap()
    }

    fn server(algorithms: &[Algorithm]) -> Server {
        Server::new(ServerSettings { algorithms: algorithms.to_vec(), nonces: 2, ..Default::default() }, KEY)
    }

    fn client(server: &mut Server, now: u64) -> Client {
        Client::new(&server.challenge(false, Mono(now))).unwrap()
    }

    fn check(server: &mut Server, auth: &Auth, now: u64) -> Verdict {
        let wire: Auth = auth.to_string().parse().unwrap();
        server.verify(&wire, &Method::Register, &uri(), Some("s3cret:x"), Mono(now))
    }

    fn answer(client: &mut Client) -> Auth {
        client.authorize(&login(), &Method::Register, &uri(), "c")
    }

    #[test]
    fn rfc_2617_example_in_its_3_5() {
        let challenge: Auth = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""
            .parse()
            .unwrap();
        let login = Login { username: "Mufasa".to_owned(), password: "Circle Of Life".to_owned() };
        let client = Client::new(&[challenge]).unwrap();
        let inputs = Inputs {
            algorithm: client.algorithm,
            username: &login.username,
            realm: &client.realm,
            password: &login.password,
            nonce: &client.nonce,
            cnonce: "0a4f113b",
            count: Some("00000001"),
            method: &Method::Other("GET".into()),
            uri: "/dir/index.html",
        };
        assert_eq!(inputs.response(), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn rfc_7616_example_in_its_3_9_1() {
        let inputs = |algorithm| {
            Inputs {
                algorithm,
                username: "Mufasa",
                realm: "http-auth@example.org",
                password: "Circle of Life",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                count: Some("00000001"),
                method: &Method::Other("GET".into()),
                uri: "/dir/index.html",
            }
            .response()
        };
        assert_eq!(inputs(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            inputs(Algorithm::Sha256),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn every_algorithm_is_accepted_and_the_wrong_password_is_not() {
        use Algorithm::{Md5, Md5Sess, Sha256, Sha256Sess};
        for algorithm in [Md5, Md5Sess, Sha256, Sha256Sess] {
            let mut server = server(&[algorithm]);
            let mut client = client(&mut server, 0);
            let auth = answer(&mut client);
            assert_eq!(check(&mut server, &auth, 1), Verdict::Accepted);
            let wrong = Login { password: "x".to_owned(), ..login() };
            let auth = client.authorize(&wrong, &Method::Register, &uri(), "c");
            assert_eq!(check(&mut server, &auth, 1), Verdict::Refused);
            let auth = answer(&mut client);
            let of_another_method = server.verify(&auth, &Method::Invite, &uri(), Some("s3cret:x"), Mono(1));
            assert_eq!(of_another_method, Verdict::Refused);
            let nobody = server.verify(&auth, &Method::Register, &uri(), None, Mono(1));
            assert_eq!(nobody, Verdict::Refused);
        }
    }

    #[test]
    fn the_strongest_challenge_is_answered() {
        let mut server = server(&[Algorithm::Md5, Algorithm::Sha256]);
        let mut client = client(&mut server, 0);
        assert_eq!(answer(&mut client).get("algorithm").unwrap(), "SHA-256");
        let unknown: Auth = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256".parse().unwrap();
        assert_eq!(Client::new(&[unknown]), None);
        let int: Auth = "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"".parse().unwrap();
        assert_eq!(Client::new(&[int]), None);
    }

    #[test]
    fn counts_run_beyond_nine_and_each_serves_once() {
        let mut server = server(&[Algorithm::Md5]);
        let mut client = client(&mut server, 0);
        for use_ in 1..=0x101_u32 {
            let auth = answer(&mut client);
            assert_eq!(auth.get("nc").unwrap(), format!("{use_:08x}"));
            assert_eq!(check(&mut server, &auth, 1), Verdict::Accepted, "{use_}");
            assert_eq!(check(&mut server, &auth, 1), Verdict::Stale, "{use_}");
        }
    }

    #[test]
    fn requests_may_overtake_each_other() {
        let mut server = server(&[Algorithm::Md5]);
        let mut client = client(&mut server, 0);
        let auths: Vec<Auth> = (0..70).map(|_| answer(&mut client)).collect();
        assert_eq!(check(&mut server, &auths[69], 1), Verdict::Accepted);
        assert_eq!(check(&mut server, &auths[6], 1), Verdict::Accepted);
        assert_eq!(check(&mut server, &auths[6], 1), Verdict::Stale);
        assert_eq!(check(&mut server, &auths[5], 1), Verdict::Stale, "out of the window");
    }

    #[test]
    fn an_old_or_foreign_nonce_with_the_right_password_is_stale() {
        let mut server = server(&[Algorithm::Md5]);
        let mut client = client(&mut server, 0);
        let auth = answer(&mut client);
        assert_eq!(check(&mut server, &auth, 3_600_001), Verdict::Stale);
        let mut restarted = Server::new(ServerSettings::default(), [8; 32]);
        let auth = answer(&mut client);
        assert_eq!(check(&mut restarted, &auth, 1), Verdict::Stale);
        let renewed = restarted.challenge(true, Mono(1));
        assert!(Client::new(&renewed).unwrap().is_stale());
    }

    #[test]
    fn a_nonce_without_count_serves_once() {
        let mut server = server(&[Algorithm::Md5]);
        let mut challenge = server.challenge(false, Mono(0)).remove(0);
        challenge.params.remove("qop");
        let mut client = Client::new(&[challenge]).unwrap();
        let auth = answer(&mut client);
        assert_eq!(auth.get("nc"), None);
        assert_eq!(check(&mut server, &auth, 1), Verdict::Accepted);
        assert_eq!(check(&mut server, &auth, 1), Verdict::Stale);
    }

    #[test]
    fn the_store_is_bounded_and_what_it_forgets_cannot_be_replayed() {
        let mut server = server(&[Algorithm::Md5]);
        let mut first = client(&mut server, 0);
        let replayed = answer(&mut first);
        assert_eq!(check(&mut server, &replayed, 1), Verdict::Accepted);
        for _ in 0..5 {
            let mut other = client(&mut server, 2);
            assert_eq!(check(&mut server, &answer(&mut other), 2), Verdict::Accepted);
        }
        assert_eq!(server.used.len(), 2);
        assert_eq!(check(&mut server, &replayed, 3), Verdict::Stale);
    }

    #[test]
    fn challenges_alone_take_no_memory() {
        let mut server = server(&[Algorithm::Md5]);
        (0..1000).for_each(|n| drop(server.challenge(false, Mono(n))));
        assert!(server.used.is_empty());
    }

    #[test]
    fn a_response_for_another_address_is_refused() {
        let mut server = server(&[Algorithm::Md5]);
        let mut client = client(&mut server, 0);
        let elsewhere = "sip:elsewhere.example".parse().unwrap();
        let auth = client.authorize(&login(), &Method::Register, &elsewhere, "c");
        assert_eq!(check(&mut server, &auth, 1), Verdict::Refused);
    }

    proptest! {
        #[test]
        fn no_credentials_panic(text in "(Digest )?[a-z0-9=\", \\\\;\\PC]{0,120}", bytes in "[0-9a-f]{0,70}") {
            let mut server = server(&[Algorithm::Md5, Algorithm::Sha256]);
            if let Ok(auth) = text.parse::<Auth>() {
                prop_assert_eq!(auth.to_string().parse::<Auth>().unwrap(), auth.clone());
                prop_assert_eq!(check(&mut server, &auth, 0), Verdict::Refused);
                drop(Client::new(&[auth]));
            }
            prop_assert!(server.read_nonce(&bytes).is_none());
        }
    }
}
