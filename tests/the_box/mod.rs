//! The whole program with phones on loopback, as a test of it starts it and pulls its plug.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hil::phone::{Phone, PhoneConfig};
use serde_json::Value;

const PASSWORDS: [(&str, &str); 3] =
    [("101", "k7Qz-mm2W-9xTb-vR4n"), ("102", "p3Wx-ab7K-4mQe-tY8s"), ("103", "h6Ru-ew5Z-2cNd-kL9v")];

/// The program, running. Dropped, it is killed.
pub(crate) struct TheBox {
    pub(crate) child: Child,
    dir: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

impl Drop for TheBox {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn free_port(ip: &str) -> u16 {
    UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

impl TheBox {
    /// With three phones, and what `more` adds to the configuration; it may put files into the directory.
    pub(crate) fn start(more: impl FnOnce(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port("127.0.0.1")));
        let at = |name: &str| dir.path().join(name);
        // Each box of a parallel run has a hundred ports of its own.
        let media = 20_000 + (address.port() % 200) * 100;
        let mut text = format!(
            "[storage]\npath = {:?}\n[[shop]]\nid = \"main\"\n[shop.settings]\n\"calls.location\" = \"12 Main Street\"\n\
             [sip]\nudp = [\"{address}\"]\ntcp = [\"{address}\"]\n[media]\nports = \"{media}-{}\"\n",
            at("store"),
            media + 99
        );
        for (id, password) in PASSWORDS {
            std::fs::write(at(id), password).unwrap();
            text.push_str(&format!("[[phone]]\nid = \"{id}\"\npassword_file = {:?}\n", at(id)));
        }
        text.push_str(&more(dir.path()));
        std::fs::write(at("backroom.toml"), text).unwrap();
        let child = run(dir.path());
        Self { child, dir, address }
    }

    /// The power comes back after [`Child::kill`], or systemd starts it again.
    pub(crate) fn again(&mut self) {
        self.child.wait().unwrap();
        self.child = run(self.dir.path());
    }

    /// The program once more, beside the one that runs: a command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.args(arguments);
        command
    }

    /// What a command prints, a JSON object a line.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A phone, once the program takes it.
    pub(crate) async fn phone(&self, user: &str) -> Phone {
        let password = PASSWORDS.iter().find(|(id, _)| *id == user).unwrap().1;
        for _ in 0..20 {
            let phone = Phone::start(PhoneConfig::new(self.address, user, password)).await.unwrap();
            if phone.register(Duration::from_secs(2)).await.is_ok() {
                return phone;
            }
        }
        panic!("phone {user} cannot register")
    }
}

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
    command.arg("--config").arg(dir.join("backroom.toml"));
    command
}

fn run(dir: &Path) -> Child {
    program(dir).arg("run").stderr(Stdio::inherit()).spawn().unwrap()
}
