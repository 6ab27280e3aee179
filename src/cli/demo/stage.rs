//! What a demonstration stands on: the emulated modem and the simulated dealer in this process, and the box in one of
//! its own, so that pulling its power is a SIGKILL and no rehearsal. Knows what was texted; prints nothing.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hil::dealer::{Dealer, Fault};
use hil::modem::{Identity, Modem};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::Options;
use super::observe::Observer;
use super::phones::Phones;

/// The shop's id in the demonstration's configuration.
pub(super) const SHOP: &str = "main";
/// Whom "Text Shop" reaches.
pub(super) const STAFF: &str = "+12065550190";
/// The shop's own number: the emulated SIM's.
pub(super) const NUMBER: &str = "+12065550100";

/// How long an answer may take before the demonstration goes on without it: longer than a customer waits for an order.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the box's database is looked at while an answer is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// Who a text is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) phone: String,
    pub(super) name: String,
}

/// Which way an entry went, and who caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Typed in the terminal or read from a script.
    FromTerminal,
    /// Written on the page.
    FromPage,
    /// The shop's text.
    FromShop,
    /// Not a text: what happened to the box or the dealer.
    Note,
}

/// One line of the demonstration's history.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// E.164; empty for a note.
    pub(super) person: String,
    pub(super) way: Way,
    pub(super) body: String,
    pub(super) at: jiff::Zoned,
}

/// Why the demonstration cannot start or go on, in words.
pub(super) type Trouble = String;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running demonstration.
pub(super) struct Stage {
    pub(super) shop_name: String,
    pub(super) people: Vec<Person>,
    pub(super) phones: Option<Phones>,
    modem: Modem,
    dealer: Dealer,
    dealer_on: AtomicBool,
    power: tokio::sync::Mutex<Option<Child>>,
    /// The last text of the box that is in `history`.
    gathered: tokio::sync::Mutex<u64>,
    history: Mutex<Vec<Entry>>,
    length: watch::Sender<usize>,
    // Last: the directory goes when nobody uses it any more.
    directory: Directory,
}

impl Stage {
    /// Starts all three and waits until the box has fetched what the dealer knows.
    ///
    /// # Errors
    /// No room, no pseudo-terminal, no free port, or the box does not start.
    pub(super) async fn start(options: &Options) -> Result<Self, Trouble> {
        let directory = match &options.keep {
            Some(path) => Directory::kept(path)?,
            None => Directory::temporary()?,
        };
        let dealer = hil::dealer::Options {
            state: options.keep.is_some().then(|| directory.path.join("dealer.json")),
            ..hil::dealer::Options::default()
        };
        let dealer = Dealer::start(dealer).await.map_err(|e| format!("the simulated dealer: {e}"))?;
        let modem = hil::modem::Options {
            link: Some(directory.path.join("modem")),
            identity: Identity { number: NUMBER.to_owned(), ..Identity::default() },
            ..hil::modem::Options::default()
        };
        let modem = Modem::start(modem).await.map_err(|e| format!("the emulated modem: {e}"))?;
        let mut people: Vec<Person> =
            dealer.customers().into_iter().map(|c| Person { phone: c.phone, name: c.name }).collect();
        people.push(Person { phone: STAFF.to_owned(), name: "Staff".to_owned() });
        let shop_name = options.shop_name.clone().unwrap_or_else(|| hil::dealer::NAME.to_owned());
        let phones = options.phones().map(Phones::new).transpose()?;
        let stage = Self {
            shop_name,
            people,
            phones,
            modem,
            dealer,
            dealer_on: AtomicBool::new(true),
            power: tokio::sync::Mutex::new(None),
            gathered: tokio::sync::Mutex::new(0),
            history: Mutex::new(Vec::new()),
            length: watch::Sender::new(0),
            directory,
        };
        stage.configure(options)?;
        *stage.power.lock().await = Some(stage.switch_on().await?);
        stage.until_fetched().await?;
        if options.offline {
            stage.set_dealer(false)?;
        }
        Ok(stage)
    }

    /// Where the box keeps its database.
    pub(super) fn storage(&self) -> PathBuf {
        self.directory.path.join("box")
    }

    fn configure(&self, options: &Options) -> Result<(), Trouble> {
        let customers: Vec<toml::Value> =
            self.people.iter().filter(|p| p.phone != STAFF).map(|p| p.phone.clone().into()).collect();
        let mut settings = toml::Table::new();
        let mut set = |key: &str, value: toml::Value| settings.insert(key.to_owned(), value);
        set("shop.name", self.shop_name.clone().into());
        set("shop.phone", NUMBER.into());
        set("calls.location", "The demonstration: nobody is here".into());
        set("staff", toml::Value::Array(vec![STAFF.into()]));
        set("customers", toml::Value::Array(customers));
        set("emoji", options.emoji.into());
        // A person who switches the dealer on again should not have to wait a minute for the box to notice.
        set("dealer.probe_every", 1.into());
        set("dealer.backoff_most", 4.into());
        // Nor talk for five minutes until the box asks the dealer again and notices that he is away.
        set("dealer.profile_age", 0.into());
        if let Some(silence) = options.silence {
            set("silence", silence.into());
        }
        let text = |path: &Path| toml::Value::from(path.display().to_string());
        let table = |pairs: [(&str, toml::Value); 3]| {
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value));
            toml::Value::Table(pairs.into_iter().collect())
        };
        let dealer = toml::Table::from_iter([("url".to_owned(), self.dealer.url().into())]);
        let shop = [("id", SHOP.into()), ("dealer", dealer.into()), ("settings", settings.into())];
        let line = [
            ("id", "sim1".into()),
            ("shop", SHOP.into()),
            ("port", text(&self.directory.path.join("modem"))),
        ];
        let storage = toml::Table::from_iter([("path".to_owned(), text(&self.storage()))]);
        let mut file = toml::Table::from_iter([
            ("storage".to_owned(), storage.into()),
            ("shop".to_owned(), toml::Value::Array(vec![table(shop)])),
            ("line".to_owned(), toml::Value::Array(vec![table(line)])),
        ]);
        if let Some(phones) = &self.phones {
            phones.configure(&mut file, &self.directory.path, SHOP)?;
        }
        let place = self.directory.config();
        fs::write(&place, file.to_string()).map_err(cannot_write(&place))?;
        let storage = self.storage();
        fs::create_dir_all(&storage).map_err(cannot_write(&storage))
    }

    /// Starts the box's process and waits until it takes texts.
    async fn switch_on(&self) -> Result<Child, Trouble> {
        let program = std::env::current_exe().map_err(|e| format!("this program cannot be found: {e}"))?;
        let place = self.directory.path.join("box.log");
        let log = fs::File::options().create(true).append(true).open(&place).map_err(cannot_write(&place))?;
        let mut child = Command::new(program)
            .arg("--config")
            .arg(self.directory.config())
            .args(["demo", "--box"])
            // The box ends when this pipe does: also when this process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C in the terminal is meant for the demonstration, which then ends the box in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("the box does not start: {e}"))?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            let ready = tokio::time::timeout(PATIENCE, stdout.read_line(&mut said)).await;
            if !matches!(ready, Ok(Ok(1..))) {
                let log = fs::read_to_string(&place).unwrap_or_default();
                return Err(format!("the box does not start:\n{log}"));
            }
        }
        Ok(child)
    }

    async fn until_fetched(&self) -> Result<(), Trouble> {
        let observer = Observer::open(&self.storage())?;
        let phones: Vec<&str> =
            self.people.iter().map(|p| p.phone.as_str()).filter(|p| *p != STAFF).collect();
        self.until(|| observer.is_fetched(&phones)).await?;
        Ok(())
    }

    /// Looks until `done` or out of patience; answers whether it was done.
    async fn until(&self, mut done: impl FnMut() -> Result<bool, Trouble>) -> Result<bool, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while !done()? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// The person of this number; a stranger is called by it.
    pub(super) fn person(&self, phone: &str) -> Person {
        self.people
            .iter()
            .find(|p| p.phone == phone)
            .cloned()
            .unwrap_or_else(|| Person { phone: phone.to_owned(), name: phone.to_owned() })
    }

    /// History from entry `from` on.
    pub(super) fn history(&self, from: usize) -> Vec<Entry> {
        lock(&self.history).get(from..).unwrap_or_default().to_vec()
    }

    /// How long the history is, now and whenever it grows.
    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.length.subscribe()
    }

    fn add(&self, person: &str, way: Way, body: String) {
        let mut history = lock(&self.history);
        history.push(Entry { person: person.to_owned(), way, body, at: jiff::Zoned::now() });
        let length = history.len();
        drop(history);
        self.length.send_replace(length);
    }

    /// Adds a remark to the history.
    pub(super) fn note(&self, body: String) {
        self.add("", Way::Note, body);
    }

    /// Somebody texts the shop.
    ///
    /// # Errors
    /// The emulated modem has ended.
    pub(super) async fn text(&self, from: &str, body: &str, way: Way) -> Result<(), Trouble> {
        self.add(from, way, body.to_owned());
        self.modem.deliver(from, body).await.map_err(|e| e.to_string())
    }

    /// The same, and waits until the box has answered, or has nothing to answer.
    ///
    /// # Errors
    /// The emulated modem has ended.
    pub(super) async fn text_and_wait(&self, from: &str, body: &str) -> Result<bool, Trouble> {
        let before = self.heard_from(from)?;
        self.text(from, body, Way::FromTerminal).await?;
        self.settle_after(from, before).await
    }

    /// How many texts of this person the box has committed.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) fn heard_from(&self, person: &str) -> Result<usize, Trouble> {
        Observer::open(&self.storage())?.heard_from(person)
    }

    /// Waits until the box has one more text of this person, and has answered it.
    ///
    /// # Errors
    /// The emulated modem has ended.
    pub(super) async fn settle_after(&self, person: &str, before: usize) -> Result<bool, Trouble> {
        let observer = Observer::open(&self.storage())?;
        let answered = self
            .until(|| Ok(observer.heard_from(person)? > before && observer.is_quiet(self.dealer_is_on())?))
            .await?;
        self.gather().await?;
        Ok(answered)
    }

    /// Waits until every order is settled and every text is out.
    ///
    /// # Errors
    /// The emulated modem has ended.
    pub(super) async fn settle(&self) -> Result<bool, Trouble> {
        let observer = Observer::open(&self.storage())?;
        let quiet = self.until(|| observer.is_quiet(self.dealer_is_on())).await?;
        self.gather().await?;
        Ok(quiet)
    }

    /// Takes into the history what the box has sent.
    ///
    /// # Errors
    /// The emulated modem has ended.
    pub(super) async fn gather(&self) -> Result<(), Trouble> {
        let mut last = self.gathered.lock().await;
        for text in self.modem.submitted_since(*last).await.map_err(|e| e.to_string())? {
            *last = text.seq;
            self.add(&text.to, Way::FromShop, text.text);
        }
        Ok(())
    }

    /// Gathers whatever the box sends, for as long as the modem runs.
    pub(super) async fn gather_always(&self) {
        let mut news = self.modem.submitted();
        loop {
            let closed = matches!(news.recv().await, Err(tokio::sync::broadcast::error::RecvError::Closed));
            if closed || self.gather().await.is_err() {
                return;
            }
        }
    }

    /// Whether the simulated dealer listens.
    pub(super) fn dealer_is_on(&self) -> bool {
        self.dealer_on.load(Ordering::Relaxed)
    }

    /// Switches the dealer's system on or off.
    ///
    /// # Errors
    /// His port was taken meanwhile.
    pub(super) fn set_dealer(&self, on: bool) -> Result<(), Trouble> {
        let fault = if on { Fault::None } else { Fault::Down };
        self.dealer.set_fault(fault).map_err(|e| format!("the simulated dealer: {e}"))?;
        if self.dealer_on.swap(on, Ordering::Relaxed) != on {
            self.note(if on {
                "The dealer's system can be reached again.".to_owned()
            } else {
                "The dealer's system is down. The box goes on with what it fetched before.".to_owned()
            });
        }
        Ok(())
    }

    /// Kills the box's process, as a power cut does, and starts it again. A text that somebody writes in between waits
    /// in the modem. Answers whether all is still there.
    ///
    /// # Errors
    /// It does not start again.
    pub(super) async fn cut(&self, meanwhile: Option<(&str, &str)>) -> Result<bool, Trouble> {
        let mut power = self.power.lock().await;
        let before = Observer::open(&self.storage())?.owed()?;
        let began = Instant::now();
        if let Some(mut child) = power.take() {
            child.kill().await.map_err(|e| format!("the box cannot be killed: {e}"))?;
        }
        if let Some((from, body)) = meanwhile {
            self.note("The box has no power.".to_owned());
            self.text(from, body, Way::FromTerminal).await?;
        }
        *power = Some(self.switch_on().await?);
        let dark = began.elapsed().as_secs_f64();
        let after = Observer::open(&self.storage())?.owed()?;
        self.note(format!(
            "The box has power again, and takes texts {dark:.1} s after it was killed. It had {before}; it has \
             {after}."
        ));
        Ok(after.has_all_of(&before))
    }

    /// Ends the box in order.
    pub(super) async fn stop(&self) {
        let Some(mut child) = self.power.lock().await.take() else { return };
        drop(child.stdin.take());
        // Whatever it still does after this, dropping it ends it.
        let _ended = tokio::time::timeout(Duration::from_secs(3), child.wait()).await;
    }
}

fn cannot_write(place: &Path) -> impl FnOnce(io::Error) -> Trouble {
    move |error| format!("{} cannot be written: {error}", place.display())
}

struct Directory {
    path: PathBuf,
    keep: bool,
}

impl Directory {
    fn kept(path: &Path) -> Result<Self, Trouble> {
        fs::create_dir_all(path).map_err(cannot_write(path))?;
        let path = fs::canonicalize(path).map_err(cannot_write(path))?;
        Ok(Self { path, keep: true })
    }

    fn temporary() -> Result<Self, Trouble> {
        let base = std::env::temp_dir();
        let mut number = 0u32;
        loop {
            let path = base.join(format!("backroom-demo-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, keep: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
                Err(error) => return Err(cannot_write(&path)(error)),
            }
        }
    }

    fn config(&self) -> PathBuf {
        self.path.join("backroom.toml")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed lies in the system's temporary directory, which is emptied by the system.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}
