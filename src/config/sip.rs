//! `[sip]` and `[media]`: where signalling listens, what is granted to phones, where sound goes. Nothing listens
//! while there is no `[[phone]]` and no `[[line]]` of kind `sip`.

use core::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::reader::{Item, Reader, place};
use crate::types::{AudioCodec, Network};

/// The networks that shops are built with (RFC 1918, 3927, 4193, 4291), and this machine.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];

/// `[sip]`
#[derive(Clone, Debug, PartialEq)]
pub struct SipSection {
    /// `udp`: addresses with ports; default `0.0.0.0:5060`.
    pub udp: Vec<SocketAddr>,
    /// `tcp`; default `0.0.0.0:5060`.
    pub tcp: Vec<SocketAddr>,
    /// `tls`; default none.
    pub tls: Vec<SocketAddr>,
    /// From `certificate` and `certificate_key_file` or `certificate_key_credential`; there when `tls` is.
    pub certificate: Option<Certificate>,
    /// `realm`, that phones are asked for; default `backroom`.
    pub realm: String,
    /// `digest`, that phones are challenged with; default `md5`.
    pub digest: DigestChoice,
    /// `lan`: where phones are, and where their sound may be; default the private networks.
    pub lan: Vec<Network>,
    /// `register_least`, seconds; default 60.
    pub register_least: Duration,
    /// `register_most`, seconds; default 3600.
    pub register_most: Duration,
    /// `contacts`: places at which one phone may be registered at a time; default 4.
    pub contacts: usize,
    /// `session_timer`, seconds (RFC 4028); default 1800.
    pub session_timer: Duration,
    /// `calls`: at a time, those inside the shop counted too; default 500.
    pub calls: usize,
    /// `codecs`, best first; default PCMU, PCMA, G722.
    pub codecs: Vec<AudioCodec>,
}

/// What phones are challenged with (RFC 8760). Many give up when they see an algorithm that they do not know, also
/// beside one that they do (baresip 1.0 among them); a password of `backroom phone new` is not guessed in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestChoice {
    /// `md5`: every phone knows it.
    #[default]
    Md5,
    /// `both`: SHA-256, then MD5.
    Both,
    /// `sha-256`: nothing else.
    Sha256,
}

/// What a TLS listener shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM: our own first, then those that lead to a root.
    pub path: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    /// First of `ports`: even; default 16384.
    pub first_port: u16,
    /// Last of `ports`; default 20479.
    pub last_port: u16,
    /// `silence`, seconds without any packet after which a call ends, zero never; default 60.
    pub silence: Duration,
    /// `prompts`: WAV files here stand in for sentences and music of the same name; default `prompts` in the storage.
    pub prompts: PathBuf,
}

impl SipSection {
    fn unsaid() -> Self {
        let any = SocketAddr::from(([0, 0, 0, 0], 5060));
        Self {
            udp: vec![any],
            tcp: vec![any],
            tls: Vec::new(),
            certificate: None,
            realm: "backroom".to_owned(),
            digest: DigestChoice::default(),
            lan: PRIVATE.iter().filter_map(|n| n.parse().ok()).collect(),
            register_least: Duration::from_secs(60),
            register_most: Duration::from_secs(3600),
            contacts: 4,
            session_timer: Duration::from_secs(1800),
            calls: 500,
            codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma, AudioCodec::G722],
        }
    }

    /// True when nothing can come in.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty() && self.tls.is_empty()
    }
}

impl Reader<'_> {
    pub(super) fn sip(&mut self, item: Option<&Item<'_>>) -> SipSection {
        let mut sip = SipSection::unsaid();
        let Some(item) = item else { return sip };
        let Some(table) = item.get_ref().as_table() else {
            self.bad(item, "sip", "a table");
            return sip;
        };
        let keys = [
            "udp",
            "tcp",
            "tls",
            "certificate",
            "certificate_key_file",
            "certificate_key_credential",
            "realm",
            "digest",
            "lan",
            "register_least",
            "register_most",
            "contacts",
            "session_timer",
            "calls",
            "codecs",
        ];
        self.known(table, "[sip]", &keys);
        sip.udp = self.listeners(table, "udp").unwrap_or(sip.udp);
        sip.tcp = self.listeners(table, "tcp").unwrap_or(sip.tcp);
        sip.tls = self.listeners(table, "tls").unwrap_or(sip.tls);
        sip.certificate = self.certificate(item.span().start, table, !sip.tls.is_empty());
        if let Some(realm) = self.string(table, "realm") {
            if realm.is_empty() || realm.contains(['"', '\\']) || realm.chars().any(char::is_control) {
                let text = "`realm` takes a word or a name without quotes".to_owned();
                self.fault(place(0, table, "realm"), text);
            }
            sip.realm = realm;
        }
        let choices =
            [("md5", DigestChoice::Md5), ("both", DigestChoice::Both), ("sha-256", DigestChoice::Sha256)];
        sip.digest = self.word(table, "digest", &choices).unwrap_or_default();
        sip.lan = self.networks(table, "lan").unwrap_or(sip.lan);
        sip.register_least =
            self.seconds_in(table, "register_least", 10, 86_400).unwrap_or(sip.register_least);
        sip.register_most = self.seconds_in(table, "register_most", 60, 86_400).unwrap_or(sip.register_most);
        if sip.register_least > sip.register_most {
            let at = place(item.span().start, table, "register_least");
            self.fault(at, "`register_least` is longer than `register_most`".to_owned());
        }
        sip.session_timer = self.seconds_in(table, "session_timer", 90, 86_400).unwrap_or(sip.session_timer);
        sip.contacts = self.count(table, "contacts", 1, 20).unwrap_or(sip.contacts);
        sip.calls = self.count(table, "calls", 1, 10_000).unwrap_or(sip.calls);
        sip.codecs = self.codecs(table).unwrap_or(sip.codecs);
        sip
    }

    fn certificate(&mut self, at: usize, table: &DeTable<'_>, wanted: bool) -> Option<Certificate> {
        let path = self.string(table, "certificate").map(PathBuf::from);
        let key = self.secret_file(table, "certificate_key");
        let key_named =
            ["certificate_key_file", "certificate_key_credential"].iter().any(|k| table.get(*k).is_some());
        if wanted && !table.contains_key("certificate") {
            let text = "`tls` needs `certificate`, a PEM file, and its `certificate_key_file`".to_owned();
            self.fault(place(at, table, "tls"), text);
        }
        let path = path?;
        if !key_named {
            let text = "`certificate` needs its private key: write `certificate_key_file`".to_owned();
            self.fault(place(at, table, "certificate"), text);
        }
        self.certificates_in(place(at, table, "certificate"), &path);
        let (key, secret) = key?;
        if !secret.expose().contains("PRIVATE KEY-----") {
            let named = if table.contains_key("certificate_key_file") {
                "certificate_key_file"
            } else {
                "certificate_key_credential"
            };
            self.fault(place(at, table, named), format!("`{named}` names no private key in PEM form"));
        }
        Some(Certificate { path, key })
    }

    /// Notes a file that holds no certificate.
    pub(super) fn certificates_in(&mut self, at: usize, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {}
            Ok(_) => self.fault(at, format!("{} is no certificate in PEM form", path.display())),
            Err(error) => self.fault(at, format!("{} cannot be read: {error}", path.display())),
        }
    }

    fn listeners(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<SocketAddr>> {
        let item = table.get(key)?;
        let mut addresses = Vec::new();
        for (at, text) in self.texts(item, key) {
            match text.parse::<SocketAddr>() {
                Ok(address) if address.port() == 0 => {
                    self.fault(at, format!("`{key}` needs a port other than 0: phones must know it"));
                }
                Ok(address) if addresses.contains(&address) => {
                    self.fault(at, format!("`{key}` names {address} twice"));
                }
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let text = format!("`{key}` takes addresses with ports, as 0.0.0.0:5060, not {text:?}");
                    self.fault(at, text);
                }
            }
        }
        Some(addresses)
    }

    pub(super) fn media(&mut self, item: Option<&Item<'_>>, storage: &Path) -> MediaSection {
        let mut media = MediaSection {
            first_port: 16_384,
            last_port: 20_479,
            silence: Duration::from_secs(60),
            prompts: storage.join("prompts"),
        };
        let Some(item) = item else { return media };
        let Some(table) = item.get_ref().as_table() else {
            self.bad(item, "media", "a table");
            return media;
        };
        self.known(table, "[media]", &["ports", "silence", "prompts"]);
        if let Some(text) = self.string(table, "ports") {
            let read = text.split_once('-').and_then(|(first, last)| {
                Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
            });
            // RTP takes the even port and RTCP the odd one above it (RFC 3550 §11); below 1024 are services.
            match read
                .filter(|(first, last)| *first >= 1024 && first % 2 == 0 && last.saturating_sub(*first) >= 3)
            {
                Some((first, last)) => (media.first_port, media.last_port) = (first, last),
                None => {
                    let text = format!(
                        "`ports` takes a range that begins at an even port from 1024 and has four at least, as \
                         16384-20479, not {text:?}"
                    );
                    self.fault(place(0, table, "ports"), text);
                }
            }
        }
        media.silence = self.seconds(table, "silence").unwrap_or(media.silence);
        if let Some(path) = self.string(table, "prompts") {
            media.prompts = PathBuf::from(path);
        }
        media
    }
}
