//! `[[line]]` of kind `twilio`, `[web]` for its webhooks, and `[[webhook]]`: who hears of the box's own events.

use std::net::SocketAddr;
use std::time::Duration;

use super::secret::Secret;
use crate::types::{Channel, LineId, PhoneNumber, ShopId};

/// `[[line]]` of kind `twilio`: a number at Twilio, or at a carrier that speaks as Twilio does.
#[derive(Clone, Debug)]
pub struct UpstreamLine {
    /// `id`.
    pub id: LineId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `account`: `AC` and 32 hex digits.
    pub account: String,
    /// `api_key` (`SK...`) with `api_secret_file` or `api_secret_credential`: the better one, it can be revoked by
    /// itself. Without it the account's token is used.
    pub api_key: Option<(String, Secret)>,
    /// From `auth_token_file` or `auth_token_credential`: what webhooks are signed with.
    pub auth_token: Option<Secret>,
    /// `number`: ours, E.164.
    pub number: PhoneNumber,
    /// `channel`: `sms` (default) or `whatsapp`.
    pub channel: Channel,
    /// `messaging_service`: `MG...`, sends by it in place of the number.
    pub messaging_service: Option<String>,
    /// `api_url`; default `https://api.twilio.com`. Plain http only on this machine.
    pub api_url: String,
    /// `studio_url`; default `https://studio.twilio.com`.
    pub studio_url: String,
    /// `public_url`: where the upstream reaches `[web]`, without a slash at the end. Without it the box only polls.
    pub public_url: Option<String>,
    /// `poll`: while somebody writes; default 5 s.
    pub poll: Duration,
    /// `poll_idle`: otherwise; default 30 s.
    pub poll_idle: Duration,
    /// `overlap`: how far back each polling looks; default 15 minutes.
    pub overlap: Duration,
    /// `max_media_kib` of one file; default 5120 (Twilio's own bound).
    pub max_media: usize,
    /// `cost`: of one text, in cents and fractions, for the choice of line; default 1.0. A modem's is 0.
    pub cost: f64,
}

impl UpstreamLine {
    /// The cost of one text in thousandths of a cent; a silly one is cut off at a dollar.
    #[must_use]
    pub fn cost_millicents(&self) -> u32 {
        // By way of its digits: within bounds and whole, it is one.
        format!("{:.0}", (self.cost * 1000.0).clamp(0.0, 100_000.0)).parse().unwrap_or(0)
    }
}

/// `[web]`: what listens for an upstream's webhooks. Nothing does without `listen`.
#[derive(Clone, Debug)]
pub struct WebSection {
    /// `listen`: `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// `max_body_kib`; default 256.
    pub max_body: usize,
}

impl Default for WebSection {
    fn default() -> Self {
        Self { listen: None, max_body: 256 << 10 }
    }
}

/// `[[webhook]]`: an endpoint that hears of the box's own events.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `id`.
    pub id: String,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `url`; plain http only on this machine, or with `allow_http`.
    pub url: String,
    /// From `secret_file` or `secret_credential`: signs what is sent.
    pub secret: Secret,
    /// `events`: kinds (`message.received`) and `*` patterns; default all.
    pub events: Vec<String>,
}
