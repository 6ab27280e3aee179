//! `backroom twilio`: voice for a box without a public address, Studio flows of the cloud, voicemail that was left
//! there, and what the account used. Reads the account at once; the running daemon is only asked where it must know.

mod flows;
mod setup;

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::texts::wall_now;
use crate::config::{Config, UpstreamLine};
use crate::twilio::content;
use crate::twilio::desk::Desk;
use crate::twilio::recordings::{self, Keep, Voicemail};
use crate::twilio::setup::Record;
use crate::twilio::usage;
use crate::types::Wall;

#[derive(Debug, Subcommand)]
pub(super) enum Twilio {
    /// Make calls to the number come to this box, with a voicemail in the cloud for when it is off
    Setup(setup::Options),
    /// Studio flows of the cloud: list, pull, diff, push
    Flows {
        #[command(subcommand)]
        command: flows::Flows,
    },
    /// Voicemail left at Twilio: fetch what is new, list what is kept, a JSON object a line
    Voicemail {
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
        /// Only list what is kept; ask nobody.
        #[arg(long)]
        kept: bool,
    },
    /// The `[[template]]`s of the file, and what is wrong with each at Twilio, a JSON object a line
    Templates {
        /// By the account of which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
    /// What the account used this month, a JSON object a category
    Usage {
        /// Which line, when there are several.
        #[arg(long)]
        line: Option<String>,
    },
}

pub(super) fn run(path: &Path, config: &Config, command: Twilio) -> Result<(), String> {
    match command {
        Twilio::Setup(options) => setup::run(path, config, &options),
        Twilio::Flows { command } => flows::run(config, command),
        Twilio::Voicemail { line, kept } => voicemail(config, line.as_deref(), kept),
        Twilio::Templates { line } => templates(config, line.as_deref()),
        Twilio::Usage { line } => {
            let desk = Desk::new(choose_line(config, line.as_deref())?)?;
            let used = wait(usage::this_month(&desk))?.map_err(|e| e.to_string())?;
            for one in used {
                let line = json!({
                    "category": one.category,
                    "description": one.description,
                    "usage": one.usage,
                    "unit": one.unit,
                    "price": one.price,
                });
                println!("{line}");
            }
            Ok(())
        }
    }
}

/// Looks at every template of the line's shop. An error when something is wrong with one.
fn templates(config: &Config, line: Option<&str>) -> Result<(), String> {
    let line = choose_line(config, line)?;
    let desk = Desk::new(line)?;
    let mut wrong = 0;
    for template in config.templates.iter().filter(|t| t.shop == line.shop) {
        let there = wait(content::look(&desk, &template.sid))?.map_err(|e| e.to_string())?;
        let problems = content::problems(template, there.as_ref());
        wrong += usize::from(!problems.is_empty());
        let shown = json!({
            "id": template.id,
            "content_sid": template.sid,
            "purpose": template.purpose.as_str(),
            "variables": template.variables,
            "name": there.as_ref().map(|t| &t.name),
            "language": there.as_ref().map(|t| &t.language),
            "status": there.as_ref().map(|t| &t.status),
            "problems": problems,
        });
        println!("{shown}");
    }
    match wrong {
        0 => Ok(()),
        1 => Err("something is wrong with one template".to_owned()),
        more => Err(format!("something is wrong with {more} templates")),
    }
}

/// The line of kind `twilio` that is meant.
fn choose_line<'a>(config: &'a Config, id: Option<&str>) -> Result<&'a UpstreamLine, String> {
    let ids = || config.upstreams.iter().map(|line| line.id.as_str()).collect::<Vec<_>>().join(", ");
    match (id, config.upstreams.as_slice()) {
        (_, []) => {
            Err("there is no [[line]] of kind \"twilio\": write one with its account and number".to_owned())
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("say which line: --line with one of {}", ids())),
        (Some(id), lines) => lines
            .iter()
            .find(|line| line.id.as_str() == id)
            .ok_or_else(|| format!("there is no line {id} of kind \"twilio\"; there are {}", ids())),
    }
}

/// Runs what waits for the account.
fn wait<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|e| format!("the runtime does not start: {e}"))?.block_on(work))
}

/// Whether the person agrees. Without a terminal nobody can be asked.
///
/// # Errors
/// Nobody can be asked, and `--yes` was not said.
fn agreed(question: &str, yes: bool) -> Result<bool, String> {
    if yes {
        return Ok(true);
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err("there is no terminal to ask at: say --yes to go ahead".to_owned());
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(|e| e.to_string())?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn voicemail(config: &Config, line: Option<&str>, kept_only: bool) -> Result<(), String> {
    let storage = &config.storage.path;
    if !kept_only {
        let line = choose_line(config, line)?;
        let desk = Desk::new(line)?;
        let keep = Keep::new(storage, line.id.clone(), line.number.clone(), begun(storage, line));
        wait(keep.look(&desk, wall_now()))?.map_err(|e| e.to_string())?;
    }
    for one in recordings::kept(storage).map_err(|e| e.to_string())? {
        println!("{}", shown(&one, storage));
    }
    Ok(())
}

/// When the line was set up: before that, nobody left voicemail for this box.
fn begun(storage: &Path, line: &UpstreamLine) -> Option<Wall> {
    let record = Record::load(&Record::path(storage, line.id.as_str())).ok()?;
    record.begun_at()
}

fn shown(one: &Voicemail, storage: &Path) -> serde_json::Value {
    json!({
        "sid": one.sid,
        "line": one.line,
        "from": one.from,
        "seconds": one.seconds,
        "left": one.left,
        "file": recordings::directory(storage).join(&one.file),
        "told": one.told,
    })
}
