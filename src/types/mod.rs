//! Values that all rooms share, a file a type. Owns no behaviour beyond parsing, printing and arithmetic of its
//! own value; knows no room.

mod call;
mod chance;
mod consents;
mod deadlines;
mod dtmf;
pub mod file;
pub mod gsm7;
mod id;
mod line;
mod media;
mod money;
mod network;
mod order;
mod phone;
mod time;
mod upstream;
mod webhook;

pub use call::{
    Dialled, EndCause, Fault, Identity, LegCommand, LegEvent, MediaCommand, MediaEvent, MediaFacts,
    NumberKind, Offer, Progress, Tone, TransferProgress, TransferTarget, Via,
};
pub use chance::SplitMix64;
pub use consents::{CONSENTS_MOST, ConsentItem, ConsentRefused, ConsentSource, ConsentsAnswer};
pub use deadlines::Deadlines;
pub use dtmf::{Dtmf, DtmfError};
pub use file::{Enclosed, OwnFile};
pub use id::{
    CallId, ConversationId, DeviceId, EventId, ExecutionSid, LegId, LineId, MessageId, OrderId, PartId,
    PromptId, ShopId, derive_sid,
};
pub use line::{LineCommand, LineEvent, LineState, Mem, Registration, SendResult, Slot};
pub use media::{
    AudioCodec, AudioFormat, CryptoLine, LocalMedia, MediaPorts, MediaRefused, MediaStream, OtherFormat,
};
pub use money::Cents;
pub use network::{Network, NetworkError, is_this_machine};
pub use order::{Capabilities, LookUpResult, OrderKind, PlaceResult, Support};
pub use phone::{Address, PhoneNumber, PhoneNumberError, Redacted};
pub use time::{BootId, Mono, Now, Wall};
pub use upstream::{
    Channel, Delivery, FoundPost, MediaLink, MediaResult, Post, PostResult, PostStatus, PostsFound,
    UpstreamText,
};
pub use webhook::EventAnswer;
