//! A modelled upstream: its account outlives the box, its answers may be lost, and it tells every text as often as it
//! likes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use backroom::types::{
    Channel, ConsentItem, ConsentsAnswer, Delivery, Enclosed, FoundPost, LineCommand, LineEvent, LineId,
    MediaResult, Now, PhoneNumber, Post, PostResult, PostStatus, PostsFound, UpstreamText, Wall,
};
use serde_json::{Map, Value};

use super::harness::{Carried, SHOP_NUMBER};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The upstream takes it, and the answer is lost.
    AnswerLost,
    /// It never gets there, and nobody can tell.
    RequestLost,
    /// The upstream takes it, and the edge never says anything.
    Silent,
    NotTried,
    /// 429, to be tried again after so many seconds.
    Busy(u32),
    Refused(u32),
}

/// What becomes of what it is told of who wants texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TellFate {
    /// Taken, and the answer is lost.
    Lost,
    /// Not taken, and nobody can tell.
    Undone,
}

/// A text that the upstream took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) sid: String,
    pub(crate) to: String,
    pub(crate) body: String,
    pub(crate) media: Vec<Enclosed>,
    pub(crate) template: Option<(String, Map<String, Value>)>,
    created: Wall,
}

#[derive(Default)]
pub(crate) struct SimUpstream {
    pub(crate) taken: Vec<Taken>,
    inbound: Vec<UpstreamText>,
    pub(crate) fates: VecDeque<Fate>,
    /// Looking finds nobody.
    pub(crate) blind: bool,
    pub(crate) tracked: BTreeSet<String>,
    /// What is behind an address of a file; `None`: later.
    pub(crate) files: BTreeMap<String, Option<Vec<u8>>>,
    /// Ours there.
    pub(crate) number: Option<PhoneNumber>,
    /// Who opted out there: 21610.
    pub(crate) opted_out: BTreeSet<String>,
    /// Whom it was asked to text, whatever came of it.
    pub(crate) tried: Vec<String>,
    /// What it was told of who wants texts, whatever came of it.
    pub(crate) told: Vec<(String, bool)>,
    pub(crate) tell_fates: VecDeque<TellFate>,
    /// It lets nobody tell.
    pub(crate) closed: bool,
    resumed: Option<Option<Wall>>,
}

impl SimUpstream {
    /// The box is off: the next one begins anew.
    pub(crate) fn forget_box(&mut self) {
        self.resumed = None;
    }

    /// Everything that is told when the line comes up: texts since the cursor and a quarter of an hour before it, newest
    /// first, as lists at Twilio are.
    pub(crate) fn come_up(&self, now: Now) -> Vec<LineEvent> {
        let Some(from) = self.resumed else { return Vec::new() };
        let since = from.map_or(i64::MIN, |wall| wall.0 - 15 * 60 * 1000);
        let number = self.number.clone();
        let up = LineEvent::Up { identity: "AC1".into(), sim: None, number };
        let texts = self.inbound.iter().rev().filter(|t| t.sent.is_none_or(|sent| sent.0 >= since));
        let texts: Vec<LineEvent> = texts.map(|t| LineEvent::Text(Box::new(t.clone()))).collect();
        [vec![up], texts, vec![LineEvent::Swept, LineEvent::Cursor(now.wall)]].concat()
    }

    /// A person's text arrives at the upstream.
    pub(crate) fn arrive(&mut self, from: &str, body: &str, now: Now) -> UpstreamText {
        let text = UpstreamText {
            sid: format!("SMin{:08}", self.inbound.len()),
            channel: Channel::Sms,
            from: from.to_owned(),
            to: SHOP_NUMBER.to_owned(),
            body: body.to_owned(),
            media: Vec::new(),
            sent: Some(now.wall),
            parameters: Map::new(),
        };
        self.bring(text)
    }

    pub(crate) fn bring(&mut self, text: UpstreamText) -> UpstreamText {
        self.inbound.push(text.clone());
        text
    }

    /// Everything again, newest first.
    pub(crate) fn again(&self) -> Vec<LineEvent> {
        self.inbound.iter().rev().map(|t| LineEvent::Text(Box::new(t.clone()))).collect()
    }

    pub(crate) fn status(&self, at: usize, status: Delivery, error: Option<u32>) -> LineEvent {
        let price = (status == Delivery::Delivered).then(|| (-8300, "USD".to_owned()));
        LineEvent::Status(PostStatus { sid: self.taken[at].sid.clone(), status, error, price })
    }

    pub(crate) fn handle(
        &mut self,
        line: &LineId,
        command: LineCommand,
        away: bool,
        now: Now,
        carried: &mut Vec<Carried>,
    ) -> Vec<LineEvent> {
        match command {
            LineCommand::Resume(from) => {
                self.resumed = Some(from);
                if away { Vec::new() } else { self.come_up(now) }
            }
            LineCommand::Post(post) => {
                let (message, attempt) = (post.message.clone(), post.attempt);
                let result = match away {
                    true => Some(PostResult::NotTried { why: "the line is not up".into() }),
                    false => self.post(line, *post, now, carried),
                };
                result.map(|result| LineEvent::Posted { message, attempt, result }).into_iter().collect()
            }
            LineCommand::Find { message, post, since } => {
                let found = match away || self.blind {
                    true => PostsFound::Unreachable { why: "nobody answers".into() },
                    false => PostsFound::These(self.find(&post, since)),
                };
                vec![LineEvent::Found { message, found }]
            }
            LineCommand::Track { sid, .. } => {
                self.tracked.insert(sid);
                Vec::new()
            }
            LineCommand::Fetch { message, number, url } => {
                let result = match self.files.get(&url) {
                    Some(Some(bytes)) => {
                        MediaResult::Kept { content_type: "image/png".into(), bytes: bytes.clone() }
                    }
                    Some(None) => MediaResult::Later { why: "503".into() },
                    None => MediaResult::Gone { why: "404".into() },
                };
                vec![LineEvent::Media { message, number, result }]
            }
            LineCommand::Consents { batch, items } => {
                let answer = match away {
                    true => ConsentsAnswer::Later { why: "the line is not up".into(), pause: None },
                    false => self.take_consents(&items),
                };
                vec![LineEvent::Consents { batch, answer }]
            }
            other => panic!("an upstream is told {other:?}"),
        }
    }

    fn take_consents(&mut self, items: &[ConsentItem]) -> ConsentsAnswer {
        self.told.extend(items.iter().map(|item| (item.person.to_string(), item.welcome)));
        if self.closed {
            return ConsentsAnswer::Closed { why: "403".into() };
        }
        let fate = self.tell_fates.pop_front();
        if fate != Some(TellFate::Undone) {
            for item in items {
                let person = item.person.to_string();
                if item.welcome {
                    self.opted_out.remove(&person)
                } else {
                    self.opted_out.insert(person)
                };
            }
        }
        match fate {
            None => ConsentsAnswer::Taken(Vec::new()),
            Some(TellFate::Lost | TellFate::Undone) => {
                ConsentsAnswer::Later { why: "no answer came".into(), pause: None }
            }
        }
    }

    fn post(
        &mut self,
        line: &LineId,
        post: Post,
        now: Now,
        carried: &mut Vec<Carried>,
    ) -> Option<PostResult> {
        let why = || "no answer came".to_owned();
        self.tried.push(post.to.clone());
        if self.opted_out.contains(&post.to) {
            self.fates.push_front(Fate::Refused(21610));
        }
        match self.fates.pop_front() {
            None => {
                let sid = self.take(line, post, now, carried);
                Some(PostResult::Accepted { sid, status: Delivery::Queued, at: Some(now.wall) })
            }
            Some(Fate::AnswerLost) => {
                self.take(line, post, now, carried);
                Some(PostResult::Unknown { why: why() })
            }
            Some(Fate::Silent) => {
                self.take(line, post, now, carried);
                None
            }
            Some(Fate::RequestLost) => Some(PostResult::Unknown { why: why() }),
            Some(Fate::NotTried) => Some(PostResult::NotTried { why: "no route".into() }),
            Some(Fate::Busy(seconds)) => Some(PostResult::Rejected {
                code: Some(20429),
                why: "too many requests".into(),
                temporary: true,
                retry_after: Some(seconds),
            }),
            Some(Fate::Refused(code)) => Some(PostResult::Rejected {
                code: Some(code),
                why: "it is refused".into(),
                temporary: false,
                retry_after: None,
            }),
        }
    }

    fn take(&mut self, line: &LineId, post: Post, now: Now, carried: &mut Vec<Carried>) -> String {
        let sid = format!("SMout{:08}", self.taken.len());
        carried.push(Carried { line: line.clone(), to: post.to.clone(), body: post.body.clone() });
        let Post { to, body, media, template, .. } = post;
        self.taken.push(Taken { sid: sid.clone(), to, body, media, template, created: now.wall });
        sid
    }

    fn find(&self, post: &Post, since: Wall) -> Vec<FoundPost> {
        // Of a template nobody knows what it came to.
        let words =
            |t: &Taken| post.template.is_some() || (t.body == post.body && t.media.len() == post.media.len());
        let same = |t: &&Taken| t.to == post.to && words(t) && t.created >= since;
        let found = |t: &Taken| FoundPost {
            sid: t.sid.clone(),
            status: Delivery::Sent,
            created: Some(t.created),
            error: None,
        };
        self.taken.iter().filter(same).map(found).collect()
    }
}
