//! The Security Policy Database (RFC 4301 §4.4.1): ordered entries, the first that matches decides.
//!
//! An index over the remote addresses narrows a lookup to the few entries that can match; inside them the order
//! of the configuration holds. A test compares it with the plain search over all entries.
use crate::ranges::{Address, Number, Ranges};
use core::net::IpAddr;
use sadb::{Policy, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use wire::selector::{PortRange, Selector};

/// What policy looks at. One value for both directions: `local` is the source of what leaves and the destination
/// of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Address on our side.
    pub local: IpAddr,
    /// Address on the peer's side; the same family.
    pub remote: IpAddr,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// Local and remote port, or ICMP type and code in both; `None` when the packet does not show them.
    pub ports: Option<(u16, u16)>,
}

type Ports = Option<(u16, u16)>;

/// What an SA's selectors say about an inner packet (RFC 4301 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Inside the SA's selectors.
    Admitted,
    /// An earlier entry discards it.
    Discarded,
    /// Outside them.
    Outside,
    /// Outside them only because a fragment shows no ports (RFC 4301 §7).
    PortsHidden,
}

/// Index entries beyond which the index is given up for the plain search: only absurd policies get there.
const INDEX_MAX: usize = 1 << 22;

#[derive(Clone, Copy, Debug)]
struct Entry<A> {
    local: (A, A),
    remote: (A, A),
    protocol: (u8, u8),
    local_port: PortRange,
    remote_port: PortRange,
    verdict: Verdict,
}

impl<A: Address> Entry<A> {
    fn new(policy: &Policy, local: (A, A), remote: (A, A)) -> Self {
        let Selector { protocol, local_port, remote_port, .. } = policy.selector;
        Self { local, remote, protocol, local_port, remote_port, verdict: policy.verdict }
    }

    #[inline]
    fn covers(&self, local: A, remote: A, protocol: u8) -> bool {
        within(local, self.local) && within(remote, self.remote) && within(protocol, self.protocol)
    }

    #[inline]
    fn ports(&self, ports: Ports) -> bool {
        self.local_port.matches(ports.map(|(local, _)| local))
            && self.remote_port.matches(ports.map(|(_, remote)| remote))
    }

    /// Matches whatever the remote address may be paired with: nothing behind it can be reached.
    fn shadows_all(&self) -> bool {
        self.local == (A::LOWEST, A::LOWEST.last_of(0))
            && self.protocol == (0, u8::MAX)
            && (self.local_port, self.remote_port) == (PortRange::ANY, PortRange::ANY)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.local.0 <= other.local.1
            && other.local.0 <= self.local.1
            && self.remote.0 <= other.remote.1
            && other.remote.0 <= self.remote.1
    }
}

#[inline]
fn within<T: PartialOrd>(value: T, (first, last): (T, T)) -> bool {
    first <= value && value <= last
}

/// Entries that cover a remote address.
#[derive(Clone, Copy, Debug)]
enum Candidates {
    /// This one and no other.
    One(u32),
    /// Those that stand from here to there in the lists.
    Listed(u32, u32),
}

/// The entries of one family.
#[derive(Clone, Debug)]
struct Family<A> {
    entries: Vec<Entry<A>>,
    /// By remote address: which entries can match. `None`: search everything.
    index: Option<Ranges<A, Candidates>>,
    lists: Vec<u32>,
    /// By tunnel: what it admits stands from here to there in `admitted`.
    tunnels: Vec<(u32, u32)>,
    /// For each tunnel its own entries and the discards before them, in order.
    admitted: Vec<Entry<A>>,
}

impl<A: Address> Family<A> {
    fn new(entries: Vec<Entry<A>>) -> Self {
        let mut lists = Vec::new();
        let index = index(&entries, &mut lists);
        let (tunnels, admitted) = tunnels(&entries);
        Self { entries, index, lists, tunnels, admitted }
    }

    fn lookup(&self, local: A, remote: A, protocol: u8, ports: Ports) -> Option<Verdict> {
        let fits = |entry: &&Entry<A>| entry.covers(local, remote, protocol) && entry.ports(ports);
        let found = match &self.index {
            None => self.entries.iter().find(fits),
            Some(index) => match *index.lookup(remote)? {
                Candidates::One(at) => self.entries.get(at as usize).filter(fits),
                Candidates::Listed(from, to) => self.listed(from, to).find(fits),
            },
        };
        found.map(|entry| entry.verdict)
    }

    #[inline]
    fn listed(&self, from: u32, to: u32) -> impl Iterator<Item = &Entry<A>> {
        let list = self.lists.get(from as usize..to as usize).unwrap_or_default();
        list.iter().filter_map(|&at| self.entries.get(at as usize))
    }

    fn hangs_on_ports(&self, local: A, remote: A, flow: &Flow) -> bool {
        self.entries.iter().any(|entry| {
            entry.verdict != Verdict::Bypass
                && entry.covers(local, remote, flow.protocol)
                && !entry.ports(None)
        })
    }

    fn admits(&self, tunnel: u32, local: A, remote: A, protocol: u8, ports: Ports) -> Admission {
        let mut outcome = Admission::Outside;
        let (from, to) = self.tunnels.get(tunnel as usize).copied().unwrap_or_default();
        for entry in self.admitted.get(from as usize..to as usize).unwrap_or_default() {
            if !entry.covers(local, remote, protocol) {
                continue;
            }
            match entry.ports(ports) {
                true if entry.verdict == Verdict::Discard => return Admission::Discarded,
                true => return Admission::Admitted,
                false if ports.is_none() => outcome = Admission::PortsHidden,
                false => {}
            }
        }
        outcome
    }
}

/// For each piece between two boundaries, the entries that cover it, in order. Pieces come in ascending order, so
/// entries come and go once each.
fn index<A: Address>(entries: &[Entry<A>], lists: &mut Vec<u32>) -> Option<Ranges<A, Candidates>> {
    let mut full = false;
    let mut coming: Vec<(A, usize)> =
        entries.iter().zip(0..).map(|(e, at)| (e.remote.0, at)).collect();
    let mut going: Vec<(A, usize)> =
        entries.iter().zip(0..).map(|(e, at)| (e.remote.1, at)).collect();
    coming.sort_unstable();
    going.sort_unstable();
    let (mut coming, mut going) = (coming.into_iter().peekable(), going.into_iter().peekable());
    let mut covering = BTreeSet::new();
    let pieces = Ranges::cut(entries.iter().map(|entry| entry.remote), |start| {
        while let Some((_, at)) = coming.next_if(|&(first, _)| first <= start) {
            covering.insert(at);
        }
        while let Some((_, at)) = going.next_if(|&(last, _)| last < start) {
            covering.remove(&at);
        }
        let from = lists.len();
        full |= from > INDEX_MAX;
        for &at in covering.iter().filter(|_| !full) {
            lists.push(at as u32);
            if entries.get(at).is_some_and(Entry::shadows_all) {
                break;
            }
        }
        match lists.get(from..) {
            Some(&[one]) => {
                lists.truncate(from);
                Candidates::One(one)
            }
            _ => Candidates::Listed(from as u32, lists.len() as u32),
        }
    });
    if full {
        lists.clear();
    }
    (!full).then_some(pieces)
}

/// Tunnels beyond this have no SA: a region has no more slots.
const TUNNELS: u32 = 1 << 20;

fn tunnels<A: Address>(entries: &[Entry<A>]) -> (Vec<(u32, u32)>, Vec<Entry<A>>) {
    let mut by_tunnel: BTreeMap<u32, Vec<Entry<A>>> = BTreeMap::new();
    let mut discards: Vec<Entry<A>> = Vec::new();
    for entry in entries {
        match entry.verdict {
            Verdict::Protect { tunnel } if tunnel < TUNNELS => {
                let admitted = by_tunnel.entry(tunnel).or_default();
                // a discard that stands twice does no harm
                admitted.extend(discards.iter().filter(|discard| discard.overlaps(entry)));
                admitted.push(*entry);
            }
            Verdict::Discard => discards.push(*entry),
            _ => {}
        }
    }
    let (mut places, mut admitted) = (Vec::new(), Vec::new());
    for (tunnel, entries) in by_tunnel {
        places.resize(tunnel as usize, (0, 0));
        places.push((admitted.len() as u32, (admitted.len() + entries.len()) as u32));
        admitted.extend(entries);
    }
    (places, admitted)
}

/// Both families, indexed. Immutable.
#[derive(Clone, Debug)]
pub struct Spd {
    v4: Family<u32>,
    v6: Family<u128>,
}

impl Default for Spd {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Spd {
    /// Lays the entries out for lookup, in this order.
    pub fn new(policies: &[Policy]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for policy in policies {
            let Selector { local, remote, .. } = policy.selector;
            match [local.first(), local.last(), remote.first(), remote.last()].map(Number::from) {
                [Number::V4(a), Number::V4(b), Number::V4(c), Number::V4(d)] => {
                    v4.push(Entry::new(policy, (a, b), (c, d)));
                }
                [Number::V6(a), Number::V6(b), Number::V6(c), Number::V6(d)] => {
                    v6.push(Entry::new(policy, (a, b), (c, d)));
                }
                _ => {} // two families in one entry: matches nothing
            }
        }
        Self { v4: Family::new(v4), v6: Family::new(v6) }
    }

    /// The verdict of the first entry that matches.
    #[inline(always)] // so that no `Flow` is ever written to memory to be read back at once
    pub fn lookup(&self, flow: &Flow) -> Option<Verdict> {
        let &Flow { local, remote, protocol, ports } = flow;
        match (local.into(), remote.into()) {
            (Number::V4(local), Number::V4(remote)) => {
                self.v4.lookup(local, remote, protocol, ports)
            }
            (Number::V6(local), Number::V6(remote)) => {
                self.v6.lookup(local, remote, protocol, ports)
            }
            _ => None,
        }
    }

    /// Whether ports that a fragment hides could make it one that must be protected or discarded.
    pub fn hangs_on_ports(&self, flow: &Flow) -> bool {
        match (flow.local.into(), flow.remote.into()) {
            (Number::V4(local), Number::V4(remote)) => self.v4.hangs_on_ports(local, remote, flow),
            (Number::V6(local), Number::V6(remote)) => self.v6.hangs_on_ports(local, remote, flow),
            _ => false,
        }
    }

    /// Whether an inner packet that came by this tunnel is one that policy lets it carry.
    #[inline(always)] // as `lookup`
    pub fn admits(&self, tunnel: u32, flow: &Flow) -> Admission {
        let &Flow { local, remote, protocol, ports } = flow;
        match (local.into(), remote.into()) {
            (Number::V4(local), Number::V4(remote)) => {
                self.v4.admits(tunnel, local, remote, protocol, ports)
            }
            (Number::V6(local), Number::V6(remote)) => {
                self.v6.admits(tunnel, local, remote, protocol, ports)
            }
            _ => Admission::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sadb::Name;
    use wire::selector::AddressRange;

    fn policy(
        local: &str,
        remote: &str,
        protocol: (u8, u8),
        ports: [PortRange; 2],
        verdict: Verdict,
    ) -> Policy {
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
        };
        let [local_port, remote_port] = ports;
        let selector = Selector {
            local: range(local),
            remote: range(remote),
            protocol,
            local_port,
            remote_port,
        };
        Policy { name: Name::new("test").unwrap(), selector, verdict }
    }

    const ANY: [PortRange; 2] = [PortRange::ANY; 2];

    fn flow(local: &str, remote: &str, protocol: u8, ports: Option<(u16, u16)>) -> Flow {
        Flow { local: local.parse().unwrap(), remote: remote.parse().unwrap(), protocol, ports }
    }

    fn one(port: u16) -> PortRange {
        PortRange { first: port, last: port }
    }

    /// The definition: every entry in turn.
    fn slow(policies: &[Policy], flow: &Flow) -> Option<Verdict> {
        let Flow { local, remote, protocol, ports } = *flow;
        let fits = |policy: &&Policy| policy.selector.matches(local, remote, protocol, ports);
        policies.iter().find(fits).map(|policy| policy.verdict)
    }

    #[test]
    fn the_first_entry_that_matches_decides() {
        let protect = Verdict::Protect { tunnel: 3 };
        let spd = Spd::new(&[
            policy(
                "10.1.0.0-10.1.255.255",
                "10.2.0.53",
                (17, 17),
                [PortRange::ANY, one(53)],
                Verdict::Bypass,
            ),
            policy("10.1.0.66", "10.2.0.0-10.2.255.255", (0, 255), ANY, Verdict::Discard),
            policy("10.1.0.0-10.1.255.255", "10.2.0.0-10.2.255.255", (0, 255), ANY, protect),
            policy("fd01::-fd01::ffff", "fd02::-fd02::ffff", (0, 255), ANY, protect),
        ]);
        let look = |l, r, p, ports| spd.lookup(&flow(l, r, p, ports));
        assert_eq!(look("10.1.0.66", "10.2.0.53", 17, Some((9, 53))), Some(Verdict::Bypass));
        assert_eq!(look("10.1.0.66", "10.2.0.53", 6, Some((9, 53))), Some(Verdict::Discard));
        assert_eq!(look("10.1.0.65", "10.2.0.53", 17, Some((9, 54))), Some(protect));
        assert_eq!(look("10.1.0.65", "10.2.0.53", 17, None), Some(protect));
        assert_eq!(look("10.1.0.65", "10.3.0.53", 17, None), None);
        assert_eq!(look("fd01::1", "fd02::1", 58, None), Some(protect));
        assert_eq!(look("fd02::1", "fd01::1", 58, None), None);
    }

    #[test]
    fn an_sa_admits_its_own_selectors_and_respects_the_discards_before_them() {
        let protect = Verdict::Protect { tunnel: 3 };
        let web = [one(443), PortRange::ANY];
        let spd = Spd::new(&[
            policy("10.1.0.66", "10.2.0.0-10.2.255.255", (0, 255), ANY, Verdict::Discard),
            policy("10.1.0.0-10.1.0.255", "10.2.0.0-10.2.0.255", (6, 6), web, protect),
            policy("10.1.9.0-10.1.9.255", "10.2.0.0-10.2.0.255", (0, 255), ANY, protect),
            policy(
                "10.1.0.0-10.1.0.255",
                "10.7.0.0-10.7.0.255",
                (0, 255),
                ANY,
                Verdict::Protect { tunnel: 4 },
            ),
        ]);
        let see = |l, r, p, ports| spd.admits(3, &flow(l, r, p, ports));
        assert_eq!(see("10.1.0.5", "10.2.0.5", 6, Some((443, 9))), Admission::Admitted);
        assert_eq!(see("10.1.0.5", "10.2.0.5", 6, Some((80, 9))), Admission::Outside);
        assert_eq!(see("10.1.0.5", "10.2.0.5", 17, Some((443, 9))), Admission::Outside);
        assert_eq!(see("10.1.0.5", "10.2.0.5", 6, None), Admission::PortsHidden);
        assert_eq!(see("10.1.9.5", "10.2.0.5", 6, None), Admission::Admitted);
        assert_eq!(see("10.1.0.66", "10.2.0.5", 6, Some((443, 9))), Admission::Discarded);
        assert_eq!(see("10.1.0.5", "10.7.0.5", 6, Some((443, 9))), Admission::Outside);
        assert_eq!(see("fd01::1", "fd02::1", 6, None), Admission::Outside);
    }

    #[test]
    fn opaque_ports_match_only_what_shows_none() {
        let opaque = [PortRange::OPAQUE; 2];
        let spd = Spd::new(&[policy("10.1.0.1", "10.2.0.1", (6, 6), opaque, Verdict::Bypass)]);
        assert_eq!(spd.lookup(&flow("10.1.0.1", "10.2.0.1", 6, None)), Some(Verdict::Bypass));
        assert_eq!(spd.lookup(&flow("10.1.0.1", "10.2.0.1", 6, Some((1, 1)))), None);
    }

    fn any_range() -> impl Strategy<Value = AddressRange> {
        // few addresses, so that entries overlap, nest and touch
        (0u8..12, 0u8..12, any::<bool>()).prop_map(|(a, b, six)| {
            let (a, b) = (a.min(b), a.max(b));
            let address = |n: u8| -> IpAddr {
                if six {
                    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n].into()
                } else {
                    [10, 0, 0, n].into()
                }
            };
            AddressRange::new(address(a), address(b)).unwrap()
        })
    }

    fn any_ports() -> impl Strategy<Value = PortRange> {
        prop_oneof![
            Just(PortRange::ANY),
            Just(PortRange::OPAQUE),
            (0u16..6, 0u16..6).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) }),
        ]
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let verdict = prop_oneof![
            Just(Verdict::Bypass),
            Just(Verdict::Discard),
            (0u32..4).prop_map(|tunnel| Verdict::Protect { tunnel }),
        ];
        let protocol = prop_oneof![Just((0, 255)), (0u8..3).prop_map(|p| (p, p))];
        (any_range(), any_range(), protocol, any_ports(), any_ports(), verdict).prop_map(
            |(local, remote, protocol, local_port, remote_port, verdict)| Policy {
                name: Name::new("p").unwrap(),
                selector: Selector { local, remote, protocol, local_port, remote_port },
                verdict,
            },
        )
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_the_plain_search(
            policies in proptest::collection::vec(any_policy(), 0..40),
            probes in proptest::collection::vec(
                (0u8..13, 0u8..13, any::<bool>(), 0u8..4, proptest::option::of((0u16..7, 0u16..7))), 100),
        ) {
            let spd = Spd::new(&policies);
            for (local, remote, six, protocol, ports) in probes {
                let address = |n: u8| -> IpAddr {
                    if six { [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n].into() } else { [10, 0, 0, n].into() }
                };
                let flow = Flow { local: address(local), remote: address(remote), protocol, ports };
                prop_assert_eq!(spd.lookup(&flow), slow(&policies, &flow), "{:?}", flow);
            }
        }
    }

    #[test]
    fn a_thousand_tunnels_are_told_apart() {
        let policies: Vec<Policy> = (0..2000u32)
            .map(|n| {
                let net = |base: u32| (base + (n << 8)..=base + (n << 8) + 255, ());
                let (remote, ()) = net(0x0a00_0000);
                let text = |at: &u32| core::net::Ipv4Addr::from_bits(*at).to_string();
                let remote = format!("{}-{}", text(remote.start()), text(remote.end()));
                policy(
                    "192.168.0.0-192.168.255.255",
                    &remote,
                    (0, 255),
                    ANY,
                    Verdict::Protect { tunnel: n },
                )
            })
            .collect();
        let spd = Spd::new(&policies);
        for n in [0u32, 1, 999, 1999] {
            let remote = core::net::Ipv4Addr::from_bits(0x0a00_0000 + (n << 8) + 7).to_string();
            assert_eq!(
                spd.lookup(&flow("192.168.3.4", &remote, 6, None)),
                Some(Verdict::Protect { tunnel: n })
            );
        }
    }
}
