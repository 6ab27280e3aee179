//! `[[line]]` of kind `twilio`: what is read, and what is said of mistakes.

use std::io::Write as _;
use std::time::Duration;

use super::file::parse;
use crate::types::Channel;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const KEY: &str = "SK00000000000000000000000000000001";

fn secret() -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"hush\n").unwrap();
    let path = file.path().display().to_string();
    (file, path)
}

#[test]
fn a_line_needs_little_and_its_secrets_are_not_shown() {
    let (_file, path) = secret();
    let text = format!(
        "[[shop]]\nid = \"main\"\n[[line]]\nid = \"tw\"\nkind = \"twilio\"\naccount = \"{ACCOUNT}\"\n\
         api_key = \"{KEY}\"\napi_secret_file = \"{path}\"\nnumber = \"+12065550199\"\n"
    );
    let config = parse(&text, None).unwrap();
    let line = &config.upstreams[0];
    assert_eq!((line.id.as_str(), line.shop.as_str(), line.account.as_str()), ("tw", "main", ACCOUNT));
    assert_eq!(line.api_key.as_ref().map(|(k, s)| (k.as_str(), s.expose())), Some((KEY, "hush")));
    assert_eq!((line.api_url.as_str(), line.channel), ("https://api.twilio.com", Channel::Sms));
    assert_eq!((line.poll, line.poll_idle), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!((line.overlap, line.max_media), (Duration::from_secs(900), 5 << 20));
    assert!((line.cost - 1.0).abs() < f64::EPSILON);
    assert!(config.lines.is_empty() && config.trunks.is_empty());
    assert!(!format!("{line:?}").contains("hush"));
}

#[test]
fn everything_can_be_said() {
    let (_file, path) = secret();
    let text = format!(
        "[[shop]]\nid = \"main\"\n[[line]]\nid = \"wa\"\nkind = \"twilio\"\naccount = \"{ACCOUNT}\"\n\
         auth_token_file = \"{path}\"\nnumber = \"+1 206 555 0199\"\nchannel = \"whatsapp\"\n\
         messaging_service = \"MG00000000000000000000000000000001\"\napi_url = \"http://127.0.0.1:8091/\"\n\
         studio_url = \"http://[::1]:8091/studio/\"\npublic_url = \"https://shop.example/\"\npoll = 0.5\n\
         poll_idle = 60\noverlap = 3600\nmax_media_kib = 64\ncost = 0\n"
    );
    let config = parse(&text, None).unwrap();
    let line = &config.upstreams[0];
    assert_eq!((line.channel, line.number.as_str()), (Channel::WhatsApp, "+12065550199"));
    assert_eq!(line.api_url, "http://127.0.0.1:8091");
    assert_eq!(line.studio_url, "http://[::1]:8091/studio");
    assert_eq!(line.public_url.as_deref(), Some("https://shop.example"));
    assert_eq!((line.poll, line.max_media), (Duration::from_millis(500), 64 << 10));
    assert!(line.cost.abs() < f64::EPSILON && line.api_key.is_none() && line.auth_token.is_some());
}

#[test]
fn mistakes_are_said_together_with_their_lines() {
    let text = r#"[[shop]]
id = "main"
[[line]]
id = "a"
kind = "twilio"
account = "AC12"
api_key = "SK00000000000000000000000000000001"
number = "5550199"
chanel = "sms"
api_url = "http://api.twilio.com"
studio_url = "http://localhost.example"
public_url = "https://user@shop.example"
poll = 0
poll_idle = 7200
overlap = 5
max_media_kib = 0
cost = -1
messaging_service = "AC00000000000000000000000000000001"
[[line]]
id = "b"
kind = "twillio"
[[line]]
id = "c"
kind = "twilio"
"#;
    let faults = parse(text, None).unwrap_err();
    let lines: Vec<usize> = faults.iter().map(|f| f.line).collect();
    assert_eq!(lines, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 22, 22], "{faults:#?}");
    let said = |line: usize| faults.iter().find(|f| f.line == line).unwrap().message.as_str();
    assert_eq!(said(6), "`account` takes AC and 32 hexadecimal digits, not \"AC12\"");
    assert_eq!(said(7), "`api_key` needs its secret: write `api_secret_file`");
    assert_eq!(said(9), "there is no `chanel` in [[line]] of kind \"twilio\"; did you mean `channel`?");
    assert_eq!(said(21), "`kind` takes \"modem\", \"sip\" or \"twilio\", not \"twillio\"");
    assert!(faults.iter().any(|f| f.line == 22 && f.message.contains("has no credentials")));
}

#[test]
fn a_number_is_of_one_line_in_each_channel() {
    let (_file, path) = secret();
    let line = |id: &str, channel: &str| {
        format!(
            "[[line]]\nid = \"{id}\"\nkind = \"twilio\"\naccount = \"{ACCOUNT}\"\nauth_token_file = \"{path}\"\n\
             number = \"+12065550199\"\nchannel = \"{channel}\"\n"
        )
    };
    let file = |second| format!("[[shop]]\nid = \"main\"\n{}{}", line("a", "sms"), line("b", second));
    assert_eq!(parse(&file("whatsapp"), None).unwrap().upstreams.len(), 2);
    let faults = parse(&file("sms"), None).unwrap_err();
    assert_eq!(faults[0].message, "line `b` has the same number as line `a`");
}
