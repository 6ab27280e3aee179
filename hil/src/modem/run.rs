//! The command `hil modem`.

use super::{Error, Identity, Latency, Modem, Options, Reports};
use crate::program::{self, Stop};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// An SMS modem on a pseudo-terminal. Prints one JSON line with its port when it is ready; SIGTERM ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stable name for the port, a symbolic link
    #[arg(long)]
    link: Option<PathBuf>,
    /// Append every byte and event with its time to this file, as JSON lines
    #[arg(long)]
    log: Option<PathBuf>,
    /// Unix socket that takes requests as JSON lines
    #[arg(long)]
    control: Option<PathBuf>,
    /// Steps to play: JSON lines
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Take as long as a real modem on a real network
    #[arg(long)]
    realistic: bool,
    /// The SIM asks for this PIN
    #[arg(long)]
    pin: Option<String>,
    /// Slots of the SIM's memory
    #[arg(long, value_name = "SLOTS", default_value_t = 30)]
    sm: u8,
    /// Slots of the modem's memory
    #[arg(long, value_name = "SLOTS", default_value_t = 100)]
    me: u8,
    /// Slots of the memory for status reports
    #[arg(long, value_name = "SLOTS", default_value_t = 50)]
    sr: u8,
    /// Index of the first slot
    #[arg(long, default_value_t = 1)]
    first_index: usize,
    /// Number of the SIM
    #[arg(long)]
    number: Option<String>,
    #[arg(long)]
    imei: Option<String>,
    /// Send no status reports
    #[arg(long, conflicts_with = "report_after")]
    no_reports: bool,
    /// Seconds between a text and its status report
    #[arg(long, default_value_t = 0.0)]
    report_after: f64,
    /// Settings outlive a reset
    #[arg(long)]
    keep_settings: bool,
    /// Seconds that a reset takes
    #[arg(long, default_value_t = 0.02)]
    boot: f64,
    /// A reset takes the port away for so many seconds
    #[arg(long, value_name = "SECONDS")]
    reset_drops_port: Option<f64>,
    /// Seconds that a direct delivery waits for +CNMA
    #[arg(long, default_value_t = 15.0)]
    ack_timeout: f64,
    /// Zone of the service centre's timestamps
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

fn milliseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Args {
    fn options(self) -> Options {
        let identity = Identity::default();
        let reports = if self.no_reports {
            Reports::Never
        } else {
            Reports::After { ms: milliseconds(self.report_after), status: 0 }
        };
        Options {
            link: self.link,
            log: self.log,
            control: self.control,
            scenario: self.scenario,
            identity: Identity {
                imei: self.imei.unwrap_or(identity.imei),
                number: self.number.unwrap_or(identity.number),
                ..Identity::default()
            },
            pin: self.pin,
            capacity: [self.sm, self.me, self.sr].map(usize::from),
            first_index: self.first_index,
            latency: if self.realistic { Latency::Realistic } else { Latency::Instant },
            reports,
            keep_settings: self.keep_settings,
            boot_ms: milliseconds(self.boot),
            reset_drops_port_ms: self.reset_drops_port.map(milliseconds),
            ack_timeout_ms: milliseconds(self.ack_timeout),
            time_zone: self.time_zone,
            ..Options::default()
        }
    }
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> ExitCode {
    program::ended(serve(args.options()).await)
}

async fn serve(options: Options) -> Result<(), Error> {
    let mut stop = Stop::new().map_err(Error::Port)?;
    let mut modem = Modem::start(options).await?;
    println!("{}", json!({"ready": true, "port": modem.path()}));
    tokio::select! {
        () = stop.asked() => Ok(()),
        result = modem.stopped() => result,
    }
}
