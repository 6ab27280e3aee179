//! The commands: how each is written, how long its answer may take, which lines of the answer are its own.

use std::time::Duration;

use super::bringup::Step;
use super::settings::Settings;
use crate::types::{Mem, Mono, PartId, Slot};

/// A text on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) part: PartId,
    pub(super) pdu: String,
    pub(super) length: u8,
}

/// How far a text has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendStage {
    /// `AT+CMGS=<n>` is written; nothing can leave before the prompt.
    Prompt,
    /// The prompt is there; the daemon writes down that the PDU leaves, and then says so.
    Prompted { attempt: u32 },
    /// The PDU and its Ctrl-Z were handed over: from here on it may have left.
    Handed { reference: Option<u8> },
}

/// What is looked at now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Signal,
    Registration,
    Operator,
    /// Does the modem still know its settings?
    Indications,
}

/// What the modem is asked for.
#[derive(Debug)]
pub(super) enum Command {
    BringUp(Step),
    /// After a missed answer: is anybody there?
    Probe,
    Look(Look),
    Select(Mem),
    List(Mem),
    Read {
        slot: Slot,
        found: bool,
    },
    Delete(Slot),
    Ack(Slot),
    Send {
        text: Outgoing,
        stage: SendStage,
    },
}

/// The command whose answer is awaited.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) command: Command,
    pub(super) deadline: Mono,
    /// What was written, to know its echo.
    pub(super) text: String,
    /// Lines of the answer, without PDUs.
    pub(super) info: Vec<String>,
}

impl Command {
    /// The command line without its CR; bring-up words its own.
    pub(super) fn text(&self) -> String {
        match self {
            Self::BringUp(_) => String::new(),
            // Its answer has a line of its own: a late OK of the command before is not taken for it.
            Self::Probe => "AT+CMEE?".to_owned(),
            Self::Look(Look::Signal) => "AT+CSQ".to_owned(),
            Self::Look(Look::Registration) => "AT+CREG?".to_owned(),
            Self::Look(Look::Operator) => "AT+COPS?".to_owned(),
            Self::Look(Look::Indications) => "AT+CNMI?".to_owned(),
            Self::Select(mem) => format!("AT+CPMS=\"{}\"", mem.as_str()),
            // 4: all, and they stay as they are (27.005 §4.1).
            Self::List(_) => "AT+CMGL=4".to_owned(),
            Self::Read { slot, .. } => format!("AT+CMGR={}", slot.index),
            Self::Delete(slot) => format!("AT+CMGD={}", slot.index),
            Self::Ack(_) => "AT+CNMA".to_owned(),
            Self::Send { text, .. } => format!("AT+CMGS={}", text.length),
        }
    }

    /// How long its answer may take.
    pub(super) fn patience(&self, settings: &Settings) -> Duration {
        match self {
            Self::BringUp(step) => step.patience(settings),
            Self::Probe => settings.attention,
            Self::Look(Look::Operator) => settings.storage,
            Self::Look(Look::Signal | Look::Registration | Look::Indications) | Self::Ack(_) => {
                settings.quick
            }
            Self::Select(_) | Self::Read { .. } | Self::Delete(_) => settings.storage,
            Self::List(_) => settings.list,
            Self::Send { stage: SendStage::Prompt | SendStage::Prompted { .. }, .. } => settings.prompt,
            Self::Send { stage: SendStage::Handed { .. }, .. } => settings.submit,
        }
    }

    /// True for a question: OK without a line of its own is no answer to it.
    pub(super) fn must_tell(&self) -> bool {
        match self {
            Self::BringUp(step) => step.must_tell(),
            Self::Probe | Self::Look(_) => true,
            Self::Select(_)
            | Self::List(_)
            | Self::Read { .. }
            | Self::Delete(_)
            | Self::Ack(_)
            | Self::Send { .. } => false,
        }
    }

    /// How the lines of its answer begin; `None` when it has none, `Some("")` for bare text.
    pub(super) fn prefix(&self) -> Option<&'static str> {
        match self {
            Self::BringUp(step) => step.prefix(),
            Self::Probe => Some("+CMEE:"),
            Self::Look(Look::Signal) => Some("+CSQ:"),
            Self::Look(Look::Registration) => Some("+CREG:"),
            Self::Look(Look::Operator) => Some("+COPS:"),
            Self::Look(Look::Indications) => Some("+CNMI:"),
            Self::Select(_) => Some("+CPMS:"),
            Self::Send { .. } => Some("+CMGS:"),
            Self::List(_) | Self::Read { .. } | Self::Delete(_) | Self::Ack(_) => None,
        }
    }
}
