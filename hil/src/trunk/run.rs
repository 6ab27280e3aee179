//! The command `hil trunk`.

use super::control::Held;
use super::{Account, Emergency, Protocol, Trunk, TrunkConfig};
use crate::program::{self, Stop};
use crate::rtp::Law;
use crate::sip::digest::Algorithm;
use crate::ua::desk::Desk;
use crate::ua::told::Told;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// A provider's end of a trunk. Prints one JSON line with its address when it is ready; SIGTERM ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Who may register and call, `USER:PASSWORD`; without any, whoever comes
    #[arg(long = "account", value_parser = account)]
    accounts: Vec<Account>,
    /// Asks for SHA-256 instead of MD5
    #[arg(long)]
    sha256: bool,
    /// Address of a box that does not register
    #[arg(long)]
    server: Option<SocketAddr>,
    /// Calls into such a box over TCP
    #[arg(long)]
    tcp: bool,
    /// A-law alone
    #[arg(long)]
    pcma: bool,
    /// SRTP, or no call
    #[arg(long)]
    srtp: bool,
    /// Takes calls to emergency numbers, on loopback alone: nobody is reached by them
    #[arg(long)]
    emergency: bool,
    #[command(flatten)]
    told: Told,
}

fn account(text: &str) -> Result<Account, String> {
    let (user, password) = text.split_once(':').ok_or("USER:PASSWORD is wanted")?;
    Ok(Account::new(user, password))
}

impl Args {
    fn config(&self) -> TrunkConfig {
        TrunkConfig {
            ip: self.listen.ip(),
            port: self.listen.port(),
            accounts: self.accounts.clone(),
            algorithm: if self.sha256 { Algorithm::Sha256 } else { Algorithm::Md5 },
            server: self.server,
            transport: if self.tcp { Protocol::Tcp } else { Protocol::Udp },
            codecs: if self.pcma { vec![Law::A] } else { vec![Law::Mu, Law::A] },
            secure: self.srtp,
            emergency: if self.emergency { Emergency::Answer } else { Emergency::Refuse },
            ..TrunkConfig::default()
        }
    }
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: Args) -> ExitCode {
    program::ended(serve(args).await)
}

async fn serve(args: Args) -> Result<(), String> {
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let trunk = Trunk::start(args.config()).await.map_err(|error| error.to_string())?;
    let held = Arc::new(Held { trunk, desk: Desk::default() });
    let attending = tokio::spawn(held.clone().attend());
    args.told.serve(&held, held.trunk.local(), stop).await?;
    attending.abort();
    Ok(())
}
