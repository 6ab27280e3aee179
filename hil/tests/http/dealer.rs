//! `hil dealer`: orders, faults, and what outlives a kill.

use super::{Answer, Program, request};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;

struct Dealer(Program);

impl Dealer {
    fn start(dir: &Path) -> Self {
        let (state, log) = (dir.join("orders.json"), dir.join("orders.log"));
        let mode = ["--mode", "idempotent"].map(AsRef::as_ref);
        let files = ["--state".as_ref(), state.as_os_str(), "--log".as_ref(), log.as_os_str()];
        Self(Program::start("dealer", mode.into_iter().chain(files)))
    }

    fn order(&self, key: &str) -> Answer {
        let body = json!({ "customer_id": "C-1001", "equipment_id": "EQ123", "description": "Won't start" });
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        request(&self.0.api, "POST", "/api/service-orders", &headers, &body.to_string()).unwrap()
    }

    fn orders(&self) -> Vec<Value> {
        self.0.control("/_sim/orders", &Value::Null).as_array().cloned().unwrap()
    }

    fn fault(&self, plan: &Value) {
        self.0.control("/_sim/fault", plan);
    }
}

#[test]
fn orders_outlive_a_kill_and_a_known_key_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = Dealer::start(dir.path());
    let written = first.order("OR1");
    assert_eq!((written.status, written.body["order_id"].as_str()), (201, Some("SO-20001")));
    drop(first);
    let second = Dealer::start(dir.path());
    let again = second.order("OR1");
    assert_eq!((again.status, &again.body["order_id"]), (200, &written.body["order_id"]));
    assert_eq!(second.orders().len(), 1);
    assert_eq!(second.order("OR2").body["order_id"], "SO-20002");
    let log = std::fs::read_to_string(dir.path().join("orders.log")).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["order_created", "order_again", "order_created"]);
}

#[test]
fn faults_are_switched_while_it_runs_and_a_dealer_who_is_down_refuses_connections() {
    let dir = tempfile::tempdir().unwrap();
    let dealer = Dealer::start(dir.path());
    dealer.fault(&json!({ "fault": "down" }));
    let refused = TcpStream::connect(&dealer.0.api).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    dealer.fault(&json!({ "fault": "refuse", "on": "writes", "times": 1 }));
    assert_eq!(dealer.order("OR1").status, 422);
    assert_eq!(dealer.order("OR1").status, 201);
    dealer.0.control("/_sim/reset", &json!({}));
    assert_eq!(dealer.orders().len(), 0);
}
