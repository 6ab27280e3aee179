//! Flows pulled and pushed, and two people who change one at once.

use serde_json::{Value, json};

use super::{account, desk};
use crate::twilio::desk::Desk;
use crate::twilio::studio::{self, Push, StudioError};

fn flow(say: &str) -> Value {
    json!({
        "description": "Menu",
        "initial_state": "Trigger",
        "flags": {"allow_concurrent_calls": true},
        "states": [
            {"name": "Trigger", "type": "trigger", "properties": {"offset": {"x": 0, "y": 0}},
             "transitions": [{"event": "incomingCall", "next": "hello"}]},
            {"name": "hello", "type": "say-play", "properties": {"say": say, "loop": 1},
             "transitions": [{"event": "audioComplete"}]},
        ],
    })
}

async fn made(desk: &Desk, say: &str) -> studio::Head {
    let definition = flow(say);
    studio::push(desk, &push(&definition, None)).await.unwrap()
}

fn push<'a>(definition: &'a Value, pulled: Option<(&'a str, u32)>) -> Push<'a> {
    Push { name: "Menu", definition, message: "a change", publish: false, pulled, force: false }
}

#[tokio::test]
async fn what_is_pushed_is_what_is_fetched() {
    let twilio = account();
    let desk = desk(&twilio);
    let head = made(&desk, "Hello").await;
    assert_eq!((head.revision, head.status.as_str(), head.message.as_str()), (1, "draft", "a change"));
    let fetched = studio::fetch(&desk, "Menu").await.unwrap();
    assert_eq!(fetched.definition, flow("Hello"));
    assert_eq!(studio::diff(&fetched.definition, &flow("Hello")), [""; 0]);
    assert_eq!(studio::fetch(&desk, &head.sid).await.unwrap(), fetched);
}

#[tokio::test]
async fn a_push_over_a_revision_that_was_not_pulled_is_refused_and_changes_nothing() {
    let twilio = account();
    let desk = desk(&twilio);
    let head = made(&desk, "Hello").await;
    let seen = Some((head.sid.as_str(), 1));
    let theirs = flow("Their change");
    studio::push(&desk, &push(&theirs, seen)).await.unwrap();

    let ours = flow("Our change");
    for pulled in [seen, None, Some(("FW00000000000000000000000000000009", 2))] {
        let error = studio::push(&desk, &push(&ours, pulled)).await.unwrap_err();
        assert!(matches!(&error, StudioError::Moved { there: 2, .. }), "{error}");
    }
    assert_eq!(studio::fetch(&desk, "Menu").await.unwrap().definition, theirs);

    let forced = Push { force: true, publish: true, ..push(&ours, seen) };
    let head = studio::push(&desk, &forced).await.unwrap();
    assert_eq!((head.revision, head.status.as_str()), (3, "published"));
    assert_eq!(studio::fetch(&desk, "Menu").await.unwrap().definition, ours);
}

#[tokio::test]
async fn what_studio_does_not_take_is_told_with_its_paths_and_not_stored() {
    let twilio = account();
    let desk = desk(&twilio);
    let mut bad = flow("Hello");
    bad["states"][1]["transitions"][0]["next"] = json!("nowhere");
    let error = studio::push(&desk, &push(&bad, None)).await.unwrap_err();
    let StudioError::Invalid(problems) = &error else { panic!("{error}") };
    assert!(problems[0].contains("#/states/1"), "{problems:?}");
    assert_eq!(studio::list(&desk).await.unwrap(), []);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_answered_with_those_that_there_are() {
    let twilio = account();
    let desk = desk(&twilio);
    made(&desk, "Hello").await;
    let error = studio::fetch(&desk, "Parts").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no flow Parts in the cloud; there are: Menu");
}
