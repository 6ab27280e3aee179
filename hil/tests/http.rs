//! The simulators that speak HTTP, as programs: driven from outside by a plain client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

#[path = "http/dealer.rs"]
mod dealer;
#[path = "http/twilio.rs"]
mod twilio;
#[path = "http/twilio_consents.rs"]
mod twilio_consents;
#[path = "http/twilio_faults.rs"]
mod twilio_faults;
#[path = "http/twilio_people.rs"]
mod twilio_people;
#[path = "http/twilio_setup.rs"]
mod twilio_setup;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running `hil dealer` or `hil twilio`, killed when dropped.
struct Program {
    child: Child,
    /// Host and port of what it simulates.
    api: String,
    /// Host and port of its control endpoints.
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
    fn start<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hil"))
            .args([name, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at: Value = serde_json::from_str(&line).unwrap();
        let host = |name: &str| at[name].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { api: host("url"), control: host("control"), child }
    }

    /// What a control endpoint answers: to a GET without a body, to a POST with one.
    fn control(&self, path: &str, body: &Value) -> Value {
        let answer = if body.is_null() {
            request(&self.control, "GET", path, "", "")
        } else {
            request(&self.control, "POST", path, "Content-Type: application/json\r\n", &body.to_string())
        };
        let answer = answer.unwrap();
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        answer.body
    }
}

struct Answer {
    status: u16,
    head: String,
    /// A JSON string, if it is no JSON.
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// `headers` end in CRLF each. `None`: the connection ended without an answer.
fn request(host: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
    request_at(host, host, method, path, headers, body)
}

/// The same to an address that goes by another name.
fn request_at(
    address: &str,
    host: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() || read.is_err() {
        return None;
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
    Some(Answer { status, head: head.to_owned(), body })
}
