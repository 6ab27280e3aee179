//! One person and one shop, across lines: who is in front and hears the next text, what waits its turn, which
//! texts came too early.
//!
//! The policy, in full:
//! - One execution is in front. A subflow stands before its parent until it ends.
//! - What the box wants to start by itself (a refused order's menu) waits its turn: it comes to the front when nobody
//!   is there, or when the one there only shows a courtesy menu after its work is done (a widget whose name begins
//!   with `closing`); that one is ended then.
//! - A text is early when the front execution is not waiting for a reply, or its question was not handed to the line
//!   yet. Early texts are kept in order and answer the questions to come. An early text that repeats the last answer
//!   or the early text before it is stored and not used: nobody orders a part twice by impatience.
//! - While people have the conversation, no flow hears anything; MENU gives it back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::{ExecutionSid, LineId, Mono, OrderId, Wall};

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Flows.
    #[default]
    Flow,
    /// The staff, through the relay.
    People {
        /// When somebody last wrote, in this boot.
        last: Mono,
    },
}

/// A text that came before its question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Early {
    /// Webhook parameters, whole.
    pub parameters: Map<String, Value>,
    /// Text.
    pub body: String,
}

/// A flow that waits its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its execution, once started.
    pub sid: ExecutionSid,
    /// Friendly name.
    pub flow: String,
    /// `trigger.request.parameters`.
    pub parameters: Map<String, Value>,
    /// The order that it is about, when it is about one.
    pub order: Option<OrderId>,
}

/// The state that is kept of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Version of this form, for readers to come.
    #[serde(default)]
    pub version: u32,
    /// Who answers.
    #[serde(default)]
    pub mode: Mode,
    /// In front last; its parents before it.
    #[serde(default)]
    pub front: Vec<ExecutionSid>,
    /// Waits its turn.
    #[serde(default)]
    pub waiting: VecDeque<Waiting>,
    /// Came too early.
    #[serde(default)]
    pub early: VecDeque<Early>,
    /// The last text that was used as an answer.
    #[serde(default)]
    pub last_answer: Option<String>,
    /// The line that the person wrote to last: the number that they know.
    #[serde(default)]
    pub line: Option<LineId>,
    /// The line that took its place while it was down; void when the conversation is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<LineId>,
    /// When the person last wrote by WhatsApp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<Wall>,
    /// Until then the person knows that the shop is closed, or has somebody who answers all the same.
    #[serde(default)]
    pub closed_until: Option<Wall>,
}

/// What is to be done with a text, or with the conversation as it stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Hand it to the execution in front.
    Answer(ExecutionSid, Map<String, Value>),
    /// Start the main flow with it.
    StartMain(Map<String, Value>),
    /// Kept: it came too early.
    Kept,
    /// Stored and not used: an early repeat of the last answer.
    Repeat,
    /// For the staff.
    Relay,
    /// Start what waits; first end the execution given.
    StartWaiting(Waiting, Option<ExecutionSid>),
    /// Nothing to do.
    Nothing,
}

/// What the execution in front can hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Nobody is in front.
    Nobody,
    /// Not now.
    NotYet,
    /// A reply.
    Reply,
    /// A reply, and it would not be missed.
    Closing,
}

/// True when two answers are the same to a person: case and space do not count.
#[must_use]
pub fn is_same_answer(a: &str, b: &str) -> bool {
    let norm = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    norm(a) == norm(b)
}

impl Conversation {
    /// The execution in front.
    #[must_use]
    pub fn front(&self) -> Option<&ExecutionSid> {
        self.front.last()
    }

    /// True when nothing is going on.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.mode == Mode::Flow && self.front.is_empty() && self.waiting.is_empty() && self.early.is_empty()
    }

    /// A text came, and it is no keyword. `widget` is what the front execution waits in: `None` when it waits for
    /// nothing or its question is not handed over yet.
    #[must_use]
    pub fn hear(&mut self, body: &str, parameters: Map<String, Value>, widget: Option<&str>) -> Turn {
        if matches!(self.mode, Mode::People { .. }) {
            return Turn::Relay;
        }
        match self.hearing(widget) {
            Hearing::Nobody => {
                self.last_answer = Some(body.to_owned());
                Turn::StartMain(parameters)
            }
            Hearing::NotYet => {
                let last = self.early.back().map(|e| e.body.as_str()).or(self.last_answer.as_deref());
                if last.is_some_and(|last| is_same_answer(last, body)) {
                    return Turn::Repeat;
                }
                self.early.push_back(Early { parameters, body: body.to_owned() });
                Turn::Kept
            }
            Hearing::Reply | Hearing::Closing => self.answer(body, parameters),
        }
    }

    /// After anything changed: what comes next by itself? To be asked again until it says [`Turn::Nothing`].
    #[must_use]
    pub fn next(&mut self, widget: Option<&str>) -> Turn {
        if matches!(self.mode, Mode::People { .. }) {
            return Turn::Nothing;
        }
        match self.hearing(widget) {
            Hearing::NotYet => Turn::Nothing,
            Hearing::Nobody => {
                if let Some(next) = self.waiting.pop_front() {
                    return Turn::StartWaiting(next, None);
                }
                match self.early.pop_front() {
                    Some(early) => {
                        self.last_answer = Some(early.body);
                        Turn::StartMain(early.parameters)
                    }
                    None => Turn::Nothing,
                }
            }
            Hearing::Reply => self.answer_early(),
            Hearing::Closing => match (self.early.is_empty(), self.waiting.pop_front()) {
                (true, Some(next)) => Turn::StartWaiting(next, self.front.last().cloned()),
                (false, Some(next)) => {
                    self.waiting.push_front(next);
                    self.answer_early()
                }
                (_, None) => self.answer_early(),
            },
        }
    }

    fn answer_early(&mut self) -> Turn {
        match self.early.pop_front() {
            Some(early) => self.answer(&early.body, early.parameters),
            None => Turn::Nothing,
        }
    }

    fn answer(&mut self, body: &str, parameters: Map<String, Value>) -> Turn {
        match self.front.last() {
            Some(front) => {
                self.last_answer = Some(body.to_owned());
                Turn::Answer(front.clone(), parameters)
            }
            None => Turn::StartMain(parameters),
        }
    }

    fn hearing(&self, widget: Option<&str>) -> Hearing {
        match (self.front.is_empty(), widget) {
            (true, _) => Hearing::Nobody,
            (false, None) => Hearing::NotYet,
            (false, Some(name)) if name.starts_with("closing") => Hearing::Closing,
            (false, Some(_)) => Hearing::Reply,
        }
    }

    /// An execution came to the front, on top of `parent` or alone.
    pub fn came_to_front(&mut self, sid: ExecutionSid, on_top: bool) {
        if !on_top {
            self.front.clear();
        }
        self.front.push(sid);
    }

    /// An execution ended; those on top of it are gone with it.
    pub fn ended(&mut self, sid: &ExecutionSid) {
        if let Some(at) = self.front.iter().position(|s| s == sid) {
            self.front.truncate(at);
        }
    }

    /// MENU, STOP or a hand-over: nobody is in front any more and early texts are void. Gives the executions to stop.
    #[must_use]
    pub fn clear(&mut self) -> Vec<ExecutionSid> {
        self.early.clear();
        self.last_answer = None;
        self.mode = Mode::Flow;
        std::mem::take(&mut self.front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("Body".into(), Value::from(body));
        map
    }

    fn sid(text: &str) -> ExecutionSid {
        ExecutionSid::from(text)
    }

    #[test]
    fn an_impatient_repeat_is_not_used_but_a_second_answer_is_kept() {
        let mut c = Conversation::default();
        assert_eq!(c.hear("4", params("4"), None), Turn::StartMain(params("4")));
        c.came_to_front(sid("FN1"), false);
        assert_eq!(c.hear("2", params("2"), Some("menu")), Turn::Answer(sid("FN1"), params("2")));
        assert_eq!(c.hear(" 2 ", params(" 2 "), None), Turn::Repeat);
        assert_eq!(c.hear("7", params("7"), None), Turn::Kept);
        assert_eq!(c.hear("7", params("7"), None), Turn::Repeat);
        assert_eq!(c.next(None), Turn::Nothing);
        assert_eq!(c.next(Some("list")), Turn::Answer(sid("FN1"), params("7")));
        assert_eq!(c.next(Some("list")), Turn::Nothing);
    }

    #[test]
    fn a_text_after_the_end_starts_over() {
        let mut c = Conversation::default();
        c.came_to_front(sid("FN1"), false);
        assert_eq!(c.hear("hello", params("hello"), None), Turn::Kept);
        c.ended(&sid("FN1"));
        assert_eq!(c.next(None), Turn::StartMain(params("hello")));
    }

    #[test]
    fn what_waits_takes_the_front_only_from_a_courtesy_menu() {
        let waiting =
            Waiting { sid: sid("FN2"), flow: "Order_Failed".into(), parameters: Map::new(), order: None };
        let mut c = Conversation::default();
        c.came_to_front(sid("FN1"), false);
        c.waiting.push_back(waiting.clone());
        assert_eq!(c.next(Some("quantity")), Turn::Nothing);
        assert_eq!(c.next(Some("closing_menu")), Turn::StartWaiting(waiting, Some(sid("FN1"))));
    }

    #[test]
    fn people_hear_everything_until_the_conversation_is_cleared() {
        let mut c = Conversation { mode: Mode::People { last: Mono(1) }, ..Conversation::default() };
        assert_eq!(c.hear("1", params("1"), Some("menu")), Turn::Relay);
        assert!(c.clear().is_empty());
        assert_eq!(c.hear("1", params("1"), None), Turn::StartMain(params("1")));
    }

    #[test]
    fn a_subflow_stands_before_its_parent() {
        let mut c = Conversation::default();
        c.came_to_front(sid("FN1"), false);
        c.came_to_front(sid("FN2"), true);
        assert_eq!(c.hear("x", params("x"), Some("q")), Turn::Answer(sid("FN2"), params("x")));
        c.ended(&sid("FN2"));
        assert_eq!(c.front(), Some(&sid("FN1")));
    }
}
