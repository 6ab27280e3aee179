//! What a text says about consent: the words that carriers and the law name, and the same thing in free words.
//!
//! The compliance rule, in full:
//! - A text that is one of the STOP words as a whole is STOP, on every line, before any flow. Case, punctuation, kinds
//!   of space, invisible characters, accents and symbols do not count. (Twilio's list with OPTOUT and REVOKE, ARRET
//!   for French; 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel and unsubscribe.)
//! - YES, CANCEL and END alone can also be answers, and are only when all of this is so: the person is not blocked; the
//!   widget in front waits for a reply, its question was handed to the line, and the question offered that word
//!   ([`Heard::offered`]). The law asks how a reasonable person understands the word: who was just asked "reply CANCEL
//!   to cancel your order" means the order. Outside such a question CANCEL and END are STOP.
//! - No menu can have STOP, STOPALL, UNSUBSCRIBE, QUIT, OPTOUT, REVOKE, ARRET, START, UNSTOP, HELP or INFO.
//! - YES is START for a blocked person and nothing for anybody else.
//! - An upstream may read CANCEL and END as STOP whatever the menu says: [`collision`] is what the owner is told.
//! - A request in free words ("please stop texting me") is a revocation when a reasonable person would say so (2025
//!   rule, the same paragraph). That is for a person to say: [`Request::Free`] goes to staff and pauses marketing at
//!   once. So it errs on the side of asking; a text that it should not have caught costs a glance.
//! - One confirmation follows STOP, within five minutes, without marketing (64.1200(a)(12)): [`may_confirm`].
//!
//! Deliberately absent: the ledger, and the texts of the answers.

use std::time::Duration;

use crate::types::Mono;

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
    "revoke",
    "arret",
];
const START: &[&str] = &["start", "unstop"];
const HELP: &[&str] = &["help", "info"];
/// What a waiting menu can have for itself.
pub const YIELDING: &[&str] = &["yes", "cancel", "end"];

/// Said anywhere in a text, these ask to be left alone.
const ANYWHERE: &[&str] = &[
    "stop texting",
    "stop text",
    "stop messaging",
    "stop sending",
    "stop contacting",
    "stop calling",
    "stop writing",
    "stop spamming",
    "stop bothering",
    "stop harassing",
    "stop all",
    "stop these",
    "quit texting",
    "quit messaging",
    "quit sending",
    "quit contacting",
    "quit bothering",
    "cease and desist",
    "dont text",
    "dont message",
    "dont contact",
    "dont send me",
    "dont write me",
    "dont bother me",
    "dont ever text",
    "dont ever contact",
    "do not text",
    "do not message",
    "do not contact",
    "do not send me",
    "do not write",
    "do not bother me",
    "never text",
    "never contact",
    "never message",
    "no more texts",
    "no more text",
    "no more messages",
    "no more msgs",
    "no more sms",
    "no more ads",
    "no more spam",
    "not want texts",
    "not want messages",
    "not want these",
    "not want any more",
    "not want to receive",
    "dont want texts",
    "dont want messages",
    "dont want these",
    "dont want your",
    "dont want any more",
    "dont want anymore",
    "dont want to receive",
    "dont want to get",
    "dont wish to receive",
    "no longer want to receive",
    "no longer want to get",
    "no longer want to hear",
    "no longer want to be",
    "no longer want texts",
    "no longer want messages",
    "no longer want these",
    "no longer want your",
    "no longer want any",
    "no longer wish",
    "take me off",
    "take my number off",
    "get me off",
    "remove me",
    "remove my number",
    "remove this number",
    "delete me",
    "delete my number",
    "lose my number",
    "lose this number",
    "off your list",
    "off this list",
    "off the list",
    "unsubscribe",
    "unsubscribed",
    "opt me out",
    "opt out",
    "opting out",
    "optout",
    "revoke",
    "withdraw my consent",
    "leave me alone",
    "wrong number",
    "wrong person",
    "stopall",
    "arretez",
    "arret",
    "desabonner",
    "desabonnez",
    "ne plus recevoir",
    "no me escriban",
    "no me escribas",
    "no mas mensajes",
    "no mas textos",
    "dejen de",
    "deja de enviar",
    "deja de enviarme",
    "deja de escribir",
    "deja de escribirme",
    "deja de mandar",
    "deja de mandarme",
    "deja de molestar",
    "deja de molestarme",
    "deje de enviar",
    "deje de enviarme",
    "deje de escribir",
    "deje de escribirme",
    "deje de mandar",
    "deje de mandarme",
    "deje de molestar",
    "deje de molestarme",
    "darme de baja",
    "de me de baja",
    "deme de baja",
    "no quiero recibir",
    "no quiero mas",
];
/// What people tell to stop when they mean texts, and what they put before it: "stop with all those reminders". A machine
/// that is to stop is none of these.
const OBJECTS: &[&str] = &[
    "texts",
    "messages",
    "msgs",
    "sms",
    "notifications",
    "alerts",
    "reminders",
    "updates",
    "ads",
    "offers",
    "promos",
    "promotions",
    "spam",
    "spamming",
    "texting",
    "messaging",
    "harassment",
    "crap",
    "nonsense",
    "subscription",
];
const BEFORE_OBJECTS: &[&str] = &[
    "with",
    "the",
    "your",
    "my",
    "all",
    "these",
    "those",
    "this",
    "any",
    "more",
    "text",
    "marketing",
    "damn",
];
/// Beside these alone a STOP word still asks to be left alone: "ok stop it now please".
const FILLERS: &[&str] = &[
    "please",
    "pls",
    "plz",
    "just",
    "now",
    "ok",
    "okay",
    "it",
    "this",
    "that",
    "all",
    "already",
    "kindly",
    "thanks",
    "thank",
    "you",
    "thx",
    "everything",
    "messages",
    "message",
    "texts",
    "text",
    "sms",
    "msgs",
    "i",
    "said",
    "want",
    "to",
    "would",
    "like",
    "must",
    "need",
    "hey",
    "hi",
    "hello",
    "sir",
    "me",
    "the",
    "these",
    "por",
    "favor",
    "ya",
    "svp",
    "can",
    "could",
    "we",
    "guys",
    "people",
    "right",
    "immediately",
    "asap",
    "told",
    "ask",
    "asked",
    "for",
    "good",
    "forever",
];
/// Beside fillers alone they ask to be left alone: STOP words (CANCEL and END stand for orders too often), and what
/// people write for STOP in a hurry or in Spanish.
const PLAIN: &[&str] =
    &["stop", "quit", "stopp", "unsub", "unsuscribe", "unsubcribe", "alto", "parar", "baja", "detener"];
/// These as a whole text do as well: within another they say nothing.
const WHOLE: &[&str] =
    &["go away", "no more", "no texts", "end texts", "end messages", "cancel texts", "cancel messages"];

/// What the box knows when a text comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard<'a> {
    /// The person is blocked for all that the shop sends.
    pub blocked: bool,
    /// The words that the waiting question offers, as the flow has them. Empty when nothing waits for a reply, and
    /// while the question was not handed to the line yet.
    pub offered: &'a [&'a str],
}

/// What a text asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send nothing more.
    Stop,
    /// Send again.
    Start,
    /// Who are you?
    Help,
    /// The main menu, from anywhere.
    Menu,
    /// YES, CANCEL or END, offered by the question that waits: for the flow.
    Choice,
    /// Perhaps a revocation in free words: for a person, and no marketing until it was read. The phrase is what was
    /// recognised.
    Free(&'static str),
    /// Nothing about consent: for the flow.
    Nothing,
}

/// A word of a menu that an upstream may take for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collision {
    /// It is never heard by a flow.
    Reserved,
    /// The box hears it as the menu's; an upstream with default opt-out words blocks the person all the same.
    Upstream,
    /// Never heard by the flow when the person is blocked: it is START then.
    WhenBlocked,
}

/// Reads a text.
#[must_use]
pub fn read(body: &str, heard: Heard<'_>) -> Request {
    let text = plain(body);
    let word = text.as_str();
    if word.is_empty() {
        return Request::Nothing;
    }
    let offered = YIELDING.contains(&word) && heard.offered.iter().any(|o| plain(o) == word);
    if offered && !heard.blocked {
        Request::Choice
    } else if STOP.contains(&word) {
        Request::Stop
    } else if START.contains(&word) || (heard.blocked && word == "yes") {
        Request::Start
    } else if HELP.contains(&word) {
        Request::Help
    } else if word == "menu" {
        Request::Menu
    } else {
        free(word).or_else(|| first_said(body)).map_or(Request::Nothing, Request::Free)
    }
}

/// Every word or phrase that [`read`] may take from a question that offers it, in lower case.
pub fn taken() -> impl Iterator<Item = &'static str> {
    STOP.iter().chain(START).chain(HELP).chain(YIELDING.first()).copied()
}

/// What the owner is told about a word that a question offers.
#[must_use]
pub fn collision(offered: &str) -> Option<Collision> {
    match plain(offered).as_str() {
        "yes" => Some(Collision::WhenBlocked),
        "cancel" | "end" => Some(Collision::Upstream),
        word if STOP.contains(&word) || START.contains(&word) || HELP.contains(&word) => {
            Some(Collision::Reserved)
        }
        _ => None,
    }
}

/// True while the one confirmation of STOP may go: not sent yet, and not five minutes since the STOP. Who does not
/// know when it was (another boot) sends none.
#[must_use]
pub fn may_confirm(stopped: Option<Mono>, confirmed: bool, now: Mono) -> bool {
    !confirmed && stopped.is_some_and(|at| at <= now && now.since(at) < Duration::from_secs(300))
}

/// `Stop. I have asked before.`, and whatever a phone puts below it.
fn first_said(body: &str) -> Option<&'static str> {
    let end = |c: char| matches!(c, '.' | '!' | '?' | ',' | ';' | ':' | '\n' | '\r');
    let first = body.split(end).map(plain).find(|said| !said.is_empty())?;
    (first == "stop").then_some("stop")
}

fn free(text: &str) -> Option<&'static str> {
    let mut padded = format!(" {text} ");
    // Who says that the texts, or a machine, do not stop may ask to be left alone in the same breath.
    for not in [" dont stop ", " do not stop ", " never stop "] {
        padded = padded.replace(not, " ");
    }
    let has = |phrase: &str| padded.contains(&format!(" {phrase} "));
    if let Some(phrase) = ANYWHERE.iter().find(|p| has(p)) {
        return Some(phrase);
    }
    if let Some(phrase) = WHOLE.iter().find(|p| **p == text) {
        return Some(phrase);
    }
    let words: Vec<&str> = padded.split_whitespace().collect();
    if let Some(object) = told_to_stop(&words) {
        return Some(object);
    }
    // "It just quit": a machine has.
    if words.first() == Some(&"it") {
        return None;
    }
    let plain = PLAIN.iter().find(|p| words.contains(p))?;
    let rest = words.iter().all(|w| w == plain || FILLERS.contains(w));
    rest.then_some(*plain)
}

/// "stop with all those reminders", "cancel my subscription".
fn told_to_stop(words: &[&str]) -> Option<&'static str> {
    let stops = |word: &&str| matches!(*word, "stop" | "quit" | "cancel");
    let after = |at: usize| words.get(at + 1..).unwrap_or_default().iter();
    let said = |at: usize| after(at).find(|word| !BEFORE_OBJECTS.contains(word));
    let told = |(at, word): (usize, &&str)| stops(word).then(|| said(at)).flatten();
    words.iter().enumerate().filter_map(told).find_map(|said| OBJECTS.iter().find(|o| *o == said)).copied()
}

/// Words in lower case with one space between: no punctuation, symbols, accents or invisible characters.
fn plain(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    let mut gap = false;
    for c in body.chars() {
        match c {
            // Soft hyphen, zero width and direction marks, variation selectors, apostrophes: not there at all.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {}
            '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{300}'..='\u{36f}' => {}
            '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}' | '`' | '\u{b4}' => {}
            c if c.is_alphanumeric() => {
                if std::mem::take(&mut gap) && !text.is_empty() {
                    text.push(' ');
                }
                text.extend(
                    half_width(c).to_lowercase().map(bare).filter(|c| !matches!(c, '\u{300}'..='\u{36f}')),
                );
            }
            _ => gap = true,
        }
    }
    // S.T.O.P and S T O P.
    if text.len() > 4 && text.split(' ').all(|w| w.chars().count() == 1 && w.chars().all(char::is_alphabetic))
    {
        text.retain(|c| c != ' ');
    }
    text
}

fn half_width(c: char) -> char {
    match c {
        '\u{ff10}'..='\u{ff5a}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    }
}

fn bare(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ä' | 'ã' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ò' | 'ó' | 'ô' | 'ö' | 'õ' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hear(body: &str) -> Request {
        read(body, Heard::default())
    }

    fn asked(body: &str, offered: &[&str]) -> Request {
        read(body, Heard { blocked: false, offered })
    }

    #[test]
    fn every_stop_word_stops_however_it_is_written() {
        for word in STOP {
            assert_eq!(hear(word), Request::Stop, "{word}");
            assert_eq!(hear(&word.to_uppercase()), Request::Stop, "{word}");
        }
        for text in [
            " stop ",
            "Stop.",
            "STOP!!",
            "\u{201c}Stop\u{201d}",
            "opt-out",
            "OPT\u{a0}OUT",
            "stop\u{3000}all",
            "S.T.O.P.",
            "s t o p",
            "st\u{200b}op",
            "STOP \u{1f6d1}",
            "Arrêt",
            "ARRE\u{302}T",
            "\u{ff33}\u{ff34}\u{ff2f}\u{ff30}",
            "\n\tstop\r\n",
        ] {
            assert_eq!(hear(text), Request::Stop, "{text:?}");
        }
    }

    #[test]
    fn words_within_other_texts_are_no_keywords() {
        for text in ["the end", "1", "", "   ", "unstoppable", "?!", "start date", "helpful", "I need help"] {
            assert_eq!(hear(text), Request::Nothing, "{text}");
        }
        for text in [
            "is your bus stop near?",
            "stop light for a 98 Civic",
            "can I stop by at 5?",
            "door stop",
            "The mower will not stop. Help",
            "Rialto",
            "no more than 2",
            "cancel the blade",
            "Can you stop by at 5?",
            "Stop sign on Main St",
            "cancel my appointment",
            "I want to end my service plan",
            "don't stop",
            "quit working",
            "It just quit",
            "My mower won't stop",
            "How do I stop my mower from smoking?",
            "will it stop with the choke on",
            "Could you stop your driver? He forgot the blade",
            "at the end, text me",
            "I no longer want the blade, only the belt",
            "la m\u{e1}quina deja de funcionar cuando llueve",
        ] {
            assert_eq!(hear(text), Request::Nothing, "{text}");
        }
        assert_eq!(hear("please don\u{2019}t stop texting me deals"), Request::Nothing);
        assert_eq!(hear("Help?"), Request::Help);
        assert_eq!(hear("menu "), Request::Menu);
        assert_eq!(hear("Start"), Request::Start);
    }

    #[test]
    fn free_words_go_to_a_person() {
        for text in [
            "please stop texting me",
            "Take me off your list!",
            "don\u{2019}t text me again",
            "DONT TEXT ME AGAIN",
            "stop please",
            "STOP PLEASE",
            "Ok, stop it now.",
            "I said stop",
            "remove my number from this",
            "you have the wrong number",
            "Please unsubscribe me",
            "I want to opt out",
            "no more messages",
            "I do not want to receive these",
            "I revoke my consent",
            "leave me alone",
            "Arrêtez s'il vous plaît",
            "no me escriban",
            "UNSUBSCRIBE ME",
            "don't text me",
            "stop stop stop",
            "Stop. I asked you before.",
            "STOP\n\nSent from my iPhone",
            "stop, who is this",
            "ALTO",
            "parar por favor",
            "\u{a1}Alto!",
            "d\u{e9}jen de escribirme",
            "unsub",
            "No more",
            "end texts",
            "You never stop! Take me off your list.",
            "I told you to stop",
            "can you please stop",
            "stop immediately",
            "stop right now",
            "I want it to stop",
            "Stop with all those text messages",
            "stop your messages",
            "stop my texts",
            "stop the spam",
            "cancel my subscription",
            "I no longer want to hear from you",
            "deja de mandarme mensajes",
        ] {
            assert!(matches!(hear(text), Request::Free(_)), "{text}: {:?}", hear(text));
        }
    }

    #[test]
    fn yes_cancel_and_end_mean_what_the_waiting_menu_says() {
        let menu = ["YES", "Cancel", "End."];
        for text in ["yes", "Cancel!", "END"] {
            assert_eq!(asked(text, &menu), Request::Choice, "{text}");
        }
        assert_eq!(asked("cancel", &["yes"]), Request::Stop, "not offered");
        assert_eq!(hear("cancel"), Request::Stop, "nothing waits");
        assert_eq!(hear("end"), Request::Stop);
        assert_eq!(hear("yes"), Request::Nothing);
    }

    #[test]
    fn a_blocked_person_is_in_no_menu() {
        let heard = Heard { blocked: true, offered: &["yes", "cancel", "end"] };
        assert_eq!(read("yes", heard), Request::Start);
        assert_eq!(read("cancel", heard), Request::Stop);
        assert_eq!(read("end", heard), Request::Stop);
    }

    #[test]
    fn no_menu_can_have_the_other_words() {
        for word in STOP.iter().chain(START).chain(HELP).filter(|w| !YIELDING.contains(w)) {
            assert_ne!(asked(word, &[word]), Request::Choice, "{word}");
            assert_eq!(collision(word), Some(Collision::Reserved), "{word}");
        }
        assert_eq!(collision("Cancel"), Some(Collision::Upstream));
        assert_eq!(collision("YES"), Some(Collision::WhenBlocked));
        assert_eq!(collision("brakes"), None);
    }

    #[test]
    fn one_confirmation_within_five_minutes() {
        let at = Some(Mono(1000));
        assert!(may_confirm(at, false, Mono(1000)));
        assert!(may_confirm(at, false, Mono(300_999)));
        assert!(!may_confirm(at, false, Mono(301_000)));
        assert!(!may_confirm(at, true, Mono(1000)));
        assert!(!may_confirm(None, false, Mono(1000)), "after a restart nobody knows when it was");
    }

    proptest! {
        #[test]
        fn dress_does_not_hide_a_stop_word(
            word in prop::sample::select(STOP), upper: bool,
            before in "[ .!,\u{a0}\u{2003}\u{200b}*]{0,4}", after in "[ .!?,\u{a0}\u{2003}\u{feff}\u{1f64f}\n]{0,4}",
        ) {
            let word = if upper { word.to_uppercase() } else { word.to_owned() };
            prop_assert_eq!(hear(&format!("{before}{word}{after}")), Request::Stop);
        }

        #[test]
        fn no_text_panics_and_no_offer_turns_stop_into_anything_else(body in ".{0,40}", offer in ".{0,8}") {
            let plainly = hear(&body);
            let offered = asked(&body, &[&offer, "stop", "help"]);
            prop_assert!(plainly == offered || offered == Request::Choice);
            prop_assert_eq!(asked("STOP", &[&body, &offer]), Request::Stop);
        }

        #[test]
        fn reading_twice_reads_the_same(body in ".{0,40}") {
            prop_assert_eq!(plain(&plain(&body)), plain(&body));
        }
    }
}
