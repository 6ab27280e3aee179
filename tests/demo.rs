//! `backroom demo` as people and scripts start it: a conversation through a pipe, from a file, with the dealer away,
//! with the plug pulled.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn demo(arguments: &[&str], input: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_backroom"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "the demonstration leaves something behind: {left:?}");
    output
}

/// What was shown, when all went well.
fn shown(arguments: &[&str], input: &str) -> String {
    let output = demo(arguments, input);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(!text.contains('\x1b'), "colours are for terminals: {text}");
    text
}

/// The texts are shown in this order.
fn assert_in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for one in wanted {
        let Some((_, after)) = rest.split_once(one) else {
            panic!("{one:?} does not come, or comes too early, in:\n{text}")
        };
        rest = after;
    }
}

const SERVICE: &str = "Hi\n2\n1\nEngine won't start, makes clicking noise\n";

#[test]
fn a_piped_conversation_schedules_a_service_with_a_part_ordered_on_the_way() {
    let text = shown(&[], &format!("{SERVICE}1\n3\n2\n1\n2\n"));
    assert_in_order(
        &text,
        &[
            "2. Schedule Service",
            "1. Honda HRX217",
            "Please describe the problem",
            "┃ Engine won't start, makes clicking noise",
            "Would you like to order parts for this service",
            "3. Spark plug",
            "Enter quantity",
            "Total: $9.00",
            "Parts Order Confirmed!",
            "Returning to service scheduling...",
            "How would you like to drop off?",
            "Your service order has been submitted.",
            "Service Confirmed!",
            "Engine won't start, makes clicking noise",
            "Pay Now:",
        ],
    );
    assert_eq!(text.matches("Order #").count(), 2, "{text}");
}

#[test]
fn without_input_a_whole_conversation_is_shown_and_the_end_is_good() {
    for (arguments, input) in [(&[][..], ""), (&[][..], "\n\n"), (&["--play"][..], "this is not read\n")] {
        let text = shown(arguments, input);
        assert_in_order(
            &text,
            &["Parts Order Confirmed!", "has no power", "has power again", "Service Confirmed!"],
        );
    }
}

#[test]
fn with_the_dealer_away_known_customers_are_known_and_orders_are_confirmed_when_he_is_back() {
    let text = shown(&["--offline"], &format!("{SERVICE}2\n2\n/online\n"));
    assert_in_order(
        &text,
        &[
            "The dealer's system is DOWN.",
            "1. Honda HRX217",
            "Our office system",
            "┃ 2",
            "can be reached again",
            "Service Confirmed!",
        ],
    );
    assert_eq!(text.matches("Service Confirmed!").count(), 1, "{text}");
}

#[test]
fn a_text_written_while_the_box_is_dark_is_answered_once_after_it_has_power_again() {
    let text = shown(&[], "Hi\n/cut 3\n/cut\nMENU\n");
    assert_in_order(&text, &["┃ Hi", "has no power", "┃ 3", "has power again", "John Deere X350", "┃ MENU"]);
    assert_eq!(text.matches("1. Troubleshoot Equipment").count(), 2, "{text}");
    assert!(!text.contains("Something was lost"), "{text}");
}

#[test]
fn staff_answer_a_customer_who_asked_for_people() {
    let input = "Hi\n7\n1\nIs Pat in?\n/staff\n/staff #1 Until five.\n/staff #1 DONE\n/as Priya\nHi\n";
    let text = shown(&[], input);
    assert_in_order(&text, &["to Staff", "Is Pat in?", "│ Until five.", "You are Priya Raman now."]);
}

#[test]
fn a_stranger_is_not_a_customer_and_what_one_can_do_is_listed() {
    let text = shown(
        &["--shop-name", "Hansen \"Outdoor\" Power"],
        "/as +15005550006\nHi\n/customers\n/nonsense\n/quit\nHi\n",
    );
    assert_in_order(
        &text,
        &[
            "Hansen \"Outdoor\" Power can be texted",
            "Welcome to Hansen \"Outdoor\" Power!",
            "could not find your phone number",
            "12. +12065550112",
            "There is no /nonsense.",
        ],
    );
    assert_eq!(text.matches("┃ Hi").count(), 1, "nothing is said after /quit: {text}");
}

#[test]
fn a_script_is_read_from_a_file_and_the_box_goes_on_from_a_directory_that_was_kept() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("script");
    let kept = directory.path().join("kept");
    let (script, kept) = (script.to_str().unwrap(), kept.to_str().unwrap());
    std::fs::write(script, SERVICE).unwrap();
    let first = shown(&["--keep", kept, "--script", script], "");
    assert!(first.contains("Would you like to order parts"), "{first}");
    let second = shown(&["--keep", kept], "2\n");
    assert!(second.contains("How would you like to drop off?"), "{second}");
}

#[test]
fn what_cannot_be_is_said_and_nothing_starts() {
    let output = demo(&["--script", "/nonexistent"], "");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent cannot be read"));
    for arguments in [&["--silence", "-3"][..], &["--silence", "soon"], &["--play", "--script", "x"]] {
        assert!(!demo(arguments, "").status.success(), "{arguments:?}");
    }
}

/// A demonstration that goes on until it is dropped, and what it says of its telephones.
struct Phones {
    child: std::process::Child,
    /// Open, though nobody reads what comes later: it fits into the pipe.
    _output: std::io::BufReader<std::process::ChildStdout>,
    _directory: tempfile::TempDir,
    server: std::net::SocketAddr,
    passwords: Vec<(String, String)>,
}

impl Drop for Phones {
    fn drop(&mut self) {
        // Its standard input ends, and it with it.
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn phones(arguments: &[&str]) -> Phones {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_backroom"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("You are ") {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    let server = words.iter().find_map(|w| w.parse().ok()).unwrap_or_else(|| panic!("no server in {said}"));
    let users = words.windows(4).filter(|w| (w[0], w[2]) == ("user", "password"));
    let passwords = users.map(|w| (w[1].trim_matches(',').to_owned(), w[3].to_owned())).collect();
    Phones { child, _output: output, _directory: directory, server, passwords }
}

#[tokio::test]
async fn two_telephones_with_the_printed_passwords_call_each_other_hear_themselves_and_a_tone() {
    use hil::phone::{Auto, Phone, PhoneConfig};
    let patience = std::time::Duration::from_secs(10);
    let demo = phones(&[]);
    assert!(demo.server.ip().is_loopback(), "the network is let in only when asked for");
    let mut started = Vec::new();
    for (user, password) in &demo.passwords {
        let phone = Phone::start(PhoneConfig::new(demo.server, user, password)).await.unwrap();
        phone.register(patience).await.unwrap();
        started.push(phone);
    }
    let [front, workshop] = started.as_slice() else { panic!("two telephones") };
    let echo = front.call("*43").await.unwrap();
    echo.answered(patience).await.unwrap();
    echo.play(&[440.0]);
    echo.wait_hears(440.0, patience).await.unwrap();
    echo.hangup(patience).await.unwrap();
    let tone = front.call("*44").await.unwrap();
    tone.answered(patience).await.unwrap();
    tone.wait_hears(1004.0, patience).await.unwrap();
    tone.hangup(patience).await.unwrap();
    workshop.set_auto(Auto::Answer);
    let call = front.call("102").await.unwrap();
    call.answered(patience).await.unwrap();
    let other = workshop.incoming(patience).await.unwrap();
    call.play(&[440.0]);
    other.play(&[620.0]);
    other.wait_hears(440.0, patience).await.unwrap();
    call.wait_hears(620.0, patience).await.unwrap();
    other.hangup(patience).await.unwrap();
    call.ended(patience).await.unwrap();
    let stranger = PhoneConfig::new(demo.server, "101", "k7qzmm2w9xtbvr4n");
    assert!(Phone::start(stranger).await.unwrap().register(patience).await.is_err());
}
