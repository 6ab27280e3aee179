//! One text on its way to an upstream that takes texts whole and has no idempotency key (Twilio's Messages): after a
//! lost answer it is looked for before anything else happens, and sent again only when it is certainly not there.
//!
//! Rules, in full:
//! - A post whose outcome is not known (no answer, a crash between the row and the answer) is looked for, first after
//!   `settle`: the upstream may still be writing.
//! - Found: it is that one, and nothing is sent.
//! - Looked for twice, `spacing` apart, with answers that could not be misread, and not there: it was lost on the way. It
//!   is posted once more, and only once in its life. Absent again: `Unknown`, for staff.
//! - Nobody to ask: asked again with back-off for `give_up`, then `Unknown`.
//! - A restart forgets nothing of this: what was found out since the text was last handed over stays true, so a box that
//!   is killed again and again comes to an end with it all the same. Only a text that was with the edge is in doubt anew.
//! - An acceptance is true whenever it is heard, also late.
//!
//! Deliberately absent: whose a found text is (the shop knows all ids that it has), pace, and the row.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{Delivery, Mono, Now, PostResult, Wall};

/// Where the posting of a text stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// To be handed over when line and person are free.
    Queued,
    /// Handed over (the row said so first), no answer yet.
    Handed {
        /// In this boot.
        since: Mono,
    },
    /// May or may not be there: to be looked for, not before.
    LookDue {
        /// In this boot.
        not_before: Mono,
    },
    /// Being looked for.
    Looking {
        /// In this boot.
        since: Mono,
    },
    /// The upstream has it.
    Accepted {
        /// Its id there.
        sid: String,
    },
    /// The upstream will not have it.
    Rejected {
        /// Its error number.
        code: Option<u32>,
        /// In words.
        why: String,
    },
    /// Nobody can tell: for the staff.
    Unknown {
        /// In words.
        why: String,
    },
}

/// A text's posting, and all that is needed to bring it to an end. Kept with its part, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Where it stands.
    pub state: PostState,
    /// Hand-overs so far: the number of the last one.
    pub attempts: u32,
    /// Not older than this is what is looked for. By the older of our clock and the upstream's, less a margin.
    pub since: Wall,
    /// Temporary refusals so far.
    #[serde(default)]
    pub refusals: u32,
    /// Sent again because it was certainly not there.
    #[serde(default)]
    pub resent: u32,
    /// Since when it is in doubt, in this boot; later than now: in one before.
    #[serde(default)]
    pub doubt: Mono,
    /// Looks of this doubt that reached nobody: drives the back-off.
    #[serde(default)]
    pub misses: u32,
    /// When this doubt's first look found nothing; later than now: in a boot before.
    #[serde(default)]
    pub first_absent: Option<Mono>,
}

/// What a look came to, once the texts that are another message's are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    Found {
        /// Its id there.
        sid: String,
        /// Where it stands.
        status: Delivery,
        /// Why it failed.
        error: Option<u32>,
    },
    /// It is not.
    Absent,
    /// Nobody could be asked.
    Unreachable,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostInput {
    /// Line and person are free: it leaves after the commit. The earliest time that it can bear at the upstream.
    Hand(Wall),
    /// Its time has come ([`Posting::due`]).
    Due,
    /// The post was answered: which one, and how.
    Posted(u32, PostResult),
    /// The look was.
    Looked(Look),
    /// The daemon started: what was under way is not any more. Perhaps the machine did, too: times of the boot before
    /// say no more than that they were before this one.
    Restarted,
    /// Staff say: send it again, on their responsibility.
    Resend,
}

/// What is to be done now; the row is committed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostAction {
    /// Hand it over.
    Post,
    /// Look for it.
    Find,
    /// The upstream has it.
    Accepted {
        /// Its id there.
        sid: String,
        /// Where it stands.
        status: Delivery,
        /// Why it failed, when that is known already.
        error: Option<u32>,
    },
    /// Back into the queue; the line pauses as told, or by its own back-off.
    Queue {
        /// Why, in words.
        why: String,
        /// How the line fared.
        pause: Pause,
    },
    /// It will not be sent.
    Rejected {
        /// The upstream's error number.
        code: Option<u32>,
        /// In words.
        why: String,
    },
    /// It came into doubt; the line is free for others.
    Doubt {
        /// In words.
        why: String,
    },
    /// Nobody can tell.
    Unknown {
        /// In words.
        why: String,
    },
}

/// What a text that goes back into the queue means for its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing.
    None,
    /// The line could not be reached: a pause of its own length.
    Line,
    /// The upstream refuses for the moment: at least this long.
    Asked(Option<Duration>),
}

/// The owner's settings about posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostPolicy {
    /// How long after an unknown outcome it is first looked for.
    pub settle: Duration,
    /// Between the looks that must both find nothing.
    pub spacing: Duration,
    /// Whether a text that is certainly not there is posted once more by itself.
    pub resend: bool,
    /// Longest pause between looks that reach nobody.
    pub backoff_most: Duration,
    /// How long somebody to ask is waited for.
    pub give_up: Duration,
    /// Temporary refusals after which it fails.
    pub retries: u32,
}

impl Default for PostPolicy {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(10),
            spacing: Duration::from_secs(60),
            resend: true,
            backoff_most: Duration::from_secs(300),
            give_up: Duration::from_secs(86_400),
            retries: 20,
        }
    }
}

/// A post or look that nobody answered for this long is taken as unanswered: the edge's own time-outs are far
/// shorter, so it has died.
const LOST: Duration = Duration::from_secs(600);

/// `Retry-After` is honoured up to this.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);

impl Default for Posting {
    fn default() -> Self {
        Self {
            state: PostState::Queued,
            attempts: 0,
            since: Wall(0),
            refusals: 0,
            resent: 0,
            doubt: Mono(0),
            misses: 0,
            first_absent: None,
        }
    }
}

impl Posting {
    /// True when it came to an end; a late acceptance and [`PostInput::Resend`] move an unknown one yet.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.state {
            PostState::Accepted { .. } | PostState::Rejected { .. } | PostState::Unknown { .. } => true,
            PostState::Queued
            | PostState::Handed { .. }
            | PostState::LookDue { .. }
            | PostState::Looking { .. } => false,
        }
    }

    /// True while nobody knows whether the upstream has it, and that is still being found out.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, PostState::LookDue { .. } | PostState::Looking { .. })
    }

    /// When [`PostInput::Due`] is wanted.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        match &self.state {
            PostState::LookDue { not_before } => Some(*not_before),
            PostState::Handed { since } | PostState::Looking { since } => Some(*since + LOST),
            PostState::Queued
            | PostState::Accepted { .. }
            | PostState::Rejected { .. }
            | PostState::Unknown { .. } => None,
        }
    }

    /// One step. An input that does not fit the state (a late answer, an early timer) changes nothing.
    pub fn handle(&mut self, input: PostInput, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        match input {
            PostInput::Hand(since) => self.hand(since, now),
            PostInput::Due => self.handle_due(now, policy),
            PostInput::Posted(attempt, result) => self.handle_posted(attempt, result, now, policy),
            PostInput::Looked(look) => self.handle_looked(look, now, policy),
            PostInput::Restarted => self.handle_restarted(now, policy),
            PostInput::Resend => self.handle_resend(),
        }
    }

    fn hand(&mut self, since: Wall, now: Now) -> Option<PostAction> {
        if self.state != PostState::Queued {
            return None;
        }
        // What the first try left behind is looked for after the second as well.
        self.since = if self.resent > 0 { self.since.min(since) } else { since };
        self.attempts = self.attempts.saturating_add(1);
        self.state = PostState::Handed { since: now.mono };
        Some(PostAction::Post)
    }

    fn handle_due(&mut self, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        if self.due().is_none_or(|due| now.mono < due) {
            return None;
        }
        match self.state {
            PostState::LookDue { .. } => {
                self.state = PostState::Looking { since: now.mono };
                Some(PostAction::Find)
            }
            PostState::Handed { .. } => Some(self.doubt("the post was never answered", now, policy)),
            PostState::Looking { .. } => self.missed(now, policy),
            PostState::Queued
            | PostState::Accepted { .. }
            | PostState::Rejected { .. }
            | PostState::Unknown { .. } => None,
        }
    }

    fn handle_posted(
        &mut self,
        attempt: u32,
        result: PostResult,
        now: Now,
        policy: &PostPolicy,
    ) -> Option<PostAction> {
        let open = !self.is_settled() || matches!(self.state, PostState::Unknown { .. });
        let awaited = matches!(self.state, PostState::Handed { .. }) && attempt == self.attempts;
        match result {
            PostResult::Accepted { sid, status, .. } if open && attempt > 0 && attempt <= self.attempts => {
                Some(self.accept(sid, status, None))
            }
            PostResult::Rejected { code, why, temporary, retry_after } if awaited => {
                self.refusals = self.refusals.saturating_add(1);
                if temporary && self.refusals < policy.retries {
                    self.state = PostState::Queued;
                    let asked = retry_after.map(|s| Duration::from_secs(u64::from(s)).min(RETRY_AFTER_MOST));
                    return Some(PostAction::Queue { why, pause: Pause::Asked(asked) });
                }
                self.state = PostState::Rejected { code, why: why.clone() };
                Some(PostAction::Rejected { code, why })
            }
            PostResult::NotTried { why } if awaited => {
                self.state = PostState::Queued;
                Some(PostAction::Queue { why, pause: Pause::Line })
            }
            PostResult::Unknown { why } if awaited => Some(self.doubt(&why, now, policy)),
            PostResult::Accepted { .. }
            | PostResult::Rejected { .. }
            | PostResult::NotTried { .. }
            | PostResult::Unknown { .. } => None,
        }
    }

    fn handle_looked(&mut self, look: Look, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        match look {
            Look::Found { sid, status, error } if self.is_in_doubt() => Some(self.accept(sid, status, error)),
            Look::Absent if matches!(self.state, PostState::Looking { .. }) => self.absent(now, policy),
            Look::Unreachable if matches!(self.state, PostState::Looking { .. }) => self.missed(now, policy),
            Look::Found { .. } | Look::Absent | Look::Unreachable => None,
        }
    }

    fn absent(&mut self, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        self.misses = 0;
        let first = *self.first_absent.get_or_insert(now.mono);
        let again = first + policy.spacing.max(Duration::from_millis(1));
        if now.mono < again {
            self.state = PostState::LookDue { not_before: again };
            return None;
        }
        if !policy.resend || self.resent > 0 {
            let why = match self.resent {
                0 => "no answer came, and the upstream does not show it",
                _ => "no answer came twice, and the upstream shows neither",
            };
            return Some(self.unknown(why));
        }
        self.resent += 1;
        self.state = PostState::Queued;
        let why = "no answer came, and the upstream does not have it: it is sent again".to_owned();
        Some(PostAction::Queue { why, pause: Pause::None })
    }

    fn missed(&mut self, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        if now.mono.since(self.doubt) >= policy.give_up {
            return Some(self.unknown("no answer came, and the upstream cannot be asked"));
        }
        let pause = policy.settle.max(Duration::from_secs(1)).saturating_mul(1 << self.misses.min(16));
        self.misses = self.misses.saturating_add(1);
        self.state = PostState::LookDue { not_before: now.mono + pause.min(policy.backoff_most) };
        None
    }

    fn handle_restarted(&mut self, now: Now, policy: &PostPolicy) -> Option<PostAction> {
        match self.state {
            PostState::Handed { .. } => {
                Some(self.doubt("the box stopped between handing it over and hearing back", now, policy))
            }
            PostState::LookDue { .. } | PostState::Looking { .. } => {
                self.look_on(now, policy);
                None
            }
            PostState::Queued
            | PostState::Accepted { .. }
            | PostState::Rejected { .. }
            | PostState::Unknown { .. } => None,
        }
    }

    /// It was not handed over since it came into doubt: only when it is looked for next is reckoned anew.
    fn look_on(&mut self, now: Now, policy: &PostPolicy) {
        // A time to come is one of another boot. It was before this one began, which makes the time since then longer
        // than it looks: never shorter. The same goes for one of another boot that looks like one of this.
        let known = |at: Mono| if at > now.mono { Mono(0) } else { at };
        self.doubt = known(self.doubt);
        self.first_absent = self.first_absent.map(known);
        // Who could not be asked may be asked now.
        self.misses = 0;
        let not_before = match self.first_absent {
            Some(first) => first + policy.spacing,
            None => self.doubt + policy.settle,
        };
        self.state = PostState::LookDue { not_before };
    }

    fn handle_resend(&mut self) -> Option<PostAction> {
        if !matches!(self.state, PostState::Unknown { .. }) {
            return None;
        }
        self.state = PostState::Queued;
        self.refusals = 0;
        // Of what was sent before, nothing more is asked: staff decided.
        self.resent = 1;
        Some(PostAction::Queue { why: "sent again by staff".to_owned(), pause: Pause::None })
    }

    fn doubt(&mut self, why: &str, now: Now, policy: &PostPolicy) -> PostAction {
        self.doubt = now.mono;
        self.misses = 0;
        self.first_absent = None;
        self.state = PostState::LookDue { not_before: now.mono + policy.settle };
        PostAction::Doubt { why: why.to_owned() }
    }

    fn accept(&mut self, sid: String, status: Delivery, error: Option<u32>) -> PostAction {
        self.state = PostState::Accepted { sid: sid.clone() };
        PostAction::Accepted { sid, status, error }
    }

    fn unknown(&mut self, why: &str) -> PostAction {
        self.state = PostState::Unknown { why: why.to_owned() };
        PostAction::Unknown { why: why.to_owned() }
    }
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
