//! Connects the demonstration's page with its stage: what is shown, what is done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::observe::Observer;
use super::stage::{NUMBER, SHOP, STAFF, Stage, Trouble, Way};
use crate::daemon::control::{self, Ask};
use crate::types::PhoneNumber;
use crate::web::demo::{Deed, Done, Line, Page, Person, Text, View, serve};

/// Tried first when no port is asked for.
const PORT: u16 = 8026;
/// How often the box is asked how it is.
const LOOK: Duration = Duration::from_millis(400);

/// Serves the page and answers its address.
///
/// # Errors
/// No port can be had.
pub(super) async fn open(
    port: Option<u16>,
    stage: &Arc<Stage>,
    helpers: &mut JoinSet<()>,
) -> Result<String, Trouble> {
    let listener = listen(port).await.map_err(|e| format!("the page has no port: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let (show, views) = watch::channel(Arc::new(View::default()));
    let (deeds, wanted) = mpsc::channel(16);
    let observer = Observer::open(&stage.storage())?;
    helpers.spawn(look(Arc::clone(stage), observer, show));
    helpers.spawn(act(Arc::clone(stage), wanted));
    helpers.spawn(async move {
        if let Err(error) = serve(listener, Page { views, deeds }).await {
            tracing::warn!(%error, "the page has ended");
        }
    });
    Ok(format!("http://{address}/"))
}

async fn listen(port: Option<u16>) -> std::io::Result<TcpListener> {
    let local = std::net::Ipv4Addr::LOCALHOST;
    if let Some(port) = port {
        return TcpListener::bind((local, port)).await;
    }
    for port in PORT..PORT + 20 {
        if let Ok(listener) = TcpListener::bind((local, port)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind((local, 0)).await
}

/// Carries out what is done on the page.
async fn act(stage: Arc<Stage>, mut wanted: mpsc::Receiver<(Deed, Done)>) {
    while let Some((deed, done)) = wanted.recv().await {
        let how = match deed {
            Deed::Text { from, body } => text(&stage, &from, &body).await,
            Deed::Dealer { on } => stage.set_dealer(on),
            Deed::Cut {} => stage.cut(None).await.map(|_| ()),
        };
        // Err: the browser went away and does not want to know.
        drop(done.send(how));
    }
}

async fn text(stage: &Stage, from: &str, body: &str) -> Result<(), Trouble> {
    let from = PhoneNumber::parse(from, Some("1")).map_err(|e| e.to_string())?;
    if body.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    stage.text(from.as_str(), body.trim(), Way::FromPage).await
}

/// Keeps the view up to date.
async fn look(stage: Arc<Stage>, mut observer: Observer, show: watch::Sender<Arc<View>>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut history = stage.watch();
    let people = people(&stage, &observer);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            changed = history.changed() => if changed.is_err() { return },
        }
        let storage = stage.storage();
        let asked = tokio::task::spawn_blocking(move || control::ask(&storage, &Ask::Status)).await;
        let status = asked.ok().and_then(Result::ok).flatten();
        // A view that cannot be read in the middle of a power cut is read the next time.
        let Ok(mut view) = view(&stage, &mut observer, status.as_ref()) else { continue };
        view.people.clone_from(&people);
        let strangers = strangers(&view);
        view.people.extend(strangers);
        show.send_if_modified(|old| {
            let is_new = **old != view;
            if is_new {
                *old = Arc::new(view);
            }
            is_new
        });
    }
}

fn people(stage: &Stage, observer: &Observer) -> Vec<Person> {
    let person = |p: &super::stage::Person| Person {
        phone: p.phone.clone(),
        name: p.name.clone(),
        owns: observer.owns(&p.phone).unwrap_or_default(),
        staff: p.phone == STAFF,
    };
    stage.people.iter().map(person).collect()
}

/// Numbers that were texted from and that nobody knows.
fn strangers(view: &View) -> Vec<Person> {
    let mut found: Vec<Person> = Vec::new();
    for text in &view.texts {
        let known = view.people.iter().chain(&found).any(|p| p.phone == text.person);
        if !text.person.is_empty() && !known {
            let name = "A stranger".to_owned();
            found.push(Person { phone: text.person.clone(), name, owns: Vec::new(), staff: false });
        }
    }
    found
}

fn view(stage: &Stage, observer: &mut Observer, status: Option<&Value>) -> Result<View, Trouble> {
    let texts = stage.history(0).into_iter().map(|entry| Text {
        from_shop: entry.way == Way::FromShop,
        person: entry.person,
        body: entry.body,
        at: entry.at.strftime("%H:%M:%S").to_string(),
    });
    let box_says = status.and_then(|s| s.get("shops")?.get(SHOP));
    let lines = box_says.and_then(|s| s.get("lines")?.as_object()).into_iter().flatten();
    let lines = lines.map(|(id, line)| Line {
        id: id.clone(),
        up: line.get("up").and_then(Value::as_bool).unwrap_or(false),
        operator: line.get("operator").and_then(Value::as_str).unwrap_or_default().to_owned(),
    });
    Ok(View {
        shop: stage.shop_name.clone(),
        number: NUMBER.to_owned(),
        people: Vec::new(),
        texts: texts.collect(),
        dealer_on: stage.dealer_is_on(),
        dealer_reached: box_says.and_then(|s| s.get("dealer")?.get("reachable")?.as_bool()),
        box_on: status.is_some(),
        lines: lines.collect(),
        queued: box_says.and_then(|s| s.get("queued")?.as_u64()).unwrap_or(0),
        orders: observer.orders()?,
        steps: observer.steps()?,
    })
}
