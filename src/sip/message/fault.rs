//! What can be wrong with a message, which response code the documents want for it, and that response. It repeats
//! what the sender wrote in the fields that it matches by, also where we could not read them.

use super::super::uri::UriError;
use super::{Method, Name, NameAddr, Status, Via};

/// A header value that its grammar does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not follow its header's grammar")]
pub struct Malformed;

/// What is wrong with a message. The text never repeats what the message said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither a request line nor a status line.
    #[error("not a SIP start line")]
    StartLine,
    /// A blank too many in the request line (RFC 4475 §3.1.2.9, §3.1.2.10).
    #[error("single blanks separate a request line")]
    RequestLine,
    /// Not SIP/2.0.
    #[error("SIP version is not 2.0")]
    Version,
    /// The Request-URI cannot be read, or has headers (RFC 3261 §19.1.1).
    #[error("Request-URI: {0}")]
    RequestUri(UriError),
    /// `?...` in a Request-URI.
    #[error("Request-URI with headers")]
    RequestUriHeaders,
    /// No scheme that this box serves.
    #[error("Request-URI scheme is not supported")]
    Scheme,
    /// The Request-URI is over the limit.
    #[error("Request-URI too long")]
    UriTooLong,
    /// A line that is no header field.
    #[error("line without header name and colon")]
    HeaderLine,
    /// A mandatory field is missing.
    #[error("missing {0}")]
    Missing(Name),
    /// A field that may stand once stands twice.
    #[error("more than one {0}")]
    Repeated(Name),
    /// A field that its grammar does not know.
    #[error("malformed {0}")]
    Header(Name),
    /// The CSeq speaks of another method.
    #[error("CSeq method is not the request's")]
    CSeqMethod,
    /// The datagram ends before the body does.
    #[error("body shorter than Content-Length")]
    BodyShort,
    /// Head, header count or body over the limit.
    #[error("message too large")]
    TooLarge,
}

impl Fault {
    /// The code that answers a request with this fault.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Version => Status::VERSION_NOT_SUPPORTED,
            Self::Scheme => Status::UNSUPPORTED_URI_SCHEME,
            Self::UriTooLong => Status::URI_TOO_LONG,
            Self::TooLarge => Status::MESSAGE_TOO_LARGE,
            Self::StartLine
            | Self::RequestLine
            | Self::RequestUri(_)
            | Self::RequestUriHeaders
            | Self::HeaderLine
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::Header(_)
            | Self::CSeqMethod
            | Self::BodyShort => Status::BAD_REQUEST,
        }
    }
}

/// A request that cannot be served but can be answered: its topmost Via could be read. Never an ACK. It is answered
/// without state, so the tag that is given for it should depend on it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub fault: Fault,
    /// What was asked.
    pub method: Method,
    /// The topmost Via, as far as it could be read; [`Via::note_source`] and [`Via::reply_to`] say where to answer.
    pub via: Via,
    /// Via, From, To, Call-ID and CSeq as written, where there were any.
    pub(super) repeated: Vec<(Name, String)>,
}

impl Refused {
    /// The response, with `tag` for a To that has none.
    #[must_use]
    pub fn response(&self, tag: &str) -> Vec<u8> {
        let status = self.fault.status();
        let mut text = match status {
            Status::BAD_REQUEST => format!("SIP/2.0 400 Bad Request: {}\r\n", self.fault),
            _ => format!("SIP/2.0 {status} {}\r\n", status.reason()),
        };
        let mut top = true;
        for (name, value) in &self.repeated {
            let line = match name {
                Name::Via if std::mem::take(&mut top) => self.first_via_line(value),
                Name::To => tagged(value, tag),
                _ => value.clone(),
            };
            text.push_str(&format!("{name}: {line}\r\n"));
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        text.into_bytes()
    }

    /// The first line with the topmost Via as it is now (`received`, `rport`) if it can be told from the rest.
    fn first_via_line(&self, line: &str) -> String {
        match Via::read_list(line) {
            Some(mut hops) => {
                hops.splice(..1, [self.via.clone()]);
                hops.iter().map(Via::to_string).collect::<Vec<_>>().join(", ")
            }
            _ => self.via.to_string(),
        }
    }
}

fn tagged(to: &str, tag: &str) -> String {
    match to.parse::<NameAddr>() {
        Ok(mut addr) if addr.tag().is_none() => {
            addr.set_tag(tag);
            addr.to_string()
        }
        Ok(_) | Err(_) => to.to_owned(),
    }
}
