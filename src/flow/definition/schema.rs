//! What Studio's widget types may say: their events, their properties and the properties' types, as one table.
//! Sources: Twilio's public widget reference and the property names of real exports. Keys that are not listed
//! here are ignored, as Studio ignores them.

/// A property's JSON type. Real exports mix `"3600"` with 3600 and `"true"` with true, so those are one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string; Liquid is allowed in it.
    Text,
    /// A number, or a string that holds one or is Liquid.
    Number,
    /// A boolean, or one of the strings `true` and `false`.
    Flag,
    /// An array of `{key, value}`.
    Pairs,
    /// An array of anything.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// As Twilio's FlowValidate names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number or string",
            Self::Flag => "boolean",
            Self::Pairs | Self::List => "array",
            Self::Object => "object",
        }
    }
}

/// One property of a widget type.
#[derive(Debug)]
pub(super) struct Property {
    /// Its key.
    pub(super) key: &'static str,
    /// Its type.
    pub(super) kind: Kind,
    /// False: may be missing or null.
    pub(super) required: bool,
}

/// One widget type.
#[derive(Debug)]
pub(super) struct Spec {
    /// As in `type`.
    pub(super) name: &'static str,
    /// What a transition may be named.
    pub(super) events: &'static [&'static str],
    /// The event of a widget that could not do its work.
    pub(super) failure: Option<&'static str>,
    /// What `properties` may hold.
    pub(super) properties: &'static [Property],
}

const fn must(key: &'static str, kind: Kind) -> Property {
    Property { key, kind, required: true }
}

const fn may(key: &'static str, kind: Kind) -> Property {
    Property { key, kind, required: false }
}

impl Spec {
    /// True for the types that this box carries out. What the table says of the others is taken from documents
    /// only, so a departure from it there is a warning and no reason to refuse an export.
    pub(super) fn is_carried_out(&self) -> bool {
        matches!(
            self.name,
            "trigger"
                | "send-message"
                | "send-and-wait-for-reply"
                | "split-based-on"
                | "set-variables"
                | "make-http-request"
                | "run-function"
                | "run-subflow"
        )
    }
}

/// The specification of a widget type; `None` when there is no such type.
pub(super) fn spec(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|s| s.name == name)
}

/// The type whose name is nearest to a mistaken one, for the message.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let wanted: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    SPECS.iter().map(|s| s.name).find(|known| {
        let known: String = known.chars().filter(char::is_ascii_alphanumeric).collect();
        !wanted.is_empty() && (known.starts_with(&wanted) || wanted.starts_with(&known))
    })
}

use Kind::{Flag, List, Number, Object, Pairs, Text};

const SPECS: &[Spec] = &[
    Spec {
        name: "trigger",
        events: &[
            "incomingMessage",
            "incomingCall",
            "incomingConversationMessage",
            "incomingRequest",
            "incomingParent",
        ],
        failure: None,
        properties: &[],
    },
    Spec {
        name: "send-message",
        events: &["sent", "failed"],
        failure: Some("failed"),
        properties: &[
            must("from", Text),
            must("to", Text),
            may("body", Text),
            may("service", Text),
            may("channel", Text),
            may("attributes", Text),
            may("media_url", Text),
            may("message_type", Text),
            may("content_sid", Text),
            may("content_template_sid", Text),
            may("content_variables", List),
            may("shorten_urls", Flag),
            may("messaging_service_sid", Text),
        ],
    },
    Spec {
        name: "send-and-wait-for-reply",
        events: &["incomingMessage", "timeout", "deliveryFailure"],
        failure: Some("deliveryFailure"),
        properties: &[
            must("from", Text),
            may("body", Text),
            may("timeout", Number),
            may("service", Text),
            may("channel", Text),
            may("attributes", Text),
            may("media_url", Text),
            may("message_type", Text),
            may("content_sid", Text),
            may("content_template_sid", Text),
            may("content_variables", List),
        ],
    },
    Spec {
        name: "split-based-on",
        events: &["match", "noMatch"],
        failure: None,
        properties: &[may("input", Text)],
    },
    Spec { name: "set-variables", events: &["next"], failure: None, properties: &[must("variables", Pairs)] },
    Spec {
        name: "make-http-request",
        events: &["success", "failed"],
        failure: Some("failed"),
        properties: &[
            must("method", Text),
            must("url", Text),
            may("content_type", Text),
            may("body", Text),
            may("parameters", Pairs),
            may("add_twilio_auth", Flag),
            may("timeout", Number),
        ],
    },
    Spec {
        name: "run-function",
        events: &["success", "fail"],
        failure: Some("fail"),
        properties: &[
            must("url", Text),
            may("service_sid", Text),
            may("environment_sid", Text),
            may("function_sid", Text),
            may("parameters", Pairs),
        ],
    },
    Spec {
        name: "run-subflow",
        events: &["completed", "failed"],
        failure: Some("failed"),
        properties: &[must("flow_sid", Text), may("flow_revision", Text), may("parameters", Pairs)],
    },
    Spec {
        name: "say-play",
        events: &["audioComplete"],
        failure: None,
        properties: &[
            may("say", Text),
            may("voice", Text),
            may("language", Text),
            may("loop", Number),
            may("play", Text),
            may("digits", Text),
        ],
    },
    Spec {
        name: "gather-input-on-call",
        events: &["keypress", "speech", "timeout"],
        failure: Some("timeout"),
        properties: &[
            may("say", Text),
            may("play", Text),
            may("voice", Text),
            may("language", Text),
            may("loop", Number),
            may("timeout", Number),
            may("finish_on_key", Text),
            may("stop_gather", Flag),
            may("number_of_digits", Number),
            may("speech_timeout", Number),
            may("gather_language", Text),
            may("speech_model", Text),
            may("hints", Text),
            may("profanity_filter", Flag),
        ],
    },
    Spec {
        name: "connect-call-to",
        events: &["callCompleted", "hangup"],
        failure: None,
        properties: &[
            must("noun", Text),
            may("to", Text),
            may("caller_id", Text),
            may("record", Flag),
            may("timeout", Number),
            may("time_limit", Number),
            may("sip_endpoint", Text),
            may("sip_username", Text),
            may("sip_password", Text),
        ],
    },
    Spec {
        name: "record-voicemail",
        events: &["recordingComplete", "noAudio", "hangup"],
        failure: Some("noAudio"),
        properties: &[
            may("transcribe", Flag),
            may("trim", Text),
            may("transcription_callback_url", Text),
            may("recording_status_callback_url", Text),
            may("play_beep", Flag),
            may("finish_on_key", Text),
            may("timeout", Number),
            may("max_length", Number),
        ],
    },
    Spec {
        name: "record-call",
        events: &["success", "failed"],
        failure: Some("failed"),
        properties: &[
            may("record_call", Flag),
            may("trim", Text),
            may("recording_status_callback", Text),
            may("recording_status_callback_method", Text),
            may("recording_status_callback_events", Text),
            may("recording_channels", Text),
        ],
    },
    Spec {
        name: "make-outgoing-call-v1",
        events: &["answered", "busy", "noAnswer", "failed", "answeredByMachine", "hangup"],
        failure: Some("failed"),
        properties: OUTGOING_CALL,
    },
    Spec {
        name: "make-outgoing-call-v2",
        events: &["answered", "busy", "noAnswer", "failed"],
        failure: Some("failed"),
        properties: OUTGOING_CALL,
    },
    Spec {
        name: "enqueue-call",
        events: &["callComplete", "failedToEnqueue", "callFailure"],
        failure: Some("failedToEnqueue"),
        properties: &[
            may("queue_name", Text),
            may("workflow_sid", Text),
            may("wait_url", Text),
            may("wait_url_method", Text),
            may("priority", Number),
            may("timeout", Number),
            may("task_attributes", Text),
        ],
    },
    Spec {
        name: "send-to-flex",
        events: &["callComplete", "failedToEnqueue", "callFailure", "composerStarted"],
        failure: Some("failedToEnqueue"),
        properties: &[
            may("workflow", Text),
            may("channel", Text),
            may("attributes", Text),
            may("priority", Number),
            may("timeout", Number),
            may("waitUrl", Text),
            may("waitUrlMethod", Text),
        ],
    },
    Spec {
        name: "fork-stream",
        events: &["next"],
        failure: Some("next"),
        properties: &[
            must("stream_action", Text),
            may("stream_name", Text),
            may("stream_transport_type", Text),
            may("stream_track", Text),
            may("stream_url", Text),
            may("stream_connector", Text),
            may("stream_parameters", List),
        ],
    },
    Spec {
        name: "capture-payments",
        events: &[
            "success",
            "maxFailedAttempts",
            "providerError",
            "payInterrupted",
            "hangup",
            "validationError",
        ],
        failure: Some("providerError"),
        properties: &[
            may("payment_connector", Text),
            may("payment_amount", Number),
            may("currency", Text),
            may("timeout", Number),
            may("max_attempts", Number),
            may("security_code", Flag),
            may("postal_code", Text),
            may("min_postal_code_length", Number),
            may("payment_method", Text),
            may("payment_token_type", Text),
            may("valid_card_types", List),
            may("language", Text),
            may("description", Text),
            may("parameters", List),
        ],
    },
    Spec {
        name: "add-twiml-redirect",
        events: &["return", "timeout", "fail"],
        failure: Some("fail"),
        properties: &[must("url", Text), may("method", Text), may("timeout", Number)],
    },
    Spec {
        name: "connect-virtual-agent",
        events: &["return", "hangup"],
        failure: None,
        properties: &[
            must("connector", Text),
            may("language", Text),
            may("sentiment_analysis", Flag),
            may("status_callback", Text),
        ],
    },
    Spec {
        name: "connect-virtual-agent-v2",
        events: &["completed", "live-agent-handoff", "hangup", "failed", "paused", "timeout"],
        failure: Some("failed"),
        properties: &[
            must("connector_name", Text),
            may("configurations", List),
            may("parameters", List),
            may("status_callback", Text),
            may("status_callback_method", Text),
        ],
    },
    Spec {
        name: "send-to-auto-pilot",
        events: &["sessionEnded", "failure", "timeout"],
        failure: Some("failure"),
        properties: &[
            may("autopilot_assistant_sid", Text),
            may("from", Text),
            may("body", Text),
            may("target_task", Text),
            may("memory_parameters", List),
            may("timeout", Number),
        ],
    },
    Spec {
        name: "start-conversation",
        events: &["created", "failed"],
        failure: Some("failed"),
        properties: CONVERSATION,
    },
    Spec {
        name: "resume-conversation",
        events: &["resumed", "failed"],
        failure: Some("failed"),
        properties: CONVERSATION,
    },
    Spec {
        name: "run-conversation-relay",
        events: &["success", "failed"],
        failure: Some("failed"),
        properties: &[
            must("url", Text),
            may("welcome_greeting", Text),
            may("tts_provider", Text),
            may("voice", Text),
            may("language", Text),
            may("transcription_provider", Text),
            may("interruptible", Flag),
            may("dtmf_detection", Flag),
            may("parameters", List),
        ],
    },
];

const OUTGOING_CALL: &[Property] = &[
    may("from", Text),
    may("to", Text),
    may("timeout", Number),
    may("record", Flag),
    may("recording_channels", Text),
    may("recording_status_callback", Text),
    may("trim", Text),
    may("send_digits", Text),
    may("detect_answering_machine", Flag),
    may("machine_detection", Text),
    may("machine_detection_timeout", Number),
    may("sip_auth_username", Text),
    may("sip_auth_password", Text),
];

const CONVERSATION: &[Property] = &[
    may("conversation_service_sid", Text),
    may("participants", List),
    may("timers", Object),
    may("timers_closed", Text),
    may("timers_inactive", Text),
    may("close_conversation_on_execution_end", Flag),
];
