//! Traffic selectors: what an SPD entry or a Child SA covers (RFC 4301 §4.4.1, RFC 7296 §3.13).

use core::{fmt, net::IpAddr};

use crate::{ip::Packet, prefix::Prefix};

/// An inclusive range of addresses of one family. Made only by [`AddressRange::new`], so `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// `None` when the families differ or the range is turned around.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }
    /// The lowest address covered.
    pub fn first(&self) -> IpAddr {
        self.first
    }
    /// The highest address covered.
    pub fn last(&self) -> IpAddr {
        self.last
    }
    /// Whether `address` (of the same family) is covered.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        use IpAddr::{V4, V6};
        match (self.first, address, self.last) {
            (V4(first), V4(address), V4(last)) => {
                (first.to_bits()..=last.to_bits()).contains(&address.to_bits())
            }
            (V6(first), V6(address), V6(last)) => {
                (first.to_bits()..=last.to_bits()).contains(&address.to_bits())
            }
            _ => false,
        }
    }
    /// Whether the range is of IPv4 addresses.
    #[inline]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }
    /// Whether every address of `other` is covered.
    pub fn covers(&self, other: &Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }
    /// What both cover; `None` when that is nothing.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.is_ipv4() != other.is_ipv4() {
            return None;
        }
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        Self { first: prefix.addr(), last: prefix.last() }
    }
}

impl From<IpAddr> for AddressRange {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

/// `10.0.0.0/8` where one prefix says it, one address alone, otherwise `10.0.0.1-10.0.0.7`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut prefixes = crate::prefix::range_to_prefixes(*self);
        match (prefixes.next(), prefixes.next()) {
            _ if self.first == self.last => write!(f, "{}", self.first),
            (Some(prefix), None) => write!(f, "{prefix}"),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// An inclusive range of port numbers. ICMP type and code travel in the same field (RFC 4301 §4.4.1.1):
/// type in the high octet, code in the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port covered.
    pub first: u16,
    /// The highest port covered. `first > last` (65535, 0) is OPAQUE: it matches only packets without ports.
    pub last: u16,
}

impl PortRange {
    /// Every port, and packets that have none (later fragments).
    pub const ANY: Self = Self { first: 0, last: u16::MAX };
    /// Only packets whose ports cannot be seen (RFC 4301 §4.4.1.1, §7).
    pub const OPAQUE: Self = Self { first: u16::MAX, last: 0 };

    /// One port.
    pub const fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }
    /// Whether this is [`ANY`](Self::ANY).
    #[inline]
    pub const fn is_any(self) -> bool {
        self.first == 0 && self.last == u16::MAX
    }
    /// Whether this is [`OPAQUE`](Self::OPAQUE).
    #[inline]
    pub const fn is_opaque(self) -> bool {
        self.first > self.last
    }
    /// Whether a packet with this port is covered; `None` is a port that cannot be seen or does not exist,
    /// which only ANY and OPAQUE cover (RFC 4301 §4.4.1.1, §7).
    #[inline]
    pub const fn matches(self, port: Option<u16>) -> bool {
        match port {
            Some(port) => self.first <= port && port <= self.last,
            None => self.is_any() || self.is_opaque(),
        }
    }
    /// Whether every packet that `other` covers is covered.
    pub const fn covers(self, other: Self) -> bool {
        self.is_any()
            || (self.is_opaque() && other.is_opaque())
            || (!other.is_opaque() && self.first <= other.first && other.last <= self.last)
    }
}

/// One line of policy: from the *local* side's addresses and ports to the *remote* side's. The same value
/// describes outbound packets (source = local) and inbound ones (source = remote).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Addresses on our side of the tunnel.
    pub local: AddressRange,
    /// Addresses on the peer's side; the same family as `local`.
    pub remote: AddressRange,
    /// The upper-layer protocols covered, inclusive; `(0, 255)` is any.
    pub protocol: (u8, u8),
    /// Ports on our side.
    pub local_port: PortRange,
    /// Ports on the peer's side.
    pub remote_port: PortRange,
}

impl Selector {
    /// Every protocol and port between two ranges; `None` when the families differ.
    pub fn between(local: AddressRange, remote: AddressRange) -> Option<Self> {
        (local.is_ipv4() == remote.is_ipv4()).then_some(Self {
            local,
            remote,
            protocol: (0, u8::MAX),
            local_port: PortRange::ANY,
            remote_port: PortRange::ANY,
        })
    }

    /// Whether a packet between these addresses is covered. `ports` is (local, remote), as
    /// [`Packet::ports`] has them for the packet's direction: `None` when they cannot be seen, and then only
    /// ANY and OPAQUE match.
    #[inline]
    pub fn matches(
        &self,
        local: IpAddr,
        remote: IpAddr,
        protocol: u8,
        ports: Option<(u16, u16)>,
    ) -> bool {
        self.local.contains(local)
            && self.remote.contains(remote)
            && self.protocol.0 <= protocol
            && protocol <= self.protocol.1
            && self.local_port.matches(ports.map(|(local, _)| local))
            && self.remote_port.matches(ports.map(|(_, remote)| remote))
    }

    /// Whether a packet that leaves by the tunnel is covered: its source is local.
    #[inline]
    pub fn matches_outbound(&self, packet: &Packet<'_>) -> bool {
        self.matches(packet.src(), packet.dst(), packet.protocol().0, packet.ports())
    }

    /// Whether a packet that came by the tunnel is covered: its source is remote (RFC 4301 §5.2).
    #[inline]
    pub fn matches_inbound(&self, packet: &Packet<'_>) -> bool {
        let ports = packet.ports().map(|(source, destination)| (destination, source));
        self.matches(packet.dst(), packet.src(), packet.protocol().0, ports)
    }

    /// Whether no port is asked for, so that later fragments need no reassembly to be judged.
    #[inline]
    pub fn any_ports(&self) -> bool {
        self.local_port.is_any() && self.remote_port.is_any()
    }

    /// Whether every protocol is covered.
    #[inline]
    pub fn any_protocol(&self) -> bool {
        self.protocol == (0, u8::MAX)
    }

    /// Whether every packet that `other` covers is covered.
    pub fn covers(&self, other: &Self) -> bool {
        self.local.covers(&other.local)
            && self.remote.covers(&other.remote)
            && self.protocol.0 <= other.protocol.0
            && other.protocol.1 <= self.protocol.1
            && self.local_port.covers(other.local_port)
            && self.remote_port.covers(other.remote_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse::<Prefix>().unwrap().range()
    }

    fn web() -> Selector {
        Selector {
            local: range("10.1.0.0/16"),
            remote: range("10.2.0.0/16"),
            protocol: (6, 6),
            local_port: PortRange::ANY,
            remote_port: PortRange { first: 80, last: 443 },
        }
    }

    #[test]
    fn every_field_has_its_two_boundaries() {
        for (local, remote, protocol, port, want) in [
            ("10.1.0.0", "10.2.255.255", 6, 80, true),
            ("10.1.255.255", "10.2.0.0", 6, 443, true),
            ("10.0.255.255", "10.2.0.0", 6, 80, false),
            ("10.2.0.0", "10.2.0.0", 6, 80, false),
            ("10.1.0.0", "10.1.255.255", 6, 80, false),
            ("10.1.0.0", "10.3.0.0", 6, 80, false),
            ("10.1.0.0", "10.2.0.0", 5, 80, false),
            ("10.1.0.0", "10.2.0.0", 7, 80, false),
            ("10.1.0.0", "10.2.0.0", 6, 79, false),
            ("10.1.0.0", "10.2.0.0", 6, 444, false),
            ("::a01:0", "10.2.0.0", 6, 80, false),
            ("::a01:0", "::a02:0", 6, 80, false),
        ] {
            let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
            let got = web().matches(local, remote, protocol, Some((40_000, port)));
            assert_eq!(got, want, "{local} {remote} {protocol} {port}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_seen_matches_only_any_and_opaque() {
        for (range, port, want) in [
            (PortRange::ANY, None, true),
            (PortRange::ANY, Some(0), true),
            (PortRange::ANY, Some(65535), true),
            (PortRange::OPAQUE, None, true),
            (PortRange::OPAQUE, Some(0), false),
            (PortRange::OPAQUE, Some(65535), false),
            (PortRange::one(0), None, false),
            (PortRange::one(53), Some(53), true),
            (PortRange::one(53), None, false),
            (PortRange { first: 0, last: 65534 }, None, false),
        ] {
            assert_eq!(range.matches(port), want, "{range:?} {port:?}");
        }
    }

    #[test]
    fn a_packet_is_matched_by_the_direction_it_travels() {
        let tcp = |src: [u8; 4], dst: [u8; 4], ports: [u8; 4]| {
            let mut header = [0; 20];
            crate::ipv4::Repr {
                src: src.into(),
                dst: dst.into(),
                protocol: crate::iana::IpProtocol::TCP,
                ttl: 64,
                tos: 0,
                id: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: 4,
            }
            .emit(&mut header);
            [&header[..], &ports].concat()
        };
        let request = tcp([10, 1, 0, 1], [10, 2, 0, 1], [0x9c, 0x40, 0, 80]);
        let answer = tcp([10, 2, 0, 1], [10, 1, 0, 1], [0, 80, 0x9c, 0x40]);
        let (request, answer) = (Packet::parse(&request).unwrap(), Packet::parse(&answer).unwrap());
        assert!(web().matches_outbound(&request) && !web().matches_inbound(&request));
        assert!(web().matches_inbound(&answer) && !web().matches_outbound(&answer));
    }

    #[test]
    fn a_selector_covers_another_when_every_field_does() {
        let all = Selector::between(range("10.0.0.0/8"), range("10.0.0.0/8")).unwrap();
        assert!(all.covers(&web()) && !web().covers(&all) && web().covers(&web()));
        assert!(all.any_ports() && all.any_protocol() && !web().any_ports());
        assert!(Selector::between(range("10.0.0.0/8"), range("::/0")).is_none());
        for (outer, inner, want) in [
            (PortRange::ANY, PortRange::OPAQUE, true),
            (PortRange::OPAQUE, PortRange::OPAQUE, true),
            (PortRange::OPAQUE, PortRange::one(1), false),
            (PortRange::one(1), PortRange::OPAQUE, false),
            (PortRange { first: 1, last: 9 }, PortRange { first: 1, last: 9 }, true),
            (PortRange { first: 1, last: 9 }, PortRange { first: 1, last: 10 }, false),
            (PortRange { first: 1, last: 9 }, PortRange { first: 0, last: 9 }, false),
        ] {
            assert_eq!(outer.covers(inner), want, "{outer:?} {inner:?}");
        }
    }

    #[test]
    fn ranges_are_of_one_family_and_the_right_way_round() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(AddressRange::new(address("10.0.0.2"), address("10.0.0.1")).is_none());
        assert!(AddressRange::new(address("10.0.0.1"), address("::1")).is_none());
        for (a, b, want) in [
            ("10.0.0.0/8", "10.1.0.0/16", Some("10.1.0.0/16")),
            ("10.1.0.0/16", "10.2.0.0/16", None),
            ("10.0.0.0/8", "::/0", None),
        ] {
            assert_eq!(range(a).intersection(&range(b)), want.map(range));
            assert_eq!(range(b).intersection(&range(a)), want.map(range));
        }
    }

    #[test]
    fn a_range_is_shown_in_its_shortest_form() {
        let between = |first: &str, last: &str| {
            AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap().to_string()
        };
        assert_eq!(between("10.0.0.0", "10.255.255.255"), "10.0.0.0/8");
        assert_eq!(between("10.0.0.1", "10.0.0.1"), "10.0.0.1");
        assert_eq!(between("10.0.0.1", "10.0.0.7"), "10.0.0.1-10.0.0.7");
        assert_eq!(between("fd01::", "fd01::ffff"), "fd01::/112");
    }
}
