//! Making messages: requests of our own, responses as RFC 3261 §8.2.6 wants them, CANCEL and the ACK that belongs to
//! a transaction. Tags, branches and Call-IDs are inputs.

use super::super::uri::Uri;
use super::{CSeq, Head, Headers, Method, Name, Request, Response, Status};

/// RFC 3261 §8.1.1.6.
const MAX_FORWARDS: &str = "70";

impl Request {
    /// A request with Max-Forwards and nothing else beyond its head. The CSeq's method becomes the request's.
    #[must_use]
    pub fn new(method: Method, uri: Uri, mut head: Head) -> Self {
        head.cseq.method = method.clone();
        let mut headers = Headers::default();
        headers.push(Name::MaxForwards, MAX_FORWARDS);
        Self { method, uri, head, headers, body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: Name, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a body in place of any that it had.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
        self
    }

    /// The CANCEL of this request (§9.1).
    #[must_use]
    pub fn cancel(&self) -> Self {
        self.of_same_transaction(Method::Cancel)
    }

    /// The ACK of this INVITE's final response, when that is not a 2xx (§17.1.1.3).
    #[must_use]
    pub fn ack(&self, response: &Response) -> Self {
        let mut ack = self.of_same_transaction(Method::Ack);
        ack.head.to = response.head.to.clone();
        ack
    }

    fn of_same_transaction(&self, method: Method) -> Self {
        let head = Head { via_below: Vec::new(), ..self.head.clone() };
        let mut request = Self::new(method, self.uri.clone(), head);
        for route in self.headers.iter().filter(|h| h.name == Name::Route) {
            request.headers.push_header(route.clone());
        }
        request
    }
}

impl Response {
    /// A response to `request` (§8.2.6): Via, From, To, Call-ID and CSeq are copied; `tag` goes to a To that has none,
    /// but not in a 100; Record-Route is copied where a dialog may come of it (§12.1.1), Timestamp into a 100.
    #[must_use]
    pub fn to(request: &Request, status: Status, tag: &str) -> Self {
        let mut head = request.head.clone();
        if status != Status::TRYING && head.to.tag().is_none() {
            head.to.set_tag(tag);
        }
        let copied = |name: &Name| match name {
            Name::RecordRoute => status != Status::TRYING && status.code() < 300,
            Name::Timestamp => status == Status::TRYING,
            _ => false,
        };
        let headers = request.headers.iter().filter(|h| copied(&h.name)).cloned().collect();
        Self { status, reason: status.reason().to_owned(), head, headers, body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: Name, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a body in place of any that it had.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
        self
    }
}

impl CSeq {
    /// Number and method.
    #[must_use]
    pub fn new(number: u32, method: Method) -> Self {
        Self { number, method }
    }
}
