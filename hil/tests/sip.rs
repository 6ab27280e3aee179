//! The phone and the trunk simulator against each other, over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

#[path = "sip/calls.rs"]
mod calls;
#[path = "sip/control.rs"]
mod control;
#[path = "sip/foreign.rs"]
mod foreign;
#[path = "sip/trunk.rs"]
mod trunk;

use hil::phone::{Auto, Call, Phone, PhoneConfig, Protocol};
use std::net::SocketAddr;
use std::time::Duration;

/// For anything that must happen: far beyond what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A phone that calls `server` without registering.
async fn phone(server: SocketAddr, user: &str, change: impl FnOnce(&mut PhoneConfig)) -> Phone {
    let mut config = PhoneConfig::new(server, user, "secret");
    change(&mut config);
    Phone::start(config).await.unwrap()
}

/// A call between two phones without anything in between, answered at both ends.
async fn talk(change: impl Fn(&mut PhoneConfig)) -> (Phone, Phone, Call, Call) {
    let called = phone(NOWHERE, "101", |config| {
        change(config);
        config.auto = Auto::Answer;
        config.tone = vec![620.0];
    })
    .await;
    let caller = phone(called.local(), "100", |config| {
        change(config);
        config.tone = vec![440.0];
    })
    .await;
    let ours = caller.call("101").await.unwrap();
    ours.answered(PATIENCE).await.unwrap();
    let theirs = called.incoming(PATIENCE).await.unwrap();
    (caller, called, ours, theirs)
}

fn tcp(config: &mut PhoneConfig) {
    config.transport = Protocol::Tcp;
}
