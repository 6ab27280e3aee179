//! The texts that answer STOP, START and HELP. What the words are is in `keywords`.

/// The one confirmation of STOP (47 CFR 64.1200(a)(12): one text, within five minutes, no marketing).
#[must_use]
pub fn stop_text(shop: &str) -> String {
    format!(
        "You are unsubscribed from {shop} and will receive no more messages from this number. Reply START to resubscribe."
    )
}

/// The confirmation of START.
#[must_use]
pub fn start_text(shop: &str) -> String {
    format!(
        "You will receive messages from {shop} again. Reply MENU for the main menu, HELP for help, STOP to unsubscribe."
    )
}

/// The answer to HELP.
#[must_use]
pub fn help_text(shop: &str, phone: &str) -> String {
    let call = if phone.is_empty() { String::new() } else { format!(" or call {phone}") };
    format!(
        "{shop}: reply MENU for the main menu{call}. Reply STOP to unsubscribe. Msg&Data rates may apply."
    )
}
