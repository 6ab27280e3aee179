//! Transactions as their neighbours see them: messages in, messages out, on a clock that the test moves.

mod client;
mod network;
mod server;

use super::*;
use crate::sip::message::tests::read;

const SEED: [u8; 32] = [7; 32];

pub(super) fn at(ms: u64) -> Now {
    Now::at(ms, 0)
}

pub(super) fn hop(host: u8, transport: Transport) -> Hop {
    Hop { addr: SocketAddr::from(([192, 0, 2, host], 5060)), transport }
}

/// As `1` sends it, with a branch that is replaced when it goes through `send_request`.
pub(super) fn request(method: &str, branch: &str) -> Request {
    let text = format!(
        "{method} sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport{branch}\r\nFrom: <sip:a@192.0.2.1>\
         ;tag=a\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
    );
    match read(text) {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

pub(super) fn status(code: u16) -> Status {
    Status::new(code).unwrap()
}

/// Start lines of what is to go out.
pub(super) fn sent(core: &mut Transactions) -> Vec<String> {
    std::iter::from_fn(|| core.poll_transmit()).map(|t| start_line(&t.bytes)).collect()
}

pub(super) fn start_line(bytes: &[u8]) -> String {
    let line = String::from_utf8_lossy(bytes).lines().next().unwrap().to_owned();
    line.trim_start_matches("SIP/2.0 ").split(' ').next().unwrap().to_owned()
}

/// Runs the clock to `until`: every message that goes out by a timer with its time, in ms.
pub(super) fn run(core: &mut Transactions, until: u64) -> Vec<(u64, String)> {
    let mut log = Vec::new();
    while let Some((due, _)) = core.poll_timeout().filter(|(due, _)| due.0 <= until) {
        core.handle_timeout(at(due.0));
        log.extend(sent(core).into_iter().map(|line| (due.0, line)));
    }
    log
}

pub(super) fn events(core: &mut Transactions) -> Vec<String> {
    std::iter::from_fn(|| core.poll_event()).map(|event| name(&event)).collect()
}

pub(super) fn name(event: &Event) -> String {
    match event {
        Event::Request { request, .. } => format!("request {}", request.method),
        Event::Ack { .. } => "ack".into(),
        Event::Cancelled { .. } => "cancelled".into(),
        Event::ServerFailed { why, .. } => format!("server failed {why:?}"),
        Event::Provisional { response, .. } => format!("provisional {}", response.status),
        Event::Final { response, .. } => format!("final {}", response.status),
        Event::AcceptedAgain { response, .. } => format!("again {}", response.status),
        Event::AcceptedOver { .. } => "over".into(),
        Event::Failed { why, .. } => format!("failed {why:?}"),
    }
}
