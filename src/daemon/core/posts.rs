//! Texts on their way out by a line that takes them whole. The row says `handed` in the commit after which the post
//! leaves; what then becomes of it is decided by `outbox::Posting`, which is kept with the row: a text of which nobody
//! knows whether the upstream has it is looked for there, also after a restart.
//!
//! Which found text is whose: one whose id no other message of the shop has. So that this is always right, of one person's
//! texts one is under way at a time, none follows one in doubt that has the same words, and others wait a while.

use std::time::Duration;

use serde_json::{Value, json};

use super::gate::Pass;
use super::pace::Next;
use super::sending::Outgoing;
use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::flow::Input;
use crate::outbox::{Look, Pause, PostAction, PostInput, PostPolicy, PostState, Posting};
use crate::store::{MessageStatus, Op, PartRow, PartState};
use crate::types::{Delivery, FoundPost, LineCommand, LineId, MessageId, Post, PostResult, PostsFound, Wall};

/// Posts that may be under way at a line.
const AT_ONCE: usize = 4;

/// How long a text in doubt holds back the same person's next ones that say something else.
pub(super) const DOUBT_HOLDS: Duration = Duration::from_secs(300);

/// How far the upstream's clock and ours, and its filters, may be off when a text is looked for.
const MARGIN_MS: i64 = 15 * 60 * 1000;

/// Twilio's error for a recipient who opted out there.
const OPTED_OUT: u32 = 21610;

/// How a whole text's posting stands; `None` for a PDU.
pub(super) fn posting_of(part: &PartRow) -> Option<Posting> {
    if !part.pdu.starts_with('{') {
        return None;
    }
    let read: Result<Posting, _> = serde_json::from_str(&part.pdu);
    let mut posting = read.unwrap_or_else(|_| Posting { attempts: part.attempts, ..Posting::default() });
    let why = || part.note.clone().unwrap_or_default();
    // A copy of the database that was restored puts texts into doubt by their state alone.
    match (part.state, &posting.state) {
        (PartState::Unknown, PostState::Unknown { .. }) => {}
        (PartState::Unknown, _) => posting.state = PostState::Unknown { why: why() },
        (PartState::Handed, PostState::Queued) => {
            posting.state = PostState::Handed { since: Default::default() }
        }
        (PartState::Failed, _) => posting.state = PostState::Rejected { code: None, why: why() },
        (PartState::Queued | PartState::Handed | PartState::Sent | PartState::Delivered, _) => {}
    }
    Some(posting)
}

impl Shop {
    pub(super) fn post_policy(&self) -> PostPolicy {
        PostPolicy {
            settle: self.settings.seconds("sms.settle"),
            spacing: self.settings.seconds("sms.look_again"),
            resend: self.settings.switch("sms.resend_lost"),
            retries: self.settings.count("sms.retries"),
            ..PostPolicy::default()
        }
    }

    /// A whole text of the run before.
    pub(super) fn load_post(&mut self, cx: &mut Cx<'_>, out: Outgoing) {
        let id = out.row.id.clone();
        let line = out.row.line.clone();
        let state = out.posting.as_ref().map(|p| p.state.clone());
        let (sid, since) = (out.row.carriage.sid.clone(), out.parts.first().map(|p| p.updated));
        self.outgoing.insert(id.clone(), out);
        let known = line.filter(|line| self.lines.get(line).is_some_and(super::lines::Line::takes_whole));
        match (state, known) {
            (Some(PostState::Queued), _) => self.queue_loaded(cx, &id),
            (
                Some(PostState::Handed { .. } | PostState::LookDue { .. } | PostState::Looking { .. }),
                Some(line),
            ) => self.post_input(cx, &line, &id, PostInput::Restarted),
            (
                Some(PostState::Handed { .. } | PostState::LookDue { .. } | PostState::Looking { .. }),
                None,
            ) => {
                let why = "its line is not in the configuration any more, so it cannot be looked for";
                if let Some(posting) = self.outgoing.get_mut(&id).and_then(|o| o.posting.as_mut()) {
                    posting.state = PostState::Unknown { why: why.to_owned() };
                }
                self.post_unknown(cx, &id, why);
            }
            (Some(PostState::Accepted { .. }), line) => {
                if let (Some(line), Some(sid)) = (line, sid) {
                    self.by_sid.insert(sid.clone(), id.clone());
                    let since = since.unwrap_or(cx.now.wall);
                    cx.after(Effect::Line(line, LineCommand::Track { sid, since }));
                }
                cx.timers.set(TimerKey::Told(self.id.clone(), id), cx.now.mono + super::deliveries::TOLD);
            }
            (Some(PostState::Unknown { .. }), _) => {}
            (Some(PostState::Rejected { .. }) | None, _) => {
                self.outgoing.remove(&id);
            }
        }
    }

    /// Hands the line its next text. True when something changed.
    pub(super) fn pump_whole(&mut self, cx: &mut Cx<'_>, id: &LineId) -> bool {
        let Some(line) = self.lines.get(id) else { return false };
        if self.stopping || !line.can_send() || line.paused || line.posts.len() >= AT_ONCE {
            return false;
        }
        // By the older clock: what is looked for later must not be missed because ours goes fast.
        let earliest = line.cursor.map_or(cx.now.wall, |cursor| cursor.min(cx.now.wall));
        match self.next_text(cx, id) {
            Next::Nothing => false,
            Next::Changed => true,
            Next::Text(message, pass) => {
                let since = Wall(earliest.0.saturating_sub(MARGIN_MS));
                self.post_step(cx, id, &message, PostInput::Hand(since), Some(pass));
                true
            }
        }
    }

    /// A line answered for a post.
    pub(super) fn posted(
        &mut self,
        cx: &mut Cx<'_>,
        line: &LineId,
        id: &MessageId,
        attempt: u32,
        result: PostResult,
    ) {
        if self.outgoing.get(id).is_none_or(|out| out.posting.is_none()) {
            self.count("answers_to_no_question");
            return;
        }
        if let (PostResult::Accepted { .. }, Some(line)) = (&result, self.lines.get_mut(line)) {
            line.pauses = 0;
        }
        self.post_input(cx, line, id, PostInput::Posted(attempt, result));
    }

    /// What looking for a text came to.
    pub(super) fn found(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId, found: PostsFound) {
        let look = match found {
            PostsFound::Unreachable { .. } => Look::Unreachable,
            PostsFound::These(list) => {
                let own = |f: &FoundPost| !self.sids.has(&f.sid) || self.by_sid.get(&f.sid) == Some(id);
                match list.into_iter().find(own) {
                    Some(FoundPost { sid, status, error, .. }) => Look::Found { sid, status, error },
                    None => Look::Absent,
                }
            }
        };
        self.post_input(cx, line, id, PostInput::Looked(look));
    }

    /// It is time to look for a text, or nobody answered for its post.
    pub(super) fn post_due(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        let Some(line) = self.outgoing.get(id).and_then(|out| out.row.line.clone()) else { return };
        self.post_input(cx, &line, id, PostInput::Due);
    }

    /// Staff say: send what is in doubt once more.
    pub(super) fn resend_post(&mut self, cx: &mut Cx<'_>, id: &MessageId) -> Result<Value, String> {
        let posting = self.outgoing.get(id).and_then(|out| out.posting.as_ref());
        match posting.map(|p| &p.state) {
            Some(PostState::Unknown { .. }) => {}
            Some(PostState::LookDue { .. } | PostState::Looking { .. }) => {
                return Err(format!(
                    "{id} is being looked for at the upstream; its outcome will be known soon"
                ));
            }
            _ => return Err(format!("{id} is not in doubt")),
        }
        let line = self.outgoing.get(id).and_then(|out| out.row.line.clone());
        let line = line.ok_or_else(|| format!("{id} has no line"))?;
        self.post_input(cx, &line, id, PostInput::Resend);
        Ok(json!({ "id": id, "parts": 1 }))
    }

    fn post_input(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId, input: PostInput) {
        self.post_step(cx, line, id, input, None);
    }

    /// One step of a posting, written down, and what follows from it. Only what has a pass is handed over.
    fn post_step(
        &mut self,
        cx: &mut Cx<'_>,
        line: &LineId,
        id: &MessageId,
        input: PostInput,
        pass: Option<Pass>,
    ) {
        let policy = self.post_policy();
        let Some(out) = self.outgoing.get_mut(id) else { return };
        let Some(posting) = out.posting.as_mut() else { return };
        let before = posting.clone();
        let started = input == PostInput::Restarted;
        let action = posting.handle(input, cx.now, &policy);
        let changed = action.is_some() || *posting != before;
        if !changed && !started {
            self.count("answers_to_no_question");
            return;
        }
        let timer = TimerKey::Post(self.id.clone(), id.clone());
        match posting.due() {
            Some(at) => cx.timers.set(timer, at),
            None => cx.timers.cancel(&timer),
        }
        self.note_under_way(line, id);
        let Some(action) = action else {
            if changed {
                self.put_post(cx, id, None);
            }
            return;
        };
        match action {
            PostAction::Post => {
                if let Some(pass) = pass {
                    self.hand_over(cx, line, id, pass);
                }
            }
            PostAction::Find => {
                self.put_post(cx, id, None);
                if let Some((post, since)) = self.post_of(id) {
                    let find = LineCommand::Find { message: id.clone(), post: Box::new(post), since };
                    cx.after(Effect::Line(line.clone(), find));
                }
            }
            PostAction::Accepted { sid, status, error } => {
                self.post_accepted(cx, line, id, sid, status, error)
            }
            PostAction::Queue { why, pause } => self.queue_again(cx, line, id, why, pause),
            PostAction::Rejected { code, why } => {
                let words = code.map_or_else(|| why.clone(), |code| format!("{code}: {why}"));
                if let Some(out) = self.outgoing.get_mut(id) {
                    out.row.carriage.error = code;
                }
                self.put_post(cx, id, Some(words.clone()));
                if let Some(code) = code {
                    self.upstream_refused(cx, line, id, code);
                }
                self.fail_message(cx, id, &format!("refused by the upstream: {words}"));
            }
            PostAction::Doubt { why } => self.put_post(cx, id, Some(why)),
            PostAction::Unknown { why } => self.post_unknown(cx, id, &why),
        }
    }

    /// Keeps what the line knows of this text in step with its posting.
    fn note_under_way(&mut self, line: &LineId, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        let Some(line) = self.lines.get_mut(line) else { return };
        let person = &out.row.peer;
        let posting = out.posting.as_ref();
        match posting.is_some_and(|p| matches!(p.state, PostState::Handed { .. })) {
            true => {
                line.posts.insert(id.clone(), person.clone());
            }
            false => {
                line.posts.remove(id);
            }
        }
        match posting.is_some_and(Posting::is_in_doubt) {
            true => {
                let doubts = line.doubts.entry(person.clone()).or_default();
                if !doubts.contains(id) {
                    doubts.push(id.clone());
                }
            }
            false => {
                if let Some(doubts) = line.doubts.get_mut(person) {
                    doubts.retain(|m| m != id);
                    if doubts.is_empty() {
                        line.doubts.remove(person);
                    }
                }
            }
        }
    }

    /// Writes how a posting stands. `note`: why.
    fn put_post(&mut self, cx: &mut Cx<'_>, id: &MessageId, note: Option<String>) {
        let Some(out) = self.outgoing.get_mut(id) else { return };
        let (Some(posting), Some(part)) = (&out.posting, out.parts.first_mut()) else { return };
        part.state = match &posting.state {
            PostState::Queued => PartState::Queued,
            PostState::Handed { .. } | PostState::LookDue { .. } | PostState::Looking { .. } => {
                PartState::Handed
            }
            PostState::Accepted { .. } => PartState::Sent,
            PostState::Rejected { .. } => PartState::Failed,
            PostState::Unknown { .. } => PartState::Unknown,
        };
        part.pdu = json!(posting).to_string();
        part.attempts = posting.attempts;
        part.note = note.or_else(|| part.note.take());
        part.updated = cx.now.wall;
        cx.put(Op::PutPart(part.clone()));
    }

    /// From the commit of this step on it may be at the upstream.
    fn hand_over(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId, pass: Pass) {
        self.unqueue(id);
        self.wrap(cx, line, id);
        let Some(out) = self.outgoing.get_mut(id) else { return };
        if let Some(part) = out.parts.first_mut() {
            part.line = Some(line.clone());
        }
        if out.row.status != MessageStatus::Sending {
            out.row.status = MessageStatus::Sending;
            out.row.updated = cx.now.wall;
            cx.put(Op::PutMessage(out.row.clone()));
        }
        let prompt = out.prompt.clone();
        self.put_post(cx, id, None);
        if let Some((post, _)) = self.post_of(id) {
            pass.post(cx, post);
        }
        if let Some(sid) = prompt {
            self.prompt(cx, &sid, Input::PromptHanded(id.clone()));
        }
    }

    /// A text as it is handed over, and since when it may be at the upstream.
    fn post_of(&self, id: &MessageId) -> Option<(Post, Wall)> {
        let out = self.outgoing.get(id)?;
        let posting = out.posting.as_ref()?;
        let post = Post {
            message: id.clone(),
            attempt: posting.attempts,
            channel: out.row.carriage.channel,
            to: out.row.peer.clone(),
            body: out.row.body.clone(),
            media: out.files.clone(),
            template: out.row.carriage.template.clone(),
        };
        Some((post, posting.since))
    }

    fn post_accepted(
        &mut self,
        cx: &mut Cx<'_>,
        line: &LineId,
        id: &MessageId,
        sid: String,
        status: Delivery,
        error: Option<u32>,
    ) {
        self.put_post(cx, id, None);
        // Two messages with one id cannot be written; that it comes to this is a mistake somewhere.
        let taken = self.sids.has(&sid) && self.by_sid.get(&sid) != Some(id);
        if taken {
            cx.alarm(format!(
                "text {id}: the upstream gave it the id of another one; nothing more is heard of it"
            ));
        }
        let Some(out) = self.outgoing.get_mut(id) else { return };
        out.row.note = None;
        if !taken {
            out.row.carriage.sid = Some(sid.clone());
            self.by_sid.insert(sid.clone(), id.clone());
            self.sids.note(sid.clone(), cx.now.wall);
            let since = cx.now.wall;
            cx.after(Effect::Line(line.clone(), LineCommand::Track { sid: sid.clone(), since }));
        }
        let prompt = out.prompt.take();
        self.delivered_so_far(cx, id, status, error, None);
        if let Some(sid) = prompt {
            self.prompt(cx, &sid, Input::PromptAccepted(id.clone()));
        }
        if !taken {
            self.early_statuses(cx, &sid);
        }
    }

    fn queue_again(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId, why: String, pause: Pause) {
        self.unwrap_words(id);
        let Some(out) = self.outgoing.get_mut(id) else { return };
        out.row.status = MessageStatus::Queued;
        out.row.updated = cx.now.wall;
        cx.put(Op::PutMessage(out.row.clone()));
        let person = out.row.peer.clone();
        self.put_post(cx, id, Some(why));
        match pause {
            Pause::None => {
                self.go_by_a_line_that_lives(cx, id);
                self.enqueue(cx, id);
                // What was said to this person since has waited for it.
                let line = self.outgoing.get(id).and_then(|out| out.row.line.as_ref());
                if let Some(line) = line.and_then(|line| self.lines.get_mut(line)) {
                    line.queue.bring_forward(id);
                }
            }
            Pause::Line | Pause::Asked(_) => {
                if let Some(l) = self.lines.get_mut(line) {
                    l.queue.push_front(id.clone(), person);
                }
                if let Pause::Asked(asked) = pause {
                    self.step_back(line, id);
                    self.pause(cx, line, asked);
                } else {
                    self.pause(cx, line, None);
                }
            }
        }
    }

    fn post_unknown(&mut self, cx: &mut Cx<'_>, id: &MessageId, why: &str) {
        cx.alarm(format!("text {id} is unknown: {why}"));
        self.put_post(cx, id, Some(why.to_owned()));
        let Some(out) = self.outgoing.get_mut(id) else { return };
        out.row.status = MessageStatus::Unknown;
        out.row.note = Some(why.to_owned());
        out.row.updated = cx.now.wall;
        cx.put(Op::PutMessage(out.row.clone()));
        if let Some(sid) = out.prompt.take() {
            self.prompt(cx, &sid, Input::PromptAccepted(id.clone()));
        }
    }

    /// The upstream's number for why a text will not reach its person.
    pub(super) fn upstream_refused(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId, code: u32) {
        let Some(person) = self.outgoing.get(id).map(|out| out.row.peer.clone()) else { return };
        if code == OPTED_OUT {
            self.upstream_blocked(cx, line, &person, code);
        }
    }

    /// Texts in doubt that staff may be asked about.
    pub(super) fn posts_unknown(&self) -> usize {
        let unknown =
            |o: &&Outgoing| o.posting.as_ref().is_some_and(|p| matches!(p.state, PostState::Unknown { .. }));
        self.outgoing.values().filter(unknown).count()
    }
}
