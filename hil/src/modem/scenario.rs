//! Scenario files: JSON lines, each a step. Empty lines and lines that begin with `#` are skipped.
//!
//! ```text
//! {"at_ms":3000,"do":{"cmd":"deliver","from":"+12065550101","text":"MENU"}}
//! {"on_submit":{"to":"+12065550101","contains":"Reply with a number"},"after_ms":200,"do":{"cmd":"deliver",...}}
//! ```
//! A timed step counts from the start of the modem. A step with `on_submit` is done for the first text that
//! matches, or for the first `times`.

use super::{Handle, Request, Submitted};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    Timed {
        at_ms: u64,
        r#do: Request,
    },
    Answering {
        on_submit: Matching,
        #[serde(default)]
        after_ms: u64,
        #[serde(default = "once")]
        times: u32,
        r#do: Request,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct Matching {
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    contains: String,
}

fn once() -> u32 {
    1
}

impl Matching {
    fn matches(&self, text: &Submitted) -> bool {
        self.to.as_ref().is_none_or(|to| *to == text.to) && text.text.contains(&self.contains)
    }
}

/// One task a step.
pub(super) fn play(steps: Vec<Step>, handle: &Handle) -> Vec<JoinHandle<()>> {
    steps.into_iter().map(|step| tokio::spawn(perform(step, handle.clone(), handle.submitted()))).collect()
}

async fn perform(step: Step, handle: Handle, mut news: tokio::sync::broadcast::Receiver<Submitted>) {
    match step {
        Step::Timed { at_ms, r#do } => {
            tokio::time::sleep(Duration::from_millis(at_ms)).await;
            // A modem that has stopped plays no more steps.
            drop(handle.request(r#do).await);
        }
        Step::Answering { on_submit, after_ms, mut times, r#do } => {
            while times > 0 {
                match news.recv().await {
                    Ok(text) if on_submit.matches(&text) => {
                        times -= 1;
                        tokio::time::sleep(Duration::from_millis(after_ms)).await;
                        if handle.request(r#do.clone()).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::parse;

    #[test]
    fn an_answer_matches_by_number_and_text() {
        let steps = parse(
            "{\"on_submit\":{\"to\":\"+1\",\"contains\":\"number\"},\"do\":{\"cmd\":\"deliver\",\"from\":\"+1\",\"text\":\"2\"}}",
        )
        .unwrap();
        let Some(Step::Answering { on_submit, times: 1, .. }) = steps.first() else { panic!("{steps:?}") };
        let text = |to: &str, text: &str| Submitted {
            seq: 1,
            to: to.into(),
            text: text.into(),
            parts: 1,
            bytes: 1,
            t_ms: 0,
        };
        assert!(on_submit.matches(&text("+1", "Reply with a number")));
        assert!(!on_submit.matches(&text("+2", "Reply with a number")));
        assert!(!on_submit.matches(&text("+1", "Bye")));
        assert!(parse::<Step>("{\"at_ms\":1}").is_err(), "a step does something");
    }
}
