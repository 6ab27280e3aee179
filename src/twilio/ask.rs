//! What the line's machine and its driver say to each other. No meaning: that is in `line`.

use super::client::{Answer, Download, DownloadError, RequestError};
use super::consents::Bulk;
use super::rest::{Listing, Message, MessagePage};
use crate::types::{ConsentItem, LineEvent, MediaLink, Post};

/// One request. Numbers go up and never come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// What is to be asked of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The first page of a list.
    List(Listing),
    /// A later one.
    Page(String),
    /// The files of a message.
    Media(String),
    /// One message.
    Message(String),
    /// A text to be sent.
    Create(Box<Post>),
    /// A file.
    Download(String),
    /// Who wants texts.
    Consents(Vec<ConsentItem>),
}

/// What it answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// [`Ask::List`], [`Ask::Page`].
    Messages(Result<Answer<MessagePage>, RequestError>),
    /// [`Ask::Media`].
    Media(Result<Answer<Vec<MediaLink>>, RequestError>),
    /// [`Ask::Message`], [`Ask::Create`].
    Message(Box<Result<Answer<Message>, RequestError>>),
    /// [`Ask::Download`].
    File(Result<Download, DownloadError>),
    /// [`Ask::Consents`].
    Consents(Result<Answer<Bulk>, RequestError>),
}

impl Reply {
    /// Nothing is known of what came of it.
    pub(super) fn lost(ask: &Ask, why: &str) -> Self {
        let lost = RequestError::Lost { why: why.to_owned() };
        match ask {
            Ask::List(_) | Ask::Page(_) => Self::Messages(Err(lost)),
            Ask::Media(_) => Self::Media(Err(lost)),
            Ask::Message(_) | Ask::Create(_) => Self::Message(Box::new(Err(lost))),
            Ask::Download(_) => Self::File(Err(lost.into())),
            Ask::Consents(_) => Self::Consents(Err(lost)),
        }
    }
}

/// What the driver is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Tell the daemon.
    Tell(LineEvent),
    /// Ask the upstream; the answer is handed in with the ticket.
    Request(Ticket, Ask),
    /// Give the request up: no answer is wanted any more.
    Abandon(Ticket),
}
