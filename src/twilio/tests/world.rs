//! A model of the upstream and of the way to it, in virtual time: what the machine asks is answered late, wrongly,
//! twice or never, as a seed says. Whatever the machine does is checked as it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::super::ask::{Action, Ask, Reply, Ticket};
use super::super::client::{Answer, ApiError, RequestError};
use super::super::line::{Line, Setup};
use super::super::rest::{Listing, Message, MessagePage};
use super::{OURS, line};
use crate::types::{
    LineCommand, LineEvent, MediaLink, MessageId, Mono, Now, Post, PostResult, PostsFound, Wall,
};

/// 2026-11-20T08:00:00Z by the upstream's clock when the world begins. The box's clock is an hour ahead.
const EIGHT: i64 = 1_795_161_600_000;
const AHEAD: i64 = 3_600_000;

/// What goes wrong, in percent of requests.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) crowded: u64,
    pub(super) broken: u64,
    pub(super) lost: u64,
}

#[derive(Clone)]
pub(super) struct Kept {
    sid: String,
    from: String,
    to: String,
    body: String,
    inbound: bool,
    at: u64,
    visible: u64,
    media: bool,
}

pub(super) struct World {
    pub(super) now: u64,
    random: u64,
    machine: Line,
    pub(super) faults: Faults,
    pub(super) network: bool,
    pub(super) credentials: bool,
    pub(super) kept: Vec<Kept>,
    replies: BTreeMap<(u64, Ticket), Reply>,
    reads: BTreeSet<Ticket>,
    creates: BTreeMap<Ticket, Post>,
    /// Posts that were not answered.
    pub(super) owed: BTreeSet<(MessageId, u32)>,
    pub(super) finds_owed: BTreeSet<MessageId>,
    pub(super) heard: Vec<(u64, LineEvent)>,
    pub(super) cursor: Option<Wall>,
    pub(super) told: Vec<String>,
    pub(super) results: BTreeMap<(MessageId, u32), PostResult>,
    pub(super) requests: usize,
    up: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            now: 5_000,
            random: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
            machine: Line::new(setup(), seed),
            faults: Faults::default(),
            network: true,
            credentials: true,
            kept: Vec::new(),
            replies: BTreeMap::new(),
            reads: BTreeSet::new(),
            creates: BTreeMap::new(),
            owed: BTreeSet::new(),
            finds_owed: BTreeSet::new(),
            heard: Vec::new(),
            cursor: None,
            told: Vec::new(),
            results: BTreeMap::new(),
            requests: 0,
            up: false,
        };
        world.tell(LineCommand::Resume(None));
        world
    }

    pub(super) fn chance(&mut self, of: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % of.max(1)
    }

    fn time(&self) -> Now {
        let upstream = EIGHT + i64::try_from(self.now).unwrap();
        Now { mono: Mono(self.now), wall: Wall(upstream + AHEAD), wall_sure: true }
    }

    pub(super) fn wall(&self) -> Wall {
        self.time().wall
    }

    pub(super) fn tell(&mut self, command: LineCommand) {
        match &command {
            LineCommand::Post(post) => drop(self.owed.insert((post.message.clone(), post.attempt))),
            LineCommand::Find { message, .. } => drop(self.finds_owed.insert(message.clone())),
            _ => {}
        }
        self.machine.handle_command(command, self.time());
        self.act();
    }

    /// The process dies and starts again from what was committed.
    pub(super) fn restart(&mut self, seed: u64) {
        self.machine = Line::new(setup(), seed);
        self.replies.clear();
        self.reads.clear();
        self.creates.clear();
        self.owed.clear();
        self.finds_owed.clear();
        (self.up, self.requests) = (false, 0);
        self.tell(LineCommand::Resume(self.cursor));
    }

    pub(super) fn shut_down(&mut self) {
        self.machine.handle_shutdown(self.time());
        self.act();
    }

    pub(super) fn stopped(&self) -> bool {
        self.machine.is_stopped()
    }

    /// Somebody texts us; lists show it so much later.
    pub(super) fn receive(&mut self, body: &str, media: bool, lag: u64) {
        let sid = format!("SM{:032}", self.kept.len());
        self.kept.push(Kept {
            sid,
            from: "+12065550142".to_owned(),
            to: OURS.to_owned(),
            body: body.to_owned(),
            inbound: true,
            at: self.now,
            visible: self.now + lag,
            media,
        });
    }

    pub(super) fn inbound(&self) -> Vec<String> {
        self.kept.iter().filter(|m| m.inbound).map(|m| m.sid.clone()).collect()
    }

    /// How long after a list first showed it each text was told, in milliseconds.
    pub(super) fn lateness(&self) -> Vec<u64> {
        let visible: BTreeMap<&str, u64> = self.kept.iter().map(|m| (m.sid.as_str(), m.visible)).collect();
        let told = self.heard.iter().filter_map(|(at, event)| match event {
            LineEvent::Text(text) => Some(at - visible[text.sid.as_str()]),
            _ => None,
        });
        told.collect()
    }

    /// How many texts with this body are at the upstream.
    pub(super) fn sent(&self, body: &str) -> usize {
        self.kept.iter().filter(|m| !m.inbound && m.body == body).count()
    }

    /// Lets time pass up to then.
    pub(super) fn run_to(&mut self, until: u64) {
        loop {
            let reply = self.replies.keys().next().map(|(at, _)| *at);
            let timer = self.machine.poll_timeout().map(|(at, _)| at.0.max(self.now));
            let Some(next) = [reply, timer].into_iter().flatten().min().filter(|at| *at <= until) else {
                self.now = self.now.max(until);
                return;
            };
            let still = next == self.now;
            self.now = self.now.max(next);
            if reply == Some(next)
                && let Some(((_, ticket), reply)) = self.replies.pop_first()
            {
                self.reads.remove(&ticket);
                self.creates.remove(&ticket);
                self.machine.handle_reply(ticket, reply, self.time());
            } else {
                let before = self.machine.poll_timeout();
                self.machine.handle_timeout(self.time());
                assert!(!still || self.machine.poll_timeout() != before, "it spins: {before:?}");
            }
            self.act();
        }
    }

    pub(super) fn run(&mut self, duration: Duration) {
        self.run_to(self.now + u64::try_from(duration.as_millis()).unwrap());
    }

    fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Tell(event) => self.hear(event),
                Action::Request(ticket, ask) => self.ask(ticket, ask),
                Action::Abandon(ticket) => {
                    self.reads.remove(&ticket);
                    self.creates.remove(&ticket);
                    self.replies.retain(|(_, abandoned), _| *abandoned != ticket);
                }
            }
        }
    }

    fn hear(&mut self, event: LineEvent) {
        match &event {
            LineEvent::Up { .. } => {
                assert!(!self.up, "up twice");
                self.up = true;
            }
            LineEvent::Down { .. } => {
                assert!(self.owed.is_empty(), "down with {:?} unanswered", self.owed);
                self.up = false;
            }
            LineEvent::Text(text) => {
                assert!(self.up, "a text of a line that is down");
                self.told.push(text.sid.clone());
            }
            LineEvent::Cursor(at) => {
                let (at, listed) = (at.0, EIGHT + i64::try_from(self.now).unwrap());
                assert!(at <= listed, "a cursor in the future");
                let before =
                    |m: &&Kept| m.inbound && m.visible == m.at && EIGHT + i64::try_from(m.at).unwrap() < at;
                for message in self.kept.iter().filter(before) {
                    assert!(self.told.contains(&message.sid), "the cursor passed {}", message.sid);
                }
                self.cursor = Some(Wall(at));
            }
            LineEvent::Posted { message, attempt, result } => {
                let key = (message.clone(), *attempt);
                assert!(self.owed.remove(&key), "{message} was answered twice");
                self.results.insert(key, result.clone());
            }
            LineEvent::Found { message, found } => {
                assert!(self.finds_owed.remove(message), "{message} was found twice");
                if let PostsFound::These(list) = found {
                    assert!(list.is_sorted_by_key(|found| found.created));
                }
            }
            _ => {}
        }
        self.heard.push((self.now, event));
    }

    fn ask(&mut self, ticket: Ticket, ask: Ask) {
        self.requests += 1;
        if let Ask::Create(post) = &ask {
            assert!(self.creates.values().all(|other| other.to != post.to), "two to one person at a time");
            self.creates.insert(ticket, (**post).clone());
            assert!(self.creates.len() <= 4, "{} texts at a time", self.creates.len());
        } else {
            self.reads.insert(ticket);
            assert_eq!(self.reads.len(), 1, "two questions at a time");
        }
        let draw = self.chance(100);
        let (crowded, broken) = (self.faults.crowded, self.faults.crowded + self.faults.broken);
        let lost = broken + self.faults.lost;
        let refused = |status: u16, code: Option<u32>, retry_after: Option<u32>| {
            RequestError::Refused(ApiError {
                status,
                code,
                message: String::new(),
                more_info: None,
                retry_after,
            })
        };
        let mut late = 20 + self.chance(300);
        let error = if !self.network {
            Some(RequestError::NotSent { why: "no route".to_owned() })
        } else if !self.credentials {
            Some(refused(401, Some(20003), None))
        } else if draw < crowded {
            Some(refused(429, Some(20429), (draw.is_multiple_of(2)).then_some(3)))
        } else if draw < broken {
            if draw.is_multiple_of(2) {
                drop(self.answer(&ask));
            }
            Some(refused(500, Some(20500), None))
        } else if draw < lost {
            if draw.is_multiple_of(2) {
                drop(self.answer(&ask));
            }
            late = if draw.is_multiple_of(3) { 30_000 } else { late };
            Some(RequestError::Lost { why: "no answer".to_owned() })
        } else {
            None
        };
        let reply = match error {
            None => self.answer(&ask),
            Some(error) => match &ask {
                Ask::List(_) | Ask::Page(_) => Reply::Messages(Err(error)),
                Ask::Media(_) => Reply::Media(Err(error)),
                Ask::Message(_) | Ask::Create(_) => Reply::Message(Box::new(Err(error))),
                Ask::Download(_) => Reply::File(Err(error.into())),
            },
        };
        self.replies.insert((self.now + late, ticket), reply);
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        let at = Some(Wall(EIGHT + i64::try_from(self.now).unwrap() / 1000 * 1000));
        match ask {
            Ask::List(listing) => {
                Reply::Messages(Ok(Answer { status: 200, body: self.page(listing, 0), at }))
            }
            Ask::Page(uri) => {
                let mut parts = uri.trim_start_matches('/').splitn(5, '|');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let (skip, size, since) = (part(), part(), part());
                let (to, from) = (part(), part());
                let some = |text: String| Some(text).filter(|text| !text.is_empty());
                let listing = Listing {
                    to: some(to),
                    from: some(from),
                    since: some(since).map(|text| Wall(text.parse().unwrap())),
                    size: size.parse().unwrap(),
                };
                let below: usize = skip.parse().unwrap();
                Reply::Messages(Ok(Answer { status: 200, body: self.page(&listing, below), at }))
            }
            Ask::Media(sid) => {
                let link = MediaLink { url: format!("/{sid}"), content_type: "image/jpeg".to_owned() };
                Reply::Media(Ok(Answer { status: 200, body: vec![link], at }))
            }
            Ask::Message(sid) => {
                let message = self.kept.iter().find(|m| m.sid == *sid).cloned();
                let gone = ApiError {
                    status: 404,
                    code: Some(20404),
                    message: String::new(),
                    more_info: None,
                    retry_after: None,
                };
                let message = message.ok_or(RequestError::Refused(gone));
                Reply::Message(Box::new(message.map(|m| Answer { status: 200, body: self.json(&m), at })))
            }
            Ask::Create(post) => {
                let kept = Kept {
                    sid: format!("SM{:032}", self.kept.len()),
                    from: OURS.to_owned(),
                    to: post.to.clone(),
                    body: post.body.clone(),
                    inbound: false,
                    at: self.now,
                    visible: self.now,
                    media: false,
                };
                self.kept.push(kept.clone());
                Reply::Message(Box::new(Ok(Answer { status: 201, body: self.json(&kept), at })))
            }
            Ask::Download(_) => unreachable!("no file is asked for here"),
        }
    }

    /// Newest first; the cursor of a later page is the place of its predecessor's last message.
    fn page(&self, listing: &Listing, above: usize) -> MessagePage {
        let size = usize::from(listing.size);
        let fits = |m: &Kept| {
            m.visible <= self.now
                && listing.to.as_ref().is_none_or(|to| m.to == *to)
                && listing.from.as_ref().is_none_or(|from| m.from == *from)
                && listing.since.is_none_or(|since| EIGHT + i64::try_from(m.at).unwrap() >= since.0)
        };
        let end = if above == 0 { self.kept.len() } else { above - 1 };
        let list: Vec<(usize, &Kept)> =
            self.kept.iter().enumerate().take(end).rev().filter(|(_, m)| fits(m)).take(size + 1).collect();
        let more = list.len() > size;
        let last = list.get(size - 1).map_or(0, |(at, _)| at + 1);
        let since = listing.since.map(|since| since.0.to_string()).unwrap_or_default();
        let (to, from) = (listing.to.clone().unwrap_or_default(), listing.from.clone().unwrap_or_default());
        MessagePage {
            messages: list.iter().take(size).map(|(_, m)| self.json(m)).collect(),
            next_page_uri: more.then(|| format!("/{last}|{size}|{since}|{to}|{from}")),
        }
    }

    fn json(&self, kept: &Kept) -> Message {
        let at = jiff::Timestamp::from_millisecond(EIGHT + i64::try_from(kept.at).unwrap()).unwrap();
        let date = at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let delivered = self.now > kept.at + 20_000;
        let status = match (kept.inbound, delivered) {
            (true, _) => "received",
            (false, true) => "delivered",
            (false, false) => "queued",
        };
        let sent = (kept.inbound || delivered).then(|| date.clone());
        serde_json::from_value(json!({
            "sid": kept.sid, "from": kept.from, "to": kept.to, "body": kept.body, "date_created": date,
            "date_sent": sent, "status": status, "num_media": u32::from(kept.media).to_string(),
            "direction": if kept.inbound { "inbound" } else { "outbound-api" },
        }))
        .unwrap()
    }
}

fn setup() -> Setup {
    let mut line = line("http://127.0.0.1:1");
    line.poll = Duration::from_secs(5);
    line.poll_idle = Duration::from_secs(30);
    Setup::of(&line)
}
