//! The commands `hil phone` and `hil call`.

use super::control::Held;
use super::{Auto, Emergency, Error, Law, Phone, PhoneConfig, Protocol};
use crate::program::{self, Stop};
use crate::ua::desk::Desk;
use crate::ua::told::Told;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Who the phone is.
#[derive(Debug, clap::Args)]
struct Line {
    /// Address of the registrar and proxy
    #[arg(long)]
    server: SocketAddr,
    /// User of its address and of its password
    #[arg(long)]
    user: String,
    /// File with the password in it
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long)]
    tcp: bool,
    /// A-law alone
    #[arg(long)]
    pcma: bool,
    /// SRTP, or no call
    #[arg(long)]
    srtp: bool,
    /// Frequencies that its calls play, in Hz
    #[arg(long, value_delimiter = ',')]
    tone: Vec<f32>,
    /// Dials emergency numbers at a server on loopback, which must be a simulator's end
    #[arg(long)]
    emergency: bool,
}

impl Line {
    fn config(&self) -> Result<PhoneConfig, String> {
        let password = match &self.password_file {
            Some(path) => std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?,
            None => String::new(),
        };
        let mut config = PhoneConfig::new(self.server, &self.user, password.trim_end());
        config.ip = self.listen.ip();
        config.port = self.listen.port();
        config.transport = if self.tcp { Protocol::Tcp } else { Protocol::Udp };
        if self.pcma {
            config.codecs = vec![Law::A];
        }
        config.secure = self.srtp;
        config.tone.clone_from(&self.tone);
        config.emergency = if self.emergency { Emergency::Answer } else { Emergency::Refuse };
        Ok(config)
    }
}

/// A SIP phone. Prints one JSON line with its address when it is ready; SIGTERM ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: Line,
    /// Does not register
    #[arg(long)]
    no_register: bool,
    /// Answers by itself, after so many milliseconds
    #[arg(long, value_name = "MS", num_args = 0..=1, default_missing_value = "0")]
    answer: Option<u64>,
    /// Refuses by itself with this status
    #[arg(long, value_name = "STATUS", conflicts_with = "answer")]
    refuse: Option<u16>,
    #[command(flatten)]
    told: Told,
}

/// One call: places it, waits for a tone, hangs up. Prints what it came to as a JSON line; fails if it did not.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    #[command(flatten)]
    line: Line,
    /// Number or URI to call
    #[arg(long)]
    to: String,
    /// Frequency that must be heard, in Hz
    #[arg(long)]
    expect: Option<f32>,
    /// Keys to press once it is answered
    #[arg(long, default_value = "")]
    keys: String,
    /// Seconds that anything may take
    #[arg(long, default_value_t = 10)]
    patience: u64,
    /// Does not register first
    #[arg(long)]
    no_register: bool,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> ExitCode {
    program::ended(serve(args).await)
}

/// Places the call and ends with it.
pub async fn run_call(args: CallArgs) -> ExitCode {
    program::ended(place(args).await.map(|line| println!("{line}")))
}

async fn serve(args: Args) -> Result<(), String> {
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let mut config = args.line.config()?;
    config.auto = match (args.answer, args.refuse) {
        (Some(0), _) => Auto::Answer,
        (Some(ms), _) => Auto::AnswerAfter(ms),
        (None, Some(status)) => Auto::Refuse(status),
        (None, None) => Auto::Ring,
    };
    let phone = Phone::start(config).await.map_err(|error| error.to_string())?;
    let held = Arc::new(Held { phone, desk: Desk::default() });
    let attending = tokio::spawn(held.clone().attend());
    if !args.no_register {
        held.phone.register(Duration::from_secs(32)).await.map_err(|error| error.to_string())?;
    }
    args.told.serve(&held, held.phone.local(), stop).await?;
    attending.abort();
    if held.phone.is_registered() {
        // The registrar may be gone already; the phone goes all the same.
        drop(held.phone.unregister(Duration::from_secs(2)).await);
    }
    Ok(())
}

async fn place(args: CallArgs) -> Result<Value, String> {
    let why = |error: Error| error.to_string();
    let patience = Duration::from_secs(args.patience);
    let phone = Phone::start(args.line.config()?).await.map_err(why)?;
    if !args.no_register {
        phone.register(patience).await.map_err(why)?;
    }
    let call = phone.call(&args.to).await.map_err(why)?;
    call.answered(patience).await.map_err(why)?;
    for key in args.keys.chars().filter_map(|c| super::Key::try_from(c).ok()) {
        call.send_key(key, super::How::Event).await.map_err(why)?;
    }
    if let Some(hz) = args.expect {
        call.wait_hears(hz, patience).await.map_err(|error| error.to_string())?;
    }
    let hears = call.hears();
    call.hangup(patience).await.map_err(why)?;
    let line = json!({"ok": true, "hears": hears, "keys": call.keys_heard(), "rtp": call.heard(), "end": call.end()});
    if !args.no_register {
        phone.unregister(patience).await.map_err(why)?;
    }
    Ok(line)
}
