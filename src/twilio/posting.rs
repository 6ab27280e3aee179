//! What leaves the box by a line: texts, several at a time and one a person; and files that are fetched, one at a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::ask::{Ask, Ticket};
use super::client::{Answer, ApiError, Download, DownloadError, RequestError};
use super::line::{Line, Phase};
use super::rest::{Message, post_result};
use crate::types::{LineEvent, MediaResult, MessageId, Mono, Now, Post, PostResult};

/// Texts under way at a time. Twilio bounds how much is asked at a time, not how often.
const WIDTH: usize = 4;
/// After so many that were taken, one more at a time again.
const GROW_AFTER: u32 = 16;
/// Texts that wait here; their sender has a pace, so these are bursts.
const WAITING_MOST: usize = 1024;
/// A pause up to this is waited out here; longer ones are the daemon's to plan with.
const PATIENCE: Duration = Duration::from_secs(15);
const FETCHES_MOST: usize = 256;

/// See the head of this file.
pub(super) struct Posting {
    queue: VecDeque<Box<Post>>,
    pub(super) under_way: BTreeMap<Ticket, Box<Post>>,
    width: usize,
    taken: u32,
    refusals: u32,
    paused: Option<Mono>,
    fetches: VecDeque<(MessageId, u8, String)>,
    fetching: Option<(Ticket, MessageId, u8)>,
}

impl Default for Posting {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            under_way: BTreeMap::new(),
            width: WIDTH,
            taken: 0,
            refusals: 0,
            paused: None,
            fetches: VecDeque::new(),
            fetching: None,
        }
    }
}

impl Posting {
    pub(super) fn drain_queue(&mut self) -> Vec<Post> {
        self.queue.drain(..).map(|post| *post).collect()
    }

    /// The request that is under way, and all that were asked for.
    pub(super) fn drain_fetches(&mut self) -> (Option<Ticket>, Vec<(MessageId, u8)>) {
        let fetching = self.fetching.take();
        let ticket = fetching.as_ref().map(|(ticket, ..)| *ticket);
        let mut all: Vec<_> = fetching.into_iter().map(|(_, message, number)| (message, number)).collect();
        all.extend(self.fetches.drain(..).map(|(message, number, _)| (message, number)));
        (ticket, all)
    }

    /// The first that nobody of the same number is ahead of.
    fn next(&mut self) -> Option<Box<Post>> {
        if self.under_way.len() >= self.width {
            return None;
        }
        let busy = |to: &str| self.under_way.values().any(|post| post.to == to);
        let at = self.queue.iter().position(|post| !busy(&post.to))?;
        self.queue.remove(at)
    }
}

impl Line {
    pub(super) fn post(&mut self, post: Box<Post>, now: Now) {
        let why = match self.phase {
            Phase::Starting | Phase::Up if self.posting.queue.len() < WAITING_MOST => {
                self.posting.queue.push_back(post);
                return self.conversed(now);
            }
            Phase::Starting | Phase::Up => "too many texts wait for the upstream",
            Phase::Waiting | Phase::Ending { .. } | Phase::Down | Phase::Stopped => "the line is down",
        };
        self.posted(*post, PostResult::NotTried { why: why.to_owned() });
    }

    fn posted(&mut self, post: Post, result: PostResult) {
        self.tell(LineEvent::Posted { message: post.message, attempt: post.attempt, result });
    }

    pub(super) fn pump_posts(&mut self, now: Now) {
        if let Some(until) = self.posting.paused {
            if now.mono < until {
                return self.hand_back(until.since(now.mono));
            }
            self.posting.paused = None;
        }
        while self.is_up()
            && let Some(post) = self.posting.next()
        {
            let ticket = self.request(Ask::Create(post.clone()));
            self.posting.under_way.insert(ticket, post);
        }
    }

    /// Texts do not wait here for long.
    fn hand_back(&mut self, pause: Duration) {
        if pause <= PATIENCE {
            return;
        }
        let retry_after = u32::try_from(pause.as_secs()).ok();
        for post in self.posting.drain_queue() {
            let why = "the upstream asked for a pause".to_owned();
            self.posted(post, PostResult::Rejected { code: Some(20429), why, temporary: true, retry_after });
        }
    }

    /// When the pause that the upstream asked for is over.
    pub(super) fn post_due(&self) -> Option<(Mono, &'static str)> {
        self.posting.paused.filter(|_| !self.posting.queue.is_empty()).map(|at| (at, "texts"))
    }

    pub(super) fn post_done(
        &mut self,
        ticket: Ticket,
        answer: Result<Answer<Message>, RequestError>,
        now: Now,
    ) {
        let Some(post) = self.posting.under_way.remove(&ticket) else { return };
        let refusal = match &answer {
            Err(RequestError::Refused(error)) => Some(error.clone()),
            Ok(_) | Err(RequestError::NotSent { .. } | RequestError::Lost { .. }) => None,
        };
        let result = post_result(answer);
        let after = result.clone();
        self.posted(*post, result);
        match after {
            PostResult::Accepted { at, .. } => {
                self.answered(at, now);
                self.widen();
            }
            PostResult::Rejected { .. } => {
                if let Some(error) = refusal {
                    self.post_refused(&error, now);
                }
            }
            // Whether the upstream is there at all shows the next poll; it is not waited for.
            PostResult::Unknown { .. } => self.reads.sooner(now.mono),
            PostResult::NotTried { why } => {
                self.go_down(format!("the upstream cannot be reached: {why}"), None, now);
            }
        }
    }

    fn widen(&mut self) {
        let posting = &mut self.posting;
        posting.refusals = 0;
        posting.taken += 1;
        if posting.taken >= GROW_AFTER && posting.width < WIDTH {
            (posting.width, posting.taken) = (posting.width + 1, 0);
        }
    }

    fn post_refused(&mut self, error: &ApiError, now: Now) {
        if Self::shuts_out(error) {
            return self.refused(error, now);
        }
        // The request came that far: the upstream is there.
        self.answered(None, now);
        if error.status == 429 || error.code == Some(20429) {
            self.posting.width = (self.posting.width / 2).max(1);
            self.posting.taken = 0;
            self.posting.refusals += 1;
            let own =
                self.chance.back_off(Duration::from_secs(1), self.posting.refusals, Duration::from_secs(60));
            let asked = error.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds).min(3600)));
            self.posting.paused = Some(now.mono + asked.unwrap_or(own));
        }
    }

    pub(super) fn fetch(&mut self, message: MessageId, number: u8, url: String) {
        if self.takes_work() && self.posting.fetches.len() < FETCHES_MOST {
            self.posting.fetches.push_back((message, number, url));
            return;
        }
        let result = MediaResult::Later { why: "the line is down, or too many files wait".to_owned() };
        self.tell(LineEvent::Media { message, number, result });
    }

    pub(super) fn pump_fetches(&mut self) {
        if self.posting.fetching.is_none()
            && self.is_up()
            && let Some((message, number, url)) = self.posting.fetches.pop_front()
        {
            let ticket = self.request(Ask::Download(url));
            self.posting.fetching = Some((ticket, message, number));
        }
    }

    pub(super) fn fetch_done(&mut self, ticket: Ticket, file: Result<Download, DownloadError>) {
        let Some((_, message, number)) =
            self.posting.fetching.take_if(|(under_way, ..)| *under_way == ticket)
        else {
            return;
        };
        let result = match file {
            Ok(Download { content_type, bytes }) => MediaResult::Kept { content_type, bytes },
            Err(error) => {
                let why = error.to_string();
                if may_come(&error) { MediaResult::Later { why } } else { MediaResult::Gone { why } }
            }
        };
        self.tell(LineEvent::Media { message, number, result });
    }
}

/// True when the file may be had at another time.
fn may_come(error: &DownloadError) -> bool {
    match error {
        DownloadError::TooLarge | DownloadError::Elsewhere => false,
        DownloadError::Request(RequestError::Refused(error)) => {
            matches!(error.status, 401 | 408 | 429) || error.status >= 500
        }
        DownloadError::Request(RequestError::NotSent { .. } | RequestError::Lost { .. }) => true,
    }
}
