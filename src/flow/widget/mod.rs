//! Widgets, a file each: what entering one does, and what an awaited input makes of it.

mod function;
mod http;
mod message;
mod prompt;
mod subflow;
mod variables;

use super::Input;
use super::definition::{State, StateKind, Transition};
use super::execution::Wait;
use super::run::{Run, Turn};

/// Enters a widget.
pub(super) fn enter(run: &mut Run<'_>, state: &State) -> Turn {
    match state.kind() {
        StateKind::Trigger => Turn::Fail("a transition leads back to the trigger".into()),
        StateKind::SendMessage { to, body, more } => message::enter(run, state, to, body.as_ref(), more),
        StateKind::SendAndWait { body, more, timeout } => {
            prompt::enter(run, state, body.as_ref(), more, timeout)
        }
        StateKind::Split => split(run, state),
        StateKind::SetVariables(variables) => variables::enter(run, state, variables),
        StateKind::HttpRequest(request) => http::enter(run, state, request),
        StateKind::RunFunction { url, parameters } => function::enter(run, state, url, parameters),
        StateKind::RunSubflow { flow, parameters } => subflow::enter(run, state, flow, parameters),
        StateKind::Other { failure } => other(run, state, *failure),
    }
}

/// Hands an input to the widget that waits; `None` when it is not what is awaited, or changes no widget.
pub(super) fn resume(run: &mut Run<'_>, state: &State, wait: Wait, input: Input) -> Option<Turn> {
    match wait {
        Wait::Reply { prompt, stage, timeout_ms } => {
            prompt::resume(run, state, prompt::Prompt { id: prompt, stage, timeout_ms }, input)
        }
        Wait::Http(id) => http::resume(run, state, id, input),
        Wait::Order(id) => function::resume(run, state, &id, input),
        Wait::Subflow(sid) => subflow::resume(run, state, &sid, input),
    }
}

/// The first `match` whose conditions all hold, in the order of the file.
fn split(run: &mut Run<'_>, state: &State) -> Turn {
    let mut notes = Vec::new();
    let holds = |transition: &&Transition| {
        !transition.conditions.is_empty()
            && transition
                .conditions
                .iter()
                .all(|condition| condition.holds(&run.execution.context, &run.templates, &mut notes))
    };
    let found = state.transitions().iter().filter(|t| t.event() == "match").find(holds);
    let next = found.map(|transition| transition.next().map(str::to_owned));
    for note in notes {
        run.note(note);
    }
    match next {
        Some(next) => Turn::LeaveTo("match", next),
        None => Turn::Leave("noMatch"),
    }
}

/// A widget of Studio that a text line cannot carry out: voice, Flex, Conversations.
fn other(run: &mut Run<'_>, state: &State, failure: Option<&'static str>) -> Turn {
    run.clear_outputs(state.name());
    let why = format!("a {} cannot be carried out on a text line of this box", state.type_name());
    match failure.filter(|event| state.next(event).is_some_and(|next| next.is_some())) {
        Some(event) => {
            run.note(why);
            Turn::Leave(event)
        }
        None => Turn::Fail(why),
    }
}
