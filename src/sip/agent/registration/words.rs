//! What a registration says to people: why a trunk is up or down, and what somebody has to do about it. No user
//! names, no numbers.

use core::net::SocketAddr;

use crate::sip::message::Status;
use crate::sip::transaction::Failure;
use crate::sip::uri::Uri;

pub(super) fn unknown_address(domain: &str) -> String {
    format!("the address of {domain} cannot be looked up")
}

pub(super) fn stopped() -> String {
    "stopped".to_owned()
}

pub(super) fn known(domain: &str) -> String {
    format!("{domain} is reached without registration")
}

pub(super) fn registered(domain: &str) -> String {
    format!("registered with {domain}")
}

pub(super) fn silent(domain: &str) -> String {
    format!("{domain} does not answer")
}

pub(super) fn failed(domain: &str, failure: Failure) -> String {
    match failure {
        Failure::Timeout | Failure::CancelUnanswered => silent(domain),
        Failure::Transport => format!("{domain} cannot be reached"),
    }
}

pub(super) fn answered(domain: &str, status: Status) -> String {
    format!("{domain} answers our registration with {status} {}", status.reason())
}

pub(super) fn granted_nothing(domain: &str) -> String {
    format!("{domain} accepts our registration and grants it no time")
}

pub(super) fn no_login(domain: &str) -> String {
    format!("{domain} asks for a user name and a password, and none is set")
}

pub(super) fn wrong_password(domain: &str) -> String {
    format!("{domain} does not take our user name and password")
}

pub(super) fn strange_challenge(domain: &str) -> String {
    format!("{domain} asks for a proof that is neither Digest with MD5 nor with SHA-256")
}

pub(super) fn refused(line: &str, why: &str) -> String {
    format!(
        "{line}: {why}. Look at the trunk's user name, password and domain; it is tried again now and then, and at \
         once when the settings change"
    )
}

pub(super) fn nat(line: &str, seen: SocketAddr, local: SocketAddr) -> String {
    format!(
        "{line}: the provider sees us at {seen}, not at {local}: a NAT is between. Set `nat = true` for the trunk, or \
         calls may have no sound"
    )
}

pub(super) fn changed(field: &str) -> String {
    format!("the {field} that comes back is not the one that was sent")
}

pub(super) fn contact_changed(sent: &Uri, came: &Uri) -> String {
    let place = |uri: &Uri| {
        uri.sip().map_or_else(String::new, |sip| format!("{}:{}", sip.host, sip.port.unwrap_or(5060)))
    };
    format!("the Contact was sent as {} and came back as {}", place(sent), place(came))
}

pub(super) fn alg(line: &str, what: &str) -> String {
    format!(
        "{line}: {what}. Something on the way rewrites our messages, most likely the SIP ALG of a router: switch it \
         off there, or use TLS"
    )
}
