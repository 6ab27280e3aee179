//! One installed box: a directory with its configuration and database, and the program that runs there as a process
//! of its own, is killed, ended and asked as a technician would.

use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How the line's modem is found.
#[derive(Debug, Clone)]
pub enum Port {
    /// By its name.
    Path(PathBuf),
    /// By its IMEI, among names that match this pattern.
    Imei(String, String),
    /// There is none: the line is a number at the simulated Twilio.
    Upstream {
        /// Twilio's address.
        url: String,
        /// The account, its token, and the number.
        account: [String; 3],
        /// Where the box takes webhooks.
        web: SocketAddr,
    },
}

/// A box that can be started. Several of its commands may run at once; the daemon once.
#[derive(Debug, Clone)]
pub struct Installation {
    program: PathBuf,
    dir: PathBuf,
    config: PathBuf,
}

/// The daemon, running. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Just before the program was executed.
    pub started: Instant,
}

/// What of the configuration differs from box to box.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The dealer's address, `http://127.0.0.1:PORT`.
    pub dealer: &'a str,
    /// The dealer's bearer token.
    pub token: &'a str,
    /// Where the modem is.
    pub port: Port,
    /// Lines of `[shop.settings]`, as TOML.
    pub settings: &'a str,
    /// Seconds that an order may take.
    pub order: f64,
    /// Directory of the database; `None`: in the box's own.
    pub storage: Option<&'a Path>,
    /// Free space below which an alarm is raised, in MiB.
    pub low_water_mib: u32,
}

impl Installation {
    /// Writes the configuration into `dir`, for the program at `program`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new(program: &Path, dir: &Path, setup: &Setup<'_>) -> io::Result<Installation> {
        fs::create_dir_all(dir)?;
        let token = dir.join("dealer-token");
        fs::write(&token, setup.token)?;
        let storage = setup.storage.map_or_else(|| dir.join("store"), Path::to_owned);
        let port = match &setup.port {
            Port::Path(path) => format!("port = {path:?}"),
            Port::Imei(imei, pattern) => format!("imei = {imei:?}\ncandidates = [{pattern:?}]"),
            Port::Upstream { url, account: [account, token, number], web } => {
                let secret = dir.join("twilio-token");
                fs::write(&secret, token)?;
                format!(
                    "kind = \"twilio\"\naccount = {account:?}\nauth_token_file = {secret:?}\nnumber = {number:?}\n\
                     api_url = {url:?}\nstudio_url = {url:?}\npublic_url = \"http://{web}\"\npoll = 0.5\n\
                     poll_idle = 0.5\n\n[web]\nlisten = \"{web}\""
                )
            }
        };
        let Setup { dealer, settings, order, low_water_mib, .. } = setup;
        let text = format!(
            "[storage]\npath = {storage:?}\nlow_water_mib = {low_water_mib}\n\n\
             [[shop]]\nid = \"main\"\n\n\
             [shop.dealer]\nurl = {dealer:?}\ntoken_file = {token:?}\norder = {order:?}\n\n\
             [shop.settings]\nshop.name = \"Green Valley\"\nshop.phone = \"+12065550100\"\n{settings}\n\n\
             [[line]]\nid = \"sim1\"\n{port}\n",
        );
        let config = dir.join("backroom.toml");
        fs::write(&config, text)?;
        Ok(Installation { program: program.to_owned(), dir: dir.to_owned(), config })
    }

    /// What the daemon says on standard error, of all its lives.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("backroom.log")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(&self) -> io::Result<Running> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let started = Instant::now();
        let child = self.command().arg("run").stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Running { child, started })
    }

    /// Runs a command beside the daemon, to its end.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub async fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command().args(arguments).output().await
    }

    /// Runs a command that prints JSON lines.
    ///
    /// # Errors
    /// It fails, or prints something else.
    pub async fn rows(&self, arguments: &[&str]) -> io::Result<Vec<Value>> {
        let output = self.run(arguments).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("backroom {}: {said}", arguments.join(" "))));
        }
        output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(row).collect()
    }
}

fn row(line: &[u8]) -> io::Result<Value> {
    serde_json::from_slice(line).map_err(io::Error::other)
}

impl Running {
    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM, and waits until the process is gone. Returns how it ended and how long that took.
    ///
    /// # Errors
    /// It had ended before, or has not ended after ten seconds.
    pub async fn terminate(mut self) -> io::Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("it had ended before"))?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        let status = ended.map_err(|_| io::Error::other("it has not ended after 10 s"))??;
        Ok((status, asked.elapsed()))
    }

    /// Waits until it ends by itself. Cancel-safe.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}
