//! `backroom demo`: a shop to text with that needs no modem, account or network. Starts the stage, the terminal and the
//! page, and ends them in order. The box on the stage is the same program with the same loop as `backroom run`.

mod observe;
mod page;
mod phones;
mod stage;
mod terminal;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::AsyncReadExt;

use self::phones::Place;
use self::stage::{Stage, Trouble};
use self::terminal::{Screen, Script, Talk};
use super::{fail, load};
use crate::{daemon, telemetry};

/// A conversation that schedules a service, orders a part on the way, and loses power in the middle.
const PLAY: &str = include_str!("play.txt");

/// What can be tried.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// The dealer's system goes down as soon as the box has fetched what it needs
    #[arg(long)]
    offline: bool,
    /// Show the conversation that comes with it, and end
    #[arg(long, conflicts_with = "script")]
    play: bool,
    /// Texts and commands from a file, one a line, and end
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// What the shop is called
    #[arg(long, value_name = "NAME")]
    shop_name: Option<String>,
    /// Emoji in the shop's texts
    #[arg(long)]
    emoji: bool,
    /// Silence after which the shop ends a conversation, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    silence: Option<f64>,
    /// Keep the box's database, log and configuration here, and go on from it the next time
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Port of the page on 127.0.0.1; without it 8026 or a free one, and no page when nobody sits at a terminal
    #[arg(long)]
    port: Option<u16>,
    /// No page
    #[arg(long, conflicts_with = "port")]
    no_page: bool,
    /// Where the two telephones may register: `lan` (what --phones alone means), `here` (this machine: without
    /// --phones), or one address of this machine
    #[arg(long, value_name = "WHERE", num_args = 0..=1, default_missing_value = "lan", value_parser = phones::place)]
    phones: Option<Place>,
    /// Be the box of a demonstration: run until standard input ends.
    #[arg(long = "box", hide = true)]
    the_box: bool,
}

impl Options {
    /// Where phones may register; a conversation that is only shown has none unless they are asked for.
    fn phones(&self) -> Option<Place> {
        self.phones.or((!self.play).then_some(Place::Here))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "seconds are a number such as 90 or 2.5".to_owned())?;
    if (0.0..=1e9).contains(&number) { Ok(number) } else { Err("seconds begin at 0".to_owned()) }
}

/// Runs the demonstration, or the box of one.
pub(super) fn run(config: &Path, options: &Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    let how = if options.the_box {
        runtime.block_on(be_the_box(config))
    } else {
        runtime.block_on(demonstrate(options))
    };
    // A thread may still wait for a line of standard input that nobody will write.
    runtime.shutdown_background();
    match how {
        Ok(code) => code,
        Err(why) => fail(&why),
    }
}

/// The daemon as `backroom run` has it; ends when the demonstration does.
async fn be_the_box(config: &Path) -> Result<ExitCode, Trouble> {
    telemetry::start("info");
    let config = match load(config) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let ended = async {
        let mut nothing = [0u8; 64];
        while matches!(tokio::io::stdin().read(&mut nothing).await, Ok(1..)) {}
    };
    daemon::run(config, None, ended, || println!("ready")).await.map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}

async fn demonstrate(options: &Options) -> Result<ExitCode, Trouble> {
    let at_terminal = std::io::stdin().is_terminal();
    let given = match &options.script {
        Some(path) => {
            let text = std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        None => options.play.then(|| PLAY.to_owned()),
    };
    let script = match given {
        Some(text) => Script::given(&text),
        None => Script::standard_input(),
    };
    let interactive = at_terminal && !script.is_given();
    let stage = tokio::select! {
        stage = Stage::start(options) => Arc::new(stage?),
        () = told_to_stop() => return Ok(ExitCode::SUCCESS),
    };
    let mut helpers = tokio::task::JoinSet::new();
    {
        let stage = Arc::clone(&stage);
        helpers.spawn(async move { stage.gather_always().await });
    }
    let mut address = None;
    if !options.no_page && (interactive || options.port.is_some()) {
        address = Some(page::open(options.port, &stage, &mut helpers).await?);
    }
    let screen = Screen::standard_output(interactive);
    let mut talk = Talk::new(Arc::clone(&stage), screen, options.offline);
    // Nobody types and nobody sends anything: show what there is to see, unless somebody wants the page.
    let instead = (!interactive && options.port.is_none()).then_some(PLAY);
    let how = tokio::select! {
        how = talk.hold(script, instead, address.as_deref()) => how,
        () = told_to_stop() => Ok(true),
    };
    drop(talk);
    helpers.shutdown().await;
    stage.stop().await;
    how.map(|answered| if answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ctrl-C, SIGTERM, or the terminal was closed.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut int), Ok(mut term), Ok(mut hup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
}
