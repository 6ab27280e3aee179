//! The whole program and an endpoint that fails now and then: whatever happened while the program was killed again and
//! again is told, under one id each, with a signature that another program finds right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

mod the_box;

use the_box::TheBox;

const PATIENCE: Duration = Duration::from_secs(10);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A box that tells `endpoint` of calls.
fn start(endpoint: SocketAddr) -> TheBox {
    TheBox::start(|dir| {
        let secret = dir.join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        format!(
            "[[webhook]]\nid = \"crm\"\nurl = \"http://{endpoint}/hook\"\nsecret_file = {secret:?}\n\
             events = [\"call.*\"]\n"
        )
    })
}

#[derive(Clone, Debug)]
struct Request {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
    taken: bool,
}

async fn read(stream: &mut TcpStream) -> Option<(BTreeMap<String, String>, String)> {
    let mut text = Vec::new();
    let mut bytes = [0_u8; 4096];
    loop {
        let count = stream.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&bytes[..count]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let headers: BTreeMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        if body.len() >= headers["content-length"].parse().unwrap() {
            return Some((headers, body.to_owned()));
        }
    }
}

/// Takes every event at its second coming only, except every third one, which it takes at once.
async fn endpoint() -> (SocketAddr, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, requests) = mpsc::channel(10_000);
    let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (heard, seen) = (heard.clone(), seen.clone());
            tokio::spawn(async move {
                while let Some((headers, body)) = read(&mut stream).await {
                    let id = headers["webhook-id"].clone();
                    assert_eq!(headers["idempotency-key"], id);
                    let taken = {
                        let mut seen = seen.lock().unwrap();
                        !seen.insert(id.clone()) || seen.len() % 3 == 0
                    };
                    let (timestamp, signature) =
                        (headers["webhook-timestamp"].clone(), headers["webhook-signature"].clone());
                    heard.send(Request { id, timestamp, signature, body, taken }).await.unwrap();
                    let answer = if taken { "HTTP/1.1 200 OK" } else { "HTTP/1.1 500 No" };
                    let answer = format!("{answer}\r\nContent-Length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, requests)
}

#[tokio::test]
async fn whatever_happened_while_the_program_was_killed_again_and_again_is_told_under_one_id_each() {
    let (address, mut requests) = endpoint().await;
    let mut the_box = start(address);
    let mut heard = Vec::new();
    for life in 1..=4 {
        let phone = the_box.phone("101").await;
        for _ in 0..3 {
            phone.call("777").await.unwrap().ended(PATIENCE).await.unwrap();
        }
        // In the middle of delivering, at another point each time.
        for _ in 0..life {
            heard.push(tokio::time::timeout(PATIENCE, requests.recv()).await.unwrap().unwrap());
        }
        the_box.child.kill().unwrap();
        the_box.again();
    }
    let calls: BTreeSet<String> =
        the_box.lines(&["calls", "--json"]).iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect();
    // What was told of had come to the disk, however slow that is; the last ones of a life may not have.
    let of = |r: &Request| {
        serde_json::from_str::<Value>(&r.body).unwrap()["data"]["call"].as_str().map(str::to_owned)
    };
    let told_of: BTreeSet<String> = heard.iter().filter_map(of).collect();
    assert!(!told_of.is_empty() && told_of.is_subset(&calls) && calls.len() <= 12, "{told_of:?} {calls:?}");
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let told = |heard: &[Request], kind: &str| -> BTreeSet<String> {
        let bodies =
            heard.iter().filter(|r| r.taken).map(|r| serde_json::from_str::<Value>(&r.body).unwrap());
        bodies.filter(|b| b["type"] == kind).map(|b| b["data"]["call"].as_str().unwrap().to_owned()).collect()
    };
    while started != calls || ended != calls {
        heard.push(tokio::time::timeout(PATIENCE * 2, requests.recv()).await.unwrap().unwrap());
        (started, ended) = (told(&heard, "call.started"), told(&heard, "call.ended"));
    }
    // What was said last is on its way into the rows.
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        let rows = the_box.lines(&["webhooks", "list", "--limit", "500"]);
        assert_eq!(rows.len(), 2 * calls.len(), "{rows:#?}");
        if rows.iter().all(|r| r["state"] == "delivered") {
            break;
        }
    }
    let status = the_box.lines(&["status"]);
    assert_eq!(status[0]["shops"]["main"]["webhooks"]["crm"]["waiting"], 0, "{status:#?}");

    let mut bodies = BTreeMap::new();
    for request in &heard {
        let first = bodies.entry(request.id.clone()).or_insert_with(|| request.body.clone());
        assert_eq!(*first, request.body, "an id stands for one event");
    }
    assert_eq!(bodies.len(), 2 * calls.len());
    verify(&heard);
    let mut test = tokio::process::Command::from(the_box.command(&["webhooks", "test", "crm"]));
    let test = test.output().await.unwrap();
    let ping = requests.recv().await.unwrap();
    let said = String::from_utf8_lossy(&test.stdout).into_owned();
    assert!(ping.body.contains("\"type\":\"test.ping\""), "{ping:?}");
    assert!(said.contains(if ping.taken { "\"status\":200" } else { "\"status\":500" }), "{said}");
    assert_eq!(test.status.success(), ping.taken);
    verify(&[ping]);
}

/// As a receiver written in another language checks it.
fn verify(heard: &[Request]) {
    let script = "import sys,json,hmac,hashlib,base64\nkey=base64.b64decode(sys.argv[1])\n\
                  for line in sys.stdin:\n r=json.loads(line)\n \
                  text='.'.join([r['id'],r['timestamp'],r['body']]).encode()\n \
                  want='v1,'+base64.b64encode(hmac.new(key,text,hashlib.sha256).digest()).decode()\n \
                  assert hmac.compare_digest(want,r['signature']),r\nprint('fine')\n";
    let key = SECRET.strip_prefix("whsec_").unwrap();
    let program = Command::new("python3")
        .args(["-c", script, key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    // The library's own tests hold the published example against it.
    let Ok(mut program) = program else { return };
    let mut input = program.stdin.take().unwrap();
    for r in heard {
        let line = serde_json::json!({ "id": r.id, "timestamp": r.timestamp, "signature": r.signature, "body": r.body });
        std::io::Write::write_all(&mut input, format!("{line}\n").as_bytes()).unwrap();
    }
    drop(input);
    let output = program.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fine\n");
}
