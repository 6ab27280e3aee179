//! The command line: the daemon itself, tools for this machine, and technician's filters that read standard input
//! and write JSON lines. Parses arguments and prints; what a command does is elsewhere or in the file of its name.
#![expect(clippy::print_stderr, reason = "commands tell people what went wrong on standard error")]

pub mod flow;
pub mod liquid;
pub mod pdu;
pub mod segments;

mod calls;
mod certificate;
mod consent;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod files;
mod phone;
mod settings;
mod texts;
mod twilio;
mod webhooks;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, ShopSettings};
use crate::daemon::calls_setup::PlanGround;
use crate::daemon::control::Ask;
use crate::{daemon, telemetry, web};

/// The arguments.
#[derive(Debug, Parser)]
#[command(
    name = "backroom",
    version,
    about = "Answers the shop's phone and texts, also when the Internet does not"
)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, env = "BACKROOM_CONFIG", default_value = config::file::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the box (systemd starts this)
    Run,
    /// Check the whole configuration, and say all that is wrong with it
    Check,
    /// How things stand in the running box, as JSON
    Status,
    /// Look at everything: configuration, storage, lines, dealer
    Doctor,
    /// Text with a believable shop: needs no modem, account or network
    #[cfg(feature = "demo")]
    Demo(demo::Options),
    /// Texts: list, send, settle doubts; count segments
    Sms {
        #[command(subcommand)]
        command: texts::Sms,
    },
    /// Calls: which there were and are, and how each ended
    Calls(calls::Calls),
    /// Orders to the dealer: list, settle doubts
    Orders {
        #[command(subcommand)]
        command: texts::Orders,
    },
    /// The box's own events to the endpoints of `[[webhook]]`: list, replay, test
    Webhooks {
        #[command(subcommand)]
        command: webhooks::Webhooks,
    },
    /// Who may be texted, and what shows it
    Consent {
        #[command(subcommand)]
        command: consent::Consent,
    },
    /// The owner's settings
    Settings {
        #[command(subcommand)]
        command: settings::Settings,
    },
    /// Telephones of the shop
    Phone {
        #[command(subcommand)]
        command: phone::Phone,
    },
    /// The dial plan in force: what follows from the file, with the owner's `calls.plan` over it
    Plan {
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// SMS PDUs, a line each
    Pdu {
        #[command(subcommand)]
        command: Pdu,
    },
    /// Liquid templates, a line each
    Liquid {
        #[command(subcommand)]
        command: Liquid,
    },
    /// Studio flows
    Flow {
        #[command(subcommand)]
        command: Flow,
    },
    /// Twilio: voice for a box without a public address, the cloud's flows, voicemail, usage
    Twilio {
        #[command(subcommand)]
        command: twilio::Twilio,
    },
}

#[derive(Debug, Subcommand)]
enum Pdu {
    /// Hex in, JSON out
    Decode {
        /// The PDUs are SUBMITs (mobile originated)
        #[arg(long)]
        mo: bool,
    },
    /// `{"number","text"}` in, PDUs out
    Encode,
}

#[derive(Debug, Subcommand)]
enum Liquid {
    /// `{"template","data"}` in, `{"result"}` or `{"error"}` out
    Render,
}

#[derive(Debug, Subcommand)]
enum Flow {
    /// Every problem of flow definitions, with its JSON path
    Lint {
        /// Studio JSON files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// One JSON object a problem
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command and gives the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Run => run(&cli.config),
        Command::Check => check(&cli.config),
        Command::Status => with_config(&cli.config, |config| texts::tell(config, &Ask::Status)),
        Command::Doctor => doctor::run(&cli.config),
        Command::Sms { command: texts::Sms::Segments } => {
            filter(|line| segments::segments_line(line).map(|v| v.to_string()))
        }
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&cli.config, &options),
        Command::Sms { command } => with_config(&cli.config, |config| texts::sms(config, command)),
        Command::Calls(calls) => with_config(&cli.config, |config| calls::run(config, calls)),
        Command::Orders { command } => with_config(&cli.config, |config| texts::orders(config, command)),
        Command::Webhooks { command } => with_config(&cli.config, |config| webhooks::run(config, command)),
        Command::Consent { command } => with_config(&cli.config, |config| consent::run(config, command)),
        Command::Settings { command } => with_config(&cli.config, |config| settings::run(config, command)),
        Command::Phone { command } => {
            with_config(&cli.config, |config| phone::run(&cli.config, config, command))
        }
        Command::Plan { shop } => with_config(&cli.config, |config| phone::plan(config, shop.as_deref())),
        Command::Pdu { command: Pdu::Decode { mo } } => {
            filter(|line| pdu::decode_line(line, mo).map(|v| v.to_string()))
        }
        Command::Pdu { command: Pdu::Encode } => filter(|line| pdu::encode_line(line).map(|v| v.to_string())),
        Command::Liquid { command: Liquid::Render } => {
            filter(|line| (!line.trim().is_empty()).then(|| liquid::answer(line)))
        }
        Command::Flow { command: Flow::Lint { files, json } } => lint(&files, json),
        Command::Twilio { command } => {
            with_config(&cli.config, |config| twilio::run(&cli.config, config, command))
        }
    }
}

/// Standard input to standard output, a line each; stops quietly when nobody reads.
fn filter(mut answer: impl FnMut(&str) -> Option<String>) -> ExitCode {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return fail(&format!("standard input cannot be read: {error}")),
        }
        let text = String::from_utf8_lossy(&line);
        let Some(answer) = answer(text.trim_end_matches(['\r', '\n'])) else { continue };
        // Whoever asks a line at a time waits for each answer.
        if writeln!(output, "{answer}").and_then(|()| output.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    eprintln!("backroom: {why}");
    ExitCode::FAILURE
}

fn load(path: &std::path::Path) -> Result<Config, ExitCode> {
    config::file::load(path).map_err(|faults| {
        for fault in &faults {
            eprintln!("{}: {fault}", path.display());
        }
        ExitCode::FAILURE
    })
}

fn with_config(path: &std::path::Path, act: impl FnOnce(&Config) -> Result<(), String>) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match act(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn check(path: &std::path::Path) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut bad = false;
    for line in &config.lines {
        if let Err(error) = daemon::modem_config(line, &config) {
            eprintln!("{}: {error}", path.display());
            bad = true;
        }
    }
    for shop in &config.shops {
        let mut settings = ShopSettings::default();
        for (key, value) in &shop.settings {
            if let Err(error) = settings.set(key, value) {
                eprintln!("{}: shop {}: {error}", path.display(), shop.id);
                bad = true;
            }
        }
        let ground = PlanGround::of(&config, &shop.id);
        if ground.is_empty() {
            continue;
        }
        for problem in ground.plan(&settings).err().into_iter().flatten() {
            eprintln!("{}: shop {}: {problem}", path.display(), shop.id);
            bad = true;
        }
    }
    if bad {
        return ExitCode::FAILURE;
    }
    let lines = config.lines.len() + config.trunks.len();
    let (shops, phones) = (config.shops.len(), config.phones.len());
    println!("{}: {shops} shops, {lines} lines, {phones} phones: fine", path.display());
    ExitCode::SUCCESS
}

fn run(path: &std::path::Path) -> ExitCode {
    telemetry::start("info");
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    let front = web::hooks::front(&config);
    let ready = || {
        tracing::info!("ready");
        // Nothing can be done about a systemd that does not listen.
        let _unheard = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    };
    let how = runtime.block_on(daemon::run(config, front, asked_to_stop(), ready));
    // Everything that matters has ended in order; a thread that still reads root certificates may be left alone.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match how {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// SIGTERM or SIGINT.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without signals only systemd's SIGKILL ends the box: it is made for that.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("stopping");
}

fn lint(files: &[PathBuf], json: bool) -> ExitCode {
    let mut good = true;
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let (report, ok) = flow::lint_report(&file.display().to_string(), &text, json);
                print!("{report}");
                good &= ok;
            }
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                good = false;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
