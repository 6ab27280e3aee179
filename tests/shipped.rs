//! The files that are installed with the daemon say what the daemon reads.

use std::fs;
use std::path::Path;
use std::time::Duration;

use backroom::config::file::{self, Config};
use backroom::config::settings;

fn shipped(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).expect("the project has this file")
}

/// What every key that names a file is pointed at: a secret, a certificate and a key at once.
const SECRET: &str = "1234\n-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
/// Of two keys that say the same, one.
const NO_CREDENTIALS: [&str; 8] = [
    "token_credential",
    "api_secret_credential",
    "auth_token_credential",
    "pin_credential",
    "password_credential",
    "certificate_key_credential",
    "secret_credential",
    "imei",
];
const NO_FILES: [&str; 8] = [
    "token_file",
    "api_secret_file",
    "auth_token_file",
    "pin_file",
    "password_file",
    "certificate_key_file",
    "secret_file",
    "port",
];

/// The example with every commented key in force. Where two say the same, `instead` is the one that is left out.
fn all_keys(instead: &[&str], secret: &Path) -> String {
    let secret = secret.display().to_string();
    let key = |line: &str| line.split(" =").next().map(str::to_owned);
    shipped("firmware-config/backroom.toml")
        .lines()
        .map(|line| {
            let entry = line.strip_prefix('#');
            match entry.filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase() || c == '[')) {
                Some(entry) if key(entry).is_some_and(|k| instead.contains(&k.as_str())) => line.to_owned(),
                Some(entry) if ["_file = ", "certificate = ", "ca = "].iter().any(|k| entry.contains(k)) => {
                    format!("{} = {secret:?}", key(entry).unwrap_or_default())
                }
                Some(entry) => entry.to_owned(),
                None => line.to_owned(),
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_example_configuration_is_read_as_it_is() {
    let config = file::parse(&shipped("firmware-config/backroom.toml"), None).expect("it has no mistake");
    assert_eq!((config.shops.len(), config.lines.len()), (1, 1));
    assert!(!config.has_calls(), "a fresh box speaks SIP with nobody");
}

#[test]
fn the_example_configuration_is_read_with_every_key_in_force() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in [
        "twilio-secret",
        "twilio-token",
        "dealer-token",
        "sim1-pin",
        "trunk-password",
        "phone-front",
        "sip-key",
        "webhook-crm",
        "secret",
    ] {
        fs::write(directory.path().join(name), SECRET).expect("a file");
    }
    for instead in [NO_CREDENTIALS, NO_FILES] {
        let text = all_keys(&instead, &directory.path().join("secret"));
        let config = file::parse(&text, Some(directory.path())).expect("it has no mistake");
        let secrets =
            (config.shops[0].dealer.as_ref().and_then(|d| d.token.clone()), config.lines[0].pin.clone());
        assert!(secrets.0.is_some() && secrets.1.is_some(), "{config:?}");
        assert!(config.trunks[0].login.is_some() && config.sip.certificate.is_some(), "{config:?}");
        assert_eq!(config.phones.len(), 1);
        assert!(config.endpoints[0].bodies && !config.endpoints[0].allow_http, "{config:?}");
        assert_eq!(config.endpoints[0].events, ["*"]);
    }
}

#[test]
fn the_example_configuration_names_every_key_and_its_default() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    fs::write(&secret, SECRET).expect("a file");
    let shown = file::parse(&all_keys(&NO_CREDENTIALS, &secret), None).expect("it has no mistake");
    let bare = "[[shop]]\nid = \"main\"\n[shop.dealer]\nurl = \"https://dealer.example/lizzy\"\n[[line]]\nid = \"sim1\"\n\
                [[line]]\nid = \"trunk\"\nkind = \"sip\"\ndomain = \"sip.example.com\"\nusername = \"x\"\npassword_file = SECRET\n\
                [[phone]]\nid = \"front\"\nextension = \"101\"\npassword_file = SECRET\n";
    let bare = bare.replace("SECRET", &format!("{:?}", secret.display().to_string()));
    let default = file::parse(&bare, None).expect("it has no mistake");
    let values = |c: &Config| {
        let (dealer, line) = (c.shops[0].dealer.clone().expect("a dealer"), c.lines[0].clone());
        let times: [Duration; 3] = [dealer.connect, dealer.total, dealer.order];
        let storage = (c.storage.path.clone(), c.storage.low_water_mib, c.storage.backup_every);
        (storage, times, dealer.max_body, dealer.allow_http, line.shop, line.candidates, line.baud)
    };
    assert_eq!(values(&shown), values(&default));
    let calls = |c: &Config| {
        let (sip, trunk, phone) = (c.sip.clone(), c.trunks[0].clone(), c.phones[0].clone());
        let trunk = (
            (trunk.register, trunk.expires, trunk.channels, trunk.identity, trunk.pass_caller),
            (trunk.options_every, trunk.srtp, trunk.nat),
        );
        let listening = (sip.udp, sip.tcp, (sip.realm, sip.digest), sip.lan, sip.codecs);
        let times = (sip.register_least, sip.register_most, sip.session_timer, sip.contacts, sip.calls);
        (listening, times, trunk, phone.srtp, phone.withhold, phone.ring, c.media.clone())
    };
    assert_eq!(calls(&shown), calls(&default));
    let raw = shipped("firmware-config/backroom.toml");
    let twilio_line = &shown.upstreams[0];
    assert_eq!((twilio_line.poll, twilio_line.poll_idle), (Duration::from_secs(5), Duration::from_secs(30)));
    assert!(twilio_line.consent_sync && (twilio_line.cost - 1.0).abs() < f64::EPSILON, "{twilio_line:?}");
    // Every key that the file knows: each misspelt one is answered with the list.
    let sip = "[[line]]\nkind = \"sip\"";
    let twilio = "[[line]]\nkind = \"twilio\"";
    for table in [
        "",
        "[storage]",
        "[[shop]]",
        "[[shop]]\n[shop.dealer]",
        "[[line]]",
        sip,
        twilio,
        "[[phone]]",
        "[sip]",
        "[media]",
        "[web]",
        "[[webhook]]",
        "[[template]]",
    ] {
        let faults =
            file::parse(&format!("{table}\nqqqqqqqqqqqqqqqqqqqqqqqq = 1"), None).expect_err("it is unknown");
        let known =
            faults.iter().find_map(|f| f.message.split_once("known are ")).expect("the list of keys").1;
        for key in known.split(", ") {
            let written = ["\n{} =", "\n#{} =", "[{}]", ".{}]"].map(|form| form.replace("{}", key));
            assert!(written.iter().any(|w| raw.contains(w)), "{table}: the example has no `{key}`");
        }
    }
}

#[test]
fn the_settings_that_the_example_fixes_have_their_true_defaults() {
    let silence = settings::find("silence").expect("a setting").default;
    assert!(shipped("firmware-config/backroom.toml").contains(&format!("#silence = {silence}\n")));
}

#[test]
fn the_unit_runs_the_commands_and_reads_the_places_that_the_daemon_knows() {
    let unit = shipped("systemd/backroom.service");
    let has = |line: &str| unit.lines().any(|l| l == line);
    assert!(has("Type=notify") && has("ExecStart=/usr/bin/backroom run"));
    let bare = file::parse("[[shop]]\nid = \"main\"\n", None).expect("it has no mistake");
    let state = unit.lines().find_map(|l| l.strip_prefix("StateDirectory=")).expect("a state directory");
    assert_eq!(bare.storage.path, Path::new("/var/lib").join(state));
    // Every kind of port that is looked for may be opened.
    let probed = file::parse("[[shop]]\nid = \"main\"\n[[line]]\nid = \"a\"\n", None).expect("no mistake");
    for pattern in &probed.lines[0].candidates {
        let kind = pattern.trim_start_matches("/dev/").trim_end_matches('*');
        assert!(
            has(&format!("DeviceAllow=char-{kind} rw")),
            "{pattern} is looked for, and the unit forbids it"
        );
    }
    // The kernel's boot id lies in /proc/sys.
    assert!(!has("ProcSubset=pid"));
}
