//! Requests within a call, both ways: hanging up, hold, transfer, keys, refreshes.

use super::Error;
use super::call::{By, Call, End, Phase};
use super::caller::Outgoing;
use crate::rtp::{How, Key, KeyHeard};
use crate::sip::uri::{NameAddr, escape};
use crate::sip::{Message, Sdp, Served, Uri, lock};
use std::time::Duration;
use tokio::time::timeout;

pub(super) const METHODS: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, MESSAGE";

/// How often an offer is made anew after 491.
const GLARES: usize = 5;

/// A refusal as an error.
pub(super) fn expect_ok(what: &'static str, response: &Message) -> Result<(), Error> {
    let status = response.status().unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(());
    }
    Err(Error::Refused { what, status, reason: response.phrase().to_owned() })
}

/// Repeats an asked-for session timer in an answer, the caller to refresh (RFC 4028 §9).
pub(super) fn confirm_timer(request: &Message, response: &mut Message) {
    let Some(asked) = request.header("Session-Expires") else { return };
    let seconds = asked.split(';').next().unwrap_or_default().trim();
    let able = request.lists("Supported", "timer");
    let refresher = match asked.split_once("refresher=") {
        Some((_, who)) => who.split(';').next().unwrap_or("uas").trim(),
        None if able => "uac",
        None => "uas",
    };
    response.set("Session-Expires", format!("{seconds};refresher={refresher}"));
    if able {
        response.set("Require", "timer");
    }
}

impl Call {
    /// Sends a request in the dialog, answers a challenge, and gives the final response.
    pub(super) async fn ask_within(
        &self,
        method: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Message, Error> {
        self.ask_with(method, &[], body).await
    }

    async fn ask_with(
        &self,
        method: &str,
        headers: &[(&str, String)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Message, Error> {
        let mut challenged: Option<(Message, Message)> = None;
        loop {
            let shared = self.shared()?;
            let responses = {
                let mut state = lock(&self.inside.state);
                let peer = state.peer(shared.settings.peer);
                let dialog = state.dialog.as_mut().ok_or(Error::NotNow("send a request within the call"))?;
                let mut request = dialog.request(method).with("User-Agent", &shared.settings.software);
                for (name, value) in headers {
                    request = request.with(name, value);
                }
                if matches!(method, "INVITE" | "UPDATE" | "REFER") {
                    request.set("Contact", shared.contact(peer));
                }
                if let Some((kind, bytes)) = &body {
                    request = request.with_body(kind, bytes.clone());
                }
                if let Some((mut answered, challenge)) = challenged.take() {
                    let number = request.cseq().map(|(number, _)| number);
                    if !shared.authorize(&mut answered, &challenge) {
                        return Ok(challenge);
                    }
                    // The dialog counted on; the answer to the challenge was counted from the old request.
                    answered.set("CSeq", format!("{} {method}", number.unwrap_or_default()));
                    answered.remove("Via");
                    request = answered;
                }
                shared.endpoint.request(request, dialog.next_hop(peer))
            };
            drop(shared);
            let request = responses.request.clone();
            let response = responses.last().await.ok_or(Error::TimedOut("answer within the call"))?;
            match response.status() {
                Some(401 | 407)
                    if request.header("Authorization").is_none()
                        && request.header("Proxy-Authorization").is_none() =>
                {
                    challenged = Some((request, response));
                }
                _ => return Ok(response),
            }
        }
    }

    /// Hangs up and waits for the other end's word. A call that is not answered yet is cancelled or declined.
    ///
    /// # Errors
    /// The other end did not answer in time; the call is over all the same.
    pub async fn hangup(&self, patience: Duration) -> Result<(), Error> {
        let called = lock(&self.inside.state).served.is_some();
        match self.phase() {
            Phase::Ended(_) => Ok(()),
            Phase::Answered => self.say_goodbye(By::Us, "", patience).await,
            Phase::Begun | Phase::Ringing(_) if called => self.decline(603),
            Phase::Begun | Phase::Ringing(_) => self.cancel(patience).await.map(drop),
        }
    }

    async fn say_goodbye(&self, by: By, why: &str, patience: Duration) -> Result<(), Error> {
        self.inside.sound.connect(None);
        let asked = timeout(patience, self.ask_within("BYE", None)).await;
        let status = if by == By::Cancelled { 487 } else { 200 };
        self.finish(End::new(by, status, why));
        let answer = asked.map_err(|_| Error::TimedOut("answer to BYE"))??;
        match answer.status() {
            // It hung up at the same moment.
            Some(481) => Ok(()),
            _ => expect_ok("BYE", &answer),
        }
    }

    pub(super) fn hang_up_in_background(&self, by: By, why: &'static str) {
        let call = self.clone();
        tokio::spawn(async move {
            // Whether the other end answers or not, this end is done.
            drop(call.say_goodbye(by, why, Duration::from_secs(32)).await);
        });
    }

    /// Puts the other end on hold.
    ///
    /// # Errors
    /// It refused, or said nothing in time.
    pub async fn hold(&self, patience: Duration) -> Result<(), Error> {
        self.set_hold(true, patience).await
    }

    /// Takes the other end from hold.
    ///
    /// # Errors
    /// It refused, or said nothing in time.
    pub async fn resume(&self, patience: Duration) -> Result<(), Error> {
        self.set_hold(false, patience).await
    }

    async fn set_hold(&self, hold: bool, patience: Duration) -> Result<(), Error> {
        if let Phase::Ended(end) = self.phase() {
            return Err(Error::Ended(end));
        }
        let before = std::mem::replace(&mut lock(&self.inside.state).talk.holding, hold);
        let done = timeout(patience, self.offer_anew("INVITE")).await;
        let done = done.unwrap_or(Err(Error::TimedOut("answer to an offer")));
        let mut state = lock(&self.inside.state);
        state.offering = false;
        if done.is_err() {
            state.talk.holding = before;
            state.talk.keep();
        }
        done
    }

    /// Makes a new offer with INVITE or UPDATE, also only to refresh.
    ///
    /// # Errors
    /// It was refused.
    pub async fn refresh(&self, method: &str, patience: Duration) -> Result<(), Error> {
        let done = timeout(patience, self.offer_anew(method)).await;
        lock(&self.inside.state).offering = false;
        done.unwrap_or(Err(Error::TimedOut("answer to an offer")))
    }

    async fn offer_anew(&self, method: &str) -> Result<(), Error> {
        let mut pause = Duration::from_millis(10);
        for _ in 0..GLARES {
            let offer = {
                let mut state = lock(&self.inside.state);
                state.offering = true;
                state.talk.offer().ok_or(Error::NotNow("make an offer"))?
            };
            let answer = self.ask_within(method, Some(("application/sdp", offer))).await?;
            if answer.status() == Some(491) {
                // RFC 3261 §14.1 wants up to 4 s; a simulator on loopback needs no such spread.
                lock(&self.inside.state).offering = false;
                tokio::time::sleep(pause).await;
                pause *= 3;
                continue;
            }
            expect_ok("an offer within the call", &answer)?;
            if method == "INVITE" {
                self.acknowledge_offer(answer.cseq().map_or(0, |(number, _)| number));
            }
            let mut state = lock(&self.inside.state);
            state.offering = false;
            let taken = answer.sdp().and_then(Sdp::read).is_some_and(|sdp| state.talk.take(&sdp));
            drop(state);
            self.tell();
            return if taken { Ok(()) } else { Err(Error::NotNow("use the answer to the offer")) };
        }
        Err(Error::Refused {
            what: "an offer within the call",
            status: 491,
            reason: "Request Pending".into(),
        })
    }

    /// Refreshes at half time, if that is this end's part.
    pub(super) fn keep_alive(&self, answer: &Message, caller: bool) {
        let Some(value) = answer.header("Session-Expires") else { return };
        let seconds = value.split(';').next().and_then(|text| text.trim().parse::<u64>().ok());
        let ours = value.contains(if caller { "refresher=uac" } else { "refresher=uas" });
        let (Some(seconds), true) = (seconds, ours) else { return };
        let inside = std::sync::Arc::downgrade(&self.inside);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(seconds) / 2).await;
                let Some(call) = inside.upgrade().map(Call::of) else { return };
                if !matches!(call.phase(), Phase::Answered)
                    || call.refresh("INVITE", Duration::from_secs(seconds) / 2).await.is_err()
                {
                    return;
                }
            }
        });
    }

    /// Sends the other end elsewhere (RFC 3515); gives the status that the new call came to.
    ///
    /// # Errors
    /// The REFER was refused, or nothing was heard of the new call in time.
    pub async fn transfer_blind(&self, to: &str, patience: Duration) -> Result<u16, Error> {
        let shared = self.shared()?;
        let uri =
            if to.contains(':') { to.to_owned() } else { Uri::sip(to, &shared.settings.domain).to_string() };
        drop(shared);
        self.refer(format!("<{uri}>"), patience).await
    }

    /// Joins the other ends of two calls of this end (RFC 3891); gives the status that it came to.
    ///
    /// # Errors
    /// The REFER was refused, or nothing was heard of the new call in time.
    pub async fn transfer_attended(&self, other: &Call, patience: Duration) -> Result<u16, Error> {
        let target = {
            let state = lock(&other.inside.state);
            let dialog =
                state.dialog.as_ref().ok_or(Error::NotNow("transfer to a call that is not answered"))?;
            let (to, from) = (dialog.remote_tag(), dialog.local_tag());
            let replaces = escape(&format!("{};to-tag={to};from-tag={from}", dialog.call_id));
            let mut uri = dialog.remote.uri.clone();
            uri.headers = format!("Replaces={replaces}");
            format!("<{uri}>")
        };
        self.refer(target, patience).await
    }

    async fn refer(&self, target: String, patience: Duration) -> Result<u16, Error> {
        let shared = self.shared()?;
        let by = NameAddr::new(Uri::sip(&shared.settings.user, &shared.settings.domain));
        drop(shared);
        let mut news = {
            let state = lock(&self.inside.state);
            state.transfer.send_replace(None);
            state.transfer.subscribe()
        };
        let headers = [("Refer-To", target), ("Referred-By", by.to_string())];
        let whole = async {
            expect_ok("REFER", &self.ask_with("REFER", &headers, None).await?)?;
            let done = news.wait_for(|status| status.is_some_and(|status| status >= 200)).await;
            done.map(|status| status.unwrap_or_default()).map_err(|_| Error::Gone)
        };
        timeout(patience, whole).await.unwrap_or(Err(Error::TimedOut("news of the transfer")))
    }

    pub(super) fn within(&self, method: &str, served: Served) {
        let request = served.request.clone();
        let in_order = {
            let mut state = lock(&self.inside.state);
            state.dialog.as_mut().is_none_or(|dialog| dialog.in_order(&request))
        };
        if !in_order {
            return served.refuse(500);
        }
        match method {
            "BYE" => {
                served.refuse(200);
                let text = request.header("Reason").and_then(|reason| reason.split_once("text="));
                let reason = text.map_or("", |(_, text)| text.trim_matches('"'));
                self.finish(End::new(By::Them, 200, reason));
            }
            "INVITE" | "UPDATE" => self.take_offer(&served),
            "PRACK" => served.refuse(if self.acknowledged_provisionally(&request) { 200 } else { 481 }),
            "INFO" => served.refuse(if self.take_info(&request) { 200 } else { 415 }),
            "REFER" => self.take_refer(&served),
            "NOTIFY" => {
                served.refuse(200);
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let status = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
                if let Some(status) = status {
                    lock(&self.inside.state).transfer.send_replace(Some(status));
                }
            }
            "MESSAGE" | "OPTIONS" => served.refuse(200),
            _ => served.respond(&served.response(405, "").with("Allow", METHODS)),
        }
    }

    fn take_offer(&self, served: &Served) {
        let Ok(shared) = self.shared() else { return };
        let mut state = lock(&self.inside.state);
        if state.offering || state.quirks.glares > 0 {
            state.quirks.glares = state.quirks.glares.saturating_sub(1);
            return served.refuse(491);
        }
        let mut response = served.response(200, "").with("Contact", shared.contact(served.from));
        let body = match served.request.sdp() {
            Some(body) => match Sdp::read(body).and_then(|offer| state.talk.answer(&offer)) {
                Some(answer) => Some(answer),
                None => return served.refuse(488),
            },
            None if served.request.method() == Some("INVITE") => {
                state.awaits_answer = true;
                state.talk.offer()
            }
            None => None,
        };
        if let (Some(contact), Some(dialog)) = (served.request.contact(), &mut state.dialog) {
            dialog.target = contact.uri;
        }
        state.refreshed += 1;
        drop(state);
        if let Some(body) = body {
            response = response.with_body("application/sdp", body);
        }
        confirm_timer(&served.request, &mut response);
        served.respond(&response);
        self.tell();
    }

    fn take_info(&self, request: &Message) -> bool {
        let kind = request.header("Content-Type").unwrap_or_default().trim().to_ascii_lowercase();
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            lines
                .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim().to_owned())
                .next()
        };
        let signal = match kind.as_str() {
            "application/dtmf-relay" => field("Signal"),
            "application/dtmf" => Some(text.trim().to_owned()),
            _ => None,
        };
        let key = signal.and_then(|text| text.chars().next()).and_then(|c| Key::try_from(c).ok());
        let duration_ms = field("Duration").and_then(|text| text.parse().ok()).unwrap_or_default();
        if let Some(key) = key {
            self.inside.sound.note_key(KeyHeard { key, how: How::Info, duration_ms });
        }
        key.is_some()
    }

    /// Does as it is told: calls the target, tells how that goes, and leaves hanging up to who sent it there.
    fn take_refer(&self, served: &Served) {
        let target = served.request.header("Refer-To").and_then(NameAddr::read);
        let (Some(mut target), Ok(shared)) = (target, self.shared()) else { return served.refuse(400) };
        served.refuse(202);
        let mut headers = Vec::new();
        headers.extend(target.uri.header("Replaces").map(|value| ("Replaces".to_owned(), value)));
        headers
            .extend(served.request.header("Referred-By").map(|by| ("Referred-By".to_owned(), by.to_owned())));
        target.uri.headers.clear();
        let call = self.clone();
        tokio::spawn(async move {
            call.report(100, "active").await;
            let outgoing = Outgoing { to: target.uri.to_string(), headers, ..Outgoing::default() };
            let placed = shared.call_out(outgoing).await;
            drop(shared);
            let status = match placed {
                Ok(new) => match new.answered(Duration::from_secs(60)).await {
                    Ok(()) => 200,
                    Err(Error::Ended(end)) => end.status,
                    Err(_) => 408,
                },
                Err(_) => 500,
            };
            call.report(status, "terminated;reason=noresource").await;
        });
    }

    async fn report(&self, status: u16, state: &str) {
        let body = format!("SIP/2.0 {status} {}\r\n", crate::sip::reason(status));
        let headers = [("Event", "refer".to_owned()), ("Subscription-State", state.to_owned())];
        // Who has hung up meanwhile wants no news.
        drop(self.ask_with("NOTIFY", &headers, Some(("message/sipfrag", body.into_bytes()))).await);
    }
}
