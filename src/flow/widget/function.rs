//! `run-function`: the functions that the box has natively, found by the last segment of the widget's URL.

use serde_json::{Value, json};

use super::http;
use crate::flow::definition::State;
use crate::flow::execution::Wait;
use crate::flow::functions::{self, Answer, Call};
use crate::flow::run::{Run, Turn};
use crate::flow::template::Template;
use crate::flow::{Effect, Input};
use crate::types::{ExecutionSid, OrderId};

pub(super) fn enter(
    run: &mut Run<'_>,
    state: &State,
    url: &Template,
    parameters: &[(String, Template)],
) -> Turn {
    let url = run.render(url);
    let parameters = run.render_pairs(parameters);
    run.clear_outputs(state.name());
    let answer = functions::call(&Call {
        function: functions::name_in(&url),
        parameters: &parameters,
        env: run.env,
        now: run.now,
    });
    match answer {
        Answer::Returned(value) => returned(run, state.name(), &value),
        Answer::Failed(why) => {
            run.note(why);
            Turn::Leave("fail")
        }
        Answer::Order { kind, body, about, meanwhile } => {
            let id = OrderId(run.derive("OR"));
            let wait = meanwhile.is_none();
            run.effect(Effect::PlaceOrder { id: id.clone(), kind, body, about, wait });
            match meanwhile {
                Some(value) => returned(run, state.name(), &value),
                None => Turn::Wait(Wait::Order(id)),
            }
        }
        Answer::StartFlow { flow, parameters, message } => {
            let sid = ExecutionSid(run.derive("FN"));
            let value = json!({"success": true, "executionSid": sid.as_str(), "message": message});
            run.effect(Effect::StartFlow { sid, flow, parameters });
            returned(run, state.name(), &value)
        }
        Answer::HandToPeople { note } => {
            run.effect(Effect::HandToPeople { note });
            returned(run, state.name(), &json!({"success": true}))
        }
    }
}

pub(super) fn resume(run: &mut Run<'_>, state: &State, id: &OrderId, input: Input) -> Option<Turn> {
    let Input::OrderDone(done, answer) = input else { return None };
    (done == *id).then(|| returned(run, state.name(), &functions::order_outcome(answer)))
}

/// What `callback(null, value)` makes of the widget.
fn returned(run: &mut Run<'_>, name: &str, value: &Value) -> Turn {
    http::outputs(run, name, 200, "application/json".to_owned(), value.to_string());
    Turn::Leave("success")
}
