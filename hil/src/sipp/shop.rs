//! The box of one case: its directory, its configuration, its process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::cases::{OUT, OUT_C};
use super::{Net, PATIENCE, Way, hosts};

/// The phone that calls in some cases.
pub(super) const PHONE: &str = "desk";
pub(super) const PASSWORD: &str = "k7Qz-mm2W-9xTb-vR4n";

/// A running box.
#[derive(Debug)]
pub(super) struct Shop {
    child: Child,
    program: PathBuf,
    config: PathBuf,
}

/// The configuration of a case.
fn configuration(dir: &Path, net: Net, way: Way) -> String {
    let box_at = net.host(hosts::SHOP);
    let [b, c] = hosts::CALLEES.map(|host| net.host(host));
    let caller = net.host(hosts::CALLER);
    let (transport, port) = match way {
        Way::Udp => ("udp", 5060),
        Way::Tcp => ("tcp", 5060),
        Way::Tls => ("tls", 5061),
    };
    let path = |name: &str| dir.join(name).display().to_string();
    let plan = serde_json::json!({
        "inbound": [
            { "number": OUT, "open": { "number": "+12065550199" }, "closed": { "number": "+12065550199" } },
            { "open": "nobody", "closed": "nobody" },
        ],
        "outbound": [
            { "prefix": "", "lines": [{ "line": "b" }, { "line": "c" }] },
            { "prefix": OUT_C, "lines": [{ "line": "c" }] },
        ],
        "caps": { "concurrent": 500, "concurrent_user": 500,
            "destination": { "calls": 100_000, "minutes": 100_000, "spend": 100_000 },
            "user": { "calls": 100_000, "minutes": 100_000, "spend": 100_000 },
            "shop": { "calls": 100_000, "minutes": 100_000, "spend": 100_000 } },
    });
    let line = |id: &str, at: std::net::Ipv4Addr| {
        format!(
            "\n[[line]]\nid = \"{id}\"\nkind = \"sip\"\ndomain = \"{at}\"\nproxy = \"{at}:{port}\"\n\
             transport = \"{transport}\"\nnetworks = [\"{at}/32\"]\nchannels = 100\noptions_every = 0\nnat = false\n"
        )
    };
    format!(
        "[storage]\npath = {:?}\n\n[sip]\nudp = [\"{box_at}:5060\"]\ntcp = [\"{box_at}:5060\"]\n\
         tls = [\"{box_at}:5061\"]\ncertificate = {:?}\ncertificate_key_file = {:?}\nsession_timer = 90\n\
         \n[[shop]]\nid = \"main\"\n\n[shop.settings]\nshop.name = \"Green Valley\"\ncalls.location = \"1 Main St\"\n\
         calls.plan = {:?}\n\n[[phone]]\nid = \"{PHONE}\"\nextension = \"101\"\npassword_file = {:?}\n{}{}{}",
        path("store"),
        path("certificate.pem"),
        path("key.pem"),
        plan.to_string(),
        path("password"),
        line("a", caller),
        line("b", b),
        line("c", c),
    )
}

/// A certificate for both ends of the case, believed because the box is told so by `SSL_CERT_FILE`.
async fn certificate(dir: &Path, net: Net) -> io::Result<()> {
    let names = [hosts::SHOP, hosts::CALLEES[0], hosts::CALLEES[1]].map(|h| format!("IP:{}", net.host(h)));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "30", "-subj", "/CN=sipp", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", &format!("subjectAltName={}", names.join(","))])
        .arg("-keyout")
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("certificate.pem"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    if made.success() { Ok(()) } else { Err(io::Error::other("openssl made no certificate")) }
}

impl Shop {
    /// Starts a box in `dir` and waits until it answers OPTIONS.
    pub(super) async fn open(program: &Path, dir: &Path, net: Net, way: Way) -> io::Result<Self> {
        certificate(dir, net).await?;
        fs::write(dir.join("password"), PASSWORD)?;
        let config = dir.join("backroom.toml");
        fs::write(&config, configuration(dir, net, way))?;
        let output = File::create(dir.join("backroom.log"))?;
        let level = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .arg("run")
            .env("SSL_CERT_FILE", dir.join("certificate.pem"))
            .env("RUST_LOG", level)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()?;
        let mut shop = Self { child, program: program.to_owned(), config };
        shop.answers(net).await?;
        Ok(shop)
    }

    /// Asks with OPTIONS, as the calling trunk, until there is an answer.
    async fn answers(&mut self, net: Net) -> io::Result<()> {
        let (at, own) = (net.host(hosts::SHOP), net.host(hosts::CALLER));
        let socket = UdpSocket::bind((own, 0)).await?;
        let port = socket.local_addr()?.port();
        let began = Instant::now();
        let mut answer = [0; 2048];
        for n in 0_u32.. {
            let ask = format!(
                "OPTIONS sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP {own}:{port};branch=z9hG4bK-up-{n}\r\n\
                 From: <sip:up@{own}>;tag=u{n}\r\nTo: <sip:{at}>\r\nCall-ID: up-{n}\r\nCSeq: 1 OPTIONS\r\n\
                 Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            );
            // Refused until somebody listens.
            socket.send_to(ask.as_bytes(), (at, 5060)).await.ok();
            if let Ok(Ok(_)) = timeout(Duration::from_millis(100), socket.recv(&mut answer)).await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the box ended: {status}")));
            }
            if began.elapsed() > PATIENCE {
                break;
            }
        }
        Err(io::Error::other("the box answers no OPTIONS"))
    }

    /// Rows of a command that prints JSON lines.
    pub(super) async fn rows(&self, arguments: &[&str]) -> io::Result<Vec<Value>> {
        let output = Command::new(&self.program)
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let lines = output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::other)).collect()
    }

    /// Ends it as systemd would.
    pub(super) async fn close(mut self) -> io::Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the box had ended before"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.map_err(|_| io::Error::other("the box does not end on SIGTERM"))??;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the box ended: {status}"))) }
    }
}
