//! What a SIP message is: requests and responses whose mandatory fields are values already (parsed at the door,
//! trusted inside), every other header field as it came, in order, with a typed view for those that somebody asks
//! about. Bodies are bytes. How bytes become a message is [`super::wire`].
//!
//! Via, From, To, Call-ID and CSeq live in [`Head`], Content-Length nowhere: it is counted when printing.

mod address;
mod auth;
mod build;
mod door;
mod fault;
mod header;
mod method;
mod print;
#[cfg(test)]
pub(super) mod tests;
mod values;
mod via;
mod views;

pub use address::{Contacts, NameAddr};
pub use auth::Auth;
pub use fault::{Fault, Malformed, Refused};
pub use header::{Header, Headers, Name};
pub use method::{Method, Status};
pub use values::{
    CSeq, Disposition, Event, MediaType, RAck, Reason, Refresher, Replaces, RetryAfter, SessionExpires,
    SubscriptionState, Warning,
};
pub use via::{MAGIC_COOKIE, Via};

pub(super) use door::{RawHead, finish, read_head};

use super::uri::Uri;

/// The fields that every message has (RFC 3261 §8.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The topmost Via: of whoever sent the request last.
    pub via: Via,
    /// Those below it, in order.
    pub via_below: Vec<Via>,
    /// Who asks.
    pub from: NameAddr,
    /// Who was asked first.
    pub to: NameAddr,
    /// One word without blanks.
    pub call_id: String,
    /// Counts requests in a dialog.
    pub cseq: CSeq,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked; equal to the CSeq's.
    pub method: Method,
    /// Who is asked now.
    pub uri: Uri,
    /// The mandatory fields.
    pub head: Head,
    /// All other fields but Content-Length. Fields of [`Head`] put here are not printed.
    pub headers: Headers,
    /// As it came.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The code.
    pub status: Status,
    /// As it came, or [`Status::reason`].
    pub reason: String,
    /// The mandatory fields.
    pub head: Head,
    /// All other fields but Content-Length. Fields of [`Head`] put here are not printed.
    pub headers: Headers,
    /// As it came.
    pub body: Vec<u8>,
}

/// Either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The mandatory fields.
    #[must_use]
    pub fn head(&self) -> &Head {
        match self {
            Self::Request(request) => &request.head,
            Self::Response(response) => &response.head,
        }
    }

    /// All other fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}
