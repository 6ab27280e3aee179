//! What a text means before any flow sees it, and who hears the next one: consent words, the conversation with
//! its foreground, the relay between a customer and the staff; what a text costs, whether it may be sent (ledger),
//! when (quiet hours) and how fast (rates). Pure.

mod consent;
mod conversation;
mod grapheme_table;
mod graphemes;
pub mod keywords;
pub mod ledger;
pub mod nanp;
pub mod quiet;
pub mod rates;
mod relay;
mod segments;

pub use consent::{help_text, start_text, stop_text};
pub use conversation::{Conversation, Early, Mode, Turn, Waiting, is_same_answer};
pub use relay::{StaffText, parse_staff_text, staff_help};
pub use segments::{Advice, Encoding, Offender, Segments, advice, segments};
