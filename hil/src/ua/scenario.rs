//! Scenario files of phone and trunk: JSON lines, each a step. Empty lines and lines that begin with `#` are skipped.
//!
//! ```text
//! {"at_ms":0,"do":{"cmd":"emergency","emergency":"answer"}}
//! {"at_ms":0,"do":{"cmd":"route","number":"+1206555*","tone":[620]}}
//! {"at_ms":3000,"do":{"cmd":"dial","to":"+12065550100","from":"+12065550101"}}
//! {"on":"incoming","number":"101","after_ms":200,"times":2,"do":{"cmd":"answer"}}
//! {"on":"answered","after_ms":1000,"do":{"cmd":"keys","keys":"1"}}
//! ```
//! A timed step counts from the start; those at 0 are done before anything else. A step with `on` is done for the
//! first `incoming`, `outgoing`, `ringing`, `answered` or `ended` that fits, or for the first `times`, and is about
//! that call.

use super::desk::{Obeys, obey};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Step {
    Timed {
        at_ms: u64,
        r#do: Value,
    },
    Answering {
        on: String,
        #[serde(default)]
        number: Option<String>,
        #[serde(default)]
        after_ms: u64,
        #[serde(default = "once")]
        times: u32,
        r#do: Value,
    },
}

fn once() -> u32 {
    1
}

/// Does the steps at 0, then begins one task for each of the others.
///
/// # Errors
/// What a step at 0 was answered.
pub async fn play<O: Obeys>(steps: Vec<Step>, owner: &Arc<O>) -> Result<Vec<JoinHandle<()>>, String> {
    let mut tasks = Vec::new();
    for step in steps {
        match step {
            Step::Timed { at_ms: 0, r#do } => {
                let answer = obey(owner, r#do).await;
                if answer["ok"] != true {
                    return Err(answer["error"].as_str().unwrap_or("a step failed").to_owned());
                }
            }
            Step::Timed { at_ms, r#do } => {
                let owner = owner.clone();
                tasks.push(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(at_ms)).await;
                    obey(&owner, r#do).await;
                }));
            }
            Step::Answering { on, number, after_ms, times, r#do } => {
                let (owner, mut news) = (owner.clone(), owner.desk().news());
                tasks.push(tokio::spawn(async move {
                    let mut left = times;
                    while left > 0 {
                        let call = match news.recv().await {
                            Ok(one) if one.fits(&on, number.as_deref()) => one.call(),
                            Ok(_) | Err(RecvError::Lagged(_)) => continue,
                            Err(RecvError::Closed) => return,
                        };
                        left -= 1;
                        tokio::time::sleep(Duration::from_millis(after_ms)).await;
                        let mut request = r#do.clone();
                        if let Value::Object(fields) = &mut request {
                            fields.entry("call").or_insert(json!(call));
                        }
                        obey(&owner, request).await;
                    }
                }));
            }
        }
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::parse;

    #[test]
    fn a_step_may_wait_for_a_call() {
        let steps = parse("{\"on\":\"incoming\",\"number\":\"101\",\"do\":{\"cmd\":\"answer\"}}").unwrap();
        assert!(matches!(&steps[..], [Step::Answering { on, times: 1, .. }] if on == "incoming"));
        assert!(parse::<Step>("{\"at_ms\":1}").is_err(), "a step does something");
    }
}
