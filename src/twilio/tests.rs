//! A line against an upstream that is a model (virtual time, every fault, many seeds), and over real sockets against
//! the simulator.

mod consents;
mod machine;
mod sockets;
mod world;

use std::time::Duration;

use crate::config::{Secret, UpstreamLine};
use crate::types::{Channel, MessageId, Post};

const OURS: &str = "+12065550199";

pub(super) fn line(api_url: &str) -> UpstreamLine {
    UpstreamLine {
        api_key: Some(("SK00000000000000000000000000000001".to_owned(), Secret::new("simulated-secret"))),
        accounts_url: Some(api_url.to_owned()),
        consent_sync: true,
        poll: Duration::from_millis(50),
        poll_idle: Duration::from_millis(100),
        ..UpstreamLine::simulated(api_url, OURS)
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
