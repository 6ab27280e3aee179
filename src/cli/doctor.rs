//! `backroom doctor`: looks at everything a technician would ask about, and says what to do.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::certificate::good_until;
use super::settings::effective;
use super::texts::wall_now;
use crate::config::{Config, Port, ShopConfig};
use crate::daemon::calls_setup::PlanGround;
use crate::daemon::control::{self, Ask};
use crate::media::{Prompt, sentences};
use crate::store::{self, Reader};
use crate::twilio::{self, Finding};

#[derive(Default)]
struct Report {
    bad: bool,
}

impl Report {
    fn fine(&mut self, text: &str) {
        println!("  ok    {text}");
    }

    fn note(&mut self, text: &str) {
        println!("  note  {text}");
    }

    fn wrong(&mut self, text: &str) {
        self.bad = true;
        println!("  WRONG {text}");
    }
}

pub(super) fn run(path: &Path) -> ExitCode {
    let config = match super::load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut report = Report::default();
    println!("configuration {}", path.display());
    let lines = config.lines.len() + config.trunks.len() + config.upstreams.len();
    let (shops, phones) = (config.shops.len(), config.phones.len());
    report.fine(&format!("{shops} shops, {lines} lines, {phones} phones"));
    for shop in config.shops.iter().filter(|s| s.dealer.is_none()) {
        report.note(&format!("shop {} has no dealer: orders wait, customers get the friendly path", shop.id));
    }
    println!("storage {}", config.storage.path.display());
    storage(&config, &mut report);
    println!("lines");
    ports(&config, &mut report);
    upstreams(&config, &mut report);
    if config.has_calls() {
        println!("calls");
        calls(&config, &mut report);
    }
    println!("daemon");
    daemon(&config, &mut report);
    if report.bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn storage(config: &Config, report: &mut Report) {
    if !config.storage.path.join(store::FILE).exists() {
        report.note("no database yet: the first start makes one");
        return;
    }
    let reader = match Reader::open(&config.storage.path) {
        Ok(reader) => reader,
        Err(error) => return report.wrong(&error.to_string()),
    };
    match reader.check(store::Check::Full) {
        Ok(Ok(())) => report.fine("the database is whole"),
        Ok(Err(fault)) => report.wrong(&format!("the database is damaged: {fault}; restart backroom, it moves the file aside and goes on from the last copy")),
        Err(error) => report.wrong(&error.to_string()),
    }
    for shop in &config.shops {
        let unknown = reader.unknown_messages(&shop.id).map(|list| list.len());
        match unknown {
            Ok(0) => {}
            Ok(count) => report.note(&format!(
                "shop {}: {count} texts are in doubt: backroom sms unknown --shop {}",
                shop.id, shop.id
            )),
            Err(error) => report.wrong(&error.to_string()),
        }
        match reader.unknown_orders(&shop.id).map(|list| list.len()) {
            Ok(0) => {}
            Ok(count) => report.wrong(&format!(
                "shop {}: {count} orders are in doubt: backroom orders unknown --shop {}",
                shop.id, shop.id
            )),
            Err(error) => report.wrong(&error.to_string()),
        }
        match reader.broken(&shop.id, 10) {
            Ok(list) => {
                for row in list {
                    report.note(&format!(
                        "shop {}: a PDU of line {} could not be read ({}); it is kept as {}",
                        shop.id,
                        row.line,
                        row.note.unwrap_or_default(),
                        row.id
                    ));
                }
            }
            Err(error) => report.wrong(&error.to_string()),
        }
    }
    let free = rustix::fs::statvfs(&config.storage.path).map(|s| s.f_bavail.saturating_mul(s.f_frsize) >> 20);
    match free {
        Ok(free) if free < u64::from(config.storage.low_water_mib) => {
            report.wrong(&format!("only {free} MiB are free: make room"))
        }
        Ok(free) => report.fine(&format!("{free} MiB free")),
        Err(error) => report.wrong(&format!("free space cannot be read: {error}")),
    }
    if wall_now().0 < 1_767_225_600_000 {
        report.wrong("the clock is not set");
    }
}

fn ports(config: &Config, report: &mut Report) {
    for line in &config.lines {
        match &line.port {
            Port::Path(path) => match std::fs::OpenOptions::new().read(true).write(true).open(path) {
                Ok(_) => report.fine(&format!("line {}: {} is there", line.id, path.display())),
                Err(error) => report.wrong(&format!(
                    "line {}: {}: {error}; is the modem plugged in, and are you in the group dialout?",
                    line.id,
                    path.display()
                )),
            },
            Port::Imei(imei) => report.note(&format!("line {}: looked for by its IMEI {imei}", line.id)),
            Port::Any => report.note(&format!("line {}: the first modem that answers", line.id)),
        }
    }
    if config.lines.is_empty() && config.trunks.is_empty() && config.upstreams.is_empty() {
        report.note("no [[line]]: nothing can be received or sent");
    }
}

/// One request to each upstream.
fn upstreams(config: &Config, report: &mut Report) {
    if config.upstreams.is_empty() {
        return;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report.wrong(&format!("nothing can be asked of the upstreams: {error}")),
    };
    for line in &config.upstreams {
        for finding in runtime.block_on(twilio::check(line, wall_now())) {
            match finding {
                Finding::Fine(text) => report.fine(&text),
                Finding::Wrong(text) => report.wrong(&text),
            }
        }
    }
}

/// A certificate that ends sooner than this is renewed today.
const RENEW_DAYS: i64 = 21;

fn calls(config: &Config, report: &mut Report) {
    if let Some(certificate) = &config.sip.certificate {
        match good_until(&certificate.path, &certificate.key) {
            Ok(end) => {
                let days = (end.as_second() - wall_now().0 / 1000).div_euclid(86_400);
                let until = format!("{} is good until {end}", certificate.path.display());
                match days {
                    ..0 => report.wrong(&format!("{until}: it has expired, and phones refuse it; renew it")),
                    0..RENEW_DAYS => report.wrong(&format!("{until}, {days} more days: renew it")),
                    _ => report.fine(&until),
                }
            }
            Err(why) => report.wrong(&why),
        }
    }
    listeners(config, report);
    prompts(&config.media.prompts, report);
    for shop in &config.shops {
        plan(config, shop, report);
    }
}

/// The owner's own sentences.
fn prompts(directory: &Path, report: &mut Report) {
    let Ok(files) = std::fs::read_dir(directory) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let place = path.display();
        let known = path.file_stem().is_some_and(|stem| sentences::names().any(|name| stem == name));
        if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav")) {
            report.note(&format!("{place} is no WAV file and is not played"));
            continue;
        }
        let read = std::fs::read(&path).map_err(|e| e.to_string());
        match read.and_then(|bytes| Prompt::from_wav(&bytes).map_err(|e| e.to_string())) {
            Ok(_) if known => report.fine(&format!("{place} is played in the place of ours")),
            Ok(_) => report.note(&format!("{place} is played when a flow or the dial plan names it")),
            Err(why) => report.wrong(&format!("{place} cannot be played: {why}")),
        }
    }
}

fn listeners(config: &Config, report: &mut Report) {
    if matches!(control::ask(&config.storage.path, &Ask::Status), Ok(Some(_))) {
        return report.note("the daemon runs: whether its ports are free is not tried");
    }
    let sip = &config.sip;
    let mut tried: Vec<(String, std::io::Result<()>)> = Vec::new();
    let udp = |at: SocketAddr| UdpSocket::bind(at).map(drop);
    let tcp = |at: SocketAddr| TcpListener::bind(at).map(drop);
    tried.extend(sip.udp.iter().map(|at| (format!("udp {at}"), udp(*at))));
    tried.extend(sip.tcp.iter().map(|at| (format!("tcp {at}"), tcp(*at))));
    tried.extend(sip.tls.iter().map(|at| (format!("tls {at}"), tcp(*at))));
    for port in [config.media.first_port, config.media.last_port] {
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        tried.push((format!("media port {port}"), udp(at)));
    }
    for (what, how) in tried {
        match how {
            Ok(()) => report.fine(&format!("{what} is free")),
            Err(error) => report.wrong(&format!("{what} cannot be used: {error}")),
        }
    }
}

fn plan(config: &Config, shop: &ShopConfig, report: &mut Report) {
    let ground = PlanGround::of(config, &shop.id);
    if ground.is_empty() {
        return;
    }
    let settings = match effective(config, shop) {
        Ok(settings) => settings,
        Err(why) => return report.wrong(&why),
    };
    match ground.plan(&settings) {
        Ok(_) => report.fine(&format!("shop {}: the dial plan is whole (`backroom plan` shows it)", shop.id)),
        Err(problems) => problems.iter().for_each(|p| report.wrong(&format!("shop {}: {p}", shop.id))),
    }
    if settings.text("calls.location").trim().is_empty() {
        report.wrong(&format!(
            "shop {}: nobody said where help is to come when somebody calls for it: backroom settings set \
             calls.location \"12 Main Street, ground floor\"",
            shop.id
        ));
    }
    if ground.lines.is_empty() {
        report.note(&format!(
            "shop {}: no [[line]] of kind \"sip\": its phones reach each other, and nobody else, no help either",
            shop.id
        ));
    }
    for line in ground.lines.iter().filter(|l| l.number.is_none()) {
        report.note(&format!(
            "line {} has no `number`: who is called sees none, and help cannot call back",
            line.id
        ));
    }
}

fn daemon(config: &Config, report: &mut Report) {
    match control::ask(&config.storage.path, &Ask::Status) {
        Ok(None) => report.note("does not run"),
        Err(why) => report.wrong(&why),
        Ok(Some(status)) => {
            report.fine("runs");
            if let Some(why) = status.pointer("/storage/stalled").and_then(Value::as_str) {
                report.wrong(&format!("cannot write: {why}; nothing new is taken until it can"));
            }
            edges(&status["edges"], report);
            for (shop, state) in status["shops"].as_object().into_iter().flatten() {
                for (line, state) in state["lines"].as_object().into_iter().flatten() {
                    line_state(shop, line, state, report);
                }
                trunks_and_phones(shop, state, report);
                webhooks(shop, state, report);
                if state["dealer"]["configured"] == true && state["dealer"]["reachable"] == false {
                    report.wrong(&format!("shop {shop}: the dealer's API does not answer; customers are served from what is kept"));
                }
            }
        }
    }
}

fn webhooks(shop: &str, state: &Value, report: &mut Report) {
    for (id, webhook) in state["webhooks"].as_object().into_iter().flatten() {
        let name = format!("shop {shop}, webhook {id}");
        let (waiting, dead) = (&webhook["waiting"], &webhook["dead"]);
        let why = webhook["why"].as_str().unwrap_or_default();
        if webhook["alarm"] == true {
            report.wrong(&format!(
                "{name}: has taken nothing for {} s ({why}); {waiting} events wait; try `backroom webhooks test {id}`",
                webhook["failing_seconds"]
            ));
        } else if !why.is_empty() {
            report.note(&format!("{name}: did not take the last event ({why}); {waiting} events wait"));
        } else {
            report.fine(&format!("{name}: {waiting} events wait"));
        }
        if dead.as_u64() > Some(0) {
            report.note(&format!(
                "{name}: {dead} events were given up: `backroom webhooks list --dead`, and `replay --dead` when it \
                 listens again"
            ));
        }
    }
}

fn line_state(shop: &str, line: &str, state: &Value, report: &mut Report) {
    let text = |key: &str| state[key].as_str().unwrap_or_default().to_owned();
    let name = format!("shop {shop}, line {line}");
    if !text("needs").is_empty() {
        report.wrong(&format!("{name}: {}", text("needs")));
    } else if state["up"] == true {
        let operator = text("operator");
        if state["takes"] == "whole texts" {
            let under_way = |key: &str| state[key].as_u64().unwrap_or(0);
            report.fine(&format!(
                "{name}: up, {} texts, taken over up to {}; {} waiting, {} under way",
                text("channel"),
                text("taken_over_to"),
                under_way("queued"),
                under_way("under_way")
            ));
            if under_way("in_doubt") > 0 {
                report
                    .note(&format!("{name}: {} texts in doubt are being looked for", under_way("in_doubt")));
            }
            consents(&name, &state["consents"], report);
            return;
        }
        report.fine(&format!("{name}: up, {} {operator}, {} dBm", text("registration"), state["signal_dbm"]));
    } else {
        report.wrong(&format!("{name}: down: {}", text("why_down")));
    }
}

/// Who wants texts, as the upstream has been told.
fn consents(name: &str, told: &Value, report: &mut Report) {
    let count = |key: &str| told[key].as_u64().unwrap_or(0);
    if told.is_null() {
        return;
    }
    if let Some(why) = told["no_access"].as_str() {
        report.note(&format!("{name}: {why}: STOPs that came another way are the box's alone"));
    } else {
        report.fine(&format!(
            "{name}: its upstream knows who said STOP, up to entry {}; {} people are still to be told",
            count("told_to"),
            count("waiting")
        ));
    }
    if count("refused") > 0 {
        report.note(&format!(
            "{name}: what {} people said was not taken there since the start; the journal says why",
            count("refused")
        ));
    }
}

/// Lines that carry calls, and phones.
fn trunks_and_phones(shop: &str, state: &Value, report: &mut Report) {
    for (line, trunk) in state["calls"]["trunks"].as_object().into_iter().flatten() {
        let why = trunk["why"].as_str().unwrap_or_default();
        if trunk["up"] == true {
            report.fine(&format!("shop {shop}, line {line}: takes calls, {why}; {} now", trunk["calls"]));
        } else {
            report.wrong(&format!("shop {shop}, line {line}: takes no calls: {why}"));
        }
    }
    for (phone, contacts) in state["phones"].as_object().into_iter().flatten() {
        let contacts = contacts.as_array().map_or(&[][..], Vec::as_slice);
        for contact in contacts {
            let text = |key: &str| contact[key].as_str().unwrap_or_default().to_owned();
            report.fine(&format!(
                "shop {shop}, phone {phone}: registered from {} by {}, {}",
                text("address"),
                text("transport"),
                text("agent")
            ));
        }
        if contacts.is_empty() {
            report.note(&format!("shop {shop}, phone {phone}: is not registered; it cannot ring"));
        }
    }
}

/// What the edges of calls have met, as far as a technician should know.
fn edges(state: &Value, report: &mut Report) {
    let count = |at: &str| state.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    if state.is_object() {
        report.fine(&format!(
            "SIP: {} messages in, {} out; sound: {} packets in, {} out, {} legs open",
            count("/sip/messages"),
            count("/sip/sent"),
            count("/media/received"),
            count("/media/sent"),
            count("/media/open")
        ));
    }
    let met = [
        ("/sip/bans", "sources were banned for guessing"),
        ("/sip/connect_failed", "connections to a trunk could not be made"),
        ("/sip/dns_failed", "names could not be looked up"),
        ("/media/strangers", "packets of sound came from somebody else"),
        ("/media/unauthentic", "packets of sound had a wrong key"),
    ];
    for (at, what) in met {
        if count(at) > 0 {
            report.note(&format!("{} {what}", count(at)));
        }
    }
}
