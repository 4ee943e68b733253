//! Traffic selectors: what an SPD entry or a Child SA covers (RFC 4301 §4.4.1, RFC 7296 §3.13).

use core::net::IpAddr;

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
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
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
