//! Who calls, read from requests and written into ours: From, P-Asserted-Identity (RFC 3325), Privacy (RFC 3323).
//! Numbers that a phone or a stranger claims are not believed; a trunk's assertion is.

use super::IdentityStyle;
use super::trunk::Trunk;
use crate::sip::message::{Name, NameAddr, Request};
use crate::sip::uri::{Host, SipUri, Uri};
use crate::types::{Address, Dialled, Identity, PhoneNumber};

/// The caller of a request from a trunk.
pub(super) fn caller(request: &Request) -> Identity {
    let asserted = request.headers.addresses(&Name::PAssertedIdentity).unwrap_or_default();
    // A tel URI or one with a number before one with a name.
    let asserted = asserted.iter().find(|a| address(&a.uri).is_some()).or_else(|| asserted.first());
    let from = &request.head.from;
    let shown = asserted.unwrap_or(from);
    let privacy = request.headers.privacy();
    let private = privacy.iter().any(|p| matches!(p.as_str(), "id" | "user" | "header"))
        || (asserted.is_none() && is_anonymous(from));
    let display = shown.display().or_else(|| from.display()).filter(|d| !d.eq_ignore_ascii_case("anonymous"));
    Identity { address: address(&shown.uri), display, private }
}

/// What a phone of the shop calls itself is not asked: it is who it authenticated as.
pub(super) fn of_phone(name: Option<&str>) -> Identity {
    Identity { address: None, display: name.map(str::to_owned), private: false }
}

fn is_anonymous(addr: &NameAddr) -> bool {
    let sip = addr.uri.sip();
    let host =
        sip.is_some_and(|u| matches!(&u.host, Host::Name(n) if n.eq_ignore_ascii_case("anonymous.invalid")));
    let user = addr.uri.user().is_some_and(|u| {
        ["anonymous", "restricted", "unknown", "private"].iter().any(|word| u.eq_ignore_ascii_case(word))
    });
    host || user || addr.display().is_some_and(|d| d.eq_ignore_ascii_case("anonymous"))
}

fn address(uri: &Uri) -> Option<Address> {
    let user = number(uri)?;
    match PhoneNumber::parse(&user, None) {
        Ok(number) => Some(Address::Phone(number)),
        Err(_) => Some(Address::Short(user)),
    }
}

/// The user part when it is a number: digits with or without a plus.
fn number(uri: &Uri) -> Option<String> {
    let user = uri.user()?;
    // `+1206555;phone-context=...@`: parameters of a telephone-subscriber.
    let user = user.split(';').next().unwrap_or_default().replace(['-', '.', '(', ')'], "");
    let digits = user.strip_prefix('+').unwrap_or(&user);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b"*#".contains(&b))).then_some(user)
}

/// The shop's number that a trunk's request calls.
pub(super) fn called(request: &Request, trunk: &Trunk) -> Dialled {
    let own = |user: &String| trunk.user() == Some(user.as_str()) && number_is_account(user);
    let from_uri = number(&request.uri).filter(|u| !own(u));
    let party = || request.headers.address(Name::parse("P-Called-Party-ID")).ok().flatten();
    let dialled = from_uri
        .or_else(|| party().and_then(|a| number(&a.uri)))
        .or_else(|| number(&request.head.to.uri).filter(|u| !own(u)))
        .or_else(|| trunk.setup.number.as_ref().map(|n| n.as_str().to_owned()))
        .or_else(|| request.uri.user())
        .unwrap_or_default();
    Dialled(dialled)
}

/// An account may be a number of digits; one with a plus is a telephone number all the same.
fn number_is_account(user: &str) -> bool {
    !user.starts_with('+')
}

/// What a phone dialled.
pub(super) fn dialled(uri: &Uri) -> Dialled {
    Dialled(number(uri).or_else(|| uri.user()).unwrap_or_default())
}

/// Whether the Request-URI says emergency by itself (RFC 5031).
pub(super) fn is_sos(uri: &Uri) -> bool {
    match uri {
        Uri::Other(other) => {
            let rest = other.rest.to_ascii_lowercase();
            other.scheme.eq_ignore_ascii_case("urn")
                && (rest == "service:sos" || rest.starts_with("service:sos."))
        }
        Uri::Sip(_) | Uri::Tel(_) => false,
    }
}

/// From, and the headers that tell a trunk who calls.
pub(super) fn on_trunk(identity: &Identity, trunk: &Trunk) -> (NameAddr, Vec<(Name, String)>) {
    let host = domain(&trunk.setup.domain);
    let number = identity.address.as_ref().filter(|a| a.can_be_answered()).map(Address::as_str);
    let user = number.or(trunk.user());
    let who = NameAddr::new(SipUri::new(user, host.0.clone(), host.1).into());
    let shown = |addr: NameAddr| identity.display.as_ref().map_or(addr.clone(), |d| addr.with_display(d));
    let style = trunk.setup.identity;
    let mut headers = Vec::new();
    let asserts = match style {
        IdentityStyle::Asserted => Some(Name::PAssertedIdentity),
        IdentityStyle::Preferred => Some(Name::PPreferredIdentity),
        IdentityStyle::From => None,
    };
    if let Some(name) = asserts {
        headers.push((name, shown(who.clone()).to_string()));
    }
    if identity.private {
        headers.push((Name::Privacy, "id".to_owned()));
    }
    let from = if identity.private {
        let nobody = SipUri::new(Some("anonymous"), Host::Name("anonymous.invalid".to_owned()), None);
        NameAddr::new(nobody.into()).with_display("Anonymous")
    } else {
        shown(who)
    };
    (from, headers)
}

/// From of a call to a phone of the shop.
pub(super) fn on_phone(identity: &Identity, host: Host) -> NameAddr {
    let user = identity.address.as_ref().map_or("anonymous", Address::as_str);
    let (user, display) = match identity.private {
        true => ("anonymous", Some("Anonymous")),
        false => (user, identity.display.as_deref()),
    };
    let addr = NameAddr::new(SipUri::new(Some(user), host, None).into());
    display.map_or(addr.clone(), |d| addr.with_display(d))
}

/// Host and port of a provider's domain.
pub(super) fn domain(text: &str) -> (Host, Option<u16>) {
    let whole = || Host::parse(text).unwrap_or_else(|_| Host::Name("invalid".to_owned()));
    match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => match (Host::parse(host), port.parse().ok()) {
            (Ok(host), Some(port)) => (host, Some(port)),
            _ => (whole(), None),
        },
        _ => (text.parse().map_or_else(|_| whole(), Host::Ip), None),
    }
}
