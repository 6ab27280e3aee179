//! The voice set-up from nothing to everything and back, whole and broken.

use std::path::{Path, PathBuf};

use hil::twilio::{Fault, Number, On, SipUser, Twilio};

use super::{NUMBER, account, desk, everything, fault_at, line};
use crate::config::Secret;
use crate::twilio::desk::Desk;
use crate::twilio::setup::{self, Obstacle, Record, SetupError, Wanted, flow};

const PASSWORD: &str = "Correct7HorseBattery";

struct Bench {
    twilio: Twilio,
    desk: Desk,
    path: PathBuf,
    _storage: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let twilio = account();
        let number = Number {
            number: NUMBER.to_owned(),
            voice_url: "https://old.example/voice".to_owned(),
            ..Number::default()
        };
        let _set = twilio.set_number(number);
        let path = Record::path(storage.path(), "twilio");
        Self { desk: desk(&twilio), twilio, path, _storage: storage }
    }

    fn wanted(&self) -> Wanted {
        let line = line(&self.twilio);
        Wanted {
            name: "box-main".to_owned(),
            domain: setup::domain_name("main", &line.account),
            account: line.account,
            number: line.number,
            greeting: flow::GREETING.to_owned(),
            password_kept: true,
        }
    }

    fn record(&self) -> Record {
        Record::load(&self.path).unwrap()
    }

    /// One run of the command; the words of the steps that it took.
    async fn set_up(&self) -> Result<Vec<String>, SetupError> {
        let (wanted, mut record) = (self.wanted(), self.record());
        let failed = |source| SetupError::Step { step: "look".to_owned(), source };
        let existing = setup::look(&self.desk, &wanted, &record).await.map_err(failed)?;
        let plan = setup::plan(&wanted, &existing, &mut record).unwrap();
        let mut taken = Vec::new();
        let tell = |words: &str| taken.push(words.to_owned());
        let password = Secret::new(PASSWORD);
        setup::apply(&self.desk, &wanted, &plan, &mut record, &self.path, &password, tell).await?;
        Ok(taken)
    }

    async fn undo(&self) -> Result<Vec<String>, SetupError> {
        let (wanted, mut record) = (self.wanted(), self.record());
        let failed = |source| SetupError::Step { step: "look".to_owned(), source };
        let existing = setup::look(&self.desk, &wanted, &record).await.map_err(failed)?;
        let (steps, notes) = setup::undo(&existing, &mut record);
        setup::apply_undo(&self.desk, &steps, &mut record, &self.path, |_| {}).await?;
        Ok(notes)
    }

    async fn is_whole(&self) {
        let wanted = self.wanted();
        let there = setup::look(&self.desk, &wanted, &self.record()).await.unwrap();
        let counts = [
            &there.lists,
            &there.credentials,
            &there.domains,
            &there.registrations,
            &there.calls,
            &there.flows,
        ]
        .map(Vec::len);
        assert_eq!(counts, [1; 6]);
        let flow = &there.flows[0].url;
        assert_eq!(&there.domains[0].url, flow);
        assert_eq!(&there.number.unwrap().fields["VoiceUrl"], flow);
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_whole_run_lets_the_box_register_and_another_run_does_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.set_up().await.unwrap().len(), 7);
    bench.is_whole().await;
    let user =
        SipUser { domain: bench.wanted().domain, username: "box".to_owned(), password: PASSWORD.to_owned() };
    assert_eq!(bench.twilio.sip_users(), [user]);
    assert_eq!(mode(&bench.path), 0o600);
    assert_eq!(bench.set_up().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn undo_gives_everything_back_as_it_was() {
    let bench = Bench::new();
    let before = everything(&bench.desk).await;
    bench.set_up().await.unwrap();
    assert_ne!(everything(&bench.desk).await, before);
    assert_eq!(bench.undo().await.unwrap(), [""; 0]);
    assert_eq!(everything(&bench.desk).await, before);
    assert!(!bench.path.exists());
}

#[tokio::test]
async fn a_run_that_breaks_at_any_request_goes_on_where_it_stopped() {
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::CommitThen500, Fault::Error500] {
        for at in 1..=9 {
            let bench = Bench::new();
            let before = everything(&bench.desk).await;
            bench.twilio.set_faults(&fault_at(at, On::Writes, fault));
            // Eight requests write: the ninth never comes.
            assert_eq!(bench.set_up().await.is_err(), at <= 8, "{fault:?} at {at}");
            bench.twilio.set_faults(&[]);
            bench.set_up().await.unwrap();
            bench.is_whole().await;
            assert_eq!(bench.undo().await.unwrap(), [""; 0], "{fault:?} at {at}");
            assert_eq!(everything(&bench.desk).await, before, "{fault:?} at {at}");
        }
    }
}

#[tokio::test]
async fn undo_of_a_broken_run_and_a_broken_undo_leave_nothing_behind() {
    for at in 1..=8 {
        let bench = Bench::new();
        let before = everything(&bench.desk).await;
        bench.twilio.set_faults(&fault_at(at, On::Writes, Fault::LostAnswer));
        bench.set_up().await.unwrap_err();
        bench.twilio.set_faults(&fault_at(2, On::Writes, Fault::LostAnswer));
        if bench.undo().await.is_err() {
            bench.twilio.set_faults(&[]);
            bench.undo().await.unwrap();
        }
        assert_eq!(everything(&bench.desk).await, before, "broken at {at}");
        assert!(!bench.path.exists());
    }
}

#[tokio::test]
async fn what_other_people_made_is_neither_used_nor_removed() {
    let bench = Bench::new();
    bench.desk.post("/SIP/CredentialLists.json", &[("FriendlyName", "office")]).await.unwrap();
    bench.desk.post("/SIP/Domains.json", &[("DomainName", "office-1.sip.twilio.com")]).await.unwrap();
    let before = everything(&bench.desk).await;
    bench.set_up().await.unwrap();
    bench.undo().await.unwrap();
    assert_eq!(everything(&bench.desk).await, before);
    bench.desk.post("/SIP/CredentialLists.json", &[("FriendlyName", "box-main")]).await.unwrap();
    let (wanted, mut record) = (bench.wanted(), Record::default());
    let existing = setup::look(&bench.desk, &wanted, &record).await.unwrap();
    let obstacles = setup::plan(&wanted, &existing, &mut record).unwrap_err();
    assert!(matches!(&obstacles[..], [Obstacle::Taken { what: "credential list", .. }]), "{obstacles:?}");
}

#[tokio::test]
async fn a_domain_that_another_account_has_is_said_at_its_step_and_nothing_of_it_is_ours() {
    let bench = Bench::new();
    let domain = bench.wanted().domain;
    bench.twilio.set(hil::twilio::Settings { taken_domains: vec![domain], ..bench.twilio.settings() });
    let error = bench.set_up().await.unwrap_err().to_string();
    assert!(error.starts_with("create SIP domain shop-main-000001.sip.twilio.com"), "{error}");
    assert_eq!(bench.record().made.len(), 3);
}

#[tokio::test]
async fn a_number_that_was_moved_after_the_setup_is_left_where_it_is() {
    let bench = Bench::new();
    bench.set_up().await.unwrap();
    let number =
        bench.desk.list("/IncomingPhoneNumbers.json", &[("PhoneNumber", NUMBER)], "incoming_phone_numbers");
    let sid = number.await.unwrap()[0]["sid"].as_str().unwrap().to_owned();
    let path = format!("/IncomingPhoneNumbers/{sid}.json");
    bench.desk.post(&path, &[("VoiceUrl", "https://new.example/voice")]).await.unwrap();
    assert_eq!(bench.undo().await.unwrap(), ["the number's VoiceUrl was changed since: it is left"]);
    assert_eq!(bench.desk.get(&path, &[]).await.unwrap()["voice_url"], "https://new.example/voice");
}
