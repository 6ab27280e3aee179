//! `send-message`: the row is the acceptance, so `sent` is taken at once.

use serde_json::{Map, Value, json};

use crate::flow::Effect;
use crate::flow::definition::{Enclosed, State};
use crate::flow::run::{Run, Turn};
use crate::flow::template::Template;
use crate::types::MessageId;
use crate::types::file::check_link;

/// Twilio refuses longer bodies (error 21617); here the customer gets what fits.
const MAX_CHARACTERS: usize = 1600;

pub(super) fn enter(
    run: &mut Run<'_>,
    state: &State,
    to: &Template,
    body: Option<&Template>,
    more: &Enclosed,
) -> Turn {
    run.clear_outputs(state.name());
    let Some(said) = said(run, body, more) else { return Turn::Leave("failed") };
    let to = run.render(to);
    let to = Some(to.trim().to_owned()).filter(|to| !to.is_empty() && to != run.contact());
    let id = run.message_id();
    let outbound = outbound(run, &id, to.as_deref(), &said);
    run.set(&["widgets", state.name(), "outbound"], outbound);
    run.effect(said.send(id, to, false));
    Turn::Leave("sent")
}

/// What a message says, rendered.
pub(super) struct Said {
    body: String,
    media: Vec<String>,
    template: Option<(String, Map<String, Value>)>,
}

impl Said {
    pub(super) fn send(self, id: MessageId, to: Option<String>, prompt: bool) -> Effect {
        Effect::Send { id, body: self.body, media: self.media, template: self.template, to, prompt }
    }
}

/// `None`, with a note, when there is nothing that can be sent.
pub(super) fn said(run: &mut Run<'_>, body: Option<&Template>, more: &Enclosed) -> Option<Said> {
    let media = media(run, more);
    if let Some((sid, variables)) = &more.content {
        let sid = run.render(sid).trim().to_owned();
        if sid.is_empty() {
            run.note("the content template has no name after rendering; nothing was sent");
            return None;
        }
        let variables =
            variables.iter().map(|(name, value)| (name.clone(), run.render(value).into())).collect();
        if !media.is_empty() {
            run.note("a content template brings its own media; media_url was not used");
        }
        return Some(Said { body: String::new(), media: Vec::new(), template: Some((sid, variables)) });
    }
    let body = body.map(|body| run.render(body)).unwrap_or_default();
    let body = body.trim();
    if body.is_empty() && media.is_empty() {
        run.note("the text is empty after rendering; nothing was sent");
        return None;
    }
    let mut body = body.to_owned();
    if body.chars().nth(MAX_CHARACTERS).is_some() {
        run.note(format!("the text was cut to {MAX_CHARACTERS} characters; Twilio would refuse it"));
        body = body.chars().take(MAX_CHARACTERS).collect();
    }
    Some(Said { body, media, template: None })
}

fn media(run: &mut Run<'_>, more: &Enclosed) -> Vec<String> {
    let url = run.render(&more.media_url).trim().to_owned();
    if url.is_empty() {
        return Vec::new();
    }
    match check_link(&url, true) {
        Ok(()) => vec![url],
        Err(why) => {
            run.note(format!("media_url is no address of a file ({why}); it was left out"));
            Vec::new()
        }
    }
}

/// `widgets.NAME.outbound`: what Twilio's Message resource says of a message that was just taken.
pub(super) fn outbound(run: &Run<'_>, id: &MessageId, to: Option<&str>, said: &Said) -> Value {
    json!({
        "Sid": id.as_str(),
        "Status": "queued",
        "Direction": "outbound-api",
        "From": run.text_at("/flow/channel/address"),
        "To": to.unwrap_or_else(|| run.contact()),
        "Body": said.body,
        "NumMedia": said.media.len().to_string(),
    })
}
