//! `backroom twilio flows`: the cloud's Studio flows against the shop's own.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::flow::problems;
use super::super::settings;
use super::super::texts::{choose_shop, reader, wall_now};
use super::{choose_line, wait};
use crate::config::{Config, ShopConfig, UpstreamLine};
use crate::daemon::control::{self, Ask};
use crate::flow::Severity;
use crate::store::{self, FlowRow, Op};
use crate::twilio::desk::Desk;
use crate::twilio::studio::{self, Head, Pulled, PulledFlow, Push};
use crate::types::derive_sid;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Flows {
    /// The cloud's flows, a JSON object a line
    List {
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
    /// Store the cloud's newest revision as a new revision of the shop's flow
    Pull {
        /// Its name in the cloud, or its FW sid.
        name: String,
        /// Write it to a file instead.
        #[arg(long)]
        out: Option<PathBuf>,
        /// New conversations run it from now on.
        #[arg(long)]
        publish: bool,
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
    /// What is different between the cloud's flow and the shop's: + only here, - only in the cloud, ~ changed here
    Diff {
        /// Its name in the cloud, or its FW sid.
        name: String,
        /// Compare this file instead of the shop's newest revision.
        #[arg(long)]
        file: Option<PathBuf>,
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
    /// Make the shop's newest revision the cloud's
    Push {
        /// Its name, here and in the cloud.
        name: String,
        /// What is different, for the cloud's history.
        #[arg(long)]
        message: String,
        /// Live at once; else it is the draft.
        #[arg(long)]
        publish: bool,
        /// Push this file instead of the shop's newest revision.
        #[arg(long)]
        file: Option<PathBuf>,
        /// Also over a revision of the cloud that was never pulled.
        #[arg(long)]
        force: bool,
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
}

/// What all of them need.
struct Ground<'a> {
    config: &'a Config,
    shop: &'a ShopConfig,
    desk: Desk,
    memory: PathBuf,
    pulled: Pulled,
}

impl<'a> Ground<'a> {
    fn new(config: &'a Config, line: Option<&str>) -> Result<Self, String> {
        let line: &UpstreamLine = choose_line(config, line)?;
        let shop = choose_shop(config, Some(line.shop.as_str()))?;
        let memory = Pulled::path(&config.storage.path, shop.id.as_str());
        let pulled = Pulled::load(&memory).map_err(|e| format!("{}: {e}", memory.display()))?;
        Ok(Self { config, shop, desk: Desk::new(line)?, memory, pulled })
    }

    /// This revision of the cloud's is known here.
    fn remember(&mut self, head: &Head) -> Result<(), String> {
        let flow = PulledFlow { sid: head.sid.clone(), revision: head.revision };
        self.pulled.flows.insert(head.name.clone(), flow);
        self.pulled.save(&self.memory).map_err(|e| format!("{}: {e}", self.memory.display()))
    }

    /// Revisions of the shop's flow, the newest last.
    fn rows(&self, name: &str) -> Result<Vec<FlowRow>, String> {
        if !self.config.storage.path.join(store::FILE).exists() {
            return Ok(Vec::new());
        }
        let all = reader(self.config)?.flows(&self.shop.id).map_err(|e| e.to_string())?;
        Ok(all.into_iter().filter(|row| row.name == name).collect())
    }

    /// What the shop has: a file that was named, or the newest revision.
    fn own(&self, name: &str, file: Option<&Path>) -> Result<String, String> {
        if let Some(file) = file {
            return fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()));
        }
        let newest = self.rows(name)?.pop();
        newest.map(|row| row.definition).ok_or_else(|| {
            format!("shop {} has no flow {name}: pull it first, or name a --file", self.shop.id)
        })
    }
}

pub(super) fn run(config: &Config, command: Flows) -> Result<(), String> {
    match command {
        Flows::List { line } => list(&Ground::new(config, line.as_deref())?),
        Flows::Pull { name, out, publish, line } => {
            pull(&mut Ground::new(config, line.as_deref())?, &name, out.as_deref(), publish)
        }
        Flows::Diff { name, file, line } => {
            diff(&Ground::new(config, line.as_deref())?, &name, file.as_deref())
        }
        Flows::Push { name, message, publish, file, force, line } => {
            let mut ground = Ground::new(config, line.as_deref())?;
            push(&mut ground, &name, file.as_deref(), &message, publish, force)
        }
    }
}

fn list(ground: &Ground<'_>) -> Result<(), String> {
    for head in wait(studio::list(&ground.desk))?.map_err(|e| e.to_string())? {
        let line = json!({
            "name": head.name,
            "sid": head.sid,
            "status": head.status,
            "revision": head.revision,
            "message": head.message,
            "updated": head.updated,
            "pulled": ground.pulled.revision(&head.name, &head.sid),
        });
        println!("{line}");
    }
    Ok(())
}

fn pull(ground: &mut Ground<'_>, name: &str, out: Option<&Path>, publish: bool) -> Result<(), String> {
    let flow = wait(studio::fetch(&ground.desk, name))?.map_err(|e| e.to_string())?;
    let head = &flow.head;
    let text = serde_json::to_string_pretty(&flow.definition).map_err(|e| e.to_string())?;
    if let Some(out) = out {
        fs::write(out, format!("{text}\n")).map_err(|e| format!("{}: {e}", out.display()))?;
        println!("{} revision {} is in {}", head.name, head.revision, out.display());
        return ground.remember(head);
    }
    checked(&text).map_err(|errors| {
        format!("this box cannot run {}:\n{errors}\nkeep it as a file with --out", head.name)
    })?;
    let rows = ground.rows(&head.name)?;
    let newest = rows.last();
    let same = |row: &&FlowRow| {
        serde_json::from_str::<Value>(&row.definition).is_ok_and(|own| own == flow.definition)
    };
    match newest.filter(same) {
        Some(row) if row.published || !publish => {
            println!(
                "{} revision {} is the shop's revision {} already",
                head.name, head.revision, row.revision
            );
        }
        other => {
            let revision = other.map_or_else(|| newest.map_or(1, |row| row.revision + 1), |row| row.revision);
            let sid = newest.map_or_else(
                || derive_sid("FW", &[ground.shop.id.as_str(), &head.name]),
                |row| row.sid.clone(),
            );
            // Of the same revision, its own text: a revision is never rewritten.
            let definition = other.map_or(text, |row| row.definition.clone());
            store(
                ground,
                FlowRow {
                    shop: ground.shop.id.clone(),
                    name: head.name.clone(),
                    sid,
                    revision,
                    definition,
                    published: publish,
                    by: format!("cloud revision {}", head.revision),
                    wall: wall_now(),
                },
            )?;
            let how = if publish { "published" } else { "as a draft" };
            println!("{} revision {} is the shop's revision {revision}, {how}", head.name, head.revision);
        }
    }
    ground.remember(head)
}

/// Through the daemon, or in the database when none runs.
fn store(ground: &Ground<'_>, row: FlowRow) -> Result<(), String> {
    let ask = Ask::PutFlow {
        shop: row.shop.to_string(),
        name: row.name.clone(),
        sid: row.sid.clone(),
        revision: row.revision,
        definition: row.definition.clone(),
        publish: row.published,
        by: row.by.clone(),
    };
    if control::ask(&ground.config.storage.path, &ask)?.is_some() {
        return Ok(());
    }
    settings::write(ground.config, vec![Op::PutFlow(row)]).map_err(|e| e.to_string())
}

fn diff(ground: &Ground<'_>, name: &str, file: Option<&Path>) -> Result<(), String> {
    let flow = wait(studio::fetch(&ground.desk, name))?.map_err(|e| e.to_string())?;
    let own = parsed(&ground.own(&flow.head.name, file)?)?;
    for line in studio::diff(&flow.definition, &own) {
        println!("{line}");
    }
    Ok(())
}

fn push(
    ground: &mut Ground<'_>,
    name: &str,
    file: Option<&Path>,
    message: &str,
    publish: bool,
    force: bool,
) -> Result<(), String> {
    let own = ground.own(name, file)?;
    checked(&own).map_err(|errors| format!("{name} is not pushed:\n{errors}"))?;
    let definition = parsed(&own)?;
    let pulled = ground.pulled.flows.get(name).cloned();
    let push = Push {
        name,
        definition: &definition,
        message,
        publish,
        pulled: pulled.as_ref().map(|flow| (flow.sid.as_str(), flow.revision)),
        force,
    };
    let head = wait(studio::push(&ground.desk, &push))?.map_err(|e| e.to_string())?;
    println!("{} is revision {} of {} in the cloud, {}", head.name, head.revision, head.sid, head.status);
    ground.remember(&head)
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("the flow is no JSON: {e}"))
}

/// Every error of our own linter, a line each. Warnings are said: the flow is published all the same.
fn checked(text: &str) -> Result<(), String> {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems(text).into_iter().partition(|problem| problem.severity == Severity::Error);
    if !errors.is_empty() {
        let errors: Vec<String> = errors.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        return Err(errors.join("\n"));
    }
    for warning in warnings {
        eprintln!("warning: {}: {}", warning.path, warning.message);
    }
    Ok(())
}
