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
