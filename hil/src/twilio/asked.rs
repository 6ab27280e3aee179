//! A request taken apart, and the two kinds of answer that every resource gives: JSON, or a refusal in the shape of its
//! API. Which product a path belongs to is told here once, by host and by path; what is done about it is absent.

use axum::body::Bytes;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::form::{self, Pairs};
use super::message::Refusal;

/// Whose path it is. At Twilio each has a host of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    /// `api.twilio.com/2010-04-01/Accounts/…`.
    Api,
    /// `studio.twilio.com/v2/Flows…`.
    Studio,
    /// `messaging.twilio.com/v1/Services…`.
    Messaging,
    /// `accounts.twilio.com/v1/Consents…`.
    Accounts,
    /// `content.twilio.com/v1/Content…`.
    Content,
}

impl Product {
    fn of(path: &str) -> Option<(Self, &str)> {
        let (product, below) = [
            (Self::Api, "/2010-04-01/Accounts/"),
            (Self::Studio, "/v2/Flows"),
            (Self::Messaging, "/v1/Services"),
            (Self::Accounts, "/v1/Consents"),
            (Self::Content, "/v1/Content"),
        ]
        .into_iter()
        .find_map(|(product, front)| Some((product, path.strip_prefix(front)?)))?;
        let whole = product == Self::Api || below.is_empty() || below.starts_with('/');
        whole.then_some((product, below.trim_start_matches('/')))
    }

    /// False only of a host that is named as another product's: an address or `localhost` takes every path.
    fn lives_at(self, host: &str) -> bool {
        match host.split(['.', ':']).next() {
            Some("api") => self == Self::Api,
            Some("studio") => self == Self::Studio,
            Some("messaging") => self == Self::Messaging,
            Some("accounts") => self == Self::Accounts,
            Some("content") => self == Self::Content,
            Some(other) => !host.contains(".twilio.com") || other.is_empty(),
            None => true,
        }
    }
}

/// A request, taken apart.
pub(super) struct Asked {
    pub(super) method: Method,
    /// `http://host:port`, or `https://studio.twilio.com` of a client that was led here by its resolver.
    pub(super) base: String,
    pub(super) path: String,
    pub(super) product: Option<Product>,
    /// Below the product's prefix: of the 2010 API the account first; without `.json`.
    pub(super) segments: Vec<String>,
    pub(super) json: bool,
    pub(super) query: Pairs,
    pub(super) form: Pairs,
}

impl Asked {
    pub(super) fn of(method: &Method, host: &str, path: &str, query: &str, body: &Bytes) -> Self {
        let product = Product::of(path).filter(|(product, _)| product.lives_at(host));
        let (product, below) = product.map_or((None, ""), |(product, below)| (Some(product), below));
        let suffixed = below.ends_with(".json") && product == Some(Product::Api);
        let below = if suffixed { below.strip_suffix(".json").unwrap_or(below) } else { below };
        let scheme = if host.ends_with(".twilio.com") { "https" } else { "http" };
        Self {
            method: method.clone(),
            base: format!("{scheme}://{host}"),
            path: path.to_owned(),
            product,
            segments: below.split('/').filter(|part| !part.is_empty()).map(form::decode).collect(),
            json: suffixed || product != Some(Product::Api),
            query: form::parse(query.as_bytes()),
            form: form::parse(body),
        }
    }

    /// `POST Messages`, `GET SIP/Domains`, `POST Flows`: for the counts.
    pub(super) fn resource(&self) -> String {
        let below = |at: usize| self.segments.get(at).map_or("Accounts", String::as_str);
        let name = match self.product {
            Some(Product::Api) if below(1) == "SIP" => format!("SIP/{}", below(2)),
            Some(Product::Api) => below(1).to_owned(),
            Some(Product::Studio) => "Flows".to_owned(),
            Some(Product::Messaging) => "Services".to_owned(),
            Some(Product::Accounts) => "Consents".to_owned(),
            Some(Product::Content) => "Content".to_owned(),
            None => "unknown".to_owned(),
        };
        format!("{} {name}", self.method)
    }

    /// The path with `{}` for every SID, so that counts by path stay few.
    pub(super) fn pattern(&self) -> String {
        let is_sid = |text: &str| {
            let digits = text.get(2..34).unwrap_or_default();
            digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let parts = self.path.split('/').map(|part| match part.get(34..) {
            Some(rest) if is_sid(part) => format!("{{}}{rest}"),
            Some(_) | None => part.to_owned(),
        });
        format!("{} {}", self.method, parts.collect::<Vec<_>>().join("/"))
    }

    /// A posted field that is not empty.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        form::get(&self.form, name).filter(|value| !value.is_empty())
    }

    /// A posted field that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.field(name).ok_or_else(|| Refusal {
            status: 400,
            code: 20001,
            message: format!("Missing required parameter {name} in the post body"),
        })
    }

    /// Without `.json` the 2010 API speaks XML.
    pub(super) fn error(&self, refusal: &Refusal) -> Response {
        if self.json {
            return json_error(refusal);
        }
        let Refusal { status, code, message } = refusal;
        let xml = format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException><Code>{code}</Code>\
             <Message>{}</Message><MoreInfo>https://www.twilio.com/docs/errors/{code}</MoreInfo>\
             <Status>{status}</Status></RestException></TwilioResponse>",
            escaped(message)
        );
        (status_code(*status), [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
    }

    pub(super) fn missing(&self) -> Refusal {
        let message = format!("The requested resource {} was not found", self.path);
        Refusal { status: 404, code: 20404, message }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Twilio's error body, with what else this product says of it.
pub(super) fn json_error_with(refusal: &Refusal, details: Option<Value>) -> Response {
    let mut body = json!({
        "code": refusal.code,
        "message": refusal.message,
        "more_info": format!("https://www.twilio.com/docs/errors/{}", refusal.code),
        "status": refusal.status,
    });
    if let (Some(object), Some(details)) = (body.as_object_mut(), details) {
        object.insert("details".to_owned(), details);
    }
    good(refusal.status, &body)
}

pub(super) fn json_error(refusal: &Refusal) -> Response {
    json_error_with(refusal, None)
}

pub(super) fn good(status: u16, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json;charset=utf-8")];
    (status_code(status), kind, body.to_string()).into_response()
}

pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, path: &str) -> Asked {
        Asked::of(&Method::GET, host, path, "", &Bytes::new())
    }

    #[test]
    fn a_products_host_takes_only_its_paths_and_an_address_takes_all() {
        let flows = "/v2/Flows/FW00000000000000000000000000000001/Revisions";
        for (host, product) in [
            ("127.0.0.1:8091", Some(Product::Studio)),
            ("studio.twilio.com", Some(Product::Studio)),
            ("studio.localhost:8091", Some(Product::Studio)),
            ("api.twilio.com", None),
            ("verify.twilio.com", None),
        ] {
            assert_eq!(asked(host, flows).product, product, "{host}");
        }
        assert_eq!(
            asked("api.twilio.com", "/2010-04-01/Accounts/AC1/Messages.json").segments,
            ["AC1", "Messages"]
        );
        assert_eq!(asked("localhost", "/v2/Flowsome").product, None);
        assert_eq!(asked("localhost", flows).pattern(), "GET /v2/Flows/{}/Revisions");
        let message = "/2010-04-01/Accounts/AC1/Messages/SM00000000000000000000000000000001.json";
        assert_eq!(asked("localhost", message).pattern(), "GET /2010-04-01/Accounts/AC1/Messages/{}.json");
    }
}
