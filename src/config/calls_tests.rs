//! What is read about calls: trunks, phones, signalling, sound. And that no text at all breaks the reading.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::file::parse;
use super::{CallerStyle, Config, Fault, SipTransport};
use crate::types::AudioCodec;

const PASSWORD: &str = "k7Qz-mm2W-9xTb";

/// Reads a text in which `@name` is a file of `folder`.
fn read(folder: &Path, text: &str) -> Result<Config, Vec<Fault>> {
    let text = text.replace('@', &format!("{}/", folder.display()));
    parse(&format!("[[shop]]\nid = \"main\"\n{text}"), None)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("good", PASSWORD),
        ("other", "vR4n-8pLs-d3Kc"),
        ("weak", "101101101101"),
        ("cert", "-----BEGIN CERTIFICATE-----\n"),
        ("key", "-----BEGIN PRIVATE KEY-----\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_trunk_a_phone_and_all_around_them_are_read() {
    let folder = folder();
    let text = r#"
[[line]]
id = "trunk"
kind = "sip"
domain = "sip.example.com"
proxy = "[2001:db8::5]:5062"
transport = "tls"
ca = "@cert"
username = "shop"
password_file = "@good"
identity = "preferred"
codecs = ["g722"]
number = "+1 206 555 0100"
options_every = 0
[[line]]
id = "sim1"
[[phone]]
id = "101"
password_file = "@other"
[sip]
tls = ["0.0.0.0:5061"]
certificate = "@cert"
certificate_key_file = "@key"
[media]
ports = "20000-20099"
"#;
    let config = read(folder.path(), text).unwrap();
    assert!(config.has_calls());
    let trunk = &config.trunks[0];
    assert_eq!((trunk.proxy.as_deref(), trunk.port), (Some("2001:db8::5"), Some(5062)));
    assert_eq!((trunk.transport, trunk.identity), (Some(SipTransport::Tls), CallerStyle::Preferred));
    assert!(trunk.register && trunk.nat && trunk.options_every.is_zero());
    assert_eq!(trunk.codecs.as_deref(), Some([AudioCodec::G722].as_slice()));
    assert_eq!(trunk.number.as_ref().unwrap().as_str(), "+12065550100");
    assert_eq!(trunk.login.as_ref().unwrap().1.expose(), PASSWORD);
    assert_eq!(config.lines.len(), 1, "modems stay where they were");
    assert_eq!(config.phones[0].extension, "101", "an id that is a number is the extension too");
    assert_eq!(config.phones[0].ring, Duration::from_secs(25));
    assert_eq!(config.sip.certificate.as_ref().unwrap().key, folder.path().join("key"));
    assert_eq!((config.media.first_port, config.media.last_port), (20_000, 20_099));
    assert_eq!(config.media.prompts, Path::new("/var/lib/backroom/prompts"));
}

#[test]
fn every_mistake_about_calls_gets_its_line_and_says_what_to_do() {
    let folder = folder();
    let text = r#"[[line]]
id = "trunk"
kind = "sip"
domain = "sip:provider.example"
proxy = "host:99999"
transport = "carrier pigeon"
username = "shop"
number = "555"
channels = 0
networks = ["10.0.0.0/40"]
identity = "nobody"
options_every = 1
codecs = ["OPUS"]
baud = 9600
[[line]]
id = "trunk"
kind = "isdn"
[[phone]]
id = "front"
password_file = "@weak"
extension = "front"
direct = "12"
ring = 0
[[phone]]
id = "FRONT"
extension = "102"
[sip]
udp = ["5060", "0.0.0.0:0"]
tls = ["0.0.0.0:5061"]
realm = "a\"b"
register_least = 5
contacts = 0
[media]
ports = "16385-16390"
silence = -1
"#;
    let faults = read(folder.path(), text).unwrap_err();
    // The first two lines are the shop's.
    let lines: Vec<usize> = faults.iter().map(|f| f.line - 2).collect();
    let wanted = [
        4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 21, 22, 23, 24, 24, 28, 28, 29, 30, 31, 32, 34, 35,
    ];
    assert_eq!(lines, wanted, "{faults:#?}");
    let said = |line: usize| faults.iter().find(|f| f.line == line + 2).unwrap().message.clone();
    assert_eq!(
        said(4),
        "`domain` takes a name such as sip.example.com or an address, not \"sip:provider.example\""
    );
    assert_eq!(said(6), "`transport` takes \"udp\" or \"tcp\" or \"tls\", not \"carrier pigeon\"");
    assert!(said(14).starts_with("there is no `baud` in [[line]] of kind \"sip\""), "{}", said(14));
    assert_eq!(said(17), "`kind` takes \"modem\", \"sip\" or \"twilio\", not \"isdn\"");
    assert!(said(20).contains("different characters"), "{}", said(20));
    assert!(!faults.iter().any(|f| f.message.contains("101101")), "no password is ever said");
}

#[test]
fn the_same_password_or_account_twice_is_a_mistake() {
    let folder = folder();
    let phone = |id: &str| format!("[[phone]]\nid = \"{id}\"\npassword_file = \"@good\"\n");
    let line = |id: &str| {
        format!(
            "[[line]]\nid = \"{id}\"\nkind = \"sip\"\ndomain = \"a.example\"\nusername = \"u\"\npassword_file = \"@good\"\n"
        )
    };
    let text = phone("101") + &phone("102") + &line("a") + &line("b");
    let faults = read(folder.path(), &text).unwrap_err();
    let said: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    let wanted =
        ["phone `102` has the same password as phone `101`", "line `b` has the same account as line `a`"];
    assert_eq!(said, wanted);
}

#[test]
fn phones_that_nobody_could_reach_are_a_mistake() {
    let folder = folder();
    let text = "[[phone]]\nid = \"101\"\npassword_file = \"@good\"\n[sip]\nudp = []\ntcp = []\n";
    let faults = read(folder.path(), text).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 6), "{faults:?}");
}

/// Lines that a hostile or careless file is made of.
fn line() -> impl Strategy<Value = String> {
    let heads = ["[[line]]", "[[phone]]", "[sip]", "[media]", "[[shop]]", "[storage]", "[shop.settings]"];
    let keys = [
        "id",
        "kind",
        "domain",
        "proxy",
        "networks",
        "codecs",
        "ports",
        "udp",
        "calls.plan",
        "number",
        "ring",
        "extension",
        "password_file",
        "certificate",
        "expires",
        "channels",
        "shop",
        "silence",
        "lan",
    ];
    let values = [
        "\"sip\"",
        "\"\"",
        "-1",
        "9999999999999999999999",
        "[]",
        "[[1]]",
        "{}",
        "{ a = [{}] }",
        "nan",
        "1e400",
        "\"\\u0000\"",
        "\"😀\"",
        "2026-01-01",
        "\"0-0\"",
        "\"[::]:1\"",
        "\"255.255.255.255/0\"",
        "true",
        "0x7f",
    ];
    prop_oneof![
        prop::sample::select(heads.to_vec()).prop_map(str::to_owned),
        (prop::sample::select(keys.to_vec()), prop::sample::select(values.to_vec()))
            .prop_map(|(key, value)| format!("{key} = {value}")),
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn no_text_breaks_the_reading(lines in prop::collection::vec(line(), 0..20)) {
        if let Err(faults) = parse(&lines.join("\n"), None) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|f| f.line <= lines.len() + 1 && !f.message.is_empty()));
        }
    }

    #[test]
    fn no_bytes_break_the_reading(text in "(?s).{0,200}") {
        // Only that it returns.
        let _read = parse(&text, None);
    }
}
