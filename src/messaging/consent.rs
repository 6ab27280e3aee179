//! STOP, START and HELP: read before any flow, on every line, and the texts that answer them.
//!
//! Words as carriers and Twilio use them (Twilio: Advanced Opt-Out; 47 CFR 64.1200(a)(10): stop, quit, revoke, opt
//! out, cancel, unsubscribe, end). The whole text must be the word, any case, with or without punctuation at its
//! end: `STOP PLEASE` is left to people.

/// A word that the box acts on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// Send nothing more.
    Stop,
    /// Send again.
    Start,
    /// Who are you?
    Help,
    /// The main menu, from anywhere.
    Menu,
}

const STOP: &[&str] = &[
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "optout",
    "opt out",
    "opt-out",
    "revoke",
];
const START: &[&str] = &["start", "unstop"];
const HELP: &[&str] = &["help", "info"];

/// The keyword that a text is, if it is one. YES and START mean "send again" only to a person who is `blocked`.
#[must_use]
pub fn keyword(body: &str, blocked: bool) -> Option<Keyword> {
    let word = body
        .trim()
        .trim_end_matches(|c: char| c.is_ascii_punctuation() || c.is_whitespace())
        .trim_matches(|c| matches!(c, '"' | '\'' | '\u{201c}' | '\u{201d}'))
        .to_lowercase();
    let word = word.as_str();
    if STOP.contains(&word) {
        Some(Keyword::Stop)
    } else if START.contains(&word) || (blocked && word == "yes") {
        Some(Keyword::Start)
    } else if HELP.contains(&word) {
        Some(Keyword::Help)
    } else if word == "menu" {
        Some(Keyword::Menu)
    } else {
        None
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_be_the_word() {
        for text in ["STOP", " stop ", "Stop.", "stop!!", "OPT OUT", "\u{201c}Stop\u{201d}", "end"] {
            assert_eq!(keyword(text, false), Some(Keyword::Stop), "{text}");
        }
        for text in ["stop please", "don't stop", "the end", "1", "", "unstoppable"] {
            assert_eq!(keyword(text, false), None, "{text}");
        }
        assert_eq!(keyword("Start", false), Some(Keyword::Start));
        assert_eq!(keyword("menu ", false), Some(Keyword::Menu));
        assert_eq!(keyword("Help?", false), Some(Keyword::Help));
    }

    #[test]
    fn yes_means_start_only_to_who_said_stop() {
        assert_eq!(keyword("YES", false), None);
        assert_eq!(keyword("YES", true), Some(Keyword::Start));
    }
}
