//! The demonstration's two telephones: who they are, where they register, what a person types into one. Whoever knows
//! the password rings the other phone and the test extensions, and nothing else: there is no trunk.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::super::phone::{own_address, password};
use super::stage::Trouble;

/// Who registers: the extension is the user name.
const USERS: [(&str, &str); 2] = [("101", "Front desk"), ("102", "Workshop")];
/// Tried before any other: what SIP phones assume.
const PORT: u16 = 5060;
/// Apart from those of a box that runs on this machine too.
const MEDIA_PORTS: &str = "30000-30199";

/// Where the phones are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Place {
    /// On this machine.
    Here,
    /// On the network around it.
    Lan,
    /// At the network of this address of ours.
    At(IpAddr),
}

/// What `--phones` takes.
pub(super) fn place(text: &str) -> Result<Place, String> {
    match text {
        "lan" => Ok(Place::Lan),
        "here" => Ok(Place::Here),
        address => match address.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(Place::At(ip)),
            Ok(_) | Err(_) => Err("write lan, here, or one address of this machine".to_owned()),
        },
    }
}

/// The two of them, and their server.
pub(super) struct Phones {
    server: SocketAddr,
    /// Says to other demonstrations that `server` is taken, also while the box is being started or has no power.
    _claim: UdpSocket,
    passwords: Vec<String>,
}

impl Phones {
    /// New passwords, a free port.
    ///
    /// # Errors
    /// No network, no such address, no port, no randomness.
    pub(super) fn new(place: Place) -> Result<Self, Trouble> {
        let ip = match place {
            Place::Here => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Place::Lan => own_address().ok_or("this machine has no network: --phones here")?,
            Place::At(ip) => ip,
        };
        let (port, claim) = claim(ip).map_err(|e| format!("phones cannot register at {ip}: {e}"))?;
        let passwords = USERS.iter().map(|_| password()).collect::<Result<_, _>>()?;
        Ok(Self { server: SocketAddr::new(ip, port), _claim: claim, passwords })
    }

    /// Adds them to the box's configuration; their passwords lie beside it, for its owner alone.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn configure(&self, file: &mut toml::Table, folder: &Path, shop: &str) -> Result<(), Trouble> {
        let listener = || toml::Value::Array(vec![self.server.to_string().into()]);
        let mut phones = Vec::new();
        for ((user, name), password) in USERS.iter().zip(&self.passwords) {
            let place = folder.join(format!("phone-{user}"));
            write_secret(&place, password)
                .map_err(|e| format!("{} cannot be written: {e}", place.display()))?;
            let entry = [
                ("id", toml::Value::from(*user)),
                ("shop", shop.into()),
                ("name", (*name).into()),
                ("password_file", place.display().to_string().into()),
            ];
            phones.push(toml::Value::Table(entry.map(|(k, v)| (k.to_owned(), v)).into_iter().collect()));
        }
        let sip = [("udp".to_owned(), listener()), ("tcp".to_owned(), listener())];
        let media = [("ports".to_owned(), toml::Value::from(MEDIA_PORTS))];
        file.insert("phone".to_owned(), phones.into());
        file.insert("sip".to_owned(), toml::Table::from_iter(sip).into());
        file.insert("media".to_owned(), toml::Table::from_iter(media).into());
        Ok(())
    }

    /// What a person needs to know.
    pub(super) fn words(&self) -> Vec<String> {
        let here = self.server.ip().is_loopback();
        let whose = if here { "any SIP phone on this machine" } else { "any SIP phone on the network" };
        let mut words =
            vec![format!("Two telephones can register, {whose}, at {} (UDP or TCP):", self.server)];
        for ((user, name), password) in USERS.iter().zip(&self.passwords) {
            words.push(format!("{name}: user {user}, password {password}"));
        }
        let reach = if here { " --phones lets those on the network in." } else { "" };
        words
            .push(format!("They dial each other (101, 102), *43 to hear themselves, *44 for a tone.{reach}"));
        words
    }
}

/// A port that is free for UDP and for TCP, the usual one if it can be. Held is the port above it: the box itself binds
/// the one below, a moment later.
fn claim(ip: IpAddr) -> std::io::Result<(u16, UdpSocket)> {
    let free = |above: u16| {
        let claim = UdpSocket::bind((ip, above))?;
        let port = claim.local_addr()?.port() - 1;
        UdpSocket::bind((ip, port))?;
        TcpListener::bind((ip, port))?;
        Ok((port, claim))
    };
    let usual = (PORT + 1..PORT + 41).step_by(2).find_map(|above| free(above).ok());
    usual.map_or_else(|| free(0).or_else(|_: std::io::Error| free(0)), Ok)
}

fn write_secret(place: &Path, password: &str) -> std::io::Result<()> {
    // One that was kept from the last time may belong to somebody else's mode.
    if place.exists() {
        fs::remove_file(place)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    writeln!(file, "{password}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn the_box_takes_the_phones_and_each_start_has_its_own_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let phones = Phones::new(Place::Here).unwrap();
        assert!(phones.server.ip().is_loopback(), "nobody else on the network is let in unasked");
        let mut table = toml::Table::new();
        table.insert(
            "shop".into(),
            toml::Value::Array(vec![toml::Table::from_iter([("id".into(), "main".into())]).into()]),
        );
        for _ in 0..2 {
            phones.configure(&mut table, folder.path(), "main").unwrap();
        }
        let config = file::parse(&table.to_string(), None).unwrap();
        let extensions: Vec<&str> = config.phones.iter().map(|p| p.extension.as_str()).collect();
        assert_eq!((extensions, config.trunks.len()), (vec!["101", "102"], 0));
        assert_eq!(config.sip.udp, [phones.server]);
        let words = phones.words().join("\n");
        assert!(phones.passwords.iter().all(|p| words.contains(p)), "{words}");
        assert_ne!(Phones::new(Place::Here).unwrap().passwords, phones.passwords);
    }

    #[test]
    fn only_one_address_can_be_meant() {
        assert_eq!(place("lan"), Ok(Place::Lan));
        assert_eq!(place("192.168.1.5"), Ok(Place::At("192.168.1.5".parse().unwrap())));
        assert!(place("0.0.0.0").is_err() && place("lann").is_err());
    }
}
