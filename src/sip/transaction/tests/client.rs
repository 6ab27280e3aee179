//! Client transactions.

use super::*;

fn start(method: &str, transport: Transport) -> (Transactions, ClientId, Request) {
    let mut core = Transactions::new(Settings::default(), SEED);
    let id = core.send_request(request(method, ""), hop(2, transport), at(0)).unwrap();
    let Message::Request(out) = read(core.poll_transmit().unwrap().bytes) else { panic!() };
    (core, id, out)
}

fn feed(core: &mut Transactions, to: &Request, code: u16, ms: u64) -> Vec<String> {
    core.handle_message(Response::to(to, status(code), "b").into(), hop(2, Transport::Udp), at(ms));
    sent(core)
}

fn times(log: &[(u64, String)]) -> Vec<u64> {
    log.iter().map(|(at, _)| *at).collect()
}

#[test]
fn an_unanswered_invite_is_sent_seven_times_and_fails_after_32_s() {
    let (mut core, _, _) = start("INVITE", Transport::Udp);
    assert_eq!(times(&run(&mut core, 60_000)), [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(events(&mut core), ["failed Timeout"]);
    assert!(core.is_empty());
}

#[test]
fn an_unanswered_request_is_sent_eleven_times_and_fails_after_32_s() {
    let (mut core, _, _) = start("OPTIONS", Transport::Udp);
    let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times(&run(&mut core, 60_000)), expected);
    assert_eq!(events(&mut core), ["failed Timeout"]);
    assert!(core.is_empty());
}

#[test]
fn a_stream_sends_nothing_again_but_gives_up_all_the_same() {
    for method in ["INVITE", "OPTIONS"] {
        let (mut core, _, out) = start(method, Transport::Tcp);
        assert!(out.head.via.is_over("TCP"));
        assert_eq!(core.poll_timeout().unwrap().0, Mono(32_000));
        assert!(run(&mut core, 60_000).is_empty());
        assert_eq!(events(&mut core), ["failed Timeout"]);
        assert!(core.is_empty());
    }
}

#[test]
fn a_refused_invite_is_acknowledged_as_often_as_it_is_refused() {
    let (mut core, _, out) = start("INVITE", Transport::Udp);
    assert!(feed(&mut core, &out, 180, 100).is_empty());
    core.handle_message(Response::to(&out, status(486), "b").into(), hop(2, Transport::Udp), at(200));
    let Message::Request(ack) = read(core.poll_transmit().unwrap().bytes) else { panic!() };
    assert_eq!((&ack.method, &ack.head.via, ack.head.to.tag()), (&Method::Ack, &out.head.via, Some("b")));
    assert_eq!(feed(&mut core, &out, 486, 700), ["ACK"]);
    assert!(feed(&mut core, &out, 200, 800).is_empty());
    assert_eq!(events(&mut core), ["provisional 180", "final 486"]);
    assert_eq!(core.poll_timeout(), Some((Mono(32_200), "timer D: absorbs responses to INVITE")));
    assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
}

#[test]
fn an_accepted_invite_hands_up_every_2xx_and_acknowledges_none() {
    let (mut core, _, out) = start("INVITE", Transport::Udp);
    for (code, ms) in [(200, 100), (200, 600), (202, 700), (180, 800), (486, 900)] {
        assert!(feed(&mut core, &out, code, ms).is_empty());
    }
    assert_eq!(events(&mut core), ["final 200", "again 200", "again 202"]);
    assert_eq!(core.poll_timeout(), Some((Mono(32_100), "timer M: takes further 2xx")));
    assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
    assert_eq!(events(&mut core), ["over"]);
}

#[test]
fn a_request_that_is_being_worked_on_is_sent_every_4_s() {
    let (mut core, _, out) = start("OPTIONS", Transport::Udp);
    feed(&mut core, &out, 100, 100);
    assert_eq!(times(&run(&mut core, 13_000)), [4100, 8100, 12_100]);
    feed(&mut core, &out, 200, 13_000);
    feed(&mut core, &out, 200, 13_100);
    assert_eq!(events(&mut core), ["provisional 100", "final 200"]);
    assert_eq!(core.poll_timeout().unwrap().0, Mono(18_000));
    assert!(run(&mut core, 60_000).is_empty() && core.is_empty());
}

#[test]
fn a_cancel_waits_until_the_invite_was_heard() {
    let (mut core, id, out) = start("INVITE", Transport::Udp);
    core.cancel(id, Some("SIP;cause=200"), at(10));
    core.cancel(id, None, at(20));
    assert!(sent(&mut core).is_empty());
    assert_eq!(feed(&mut core, &out, 100, 100), ["CANCEL"]);
    feed(&mut core, &out.cancel(), 200, 200);
    assert_eq!(feed(&mut core, &out, 487, 300), ["ACK"]);
    assert_eq!(events(&mut core), ["provisional 100", "final 487"]);
    run(&mut core, 60_000);
    assert!(core.is_empty());
}

#[test]
fn a_cancelled_invite_that_nobody_ends_is_given_up() {
    let (mut core, id, out) = start("INVITE", Transport::Udp);
    feed(&mut core, &out, 180, 100);
    core.cancel(id, None, at(1000));
    assert_eq!(sent(&mut core), ["CANCEL"]);
    feed(&mut core, &out.cancel(), 481, 1100);
    feed(&mut core, &out, 180, 2000);
    run(&mut core, 32_999);
    assert_eq!(core.len(), (1, 0));
    run(&mut core, 33_000);
    assert_eq!(events(&mut core), ["provisional 180", "provisional 180", "failed CancelUnanswered"]);
    assert!(core.is_empty());
}

#[test]
fn a_phone_that_rings_for_three_minutes_without_a_word_is_cancelled() {
    let (mut core, _, out) = start("INVITE", Transport::Udp);
    feed(&mut core, &out, 180, 0);
    feed(&mut core, &out, 180, 60_000);
    // A 100 says nothing about the far end.
    feed(&mut core, &out, 100, 70_000);
    let log = run(&mut core, 241_000);
    assert_eq!(log, [(241_000, "CANCEL".to_owned())]);
    run(&mut core, 600_000);
    assert_eq!(events(&mut core).last().unwrap(), "failed CancelUnanswered");
    assert!(core.is_empty());
}

#[test]
fn a_broken_path_fails_what_goes_over_it_and_nothing_else() {
    let (mut core, _, _) = start("INVITE", Transport::Tcp);
    core.send_request(request("OPTIONS", ""), hop(3, Transport::Tcp), at(0)).unwrap();
    core.handle_transport_error(hop(2, Transport::Tcp), at(5));
    assert_eq!(events(&mut core), ["failed Transport"]);
    assert_eq!(core.len(), (1, 0));
}

#[test]
fn a_response_for_another_is_dropped_and_counted() {
    let (mut core, _, out) = start("OPTIONS", Transport::Udp);
    let mut strays = vec![out.clone(); 4];
    strays[0].head.via.set_branch("z9hG4bKother");
    strays[1].head.via.port = Some(5070);
    strays[2].head.cseq.method = Method::Invite;
    strays[3].head.via_below.push(out.head.via.clone());
    for stray in &strays {
        feed(&mut core, stray, 200, 10);
    }
    assert_eq!((core.counters().stray_responses, events(&mut core).len()), (4, 0));
}

#[test]
fn a_full_table_sends_nothing_new_but_still_cancels() {
    let settings = Settings { clients: 1, ..Settings::default() };
    let mut core = Transactions::new(settings, SEED);
    let id = core.send_request(request("INVITE", ""), hop(2, Transport::Udp), at(0)).unwrap();
    let Message::Request(out) = read(core.poll_transmit().unwrap().bytes) else { panic!() };
    let more = core.send_request(request("BYE", ""), hop(2, Transport::Udp), at(0));
    assert_eq!(more, Err(SendError::Full));
    feed(&mut core, &out, 180, 10);
    core.cancel(id, None, at(20));
    assert_eq!(sent(&mut core), ["CANCEL"]);
    let ack = core.send_request(request("ACK", ""), hop(2, Transport::Udp), at(0));
    assert_eq!(ack, Err(SendError::NotARequest));
}
