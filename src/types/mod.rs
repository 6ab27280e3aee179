//! Values that all rooms share, a file a type. Owns no behaviour beyond parsing, printing and arithmetic of its
//! own value; knows no room.

mod digit;
pub mod gsm7;
mod id;
mod line;
mod money;
mod order;
mod phone;
mod time;

pub use digit::Digit;
pub use id::{ConversationId, EventId, ExecutionSid, LineId, MessageId, OrderId, PartId, ShopId, derive_sid};
pub use line::{LineCommand, LineEvent, LineState, Mem, Registration, SendResult, Slot};
pub use money::Cents;
pub use order::{Capabilities, LookUpResult, OrderKind, PlaceResult, Support};
pub use phone::{Address, PhoneNumber, PhoneNumberError, Redacted};
pub use time::{BootId, Mono, Now, Wall};
