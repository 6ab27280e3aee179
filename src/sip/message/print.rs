//! Messages to bytes: one way to write each, the fields of [`Head`] first, a Content-Length that was counted. No
//! value can end its line.

use std::io::Write;

use super::{Head, Headers, Message, Name, Request, Response};

impl Message {
    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Lines::new(self.body.len());
        out.line(&[], format_args!("{} {} SIP/2.0", self.method, self.uri));
        out.rest(&self.head, &self.headers, &self.body)
    }
}

impl Response {
    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Lines::new(self.body.len());
        out.line(&[], format_args!("SIP/2.0 {} {}", self.status, self.reason));
        out.rest(&self.head, &self.headers, &self.body)
    }
}

struct Lines(Vec<u8>);

impl Lines {
    fn new(body: usize) -> Self {
        Self(Vec::with_capacity(1024 + body))
    }

    fn line(&mut self, value: &[u8], text: std::fmt::Arguments<'_>) {
        let from = self.0.len();
        // Writing to memory does not fail.
        drop(self.0.write_fmt(text));
        self.0.extend_from_slice(value);
        for byte in self.0.iter_mut().skip(from).filter(|b| matches!(b, b'\r' | b'\n')) {
            *byte = b' ';
        }
        self.0.extend_from_slice(b"\r\n");
    }

    fn rest(mut self, head: &Head, headers: &Headers, body: &[u8]) -> Vec<u8> {
        for via in std::iter::once(&head.via).chain(&head.via_below) {
            self.line(&[], format_args!("Via: {via}"));
        }
        self.line(&[], format_args!("From: {}", head.from));
        self.line(&[], format_args!("To: {}", head.to));
        self.line(&[], format_args!("Call-ID: {}", head.call_id));
        self.line(&[], format_args!("CSeq: {}", head.cseq));
        for header in headers {
            match header.name {
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::ContentLength => {}
                _ => self.line(header.bytes(), format_args!("{}: ", header.spelled())),
            }
        }
        self.line(&[], format_args!("Content-Length: {}", body.len()));
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(body);
        self.0
    }
}
