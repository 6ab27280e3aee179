//! `hil full-disk`: customers text until the box's disk is full, and beyond; then there is room again. The storage
//! directory must lie on a small file system of its own.

use super::{Customer, Error, Installation, Port, Running, Setup};
use crate::dealer::{self, Dealer};
use crate::modem::{self, Modem, Submitted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout};

/// Customers text until the disk is full, and beyond. Needs a small file system of its own for the database.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The program under test
    #[arg(long)]
    backroom: PathBuf,
    /// Directory on the small file system
    #[arg(long)]
    storage: PathBuf,
    /// Kill the box on the full disk and start it there
    #[arg(long)]
    kill: bool,
    /// Directory for everything else
    #[arg(long)]
    dir: PathBuf,
}

/// More than the emulated modem's memories hold, so that the network has to keep some.
const TEXTERS: usize = 160;
/// For anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the scenario and prints what came of it.
pub async fn run(args: Args) -> ExitCode {
    match scenario(&args).await {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED: {error}; see {}", args.dir.display());
            ExitCode::FAILURE
        }
    }
}

struct Shop {
    modem: Modem,
    texts: Receiver<Submitted>,
    box_: Installation,
    customers: Vec<Customer>,
    /// Texts that each customer got.
    heard: BTreeMap<String, usize>,
    storage: PathBuf,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::Box(what.into())
}

async fn open(args: &Args) -> Result<(Shop, Dealer), Error> {
    std::fs::create_dir_all(&args.dir)?;
    let port = args.dir.join("modem");
    let options = modem::Options {
        link: Some(port.clone()),
        log: Some(args.dir.join("modem.log")),
        ..modem::Options::default()
    };
    let modem = Modem::start(options).await?;
    let options = dealer::Options {
        token: Some("secret".into()),
        more_customers: TEXTERS,
        ..dealer::Options::default()
    };
    let dealer = Dealer::start(options).await?;
    let setup = Setup {
        dealer: &dealer.url(),
        token: "secret",
        port: Port::Path(port),
        settings: "",
        order: 5.0,
        storage: Some(&args.storage),
        low_water_mib: 1,
    };
    let box_ = Installation::new(&args.backroom, &args.dir, &setup)?;
    let customers = dealer.customers().iter().filter_map(Customer::new).take(TEXTERS).collect();
    let texts = modem.submitted();
    Ok((
        Shop { modem, texts, box_, customers, heard: BTreeMap::new(), storage: args.storage.clone() },
        dealer,
    ))
}

impl Shop {
    async fn says(&mut self, from: usize) -> Result<(), Error> {
        let Some(customer) = self.customers.get_mut(from) else { return Ok(()) };
        let text = customer.begin();
        self.modem.deliver(&customer.phone, &text).await?;
        Ok(())
    }

    /// Takes in what the box sends for so long, or until so many customers have been answered.
    async fn listens(&mut self, time: Duration, until: usize) -> Result<(), Error> {
        let end = Instant::now() + time;
        while self.heard.len() < until {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(text) = timeout(left, self.texts.recv()).await else { return Ok(()) };
            let text = text.map_err(|e| wrong(e.to_string()))?;
            let customer = self.customers.iter_mut().find(|c| c.phone == text.to);
            let customer = customer.ok_or_else(|| wrong(format!("a text to {}", text.to)))?;
            customer.hear(&text.text).map_err(|m| wrong(format!("{}: {}: {}", text.to, m.why, m.text)))?;
            *self.heard.entry(text.to).or_default() += 1;
        }
        Ok(())
    }

    /// Fills the file system to its last byte.
    fn fill(&self) -> Result<PathBuf, Error> {
        let path = self.storage.join("filler");
        let mut file = std::fs::File::options().create(true).append(true).open(&path)?;
        for size in [1 << 16, 1 << 12, 1 << 8, 1] {
            let chunk = vec![0_u8; size];
            while file.write_all(&chunk).is_ok() {}
        }
        Ok(path)
    }

    async fn doctor(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.box_.run(&["doctor"]).await?.stdout).into_owned())
    }

    /// Texts that the box has taken.
    async fn stored(&self) -> Result<Vec<String>, Error> {
        let rows = self.box_.rows(&["sms", "list", "--limit", "100000"]).await?;
        let text =
            |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let inbound = rows.iter().filter(|row| text(row, "direction") == "in");
        Ok(inbound.map(|row| text(row, "id")).collect())
    }

    /// Texts that lie in the modem or wait in the network.
    async fn with_the_modem(&self) -> Result<usize, Error> {
        let state = self.modem.state().await?;
        let texts = state.memories.iter().filter(|m| m.name != "SR").map(|m| m.messages.len()).sum::<usize>();
        Ok(texts + state.waiting)
    }
}

async fn scenario(args: &Args) -> Result<Vec<String>, Error> {
    if !is_small(&args.storage) {
        return Err(wrong(format!("{} is not on a small file system of its own", args.storage.display())));
    }
    let (mut shop, _dealer) = open(args).await?;
    let mut report = Vec::new();
    let running = shop.box_.start()?;
    for customer in 0..TEXTERS / 8 {
        shop.says(customer).await?;
    }
    shop.listens(PATIENCE, TEXTERS / 8).await?;
    let before = shop.stored().await?;
    report.push(format!("texts taken with room       {}", before.len()));
    let filler = shop.fill()?;
    let (said, doctor) = until_refused(&mut shop).await?;
    let taken = shop.stored().await?;
    let lying = shop.with_the_modem().await?;
    report.push(format!("texts taken while full      {}", taken.len() - before.len()));
    report.push(format!("texts left with the modem   {lying}"));
    report.push(format!("doctor                      {doctor}"));
    if lying == 0 {
        return Err(wrong("nothing was left with the modem: the disk was not full"));
    }
    let sent = shop.box_.run(&["sms", "send", "+12065550101", "Hello"]).await?;
    if sent.status.success() {
        return Err(wrong("a text was accepted for sending while nothing can be written"));
    }
    report.push(format!("sms send                    {}", String::from_utf8_lossy(&sent.stderr).trim()));
    let running = match args.kill {
        true => power_cut_while_full(&shop, running, &mut report).await?,
        false => Some(running),
    };
    std::fs::remove_file(&filler)?;
    let roomy = Instant::now();
    let running = match running {
        Some(running) => running,
        None => shop.box_.start()?,
    };
    shop.listens(PATIENCE, said).await?;
    report.push(format!(
        "answered after room was made {} of {said} in {:?}",
        shop.heard.len(),
        roomy.elapsed()
    ));
    settled(&mut shop, said, &taken).await?;
    let (status, took) = running.terminate().await?;
    report.push(format!("ended                       {status} in {took:?}"));
    if !status.success() {
        return Err(wrong(format!("ended with {status}")));
    }
    report.push("lost 0, doubled 0".to_owned());
    Ok(report)
}

/// Customers text on until the box says that it takes nothing more. Returns how many have texted.
async fn until_refused(shop: &mut Shop) -> Result<(usize, String), Error> {
    let mut said = TEXTERS / 8;
    let mut doctor = String::new();
    while said < TEXTERS {
        for _ in 0..10 {
            if said < TEXTERS {
                shop.says(said).await?;
                said += 1;
            }
        }
        shop.listens(Duration::from_millis(500), said).await?;
        // What the box had kept in reserve is used up as well.
        shop.fill()?;
        doctor = shop.doctor().await?;
        let refusal = doctor.lines().find(|line| line.contains("cannot write"));
        if let Some(refusal) = refusal
            && shop.with_the_modem().await? > 0
        {
            return Ok((said, refusal.trim().to_owned()));
        }
    }
    Err(wrong(format!("{said} customers texted, and the box never said that it cannot write:\n{doctor}")))
}

/// The box dies on a full disk and is started on it: it may refuse to start, and says why.
async fn power_cut_while_full(
    shop: &Shop,
    running: Running,
    report: &mut Vec<String>,
) -> Result<Option<Running>, Error> {
    running.kill().await?;
    let mut again = shop.box_.start()?;
    let ended = timeout(Duration::from_secs(3), again.ended()).await;
    match ended {
        Err(_) => {
            report.push("killed and started full     runs".to_owned());
            Ok(Some(again))
        }
        Ok(status) => {
            let log = std::fs::read_to_string(shop.box_.log())?;
            let why = log.lines().last().unwrap_or_default();
            report.push(format!("killed and started full     {}: {why}", status?));
            Ok(None)
        }
    }
}

/// Everybody was answered once, and what had been taken is still there.
async fn settled(shop: &mut Shop, said: usize, taken: &[String]) -> Result<(), Error> {
    // What is said twice comes at once or not at all.
    let heard = shop.heard.len();
    shop.listens(Duration::from_secs(2), usize::MAX).await?;
    if heard != said {
        let silent = shop.customers.iter().take(said).filter(|c| !shop.heard.contains_key(&c.phone));
        let silent: Vec<&str> = silent.map(|c| c.phone.as_str()).collect();
        let unknown = shop.box_.rows(&["sms", "unknown"]).await?;
        let doubt =
            |phone: &&str| unknown.iter().any(|row| row.get("person").and_then(Value::as_str) == Some(phone));
        let lost: Vec<&&str> = silent.iter().filter(|phone| !doubt(phone)).collect();
        // The kill may have cut one.
        if !lost.is_empty() || silent.len() > 1 {
            return Err(wrong(format!("never answered: {silent:?}")));
        }
    }
    let stored = shop.stored().await?;
    if let Some(lost) = taken.iter().find(|id| !stored.contains(id)) {
        return Err(wrong(format!("{lost} was taken and is gone")));
    }
    if stored.len() != said || shop.with_the_modem().await? != 0 {
        let lying = shop.with_the_modem().await?;
        return Err(wrong(format!(
            "{said} texts came, {} are stored, {lying} lie in the modem",
            stored.len()
        )));
    }
    Ok(())
}

/// Whether a directory is on a file system small enough to be filled without harm.
fn is_small(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|s| s.f_blocks.saturating_mul(s.f_frsize) <= 256 << 20)
}
