//! `backroom twilio setup`: the plan, the question, the steps; then what goes into the configuration.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::{phone, texts::wall_now};
use super::{agreed, choose_line, wait};
use crate::config::{Config, Secret, UpstreamLine};
use crate::twilio::desk::Desk;
use crate::twilio::setup::{self, Existing, Obstacle, Plan, Record, USER, Wanted, flow};

/// Where Twilio's sound comes from and goes to, the same in all regions.
const MEDIA: &str = "168.86.128.0/18";
/// Seconds: Twilio asks for no more than a registration in ten minutes, and ours are renewed well before their end.
const EXPIRES: u32 = 1200;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Which line of kind "twilio", when there are several.
    #[arg(long)]
    line: Option<String>,
    /// What this box is called at the account; the line's id when left out.
    #[arg(long)]
    name: Option<String>,
    /// What callers hear before the tone when the box does not answer.
    #[arg(long)]
    greeting: Option<String>,
    /// Go ahead without a question.
    #[arg(long)]
    yes: bool,
    /// Give everything back as it was.
    #[arg(long)]
    undo: bool,
    /// Write the [[line]] to a file beside the configuration.
    #[arg(long)]
    write: bool,
}

pub(super) fn run(path: &Path, config: &Config, options: &Options) -> Result<(), String> {
    let line = choose_line(config, options.line.as_deref())?;
    let desk = Desk::new(line)?;
    let file = Record::path(&config.storage.path, line.id.as_str());
    let mut record = Record::load(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let place = password_place(path, line)?;
    let wanted = wanted(line, options, &record, place.exists())?;
    let existing = wait(setup::look(&desk, &wanted, &record))?.map_err(|e| e.to_string())?;
    if options.undo {
        return undo(config, &desk, &existing, &mut record, &file, &place, options.yes);
    }
    let plan = setup::plan(&wanted, &existing, &mut record).map_err(|obstacles| all(&obstacles))?;
    show(&wanted, line, &plan);
    if !plan.steps.is_empty() {
        if !agreed("Do this at the account?", options.yes)? {
            return Err("nothing was changed".to_owned());
        }
        let password = password(&place, config)?;
        if record.begun.is_empty() {
            record.begun = wall_now().rfc3339();
        }
        let tell = |words: &str| println!("  {words}");
        wait(setup::apply(&desk, &wanted, &plan, &mut record, &file, &password, tell))?.map_err(|e| {
            format!("{e}\nwhat is done is recorded: run the command again to go on, or with --undo")
        })?;
        println!("done");
    }
    configuration(path, config, line, &wanted, &place, options.write)
}

fn all(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn wanted(line: &UpstreamLine, options: &Options, record: &Record, kept: bool) -> Result<Wanted, String> {
    let before = record.name.strip_prefix("box-").filter(|_| !record.is_empty());
    let id = options.name.as_deref().or(before).unwrap_or(line.id.as_str());
    let label = setup::label(id);
    if label.is_empty() {
        return Err(format!("{id:?} makes no name for a SIP domain: say --name with letters and digits"));
    }
    Ok(Wanted {
        account: line.account.clone(),
        name: format!("box-{label}"),
        domain: setup::domain_name(&label, &line.account),
        number: line.number.clone(),
        greeting: options.greeting.clone().unwrap_or_else(|| flow::GREETING.to_owned()),
        password_kept: kept,
    })
}

fn show(wanted: &Wanted, line: &UpstreamLine, plan: &Plan) {
    if plan.steps.is_empty() {
        println!("line {} is set up at {}: nothing to do", line.id, wanted.account);
    } else {
        println!("at account {}, for line {}:", wanted.account, line.id);
    }
    for (at, step) in plan.steps.iter().enumerate() {
        println!("{:3}. {}", at + 1, step.words(wanted));
    }
    for note in &plan.notes {
        println!("note: {note}");
    }
}

fn undo(
    config: &Config,
    desk: &Desk,
    existing: &Existing,
    record: &mut Record,
    file: &Path,
    place: &Path,
    yes: bool,
) -> Result<(), String> {
    if record.is_empty() {
        println!("nothing was set up: nothing to undo");
        return Ok(());
    }
    let (steps, notes) = setup::undo(existing, record);
    println!("at account {}:", record.account);
    for (at, step) in steps.iter().enumerate() {
        println!("{:3}. {}", at + 1, step.words(record));
    }
    for note in &notes {
        println!("note: {note}");
    }
    if !agreed("Give this back?", yes)? {
        return Err("nothing was changed".to_owned());
    }
    let domain = record.domain.clone();
    let tell = |words: &str| println!("  {words}");
    wait(setup::apply_undo(desk, &steps, record, file, tell))?
        .map_err(|e| format!("{e}\nwhat is undone is recorded: run the command again to go on"))?;
    println!("undone");
    if let Some(trunk) = config.trunks.iter().find(|trunk| trunk.domain == domain) {
        // Without its password's file the configuration would not be read any more.
        println!("remove [[line]] {} from the configuration, then {}", trunk.id, place.display());
        return Ok(());
    }
    match fs::remove_file(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", place.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn folder(path: &Path) -> Result<PathBuf, String> {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    std::path::absolute(&folder).map_err(|e| format!("{}: {e}", folder.display()))
}

/// The id of the line that calls come by.
fn voice_id(line: &UpstreamLine) -> String {
    format!("{}-voice", line.id)
}

fn password_place(path: &Path, line: &UpstreamLine) -> Result<PathBuf, String> {
    Ok(folder(path)?.join(format!("{}.password", voice_id(line))))
}

/// The one that an earlier run made, or a new one in a file of its own, before anybody else knows it.
fn password(place: &Path, config: &Config) -> Result<Secret, String> {
    let bad = |e: std::io::Error| format!("{}: {e}", place.display());
    if place.exists() {
        return Ok(Secret::new(fs::read_to_string(place).map_err(bad)?.trim()));
    }
    let password = setup::password().map_err(|e| format!("no randomness: {e}"))?;
    phone::write(place, password.expose(), config).map_err(bad)?;
    Ok(password)
}

/// The line that registers there, as TOML.
fn entry(line: &UpstreamLine, shop: bool, wanted: &Wanted, place: &Path) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut entry = format!("[[line]]\nid = {}\n", quoted(&voice_id(line)));
    if shop {
        entry.push_str(&format!("shop = {}\n", quoted(line.shop.as_str())));
    }
    entry.push_str("kind = \"sip\"\n");
    entry.push_str(&format!("domain = {}\n", quoted(&wanted.domain)));
    entry.push_str(&format!("transport = \"tls\"\nsrtp = true\nusername = \"{USER}\"\n"));
    entry.push_str(&format!("password_file = {}\n", quoted(&place.display().to_string())));
    entry.push_str(&format!("number = {}\n", quoted(line.number.as_str())));
    entry.push_str(&format!("expires = {EXPIRES}\n"));
    entry.push_str(&format!("# Twilio's sound\nmedia_networks = [{}]\n", quoted(MEDIA)));
    entry
}

fn configuration(
    path: &Path,
    config: &Config,
    line: &UpstreamLine,
    wanted: &Wanted,
    place: &Path,
    write: bool,
) -> Result<(), String> {
    if let Some(trunk) = config.trunks.iter().find(|trunk| trunk.domain == wanted.domain) {
        println!("[[line]] {} of the configuration registers there", trunk.id);
        return Ok(());
    }
    let entry = entry(line, config.shops.len() > 1, wanted, place);
    println!("Append to {}, then `backroom check` and restart backroom:\n\n{entry}", path.display());
    if write {
        let file = folder(path)?.join(format!("{}.toml", voice_id(line)));
        fs::write(&file, &entry).map_err(|e| format!("{}: {e}", file.display()))?;
        println!("It is in {}, too.", file.display());
    }
    Ok(())
}
