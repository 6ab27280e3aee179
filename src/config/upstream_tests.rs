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

#[test]
fn consent_is_told_to_twilio_and_to_nobody_else_unless_the_file_says_where() {
    let (_file, path) = secret();
    let number = "+12065550199".to_owned();
    let line = |more: &str| {
        let text = format!(
            "[[shop]]\nid = \"main\"\n[[line]]\nid = \"tw\"\nkind = \"twilio\"\naccount = \"{ACCOUNT}\"\n\
             auth_token_file = \"{path}\"\nnumber = \"{number}\"\n{more}"
        );
        parse(&text, None)
    };
    let told = |more: &str| {
        let line = line(more).unwrap().upstreams.remove(0);
        (line.accounts_url.clone(), line.consent_sender())
    };
    let twilio = Some("https://accounts.twilio.com".to_owned());
    assert_eq!(told(""), (twilio.clone(), Some(number.clone())));
    assert_eq!(
        told("api_url = \"https://api.dublin.ie1.twilio.com\"\n"),
        (twilio.clone(), Some(number.clone()))
    );
    assert_eq!(told("consent_sync = false\n").1, None);
    assert_eq!(told("channel = \"whatsapp\"\n").1, None);
    let service = "MG00000000000000000000000000000001";
    assert_eq!(told(&format!("messaging_service = \"{service}\"\n")).1.as_deref(), Some(service));
    assert_eq!(told("api_url = \"https://api.carrier.example\"\n"), (None, None));
    assert_eq!(told("api_url = \"https://twilio.com.example\"\n"), (None, None));
    let elsewhere = "api_url = \"https://api.carrier.example\"\naccounts_url = \"http://[::1]:8091/\"\n";
    assert_eq!(told(elsewhere), (Some("http://[::1]:8091".to_owned()), Some(number.clone())));
    for (more, at, words) in [
        ("consent_sync = 1\n", 9, "consent_sync"),
        ("accounts_url = \"http://accounts.twilio.com\"\n", 9, "`accounts_url` must begin with https://"),
        ("channel = \"whatsapp\"\nconsent_sync = true\n", 10, "no upstream takes that for WhatsApp"),
        ("api_url = \"https://a.example\"\nconsent_sync = true\n", 10, "write `accounts_url` too"),
        ("consents_sync = true\n", 9, "did you mean `consent_sync`?"),
    ] {
        let faults = line(more).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert_eq!(faults[0].line, at, "{more}");
        assert!(faults[0].message.contains(words), "{faults:#?}");
    }
}
