//! The edge against the dealer simulator in every fault, and against bare sockets for what no server would do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use hil::dealer::{Dealer, Fault, Mode, On, Options, Plan};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::types::{Capabilities, LookUpResult, PlaceResult};

const TOKEN: &str = "k-3141592653";

/// The running edge and its two ends.
struct Edge {
    commands: mpsc::Sender<DealerCommand>,
    events: mpsc::Receiver<DealerEvent>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Edge {
    fn start(config: DealerConfig) -> Self {
        let (commands, wanted) = mpsc::channel(64);
        let (reports, events) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(vec![config], wanted, reports, stopped));
        Self { commands, events, stop, task }
    }

    async fn tell(&self, command: DealerCommand) {
        self.commands.send(command).await.unwrap();
    }

    async fn ask(&mut self, command: DealerCommand) -> DealerEvent {
        self.tell(command).await;
        self.events.recv().await.unwrap()
    }

    async fn fetch(&mut self, path: &str) -> FetchResult {
        match self.ask(DealerCommand::Fetch { shop: shop(), id: 7, path: path.to_owned() }).await {
            DealerEvent::Fetched { id: 7, result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    async fn place(&mut self, order: &str, body: &Map<String, Value>) -> PlaceResult {
        match self.ask(place(order, body)).await {
            DealerEvent::Placed { order: answered, result, .. } if answered.as_str() == order => result,
            other => panic!("{other:?}"),
        }
    }

    async fn look_up(&mut self, order: &str) -> LookUpResult {
        let command = DealerCommand::LookUp {
            shop: shop(),
            order: OrderId::from(order),
            kind: OrderKind::Service,
            customer_id: "C-1001".into(),
        };
        match self.ask(command).await {
            DealerEvent::LookedUp { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }
}

/// True when only the client's time-out ends it.
fn is_silent(fault: Fault) -> bool {
    matches!(fault, Fault::Slow { .. } | Fault::Silence | Fault::CommitThenSilence)
}

fn shop() -> ShopId {
    ShopId::from("main")
}

fn config(url: String) -> DealerConfig {
    DealerConfig::new(shop(), url, TOKEN.into())
}

/// For dealers who never answer.
fn hasty(url: String) -> DealerConfig {
    let short = Duration::from_millis(400);
    DealerConfig { total: short, order: short, ..config(url) }
}

async fn dealer(mode: Mode) -> Dealer {
    Dealer::start(Options { mode, token: Some(TOKEN.into()), ..Options::default() }).await.unwrap()
}

fn service(description: &str) -> Map<String, Value> {
    json!({ "customer_id": "C-1001", "equipment_id": "EQ123", "service_type": "repair", "description": description })
        .as_object()
        .cloned()
        .unwrap()
}

fn place(order: &str, body: &Map<String, Value>) -> DealerCommand {
    DealerCommand::Place {
        shop: shop(),
        order: OrderId::from(order),
        kind: OrderKind::Service,
        body: body.clone(),
    }
}

fn dana() -> String {
    profile_path(&PhoneNumber::parse("+12065550101", None).unwrap())
}

fn fetched(result: &FetchResult) -> &'static str {
    match result {
        FetchResult::Answered { .. } => "answered",
        FetchResult::Nonsense { .. } => "nonsense",
        FetchResult::Unreachable { .. } => "unreachable",
    }
}

fn placed(result: &PlaceResult) -> &'static str {
    match result {
        PlaceResult::Confirmed(_) => "confirmed",
        PlaceResult::Refused { .. } => "refused",
        PlaceResult::NotSent { .. } => "not sent",
        PlaceResult::Unknown { .. } => "unknown",
    }
}

#[tokio::test]
async fn a_customer_is_found_by_phone_and_his_transactions_by_id() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    let FetchResult::Answered { status: 200, body, .. } = edge.fetch(&dana()).await else { panic!() };
    let profile: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(profile["customer_id"], "C-1001");
    assert_eq!(profile["equipment"][0]["equipment_id"], "EQ123");
    assert_eq!(profile["equipment"][0]["parts_catalog"][0]["part_number"], "HRX217VKA-BLD");
    let path = transactions_path("C-1001", "service_orders,parts_orders,invoices");
    let FetchResult::Answered { status: 200, body, .. } = edge.fetch(&path).await else { panic!() };
    let transactions: Value = serde_json::from_str(&body).unwrap();
    assert!(!transactions["invoices"].as_array().unwrap().is_empty());
    let stranger = profile_path(&PhoneNumber::parse("+12065559999", None).unwrap());
    assert!(matches!(edge.fetch(&stranger).await, FetchResult::Answered { status: 404, .. }));
}

#[tokio::test]
async fn every_fault_of_a_read_is_told_from_an_answer() {
    let dealer = dealer(Mode::Reference).await;
    let (mut hasty, mut patient) = (Edge::start(hasty(dealer.url())), Edge::start(config(dealer.url())));
    for (fault, wanted) in [
        (Fault::Slow { seconds: 30.0 }, "unreachable"),
        (Fault::Down, "unreachable"),
        (Fault::Silence, "unreachable"),
        (Fault::CommitThenSilence, "unreachable"),
        (Fault::Unavailable, "nonsense"),
        (Fault::Error500, "nonsense"),
        (Fault::Portal, "nonsense"),
        (Fault::Redirect, "nonsense"),
        (Fault::MissingFields, "nonsense"),
        (Fault::WrongTypes, "nonsense"),
        (Fault::TenMegabytes, "nonsense"),
        (Fault::Truncated, "nonsense"),
        (Fault::WrongToken, "nonsense"),
        (Fault::TooMany { retry_after: 3 }, "nonsense"),
        (Fault::Refuse, "answered"),
        (Fault::None, "answered"),
    ] {
        dealer.set_fault(fault).unwrap();
        let edge = if is_silent(fault) { &mut hasty } else { &mut patient };
        for path in [dana(), transactions_path("C-1001", "invoices")] {
            let result = edge.fetch(&path).await;
            assert_eq!(fetched(&result), wanted, "{fault:?}: {result:?}");
        }
    }
}

#[tokio::test]
async fn every_fault_of_an_order_is_judged_by_whether_it_was_written() {
    let dealer = dealer(Mode::Reference).await;
    let (mut hasty, mut patient) = (Edge::start(hasty(dealer.url())), Edge::start(config(dealer.url())));
    for (at, (fault, wanted, written)) in [
        (Fault::None, "confirmed", 1),
        (Fault::Slow { seconds: 30.0 }, "unknown", 0),
        (Fault::Down, "not sent", 0),
        (Fault::Silence, "unknown", 0),
        (Fault::CommitThenSilence, "unknown", 1),
        (Fault::CommitThen500, "unknown", 1),
        (Fault::Unavailable, "unknown", 0),
        (Fault::Error500, "unknown", 0),
        (Fault::Portal, "unknown", 0),
        (Fault::Redirect, "not sent", 0),
        (Fault::MissingFields, "unknown", 1),
        (Fault::WrongTypes, "unknown", 1),
        (Fault::TenMegabytes, "unknown", 1),
        (Fault::Truncated, "unknown", 1),
        (Fault::WrongToken, "not sent", 0),
        (Fault::TooMany { retry_after: 3 }, "not sent", 0),
        (Fault::Refuse, "refused", 0),
        (Fault::None, "confirmed", 1),
    ]
    .into_iter()
    .enumerate()
    {
        dealer.set_fault(fault).unwrap();
        let edge = if is_silent(fault) { &mut hasty } else { &mut patient };
        let before = dealer.orders().len();
        let result = edge.place(&format!("OR{at}"), &service("Won't start")).await;
        assert_eq!(placed(&result), wanted, "{fault:?}: {result:?}");
        assert_eq!(dealer.orders().len() - before, written, "{fault:?}");
        if fault == (Fault::TooMany { retry_after: 3 }) {
            assert!(matches!(result, PlaceResult::NotSent { retry_after: Some(3), .. }));
        }
    }
}

#[tokio::test]
async fn an_order_travels_with_its_id_as_key_and_reference_and_is_answered_whole() {
    let dealer = dealer(Mode::Bare).await;
    let mut edge = Edge::start(config(dealer.url()));
    let PlaceResult::Confirmed(answer) = edge.place("OR42", &service("Won't start")).await else { panic!() };
    assert_eq!(answer["order_id"], "SO-20001");
    assert!(answer["payment_url"].as_str().unwrap().starts_with("https://"));
    let orders = dealer.orders();
    assert_eq!(orders[0].idempotency_key.as_deref(), Some("OR42"));
    assert_eq!(orders[0].client_reference.as_deref(), Some("OR42"));
    assert_eq!(orders[0].body["description"], "Won't start");
}

#[tokio::test]
async fn a_shops_own_refusal_says_why() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    let result = edge.place("OR1", &service("  ")).await;
    assert_eq!(result, PlaceResult::Refused { status: 422, message: "description is empty".into() });
}

#[tokio::test]
async fn a_connection_cut_after_the_order_was_written_is_unknown() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    dealer.set_fault(Fault::CommitThenSilence).unwrap();
    edge.tell(place("OR1", &service("Won't start"))).await;
    while dealer.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    dealer.stop_listening().unwrap();
    let event = edge.events.recv().await.unwrap();
    assert!(matches!(event, DealerEvent::Placed { result: PlaceResult::Unknown { .. }, .. }), "{event:?}");
}

#[tokio::test]
async fn an_order_that_is_written_after_the_time_out_is_unknown_and_not_lost() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(hasty(dealer.url()));
    dealer.set_fault(Plan::next_orders(1, Fault::CommitLate { seconds: 2.0 })).unwrap();
    assert_eq!(placed(&edge.place("OR1", &service("Won't start")).await), "unknown");
    assert_eq!(edge.look_up("OR1").await, LookUpResult::Absent, "it is looked for too early");
    while dealer.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(edge.look_up("OR1").await, LookUpResult::Found(_)));
}

#[tokio::test]
async fn a_lost_order_is_found_by_reference_or_nothing_is_claimed() {
    let referenced = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(referenced.url()));
    referenced.set_fault(Plan::next_orders(1, Fault::CommitThen500)).unwrap();
    assert_eq!(placed(&edge.place("OR1", &service("Won't start")).await), "unknown");
    let LookUpResult::Found(answer) = edge.look_up("OR1").await else { panic!() };
    assert_eq!(answer["order_id"], "SO-20001");
    assert!(answer["invoice_url"].as_str().unwrap().starts_with("https://"));
    assert_eq!(edge.look_up("OR2").await, LookUpResult::Absent);
    for fault in [
        Fault::Portal,
        Fault::MissingFields,
        Fault::WrongTypes,
        Fault::Truncated,
        Fault::Error500,
        Fault::Down,
    ] {
        referenced.set_fault(fault).unwrap();
        let result = edge.look_up("OR2").await;
        assert!(matches!(result, LookUpResult::Unreachable { .. }), "{fault:?}: {result:?}");
    }
    let bare = dealer(Mode::Bare).await;
    let mut edge = Edge::start(config(bare.url()));
    assert_eq!(edge.look_up("OR1").await, LookUpResult::NotSupported);
}

#[tokio::test]
async fn a_dealer_that_honours_keys_writes_one_order_for_two_posts() {
    let dealer = dealer(Mode::Idempotent).await;
    let mut edge = Edge::start(config(dealer.url()));
    dealer.set_fault(Plan::next_orders(1, Fault::CommitThen500)).unwrap();
    assert_eq!(placed(&edge.place("OR1", &service("Won't start")).await), "unknown");
    assert_eq!(placed(&edge.place("OR1", &service("Won't start")).await), "confirmed");
    assert_eq!(dealer.orders().len(), 1);
}

#[tokio::test]
async fn a_flapping_dealer_answers_every_other_time() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    dealer.set_fault(Plan { fault: Fault::Flapping, on: On::Reads, times: None }).unwrap();
    for wanted in ["nonsense", "answered", "nonsense", "answered"] {
        assert_eq!(fetched(&edge.fetch(&dana()).await), wanted);
    }
}

#[tokio::test]
async fn a_probe_learns_what_the_dealer_supports_and_all_his_customers() {
    for (mode, wanted, customers) in [
        (Mode::Idempotent, Some(Capabilities { idempotency_key: true, client_reference: false }), 12),
        (Mode::Reference, Some(Capabilities { idempotency_key: false, client_reference: true }), 12),
        (Mode::Bare, None, 0),
    ] {
        let dealer = dealer(mode).await;
        let mut edge = Edge::start(config(dealer.url()));
        let DealerEvent::Probed { reached: true, capabilities, customers: phones, .. } =
            edge.ask(DealerCommand::Probe { shop: shop() }).await
        else {
            panic!()
        };
        assert_eq!(capabilities, wanted);
        assert_eq!(phones.len(), customers);
        assert!(phones.iter().all(|phone| phone.starts_with("+1206555")));
        dealer.set_fault(Fault::Portal).unwrap();
        let away = edge.ask(DealerCommand::Probe { shop: shop() }).await;
        assert!(matches!(away, DealerEvent::Probed { reached: false, capabilities: None, .. }));
    }
}

#[tokio::test]
async fn one_order_at_a_time_means_that_the_second_has_not_left_while_the_first_is_under_way() {
    let dealer = dealer(Mode::Reference).await;
    dealer.set_fault(Fault::CommitThenSilence).unwrap();
    let mut edge = Edge::start(DealerConfig { writes: 1, ..config(dealer.url()) });
    edge.tell(place("OR1", &service("one"))).await;
    edge.tell(place("OR2", &service("two"))).await;
    while dealer.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    dealer.stop_listening().unwrap();
    let mut results = Vec::new();
    for _ in 0..2 {
        if let DealerEvent::Placed { order, result, .. } = edge.events.recv().await.unwrap() {
            results.push((order.0, placed(&result)));
        }
    }
    assert_eq!(results, [("OR1".to_owned(), "unknown"), ("OR2".to_owned(), "not sent")]);
    assert_eq!(dealer.requests(), 1);
}

#[tokio::test]
async fn at_shutdown_what_has_not_begun_is_not_sent_and_a_silent_dealer_is_not_waited_for() {
    let dealer = dealer(Mode::Reference).await;
    dealer.set_fault(Fault::CommitThenSilence).unwrap();
    let mut edge = Edge::start(DealerConfig { writes: 1, ..config(dealer.url()) });
    for order in ["OR1", "OR2", "OR3"] {
        edge.tell(place(order, &service(order))).await;
    }
    while dealer.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    edge.stop.send(true).unwrap();
    edge.task.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    let mut not_sent = Vec::new();
    while let Some(DealerEvent::Placed { order, result: PlaceResult::NotSent { .. }, .. }) =
        edge.events.recv().await
    {
        not_sent.push(order.0);
    }
    not_sent.sort();
    assert_eq!(not_sent, ["OR2", "OR3"]);
    assert_eq!(dealer.orders().len(), 1);
}

#[tokio::test]
async fn a_request_to_others_carries_no_token() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    let command = DealerCommand::Request {
        shop: shop(),
        id: 3,
        method: "GET".into(),
        url: format!("{}/api/capabilities", dealer.url()),
        content_type: String::new(),
        body: String::new(),
    };
    let DealerEvent::Fetched { id: 3, result, .. } = edge.ask(command).await else { panic!() };
    assert!(matches!(result, FetchResult::Answered { status: 401, .. }), "{result:?}");
}

#[tokio::test]
async fn no_path_leads_the_token_to_another_host() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url()));
    for path in ["@evil.example/", ".evil.example/", "0/api", "api"] {
        assert_eq!(fetched(&edge.fetch(path).await), "unreachable", "{path}");
    }
    assert_eq!(fetched(&edge.fetch("//evil.example/api").await), "answered", "the dealer's own 404");
}

#[tokio::test]
async fn a_failed_tls_handshake_has_sent_no_order() {
    let dealer = dealer(Mode::Reference).await;
    let mut edge = Edge::start(config(dealer.url().replace("http:", "https:")));
    let result = edge.place("OR1", &service("Won't start")).await;
    assert_eq!(placed(&result), "not sent", "{result:?}");
    assert_eq!(dealer.requests(), 0);
}

#[tokio::test]
async fn a_shop_without_a_usable_dealer_is_told_so_at_once() {
    let mut edge = Edge::start(config("http://dealer.example".into()));
    let PlaceResult::NotSent { why, .. } = edge.place("OR1", &service("x")).await else { panic!() };
    assert!(why.contains("plain_http"), "{why}");
    let elsewhere = DealerCommand::Probe { shop: ShopId::from("other") };
    assert!(matches!(edge.ask(elsewhere).await, DealerEvent::Probed { reached: false, .. }));
}

/// A server that reads what it is sent and answers these bytes, then closes.
fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 8192];
            // Errors: the client has gone, which some of these answers are meant to make it do.
            drop(stream.read(&mut request));
            drop(stream.write_all(answer));
        }
    });
    url
}

#[tokio::test]
async fn what_no_dealer_would_answer_is_judged_by_what_may_have_happened_before_it() {
    for (answer, get, post) in [
        (&b""[..], "unreachable", "unknown"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "unreachable", "unknown"),
        (b"HTTP/1.1 201 Crea", "unreachable", "unknown"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"order_id\":",
            "unreachable",
            "unknown",
        ),
        (b"HTTP/1.1 422 No\r\nContent-Length: 900\r\n\r\nthe part", "unreachable", "refused"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{",
            "nonsense",
            "unknown",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            "unreachable",
            "unknown",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "nonsense", "unknown"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n\xff\xfe{}",
            "nonsense",
            "unknown",
        ),
    ] {
        let shown = String::from_utf8_lossy(answer).into_owned();
        let mut edge = Edge::start(config(raw_server(answer)));
        let result = edge.fetch(&dana()).await;
        assert_eq!(fetched(&result), get, "{shown}: {result:?}");
        let result = edge.place("OR1", &service("x")).await;
        assert_eq!(placed(&result), post, "{shown}: {result:?}");
    }
}

/// A server whose page for what it does not know is HTML; the second answer is its answer about customers.
fn old_server(customer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 8192];
            let length = stream.read(&mut request).unwrap();
            let known = String::from_utf8_lossy(&request[..length]).contains("/api/customers/by-phone/");
            let page = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>";
            stream.write_all(if known { customer } else { page }.as_bytes()).unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_dealer_without_optional_endpoints_is_reached_when_he_answers_about_customers() {
    let nobody = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let portal = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>";
    for (customer, wanted) in [(nobody, true), (portal, false)] {
        let mut edge = Edge::start(config(old_server(customer)));
        let event = edge.ask(DealerCommand::Probe { shop: shop() }).await;
        let DealerEvent::Probed { reached, capabilities: None, .. } = event else { panic!("{event:?}") };
        assert_eq!(reached, wanted);
    }
}

#[tokio::test]
async fn a_machine_that_takes_no_connection_has_been_sent_nothing() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: once the backlog is full, the kernel drops what asks.
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    // The whole is shorter than the five seconds for connecting, and still it is known that nothing left.
    let mut edge = Edge::start(hasty(format!("http://{address}")));
    let result = edge.place("OR1", &service("x")).await;
    assert_eq!(placed(&result), "not sent", "{result:?}");
    assert_eq!(fetched(&edge.fetch(&dana()).await), "unreachable");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // An answer before its question is another fault.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            request.extend(octet);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").unwrap();
        let mut sent = 0_usize;
        // Ends when the client hangs up.
        while stream.write_all(&[b' '; 65_536]).is_ok() {
            sent += 65_536;
        }
        sent
    });
    let mut edge = Edge::start(DealerConfig { max_body: 100_000, ..config(url) });
    assert_eq!(fetched(&edge.fetch(&dana()).await), "nonsense");
    let sent = server.join().unwrap();
    assert!(sent < 16 * 1024 * 1024, "{sent}");
}

#[test]
fn the_token_is_in_no_debug() {
    let shown = format!("{:?}", config("https://api.lizzy.example".into()));
    assert!(!shown.contains(TOKEN), "{shown}");
    assert!(shown.contains("api.lizzy.example"));
}

#[test]
fn a_url_that_would_show_the_token_or_cannot_work_is_refused_with_what_to_write() {
    let check = |url: &str| config(url.into()).check();
    assert!(check("https://api.lizzy.example").is_ok());
    assert!(check("https://api.lizzy.example/v2").is_ok());
    for here in ["http://127.0.0.1:8089", "http://localhost:8089", "http://[::1]:8089"] {
        assert!(check(here).is_ok(), "{here}");
    }
    assert!(DealerConfig { plain_http: true, ..config("http://10.0.0.5".into()) }.check().is_ok());
    for wrong in [
        "http://10.0.0.5",
        "http://localhost.evil.example",
        "https://api.lizzy.example/",
        "https://api.lizzy.example?x=1",
        "https://user:secret@api.lizzy.example",
        "ftp://api.lizzy.example",
        "api.lizzy.example",
        "",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
