//! Runs one case: box, tunnels, callees, then the caller; judges by SIPp's exit codes and the box's records.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::cases::{Case, OUT_C, scenario};
use super::shop::{PASSWORD, PHONE, Shop};
use super::{Net, PATIENCE, Way, hosts};

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub case: &'static str,
    /// Over what.
    pub way: Way,
    /// How long it took.
    pub took: Duration,
    /// What was wrong; nothing when all was as it should be.
    pub wrong: Option<String>,
}

/// The programs that are not installed here.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let there = |name: &str| {
        let places = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&places).any(|place| place.join(name).is_file())
    };
    ["sipp", "stunnel4", "openssl"].into_iter().filter(|name| !there(name)).collect()
}

/// Plays `case` with the box at `program` in a directory below `dir`. `ordinal` is its network's: no other case that
/// runs at the same time may have it.
pub async fn play(case: &'static Case, way: Way, program: &Path, dir: &Path, ordinal: u8) -> Outcome {
    let began = Instant::now();
    let dir = dir.join(format!(
        "{}-{}",
        case.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
        way.as_str()
    ));
    let done = match fs::create_dir_all(&dir) {
        Ok(()) => attempt(case, way, program, &dir, Net::new(ordinal)).await,
        Err(why) => Err(why),
    };
    let wrong = done.err().map(|why| format!("{why}\n    all of it: {}", dir.display()));
    Outcome { case: case.name, way, took: began.elapsed(), wrong }
}

/// Everything that a SIPp needs to be told.
struct Sipp<'a> {
    dir: &'a Path,
    case: &'a Case,
    way: Way,
    net: Net,
}

async fn attempt(case: &Case, way: Way, program: &Path, dir: &Path, net: Net) -> io::Result<()> {
    let shop = Shop::open(program, dir, net, way).await?;
    let tunnel = if way == Way::Tls { Some(tunnel(dir, net, caller_of(case)).await?) } else { None };
    let sipp = Sipp { dir, case, way, net };
    let mut callees = Vec::new();
    for ((scenario, host), count) in case.callees.iter().zip(hosts::CALLEES).zip(case.taken) {
        callees.push((scenario, sipp.callee(scenario, net.host(host), *count)?));
    }
    for host in hosts::CALLEES.into_iter().take(callees.len()) {
        listening(net.host(host), 5060, way != Way::Udp).await?;
    }
    let mut all = vec![(&case.caller, sipp.caller()?)];
    all.append(&mut callees);
    let mut wrong = Vec::new();
    let end = Instant::now() + Duration::from_secs(u64::from(case.within) + 5);
    for (name, child) in &mut all {
        match tokio::time::timeout_at(end, child.wait()).await {
            Ok(status) => wrong.extend(sipp.judge(name, status?)),
            Err(_) => wrong.push(format!("{name}: not over after {} s", case.within)),
        }
    }
    drop(tunnel);
    if wrong.is_empty() {
        wrong.extend(record(case, &shop).await);
    }
    if let Err(why) = shop.close().await {
        wrong.push(why.to_string());
    }
    if wrong.is_empty() { Ok(()) } else { Err(io::Error::other(wrong.join("; "))) }
}

/// From where the case's caller calls.
fn caller_of(case: &Case) -> u8 {
    if case.phone { hosts::PHONE } else { hosts::CALLER }
}

/// Waits until somebody listens there.
async fn listening(host: Ipv4Addr, port: u16, tcp: bool) -> io::Result<()> {
    let table = if tcp { "/proc/net/tcp" } else { "/proc/net/udp" };
    let wanted = format!(" {:08X}:{port:04X} ", u32::from_be_bytes(host.octets()).swap_bytes());
    let found = async {
        while !fs::read_to_string(table).unwrap_or_default().contains(&wanted) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let late = |_| io::Error::other(format!("nobody listens at {host}:{port}"));
    timeout(PATIENCE, found).await.map_err(late)
}

/// stunnel, both ways round: what the caller says in the clear goes to the box in TLS, and what the box says in TLS
/// comes to the callees in the clear.
async fn tunnel(dir: &Path, net: Net, caller: u8) -> io::Result<Child> {
    let (shop, caller, local) = (net.host(hosts::SHOP), net.host(caller), net.host(hosts::TUNNEL));
    let mut text = format!(
        "foreground = yes\npid =\nsyslog = no\ndebug = notice\noutput = {}\n\n[out]\nclient = yes\n\
         accept = {local}:5060\nconnect = {shop}:5061\nlocal = {caller}\n",
        dir.join("stunnel.log").display()
    );
    for host in hosts::CALLEES.map(|h| net.host(h)) {
        write!(
            text,
            "\n[in-{host}]\naccept = {host}:5061\nconnect = {host}:5060\nlocal = {local}\ncert = {}\nkey = {}\n",
            dir.join("certificate.pem").display(),
            dir.join("key.pem").display()
        )
        .ok();
    }
    let config = dir.join("stunnel.conf");
    fs::write(&config, text)?;
    let said = fs::File::create(dir.join("stunnel.out"))?;
    let child = Command::new("stunnel4")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .kill_on_drop(true)
        .spawn()?;
    listening(local, 5060, true).await?;
    Ok(child)
}

impl Sipp<'_> {
    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{name}.{kind}"))
    }

    /// What every SIPp gets.
    fn command(&self, name: &str, own: Ipv4Addr, calls: u16) -> io::Result<Command> {
        let text = scenario(name).ok_or_else(|| io::Error::other(format!("no scenario {name}")))?;
        let path = self.file(name, "xml");
        fs::write(&path, text)?;
        let output = fs::File::create(self.file(name, "out"))?;
        let own = own.to_string();
        let within = self.case.within.to_string();
        let way = if self.way == Way::Udp { "u1" } else { "t1" };
        let mut command = Command::new("sipp");
        command.arg("-sf").arg(path).args(["-i", &own, "-p", "5060", "-mi", &own, "-t", way]);
        command.args([
            "-ci",
            &own,
            "-cp",
            "8888",
            "-nostdin",
            "-d",
            &self.case.hold.to_string(),
            "-m",
            &calls.to_string(),
        ]);
        command.args(["-timeout", &within, "-timeout_error", "-recv_timeout", &format!("{within}000")]);
        command.args(["-key", "way", self.way.as_str()]);
        command.args(["-key", "box", &self.net.host(hosts::SHOP).to_string()]);
        command.args(["-key", "phone", PHONE, "-au", PHONE, "-ap", PASSWORD, "-key", "transfer", OUT_C]);
        command.args(["-trace_err", "-error_file"]).arg(self.file(name, "errors"));
        command.args(["-trace_msg", "-message_file"]).arg(self.file(name, "messages"));
        if self.case.loss > 0 && self.way == Way::Udp {
            command.args(["-lost", &self.case.loss.to_string()]);
        }
        command.current_dir(self.dir).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.kill_on_drop(true);
        Ok(command)
    }

    fn callee(&self, name: &str, own: Ipv4Addr, calls: u16) -> io::Result<Child> {
        self.command(name, own, calls)?.spawn()
    }

    fn caller(&self) -> io::Result<Child> {
        let far = if self.way == Way::Tls { hosts::TUNNEL } else { hosts::SHOP };
        let (calls, rate) = self.case.calls;
        let mut command = self.command(self.case.caller, self.net.host(caller_of(self.case)), calls)?;
        command.arg(format!("{}:5060", self.net.host(far)));
        // Without it SIPp leaves the user out of the digest's URI, which is then not that of the request.
        command.args(["-auth_uri", &format!("{}@{}", self.case.dialled, self.net.host(hosts::SHOP))]);
        command.args(["-s", self.case.dialled, "-r", &rate.to_string(), "-l", "500"]);
        command.spawn()
    }

    /// SIPp's own words when it is not content.
    fn judge(&self, name: &str, status: ExitStatus) -> Option<String> {
        if status.success() {
            return None;
        }
        let said = fs::read_to_string(self.file(name, "errors")).unwrap_or_default();
        let said: String =
            said.lines().filter(|l| !l.trim().is_empty()).take(6).collect::<Vec<_>>().join(" | ");
        let short: String = said.chars().take(600).collect();
        Some(format!("{name}: SIPp ended with {status}: {short}"))
    }
}

/// What is wrong with the box's records of the case. The last of them may be on its way to the disk.
async fn record(case: &Case, shop: &Shop) -> Option<String> {
    let wanted = case.end?;
    let began = Instant::now();
    loop {
        let rows = match shop.rows(&["calls", "--json", "--last", "1000"]).await {
            Ok(rows) => rows,
            Err(why) => return Some(format!("backroom calls: {why}")),
        };
        let ends: Vec<&str> = rows.iter().map(|row| row["ended"][1].as_str().unwrap_or("none")).collect();
        if ends.len() == usize::from(case.calls.0) && ends.iter().all(|end| *end == wanted) {
            return None;
        }
        if began.elapsed() > PATIENCE {
            return Some(format!("the records end with {ends:?}, not {} times {wanted:?}", case.calls.0));
        }
    }
}
