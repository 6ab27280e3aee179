//! `backroom twilio` from outside: the program against a simulated account, as a technician types it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hil::twilio::{Number, Options, Twilio};
use serde_json::{Value, json};

const NUMBER: &str = "+12065550199";

struct Bench {
    twilio: Twilio,
    directory: tempfile::TempDir,
}

impl Bench {
    fn new(secret: &str) -> Self {
        let twilio = Twilio::start(Options::default()).unwrap();
        let number = Number {
            number: NUMBER.to_owned(),
            voice_url: "https://old.example/voice".to_owned(),
            ..Number::default()
        };
        let _set = twilio.set_number(number);
        let bench = Self { twilio, directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bench.path("store")).unwrap();
        std::fs::write(bench.path("secret"), secret).unwrap();
        let options = Options::default();
        let config = format!(
            "[storage]\npath = {:?}\n[[shop]]\nid = \"main\"\n[[line]]\nid = \"cloud\"\nkind = \"twilio\"\n\
             account = {:?}\napi_key = {:?}\napi_secret_file = {:?}\nnumber = {NUMBER:?}\napi_url = {:?}\n\
             studio_url = {:?}\n",
            bench.path("store"),
            options.account,
            options.api_key.unwrap().0,
            bench.path("secret"),
            bench.twilio.url(),
            bench.twilio.url(),
        );
        std::fs::write(bench.path("backroom.toml"), config).unwrap();
        bench
    }

    fn good() -> Self {
        Self::new(&Options::default().api_key.unwrap().1)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_backroom"))
            .arg("--config")
            .arg(self.path("backroom.toml"))
            .arg("twilio")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn good_run(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn without_a_terminal_the_plan_is_shown_and_nothing_is_done() {
    let bench = Bench::good();
    let output = bench.run(&["setup"]);
    assert!(!output.status.success());
    assert!(err(&output).contains("--yes"), "{}", err(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains("create credential list box-cloud"));
    assert_eq!(bench.twilio.sip_users(), []);
    assert!(!bench.path("cloud-voice.password").exists());
}

#[test]
fn setup_makes_a_line_that_the_configuration_takes_and_undo_gives_everything_back() {
    let bench = Bench::good();
    let told = bench.good_run(&["setup", "--yes", "--write"]);
    let place = bench.path("cloud-voice.password");
    let password = std::fs::read_to_string(&place).unwrap().trim().to_owned();
    assert_eq!(mode(&place), 0o600);
    assert!(!told.contains(&password));
    let [user] = &bench.twilio.sip_users()[..] else { panic!("{:?}", bench.twilio.sip_users()) };
    assert_eq!((user.username.as_str(), &user.password), ("box", &password));

    assert!(bench.good_run(&["setup", "--yes"]).contains("nothing to do"));
    let before = std::fs::read_to_string(bench.path("backroom.toml")).unwrap();
    let entry = std::fs::read_to_string(bench.path("cloud-voice.toml")).unwrap();
    std::fs::write(bench.path("backroom.toml"), format!("{before}{entry}")).unwrap();
    assert!(bench.good_run(&["setup", "--yes"]).contains("[[line]] cloud-voice of the configuration"));
    let told = bench.good_run(&["setup", "--undo", "--yes"]);
    assert!(told.contains("remove [[line]] cloud-voice"), "{told}");
    assert!(place.exists(), "the configuration names it");
    assert_eq!(bench.twilio.sip_users(), []);
    assert!(bench.good_run(&["setup", "--undo", "--yes"]).contains("nothing to undo"));
}

#[test]
fn wrong_credentials_are_one_clear_message() {
    let bench = Bench::new("wrong");
    for arguments in [&["setup", "--yes"][..], &["usage"], &["flows", "list"], &["voicemail"]] {
        let before = bench.twilio.stats().requests;
        let output = bench.run(arguments);
        assert!(!output.status.success());
        assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
        assert!(err(&output).contains("Twilio refuses the credentials of account AC"), "{}", err(&output));
        assert_eq!(bench.twilio.stats().requests, before + 1);
    }
}

#[test]
fn a_flow_is_pulled_changed_diffed_and_pushed_and_a_second_hand_is_noticed() {
    let bench = Bench::good();
    bench.good_run(&["setup", "--yes"]);
    assert!(bench.good_run(&["flows", "pull", "box-cloud"]).contains("is the shop's revision 1, as a draft"));
    assert!(bench.good_run(&["flows", "pull", "box-cloud"]).contains("is the shop's revision 1 already"));
    assert_eq!(bench.good_run(&["flows", "diff", "box-cloud"]), "");

    let file = bench.path("flow.json");
    let name = file.display().to_string();
    bench.good_run(&["flows", "pull", "box-cloud", "--out", &name]);
    let mut flow: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    flow["states"][4]["properties"]["say"] = json!("Good day");
    std::fs::write(&file, flow.to_string()).unwrap();
    let diff = bench.good_run(&["flows", "diff", "box-cloud", "--file", &name]);
    assert!(diff.starts_with("~ greeting/properties/say: "), "{diff}");
    assert_eq!(diff.lines().count(), 1);
    let push = ["flows", "push", "box-cloud", "--file", &name, "--message", "kinder", "--publish"];
    assert!(bench.good_run(&push).contains("is revision 2 of FW"));

    // Somebody else pulled nothing.
    std::fs::remove_file(bench.path("store").join("twilio-flows-main.json")).unwrap();
    let refused = bench.run(&push);
    assert!(!refused.status.success());
    assert!(err(&refused).contains("revision 2 (published) of box-cloud, and it was never pulled"));
    let list: Value = serde_json::from_str(&bench.good_run(&["flows", "list"])).unwrap();
    assert_eq!((&list["revision"], &list["pulled"]), (&json!(2), &Value::Null));
}
