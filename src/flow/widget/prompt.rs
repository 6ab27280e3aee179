//! `send-and-wait-for-reply`. The wait begins when the line accepted the prompt, not when it was queued: an
//! outage of an hour must not look like an hour of silence.

use std::time::Duration;

use serde_json::Value;

use super::message;
use crate::flow::definition::{Enclosed, State};
use crate::flow::execution::{Stage, Wait};
use crate::flow::run::{Run, Turn};
use crate::flow::template::Template;
use crate::flow::{Effect, Input};
use crate::types::MessageId;

/// Studio's default, an hour. Milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 3_600_000;
/// No execution lives longer: 30 days. Milliseconds.
const MAX_TIMEOUT_MS: u64 = 30 * 86_400_000;

/// The prompt that is waited on.
pub(super) struct Prompt {
    pub(super) id: MessageId,
    pub(super) stage: Stage,
    pub(super) timeout_ms: u64,
}

impl Prompt {
    fn wait(self, stage: Stage) -> Wait {
        Wait::Reply { prompt: self.id, stage, timeout_ms: self.timeout_ms }
    }
}

pub(super) fn enter(
    run: &mut Run<'_>,
    state: &State,
    body: Option<&Template>,
    more: &Enclosed,
    timeout: &Template,
) -> Turn {
    let said = message::said(run, body, more);
    let timeout = run.render(timeout);
    let timeout_ms = milliseconds(&timeout).unwrap_or_else(|| {
        run.note(format!("the timeout {timeout:?} is no number of seconds; 3600 is taken"));
        DEFAULT_TIMEOUT_MS
    });
    run.clear_outputs(state.name());
    let Some(said) = said else { return Turn::Leave("deliveryFailure") };
    let id = run.message_id();
    let outbound = message::outbound(run, &id, None, &said);
    run.set(&["widgets", state.name(), "outbound"], outbound);
    run.effect(said.send(id.clone(), None, true));
    Turn::Wait(Wait::Reply { prompt: id, stage: Stage::Queued, timeout_ms })
}

pub(super) fn resume(run: &mut Run<'_>, state: &State, prompt: Prompt, input: Input) -> Option<Turn> {
    let name = state.name();
    match (input, &prompt.stage) {
        (Input::Reply(parameters), Stage::Handed | Stage::Accepted { .. }) => {
            run.cancel_timer(&prompt.as_wait());
            run.set(&["widgets", name, "inbound"], Value::Object(parameters));
            Some(Turn::Leave("incomingMessage"))
        }
        (Input::PromptHanded(id), Stage::Queued) if id == prompt.id => {
            run.stay(state, prompt.wait(Stage::Handed));
            None
        }
        (Input::PromptAccepted(id), Stage::Queued | Stage::Handed) if id == prompt.id => {
            let timer = run.next_id();
            run.effect(Effect::SetTimer { id: timer, after: Duration::from_millis(prompt.timeout_ms) });
            run.set(&["widgets", name, "outbound", "Status"], Value::from("sent"));
            run.stay(state, prompt.wait(Stage::Accepted { timer }));
            None
        }
        (Input::PromptFailed(id, why), _) if id == prompt.id => {
            run.cancel_timer(&prompt.as_wait());
            run.set(&["widgets", name, "outbound", "Status"], Value::from("failed"));
            run.set(&["widgets", name, "outbound", "ErrorMessage"], Value::from(why.clone()));
            run.note(why);
            Some(Turn::Leave("deliveryFailure"))
        }
        (Input::TimerFired(fired), Stage::Accepted { timer }) if fired == *timer => {
            Some(Turn::Leave("timeout"))
        }
        // Early replies are the conversation's to keep; late reports and timers of earlier waits mean nothing.
        (
            Input::Start(_)
            | Input::Reply(_)
            | Input::PromptHanded(_)
            | Input::PromptAccepted(_)
            | Input::PromptFailed(..)
            | Input::TimerFired(_)
            | Input::HttpDone(..)
            | Input::OrderDone(..)
            | Input::SubflowDone(..)
            | Input::Restarted
            | Input::Stop(_),
            _,
        ) => None,
    }
}

impl Prompt {
    fn as_wait(&self) -> Wait {
        Wait::Reply { prompt: self.id.clone(), stage: self.stage.clone(), timeout_ms: self.timeout_ms }
    }
}

/// Seconds, whole or fractional; blank is the default; at most 30 days. `None` when it is no duration.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(DEFAULT_TIMEOUT_MS);
    }
    let seconds: f64 = text.parse().ok()?;
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(MAX_TIMEOUT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_people_write_them() {
        assert_eq!(milliseconds("900"), Some(900_000));
        assert_eq!(milliseconds(" 0.25 "), Some(250));
        assert_eq!(milliseconds(""), Some(DEFAULT_TIMEOUT_MS));
        assert_eq!(milliseconds("1e300"), None);
        assert_eq!(milliseconds("99999999"), Some(MAX_TIMEOUT_MS));
        assert_eq!(milliseconds("-1"), None);
        assert_eq!(milliseconds("NaN"), None);
        assert_eq!(milliseconds("soon"), None);
    }
}
