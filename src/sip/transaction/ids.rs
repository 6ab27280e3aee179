//! Branches and tags from a seed that is handed in, and what tells server transactions apart (§17.2.3).

use sha2::{Digest, Sha256};

use crate::sip::message::{MAGIC_COOKIE, Method, Request};

/// Tells transactions apart: a keyed hash of what §17.1.3 and §17.2.3 compare. Thousands linger, so it is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u128);

/// Makes branches and tags. Nobody without the seed can foretell or tell apart one from another's.
pub(super) struct Ids {
    seed: [u8; 32],
    count: u64,
}

impl Ids {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// 128 bits behind the cookie (§8.1.1.7).
    pub(super) fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{:032x}", self.next(b"branch"))
    }

    /// 64 bits; §19.3 asks for 32.
    pub(super) fn tag(&mut self) -> String {
        format!("{:016x}", self.next(b"tag") >> 64)
    }

    /// The tag of a response that is sent and forgotten: the same for the same request (§8.2.7).
    pub(super) fn tag_of(&self, key: Key) -> String {
        format!("{:016x}", self.hash(b"stateless", &key.0.to_be_bytes()) >> 64)
    }

    /// What a request and its retransmissions have in common, `method` aside; an ACK and a CANCEL ask for `INVITE`.
    pub(super) fn server_key(&self, request: &Request, method: &Method) -> Key {
        Key(self.hash(b"server", server_key(request, method).as_bytes()))
    }

    /// What a response and our request have in common (§17.1.3). Branches are our own, so that they are enough with
    /// the method of the CSeq.
    pub(super) fn client_key(&self, branch: &str, method: &Method) -> Key {
        Key(self.hash(b"client", format!("{branch}\n{method}").as_bytes()))
    }

    fn next(&mut self, what: &[u8]) -> u128 {
        self.count = self.count.wrapping_add(1);
        self.hash(what, &self.count.to_be_bytes())
    }

    fn hash(&self, what: &[u8], of: &[u8]) -> u128 {
        let digest = Sha256::new().chain_update(self.seed).chain_update(what).chain_update(of).finalize();
        digest.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
    }
}

/// With the magic cookie that is branch and sent-by. Without it (RFC 2543) it is Request-URI, From tag, Call-ID, CSeq
/// number and the whole topmost Via; the To tag is compared where an ACK meets its response. To be asked before the
/// Via has `received` and `rport` filled in.
fn server_key(request: &Request, method: &Method) -> String {
    let head = &request.head;
    match head.via.branch() {
        Some(branch) if head.via.has_magic_branch() => {
            let host = head.via.host.to_string().to_ascii_lowercase();
            let port = head.via.port.map_or_else(String::new, |port| port.to_string());
            format!("{branch}\n{host}:{port}\n{method}")
        }
        _ => {
            let from = head.from.tag().unwrap_or_default();
            let (uri, id, number, via) = (&request.uri, &head.call_id, head.cseq.number, &head.via);
            format!("{uri}\n{from}\n{id}\n{number}\n{via}\n{method}")
        }
    }
}
