//! `backroom phone new`: a password nobody guesses, in a file of its own, and what to type into the phone.
//! `backroom plan`: the dial plan that is in force.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::settings::effective;
use super::texts::choose_shop;
use crate::config::{self, Config};
use crate::daemon::calls_setup::PlanGround;

/// What is told apart on paper and typed on any keyboard: without 0, 1, i, l, o.
const ALPHABET: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// Characters: 79 bits.
const LENGTH: usize = 16;
/// Where extensions begin when none is asked for.
const FIRST_EXTENSION: u32 = 101;

#[derive(Debug, Subcommand)]
pub(super) enum Phone {
    /// Make a password for a new phone and say what goes where
    New {
        /// What it registers as: letters, digits, - and _.
        id: String,
        /// Its number inside the shop; the next free one when left out.
        #[arg(long)]
        extension: Option<String>,
        /// Shown on other phones.
        #[arg(long)]
        name: Option<String>,
        /// Directory of the password's file; that of the configuration when left out.
        #[arg(long, value_name = "DIR")]
        secrets: Option<PathBuf>,
        /// Which shop, when there are several.
        #[arg(long)]
        shop: Option<String>,
    },
}

/// A password that is worth its name.
///
/// # Errors
/// The system has no randomness.
pub(super) fn password() -> Result<String, String> {
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|e| format!("no randomness: {e}"))?;
        // 248 is the largest multiple of 31 in a byte: what lies above would favour the first letters.
        let fair = bytes.iter().filter(|b| **b < 248);
        let letters = fair.filter_map(|b| ALPHABET.get(usize::from(*b) % ALPHABET.len()));
        password.extend(letters.take(LENGTH - password.len()).map(|b| char::from(*b)));
    }
    // Sixteen random letters are seldom weak; what the file's reader would refuse is not given out.
    if config::weakness(&password, &[]).is_some() { self::password() } else { Ok(password) }
}

/// This machine's address as the network around it has it; `None` without a network.
pub(super) fn own_address() -> Option<IpAddr> {
    // Connecting a UDP socket sends nothing: it asks the kernel's routing table. The addresses are RFC 5737's and
    // RFC 3849's, nobody's.
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().find_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|a| a.ip()).filter(|ip| !ip.is_unspecified())
    })
}

pub(super) fn run(path: &Path, config: &Config, command: Phone) -> Result<(), String> {
    let Phone::New { id, extension, name, secrets, shop } = command;
    let shop = choose_shop(config, shop.as_deref())?;
    let good = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if id.is_empty() || id.len() > 64 || !good {
        return Err(format!("a phone's id takes letters, digits, - and _, not {id:?}"));
    }
    if config.phones.iter().any(|p| p.id.as_str().eq_ignore_ascii_case(&id)) {
        return Err(format!("there is a phone {id} in {} already", path.display()));
    }
    let extension = extension.unwrap_or_else(|| next_extension(config));
    if !(2..=8).contains(&extension.len()) || !extension.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("an extension takes two to eight digits, as 101, not {extension:?}"));
    }
    let folder = secrets.or_else(|| path.parent().map(Path::to_path_buf)).unwrap_or_default();
    let folder = std::path::absolute(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let place = folder.join(format!("phone-{id}"));
    let password = password()?;
    write(&place, &password, config).map_err(|e| format!("{}: {e}", place.display()))?;
    let several = config.shops.len() > 1;
    let mut entry = format!("[[phone]]\nid = {id:?}\n");
    if several {
        entry.push_str(&format!("shop = {:?}\n", shop.id.as_str()));
    }
    entry.push_str(&format!("extension = {extension:?}\n"));
    if let Some(name) = &name {
        entry.push_str(&format!("name = {}\n", toml::Value::from(name.as_str())));
    }
    entry.push_str(&format!("password_file = {}\n", toml::Value::from(place.display().to_string())));
    println!("Append to {}, then `backroom check` and restart backroom:\n\n{entry}", path.display());
    println!("Type into the phone:\n");
    typed(config, &id, &password);
    Ok(())
}

fn next_extension(config: &Config) -> String {
    let taken = |n: &u32| config.phones.iter().any(|p| p.extension == n.to_string());
    (FIRST_EXTENSION..).find(|n| !taken(n)).unwrap_or(FIRST_EXTENSION).to_string()
}

/// A file that only its owner reads: who owns the database, because that is who runs the daemon.
pub(super) fn write(place: &Path, password: &str, config: &Config) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    let Ok(owner) = fs::metadata(&config.storage.path) else { return Ok(()) };
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn typed(config: &Config, id: &str, password: &str) {
    let sip = &config.sip;
    let address = own_address().map_or_else(|| "this box's address".to_owned(), |ip| ip.to_string());
    let ports = [("UDP", &sip.udp), ("TCP", &sip.tcp), ("TLS", &sip.tls)];
    let ways: Vec<String> = ports
        .iter()
        .flat_map(|(way, listeners)| listeners.iter().map(move |l| format!("{way} port {}", l.port())))
        .collect();
    println!("  SIP server (registrar)   {address}");
    println!("  Transport                {}", ways.join(", or "));
    println!("  User name (also: auth id) {id}");
    println!("  Password                 {password}");
}

/// `backroom plan`.
pub(super) fn plan(config: &Config, shop: Option<&str>) -> Result<(), String> {
    let shop = choose_shop(config, shop)?;
    let settings = effective(config, shop)?;
    let ground = PlanGround::of(config, &shop.id);
    if ground.is_empty() {
        return Err("there is no [[phone]] and no [[line]] of kind \"sip\": nobody to call with".to_owned());
    }
    ground.plan(&settings).map_err(|problems| problems.join("\n"))?;
    let data = ground.data(&settings).map_err(|problems| problems.join("\n"))?;
    println!("{}", serde_json::to_string_pretty(&data).map_err(|e| e.to_string())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_strong_typed_anywhere_and_never_the_same() {
        let made: Vec<String> = (0..50).map(|_| password().unwrap()).collect();
        for one in &made {
            assert_eq!(one.len(), LENGTH);
            assert!(one.bytes().all(|b| ALPHABET.contains(&b)));
            assert_eq!(config::weakness(one, &["front", "101"]), None);
        }
        let different: std::collections::BTreeSet<&String> = made.iter().collect();
        assert_eq!(different.len(), made.len());
    }
}
