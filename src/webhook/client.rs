//! One try over HTTP. The status decides; of what is said with it the beginning is kept for people.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};

use super::guard::Guard;
use super::sign::signature;
use super::{WebhookCommand, WebhookConfig};
use crate::http::{self, reason};
use crate::types::EventAnswer;

const CONNECT: Duration = Duration::from_secs(5);
/// Whole.
const TOTAL: Duration = Duration::from_secs(10);
/// Whole, while a person waits: below the patience of the control socket.
const TOTAL_TEST: Duration = Duration::from_secs(8);
/// What is said beside the status may take so long, and be so long in bytes.
const SAYING: Duration = Duration::from_secs(1);
const SAID_MOST: usize = 4 * 1024;
/// Characters that are kept of it.
const KEPT_MOST: usize = 200;

/// One endpoint.
pub(super) struct Endpoint {
    config: WebhookConfig,
    client: Client,
}

impl Endpoint {
    /// # Errors
    /// In words, what is wrong with its settings or this machine.
    pub(super) fn new(config: WebhookConfig) -> Result<Self, String> {
        let url = Url::parse(&config.url).map_err(|why| why.to_string())?;
        let builder = http::client(CONNECT, url.scheme() == "https")
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Guard));
        Ok(Self { client: builder.build().map_err(reason)?, config })
    }

    /// One try.
    pub(super) async fn deliver(&self, command: WebhookCommand) -> EventAnswer {
        let timestamp = command.at.0.div_euclid(1000);
        let request = self
            .client
            .post(&self.config.url)
            .timeout(if command.test { TOTAL_TEST } else { TOTAL })
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &command.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&self.config.key, &command.id, timestamp, &command.body))
            .header("Idempotency-Key", &command.id)
            .body(command.body);
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after = http::retry_after(response.headers(), http::Clock::Ours);
                // Err: it says it too slowly.
                let said = tokio::time::timeout(SAYING, said(response)).await.unwrap_or_default();
                EventAnswer::Answered { status, retry_after, said }
            }
            Err(error) => EventAnswer::NoAnswer { why: reason(error) },
        }
    }
}

/// The beginning of the answer. Read also when nobody wants it, so that the connection can be used again.
async fn said(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = SAID_MOST - bytes.len();
        bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if bytes.len() >= SAID_MOST {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().chars().take(KEPT_MOST).collect()
}
