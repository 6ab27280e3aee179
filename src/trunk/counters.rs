//! What the edge counts. Published every two seconds, so that whoever asks costs the message path nothing.

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams, and messages of streams, that came in.
    pub received: u64,
    /// Messages that were handed to the SIP element.
    pub messages: u64,
    /// Messages that went out.
    pub sent: u64,
    /// Dropped: the source sends more than it may.
    pub limited: u64,
    /// Dropped: the source is banned.
    pub banned: u64,
    /// Bans that were spoken.
    pub bans: u64,
    /// Requests that could not be read but were answered with what is wrong.
    pub refused: u64,
    /// What could not be read at all.
    pub garbage: u64,
    /// Empty lines that keep a path open.
    pub pings: u64,
    /// Messages that could not be sent.
    pub send_failed: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were not: too many, or a banned source.
    pub accept_refused: u64,
    /// Connections that we opened.
    pub connected: u64,
    /// Connections that we could not open: refused, timed out, or not who they should be.
    pub connect_failed: u64,
    /// Connections that were closed because the peer did not read.
    pub slow_peers: u64,
    /// Connections that were closed for silence or for half a message.
    pub idle_closed: u64,
    /// Look-ups that DNS did not answer.
    pub dns_failed: u64,
    /// Of these, answered with what was good last.
    pub dns_stale: u64,
    /// Changes of our own address.
    pub address_changes: u64,
}
