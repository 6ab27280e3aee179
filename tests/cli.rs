//! The command line from outside: what a technician types, and what standard input filters answer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn backroom(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_backroom"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A configuration in `dir` with one shop and no line.
fn config(dir: &Path, more: &str) -> String {
    let path = dir.join("backroom.toml");
    let storage = dir.join("store");
    std::fs::write(&path, format!("[storage]\npath = {storage:?}\n[[shop]]\nid = \"main\"\n{more}")).unwrap();
    path.display().to_string()
}

#[test]
fn pdus_are_decoded_a_line_each_and_bad_ones_are_answered_too() {
    let input =
        "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07\nnot a pdu\n\n00\n";
    let output = backroom(&["pdu", "decode"], input);
    let answers = lines(&output);
    assert!(output.status.success());
    assert_eq!(answers.len(), 3, "{answers:#?}");
    assert_eq!(answers[0]["type"], "SMS-DELIVER");
    assert_eq!(answers[0]["text"], "How are you?");
    assert_eq!(answers[0]["number"], "+31641600986");
    assert!(answers[1]["error"].is_string());
    assert!(answers[2]["error"].is_string());
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    let text = "Grüße 😀 [{€}] ".repeat(12);
    let input = json!({ "number": "+12065550142", "text": text }).to_string();
    let encoded = lines(&backroom(&["pdu", "encode"], &format!("{input}\n")));
    let pdus: Vec<String> = encoded[0]["pdus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["pdu"].as_str().unwrap().to_owned())
        .collect();
    assert!(pdus.len() > 1);
    let decoded = lines(&backroom(&["pdu", "decode", "--mo"], &(pdus.join("\n") + "\n")));
    let joined: String = decoded.iter().map(|d| d["text"].as_str().unwrap()).collect();
    assert_eq!(joined, text);
    assert_eq!(decoded[0]["concat"]["total"], pdus.len());
}

#[test]
fn segments_are_counted_as_twilio_does() {
    let cases = [("Hello", "GSM-7", 1), ("€", "GSM-7", 1), ("😀", "UCS-2", 1)];
    let input: String = cases.iter().map(|(text, ..)| json!({ "text": text }).to_string() + "\n").collect();
    let answers = lines(&backroom(
        &["sms", "segments"],
        &(input + "{\"text\":\"" + &"a".repeat(161) + "\"}\nnonsense\n"),
    ));
    for ((_, encoding, segments), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["encoding"], *encoding);
        assert_eq!(answer["segments"], *segments);
    }
    assert_eq!(answers[3]["segments"], 2);
    assert!(answers[4]["error"].is_string());
}

#[test]
fn templates_are_rendered_a_line_each() {
    let input = r#"{"template":"{% for x in a %}{{ forloop.index }}.{{ x }} {% endfor %}","data":{"a":["b","c"]}}
{"template":"{% if %}","data":{}}
"#;
    let answers = lines(&backroom(&["liquid", "render"], input));
    assert_eq!(answers[0]["result"], "1.b 2.c ");
    assert!(answers[1]["error"].is_string(), "{answers:?}");
}

#[test]
fn a_flow_with_ten_faults_gets_ten_messages_with_paths() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flow.json");
    let state = |name: &str, kind: &str, transitions: Value, properties: Value| json!({ "name": name, "type": kind, "transitions": transitions, "properties": properties });
    let flow = json!({
        "description": "bad", "initial_state": "Begin", "flags": { "allow_concurrent_calls": "yes" },
        "states": [
            state("Trigger", "trigger", json!([{ "event": "incomingMessage", "next": "nowhere" }]), json!({})),
            state("ask", "send-and-wait-for-reply", json!([{ "event": "answered", "next": "ask" }]), json!({ "body": 7 })),
            state("ask", "send-message", json!([]), json!({})),
            state("choose", "split-based-on", json!([{ "event": "match", "next": "ask", "conditions": [
                { "friendly_name": "x", "arguments": ["{{a}}"], "type": "ends_with", "value": "1" }] }]), json!({ "input": "{{a}}" })),
            state("re", "split-based-on", json!([{ "event": "match", "next": "ask", "conditions": [
                { "friendly_name": "x", "arguments": ["{{a}}"], "type": "regex", "value": "(" }] }]), json!({ "input": "{{a}}" })),
            state("what", "send-fax", json!([]), json!({})),
            state("get", "make-http-request", json!([{ "event": "success", "next": "ask" }]), json!({ "method": "FETCH", "url": "{{ a" })),
        ],
    });
    std::fs::write(&file, flow.to_string()).unwrap();
    let output = backroom(&["flow", "lint", &file.display().to_string(), "--json"], "");
    assert!(!output.status.success());
    let report = &lines(&output)[0];
    let problems = report["problems"].as_array().unwrap();
    let errors: Vec<_> = problems.iter().filter(|p| p["severity"] == "error").collect();
    assert!(errors.len() >= 10, "{problems:#?}");
    assert!(errors.iter().all(|p| p["path"].as_str().unwrap().starts_with("#/")), "{errors:#?}");
}

#[test]
fn the_shipped_flows_have_no_errors() {
    let files: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/flow/lizzy"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .map(|p| p.display().to_string())
        .collect();
    assert!(files.len() >= 8, "{files:?}");
    let mut arguments = vec!["flow", "lint"];
    arguments.extend(files.iter().map(String::as_str));
    let output = backroom(&arguments, "");
    assert!(output.status.success(), "{}", out(&output));
}

#[test]
fn check_names_every_mistake_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path =
        config(dir.path(), "nme = \"x\"\n[shop.settings]\nsilence = -1\n[[line]]\nid = \"a b\"\nbaud = 1\n");
    let output = backroom(&["--config", &path, "check"], "");
    assert!(!output.status.success());
    let text = err(&output);
    for line in [5, 7, 9, 10] {
        assert!(text.contains(&format!("line {line}: ")), "{text}");
    }
    let good = config(dir.path(), "");
    let output = backroom(&["--config", &good, "check"], "");
    assert!(output.status.success(), "{}", err(&output));
}

#[test]
fn settings_are_set_read_exported_and_imported_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "[shop.settings]\nemoji = true\n");
    let run = |arguments: &[&str], input: &str| {
        let mut all = vec!["--config", path.as_str(), "settings"];
        all.extend(arguments);
        backroom(&all, input)
    };
    assert_eq!(out(&run(&["get", "silence"], "")), "900\n");
    assert!(run(&["set", "silence", "0.5"], "").status.success());
    assert!(run(&["set", "shop.name", "Green Valley"], "").status.success());
    assert!(run(&["set", "staff", "+12065550190, (206) 555-0191"], "").status.success());
    assert_eq!(out(&run(&["get", "silence"], "")), "0.5\n");
    assert_eq!(out(&run(&["get", "shop.name"], "")), "Green Valley\n");
    let exported: Value = serde_json::from_str(&out(&run(&["export"], ""))).unwrap();
    assert_eq!(exported["staff"], json!(["+12065550190", "+12065550191"]));
    let bad = run(&["import", "-"], r#"{"silence": 60, "silense": 1}"#);
    assert!(!bad.status.success());
    assert!(err(&bad).contains("did you mean `silence`"), "{}", err(&bad));
    assert_eq!(out(&run(&["get", "silence"], "")), "0.5\n", "all or none");
    let fixed = run(&["set", "emoji", "false"], "");
    assert!(err(&fixed).contains("fixed"), "{}", err(&fixed));
    assert!(run(&["import", "-"], r#"{"silence": 60}"#).status.success());
    assert_eq!(out(&run(&["get", "silence"], "")), "60\n");
    assert!(run(&["set", "silence", "default"], "").status.success());
    assert_eq!(out(&run(&["get", "silence"], "")), "900\n");
}

#[test]
fn sending_without_a_daemon_says_what_to_do_and_doctor_says_that_it_does_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "");
    let output = backroom(&["--config", &path, "sms", "send", "+12065550142", "hi"], "");
    assert!(!output.status.success());
    assert!(err(&output).contains("systemctl start backroom"), "{}", err(&output));
    let doctor = backroom(&["--config", &path, "doctor"], "");
    assert!(out(&doctor).contains("does not run"), "{}", out(&doctor));
}

#[test]
fn a_new_phone_gets_a_password_nobody_guesses_in_a_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "");
    let made = backroom(&["--config", &path, "phone", "new", "front", "--name", "Front desk"], "");
    assert!(made.status.success(), "{}", err(&made));
    let said = out(&made);
    let secret = dir.path().join("phone-front");
    let password = std::fs::read_to_string(&secret).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(password.len() >= 12 && said.contains(&password), "{said}");
    // What it prints is what the file takes.
    let entry: String = said
        .lines()
        .skip_while(|l| *l != "[[phone]]")
        .take_while(|l| !l.is_empty())
        .map(|l| format!("{l}\n"))
        .collect();
    let path = config(dir.path(), &entry);
    let checked = backroom(&["--config", &path, "check"], "");
    assert!(checked.status.success(), "{}", err(&checked));
    assert!(out(&checked).contains("1 phones: fine"));
    let again = backroom(&["--config", &path, "phone", "new", "front"], "");
    assert!(!again.status.success() && err(&again).contains("already"));
    let next = backroom(&["--config", &path, "phone", "new", "back"], "");
    assert!(out(&next).contains("extension = \"102\""), "{}", out(&next));
}

#[test]
fn the_dial_plan_in_force_is_shown_and_a_bad_one_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "k7qzmm2w9xtbvr4n").unwrap();
    let phone = format!("[[phone]]\nid = \"101\"\npassword_file = {:?}\n", dir.path().join("secret"));
    let path = config(dir.path(), &phone);
    let shown = backroom(&["--config", &path, "plan"], "");
    let plan: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&plan["extensions"][0]["number"], &plan["numbers"]["*43"]), (&json!("101"), &json!("echo")));
    let set = |value: &str| backroom(&["--config", &path, "settings", "set", "calls.plan", value], "");
    let refused = set(
        r#"{"extensions": [{"number": "101", "otherwise": {"group": "ghosts"}}], "lines": [{"id": "x"}]}"#,
    );
    assert!(!refused.status.success());
    assert!(err(&refused).contains("lines.0"), "{}", err(&refused));
    let refused = set(r#"{"extensions": [{"number": "101", "otherwise": {"group": "ghosts"}}]}"#);
    assert!(err(&refused).contains("there is no group \"ghosts\""), "{}", err(&refused));
    let taken = set(r#"{"extensions": [{"number": "101", "name": "Desk"}]}"#);
    assert!(taken.status.success(), "{}", err(&taken));
    let plan: Value = serde_json::from_slice(&backroom(&["--config", &path, "plan"], "").stdout).unwrap();
    assert_eq!(plan["extensions"][0]["name"], "Desk");
    // The technician may fix it in the file, as a table; its mistakes are the file's.
    let fixed = format!("[shop.settings.calls.plan]\noutside_prefix = \"x\"\ncountry = \"QQ\"\n{phone}");
    let checked = backroom(&["--config", &config(dir.path(), &fixed), "check"], "");
    let said = err(&checked);
    assert!(!checked.status.success() && said.contains("outside_prefix") && said.contains("QQ"), "{said}");
}

#[test]
fn doctor_says_what_calls_still_want() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "k7qzmm2w9xtbvr4n").unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let more = format!(
        "[[phone]]\nid = \"101\"\npassword_file = {:?}\n[sip]\nudp = [\"127.0.0.1:{port}\"]\ntcp = []\n",
        dir.path().join("secret")
    );
    let output = backroom(&["--config", &config(dir.path(), &more), "doctor"], "");
    let said = out(&output);
    assert!(!output.status.success());
    assert!(said.contains(&format!("WRONG udp 127.0.0.1:{port} cannot be used")), "{said}");
    assert!(said.contains("where help is to come") && said.contains("no help either"), "{said}");
}
