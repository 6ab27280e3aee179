//! Phone and trunk as programs: started from a shell, told by their control sockets and scenario files.

use super::PATIENCE;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

/// A simulator as a process, and the address that it said.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    async fn start(arguments: &[&str]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hil"))
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true, "{ready}");
        Program { child, address: ready["address"].as_str().unwrap().to_owned() }
    }

    async fn stop(mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").arg(id).status().await.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

struct Control {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Control {
    async fn open(path: &Path) -> Control {
        let (read, write) = UnixStream::connect(path).await.unwrap().into_split();
        Control { lines: BufReader::new(read).lines(), write }
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    async fn ask(&mut self, request: Value) -> Value {
        self.write.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        self.next().await
    }

    async fn done(&mut self, request: Value) -> Value {
        let answer = self.ask(request.clone()).await;
        assert_eq!(answer["ok"], true, "{request} {answer}");
        answer
    }
}

fn path(directory: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = directory.path().join(name);
    let text = path.display().to_string();
    (path, text)
}

#[tokio::test]
async fn a_shell_runs_a_trunk_and_a_phone_by_their_control_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let (trunk_at, trunk_path) = path(&directory, "trunk");
    let (phone_at, phone_path) = path(&directory, "phone");
    let (secret_at, secret_path) = path(&directory, "password");
    std::fs::write(&secret_at, "secret\n").unwrap();
    let trunk =
        Program::start(&["trunk", "--account", "shop:secret", "--sha256", "--control", &trunk_path]).await;
    let arguments = ["phone", "--server", &trunk.address, "--user", "shop", "--password-file", &secret_path];
    let more = ["--tone", "440", "--control", &phone_path, "--answer"];
    let phone = Program::start(&[&arguments[..], &more].concat()).await;
    let (mut provider, mut shop) = (Control::open(&trunk_at).await, Control::open(&phone_at).await);
    let mut news = Control::open(&trunk_at).await;
    news.done(json!({"cmd": "subscribe"})).await;
    provider.done(json!({"cmd": "route", "number": "+1*", "ring": [{}], "tone": [620]})).await;
    let call = shop.done(json!({"cmd": "dial", "to": "+12065550199"})).await["call"].clone();
    shop.done(json!({"cmd": "wait_answered"})).await;
    shop.done(json!({"cmd": "wait_hears", "hz": 620, "call": call})).await;
    shop.done(json!({"cmd": "keys", "keys": "42"})).await;
    provider.done(json!({"cmd": "wait_keys", "keys": "42"})).await;
    provider.done(json!({"cmd": "wait_hears", "hz": 440})).await;
    shop.done(json!({"cmd": "hold"})).await;
    provider.done(json!({"cmd": "wait_silence"})).await;
    shop.done(json!({"cmd": "hangup"})).await;
    let end = provider.done(json!({"cmd": "wait_ended"})).await;
    assert_eq!(end["end"]["by"], "them");
    assert_eq!(news.next().await, json!({"event": "incoming", "call": 1, "number": "+12065550199"}));
    provider.done(json!({"cmd": "dial", "to": "+12065550100", "from": "+12065550101", "tone": [700]})).await;
    provider.done(json!({"cmd": "wait_hears", "hz": 440})).await;
    provider.done(json!({"cmd": "hangup"})).await;
    let state = provider.done(json!({"cmd": "state"})).await;
    assert_eq!((&state["counters"]["calls"], &state["bindings"][0]["user"]), (&json!(1), &json!("shop")));
    for wrong in
        [json!({"cmd": "sing"}), json!({"cmd": "route"}), json!({"cmd": "hold", "call": 99}), json!(1)]
    {
        assert_eq!(provider.ask(wrong.clone()).await["ok"], false, "{wrong}");
    }
    let refused = shop.ask(json!({"cmd": "dial", "to": "911"})).await;
    assert!(refused["error"].as_str().unwrap().contains("emergency"), "{refused}");
    phone.stop().await;
    assert_eq!(provider.done(json!({"cmd": "state"})).await["bindings"], json!([]));
    trunk.stop().await;
}

#[tokio::test]
async fn a_scenario_plays_its_steps_and_takes_an_emergency_call_where_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (scenario_at, scenario_path) = path(&directory, "scenario");
    let scenario = concat!(
        "# A centre that answers, presses a key and hangs up.\n",
        "{\"at_ms\":0,\"do\":{\"cmd\":\"emergency\",\"emergency\":\"answer\"}}\n",
        "{\"at_ms\":0,\"do\":{\"cmd\":\"route\",\"number\":\"911\",\"tone\":[620]}}\n",
        "{\"on\":\"answered\",\"number\":\"911\",\"after_ms\":100,\"do\":{\"cmd\":\"keys\",\"keys\":\"9\"}}\n",
        "{\"on\":\"answered\",\"number\":\"911\",\"after_ms\":900,\"do\":{\"cmd\":\"hangup\"}}\n",
    );
    std::fs::write(&scenario_at, scenario).unwrap();
    let trunk = Program::start(&["trunk", "--scenario", &scenario_path]).await;
    let call = |more: &[&'static str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hil"));
        command.args(["call", "--server", &trunk.address, "--user", "100", "--no-register", "--to", "911"]);
        command.args(more).stdout(Stdio::piped()).kill_on_drop(true);
        async move { tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap() }
    };
    let refused = call(&[]).await;
    assert!(!refused.status.success(), "the phone asks for leave too");
    let taken = call(&["--emergency", "--expect", "620"]).await;
    let line: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert!(taken.status.success(), "{line}");
    assert_eq!(line["end"]["status"], 200);
    trunk.stop().await;
}

#[tokio::test]
async fn a_scenario_with_a_bad_line_is_refused_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let (at, text) = path(&directory, "scenario");
    std::fs::write(&at, "\n{\"at_ms\":0,\"do\":{\"cmd\":\"state\"}}\nnonsense\n").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_hil")).args(["trunk", "--scenario", &text]).output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("line 3:"));
}
