//! `[[line]]` of kind `sip`: a trunk.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::secret::Secret;
use crate::types::{AudioCodec, LineId, Network, PhoneNumber, ShopId};

/// How SIP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SipTransport {
    /// `udp`.
    Udp,
    /// `tcp`.
    Tcp,
    /// `tls`.
    Tls,
}

/// How a trunk wants to be told who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallerStyle {
    /// `asserted`: P-Asserted-Identity (RFC 3325).
    #[default]
    Asserted,
    /// `preferred`: P-Preferred-Identity.
    Preferred,
    /// `from`: only From.
    From,
}

/// `[[line]]` with `kind = "sip"`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkLine {
    /// `id`.
    pub id: LineId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `domain`, the provider's: Request-URI and To of calls.
    pub domain: String,
    /// `proxy`: the host (IPv6 without brackets) that is spoken to instead of the domain's own.
    pub proxy: Option<String>,
    /// The port behind `proxy`; without one DNS says.
    pub port: Option<u16>,
    /// `transport`; without it DNS says (RFC 3263).
    pub transport: Option<SipTransport>,
    /// `ca`: over TLS only the authorities in this PEM file are believed; the system's when it is not said.
    pub ca: Option<PathBuf>,
    /// `username` with `password_file` or `password_credential`.
    pub login: Option<(String, Secret)>,
    /// `user`, of our own address there; the login's name when it is not said.
    pub user: Option<String>,
    /// `register`; default true with a login, false without.
    pub register: bool,
    /// `expires`, seconds; default 600.
    pub expires: Duration,
    /// `networks`: calls are taken from there too, besides the provider's own addresses.
    pub networks: Vec<Network>,
    /// `media_networks`: its sound may be there, besides the address that signals.
    pub media_networks: Vec<Network>,
    /// `number`, that people dial to reach this line.
    pub number: Option<PhoneNumber>,
    /// `channels`: calls at a time; default 4.
    pub channels: u16,
    /// `reserve`: emergency calls try lines in this order, those without one last.
    pub reserve: Option<u8>,
    /// `identity`; default `asserted`.
    pub identity: CallerStyle,
    /// `pass_caller`: the provider takes other people's numbers as caller; default false.
    pub pass_caller: bool,
    /// `options_every`: seconds between two questions for its health, zero asks never; default 30.
    pub options_every: Duration,
    /// `srtp`: only encrypted sound; default false.
    pub srtp: bool,
    /// `nat`: our address is learned from the provider's answers; default true.
    pub nat: bool,
    /// `codecs`, when not those of `[sip]`.
    pub codecs: Option<Vec<AudioCodec>>,
}

const KEYS: [&str; 24] = [
    "id",
    "shop",
    "kind",
    "domain",
    "proxy",
    "transport",
    "ca",
    "username",
    "password_file",
    "password_credential",
    "user",
    "register",
    "expires",
    "networks",
    "media_networks",
    "number",
    "channels",
    "reserve",
    "identity",
    "pass_caller",
    "options_every",
    "srtp",
    "nat",
    "codecs",
];

impl Reader<'_> {
    pub(super) fn trunk(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> TrunkLine {
        self.known(table, "[[line]] of kind \"sip\"", &KEYS);
        let id = LineId(self.id(at, table, "[[line]]"));
        let shop = self.shop_of(at, table, shops, "[[line]]");
        let (proxy, port) = self.host_and_port(table, "proxy").map_or((None, None), |(h, p)| (Some(h), p));
        let login = self.login(at, table);
        let register = self.boolean(table, "register").unwrap_or(login.is_some());
        if register && login.is_none() && table.contains_key("register") && !table.contains_key("username") {
            let text = "`register` needs a `username` and a `password_file`".to_owned();
            self.fault(place(at, table, "register"), text);
        }
        let ca = self.string(table, "ca").map(PathBuf::from);
        if let Some(path) = &ca {
            self.certificates_in(place(at, table, "ca"), path);
        }
        let number = self.string(table, "number").and_then(|text| {
            let read = PhoneNumber::parse(&text, None);
            if let Err(error) = &read {
                self.fault(place(at, table, "number"), format!("`number`: {error}"));
            }
            read.ok()
        });
        let styles = [
            ("asserted", CallerStyle::Asserted),
            ("preferred", CallerStyle::Preferred),
            ("from", CallerStyle::From),
        ];
        let ways = [("udp", SipTransport::Udp), ("tcp", SipTransport::Tcp), ("tls", SipTransport::Tls)];
        TrunkLine {
            domain: self.domain(at, table),
            proxy,
            port,
            transport: self.word(table, "transport", &ways),
            ca,
            login,
            user: self.user_part(table),
            register,
            expires: self.seconds_in(table, "expires", 60, 86_400).unwrap_or(Duration::from_secs(600)),
            networks: self.networks(table, "networks").unwrap_or_default(),
            media_networks: self.networks(table, "media_networks").unwrap_or_default(),
            number,
            channels: self.count(table, "channels", 1, 1000).unwrap_or(4),
            reserve: self.count(table, "reserve", 0, 255),
            identity: self.word(table, "identity", &styles).unwrap_or_default(),
            pass_caller: self.boolean(table, "pass_caller").unwrap_or(false),
            options_every: self.options_every(table),
            srtp: self.boolean(table, "srtp").unwrap_or(false),
            nat: self.boolean(table, "nat").unwrap_or(true),
            codecs: self.codecs(table),
            id,
            shop,
        }
    }

    fn domain(&mut self, at: usize, table: &DeTable<'_>) -> String {
        let Some(domain) = self.string(table, "domain") else {
            if !table.contains_key("domain") {
                let text =
                    "[[line]] of kind \"sip\" has no `domain`: write the provider's, as sip.example.com";
                self.fault(at, text.to_owned());
            }
            return String::new();
        };
        if !is_host(&domain) {
            let text = format!("`domain` takes a name such as sip.example.com or an address, not {domain:?}");
            self.fault(place(at, table, "domain"), text);
        }
        domain
    }

    fn login(&mut self, at: usize, table: &DeTable<'_>) -> Option<(String, Secret)> {
        let username = self.string(table, "username").filter(|name| {
            let good = !name.is_empty() && !name.chars().any(|c| c.is_control() || c == '"');
            if !good {
                self.fault(place(at, table, "username"), "`username` takes a name without quotes".to_owned());
            }
            good
        });
        let secret = ["password_file", "password_credential"].iter().any(|k| table.contains_key(*k));
        let password = self.secret(table, "password");
        match (table.contains_key("username"), secret) {
            (true, false) => {
                let text = "`username` needs its password: write `password_file`".to_owned();
                self.fault(place(at, table, "username"), text);
            }
            (false, true) => self.fault(at, "a password is there and no `username`".to_owned()),
            (true, true) | (false, false) => {}
        }
        Some((username?, password?))
    }

    fn user_part(&mut self, table: &DeTable<'_>) -> Option<String> {
        let user = self.string(table, "user")?;
        if user.is_empty()
            || !user.chars().all(|c| c.is_ascii_alphanumeric() || "+-_.!~*'()&=$,;?/".contains(c))
        {
            let text = format!("`user` takes what stands before the @ of our address, not {user:?}");
            self.fault(place(0, table, "user"), text);
        }
        Some(user)
    }

    fn options_every(&mut self, table: &DeTable<'_>) -> Duration {
        let every = self.seconds(table, "options_every").unwrap_or(Duration::from_secs(30));
        if !every.is_zero() && every < Duration::from_secs(5) {
            let text = "`options_every` takes 0 for never, or 5 seconds at least".to_owned();
            self.fault(place(0, table, "options_every"), text);
        }
        every
    }

    /// `host`, `host:port`, `[v6]:port`.
    fn host_and_port(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, Option<u16>)> {
        let text = self.string(table, key)?;
        let split = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                port.parse::<u16>().ok().filter(|p| *p > 0).map(|p| (host.to_owned(), Some(p)))
            }
            Some(_) | None => Some((text.clone(), None)),
        };
        let read = split.filter(|(host, _)| is_host(host));
        if read.is_none() {
            let what =
                format!("`{key}` takes a host, or a host and a port, as sbc.example.com:5061, not {text:?}");
            self.fault(place(0, table, key), what);
        }
        let bare = |host: String| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        read.map(|(host, port)| (bare(host), port))
    }
}

/// A host name, or an address (IPv6 with or without brackets).
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<core::net::IpAddr>().is_ok() {
        return true;
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // All digits and dots is an address that is wrong, not a name.
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.len() <= 253 && !digits && text.trim_end_matches('.').split('.').all(label)
}
