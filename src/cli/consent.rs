//! `backroom consent`: who may be texted, and what shows it. Reading goes to the database, also while no daemon runs;
//! every change goes through the daemon, so that it holds at once and is chained in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::texts::{choose_shop, reader, tell};
use crate::config::{Config, ShopConfig};
use crate::daemon::control::{self, Ask};
use crate::daemon::core::{ConsentAsk, IMPORT_MOST, Imported};
use crate::messaging::ledger::{self, Act, Entry, Head, Origin, Scope, Standing, Topic};
use crate::store::ConsentsToldRow;
use crate::types::{LineId, PhoneNumber, Wall};

/// Longest words or proof of one entry, in characters.
const LONGEST: usize = 2000;

#[derive(Debug, Subcommand)]
pub(super) enum Consent {
    /// Who is blocked, has agreed, or waits for a decision, a JSON object a line
    List {
        /// Only this person.
        person: Option<String>,
        /// Only those whose words wait for somebody to read them.
        #[arg(long)]
        paused: bool,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Everything that one person ever said, oldest first, and which upstreams have been told
    Show {
        /// Their number.
        person: String,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Follow the chain: whether anything was changed, moved, or cut off; and up to where upstreams have been told
    Verify {
        /// Take the ledger as it is now for the right one, and let marketing go on: say why
        #[arg(long, value_name = "WHY")]
        accept: Option<String>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Somebody said STOP in another way than by text
    Block(Said),
    /// Somebody who was blocked wants texts again, and not by a text
    Unblock(Said),
    /// Somebody agreed to texts of a kind
    #[command(name = "consent")]
    Agree {
        #[command(flatten)]
        said: Said,
        /// Which kind.
        #[arg(long)]
        topic: About,
    },
    /// Somebody wants no texts of a kind any more
    Withdraw {
        #[command(flatten)]
        said: Said,
        /// Which kind.
        #[arg(long)]
        topic: About,
    },
    /// Somebody's words were read, and were no STOP
    Resume(Said),
    /// The ledger with its chain, a JSON object a line
    Export {
        /// Only what was said then or later: `2026-11-20T00:00:00Z`.
        #[arg(long)]
        since: Option<String>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
    /// Enter a list: a JSON object a line with `subject`, `act` (`block`, `consent`, `withdrawal`), `topic`, `at`,
    /// `words` and `proof`, or what `export` writes; `-` is standard input
    Import {
        /// The file.
        file: PathBuf,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
}

/// What somebody said, and what shows it.
#[derive(Debug, clap::Args)]
pub(super) struct Said {
    /// Their number.
    person: String,
    /// Their exact words.
    #[arg(long, default_value = "")]
    words: String,
    /// What shows it: a call and who took it, a form, a letter and where it is kept.
    #[arg(long)]
    proof: String,
    /// How it was said.
    #[arg(long, default_value = "voice")]
    how: How,
    /// Only by this line; for all that the shop sends when left out.
    #[arg(long)]
    line: Option<String>,
    /// Which shop, when there are several.
    #[arg(long)]
    shop: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum How {
    /// To somebody, or by telephone.
    Voice,
    /// On paper or on a page.
    Form,
    /// Staff decide for them.
    Staff,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum About {
    /// Offers.
    Marketing,
    /// Orders and appointments.
    Informational,
}

impl From<About> for Topic {
    fn from(about: About) -> Self {
        match about {
            About::Marketing => Self::Marketing,
            About::Informational => Self::Informational,
        }
    }
}

pub(super) fn run(config: &Config, command: Consent) -> Result<(), String> {
    match command {
        Consent::List { person, paused, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            list(config, shop, person.as_deref(), paused)
        }
        Consent::Show { person, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let person = number(&person)?;
            let told = told(config, shop)?;
            for entry in entries(config, shop, Some(&person))? {
                println!("{}", shown(&entry, &told));
            }
            Ok(())
        }
        Consent::Verify { accept: Some(why), shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            tell(config, &asked(shop, ConsentAsk::Accept { why }))
        }
        Consent::Verify { accept: None, shop } => verify(config, choose_shop(config, shop.as_deref())?),
        Consent::Block(said) => enter(config, said, Act::Block),
        Consent::Unblock(said) => enter(config, said, Act::Unblock),
        Consent::Agree { said, topic } => enter(config, said, Act::Consent(topic.into())),
        Consent::Withdraw { said, topic } => enter(config, said, Act::Withdrawal(topic.into())),
        Consent::Resume(said) => enter(config, said, Act::Resume),
        Consent::Export { since, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            let since = since.map(|text| time(&text)).transpose()?;
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            for entry in entries(config, shop, None)? {
                if since.is_none_or(|since| entry.statement.at >= since) {
                    let line = serde_json::to_string(&entry).map_err(|e| e.to_string())?;
                    writeln!(out, "{line}").map_err(|e| e.to_string())?;
                }
            }
            out.flush().map_err(|e| e.to_string())
        }
        Consent::Import { file, shop } => {
            let shop = choose_shop(config, shop.as_deref())?;
            import(config, shop, &file)
        }
    }
}

fn number(text: &str) -> Result<PhoneNumber, String> {
    PhoneNumber::parse(text, Some("1")).map_err(|e| e.to_string())
}

fn time(text: &str) -> Result<Wall, String> {
    let time: jiff::Timestamp =
        text.parse().map_err(|_| format!("{text:?} is no time; write it as 2026-11-20T18:00:00Z"))?;
    Ok(Wall(time.as_millisecond()))
}

fn entries(config: &Config, shop: &ShopConfig, of: Option<&PhoneNumber>) -> Result<Vec<Entry>, String> {
    let rows =
        reader(config)?.consent_entries(&shop.id, of.map(PhoneNumber::as_str)).map_err(|e| e.to_string())?;
    Ok(rows.into_iter().map(|row| row.entry).collect())
}

/// Up to which entry each upstream was told. A database that no box of this version has opened yet knows of none.
fn told(config: &Config, shop: &ShopConfig) -> Result<Vec<ConsentsToldRow>, String> {
    let syncs = |row: &ConsentsToldRow| {
        let mut lines = config.upstreams.iter();
        lines.any(|l| l.id == row.line && l.consent_sender().as_ref() == Some(&row.sender))
    };
    let rows = reader(config)?.consents_told(&shop.id).unwrap_or_default();
    Ok(rows.into_iter().filter(syncs).collect())
}

fn shown(entry: &Entry, told: &[ConsentsToldRow]) -> Value {
    let s = &entry.statement;
    let told: Vec<&LineId> = told.iter().filter(|row| row.entry >= entry.seq).map(|row| &row.line).collect();
    json!({
        "entry": entry.seq,
        "at": s.at.rfc3339(),
        "clock_was_sure": s.sure,
        "act": s.act,
        "scope": s.scope,
        "words": s.words,
        "origin": s.origin,
        "proof": s.proof,
        "known_to": told,
    })
}

fn list(config: &Config, shop: &ShopConfig, person: Option<&str>, paused: bool) -> Result<(), String> {
    let person = person.map(number).transpose()?;
    let all = entries(config, shop, person.as_ref())?;
    let mut people: BTreeMap<&PhoneNumber, (Standing, Wall)> = BTreeMap::new();
    for entry in &all {
        let (standing, last) = people.entry(&entry.statement.subject).or_default();
        standing.apply(entry);
        *last = entry.statement.at;
    }
    for (person, (standing, last)) in people {
        if paused && standing.paused().is_none() {
            continue;
        }
        let words = standing.paused().and_then(|seq| all.iter().find(|e| e.seq == seq));
        let line = json!({
            "person": person,
            "blocked": standing.blocked_scopes().collect::<Vec<&Scope>>(),
            "marketing": standing.has_marketing(),
            "waits_for_staff": words.map(|e| &e.statement.words),
            "last": last.rfc3339(),
        });
        println!("{line}");
    }
    Ok(())
}

/// What the chain itself says; a running box knows besides what the copy beside the database says.
fn verify(config: &Config, shop: &ShopConfig) -> Result<(), String> {
    let all = entries(config, shop, None)?;
    let first = all.first().filter(|e| e.seq > 1).map(|e| Head { seq: e.seq - 1, link: e.before });
    let head = ledger::verify(first.unwrap_or_else(|| Head::beginning(&shop.id)), &all, None)
        .map_err(|broken| broken.to_string())?;
    if let Some(status) = control::ask(&config.storage.path, &Ask::Status)? {
        let consent = &status["shops"][shop.id.as_str()]["consent"];
        if let Some(broken) = consent["broken"].as_str() {
            return Err(format!(
                "{broken}; if the ledger as it is now is the right one: backroom consent verify --accept WHY"
            ));
        }
        if consent["entries"].as_u64().is_some_and(|known| known > head.seq) {
            return Err(format!("the ledger ends at {}, and the box knows {}", head.seq, consent["entries"]));
        }
    }
    println!(
        "{} entries, {} in all since the beginning: whole; last link {}",
        all.len(),
        head.seq,
        head.link
    );
    for row in told(config, shop)? {
        println!("line {}: its upstream has been told up to entry {}", row.line, row.entry);
    }
    Ok(())
}

fn asked(shop: &ShopConfig, ask: ConsentAsk) -> Ask {
    let by = format!("command line ({})", std::env::var("USER").unwrap_or_else(|_| "?".to_owned()));
    Ask::Consent { shop: shop.id.to_string(), ask, by }
}

fn enter(config: &Config, said: Said, act: Act) -> Result<(), String> {
    let shop = choose_shop(config, said.shop.as_deref())?;
    let origin = match said.how {
        How::Voice => Origin::Voice,
        How::Form => Origin::Form,
        How::Staff => Origin::Staff,
    };
    let line = said.line.map(LineId);
    let (person, words, proof) = (said.person, said.words, said.proof);
    tell(config, &asked(shop, ConsentAsk::Enter { person, act, line, words, proof, origin }))
}

/// A line of a list as people and programs write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    subject: String,
    act: String,
    topic: Option<String>,
    at: String,
    #[serde(default)]
    words: String,
    #[serde(default)]
    proof: String,
}

fn import(config: &Config, shop: &ShopConfig, file: &Path) -> Result<(), String> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|mut f| f.read_to_string(&mut text)),
    };
    read.map_err(|e| format!("{}: {e}", file.display()))?;
    let list = read_list(&file.display().to_string(), &text)?;
    // The same list again enters nothing twice.
    let known: BTreeSet<String> = entries(config, shop, None)?.iter().map(|e| key(&e.statement)).collect();
    let count = list.len();
    let new: Vec<Imported> = list.into_iter().filter(|i| !known.contains(&key_of(i))).collect();
    let mut older = 0;
    for part in new.chunks(IMPORT_MOST.min(200)) {
        let ask = asked(shop, ConsentAsk::Import(part.to_vec()));
        let answer = control::ask(&config.storage.path, &ask)?
            .ok_or("backroom does not run on this machine; start it first (systemctl start backroom)")?;
        older += answer["older_than_what_they_said_since"].as_u64().unwrap_or(0);
    }
    println!(
        "{count} lines: {} entered, {} there before, {older} older than what the person said since",
        u64::try_from(new.len()).unwrap_or(0).saturating_sub(older),
        count - new.len()
    );
    Ok(())
}

fn key(s: &ledger::Statement) -> String {
    json!([s.subject, s.scope, s.act, s.words, s.proof, s.at]).to_string()
}

fn key_of(i: &Imported) -> String {
    json!([i.subject, i.scope, i.act, i.words, i.proof, i.at]).to_string()
}

/// All lines, or all that is wrong with them.
fn read_list(file: &str, text: &str) -> Result<Vec<Imported>, String> {
    let (mut list, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match read_line(file, number, line) {
            Ok(line) => list.push(line),
            Err(why) => wrong.push(format!("{file}:{number}: {why}")),
        }
    }
    if wrong.is_empty() { Ok(list) } else { Err(wrong.join("\n")) }
}

fn read_line(file: &str, number_of_line: usize, line: &str) -> Result<Imported, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let read = match value.get("statement") {
        Some(_) => {
            let entry: Entry = serde_json::from_value(value).map_err(|e| e.to_string())?;
            let s = entry.statement;
            Imported {
                subject: s.subject,
                act: s.act,
                scope: s.scope,
                words: s.words,
                proof: s.proof,
                at: s.at,
            }
        }
        None => {
            let listed: Listed = serde_json::from_value(value).map_err(|e| e.to_string())?;
            let topic = || match listed.topic.as_deref() {
                Some("marketing") => Ok(Topic::Marketing),
                Some("informational") => Ok(Topic::Informational),
                _ => Err("`topic` is marketing or informational".to_owned()),
            };
            let act = match listed.act.as_str() {
                "block" => Act::Block,
                "consent" => Act::Consent(topic()?),
                "withdrawal" => Act::Withdrawal(topic()?),
                other => return Err(format!("`act` is block, consent or withdrawal, not {other:?}")),
            };
            let proof = match listed.proof.is_empty() {
                true => format!("{file} line {number_of_line}"),
                false => listed.proof,
            };
            let subject = number(&listed.subject)?;
            Imported { subject, act, scope: Scope::Shop, words: listed.words, proof, at: time(&listed.at)? }
        }
    };
    if matches!(read.act, Act::Unblock | Act::Pause | Act::Resume) {
        return Err("a list takes block, consent and withdrawal; a block is lifted one by one".to_owned());
    }
    if read.words.chars().count() > LONGEST || read.proof.chars().count() > LONGEST {
        return Err(format!("words and proof have at most {LONGEST} characters"));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_every_mistake_is_named_with_its_line() {
        let good = r#"{"subject":"(206) 555-0101","act":"block","at":"2026-01-02T03:04:05Z"}

{"subject":"+12065550102","act":"consent","topic":"marketing","at":"2026-01-02T03:04:05Z","words":"yes","proof":"form 7"}
"#;
        let list = read_list("list.jsonl", good).unwrap();
        assert_eq!(list[0].subject.as_str(), "+12065550101");
        assert_eq!((list[0].act, list[0].proof.as_str()), (Act::Block, "list.jsonl line 1"));
        assert_eq!((list[1].act, list[1].proof.as_str()), (Act::Consent(Topic::Marketing), "form 7"));
        let bad = "{\n{\"subject\":\"BANK\",\"act\":\"block\",\"at\":\"2026-01-02T03:04:05Z\"}\n\
             {\"subject\":\"+12065550102\",\"act\":\"unblock\",\"at\":\"2026-01-02T03:04:05Z\"}\n\
             {\"subject\":\"+12065550102\",\"act\":\"block\",\"at\":\"yesterday\"}\n\
             {\"subject\":\"+12065550102\",\"act\":\"consent\",\"at\":\"2026-01-02T03:04:05Z\"}\n";
        let wrong = read_list("list.jsonl", bad).unwrap_err();
        let lines: Vec<&str> = wrong.lines().map(|l| l.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["list.jsonl:1", "list.jsonl:2", "list.jsonl:3", "list.jsonl:4", "list.jsonl:5"]);
    }

    #[test]
    fn what_export_writes_is_read_back() {
        let statement = ledger::Statement {
            subject: number("+12065550101").unwrap(),
            scope: Scope::Line(LineId::from("sim1")),
            act: Act::Block,
            words: "STOP".to_owned(),
            origin: Origin::Text,
            proof: "SM1".to_owned(),
            at: Wall(1_795_197_600_000),
            sure: true,
        };
        let entry = Head::beginning(&crate::types::ShopId::from("main")).append(statement.clone());
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry, "with its chain");
        let read = read_list("e", &line).unwrap();
        assert_eq!(key_of(&read[0]), key(&statement));
    }
}
