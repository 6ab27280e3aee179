//! Phone and trunk as programs: what they are told from outside, and for how long.

use super::desk::Obeys;
use super::scenario;
use crate::lines;
use crate::program::Stop;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// By what means.
#[derive(Debug, clap::Args)]
pub(crate) struct Told {
    /// Unix socket that takes requests as JSON lines
    #[arg(long)]
    control: Option<PathBuf>,
    /// Steps to play: JSON lines
    #[arg(long)]
    scenario: Option<PathBuf>,
}

impl Told {
    /// Says that it is ready at `address`, and does what it is told until `stop`.
    ///
    /// # Errors
    /// The scenario is none, one of its steps at 0 failed, or the socket's path cannot be had.
    pub(crate) async fn serve<O: Obeys>(
        &self,
        owner: &Arc<O>,
        address: SocketAddr,
        mut stop: Stop,
    ) -> Result<(), String> {
        let steps = self.scenario.as_deref().map(lines::read).transpose()?.unwrap_or_default();
        let mut tasks = scenario::play(steps, owner).await?;
        if let Some(path) = &self.control {
            tasks.push(lines::serve(path, owner.clone()).map_err(|error| error.to_string())?);
        }
        println!("{}", json!({"ready": true, "address": address}));
        stop.asked().await;
        tasks.iter().for_each(JoinHandle::abort);
        Ok(())
    }
}
