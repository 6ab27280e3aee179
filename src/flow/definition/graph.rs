//! What only the whole graph shows: names that are given twice, transitions to nowhere, widgets that nothing
//! leads to, failures that nobody catches.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problems, State, StateKind};

pub(super) fn check(states: &[State], initial: Option<&str>, problems: &mut Problems) {
    let by_name = names(states, problems);
    triggers(states, problems);
    dangling(states, &by_name, problems);
    check_initial(states, initial, &by_name, problems);
    // The trigger is where executions begin, also while `initial_state` is still wrong.
    if let Some(start) = states.iter().position(|state| state.type_name == "trigger") {
        unreachable(states, start, &by_name, problems);
    }
    for (at, state) in states.iter().enumerate() {
        unhandled(at, state, problems);
    }
    for (at, path, name) in std::mem::take(&mut problems.mentions) {
        if !by_name.contains_key(name.as_str()) {
            problems.warning(Some(at), path, format!("Liquid names the widget {name:?}, and there is none"));
        }
    }
}

fn check_initial(
    states: &[State],
    initial: Option<&str>,
    by_name: &BTreeMap<&str, usize>,
    problems: &mut Problems,
) {
    let Some(initial) = initial else { return };
    let message = match by_name.get(initial).and_then(|&at| states.get(at)) {
        None => format!("no state is named {initial:?}"),
        Some(state) if state.type_name != "trigger" => format!("{initial:?} is not the trigger"),
        Some(_) => return,
    };
    problems.error(None, "#/initial_state".into(), message);
}

fn names<'a>(states: &'a [State], problems: &mut Problems) -> BTreeMap<&'a str, usize> {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, state) in states.iter().enumerate().filter(|(_, s)| !s.name.is_empty()) {
        if let Some(first) = by_name.get(state.name.as_str()) {
            let message = format!("{:?} is already the name of state {first}", state.name);
            problems.error(Some(at), format!("#/states/{at}/name"), message);
        } else {
            by_name.insert(&state.name, at);
        }
    }
    by_name
}

fn triggers(states: &[State], problems: &mut Problems) {
    let mut found = states.iter().enumerate().filter(|(_, s)| s.type_name == "trigger").map(|(at, _)| at);
    match found.next() {
        None if states.is_empty() => {}
        None => problems.error(None, "#/states".into(), "no trigger: a flow needs exactly one"),
        Some(first) => {
            for at in found {
                let message =
                    format!("a second trigger (the first is state {first}): a flow has exactly one");
                problems.error(Some(at), format!("#/states/{at}/type"), message);
            }
        }
    }
}

fn dangling(states: &[State], by_name: &BTreeMap<&str, usize>, problems: &mut Problems) {
    for (at, state) in states.iter().enumerate() {
        for (nth, transition) in state.transitions.iter().enumerate() {
            let Some(next) = transition.next.as_deref().filter(|next| !by_name.contains_key(next)) else {
                continue;
            };
            let path = format!("#/states/{at}/transitions/{nth}/next");
            problems.error(Some(at), path, format!("no state is named {next:?}"));
        }
    }
}

fn unreachable(states: &[State], start: usize, by_name: &BTreeMap<&str, usize>, problems: &mut Problems) {
    let mut seen = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        for transition in states.get(at).map_or(&[][..], |s| s.transitions.as_slice()) {
            let next = transition.next.as_deref().and_then(|next| by_name.get(next).copied());
            if let Some(next) = next.filter(|&next| seen.insert(next)) {
                open.push(next);
            }
        }
    }
    for (at, state) in states.iter().enumerate().filter(|(at, _)| !seen.contains(at)) {
        if by_name.get(state.name.as_str()) == Some(&at) && state.type_name != "trigger" {
            problems.warning(
                Some(at),
                format!("#/states/{at}"),
                format!("nothing leads to {:?}", state.name),
            );
        }
    }
}

/// A failure that ends the execution where success goes on is most often forgotten, not meant. `deliveryFailure` is
/// left out: whom no prompt reaches, no other text reaches either.
fn unhandled(at: usize, state: &State, problems: &mut Problems) {
    let (success, failures): (&str, &[&str]) = match state.kind {
        StateKind::SendMessage { .. } => ("sent", &["failed"]),
        StateKind::SendAndWait { .. } => ("incomingMessage", &["timeout"]),
        StateKind::HttpRequest(_) => ("success", &["failed"]),
        StateKind::RunFunction { .. } => ("success", &["fail"]),
        StateKind::RunSubflow { .. } => ("completed", &["failed"]),
        StateKind::Split => ("match", &["noMatch"]),
        StateKind::Trigger | StateKind::SetVariables(_) | StateKind::Other { .. } => return,
    };
    let leads_on = |event: &str| state.transitions.iter().any(|t| t.event == event && t.next.is_some());
    if !leads_on(success) {
        return;
    }
    for event in failures.iter().filter(|event| !leads_on(event)) {
        let message =
            format!("{:?} leaves {event:?} unhandled: the execution ends there silently", state.name);
        problems.warning(Some(at), format!("#/states/{at}/transitions"), message);
    }
}
