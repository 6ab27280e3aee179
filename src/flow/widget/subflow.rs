//! `run-subflow`: another execution for the same person; its variables come back flat under `widgets.NAME`.

use serde_json::{Map, Value};

use crate::flow::definition::State;
use crate::flow::execution::Wait;
use crate::flow::run::{Run, Turn};
use crate::flow::template::Template;
use crate::flow::{Effect, Ended, Input};
use crate::types::ExecutionSid;

pub(super) fn enter(run: &mut Run<'_>, state: &State, flow: &str, parameters: &[(String, Template)]) -> Turn {
    let parameters: Map<String, Value> =
        run.render_pairs(parameters).into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    run.clear_outputs(state.name());
    let Some(name) = run.published(flow) else {
        run.note(format!("no published flow is named {flow:?}"));
        return Turn::Leave("failed");
    };
    let sid = ExecutionSid(run.derive("FN"));
    run.effect(Effect::StartSubflow { sid: sid.clone(), flow: name, parameters });
    Turn::Wait(Wait::Subflow(sid))
}

pub(super) fn resume(run: &mut Run<'_>, state: &State, sid: &ExecutionSid, input: Input) -> Option<Turn> {
    let Input::SubflowDone(done, ended, variables) = input else { return None };
    if done != *sid {
        return None;
    }
    match ended {
        Ended::Completed => {
            for (key, value) in variables {
                run.set(&["widgets", state.name(), &key], value);
            }
            Some(Turn::Leave("completed"))
        }
        Ended::Stopped(why) | Ended::Failed(why) => {
            run.note(why);
            Some(Turn::Leave("failed"))
        }
    }
}
