//! `send-message`: the row is the acceptance, so `sent` is taken at once.

use serde_json::{Value, json};

use crate::flow::Effect;
use crate::flow::definition::State;
use crate::flow::run::{Run, Turn};
use crate::flow::template::Template;
use crate::types::MessageId;

/// Twilio refuses longer bodies (error 21617); here the customer gets what fits.
const MAX_CHARACTERS: usize = 1600;

pub(super) fn enter(run: &mut Run<'_>, state: &State, to: &Template, body: Option<&Template>) -> Turn {
    run.clear_outputs(state.name());
    let Some(body) = text(run, body) else { return Turn::Leave("failed") };
    let to = run.render(to);
    let to = Some(to.trim().to_owned()).filter(|to| !to.is_empty() && to != run.contact());
    let id = run.message_id();
    let outbound = outbound(run, &id, to.as_deref(), &body);
    run.set(&["widgets", state.name(), "outbound"], outbound);
    run.effect(Effect::Send { id, body, to, prompt: false });
    Turn::Leave("sent")
}

/// The rendered text; `None`, with a note, when there is nothing that can be sent.
pub(super) fn text(run: &mut Run<'_>, body: Option<&Template>) -> Option<String> {
    let Some(body) = body else {
        run.note("content templates live at Twilio and cannot be sent from this box");
        return None;
    };
    let body = run.render(body);
    let body = body.trim();
    if body.is_empty() {
        run.note("the text is empty after rendering; nothing was sent");
        return None;
    }
    if body.chars().nth(MAX_CHARACTERS).is_some() {
        run.note(format!("the text was cut to {MAX_CHARACTERS} characters; Twilio would refuse it"));
        return Some(body.chars().take(MAX_CHARACTERS).collect());
    }
    Some(body.to_owned())
}

/// `widgets.NAME.outbound`: what Twilio's Message resource says of a message that was just taken.
pub(super) fn outbound(run: &Run<'_>, id: &MessageId, to: Option<&str>, body: &str) -> Value {
    json!({
        "Sid": id.as_str(),
        "Status": "queued",
        "Direction": "outbound-api",
        "From": run.text_at("/flow/channel/address"),
        "To": to.unwrap_or_else(|| run.contact()),
        "Body": body,
        "NumMedia": "0",
    })
}
