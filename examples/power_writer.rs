//! Writes to a store as fast as it can and prints every message that is durable: what `scripts/prove power` cuts
//! the power under, and checks afterwards.
//!
//! `power_writer write DIRECTORY FIRST` writes messages from number FIRST on, each with two parts, a conversation,
//! an execution, a step, and what a text by an upstream leaves (its id there, a file, the cursor, an entry of the consent
//! ledger, an event of the box's own), and prints `durable N` when everything up to N is and `stalled WHY` when the disk holds
//! the writer up, until it is killed or the writer ends.
//! `power_writer check DIRECTORY N` reopens and says how many messages from 1 on are there without a gap; it fails
//! when that is fewer than N, when a message lacks any of its rows, when the ledger's chain does not hold, or when
//! SQLite finds a fault.
//! `power_writer speed DIRECTORY SECONDS BATCH` prints steps a second and how long a commit took.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use backroom::messaging::ledger::{Act, Head, Origin, Purpose, Scope, Statement};
use backroom::store::{
    Carriage, Check, ConsentEntryRow, ConversationRow, CursorRow, Direction, EventOutRow, EventOutState,
    ExecutionRow, MediaRow, MediaState, MessageRow, MessageStatus, Notice, Op, Options, PartRow, PartState,
    Reader, Snapshot, Source, StepRow, Store, StoreError, Transaction,
};
use backroom::types::{
    BootId, Channel, ConversationId, ExecutionSid, LineId, MessageId, Mono, Now, PartId, PhoneNumber, ShopId,
    Wall,
};
use serde_json::{Map, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const NOW: Now = Now { mono: Mono(60_000), wall: Wall(1_795_000_000_000), wall_sure: true };

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["write", directory, first] => {
            first.parse().map_err(Into::into).and_then(|n| write(Path::new(directory), n))
        }
        ["check", directory, count] => {
            count.parse().map_err(Into::into).and_then(|n| check(Path::new(directory), n))
        }
        ["speed", directory, seconds, batch] => speed(Path::new(directory), seconds, batch),
        _ => Err(
            "usage: power_writer write DIRECTORY FIRST | check DIRECTORY N | speed DIRECTORY SECONDS BATCH"
                .into(),
        ),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(directory: &Path) -> Options {
    Options { check: Check::Full, ..Options::new(directory, BootId("power".to_owned())) }
}

fn wait<T>(future: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(future))
}

fn write(directory: &Path, first: u64) -> Outcome {
    let (store, snapshot, _) = backroom::store::open(&options(directory), NOW)?;
    let mut watch = store.watch();
    let mut head = snapshot.consent.last().map_or(Head::beginning(&shop()), |row| row.entry.head());
    let mut submitted = first - 1;
    let mut said = 0;
    loop {
        while store.room() > 900 {
            submitted += 1;
            let mut all = event(submitted);
            head = by_an_upstream(&mut all, submitted, head)?;
            store.submit(all).map_err(|e| e.to_string())?;
        }
        wait(watch.changed())??;
        let state = watch.borrow_and_update().clone();
        if let Some(why) = state.fatal {
            return Err(why.into());
        }
        if let Some(why) = state.stalled {
            writeln!(std::io::stdout().lock(), "stalled {why}")?;
        }
        let durable = first - 1 + state.committed.0;
        if durable > said {
            said = durable;
            let mut out = std::io::stdout().lock();
            writeln!(out, "durable {durable}")?;
            out.flush()?;
        }
    }
}

fn check(directory: &Path, count: u64) -> Outcome {
    let (store, snapshot, notices) = backroom::store::open(&options(directory), NOW)?;
    let mut faults = 0;
    for notice in &notices {
        println!("notice {notice}");
        match notice {
            Notice::NoReserve { .. } | Notice::ReserveGivenUp | Notice::NotChecked { .. } => {}
            Notice::Damaged { .. }
            | Notice::Restored { .. }
            | Notice::StartedEmpty
            | Notice::LogDamaged { .. }
            | Notice::BadRow { .. }
            | Notice::Migrated { .. }
            | Notice::NewerMinor { .. } => faults += 1,
        }
    }
    let found = snapshot.parts_open.len() as u64;
    let whole = snapshot.parts_open.iter().filter(|(_, parts)| parts.len() == 2).count() as u64;
    let mut missing = 0u64;
    let shop = shop();
    for number in 1..=found {
        let id = message_id(number);
        let shop = shop.clone();
        let sid = upstream_sid(number);
        let whole = move |r: &Reader| {
            let file =
                r.media(&shop, &incoming_id(number))?.first().is_some_and(|m| m.state == MediaState::Kept);
            let told = r.message_by_sid(&shop, &sid)?.is_some_and(|m| m.id == incoming_id(number));
            Ok::<bool, StoreError>(r.message(&shop, &id)?.is_some() && told && file)
        };
        if !wait(store.read(whole))?? {
            missing += 1;
        }
    }
    faults += stands(&snapshot, found);
    println!("found {found}");
    store.close()?;
    if found < count || whole != found || missing > 0 || faults > 0 {
        return Err(
            format!("{count} acknowledged, {found} found, {whole} whole, {missing} missing between").into()
        );
    }
    Ok(())
}

/// Faults of what there is one of, after so many messages: ledger, cursor and events.
fn stands(snapshot: &Snapshot, found: u64) -> u64 {
    let mut head = Head::beginning(&shop());
    let mut faults = 0;
    let mut broken = |what: &str, is_so: bool| {
        if is_so {
            println!("broken {what}");
            faults += 1;
        }
    };
    for row in &snapshot.consent {
        broken("a link of the ledger", head.append(row.entry.statement.clone()) != row.entry);
        head = row.entry.head();
    }
    broken("the ledger's length", head.seq != found);
    let cursor = snapshot.cursors.first().map_or(0, |row| row.at.0 - NOW.wall.0);
    broken("the cursor", u64::try_from(cursor) != Ok(found));
    let events = snapshot.events.first().map_or((0, 0), |e| (e.newest, e.waiting));
    broken("the events", events != (found, found));
    faults
}

fn speed(directory: &Path, seconds: &str, batch: &str) -> Outcome {
    let run = Duration::from_secs_f64(seconds.parse()?);
    let batch: usize = batch.parse()?;
    let (store, _, _) = backroom::store::open(&Options { batch, ..options(directory) }, NOW)?;
    let mut watch = store.watch();
    let started = Instant::now();
    let mut submitted = 0;
    let mut last = started;
    let mut commits = vec![];
    while started.elapsed() < run {
        // Two batches wait, so that the writer is never idle and never has to be told.
        while store.room() > 1024 - 2 * batch {
            submitted += 1;
            store.submit(event(submitted)).map_err(|e| e.to_string())?;
        }
        wait(watch.changed())??;
        watch.borrow_and_update();
        commits.push(last.elapsed());
        last = Instant::now();
    }
    let steps = watch.borrow().committed.0;
    let took = started.elapsed().as_secs_f64();
    commits.sort();
    let at =
        |percent: usize| commits.get(commits.len() * percent / 100).map_or(0.0, |d| d.as_secs_f64() * 1e3);
    println!(
        "batch {batch}: {:.0} steps/s, {:.0} commits/s, a commit p50 {:.1} ms, p99 {:.1} ms",
        rate(steps, took),
        rate(commits.len() as u64, took),
        at(50),
        at(99)
    );
    finish(store)
}

fn finish(store: Store) -> Outcome {
    Ok(store.close()?)
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn shop() -> ShopId {
    ShopId::from("main")
}

fn message_id(number: u64) -> MessageId {
    MessageId(format!("SM{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// What one text of a customer leaves: his conversation's state, one step of his execution with 2 kB of context, and
/// an answer in two parts.
fn event(number: u64) -> Transaction {
    let person = number % 100;
    let conversation = ConversationId(format!("CH{person:032x}"));
    let execution = ExecutionSid(format!("FN{person:032x}"));
    let id = message_id(number);
    let part = |n: u8| {
        Op::PutPart(PartRow {
            shop: shop(),
            id: PartId { message: id.clone(), number: n },
            pdu: "0011000B912160550101F10000AA".repeat(5),
            length: 140,
            state: PartState::Queued,
            line: None,
            reference: None,
            attempts: 0,
            note: None,
            updated: NOW.wall,
        })
    };
    Transaction {
        ops: vec![
            Op::PutConversation(ConversationRow {
                shop: shop(),
                id: conversation.clone(),
                person: format!("+1206555{person:04}"),
                state: json!({"v": 1, "foreground": execution, "turn": number}),
                ticket: 1,
                active: true,
                updated: NOW.wall,
            }),
            Op::PutExecution(ExecutionRow {
                shop: shop(),
                sid: execution.clone(),
                conversation: conversation.clone(),
                flow: "Main_Menu".to_owned(),
                revision: 1,
                ended: None,
                state: json!({"v": 1, "turn": number, "context": {"flow": {"variables": {
                    "a": "x".repeat(900), "b": "y".repeat(900), "turn": number}}}}),
                created: NOW.wall,
                updated: NOW.wall,
            }),
            Op::AddStep(StepRow {
                shop: shop(),
                execution,
                number: u32::try_from(number).unwrap_or(u32::MAX),
                event: "incomingMessage".to_owned(),
                from: "menu".to_owned(),
                to: "split".to_owned(),
                kind: "send-and-wait-for-reply".to_owned(),
                delta: Map::from_iter([("widgets.menu.inbound.Body".to_owned(), json!("1"))]),
                note: None,
                wall: NOW.wall,
            }),
            Op::PutMessage(MessageRow {
                shop: shop(),
                id: id.clone(),
                conversation,
                direction: Direction::Out,
                line: Some(LineId::from("sim1")),
                peer: format!("+1206555{person:04}"),
                body: "Reply with a number: 1 Troubleshoot Equipment, 2 Schedule Service".to_owned(),
                status: MessageStatus::Queued,
                source: Source::Box,
                note: None,
                created: NOW.wall,
                wall_sure: true,
                updated: NOW.wall,
                sent_at: None,
                purpose: Purpose::Reply,
                not_before: None,
                carriage: Carriage::default(),
            }),
            part(1),
            part(2),
        ],
    }
}

fn incoming_id(number: u64) -> MessageId {
    MessageId(format!("SM{number:032x}"))
}

fn upstream_sid(number: u64) -> String {
    format!("MM{number:032x}")
}

/// What the same text leaves beside, when it came by an upstream with a file. Where the ledger then stands.
fn by_an_upstream(
    all: &mut Transaction,
    number: u64,
    head: Head,
) -> Result<Head, Box<dyn std::error::Error>> {
    let person = format!("+1206555{:04}", number % 100);
    let line = LineId::from("twilio");
    let entry = head.append(Statement {
        subject: PhoneNumber::parse(&person, None)?,
        scope: Scope::Shop,
        act: if number.is_multiple_of(2) { Act::Block } else { Act::Unblock },
        words: "STOP".to_owned(),
        origin: Origin::Text,
        proof: incoming_id(number).to_string(),
        at: NOW.wall,
        sure: true,
    });
    let head = entry.head();
    all.ops.push(Op::PutMessage(MessageRow {
        shop: shop(),
        id: incoming_id(number),
        conversation: ConversationId(format!("CH{:032x}", number % 100)),
        direction: Direction::In,
        line: Some(line.clone()),
        peer: person,
        body: "STOP".to_owned(),
        status: MessageStatus::Received,
        source: Source::Person,
        note: None,
        created: NOW.wall,
        wall_sure: true,
        updated: NOW.wall,
        sent_at: Some(NOW.wall),
        purpose: Purpose::Reply,
        not_before: None,
        carriage: Carriage {
            channel: Channel::Sms,
            sid: Some(upstream_sid(number)),
            media: 1,
            ..Carriage::default()
        },
    }));
    all.ops.push(Op::PutMedia(MediaRow {
        shop: shop(),
        message: incoming_id(number),
        number: 1,
        line: line.clone(),
        url: "https://api.example/media".to_owned(),
        content_type: "image/png".to_owned(),
        state: MediaState::Kept,
        note: None,
        bytes: Some(number.to_le_bytes().repeat(128)),
        updated: NOW.wall,
    }));
    let at = Wall(NOW.wall.0 + i64::try_from(number)?);
    all.ops.push(Op::PutCursor(CursorRow { shop: shop(), line, at }));
    all.ops.push(Op::AddConsentEntry(ConsentEntryRow { shop: shop(), entry }));
    all.ops.push(Op::AddEventOut(EventOutRow {
        shop: shop(),
        id: format!("EV{number:032x}"),
        endpoint: "crm".to_owned(),
        kind: "message.received".to_owned(),
        body: json!({ "number": number }).to_string(),
        state: EventOutState::Waiting,
        attempts: 0,
        note: None,
        seq: number,
        since: Some(NOW.wall),
        created: NOW.wall,
        updated: NOW.wall,
    }));
    Ok(head)
}
