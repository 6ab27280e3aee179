//! What the control socket (`lines`) answers: every [`Request`] and
//! `{"cmd":"wait_submitted","since":N,"count":N,"timeout_ms":N}`. The news are the texts that the box sends.

use super::{Answer, Handle, Request, Submitted};
use crate::lines::{Answers, failed};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast;

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
enum Extra {
    WaitSubmitted {
        #[serde(default)]
        since: u64,
        #[serde(default = "one")]
        count: usize,
        #[serde(default = "ten_seconds")]
        timeout_ms: u64,
    },
}

fn one() -> usize {
    1
}

fn ten_seconds() -> u64 {
    10_000
}

impl Answers for Handle {
    type News = Submitted;

    fn news(&self) -> broadcast::Receiver<Submitted> {
        self.submitted()
    }

    async fn answer(&self, request: Value) -> Value {
        let answer = match Extra::deserialize(&request) {
            Ok(Extra::WaitSubmitted { since, count, timeout_ms }) => {
                let timeout = Duration::from_millis(timeout_ms);
                self.wait_submitted(since, count, timeout).await.map(|texts| texts_json(&texts))
            }
            Err(_) => match Request::deserialize(&request) {
                Ok(request) => self.request(request).await.map(answer_json),
                Err(problem) => return failed(problem),
            },
        };
        answer.unwrap_or_else(failed)
    }
}

fn texts_json(texts: &[Submitted]) -> Value {
    json!({"ok": true, "submitted": texts})
}

fn answer_json(answer: Answer) -> Value {
    match answer {
        Answer::Done => json!({"ok": true}),
        Answer::Delivered(parts) => json!({"ok": true, "parts": parts}),
        Answer::Submitted(texts) => texts_json(&texts),
        Answer::State(state) => json!({"ok": true, "state": state}),
    }
}
