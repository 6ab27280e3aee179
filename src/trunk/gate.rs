//! Who may send how much, and who is banned. Pure: addresses, sizes and time in, verdicts out; one map look-up for
//! each message, and nothing else for who is banned.
//!
//! A source is an IPv4 address or an IPv6 /64. Its class says what it may:
//! - **trusted** (this machine; other networks only if the settings say so): everything, never banned;
//! - **trunk** (the addresses that a trunk resolves to, its networks): plenty, never banned, so that a provider's
//!   retries never cut off the shop;
//! - **phone** (a contact is registered from there): plenty for each phone, never banned while it is registered;
//! - **LAN**: enough for all phones of a shop to come back at once; bans are short, because a mistyped password must
//!   not silence a desk for an hour;
//! - **stranger**: little, and all strangers together have a bound too, whatever addresses a flood shows.
//!
//! Offences add weight that leaks away; over the limit the source is banned, each time for twice as long, and that
//! too is forgotten. Over UDP a source may be forged, which is why a ban never hits who is known.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::sip::agent::Offence;
use crate::types::{Mono, Network};

/// How much may come from one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages a second, in the long run.
    pub messages: u32,
    /// Messages at once.
    pub burst: u32,
    /// Bytes a second; four times as many at once.
    pub bytes: u32,
}

/// The gate's settings.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Never limited, never banned: this machine.
    pub trusted: Vec<Network>,
    /// The shop's network.
    pub lan: Vec<Network>,
    /// For each address of a trunk.
    pub trunk: Rate,
    /// For each phone behind an address.
    pub phone: Rate,
    /// For an address of the shop's network.
    pub local: Rate,
    /// For an address that nobody knows.
    pub stranger: Rate,
    /// For all of these together.
    pub strangers: Rate,
    /// Weight at which a source is banned: a wrong password weighs 4, a request for nothing of ours 2, a probe and
    /// a message that cannot be read 1.
    pub tolerance: u32,
    /// Weight that is forgotten in a minute.
    pub forgiven: u32,
    /// A stranger's first ban; doubled each time.
    pub ban: Duration,
    /// Up to this. Without new bans it halves every so often.
    pub ban_most: Duration,
    /// A ban on the shop's network.
    pub ban_local: Duration,
    /// Sources that are remembered. More share one allowance.
    pub sources: usize,
}

impl Default for GateSettings {
    fn default() -> Self {
        let networks = |texts: &[&str]| texts.iter().filter_map(|t| t.parse().ok()).collect();
        Self {
            trusted: networks(&["127.0.0.1/32", "::1/128"]),
            lan: networks(&[
                "127.0.0.0/8",
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "169.254.0.0/16",
                "fc00::/7",
                "fe80::/10",
            ]),
            trunk: Rate { messages: 20_000, burst: 40_000, bytes: 32 * 1024 * 1024 },
            phone: Rate { messages: 100, burst: 400, bytes: 256 * 1024 },
            local: Rate { messages: 500, burst: 2_000, bytes: 1024 * 1024 },
            stranger: Rate { messages: 20, burst: 120, bytes: 32 * 1024 },
            strangers: Rate { messages: 500, burst: 2_000, bytes: 1024 * 1024 },
            tolerance: 40,
            forgiven: 10,
            ban: Duration::from_secs(300),
            ban_most: Duration::from_secs(24 * 3600),
            ban_local: Duration::from_secs(60),
            sources: 16_384,
        }
    }
}

/// What a source is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Stranger,
    Lan,
    Phone,
    Trunk,
    Trusted,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// More than it may.
    Limited,
    Banned,
}

/// A ban that was just spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) lasts: Duration,
}

/// What shares an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    /// The upper half of an address.
    V6(u64),
}

impl Source {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d].iter().fold(0, |all, part| all << 16 | u64::from(*part)))
            }
        }
    }
}

/// Thousandths of messages, and bytes, that may still come.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    messages: u64,
    bytes: u64,
    at: Mono,
}

impl Bucket {
    fn full(rate: Rate, times: u64, now: Mono) -> Self {
        let messages = u64::from(rate.burst) * 1000 * times;
        Self { messages, bytes: u64::from(rate.bytes) * 4 * times, at: now }
    }

    fn refill(&mut self, rate: Rate, times: u64, now: Mono) {
        let full = Self::full(rate, times, now);
        let ms = now.0.saturating_sub(self.at.0);
        let more = |per_second: u32| ms.saturating_mul(u64::from(per_second)).saturating_mul(times);
        self.messages = self.messages.saturating_add(more(rate.messages)).min(full.messages);
        // Whole bytes only: the rest of a millisecond is not carried.
        self.bytes = self.bytes.saturating_add(more(rate.bytes) / 1000).min(full.bytes);
        self.at = now;
    }

    fn take(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if self.messages < 1000 || self.bytes < bytes {
            return false;
        }
        self.messages -= 1000;
        self.bytes -= bytes;
        true
    }
}

/// What is known of a source.
#[derive(Debug)]
struct Entry {
    class: Class,
    /// Whose allowances it has.
    phones: u64,
    /// Which knowledge of trunks and phones the class is of.
    as_of: u64,
    bucket: Bucket,
    /// Offences in thousandths, as of `scored`.
    score: u64,
    scored: Mono,
    banned_until: Option<Mono>,
    /// Bans so far, as of `banned_until`.
    strikes: u32,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Gate {
    settings: GateSettings,
    sources: HashMap<Source, Entry>,
    trunks: HashSet<Source>,
    trunk_networks: Vec<Network>,
    phones: HashMap<Source, u32>,
    strangers: Bucket,
    /// For those that there is no room to tell apart.
    overflow: Bucket,
    /// Grows when trunks or phones change.
    knowledge: u64,
    swept: Mono,
}

impl Gate {
    pub(super) fn new(settings: GateSettings, now: Mono) -> Self {
        Self {
            strangers: Bucket::full(settings.strangers, 1, now),
            overflow: Bucket::full(settings.stranger, 1, now),
            settings,
            sources: HashMap::new(),
            trunks: HashSet::new(),
            trunk_networks: Vec::new(),
            phones: HashMap::new(),
            knowledge: 1,
            swept: now,
        }
    }

    /// The trunks' addresses are now these.
    pub(super) fn set_trunks(&mut self, addresses: impl Iterator<Item = IpAddr>, networks: Vec<Network>) {
        self.trunks = addresses.map(Source::of).collect();
        self.trunk_networks = networks;
        self.knowledge += 1;
    }

    /// A phone's contacts were at some addresses and are at others now.
    pub(super) fn phone_moved(&mut self, before: &[IpAddr], after: &[IpAddr]) {
        for address in after {
            *self.phones.entry(Source::of(*address)).or_default() += 1;
        }
        for address in before {
            let source = Source::of(*address);
            let left = self.phones.get(&source).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.phones.remove(&source);
            } else {
                self.phones.insert(source, left);
            }
        }
        self.knowledge += 1;
    }

    /// What a source is to us.
    pub(super) fn class(&self, ip: IpAddr) -> Class {
        let (source, within) =
            (Source::of(ip), |networks: &[Network]| networks.iter().any(|n| n.contains(ip)));
        if within(&self.settings.trusted) {
            Class::Trusted
        } else if self.trunks.contains(&source) || within(&self.trunk_networks) {
            Class::Trunk
        } else if self.phones.contains_key(&source) {
            Class::Phone
        } else if within(&self.settings.lan) {
            Class::Lan
        } else {
            Class::Stranger
        }
    }

    /// Judges one message, or one connection attempt.
    pub(super) fn admit(&mut self, ip: IpAddr, bytes: usize, now: Mono) -> Verdict {
        let source = Source::of(ip);
        if let Some(entry) = self.sources.get_mut(&source)
            && entry.as_of == self.knowledge
        {
            return entry.judge(&self.settings, &mut self.strangers, bytes, now);
        }
        if self.renew(source, ip, now)
            && let Some(entry) = self.sources.get_mut(&source)
        {
            return entry.judge(&self.settings, &mut self.strangers, bytes, now);
        }
        self.overflow.refill(self.settings.stranger, 1, now);
        if self.overflow.take(bytes) { Verdict::Pass } else { Verdict::Limited }
    }

    /// Notes an offence; a ban if it was one too many.
    pub(super) fn offence(&mut self, ip: IpAddr, what: Offence, now: Mono) -> Option<Ban> {
        let weight = match what {
            Offence::BadLogin => 4,
            Offence::Foreign => 2,
            Offence::Probe => 1,
        };
        self.weigh(ip, weight, now)
    }

    /// Notes a message that could not be read.
    pub(super) fn garbage(&mut self, ip: IpAddr, now: Mono) -> Option<Ban> {
        self.weigh(ip, 1, now)
    }

    fn weigh(&mut self, ip: IpAddr, weight: u64, now: Mono) -> Option<Ban> {
        let source = Source::of(ip);
        if !self.renew(source, ip, now) {
            return None;
        }
        let (settings, entry) = (&self.settings, self.sources.get_mut(&source)?);
        if entry.class > Class::Lan || entry.is_banned(now) {
            return None;
        }
        // In thousandths a minute: 1/60 of it for each millisecond.
        let leaked = u64::from(settings.forgiven) * now.0.saturating_sub(entry.scored.0) / 60;
        entry.score = entry.score.saturating_sub(leaked) + weight * 1000;
        entry.scored = now;
        if entry.score < u64::from(settings.tolerance) * 1000 {
            return None;
        }
        let quiet = entry.banned_until.map_or(0, |until| now.0.saturating_sub(until.0));
        let forgotten = u32::try_from(quiet / settings.ban_memory()).unwrap_or(u32::MAX);
        let strikes = entry.strikes.saturating_sub(forgotten);
        let lasts = match entry.class {
            Class::Lan => settings.ban_local,
            _ => settings.ban.saturating_mul(1 << strikes.min(16)).min(settings.ban_most),
        };
        entry.strikes = strikes.saturating_add(1);
        entry.score = 0;
        entry.banned_until = Some(now + lasts);
        Some(Ban { lasts })
    }

    /// Forgets who has been quiet for so long that it makes no difference.
    pub(super) fn sweep(&mut self, now: Mono) {
        let memory = self.settings.ban_memory();
        self.swept = now;
        self.sources.retain(|_, entry| match entry.banned_until {
            Some(until) => now.0 < until.0.saturating_add(memory.saturating_mul(u64::from(entry.strikes))),
            // A bucket is full, and what weighs less than a ban has leaked, long before.
            None => now.since(entry.bucket.at.max(entry.scored)) < Duration::from_secs(300),
        });
        if self.sources.len() * 4 < self.sources.capacity() {
            self.sources.shrink_to(self.sources.len() * 2);
        }
    }

    /// Makes the source's entry, or brings it up to what is known now; false when there is no room for one more.
    fn renew(&mut self, source: Source, ip: IpAddr, now: Mono) -> bool {
        let class = self.class(ip);
        let phones = match class {
            Class::Phone => self.phones.get(&source).copied().unwrap_or(1).max(1).into(),
            Class::Stranger | Class::Lan | Class::Trunk | Class::Trusted => 1,
        };
        let (as_of, full) = (self.knowledge, Bucket::full(self.settings.rate(class), phones, now));
        if let Some(entry) = self.sources.get_mut(&source) {
            // Whoever is known now does not wait for what he was short of as a stranger.
            if class > entry.class || phones > entry.phones {
                entry.bucket = full;
            }
            (entry.class, entry.phones, entry.as_of) = (class, phones, as_of);
            return true;
        }
        if self.sources.len() >= self.settings.sources && now.since(self.swept) >= Duration::from_secs(1) {
            self.sweep(now);
        }
        if self.sources.len() >= self.settings.sources && class <= Class::Lan {
            return false;
        }
        let fresh = Entry {
            class,
            phones,
            as_of,
            bucket: full,
            score: 0,
            scored: now,
            banned_until: None,
            strikes: 0,
        };
        self.sources.insert(source, fresh);
        true
    }
}

impl Entry {
    fn judge(&mut self, settings: &GateSettings, strangers: &mut Bucket, bytes: usize, now: Mono) -> Verdict {
        if self.is_banned(now) {
            return Verdict::Banned;
        }
        if self.class == Class::Trusted {
            return Verdict::Pass;
        }
        self.bucket.refill(settings.rate(self.class), self.phones, now);
        if !self.bucket.take(bytes) {
            return Verdict::Limited;
        }
        if self.class == Class::Stranger {
            strangers.refill(settings.strangers, 1, now);
            if !strangers.take(bytes) {
                return Verdict::Limited;
            }
        }
        Verdict::Pass
    }

    fn is_banned(&self, now: Mono) -> bool {
        self.class <= Class::Lan && self.banned_until.is_some_and(|until| now < until)
    }
}

impl GateSettings {
    fn rate(&self, class: Class) -> Rate {
        match class {
            Class::Stranger => self.stranger,
            Class::Lan => self.local,
            Class::Phone => self.phone,
            Class::Trunk | Class::Trusted => self.trunk,
        }
    }

    /// How long it takes to forget one ban, in ms.
    fn ban_memory(&self) -> u64 {
        u64::try_from(self.ban_most.as_millis()).unwrap_or(u64::MAX).max(24) / 24
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "203.0.113.5";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn gate() -> Gate {
        Gate::new(GateSettings::default(), Mono(0))
    }

    fn passed(gate: &mut Gate, from: &str, count: u32, now: Mono) -> u32 {
        (0..count).map(|_| u32::from(gate.admit(ip(from), 400, now) == Verdict::Pass)).sum()
    }

    /// Wrong passwords, one a millisecond, until there is a ban.
    fn banned_after(gate: &mut Gate, from: &str, now: Mono) -> (u64, Duration) {
        (0..1000)
            .find_map(|n| {
                gate.offence(ip(from), Offence::BadLogin, Mono(now.0 + n)).map(|ban| (n + 1, ban.lasts))
            })
            .unwrap()
    }

    #[test]
    fn a_stranger_gets_its_burst_and_then_its_rate() {
        let mut gate = gate();
        assert_eq!(passed(&mut gate, STRANGER, 1000, Mono(0)), 120);
        assert_eq!(passed(&mut gate, STRANGER, 1000, Mono(1000)), 20);
        assert_eq!(passed(&mut gate, "203.0.113.6", 10, Mono(1000)), 10);
    }

    #[test]
    fn large_messages_are_counted_by_their_bytes() {
        let mut gate = gate();
        let large = |gate: &mut Gate| gate.admit(ip(STRANGER), 60_000, Mono(0)) == Verdict::Pass;
        assert_eq!((0..10).filter(|_| large(&mut gate)).count(), 2);
    }

    #[test]
    fn a_flood_of_forged_addresses_has_one_bound_and_leaves_the_known_alone() {
        let mut gate = Gate::new(GateSettings { sources: 100, ..GateSettings::default() }, Mono(0));
        gate.set_trunks([ip("198.51.100.1")].into_iter(), Vec::new());
        gate.phone_moved(&[], &[ip("198.51.100.2")]);
        let flood: u32 = (0..60_000u32)
            .map(|n| {
                u32::from(
                    gate.admit(Ipv4Addr::from_bits(0x0808_0000 + n).into(), 400, Mono(0)) == Verdict::Pass,
                )
            })
            .sum();
        assert!(flood <= 2_120, "{flood}");
        assert!(gate.sources.len() <= 100);
        assert_eq!(passed(&mut gate, "198.51.100.1", 10_000, Mono(0)), 10_000);
        assert_eq!(passed(&mut gate, "198.51.100.2", 300, Mono(0)), 300);
        assert_eq!(passed(&mut gate, "127.0.0.1", 100_000, Mono(0)), 100_000);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_source() {
        let mut gate = gate();
        assert_eq!(passed(&mut gate, "2001:db8:1:2::1", 100, Mono(0)), 100);
        assert_eq!(passed(&mut gate, "2001:db8:1:2:ffff::9", 100, Mono(0)), 20);
        assert_eq!(passed(&mut gate, "2001:db8:1:3::1", 100, Mono(0)), 100);
    }

    #[test]
    fn bans_double_and_are_forgotten() {
        let mut gate = gate();
        assert_eq!(banned_after(&mut gate, STRANGER, Mono(0)), (10, Duration::from_secs(300)));
        assert_eq!(gate.admit(ip(STRANGER), 400, Mono(1000)), Verdict::Banned);
        assert_eq!(gate.admit(ip("203.0.113.6"), 400, Mono(1000)), Verdict::Pass);
        let later = Mono(301_000);
        assert_eq!(gate.admit(ip(STRANGER), 400, later), Verdict::Pass);
        assert_eq!(banned_after(&mut gate, STRANGER, later).1, Duration::from_secs(600));
        // Two hours of quiet forgive two bans.
        let much_later = Mono(later.0 + 600_000 + 2 * 3_600_000 + 1000);
        assert_eq!(banned_after(&mut gate, STRANGER, much_later).1, Duration::from_secs(300));
        gate.sweep(Mono(much_later.0 + 40 * 3_600_000));
        assert!(gate.sources.is_empty());
    }

    #[test]
    fn a_phone_with_a_wrong_password_that_tries_twice_a_minute_is_never_banned() {
        let mut gate = gate();
        let bans =
            (0..500u64).filter_map(|n| gate.offence(ip(STRANGER), Offence::BadLogin, Mono(n * 30_000)));
        assert_eq!(bans.count(), 0);
    }

    #[test]
    fn the_lan_is_banned_for_a_minute_and_who_is_known_never() {
        let mut gate = gate();
        gate.set_trunks([ip("198.51.100.1")].into_iter(), vec!["192.0.2.0/24".parse().unwrap()]);
        gate.phone_moved(&[], &[ip("198.51.100.2")]);
        assert_eq!(banned_after(&mut gate, "192.168.1.7", Mono(0)).1, Duration::from_secs(60));
        for known in ["198.51.100.1", "192.0.2.77", "198.51.100.2", "127.0.0.1"] {
            let ban = (0..1000).find_map(|n| gate.offence(ip(known), Offence::BadLogin, Mono(n)));
            assert_eq!(ban, None, "{known}");
        }
    }

    #[test]
    fn who_registers_is_free_at_once_and_who_leaves_is_a_stranger_again() {
        let mut gate = gate();
        assert_eq!(passed(&mut gate, STRANGER, 200, Mono(0)), 120);
        gate.phone_moved(&[], &[ip(STRANGER), ip(STRANGER)]);
        assert_eq!(passed(&mut gate, STRANGER, 2000, Mono(0)), 800);
        gate.phone_moved(&[ip(STRANGER), ip(STRANGER)], &[]);
        assert_eq!(passed(&mut gate, STRANGER, 2000, Mono(0)), 0);
    }
}
