//! `hil dealer` as a program: driven from outside, killed and started again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running `hil dealer`, killed when dropped.
struct Program {
    child: Child,
    api: String,
    control: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Err: it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hil"))
            .args(["dealer", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--mode", "idempotent"])
            .arg("--state")
            .arg(dir.join("orders.json"))
            .arg("--log")
            .arg(dir.join("orders.log"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at: Value = serde_json::from_str(&line).unwrap();
        let host = |name: &str| at[name].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { api: host("url"), control: host("control"), child }
    }

    fn order(&self, key: &str) -> (u16, Value) {
        let body = json!({ "customer_id": "C-1001", "equipment_id": "EQ123", "description": "Won't start" });
        request(&self.api, "POST", "/api/service-orders", &format!("Idempotency-Key: {key}\r\n"), &body)
            .unwrap()
    }

    fn orders(&self) -> Vec<Value> {
        let (_, orders) = request(&self.control, "GET", "/_sim/orders", "", &Value::Null).unwrap();
        orders.as_array().cloned().unwrap()
    }

    fn fault(&self, plan: &Value) {
        assert_eq!(request(&self.control, "POST", "/_sim/fault", "", plan).unwrap().0, 204);
    }
}

fn request(
    host: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &Value,
) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(host)?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

#[test]
fn orders_outlive_a_kill_and_a_known_key_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = Program::start(dir.path());
    let (status, answer) = first.order("OR1");
    assert_eq!((status, answer["order_id"].as_str()), (201, Some("SO-20001")));
    drop(first);
    let second = Program::start(dir.path());
    let (status, again) = second.order("OR1");
    assert_eq!((status, &again["order_id"]), (200, &answer["order_id"]));
    assert_eq!(second.orders().len(), 1);
    assert_eq!(second.order("OR2").1["order_id"], "SO-20002");
    let log = std::fs::read_to_string(dir.path().join("orders.log")).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["order_created", "order_again", "order_created"]);
}

#[test]
fn faults_are_switched_while_it_runs_and_a_dealer_who_is_down_refuses_connections() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(dir.path());
    program.fault(&json!({ "fault": "down" }));
    let refused = TcpStream::connect(&program.api).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    program.fault(&json!({ "fault": "refuse", "on": "writes", "times": 1 }));
    assert_eq!(program.order("OR1").0, 422);
    assert_eq!(program.order("OR1").0, 201);
    let (status, _) = request(&program.control, "POST", "/_sim/reset", "", &Value::Null).unwrap();
    assert_eq!((status, program.orders().len()), (204, 0));
}
