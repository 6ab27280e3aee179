//! A shop: the box with three telephones and a provider or two, all on loopback.

use hil::phone::{Auto, Call, Emergency, Phone, PhoneConfig};
use hil::trunk::{Account, Inbound, Plan, Trunk, TrunkConfig};
use serde_json::Value;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// For anything that must happen: far beyond what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The number that people dial to reach the shop by the first trunk.
pub(crate) const SHOP: &str = "+12065550100";
/// Somebody outside.
pub(crate) const JANE: &str = "+12065550142";

const PHONES: [(&str, &str); 3] =
    [("101", "k7Qz-mm2W-9xTb-vR4n"), ("102", "p3Wx-ab7K-4mQe-tY8s"), ("103", "h6Ru-ew5Z-2cNd-kL9v")];

/// Telephones are on 127.0.0.1, providers are not: the box tells them apart by their addresses.
const PROVIDERS: [&str; 2] = ["127.0.0.2", "127.0.0.3"];

/// What differs from shop to shop.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Providers, one or two.
    pub(crate) trunks: usize,
    /// Seconds that a telephone rings.
    pub(crate) ring: Option<u32>,
    /// The modem's port.
    pub(crate) modem: Option<PathBuf>,
    /// Telephones and sound with SRTP alone.
    pub(crate) srtp: bool,
    /// Seconds without sound after which a call ends.
    pub(crate) silence: Option<u32>,
    /// How the providers are different.
    pub(crate) provider: Option<fn(&mut TrunkConfig)>,
}

/// A box that runs, with its providers. Dropped, it is killed.
pub(crate) struct Shop {
    pub(crate) trunks: Vec<Trunk>,
    address: SocketAddr,
    config: PathBuf,
    srtp: bool,
    dir: TempDir,
    child: Child,
}

impl Shop {
    pub(crate) async fn open(wanted: Wanted) -> Shop {
        let dir = tempfile::tempdir().unwrap();
        let mut trunks = Vec::new();
        for provider in PROVIDERS.iter().take(wanted.trunks) {
            let ip: IpAddr = provider.parse().unwrap();
            let accounts = vec![Account::new("shop", "secret-of-the-trunk")];
            let mut config = TrunkConfig { ip, accounts, ..TrunkConfig::default() };
            wanted.provider.into_iter().for_each(|change| change(&mut config));
            trunks.push(Trunk::start(config).await.unwrap());
        }
        let ip = IpAddr::from([127, 0, 0, 1]);
        let address = SocketAddr::new(ip, hil::beside::free_port(ip).unwrap());
        let config = dir.path().join("backroom.toml");
        std::fs::write(&config, describe(dir.path(), address, &wanted, &trunks)).unwrap();
        let child = run(&config, dir.path());
        let shop = Shop { trunks, address, config, srtp: wanted.srtp, dir, child };
        for trunk in &shop.trunks {
            shop.explain(trunk.registered(PATIENCE).await);
        }
        shop
    }

    /// The value, or a failure with what the daemon said.
    pub(crate) fn explain<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> T {
        let log = || std::fs::read_to_string(self.dir.path().join("backroom.log")).unwrap_or_default();
        result.unwrap_or_else(|why| panic!("{why}\n{}", log()))
    }

    /// SIGKILL, and a new life.
    pub(crate) async fn crash_and_start(&mut self) {
        self.child.kill().await.unwrap();
        self.child = run(&self.config, self.dir.path());
    }

    /// A telephone that has registered.
    pub(crate) async fn phone(&self, user: &str, auto: Auto, tone: f32) -> Phone {
        self.phone_with(user, auto, tone, |_| {}).await
    }

    /// The same, different in something.
    pub(crate) async fn phone_with(
        &self,
        user: &str,
        auto: Auto,
        tone: f32,
        change: impl FnOnce(&mut PhoneConfig),
    ) -> Phone {
        let phone = self.stranger(user, auto, tone, change).await;
        self.explain(phone.register(PATIENCE).await);
        phone
    }

    /// A telephone that has not registered.
    pub(crate) async fn stranger(
        &self,
        user: &str,
        auto: Auto,
        tone: f32,
        change: impl FnOnce(&mut PhoneConfig),
    ) -> Phone {
        let password = PHONES.iter().find(|(id, _)| *id == user).map_or("guess", |(_, password)| password);
        let mut config = PhoneConfig {
            auto,
            tone: vec![tone],
            secure: self.srtp,
            emergency: Emergency::Answer,
            ..PhoneConfig::new(self.address, user, password)
        };
        change(&mut config);
        Phone::start(config).await.unwrap()
    }

    /// Jane calls the shop by the first trunk.
    pub(crate) async fn jane_calls(&self, tone: f32) -> Call {
        let inbound = Inbound { to: SHOP.into(), from: JANE.into(), tone: vec![tone], ..Inbound::default() };
        self.trunks[0].call(&inbound).await.unwrap()
    }

    /// Jane takes calls by the first trunk, and plays this.
    pub(crate) fn jane_answers(&self, tone: f32) {
        self.trunks[0].route(JANE, Plan::ring_and_answer(50, tone));
    }

    /// The records of all calls, oldest first.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
        command.arg("--config").arg(&self.config).args(["calls", "--json"]).kill_on_drop(true);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The records, once so many calls have ended.
    pub(crate) async fn ended(&self, count: usize) -> Vec<Value> {
        let all = async {
            loop {
                let records = self.records().await;
                if records.iter().filter(|record| !record["ended"].is_null()).count() >= count {
                    return records;
                }
            }
        };
        self.explain(tokio::time::timeout(PATIENCE, all).await)
    }

    /// The causes that the calls ended with, once so many have.
    pub(crate) async fn causes(&self, count: usize) -> Vec<String> {
        self.ended(count).await.iter().map(cause).collect()
    }
}

/// How a call or leg ended.
pub(crate) fn cause(record: &Value) -> String {
    record["ended"][1].as_str().unwrap_or("goes on").to_owned()
}

/// Each hears the other's tone.
pub(crate) async fn both_ways(shop: &Shop, (a, plays_a): (&Call, f32), (b, plays_b): (&Call, f32)) {
    shop.explain(a.wait_hears(plays_b, PATIENCE).await);
    shop.explain(b.wait_hears(plays_a, PATIENCE).await);
}

fn run(config: &Path, dir: &Path) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("backroom.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
    command.arg("--config").arg(config).arg("run").stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn describe(dir: &Path, address: SocketAddr, wanted: &Wanted, trunks: &[Trunk]) -> String {
    let at = |name: &str| dir.join(name);
    // Each box of a parallel run has a hundred ports of its own.
    let media = 20_000 + (address.port() % 200) * 100;
    let ring = wanted.ring.unwrap_or(25);
    let mut text = format!(
        "[storage]\npath = {:?}\nlow_water_mib = 1\n[[shop]]\nid = \"main\"\n[shop.settings]\n\
         shop.name = \"Green Valley\"\nshop.phone = \"{SHOP}\"\n\"calls.location\" = \"12 Main Street\"\n\
         \"calls.plan\" = {{ groups = [{{ name = \"everyone\", ring_s = {ring} }}] }}\n\
         [sip]\nudp = [\"{address}\"]\ntcp = [\"{address}\"]\n[media]\nports = \"{media}-{}\"\nsilence = {}\n",
        at("store"),
        media + 99,
        wanted.silence.unwrap_or(60)
    );
    for (id, password) in PHONES {
        std::fs::write(at(id), password).unwrap();
        text.push_str(&format!("[[phone]]\nid = \"{id}\"\npassword_file = {:?}\nring = {ring}\n", at(id)));
        text.push_str(if wanted.srtp { "srtp = true\n" } else { "" });
    }
    for (number, trunk) in trunks.iter().enumerate() {
        let secret = at(&format!("trunk{number}"));
        std::fs::write(&secret, "secret-of-the-trunk").unwrap();
        let domain = trunk.local().ip();
        text.push_str(&format!(
            "[[line]]\nid = \"trunk{number}\"\nkind = \"sip\"\ndomain = \"{domain}\"\nproxy = \"{}\"\n\
             transport = \"udp\"\nusername = \"shop\"\npassword_file = {secret:?}\nnumber = \"+1206555010{number}\"\n\
             channels = 4\noptions_every = 5\n",
            trunk.local()
        ));
    }
    if let Some(port) = &wanted.modem {
        text.push_str(&format!("[[line]]\nid = \"sim1\"\nport = {port:?}\n"));
    }
    text
}
