//! A line against an upstream that is a model (virtual time, every fault, many seeds), and over real sockets against
//! the simulator.

mod consents;
mod machine;
mod sockets;
mod world;

use std::time::Duration;

use crate::config::{Secret, UpstreamLine};
use crate::types::{Channel, LineId, MessageId, PhoneNumber, Post, ShopId};

const OURS: &str = "+12065550199";

pub(super) fn line(api_url: &str) -> UpstreamLine {
    UpstreamLine {
        id: LineId::from("tw"),
        shop: ShopId::from("main"),
        account: "AC00000000000000000000000000000001".to_owned(),
        api_key: Some(("SK00000000000000000000000000000001".to_owned(), Secret::new("simulated-secret"))),
        auth_token: None,
        number: PhoneNumber::parse(OURS, None).unwrap(),
        channel: Channel::Sms,
        messaging_service: None,
        api_url: api_url.to_owned(),
        studio_url: api_url.to_owned(),
        accounts_url: Some(api_url.to_owned()),
        consent_sync: true,
        content_url: api_url.to_owned(),
        outside_window: None,
        public_url: None,
        poll: Duration::from_millis(50),
        poll_idle: Duration::from_millis(100),
        overlap: Duration::from_secs(900),
        max_media: 1 << 20,
        cost: 1.0,
    }
}

fn post(message: &str, to: &str, body: &str) -> Post {
    Post {
        message: MessageId::from(message),
        attempt: 1,
        channel: Channel::Sms,
        to: to.to_owned(),
        body: body.to_owned(),
        media: Vec::new(),
        template: None,
    }
}
