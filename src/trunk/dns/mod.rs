//! Names to addresses for trunks (RFC 3263): NAPTR, SRV with priority and weight, A and AAAA; how long they are
//! good; what was good last when DNS does not answer. A stub resolver of our own, because what it needs is four
//! questions, every answer's TTL and an answer that outlives it: a resolver crate brings twenty more crates and a cache that forgets when it is
//! needed most. It asks the servers of `/etc/resolv.conf`, from a new port with a new id each time, over UDP and, what does
//! not fit, over TCP. Deliberately absent: search domains (a SIP domain is whole), DNSSEC (TLS names are checked
//! against what the technician wrote, never against what DNS said).

mod codec;
mod kept;
mod locate;
mod resolver;

pub(super) use kept::Kept;
pub(super) use locate::{Located, locate};
pub(super) use resolver::{DnsError, Resolver};
