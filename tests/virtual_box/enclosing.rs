//! What goes with a text or in its place: files by the line that carries them, templates, words outside WhatsApp's window.

use std::time::Duration;

use backroom::config::{TemplateConfig, TemplatePurpose};
use backroom::daemon::clock::Clock;
use backroom::daemon::core::{Command, ConsentAsk, Enclosure, Files, LineSetup};
use backroom::messaging::ledger::{Act, Origin, Purpose, Topic};
use backroom::store::{FlowRow, MediaState, MessageRow, MessageStatus, Op, Transaction};
use backroom::types::{Channel, Delivery, Enclosed, LineEvent, LineId, MessageId, OwnFile, ShopId, Wall};
use serde_json::{Map, Value, json};

use super::conversations::JANE;
use super::harness::*;
use super::upstream_sim::{Fate, Taken};

const LINK: &str = "https://shop.example/mower.jpg";
const READY: &str = "HX00000000000000000000000000000001";
const UPDATE: &str = "HX00000000000000000000000000000002";
const SALE: &str = "HX00000000000000000000000000000003";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn main_shop() -> ShopId {
    ShopId::from("main")
}

fn sim() -> LineId {
    LineId::from("main-sim")
}

fn up() -> LineId {
    LineId::from("main-up")
}

fn wa() -> LineId {
    LineId::from("main-wa")
}

fn templates() -> Vec<TemplateConfig> {
    let template = |id: &str, sid: &str, purpose, variables: &[&str]| TemplateConfig {
        id: id.into(),
        shop: main_shop(),
        sid: sid.into(),
        language: None,
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        purpose,
    };
    vec![
        template("ready", READY, TemplatePurpose::Utility, &["name", "order"]),
        template("update", UPDATE, TemplatePurpose::Utility, &["shop", "text"]),
        template("sale", SALE, TemplatePurpose::Marketing, &[]),
    ]
}

/// A modem, a number at an upstream that fetches so much, and templates.
async fn both(files: Files) -> VirtualBox {
    let mut plan = shop("main");
    plan.upstreams = vec![LineSetup { files, ..upstream("main-up", Channel::Sms) }];
    plan.templates = templates();
    VirtualBox::new(vec![plan]).await
}

/// A number on WhatsApp alone, with or without a template for what is said outside the window.
async fn on_whatsapp(outside: bool) -> VirtualBox {
    let outside = outside.then(|| templates().swap_remove(1));
    let mut plan = shop_upstream("main");
    plan.line = wa();
    plan.upstreams = vec![LineSetup { outside, ..upstream("main-wa", Channel::WhatsApp) }];
    plan.templates = templates();
    VirtualBox::new(vec![plan]).await
}

fn photo() -> OwnFile {
    OwnFile { name: "mower.jpg".into(), bytes: b"\xff\xd8\xff\xe0 a mower".to_vec() }
}

fn own() -> Enclosure {
    Enclosure { files: vec![photo()], ..Enclosure::default() }
}

fn link() -> Enclosure {
    Enclosure { links: vec![LINK.into()], ..Enclosure::default() }
}

fn template(name: &str, variables: Value) -> Enclosure {
    let variables = variables.as_object().cloned().unwrap();
    Enclosure { template: Some(name.into()), variables, ..Enclosure::default() }
}

async fn send(b: &mut VirtualBox, to: &str, body: &str, with: Enclosure) -> Result<String, String> {
    let (why, by) = (String::new(), "owner".to_owned());
    let (to, body, with) = (to.to_owned(), body.to_owned(), Box::new(with));
    let purpose = Purpose::Informational;
    let sent = b.ask(Command::SendFor { shop: main_shop(), to, body, purpose, why, by, with }).await?;
    Ok(sent["id"].as_str().unwrap().to_owned())
}

async fn row(b: &VirtualBox, id: &str) -> MessageRow {
    let id = MessageId::from(id);
    b.store().read_after_writes(move |r| r.message(&main_shop(), &id)).await.unwrap().unwrap().0
}

fn taken(b: &VirtualBox, line: &LineId) -> Vec<Taken> {
    b.upstreams[line].taken.clone()
}

async fn writes_by_whatsapp(b: &mut VirtualBox, body: &str) {
    let now = b.clock.now();
    let mut text = b.upstreams.get_mut(&wa()).unwrap().arrive(JANE, body, now);
    text.channel = Channel::WhatsApp;
    b.tell(&wa(), LineEvent::Text(Box::new(text)));
    b.pump().await;
}

/// A flow that begins with this widget.
async fn publish(b: &mut VirtualBox, properties: Value) {
    let offset = json!({ "x": 0, "y": 0 });
    let mut all = json!({ "offset": offset, "service": "", "channel": "", "from": "{{flow.channel.address}}",
                          "to": "{{contact.channel.address}}" });
    for (name, value) in properties.as_object().unwrap() {
        all[name] = value.clone();
    }
    let definition = json!({
        "description": "shows", "initial_state": "Trigger", "flags": { "allow_concurrent_calls": true },
        "states": [
            { "name": "Trigger", "type": "trigger", "properties": { "offset": offset }, "transitions": [
                { "event": "incomingMessage", "next": "show" }, { "event": "incomingCall" },
                { "event": "incomingConversationMessage" }, { "event": "incomingRequest" },
                { "event": "incomingParent" } ] },
            { "name": "show", "type": "send-message", "properties": all,
              "transitions": [ { "event": "sent" }, { "event": "failed" } ] },
        ],
    });
    let row = FlowRow {
        shop: main_shop(),
        name: "Show".into(),
        sid: "FWshow".into(),
        revision: 1,
        definition: definition.to_string(),
        published: true,
        by: "owner".into(),
        wall: Wall(BEGIN),
    };
    b.store().submit(Transaction { ops: vec![Op::PutFlow(row)] }).unwrap();
    b.plan().settings.insert("flows.main".into(), json!("Show"));
    b.power_cut().await;
    b.power_back(seconds(5), true).await;
}

#[tokio::test]
async fn a_file_goes_by_the_line_that_carries_it_and_the_conversation_stays_where_it_was() {
    let mut b = both(Files::Own).await;
    b.text(JANE, "HELP").await;
    b.one(JANE);
    let id = send(&mut b, JANE, "Your mower", own()).await.unwrap();
    b.one(JANE);
    let [picture] = &taken(&b, &up())[..] else { panic!("one") };
    assert_eq!((picture.body.as_str(), &picture.media[..]), ("Your mower", &[Enclosed::Kept(1)][..]));
    let sent = row(&b, &id).await;
    assert_eq!((sent.carriage.media, sent.line), (1, Some(up())));
    let choice = sent.carriage.choice.unwrap();
    assert!(choice.contains("a modem carries no files"), "{choice}");
    let (store, message) = (b.store(), MessageId::from(id.as_str()));
    let kept = store
        .read(move |r| Ok((r.media(&main_shop(), &message)?, r.media_bytes(&main_shop(), &message, 1)?)));
    let (rows, bytes) = kept.await.unwrap();
    assert_eq!((rows[0].state, rows[0].url.as_str()), (MediaState::Kept, "mower.jpg"));
    assert_eq!((rows[0].content_type.as_str(), bytes), ("image/jpeg", Some(photo().bytes)));
    send(&mut b, JANE, "Like it?", Enclosure::default()).await.unwrap();
    b.one(JANE);
    assert_eq!(b.order_of_texts().last().unwrap().line, sim(), "the number that she knows");
    // Without words too.
    send(&mut b, JANE, " ", link()).await.unwrap();
    assert_eq!(b.one(JANE), "");
    assert_eq!(taken(&b, &up())[1].media, [Enclosed::Link(LINK.into())]);
}

#[tokio::test]
async fn a_file_that_no_line_can_carry_is_refused_with_what_to_do() {
    let mut b = VirtualBox::one_shop().await;
    let refused = send(&mut b, JANE, "x", link()).await.unwrap_err();
    assert_eq!(refused, "not sent: main-sim: a modem carries no files");
    let mut b = both(Files::Links).await;
    let refused = send(&mut b, JANE, "x", own()).await.unwrap_err();
    assert!(refused.contains("`public_url`") && refused.contains("--media-url"), "{refused}");
    send(&mut b, JANE, "x", link()).await.unwrap();
    b.one(JANE);
    for (with, why) in [
        (Enclosure { links: vec!["http://shop.example/a.jpg".into()], ..link() }, "must begin with https://"),
        (Enclosure { links: vec![LINK.into(); 11], ..link() }, "11 files"),
        (template("ready", json!({ "name": "Jane", "order": 1 })), "says everything itself"),
    ] {
        let refused = send(&mut b, JANE, "x", with).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    assert!(send(&mut b, JANE, " ", Enclosure::default()).await.unwrap_err().contains("empty"));
}

#[tokio::test]
async fn a_file_waits_for_its_line_through_a_power_cut_and_does_not_go_by_a_modem() {
    let mut b = both(Files::Own).await;
    b.unplug(&up());
    b.pump().await;
    let id = send(&mut b, JANE, "Your mower", own()).await.unwrap();
    b.advance(seconds(120)).await;
    assert_eq!(b.heard(JANE), [""; 0]);
    b.power_cut().await;
    b.power_back(seconds(30), true).await;
    b.advance(seconds(120)).await;
    assert_eq!(row(&b, &id).await.status, MessageStatus::Queued);
    b.plug_in(&up());
    b.pump().await;
    b.one(JANE);
    assert_eq!(taken(&b, &up())[0].media, [Enclosed::Kept(1)]);
}

#[tokio::test]
async fn a_flows_picture_becomes_its_address_where_nothing_carries_it() {
    let mut b = both(Files::Own).await;
    publish(&mut b, json!({ "body": "Your mower", "media_url": LINK })).await;
    b.text(JANE, "hi").await;
    assert_eq!(b.one(JANE), "Your mower");
    assert_eq!(taken(&b, &up())[0].media, [Enclosed::Link(LINK.into())]);
    // The line that could is away: words are better than silence.
    b.unplug(&up());
    b.pump().await;
    b.text(JANE, "hi again").await;
    assert_eq!(b.one(JANE), format!("Your mower\n{LINK}"));
    assert_eq!(b.order_of_texts().last().unwrap().line, sim());
    let mut b = VirtualBox::one_shop().await;
    publish(&mut b, json!({ "body": "", "media_url": LINK })).await;
    b.text(JANE, "hi").await;
    assert_eq!(b.one(JANE), LINK);
}

#[tokio::test]
async fn a_text_with_a_file_whose_answer_was_lost_is_found_and_not_sent_twice() {
    let mut b = both(Files::Own).await;
    for fate in [Fate::AnswerLost, Fate::RequestLost] {
        b.upstreams.get_mut(&up()).unwrap().fates.push_back(fate);
    }
    // The same words, with a file and without: each is its own.
    send(&mut b, JANE, "Your mower", own()).await.unwrap();
    b.advance(seconds(20)).await;
    b.unplug(&sim());
    b.advance(seconds(20)).await;
    send(&mut b, JANE, "Your mower", Enclosure::default()).await.unwrap();
    b.advance(seconds(600)).await;
    let sent: Vec<usize> = taken(&b, &up()).iter().map(|t| t.media.len()).collect();
    assert_eq!(sent, [1, 0]);
}

#[tokio::test]
async fn a_template_goes_by_an_upstream_with_its_variables_by_number() {
    let mut b = both(Files::Own).await;
    let variables = json!({ "order": 17, "name": "Jane" });
    let id = send(&mut b, JANE, "", template("ready", variables)).await.unwrap();
    b.one(JANE);
    let (sid, variables) = taken(&b, &up())[0].template.clone().unwrap();
    assert_eq!((sid.as_str(), Value::from(variables)), (READY, json!({ "2": "17", "1": "Jane" })));
    assert_eq!(row(&b, &id).await.line, Some(up()));
    for (with, why) in [
        (template("ready", json!({ "name": "Jane" })), "takes these variables, all of them: name, order"),
        (template("ready", json!({ "name": "Jane", "order": "1", "x": "y" })), "all of them"),
        (template("reddy", json!({})), "there is no template `reddy`: ready, update, sale"),
        (template("ready", json!({ "name": ["Jane"], "order": "1" })), "takes words or a number"),
        (
            Enclosure {
                variables: json!({ "1": "x" }).as_object().cloned().unwrap(),
                ..Enclosure::default()
            },
            "say which",
        ),
    ] {
        let refused = send(&mut b, JANE, "", with).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let mut b = VirtualBox::one_shop().await;
    let refused = send(&mut b, JANE, "", template(READY, json!({}))).await.unwrap_err();
    assert!(refused.contains("a modem sends no templates"), "{refused}");
}

#[tokio::test]
async fn a_template_for_offers_needs_consent_and_waits_for_its_hours_whoever_sends_it() {
    let mut b = both(Files::Own).await;
    for name in ["sale", SALE] {
        let refused = send(&mut b, JANE, "", template(name, json!({}))).await.unwrap_err();
        assert!(refused.contains("never agreed to marketing"), "{refused}");
    }
    let (words, proof) = (String::new(), "form".to_owned());
    let act = Act::Consent(Topic::Marketing);
    let ask = ConsentAsk::Enter { person: JANE.into(), act, line: None, words, proof, origin: Origin::Form };
    b.ask(Command::Consent { shop: main_shop(), ask, by: "owner".into() }).await.unwrap();
    b.advance(seconds(14 * 3600)).await;
    let id = send(&mut b, JANE, "", template("sale", json!({}))).await.unwrap();
    let waits = row(&b, &id).await;
    assert_eq!((waits.purpose, waits.not_before.is_some()), (Purpose::Marketing, true));
    assert_eq!(taken(&b, &up()).len(), 0);
    b.advance(seconds(12 * 3600)).await;
    assert_eq!(taken(&b, &up()).len(), 1);
}

#[tokio::test]
async fn outside_the_window_words_go_by_the_lines_template_and_inside_as_they_are() {
    let mut b = on_whatsapp(true).await;
    let first = send(&mut b, JANE, "Hello", Enclosure::default()).await.unwrap_err();
    assert!(first.contains("never wrote by WhatsApp (63016)"), "{first}");
    writes_by_whatsapp(&mut b, "HELP").await;
    b.one(JANE);
    b.advance(seconds(25 * 3600)).await;
    let id = send(&mut b, JANE, "Your mower\n is  ready", Enclosure::default()).await.unwrap();
    b.one(JANE);
    let (sid, variables) = taken(&b, &wa())[1].template.clone().unwrap();
    let wanted = json!({ "1": "Shop main", "2": "Your mower is ready" });
    assert_eq!((sid.as_str(), Value::from(variables)), (UPDATE, wanted));
    assert_eq!(row(&b, &id).await.body, "Your mower\n is  ready", "the history keeps the words");
    // Refused for now, and she writes meanwhile: the words go as they are.
    b.upstreams.get_mut(&wa()).unwrap().fates.push_back(Fate::Busy(60));
    let id = send(&mut b, JANE, "Come and get it", Enclosure::default()).await.unwrap();
    writes_by_whatsapp(&mut b, "HELP").await;
    b.advance(seconds(300)).await;
    let sent = taken(&b, &wa());
    assert!(sent[2..].iter().all(|t| t.template.is_none()), "{sent:#?}");
    assert!(sent.iter().any(|t| t.body == "Come and get it"), "{sent:#?}");
    assert_eq!(row(&b, &id).await.carriage.template, None);
    b.advance(seconds(25 * 3600)).await;
    let refused = send(&mut b, JANE, "look", link()).await.unwrap_err();
    assert!(refused.contains("63016") && refused.contains("no files"), "{refused}");
}

#[tokio::test]
async fn without_such_a_template_words_outside_the_window_are_refused_and_say_63016() {
    let mut b = on_whatsapp(false).await;
    let to = format!("whatsapp:{JANE}");
    let refused = send(&mut b, &to, "Hello", Enclosure::default()).await.unwrap_err();
    assert!(
        refused.contains("older than 24 hours (63016)") && refused.contains("outside_window"),
        "{refused}"
    );
    send(&mut b, &to, "", template("ready", json!({ "name": "Jane", "order": "17" }))).await.unwrap();
    b.one(JANE);
    writes_by_whatsapp(&mut b, "HELP").await;
    b.one(JANE);
    send(&mut b, &to, "Hello", Enclosure::default()).await.unwrap();
    assert_eq!(b.one(JANE), "Hello");
    let two = Enclosure { links: vec![LINK.into(); 2], ..Enclosure::default() };
    assert!(send(&mut b, &to, "", two).await.unwrap_err().contains("one file a text"));
    let mut b = both(Files::Own).await;
    assert!(send(&mut b, &to, "Hello", Enclosure::default()).await.unwrap_err().contains("no WhatsApp line"));
}

#[tokio::test]
async fn nothing_follows_a_template_in_doubt_until_it_is_known_whose_is_there() {
    let mut b = on_whatsapp(true).await;
    let sim = b.upstreams.get_mut(&wa()).unwrap();
    (sim.blind, sim.fates) = (true, [Fate::RequestLost].into());
    send(&mut b, JANE, "", template("ready", json!({ "name": "Jane", "order": "17" }))).await.unwrap();
    send(&mut b, JANE, "", template("ready", json!({ "name": "Jane", "order": "18" }))).await.unwrap();
    b.advance(seconds(1200)).await;
    assert_eq!(taken(&b, &wa()).len(), 0, "what was there could not be told apart");
    b.upstreams.get_mut(&wa()).unwrap().blind = false;
    b.advance(seconds(1800)).await;
    let order = |t: &Taken| t.template.as_ref().unwrap().1["2"].clone();
    assert_eq!(taken(&b, &wa()).iter().map(order).collect::<Vec<_>>(), ["17", "18"]);
}

#[tokio::test]
async fn a_flows_content_template_goes_with_its_variables_rendered() {
    let mut b = on_whatsapp(false).await;
    let variables =
        json!([{ "key": "{{1}}", "value": "{{trigger.message.Body}}" }, { "key": "2", "value": "17" }]);
    let content =
        json!({ "message_type": "content_template", "content_sid": READY, "content_variables": variables });
    publish(&mut b, content).await;
    writes_by_whatsapp(&mut b, "Jane").await;
    b.one(JANE);
    let wanted: Map<String, Value> = json!({ "1": "Jane", "2": "17" }).as_object().cloned().unwrap();
    assert_eq!(taken(&b, &wa())[0].template, Some((READY.to_owned(), wanted)));
}

#[tokio::test]
async fn what_the_upstream_cannot_fetch_fails_with_its_error() {
    let mut b = both(Files::Own).await;
    let id = send(&mut b, JANE, "Your mower", link()).await.unwrap();
    b.one(JANE);
    let failed = b.upstreams[&up()].status(0, Delivery::Failed, Some(11200));
    b.tell(&up(), failed);
    b.pump().await;
    let sent = row(&b, &id).await;
    assert_eq!((sent.status, sent.carriage.error), (MessageStatus::Failed, Some(11200)));
}

#[tokio::test]
async fn a_text_that_was_heard_of_late_opens_no_window_that_is_over() {
    let mut b = on_whatsapp(false).await;
    let now = b.clock.now();
    let mut text = b.upstreams.get_mut(&wa()).unwrap().arrive(JANE, "hello", now);
    (text.channel, text.sent) = (Channel::WhatsApp, Some(Wall(now.wall.0 - 25 * 3_600_000)));
    b.tell(&wa(), LineEvent::Text(Box::new(text)));
    b.pump().await;
    assert!(send(&mut b, JANE, "Hello", Enclosure::default()).await.unwrap_err().contains("24 hours"));
}
