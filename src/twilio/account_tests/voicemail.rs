//! Voicemail that was left in the cloud, fetched once.

use std::cell::RefCell;
use std::time::Duration;

use hil::twilio::{Fault, On, Twilio};
use tokio::sync::watch;

use super::{NUMBER, OTHER, account, desk, fault_at, line};
use crate::twilio::desk::Desk;
use crate::twilio::recordings::{self, Keep, LookError, Voicemail, directory, kept};
use crate::types::{ShopId, Wall};

fn now() -> Wall {
    Wall(jiff::Timestamp::now().as_millisecond())
}

fn keep(storage: &tempfile::TempDir, twilio: &Twilio) -> Keep {
    let line = line(twilio);
    Keep::new(storage.path(), line.id, line.number, None)
}

/// A call with a voicemail of so many seconds at its end.
async fn left(twilio: &Twilio, desk: &Desk, from: &str, to: &str, seconds: u32) -> String {
    let form = [("To", to), ("From", from), ("Twiml", "<Response/>")];
    let call = desk.post("/Calls.json", &form).await.unwrap();
    twilio.record(call["sid"].as_str().unwrap(), seconds)
}

fn sids(all: &[Voicemail]) -> Vec<&str> {
    all.iter().map(|one| one.sid.as_str()).collect()
}

#[tokio::test]
async fn a_voicemail_is_fetched_once_and_what_is_not_ours_is_left() {
    let (storage, twilio) = (tempfile::tempdir().unwrap(), account());
    let (desk, keep) = (desk(&twilio), keep(&storage, &twilio));
    let ours = left(&twilio, &desk, OTHER, NUMBER, 2).await;
    let theirs = left(&twilio, &desk, NUMBER, OTHER, 3).await;

    let new = keep.look(&desk, now()).await.unwrap();
    assert_eq!(sids(&new), [ours.as_str()]);
    assert_eq!((new[0].from.as_str(), new[0].seconds, new[0].told), (OTHER, 2, false));
    assert_eq!(recordings::words(&new[0]), format!("Voicemail from {OTHER}, 2 s, kept as {ours}.wav."));
    let wav = std::fs::read(directory(storage.path()).join(format!("{ours}.wav"))).unwrap();
    assert_eq!(wav.len(), 44 + 2 * 16_000);
    assert!(!directory(storage.path()).join(format!("{theirs}.wav")).exists());

    let before = twilio.stats().requests;
    assert_eq!(keep.look(&desk, now()).await.unwrap(), []);
    assert_eq!(twilio.stats().requests, before + 1, "neither is asked for again");
    assert_eq!(sids(&kept(storage.path()).unwrap()), [ours.as_str()]);
}

#[tokio::test]
async fn a_look_that_breaks_off_is_made_up_for_by_the_next() {
    let (storage, twilio) = (tempfile::tempdir().unwrap(), account());
    let (desk, keep) = (desk(&twilio), keep(&storage, &twilio));
    let first = left(&twilio, &desk, OTHER, NUMBER, 1).await;
    let second = left(&twilio, &desk, OTHER, NUMBER, 1).await;
    // List, call, file of the newer one; then the older one's call is cut.
    twilio.set_faults(&fault_at(4, On::Reads, Fault::LostRequest));
    assert!(matches!(keep.look(&desk, now()).await, Err(LookError::Desk(_))));
    assert_eq!(sids(&kept(storage.path()).unwrap()), [second.as_str()]);
    assert_eq!(sids(&keep.look(&desk, now()).await.unwrap()), [first.as_str()]);
}

#[tokio::test]
async fn the_staff_are_told_of_each_until_it_is_safe_and_never_again() {
    let (storage, twilio) = (tempfile::tempdir().unwrap(), account());
    let desk_now = desk(&twilio);
    let sid = left(&twilio, &desk_now, OTHER, NUMBER, 1).await;
    for (safe, times) in [(false, 1), (true, 1), (true, 0)] {
        let told = RefCell::new(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let tell = |voicemail: Voicemail| {
            told.borrow_mut().push(voicemail.sid);
            async move { safe }
        };
        let keep = keep(&storage, &twilio);
        let shop = ShopId("main".to_owned());
        let alarmed = || async { false };
        let watching = recordings::run(desk(&twilio), keep, shop, now, tell, alarmed, stopped);
        // The task looks at once; it is stopped when it has looked, or while it waits for the next look.
        let looks = |twilio: &Twilio| twilio.stats().by_resource.get("GET Recordings").copied().unwrap_or(0);
        let before = looks(&twilio);
        let stopping = async {
            while looks(&twilio) == before || told.borrow().len() < times {
                tokio::task::yield_now().await;
            }
            stop.send_replace(true);
        };
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(watching, stopping) })
            .await
            .unwrap();
        assert_eq!(*told.borrow(), vec![sid.clone(); times]);
    }
}
