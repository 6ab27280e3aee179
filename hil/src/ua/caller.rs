//! The calling end: an INVITE until somebody takes it, with challenges, forks, early media, reliable provisional
//! responses, session timers and cancelling.

use super::agent::{Agent, Shared};
use super::call::{By, Call, End, Phase};
use super::{Error, within};
use crate::sip::dialog::hop;
use crate::sip::{Dialog, Heard, Message, NameAddr, Peer, Sdp, Uri, lock};
use std::sync::Arc;
use std::time::Duration;

/// How often an INVITE is tried anew with other headers.
const TRIES: usize = 6;

/// A call to place.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// A number, or a whole URI.
    pub to: String,
    /// Another way than the agent's own.
    pub peer: Option<Peer>,
    /// Another From than the agent's own.
    pub from: Option<NameAddr>,
    /// More headers, as written.
    pub headers: Vec<(String, String)>,
    /// Leaves the offer to the other end.
    pub late_offer: bool,
    /// Frequencies that are played from the start, in Hz.
    pub tone: Vec<f32>,
    pub quirks: super::call::Quirks,
}

impl Agent {
    /// Places a call. What becomes of it is told by the [`Call`].
    ///
    /// # Errors
    /// There is no socket for its sound.
    pub async fn call(&self, outgoing: Outgoing) -> Result<Call, Error> {
        self.shared.call_out(outgoing).await
    }
}

impl Shared {
    pub(super) async fn call_out(self: &Arc<Self>, outgoing: Outgoing) -> Result<Call, Error> {
        let sound = self.sound().await?;
        sound.play(&outgoing.tone);
        let whole = outgoing.to.contains(':');
        let uri = if whole {
            outgoing.to.clone()
        } else {
            Uri::sip(&outgoing.to, &self.settings.domain).to_string()
        };
        let mut invite = self.request("INVITE", &uri);
        if let Some(from) = outgoing.from {
            invite.set("From", from.tagged(&crate::sip::token()));
        }
        for (name, value) in &outgoing.headers {
            invite = invite.with(name, value);
        }
        let target = Uri::read(&uri).filter(|_| whole && self.settings.direct);
        let way = target.map_or(self.settings.peer, |uri| hop(&uri, self.settings.peer));
        let peer = outgoing.peer.unwrap_or(way);
        invite.set("Contact", self.contact(peer));
        invite.set("Allow", within::METHODS);
        let expires = self.settings.session_expires;
        invite
            .set("Supported", if expires.is_some() { "100rel, replaces, timer" } else { "100rel, replaces" });
        if let Some(seconds) = expires {
            invite.set("Session-Expires", seconds);
        }
        let tag = invite.from_tag().unwrap_or_default();
        let call = Call::begin(self, invite.call_id(), &tag, &outgoing.to, sound);
        call.misbehave(outgoing.quirks);
        if !outgoing.late_offer {
            let offer = lock(&call.inside.state).talk.offer();
            if let Some(offer) = offer {
                invite = invite.with_body("application/sdp", offer);
            }
        }
        tokio::spawn(drive(call.clone(), invite, peer, outgoing.late_offer));
        Ok(call)
    }
}

async fn drive(call: Call, mut invite: Message, mut peer: Peer, late: bool) {
    for _ in 0..TRIES {
        let mut responses = {
            let Ok(shared) = call.shared() else { return };
            let mut state = lock(&call.inside.state);
            let responses = shared.endpoint.request(invite.clone(), peer);
            state.invite = Some((responses.request.clone(), peer));
            state.early.clear();
            responses
        };
        let mut last = None;
        while let Some(heard) = responses.next().await {
            match heard {
                Heard::TimedOut => {
                    return call.finish(End::new(By::Silence, 408, "no answer on the network"));
                }
                Heard::Response(response) => match response.status().unwrap_or_default() {
                    100..200 => call.provisional_came(&invite, &response).await,
                    200..300 => call.accepted(&invite, &response, late),
                    _ => {
                        last = Some(response);
                        break;
                    }
                },
            }
        }
        let (Some(response), Ok(shared)) = (last, call.shared()) else { return };
        if lock(&call.inside.state).cancelling || !again(&shared, &mut invite, &response, &mut peer) {
            return call.refused(&response);
        }
    }
    call.finish(End::new(By::Us, 482, "tried too often"));
}

/// Whether the INVITE is to be tried anew, and how.
fn again(shared: &Shared, invite: &mut Message, response: &Message, peer: &mut Peer) -> bool {
    if shared.authorize(invite, response) {
        return true;
    }
    let next = invite.cseq().map_or(1, |(number, _)| number + 1);
    match response.status() {
        Some(422) => {
            let Some(least) = response.header("Min-SE").and_then(|text| text.trim().parse::<u32>().ok())
            else {
                return false;
            };
            invite.set("Min-SE", least);
            invite.set("Session-Expires", least);
        }
        Some(300..400) if shared.settings.follows => {
            let Some(contact) = response.contact() else { return false };
            *peer = hop(&contact.uri, *peer);
            if let crate::sip::Start::Request { uri, .. } = &mut invite.start {
                *uri = contact.uri.to_string();
            }
        }
        _ => return false,
    }
    invite.set("CSeq", format!("{next} INVITE"));
    true
}

impl Call {
    async fn provisional_came(&self, invite: &Message, response: &Message) {
        let status = response.status().unwrap_or_default();
        let cancel = {
            let mut state = lock(&self.inside.state);
            if status > 100 {
                state.provisional.push(status);
            }
            state.cancelling.then(|| state.invite.clone()).flatten()
        };
        if let (Some((invite, peer)), Ok(shared)) = (cancel, self.shared()) {
            // Its own answer matters to nobody: the INVITE's does.
            drop(shared.endpoint.cancel(&invite, peer));
        }
        if status == 100 {
            return;
        }
        if self.acknowledge_provisional(invite, response)
            && let Some(sdp) = response.sdp().and_then(Sdp::read)
        {
            lock(&self.inside.state).talk.take(&sdp);
        }
        if !matches!(self.phase(), Phase::Answered) {
            self.enter(Phase::Ringing(status));
        }
    }

    /// PRACK for a reliable response (RFC 3262); whether the response is new.
    fn acknowledge_provisional(&self, invite: &Message, response: &Message) -> bool {
        let number = response.header("RSeq").and_then(|text| text.trim().parse::<u32>().ok());
        let (Some(number), true) = (number, response.lists("Require", "100rel")) else { return true };
        let Ok(shared) = self.shared() else { return false };
        let Some(dialog) = Dialog::of_caller(invite, response) else { return true };
        let mut state = lock(&self.inside.state);
        let place = state.early.iter().position(|(known, _)| known.remote_tag() == dialog.remote_tag());
        let place = place.unwrap_or_else(|| {
            state.early.push((dialog, 0));
            state.early.len() - 1
        });
        let peer = state.invite.as_ref().map_or(shared.settings.peer, |(_, peer)| *peer);
        let Some((dialog, heard)) = state.early.get_mut(place) else { return false };
        if number <= *heard {
            return false;
        }
        *heard = number;
        let cseq = invite.cseq().map_or(1, |(number, _)| number);
        let prack = dialog.request("PRACK").with("RAck", format!("{number} {cseq} INVITE"));
        let to = dialog.next_hop(peer);
        drop(shared.endpoint.request(prack, to));
        true
    }

    fn accepted(&self, invite: &Message, response: &Message, late: bool) {
        let Ok(shared) = self.shared() else { return };
        let Some(mut dialog) = Dialog::of_caller(invite, response) else { return };
        let mut state = lock(&self.inside.state);
        if let Some((known, _)) =
            state.early.iter().find(|(known, _)| known.remote_tag() == dialog.remote_tag())
        {
            dialog.sequence = known.sequence;
        }
        let number = invite.cseq().map_or(1, |(number, _)| number);
        let peer = state.invite.as_ref().map_or(shared.settings.peer, |(_, peer)| *peer);
        let ours = state.dialog.as_ref().map(|known| known.remote_tag() == dialog.remote_tag());
        match ours {
            // The answer once more: the ACK was lost.
            Some(true) => {
                if let Some((known, ack, to)) = &state.ack
                    && *known == number
                    && !state.quirks.never_acknowledges
                {
                    shared.endpoint.send(ack.clone(), *to);
                }
                return;
            }
            // Another fork answered too: it is told that it came second (RFC 3261 §13.2.2.4).
            Some(false) => {
                drop(state);
                acknowledge(&shared, &mut dialog, peer, number, None);
                let to = dialog.next_hop(peer);
                return drop(shared.endpoint.request(dialog.request("BYE"), to));
            }
            None => {}
        }
        let sdp = response.sdp().and_then(Sdp::read);
        let (heard, answer) = match sdp {
            Some(offer) if late => {
                let answer = state.talk.answer(&offer);
                (answer.is_some(), answer)
            }
            Some(answer) => (state.talk.take(&answer), None),
            // The answer may have come with a reliable provisional response.
            None => (!late && !state.early.is_empty(), None),
        };
        if !state.quirks.never_acknowledges {
            state.ack = Some(acknowledge(&shared, &mut dialog, peer, number, answer));
        }
        let cancelling = state.cancelling;
        state.dialog = Some(dialog);
        drop(state);
        if cancelling {
            self.hang_up_in_background(By::Cancelled, "answered and cancelled at once");
        } else if heard {
            self.enter(Phase::Answered);
            self.keep_alive(response, true);
        } else {
            self.hang_up_in_background(By::Us, "no usable description of sound");
        }
    }

    fn refused(&self, response: &Message) {
        let status = response.status().unwrap_or_default();
        let cancelled = status == 487 && lock(&self.inside.state).cancelling;
        let mut end =
            End::new(if cancelled { By::Cancelled } else { By::Refused }, status, response.phrase());
        let seconds = |text: &str| text.trim().split([' ', ';', '(']).next()?.parse().ok();
        end.retry_after = response.header("Retry-After").and_then(seconds);
        end.contact = response.contact().map(|contact| contact.uri.to_string());
        self.finish(end);
    }

    /// Cancels a call that nobody has answered, and waits for its end.
    ///
    /// # Errors
    /// It was answered already, or it did not end in time.
    pub async fn cancel(&self, patience: Duration) -> Result<End, Error> {
        let shared = self.shared()?;
        let sent = {
            let mut state = lock(&self.inside.state);
            if matches!(self.phase(), Phase::Answered) || state.served.is_some() {
                return Err(Error::NotNow("cancel"));
            }
            state.cancelling = true;
            // Before the first provisional response nothing may be sent (RFC 3261 §9.1); that sends it then.
            let begun = matches!(self.phase(), Phase::Ringing(_));
            begun.then(|| state.invite.clone()).flatten()
        };
        if let Some((invite, peer)) = sent {
            drop(shared.endpoint.cancel(&invite, peer));
        }
        self.ended(patience).await
    }
}

/// Sends the ACK of a 2xx, to be sent again when the 2xx comes again.
fn acknowledge(
    shared: &Shared,
    dialog: &mut Dialog,
    peer: Peer,
    number: u32,
    answer: Option<Vec<u8>>,
) -> (u32, Message, Peer) {
    let mut ack = dialog.request("ACK");
    ack.set("CSeq", format!("{number} ACK"));
    if let Some(answer) = answer {
        ack = ack.with_body("application/sdp", answer);
    }
    let to = dialog.next_hop(peer);
    shared.endpoint.send(ack.clone(), to);
    (number, ack, to)
}

impl Call {
    /// The ACK of a re-INVITE's 2xx.
    pub(super) fn acknowledge_offer(&self, number: u32) {
        let Ok(shared) = self.shared() else { return };
        let mut state = lock(&self.inside.state);
        let peer = state.peer(shared.settings.peer);
        if let Some(dialog) = &mut state.dialog {
            let sent = acknowledge(&shared, dialog, peer, number, None);
            state.ack = Some(sent);
        }
    }
}
