//! A call as its holder sees it: its phase, its end, its sound. How it is set up is in `caller` and `called`.

use super::Error;
use super::agent::Shared;
use super::talk::{Talk, Wrong};
use crate::rtp::sound::{Heard, NotHeard};
use crate::rtp::{How, Key, KeyHeard, Sound};
use crate::sip::{Dialog, Message, Peer, Served, lock};
use serde::Serialize;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// This end hung up, declined or gave up.
    Us,
    /// The other end hung up.
    Them,
    /// The other end did not take the call.
    Refused,
    /// The caller cancelled before anybody took it.
    Cancelled,
    /// Nobody answered on the network.
    Silence,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    pub by: By,
    /// The final status; 200 for a call that was answered and hung up.
    pub status: u16,
    /// The status' phrase, or the text of the BYE's Reason.
    pub reason: String,
    /// Seconds of a Retry-After.
    pub retry_after: Option<u32>,
    /// The Contact of a 3xx.
    pub contact: Option<String>,
}

impl End {
    pub(super) fn new(by: By, status: u16, reason: &str) -> End {
        End { by, status, reason: reason.into(), retry_after: None, contact: None }
    }
}

/// Where a call is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nobody has said anything but 100.
    Begun,
    /// The last provisional status.
    Ringing(u16),
    Answered,
    Ended(End),
}

pub(super) struct State {
    /// The dialog, once it is confirmed; for who is called, from the start.
    pub(super) dialog: Option<Dialog>,
    /// Early dialogs of a caller.
    pub(super) early: Vec<(Dialog, u32)>,
    /// The caller's INVITE as it was sent last.
    pub(super) invite: Option<(Message, Peer)>,
    /// Provisional statuses in order.
    pub(super) provisional: Vec<u16>,
    pub(super) cancelling: bool,
    /// ACK of the last 2xx to an INVITE of ours, for when the 2xx comes again.
    pub(super) ack: Option<(u32, Message, Peer)>,
    /// The INVITE that is to be answered.
    pub(super) served: Option<Served>,
    /// CSeq of the other end's INVITE whose ACK will bring the answer.
    pub(super) awaits_answer: bool,
    /// Reliable provisional responses that wait for their PRACK.
    pub(super) reliable: Option<(u32, AbortHandle)>,
    pub(super) sequence: u32,
    pub(super) talk: Talk,
    /// An offer of ours is on its way.
    pub(super) offering: bool,
    /// What the NOTIFYs of a transfer said last.
    pub(super) transfer: watch::Sender<Option<u16>>,
    pub(super) quirks: Quirks,
    /// Re-INVITEs and UPDATEs of the other end that were answered.
    pub(super) refreshed: u32,
    /// Tags of further forks that answered, and whether the caller has hung up on each.
    pub(super) forks: Vec<(String, bool)>,
}

impl State {
    /// Who the call was set up with.
    pub(super) fn peer(&self, otherwise: Peer) -> Peer {
        let called = self.served.as_ref().map(|served| served.from);
        called.or_else(|| self.invite.as_ref().map(|(_, peer)| *peer)).unwrap_or(otherwise)
    }

    pub(super) fn end_fork(&mut self, tag: &str) -> bool {
        let fork = self.forks.iter_mut().find(|(known, _)| known == tag);
        fork.map(|(_, ended)| *ended = true).is_some()
    }
}

/// What this end does wrong on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quirks {
    /// Answers 200 to an INVITE after its CANCEL.
    pub answers_after_cancel: bool,
    /// Sends no ACK.
    pub never_acknowledges: bool,
    /// Refuses so many offers of the other end within the call with 491.
    pub glares: u32,
    pub wrong: Option<Wrong>,
}

pub(super) struct Inside {
    pub(super) shared: Weak<Shared>,
    pub(super) call_id: String,
    pub(super) local_tag: String,
    pub(super) number: String,
    pub(super) state: Mutex<State>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) sound: Arc<Sound>,
}

impl Inside {
    pub(super) fn is(&self, call_id: &str, local_tag: &str) -> bool {
        self.call_id == call_id && self.local_tag == local_tag
    }

    pub(super) fn serves(&self, id: &str) -> bool {
        lock(&self.state).served.as_ref().is_some_and(|served| served.id() == id)
    }
}

/// A call. Clones are the same call.
#[derive(Clone)]
pub struct Call {
    pub(super) inside: Arc<Inside>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "call {} {:?}", self.inside.call_id, self.phase())
    }
}

impl Call {
    pub(super) fn of(inside: Arc<Inside>) -> Call {
        Call { inside }
    }

    pub(super) fn begin(
        shared: &Arc<Shared>,
        call_id: &str,
        local_tag: &str,
        number: &str,
        sound: Arc<Sound>,
    ) -> Call {
        let settings = &shared.settings;
        let talk =
            Talk::new(sound.clone(), settings.laws.clone(), settings.events, settings.secure, settings.ip);
        let state = State {
            dialog: None,
            early: Vec::new(),
            invite: None,
            provisional: Vec::new(),
            cancelling: false,
            ack: None,
            served: None,
            awaits_answer: false,
            reliable: None,
            sequence: 0,
            talk,
            offering: false,
            transfer: watch::channel(None).0,
            quirks: Quirks::default(),
            refreshed: 0,
            forks: Vec::new(),
        };
        let inside = Arc::new(Inside {
            shared: Arc::downgrade(shared),
            call_id: call_id.into(),
            local_tag: local_tag.into(),
            number: number.into(),
            state: Mutex::new(state),
            phase: watch::channel(Phase::Begun).0,
            sound,
        });
        lock(&shared.calls).push(inside.clone());
        Call { inside }
    }

    pub(super) fn shared(&self) -> Result<Arc<Shared>, Error> {
        self.inside.shared.upgrade().ok_or(Error::Gone)
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.inside.call_id
    }

    /// Its phases as they come.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.inside.phase.subscribe()
    }

    /// What was dialled: by this end, or by the other one to reach this end.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.inside.number
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.inside.phase.borrow().clone()
    }

    /// The other end's INVITE.
    #[must_use]
    pub fn invite(&self) -> Option<Arc<Message>> {
        lock(&self.inside.state).served.as_ref().map(|served| served.request.clone())
    }

    /// The other end's INVITE with who sent it.
    pub(crate) fn served(&self) -> Option<Served> {
        lock(&self.inside.state).served.clone()
    }

    /// Provisional statuses of the other end in order, without 100.
    #[must_use]
    pub fn provisional(&self) -> Vec<u16> {
        lock(&self.inside.state).provisional.clone()
    }

    /// Re-INVITEs and UPDATEs of the other end that this one answered.
    #[must_use]
    pub fn refreshed(&self) -> u32 {
        lock(&self.inside.state).refreshed
    }

    /// Further forks that answered and were hung up on, of all that answered.
    #[must_use]
    pub fn forks_ended(&self) -> (usize, usize) {
        let state = lock(&self.inside.state);
        (state.forks.iter().filter(|(_, ended)| *ended).count(), state.forks.len())
    }

    /// Whether the other end neither sends nor receives, or only sends: this end is on hold.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !lock(&self.inside.state).talk.theirs.receives()
    }

    /// Does these things wrong from now on.
    pub fn misbehave(&self, quirks: Quirks) {
        let mut state = lock(&self.inside.state);
        state.talk.wrong = quirks.wrong;
        state.quirks = quirks;
    }

    /// Waits for a provisional response beyond 100, or for more than that.
    ///
    /// # Errors
    /// The call ended first, or nothing came in time.
    pub async fn ringing(&self, patience: Duration) -> Result<Phase, Error> {
        let phase = self.reach(patience, "ringing", |phase| !matches!(phase, Phase::Begun)).await?;
        match phase {
            Phase::Ended(end) => Err(Error::Ended(end)),
            Phase::Begun | Phase::Ringing(_) | Phase::Answered => Ok(phase),
        }
    }

    /// Waits until the call is answered.
    ///
    /// # Errors
    /// The call ended first, or it was not answered in time.
    pub async fn answered(&self, patience: Duration) -> Result<(), Error> {
        let done = |phase: &Phase| matches!(phase, Phase::Answered | Phase::Ended(_));
        match self.reach(patience, "answer", done).await? {
            Phase::Ended(end) => Err(Error::Ended(end)),
            Phase::Begun | Phase::Ringing(_) | Phase::Answered => Ok(()),
        }
    }

    /// Waits for the end of the call.
    ///
    /// # Errors
    /// It did not end in time.
    pub async fn ended(&self, patience: Duration) -> Result<End, Error> {
        match self.reach(patience, "end of the call", |phase| matches!(phase, Phase::Ended(_))).await? {
            Phase::Ended(end) => Ok(end),
            Phase::Begun | Phase::Ringing(_) | Phase::Answered => Err(Error::NotNow("end")),
        }
    }

    /// How the call ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.phase() {
            Phase::Ended(end) => Some(end),
            Phase::Begun | Phase::Ringing(_) | Phase::Answered => None,
        }
    }

    /// Waits until this end is on hold, or is not any more.
    ///
    /// # Errors
    /// It did not come to that in time.
    pub async fn wait_held(&self, held: bool, patience: Duration) -> Result<(), Error> {
        let mut changes = self.inside.phase.subscribe();
        let reached = async { while self.is_held() != held && changes.changed().await.is_ok() {} };
        tokio::time::timeout(patience, reached).await.map_err(|_| Error::TimedOut("hold"))
    }

    async fn reach(
        &self,
        patience: Duration,
        what: &'static str,
        done: impl FnMut(&Phase) -> bool,
    ) -> Result<Phase, Error> {
        let mut phases = self.inside.phase.subscribe();
        let reached = tokio::time::timeout(patience, phases.wait_for(done)).await;
        let phase = reached.map_err(|_| Error::TimedOut(what))?.map_err(|_| Error::Gone)?;
        Ok(phase.clone())
    }

    /// Goes into a phase, unless the call has ended; tells those who wait also when nothing else changed.
    pub(super) fn enter(&self, next: Phase) {
        self.inside.phase.send_modify(|phase| {
            if !matches!(phase, Phase::Ended(_)) {
                *phase = next;
            }
        });
    }

    pub(super) fn tell(&self) {
        self.inside.phase.send_modify(|_| {});
    }

    pub(super) fn finish(&self, end: End) {
        self.inside.sound.connect(None);
        if let Some((_, repeating)) = lock(&self.inside.state).reliable.take() {
            repeating.abort();
        }
        self.enter(Phase::Ended(end));
        if let Ok(shared) = self.shared() {
            shared.forget(&self.inside);
        }
    }

    /// The leg's sound.
    #[must_use]
    pub fn sound(&self) -> &Sound {
        &self.inside.sound
    }

    /// Plays these frequencies, in Hz, until others are named; none is silence.
    pub fn play(&self, frequencies: &[f32]) {
        self.inside.sound.play(frequencies);
    }

    /// The frequencies heard now, in Hz, loudest first.
    #[must_use]
    pub fn hears(&self) -> Vec<f32> {
        self.inside.sound.hears()
    }

    /// # Errors
    /// The frequency was not heard in time.
    pub async fn wait_hears(&self, frequency: f32, patience: Duration) -> Result<(), NotHeard> {
        self.inside.sound.wait_hears(frequency, patience).await
    }

    /// # Errors
    /// There was something to hear until the end.
    pub async fn wait_silence(&self, patience: Duration) -> Result<(), NotHeard> {
        self.inside.sound.wait_silence(patience).await
    }

    /// Keys of the other end since the start.
    #[must_use]
    pub fn keys_heard(&self) -> Vec<KeyHeard> {
        self.inside.sound.keys_heard()
    }

    /// # Errors
    /// These keys were not heard in time.
    pub async fn wait_keys(&self, keys: &str, patience: Duration) -> Result<(), NotHeard> {
        self.inside.sound.wait_keys(keys, patience).await
    }

    /// What arrived of the sound.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.inside.sound.heard()
    }

    /// Presses a key.
    ///
    /// # Errors
    /// An INFO was refused, or the call is over.
    pub async fn send_key(&self, key: Key, how: How) -> Result<(), Error> {
        if let Phase::Ended(end) = self.phase() {
            return Err(Error::Ended(end));
        }
        match how {
            How::Event | How::InBand => self.inside.sound.press(key, how),
            How::Info => {
                let body = format!("Signal={key}\r\nDuration=100\r\n");
                let answer = self.ask_within("INFO", Some(("application/dtmf-relay", body.into()))).await?;
                super::within::expect_ok("INFO", &answer)?;
            }
        }
        Ok(())
    }
}
