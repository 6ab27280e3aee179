//! The command `hil text`.

use super::{Error, Evidence, Installation, Network, Plan, Port, Setup, visit};
use crate::dealer::{self, Dealer, Mode};
use crate::modem::{self, Modem};
use crate::twilio::{self, Fault, Number, On, Twilio};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Customers who schedule services by text while the box is killed again and again. Prints a table; fails if a text
/// or an order was lost, doubled or mixed up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The program under test
    #[arg(long)]
    backroom: PathBuf,
    /// Customers in conversation at once
    #[arg(long, default_value_t = 20)]
    customers: usize,
    /// How often the box is killed
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Of all that is random; printed
    #[arg(long)]
    seed: Option<u64>,
    /// What the dealer does against an order that comes twice
    #[arg(long, value_enum, default_value = "reference")]
    mode: Mode,
    /// What carries the texts
    #[arg(long, value_enum, default_value = "modem")]
    line: Kind,
    /// The dealer loses, delays or refuses orders now and then
    #[arg(long)]
    dealer_faults: bool,
    /// Milliseconds that the modem takes to answer for a text: the longer, the more kills fall in between
    #[arg(long, default_value_t = 15)]
    send_ms: u64,
    /// Milliseconds that the modem takes to show its prompt
    #[arg(long, default_value_t = 3)]
    prompt_ms: u64,
    /// Directory for the box, the emulator's log and the dealer's; removed when all is well, unless named
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The box's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// An emulated modem
    Modem,
    /// A number at the simulated Twilio, which loses answers, asks for pauses, and tells texts twice
    Twilio,
}

/// Runs the scenario and prints what came of it.
pub async fn run(args: Args) -> ExitCode {
    let named = args.dir.is_some();
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("backroom-text-{}", std::process::id())));
    let seed = args.seed.unwrap_or_else(|| {
        u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default() % 1_000_000
    });
    println!("seed {seed}, mode {:?}, {} customers, files in {}", args.mode, args.customers, dir.display());
    match scenario(&args, seed, &dir).await {
        Ok(evidence) => {
            print!("{evidence}");
            if !evidence.violations.is_empty() {
                return ExitCode::FAILURE;
            }
            if !named && let Err(error) = std::fs::remove_dir_all(&dir) {
                println!("{} stays behind: {error}", dir.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("the scenario broke off: {error}; see {}", dir.display());
            ExitCode::FAILURE
        }
    }
}

async fn scenario(args: &Args, seed: u64, dir: &Path) -> Result<Evidence, Error> {
    std::fs::create_dir_all(dir)?;
    let dealer = Dealer::start(dealer::Options {
        mode: args.mode,
        token: Some("secret".into()),
        log: Some(dir.join("dealer.log")),
        more_customers: args.customers,
        ..dealer::Options::default()
    })
    .await?;
    match args.line {
        Kind::Modem => by_modem(args, seed, dir, &dealer).await,
        Kind::Twilio => by_twilio(args, seed, dir, &dealer).await,
    }
}

async fn by_modem(args: &Args, seed: u64, dir: &Path, dealer: &Dealer) -> Result<Evidence, Error> {
    let (log, port) = (dir.join("modem.log"), dir.join("modem"));
    let modem = Modem::start(modem::Options {
        link: Some(port.clone()),
        log: Some(log.clone()),
        ..modem::Options::default()
    })
    .await?;
    modem.fault(modem::Fault::Delay { matching: "+CMGS".into(), times: u32::MAX, ms: args.send_ms }).await?;
    modem.fault(modem::Fault::SlowPrompt { ms: args.prompt_ms }).await?;
    let network = Network::Modem(&modem, &log);
    talk(args, seed, dir, dealer, Port::Path(port), "", network).await
}

async fn by_twilio(args: &Args, seed: u64, dir: &Path, dealer: &Dealer) -> Result<Evidence, Error> {
    let options = twilio::Options::default();
    let number = options.numbers.first().cloned().unwrap_or_default();
    let account = [options.account.clone(), options.auth_token.clone(), number.clone()];
    let twilio = Twilio::start(options)?;
    let web = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let sms_url = format!("http://{web}/twilio/sim1/message");
    drop(twilio.set_number(Number { number, sms_url, ..Number::default() }));
    twilio.set(twilio::Settings {
        webhook_copies: 1,
        webhook_spread_ms: 50,
        list_spread_ms: 300,
        ..twilio.settings()
    });
    let writes = |fault, every| twilio::Plan::new(On::Writes, fault).every(every);
    // Between a text that is taken and its answer there is time for a kill.
    let seconds = Duration::from_millis(args.send_ms).as_secs_f64();
    twilio.set_faults(&[
        writes(Fault::LostAnswer, 41),
        writes(Fault::CommitThen500, 43),
        writes(Fault::LostRequest, 97),
        writes(Fault::TooMany { retry_after: 1 }, 101),
        twilio::Plan::new(On::Reads, Fault::TooMany { retry_after: 1 }).every(53),
        writes(Fault::SlowBody { seconds }, 1),
    ]);
    let settings = "sms.pace = 0.01\nsms.burst = 100\nsms.replies = 100\nsms.settle = 0.3\nsms.look_again = 0.6\n\
                    sms.retry_first = 0.2\nsms.retry_most = 1\n";
    let port = Port::Upstream { url: twilio.url(), account, web };
    talk(args, seed, dir, dealer, port, settings, Network::Twilio(&twilio)).await
}

async fn talk(
    args: &Args,
    seed: u64,
    dir: &Path,
    dealer: &Dealer,
    port: Port,
    settings: &str,
    network: Network<'_>,
) -> Result<Evidence, Error> {
    let settings = format!(
        "dealer.backoff_first = 0.2\ndealer.backoff_most = 2\ndealer.settle = 0.5\ndealer.order_wait = 1.5\n{settings}"
    );
    let setup = Setup {
        dealer: &dealer.url(),
        token: "secret",
        port,
        settings: &settings,
        order: 1.0,
        storage: None,
        low_water_mib: 1,
    };
    let installation = Installation::new(&args.backroom, dir, &setup)?;
    let plan = Plan {
        customers: args.customers,
        kills: args.kills,
        seed,
        dealer_faults: args.dealer_faults,
        ..Plan::default()
    };
    visit(&plan, &installation, network, dealer).await
}
