//! Server transactions.

use super::*;

fn core() -> Transactions {
    Transactions::new(Settings::default(), SEED)
}

const BRANCH: &str = ";branch=z9hG4bKx";

fn feed(core: &mut Transactions, method: &str, branch: &str, ms: u64) -> Vec<String> {
    core.handle_message(request(method, branch).into(), hop(1, Transport::Udp), at(ms));
    sent(core)
}

/// A new request, as the user sees it.
fn asked(core: &mut Transactions, method: &str, branch: &str) -> (ServerId, Request, String) {
    asked_over(core, request(method, branch), Transport::Udp)
}

fn asked_over(core: &mut Transactions, request: Request, over: Transport) -> (ServerId, Request, String) {
    core.handle_message(request.into(), hop(1, over), at(0));
    match core.poll_event() {
        Some(Event::Request { id, request, tag, .. }) => (id, *request, tag),
        other => panic!("{other:?}"),
    }
}

fn ack(branch: &str, tag: &str) -> Message {
    let mut ack = request("ACK", branch);
    ack.head.to.set_tag(tag);
    ack.into()
}

#[test]
fn an_invite_that_the_user_thinks_about_is_answered_100_after_200_ms() {
    let mut core = core();
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    assert!(feed(&mut core, "INVITE", BRANCH, 100).is_empty());
    assert_eq!(run(&mut core, 1000), [(200, "100".to_owned())]);
    assert_eq!(feed(&mut core, "INVITE", BRANCH, 1100), ["100"]);
    core.respond(id, &Response::to(&invite, status(180), &tag), at(1200));
    assert_eq!(sent(&mut core), ["180"]);
    assert_eq!(feed(&mut core, "INVITE", BRANCH, 1300), ["180"]);
    assert_eq!(core.poll_timeout(), None);
    assert!(events(&mut core).is_empty());
}

#[test]
fn an_invite_that_is_answered_at_once_has_no_100() {
    let mut core = core();
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    core.respond(id, &Response::to(&invite, status(180), &tag), at(100));
    sent(&mut core);
    assert!(run(&mut core, 10_000).is_empty());
}

#[test]
fn a_refusal_is_sent_until_its_ack_comes() {
    let mut core = core();
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    assert!(core.respond(id, &Response::to(&invite, status(486), &tag), at(0)));
    assert_eq!(sent(&mut core), ["486"]);
    let times: Vec<u64> = run(&mut core, 8000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500]);
    assert_eq!(feed(&mut core, "INVITE", BRANCH, 8000), ["486"]);
    for ms in [8100, 8200] {
        core.handle_message(ack(BRANCH, &tag), hop(1, Transport::Udp), at(ms));
    }
    assert!(feed(&mut core, "INVITE", BRANCH, 8300).is_empty());
    assert_eq!(core.poll_timeout(), Some((Mono(13_100), "timer I: absorbs ACKs")));
    assert!(!core.respond(id, &Response::to(&invite, status(200), &tag), at(8400)));
    assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
    assert!(events(&mut core).is_empty());
}

#[test]
fn a_refusal_without_ack_is_reported_after_32_s() {
    for (over, again) in [(Transport::Udp, 10), (Transport::Tls, 0)] {
        let mut core = core();
        let (id, invite, tag) = asked_over(&mut core, request("INVITE", BRANCH), over);
        core.respond(id, &Response::to(&invite, status(603), &tag), at(0));
        sent(&mut core);
        assert_eq!(run(&mut core, 31_999).len(), again);
        assert!(events(&mut core).is_empty());
        run(&mut core, 32_000);
        assert_eq!(events(&mut core), ["server failed NoAck"]);
        assert!(core.is_empty());
    }
}

#[test]
fn an_accepted_invite_absorbs_invites_and_hands_up_acks() {
    let mut core = core();
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    let ok = Response::to(&invite, status(200), &tag);
    assert!(core.respond(id, &ok, at(0)) && core.respond(id, &ok, at(500)));
    assert_eq!(sent(&mut core), ["200", "200"]);
    assert!(feed(&mut core, "INVITE", BRANCH, 600).is_empty());
    core.handle_message(ack(";branch=z9hG4bKnew", &tag), hop(1, Transport::Udp), at(700));
    core.handle_message(ack(BRANCH, &tag), hop(1, Transport::Udp), at(700));
    assert_eq!(events(&mut core), ["ack", "ack"]);
    assert_eq!(core.poll_timeout(), Some((Mono(32_000), "timer L: absorbs accepted INVITEs")));
    assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
    assert!(!core.respond(id, &ok, at(60_000)));
    assert_eq!(core.counters().late_responses, 1);
}

#[test]
fn another_request_is_heard_once_and_answered_each_time() {
    let mut core = core();
    let (id, options, tag) = asked(&mut core, "OPTIONS", BRANCH);
    assert!(feed(&mut core, "OPTIONS", BRANCH, 500).is_empty());
    core.respond(id, &Response::to(&options, status(200), &tag), at(600));
    assert_eq!(sent(&mut core), ["200"]);
    assert_eq!(feed(&mut core, "OPTIONS", BRANCH, 1500), ["200"]);
    assert!(events(&mut core).is_empty());
    assert_eq!(core.poll_timeout().unwrap().0, Mono(32_600));
    run(&mut core, 60_000);
    assert!(core.is_empty());
    assert_eq!(core.counters().absorbed, 2);
}

#[test]
fn over_a_stream_nothing_stays_behind_an_answer() {
    let mut core = core();
    let (id, options, tag) = asked_over(&mut core, request("OPTIONS", BRANCH), Transport::Tcp);
    core.respond(id, &Response::to(&options, status(200), &tag), at(0));
    assert!(core.is_empty());
}

#[test]
fn a_request_that_the_user_never_answers_ends_without_408() {
    let mut core = core();
    asked(&mut core, "OPTIONS", BRANCH);
    assert!(run(&mut core, 60_000).is_empty());
    assert_eq!(events(&mut core), ["server failed Unanswered"]);
    assert!(core.is_empty());
}

#[test]
fn a_cancel_is_answered_with_the_invites_tag_and_reported_once() {
    let mut core = core();
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    core.handle_message(request("CANCEL", BRANCH).into(), hop(1, Transport::Udp), at(100));
    let Message::Response(ok) = read(core.poll_transmit().unwrap().bytes) else { panic!() };
    assert_eq!((ok.status, ok.head.to.tag()), (Status::OK, Some(tag.as_str())));
    assert_eq!(feed(&mut core, "CANCEL", BRANCH, 600), ["200"]);
    assert_eq!(events(&mut core), ["cancelled"]);
    core.respond(id, &Response::to(&invite, status(487), &tag), at(700));
    core.handle_message(ack(BRANCH, &tag), hop(1, Transport::Udp), at(800));
    run(&mut core, 60_000);
    assert!(events(&mut core).is_empty() && core.is_empty());
}

#[test]
fn a_cancel_that_comes_too_late_or_for_nothing_changes_nothing() {
    let mut core = core();
    assert_eq!(feed(&mut core, "CANCEL", ";branch=z9hG4bKnone", 0), ["481"]);
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    core.respond(id, &Response::to(&invite, status(200), &tag), at(0));
    sent(&mut core);
    assert_eq!(feed(&mut core, "CANCEL", BRANCH, 100), ["200"]);
    assert!(events(&mut core).is_empty());
}

#[test]
fn branch_sent_by_and_method_tell_requests_apart() {
    let mut core = core();
    asked(&mut core, "OPTIONS", BRANCH);
    asked(&mut core, "OPTIONS", ";branch=z9hG4bKX");
    asked(&mut core, "INFO", BRANCH);
    let mut other = request("OPTIONS", BRANCH);
    other.head.via.port = Some(5070);
    core.handle_message(other.into(), hop(1, Transport::Udp), at(0));
    assert_eq!(core.len(), (0, 4));
}

#[test]
fn requests_of_rfc_2543_are_told_apart_without_branch() {
    for branch in ["", ";branch=1"] {
        let mut core = core();
        let (id, invite, tag) = asked(&mut core, "INVITE", branch);
        feed(&mut core, "INVITE", branch, 100);
        feed(&mut core, "CANCEL", branch, 200);
        assert_eq!(events(&mut core), ["cancelled"]);
        core.respond(id, &Response::to(&invite, status(487), &tag), at(300));
        sent(&mut core);
        // Somebody else's 2xx is acknowledged: this refusal is not.
        core.handle_message(ack(branch, "other"), hop(1, Transport::Udp), at(400));
        assert_eq!(events(&mut core), ["ack"]);
        assert_eq!(run(&mut core, 900).len(), 1);
        core.handle_message(ack(branch, &tag), hop(1, Transport::Udp), at(1000));
        assert!(events(&mut core).is_empty());
        assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
    }
}

#[test]
fn a_full_table_refuses_the_same_way_each_time_but_lets_calls_end() {
    let settings = Settings { servers: 1, reserve: 1, ..Settings::default() };
    let mut core = Transactions::new(settings, SEED);
    let (id, invite, tag) = asked(&mut core, "INVITE", BRANCH);
    let refused: Vec<_> = (0..2)
        .map(|_| {
            core.handle_message(request("INVITE", ";branch=z9hG4bKy").into(), hop(1, Transport::Udp), at(0));
            core.poll_transmit().unwrap().bytes
        })
        .collect();
    assert_eq!(refused[0], refused[1]);
    let Message::Response(refusal) = read(&refused[0]) else { panic!() };
    assert_eq!((refusal.status.code(), refusal.headers.get(&Name::RetryAfter)), (503, Some("5")));
    assert!(events(&mut core).is_empty());
    assert_eq!(core.counters().refused, 2);
    assert_eq!(feed(&mut core, "CANCEL", BRANCH, 100), ["200"]);
    assert_eq!(events(&mut core), ["cancelled"]);
    let mut bye = request("BYE", ";branch=z9hG4bKz");
    bye.head.to.set_tag(&tag);
    asked_over(&mut core, bye.clone(), Transport::Udp);
    bye.head.via.set_branch("z9hG4bKzz");
    core.handle_message(bye.into(), hop(1, Transport::Udp), at(0));
    assert_eq!((sent(&mut core), core.len()), (vec!["503".to_owned()], (0, 2)));
    assert!(core.respond(id, &Response::to(&invite, status(487), &tag), at(200)));
}

#[test]
fn responses_go_to_the_address_that_was_seen() {
    let source = Hop { addr: SocketAddr::from(([198, 51, 100, 9], 40_000)), transport: Transport::Udp };
    for (rport, port) in [(true, 40_000), (false, 5060)] {
        let mut core = core();
        let mut options = request("OPTIONS", ";branch=z9hG4bKx;maddr=203.0.113.1");
        if !rport {
            options.head.via.params.remove("rport");
        }
        core.handle_message(options.into(), source, at(0));
        let Some(Event::Request { id, request, tag, .. }) = core.poll_event() else { panic!() };
        core.respond(id, &Response::to(&request, status(200), &tag), at(0));
        let out = core.poll_transmit().unwrap();
        assert_eq!(out.to.addr, SocketAddr::from(([198, 51, 100, 9], port)));
        assert!(String::from_utf8(out.bytes).unwrap().contains("received=198.51.100.9"));
    }
}

#[test]
fn a_broken_path_is_reported_and_an_undecided_invite_stays() {
    let mut core = core();
    let (id, invite, tag) = asked_over(&mut core, request("INVITE", BRANCH), Transport::Tcp);
    asked_over(&mut core, request("OPTIONS", BRANCH), Transport::Tcp);
    core.handle_transport_error(hop(1, Transport::Tcp), at(10));
    assert_eq!(events(&mut core), ["server failed Transport", "server failed Transport"]);
    assert_eq!(core.len(), (0, 1));
    assert!(core.respond(id, &Response::to(&invite, status(500), &tag), at(20)));
}
