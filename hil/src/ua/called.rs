//! The called end: ringing, early media, answering, refusing, being cancelled.

use super::Error;
use super::agent::Shared;
use super::call::{By, Call, End, Phase};
use super::within::METHODS;
use crate::sip::{Dialog, Message, Sdp, Served, Uri, lock, token};
use std::sync::Arc;
use std::time::Duration;

/// A provisional response.
#[derive(Clone, Debug)]
pub struct Ring {
    pub status: u16,
    /// With an answer in it: the caller hears what is played before anybody takes the call.
    pub early_media: bool,
    /// Repeated until its PRACK.
    pub reliable: bool,
    /// As another fork than the one that will answer.
    pub fork: Option<String>,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring { status: 180, early_media: false, reliable: false, fork: None }
    }
}

/// Makes a call of an INVITE, with the call that it replaces; `None`: it was answered here.
pub(super) async fn arrive(shared: &Arc<Shared>, served: Served) -> Option<(Call, Option<Call>)> {
    let request = served.request.clone();
    let asked =
        request.header("Session-Expires").and_then(|text| text.split(';').next()?.trim().parse().ok());
    if let (Some(least), Some(asked)) = (shared.settings.min_se, asked)
        && least > asked
    {
        served.respond(&served.response(422, &token()).with("Min-SE", least));
        return None;
    }
    let strange: Vec<&str> = request.list("Require").into_iter().filter(|tag| !known(tag)).collect();
    if !strange.is_empty() {
        served.respond(&served.response(420, &token()).with("Unsupported", strange.join(", ")));
        return None;
    }
    let replaced = match request.header("Replaces") {
        Some(text) => match replaces(shared, text) {
            Some(call) => Some(call),
            None => {
                served.refuse(481);
                return None;
            }
        },
        None => None,
    };
    let tag = token();
    let (Some(dialog), Ok(sound)) = (Dialog::of_called(&request, &tag), shared.sound().await) else {
        served.refuse(500);
        return None;
    };
    let number = request.uri().and_then(Uri::read).map(|uri| uri.number()).unwrap_or_default();
    let call = Call::begin(shared, request.call_id(), &tag, &number, sound);
    let mut state = lock(&call.inside.state);
    state.dialog = Some(dialog);
    state.served = Some(served);
    drop(state);
    Some((call, replaced))
}

fn known(option: &str) -> bool {
    ["100rel", "timer", "replaces"].iter().any(|known| option.eq_ignore_ascii_case(known))
}

fn replaces(shared: &Shared, text: &str) -> Option<Call> {
    let (call_id, params) = text.split_once(';')?;
    let params = crate::sip::uri::read_params(params);
    let to_tag = crate::sip::uri::param(&params, "to-tag")?;
    shared.call(call_id.trim(), to_tag)
}

impl Call {
    /// Says 100.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end.
    pub fn trying(&self) -> Result<(), Error> {
        let served = self.waiting("say 100")?;
        served.respond(&served.response(100, ""));
        Ok(())
    }

    /// Says 180.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end.
    pub fn ring(&self) -> Result<(), Error> {
        self.ring_with(&Ring::default())
    }

    /// Says something provisional.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end, or early media cannot be agreed on.
    pub fn ring_with(&self, ring: &Ring) -> Result<(), Error> {
        let served = self.waiting("ring")?;
        let shared = self.shared()?;
        let tag = ring.fork.as_deref().unwrap_or(&self.inside.local_tag);
        let mut response = self.say(&shared, &served, ring.status, tag);
        let mut state = lock(&self.inside.state);
        if ring.early_media {
            let offer = served.request.sdp().and_then(Sdp::read).ok_or(Error::NotNow("give early media"))?;
            let answer = state.talk.answer(&offer).ok_or(Error::NotNow("give early media"))?;
            response = response.with_body("application/sdp", answer);
        }
        if ring.reliable {
            state.sequence += 1;
            response = response.with("Require", "100rel").with("RSeq", state.sequence);
            let (t1, again, served) = (shared.settings.timers.t1, response.clone(), served.clone());
            let task = tokio::spawn(async move {
                let mut pause = t1;
                for _ in 0..7 {
                    tokio::time::sleep(pause).await;
                    served.respond(&again);
                    pause *= 2;
                }
            });
            let number = state.sequence;
            if let Some((_, older)) = state.reliable.replace((number, task.abort_handle())) {
                older.abort();
            }
        }
        drop(state);
        served.respond(&response);
        self.enter(Phase::Ringing(ring.status));
        Ok(())
    }

    /// Takes the call.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end, or its offer cannot be answered (488 was said).
    pub fn answer(&self) -> Result<(), Error> {
        self.answer_as(None)
    }

    /// Takes the call as another fork, which is one answer more.
    ///
    /// # Errors
    /// As for [`Call::answer`].
    pub fn answer_as(&self, fork: Option<&str>) -> Result<(), Error> {
        let served = match fork {
            Some(_) => lock(&self.inside.state).served.clone().ok_or(Error::NotNow("answer"))?,
            None => self.waiting("answer")?,
        };
        let shared = self.shared()?;
        let tag = fork.unwrap_or(&self.inside.local_tag);
        let mut response = self.say(&shared, &served, 200, tag);
        let mut state = lock(&self.inside.state);
        if let Some((_, repeating)) = state.reliable.take() {
            repeating.abort();
        }
        let body = match served.request.sdp() {
            Some(body) => match Sdp::read(body).and_then(|offer| state.talk.answer(&offer)) {
                Some(answer) => Some(answer),
                None if state.quirks.wrong.is_some() => None,
                None => {
                    drop(state);
                    served.refuse(488);
                    self.finish(End::new(By::Us, 488, "no usable description of sound"));
                    return Err(Error::NotNow("answer this offer"));
                }
            },
            None => {
                state.awaits_answer = true;
                state.talk.offer()
            }
        };
        drop(state);
        if let Some(body) = body {
            response = response.with_body("application/sdp", body);
        }
        super::within::confirm_timer(&served.request, &mut response);
        if let Some(fork) = fork {
            lock(&self.inside.state).forks.push((fork.to_owned(), false));
        }
        served.respond(&response);
        if fork.is_none() {
            self.enter(Phase::Answered);
            self.keep_alive(&response, false);
        }
        Ok(())
    }

    /// Refuses the call: 486, 603, ….
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end.
    pub fn decline(&self, status: u16) -> Result<(), Error> {
        self.decline_with(status, None, &[])
    }

    /// Says 486.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end.
    pub fn busy(&self) -> Result<(), Error> {
        self.decline(486)
    }

    /// Refuses the call in other words and with more headers.
    ///
    /// # Errors
    /// The call is not waiting for an answer of this end.
    pub fn decline_with(
        &self,
        status: u16,
        reason: Option<&str>,
        headers: &[(&str, String)],
    ) -> Result<(), Error> {
        let served = self.waiting("decline")?;
        let shared = self.shared()?;
        let mut response = self.say(&shared, &served, status, &self.inside.local_tag);
        if status >= 300 {
            response.remove("Contact");
        }
        if let (Some(reason), crate::sip::Start::Response { reason: phrase, .. }) =
            (reason, &mut response.start)
        {
            *phrase = reason.to_owned();
        }
        for (name, value) in headers {
            response = response.with(name, value);
        }
        let phrase = response.phrase().to_owned();
        served.respond(&response);
        self.finish(End::new(By::Us, status, &phrase));
        Ok(())
    }

    /// Waits until the caller has acknowledged the answer.
    ///
    /// # Errors
    /// It did not in time.
    pub async fn confirmed(&self, patience: Duration) -> Result<(), Error> {
        let mut changes = self.inside.phase.subscribe();
        let confirmed =
            async { while lock(&self.inside.state).ack.is_none() && changes.changed().await.is_ok() {} };
        tokio::time::timeout(patience, confirmed).await.map_err(|_| Error::TimedOut("ACK"))
    }

    fn waiting(&self, what: &'static str) -> Result<Served, Error> {
        match self.phase() {
            Phase::Begun | Phase::Ringing(_) => {}
            Phase::Answered => return Err(Error::NotNow(what)),
            Phase::Ended(end) => return Err(Error::Ended(end)),
        }
        lock(&self.inside.state).served.clone().ok_or(Error::NotNow(what))
    }

    fn say(&self, shared: &Shared, served: &Served, status: u16, tag: &str) -> Message {
        served
            .response(status, tag)
            .with("Contact", shared.contact(served.from))
            .with("Allow", METHODS)
            .with("Supported", "100rel, replaces, timer")
            .with("Server", &shared.settings.software)
    }

    pub(super) fn cancelled(&self) {
        if !matches!(self.phase(), Phase::Begun | Phase::Ringing(_)) {
            return;
        }
        if lock(&self.inside.state).quirks.answers_after_cancel {
            // The answer that crosses the CANCEL is the point of this; an offer without an answer ends the call too.
            drop(self.answer());
            return;
        }
        if let Ok(served) = self.waiting("be cancelled") {
            served.respond(&served.response(487, &self.inside.local_tag));
        }
        self.finish(End::new(By::Cancelled, 487, "Request Terminated"));
    }

    pub(super) fn acknowledged(&self, ack: &Message) {
        let mut state = lock(&self.inside.state);
        let number = ack.cseq().map_or(0, |(number, _)| number);
        if state.awaits_answer {
            state.awaits_answer = false;
            if let Some(answer) = ack.sdp().and_then(Sdp::read) {
                state.talk.take(&answer);
            }
        }
        if let (None, Some(served)) = (&state.ack, &state.served) {
            state.ack = Some((number, ack.clone(), served.from));
        }
        drop(state);
        self.tell();
    }

    pub(super) fn give_up(&self, why: &'static str) {
        if matches!(self.phase(), Phase::Answered) {
            self.hang_up_in_background(By::Silence, why);
        }
    }

    /// PRACK; whether it names a response that waits for one.
    pub(super) fn acknowledged_provisionally(&self, prack: &Message) -> bool {
        let named = prack.header("RAck").and_then(|text| text.split_whitespace().next()?.parse::<u32>().ok());
        let mut state = lock(&self.inside.state);
        match &state.reliable {
            Some((number, repeating)) if Some(*number) == named => {
                repeating.abort();
                state.reliable = None;
                drop(state);
                self.tell();
                true
            }
            _ => false,
        }
    }

    /// Waits until the last reliable provisional response was acknowledged.
    ///
    /// # Errors
    /// It was not in time.
    pub async fn pracked(&self, patience: Duration) -> Result<(), Error> {
        let mut changes = self.inside.phase.subscribe();
        let done =
            async { while lock(&self.inside.state).reliable.is_some() && changes.changed().await.is_ok() {} };
        tokio::time::timeout(patience, done).await.map_err(|_| Error::TimedOut("PRACK"))
    }
}
