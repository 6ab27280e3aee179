//! One upstream number as a machine: commands, answers and the time in; requests and events out. Owns when what is
//! asked, how long is waited after a refusal, and when the line counts as down. Knows no socket and reads no clock.
//! Texts that leave are in `posting`, what is read is in `reading`.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::ask::{Action, Ask, Reply, Ticket};
use super::chance::Chance;
use super::client::{ApiError, RequestError};
use super::posting::Posting;
use super::reading::Reads;
use crate::config::UpstreamLine;
use crate::types::{
    Channel, LineCommand, LineEvent, LineState, MediaResult, Mono, Now, PhoneNumber, PostResult, PostsFound,
    Registration, SendResult, Wall,
};

/// After a text in or out the box asks often for so long.
const ACTIVE: Duration = Duration::from_secs(300);
/// Between two looks at everything of a day.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Texts under way when the line goes down may still be answered for so long.
const GRACE: Duration = Duration::from_secs(3);
const GRACE_AT_STOP: Duration = Duration::from_millis(600);
/// The line is down after so many failures in a row, or so long of them.
const FAILURES: u32 = 3;
const FAILING: Duration = Duration::from_secs(15);
/// Between two tries while the network is gone: doubled up to the second.
const DOWN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));
/// And while the upstream refuses us; spread, these are 5 to 15 minutes.
const REFUSED: (Duration, Duration) = (Duration::from_secs(400), Duration::from_secs(720));

/// Whose number, and how often it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) account: String,
    pub(super) number: PhoneNumber,
    pub(super) channel: Channel,
    pub(super) service: Option<String>,
    /// For the console: `Twilio`, or the host.
    pub(super) operator: String,
    pub(super) poll: Duration,
    pub(super) idle: Duration,
    pub(super) overlap: Duration,
}

impl Setup {
    pub(super) fn of(line: &UpstreamLine) -> Self {
        let host = super::client::base(&line.api_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.unwrap_or_default();
        Self {
            account: line.account.clone(),
            number: line.number.clone(),
            channel: line.channel,
            service: line.messaging_service.clone(),
            operator: if host.ends_with(".twilio.com") { "Twilio".to_owned() } else { host },
            poll: line.poll,
            idle: line.poll_idle.max(line.poll),
            overlap: line.overlap,
        }
    }
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not told yet from when on.
    Waiting,
    /// The first listing is under way.
    Starting,
    Up,
    /// Texts that are under way may still be answered.
    Ending {
        until: Mono,
        how: Ending,
    },
    Down,
    Stopped,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Down {
        why: String,
        /// What a person must do.
        needs: Option<String>,
    },
    Stop,
}

#[derive(Clone, Copy)]
struct Trouble {
    since: Mono,
    failures: u32,
}

/// See the head of this file.
pub(super) struct Line {
    pub(super) setup: Setup,
    pub(super) chance: Chance,
    pub(super) phase: Phase,
    actions: VecDeque<Action>,
    tickets: u64,
    pub(super) reads: Reads,
    pub(super) posting: Posting,
    trouble: Option<Trouble>,
    /// Tries since it went down.
    tries: u32,
    /// What the daemon was told of it.
    needs: Option<String>,
    active_until: Mono,
    /// The upstream's clock, and when it said so.
    clock: Option<(Mono, Wall)>,
}

impl Line {
    pub(super) fn new(setup: Setup, seed: u64) -> Self {
        Self {
            setup,
            chance: Chance::new(seed),
            phase: Phase::Waiting,
            actions: VecDeque::new(),
            tickets: 0,
            reads: Reads::default(),
            posting: Posting::default(),
            trouble: None,
            tries: 0,
            needs: None,
            active_until: Mono(0),
            clock: None,
        }
    }

    /// Takes a command of the daemon's.
    pub(super) fn handle_command(&mut self, command: LineCommand, now: Now) {
        match command {
            LineCommand::Resume(cursor) if self.phase == Phase::Waiting => {
                self.reads.cursor = cursor;
                self.reads.next_poll = now.mono;
                self.phase = Phase::Starting;
            }
            LineCommand::Resume(_) => tracing::debug!("a line that runs is not begun again"),
            LineCommand::Post(post) => self.post(post, now),
            LineCommand::Find { message, post, since } => self.find(message, post, since),
            LineCommand::Track { sid, since } => self.reads.tracks.add(&sid, now.wall.since(since), now.mono),
            LineCommand::Fetch { message, number, url } => self.fetch(message, number, url),
            LineCommand::Send { part, .. } => {
                let why = "this line takes texts whole, not as PDUs".to_owned();
                self.tell(LineEvent::SendDone { part, result: SendResult::NotTried { why } });
            }
            LineCommand::Proceed { .. } | LineCommand::Free { .. } => {}
        }
        self.pump(now);
    }

    /// Takes the answer to a request. One that was abandoned is not looked at.
    pub(super) fn handle_reply(&mut self, ticket: Ticket, reply: Reply, now: Now) {
        if self.reads.is_under_way(ticket) {
            self.read_done(reply, now);
        } else if let Reply::Message(answer) = reply {
            self.post_done(ticket, *answer, now);
        } else if let Reply::File(file) = reply {
            self.fetch_done(ticket, file);
        }
        self.pump(now);
    }

    /// Something is due.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.pump(now);
    }

    /// Ends: what waits is answered, what is under way has a moment.
    pub(super) fn handle_shutdown(&mut self, now: Now) {
        if !matches!(self.phase, Phase::Stopped | Phase::Ending { how: Ending::Stop, .. }) {
            self.let_go("shutting down");
            self.phase = Phase::Ending { until: now.mono + GRACE_AT_STOP, how: Ending::Stop };
        }
        self.pump(now);
    }

    /// What is to be done next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Line::handle_timeout`] is due, and for what.
    pub(super) fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        let ending = match &self.phase {
            Phase::Ending { until, .. } => Some((*until, "ending")),
            Phase::Waiting | Phase::Starting | Phase::Up | Phase::Down | Phase::Stopped => None,
        };
        [ending, self.read_due(), self.post_due()].into_iter().flatten().min()
    }

    fn pump(&mut self, now: Now) {
        self.pump_reads(now);
        self.pump_posts(now);
        self.pump_fetches();
        self.end(now);
    }

    pub(super) fn tell(&mut self, event: LineEvent) {
        self.actions.push_back(Action::Tell(event));
    }

    pub(super) fn request(&mut self, ask: Ask) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.actions.push_back(Action::Request(ticket, ask));
        ticket
    }

    pub(super) fn abandon(&mut self, ticket: Ticket) {
        self.actions.push_back(Action::Abandon(ticket));
    }

    /// True when finds and fetches are kept for later rather than refused.
    pub(super) fn takes_work(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Starting | Phase::Up => true,
            Phase::Ending { .. } | Phase::Down | Phase::Stopped => false,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    pub(super) fn conversed(&mut self, now: Now) {
        self.active_until = now.mono + ACTIVE;
        self.reads.sooner(now.mono + self.setup.poll);
    }

    pub(super) fn interval(&self, now: Now) -> Duration {
        if now.mono < self.active_until { self.setup.poll } else { self.setup.idle }
    }

    /// The upstream answered: it can be reached, and its clock is known.
    pub(super) fn answered(&mut self, at: Option<Wall>, now: Now) {
        self.trouble = None;
        self.reads.failures = 0;
        if let Some(at) = at {
            self.clock = Some((now.mono, at));
        }
    }

    /// The upstream's clock.
    pub(super) fn upstream(&self, now: Now) -> Option<Wall> {
        self.clock.map(|(then, at)| at + now.mono.since(then))
    }

    /// The upstream lets us in.
    pub(super) fn come_up(&mut self) {
        if !matches!(self.phase, Phase::Starting | Phase::Down) {
            return;
        }
        self.phase = Phase::Up;
        self.tries = 0;
        self.needs = None;
        self.reads.unswept = true;
        self.tell(LineEvent::Up {
            identity: self.setup.account.clone(),
            sim: None,
            number: Some(self.setup.number.clone()),
        });
        self.tell(LineEvent::State(LineState {
            registration: Registration::Home,
            signal_dbm: None,
            operator: Some(self.setup.operator.clone()),
            needs: None,
        }));
    }

    /// No answer, or one of a server that is broken.
    pub(super) fn failed(&mut self, why: &str, now: Now) {
        let before = self.trouble.unwrap_or(Trouble { since: now.mono, failures: 0 });
        let trouble = Trouble { failures: before.failures + 1, ..before };
        self.trouble = Some(trouble);
        let long = trouble.failures >= FAILURES || now.mono.since(trouble.since) >= FAILING;
        if long || self.phase != Phase::Up {
            self.go_down(format!("the upstream cannot be reached: {why}"), None, now);
        }
    }

    /// The upstream does not let us in. One alarm; to ask on would change nothing.
    pub(super) fn refused(&mut self, error: &ApiError, now: Now) {
        let (what, to_do) = match (error.status, error.code) {
            (_, Some(20005 | 30002)) => {
                ("says that the account is not active", ": its console says why and what to do")
            }
            (401, _) | (_, Some(20003)) => (
                "refuses the credentials",
                ": check `account`, and `api_key` with `api_secret_file`, or `auth_token_file`, and restart backroom",
            ),
            (404, _) => ("does not know the account", ": check `account`, and restart backroom"),
            (_, _) => ("refuses what the line asks", ""),
        };
        let needs = format!("{} {what}: {error}{to_do}", self.setup.operator);
        self.go_down(needs.clone(), Some(needs), now);
    }

    /// True when the upstream will take nothing of this account, whatever it is.
    pub(super) fn shuts_out(error: &ApiError) -> bool {
        error.status == 401 || matches!(error.code, Some(20003 | 20005 | 30002))
    }

    /// A line whose settings let nothing be asked: it refuses what comes.
    pub(super) fn break_down(&mut self, why: String) {
        self.phase = Phase::Down;
        self.reads.next_poll = Mono(u64::MAX);
        self.tell(LineEvent::Down { why });
    }

    /// The line takes no texts from now on; what waits is answered, and the daemon told once all is.
    pub(super) fn go_down(&mut self, why: String, needs: Option<String>, now: Now) {
        match self.phase {
            Phase::Starting | Phase::Up | Phase::Down => {}
            Phase::Waiting | Phase::Ending { .. } | Phase::Stopped => return,
        }
        self.let_go(&why);
        self.tries = self.tries.saturating_add(1);
        let (first, most) = if needs.is_some() { REFUSED } else { DOWN };
        self.reads.next_poll = now.mono + self.chance.back_off(first, self.tries, most);
        if self.phase == Phase::Down && self.needs == needs {
            return;
        }
        self.phase = Phase::Ending { until: now.mono + GRACE, how: Ending::Down { why, needs } };
    }

    /// What waits, and what is read, will not be: it is answered.
    fn let_go(&mut self, why: &str) {
        let why = || why.to_owned();
        if let Some(ticket) = self.reads.stop() {
            self.abandon(ticket);
        }
        for message in self.reads.drain_finds() {
            self.tell(LineEvent::Found { message, found: PostsFound::Unreachable { why: why() } });
        }
        for post in self.posting.drain_queue() {
            let result = PostResult::NotTried { why: why() };
            self.tell(LineEvent::Posted { message: post.message, attempt: post.attempt, result });
        }
        let (ticket, fetches) = self.posting.drain_fetches();
        if let Some(ticket) = ticket {
            self.abandon(ticket);
        }
        for (message, number) in fetches {
            self.tell(LineEvent::Media { message, number, result: MediaResult::Later { why: why() } });
        }
    }

    /// Ends what was to end, when nothing is under way any more or it took too long.
    fn end(&mut self, now: Now) {
        let Phase::Ending { until, how } = &self.phase else { return };
        if !self.posting.under_way.is_empty() && now.mono < *until {
            return;
        }
        let how = how.clone();
        for (ticket, post) in std::mem::take(&mut self.posting.under_way) {
            self.abandon(ticket);
            let result = PostResult::Unknown { why: "no answer came before the line went down".to_owned() };
            self.tell(LineEvent::Posted { message: post.message, attempt: post.attempt, result });
        }
        match how {
            Ending::Down { why, needs } => {
                let registration =
                    if needs.is_some() { Registration::Denied } else { Registration::NotSearching };
                self.tell(LineEvent::State(LineState {
                    registration,
                    signal_dbm: None,
                    operator: Some(self.setup.operator.clone()),
                    needs: needs.clone(),
                }));
                self.needs = needs;
                self.tell(LineEvent::Down { why });
                self.phase = Phase::Down;
            }
            Ending::Stop => {
                self.tell(LineEvent::Down { why: "shutting down".to_owned() });
                self.phase = Phase::Stopped;
            }
        }
    }
}

/// Seconds that the upstream asked for; no more than an hour.
pub(super) fn asked_pause(error: &RequestError) -> Option<Duration> {
    let RequestError::Refused(ApiError { retry_after: Some(seconds), .. }) = error else { return None };
    Some(Duration::from_secs(u64::from(*seconds).clamp(1, 3600)))
}

/// Sids that this process told already; the oldest are forgotten. It spares the daemon repeats, no more.
#[derive(Default)]
pub(super) struct Told {
    sids: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Told {
    const MOST: usize = 20_000;

    pub(super) fn holds(&self, sid: &str) -> bool {
        self.sids.contains(sid)
    }

    pub(super) fn add(&mut self, sid: &str) {
        if !self.sids.insert(sid.to_owned()) {
            return;
        }
        self.order.push_back(sid.to_owned());
        if self.order.len() > Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.sids.remove(&oldest);
        }
    }
}
