//! An IP packet of either family, as policy sees it: addresses, upper layer, ports.

use core::net::IpAddr;

use crate::{
    Malformed,
    ecn::Ecn,
    iana::IpProtocol,
    ipv4::{self, Ipv4},
    ipv6::{self, Ipv6},
};

/// Which fragment of its packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where it starts in the whole, in octets.
    pub offset: u16,
    /// Whether more follow.
    pub more: bool,
    /// What fragments of one packet share (16 bits in IPv4, 32 in IPv6).
    pub id: u32,
}

#[derive(Clone, Copy, Debug)]
enum Family<'a> {
    V4(Ipv4<'a>),
    V6(Ipv6<'a>),
}

/// A checked packet of either family, trimmed to the length its header gives.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    family: Family<'a>,
    protocol: IpProtocol,
    upper: &'a [u8],
    fragment: Option<Fragment>,
}

impl<'a> Packet<'a> {
    /// Checks everything that [`Ipv4::parse`], or [`Ipv6::parse`] and [`ipv6::extensions`], check.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        match version(octets)? {
            4 => Ipv4::parse(octets).map(Self::from_v4),
            6 => Ipv6::parse(octets).and_then(Self::from_v6),
            other => Err(Malformed::BadVersion(other)),
        }
    }

    /// The start of a packet as an ICMP error quotes it: the payload may be cut short.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    pub fn parse_quoted(octets: &'a [u8]) -> Result<Self, Malformed> {
        match version(octets)? {
            4 => Ipv4::parse_quoted(octets).map(Self::from_v4),
            6 => Ipv6::parse_quoted(octets).and_then(Self::from_v6),
            other => Err(Malformed::BadVersion(other)),
        }
    }

    #[inline]
    fn from_v4(packet: Ipv4<'a>) -> Self {
        let fragment = packet.is_fragment().then(|| Fragment {
            offset: packet.fragment_offset(),
            more: packet.more_fragments(),
            id: packet.id().into(),
        });
        let (protocol, upper) = (packet.protocol(), packet.payload());
        Self { family: Family::V4(packet), protocol, upper, fragment }
    }

    #[inline]
    fn from_v6(packet: Ipv6<'a>) -> Result<Self, Malformed> {
        let found = ipv6::extensions(&packet)?;
        let short = Malformed::Truncated { need: found.offset, have: packet.octets().len() };
        let upper = packet.octets().get(found.offset..).ok_or(short)?;
        let fragment = found.fragment.filter(|fragment| !fragment.is_atomic());
        let fragment = fragment
            .map(|fragment| Fragment { offset: fragment.offset, more: fragment.more, id: fragment.id });
        Ok(Self { family: Family::V6(packet), protocol: found.protocol, upper, fragment })
    }

    /// 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        match self.family {
            Family::V4(_) => 4,
            Family::V6(_) => 6,
        }
    }
    /// Whether this is IPv4.
    #[inline]
    pub fn is_v4(&self) -> bool {
        matches!(self.family, Family::V4(_))
    }
    /// The IPv4 view.
    #[inline]
    pub fn v4(&self) -> Option<Ipv4<'a>> {
        match self.family {
            Family::V4(packet) => Some(packet),
            Family::V6(_) => None,
        }
    }
    /// The IPv6 view.
    #[inline]
    pub fn v6(&self) -> Option<Ipv6<'a>> {
        match self.family {
            Family::V4(_) => None,
            Family::V6(packet) => Some(packet),
        }
    }
    /// Source address.
    #[inline]
    pub fn src(&self) -> IpAddr {
        match &self.family {
            Family::V4(packet) => IpAddr::V4(packet.src()),
            Family::V6(packet) => IpAddr::V6(packet.src()),
        }
    }
    /// Destination address.
    #[inline]
    pub fn dst(&self) -> IpAddr {
        match &self.family {
            Family::V4(packet) => IpAddr::V4(packet.dst()),
            Family::V6(packet) => IpAddr::V6(packet.dst()),
        }
    }
    /// The TOS octet or traffic class: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        match &self.family {
            Family::V4(packet) => packet.tos(),
            Family::V6(packet) => packet.traffic_class(),
        }
    }
    /// The ECN field.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.tos())
    }
    /// Time to live or hop limit.
    #[inline]
    pub fn ttl(&self) -> u8 {
        match &self.family {
            Family::V4(packet) => packet.ttl(),
            Family::V6(packet) => packet.hop_limit(),
        }
    }
    /// The flow label; 0 in IPv4.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        match &self.family {
            Family::V4(_) => 0,
            Family::V6(packet) => packet.flow_label(),
        }
    }
    /// Whether a router must not fragment it: IPv4's DF bit; always so in IPv6.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        match &self.family {
            Family::V4(packet) => packet.dont_fragment(),
            Family::V6(_) => true,
        }
    }
    /// The upper-layer protocol, behind IPv6 extension headers.
    #[inline]
    pub fn protocol(&self) -> IpProtocol {
        self.protocol
    }
    /// The upper-layer header and what it carries; of a later fragment, its piece of the payload.
    #[inline]
    pub fn upper(&self) -> &'a [u8] {
        self.upper
    }
    /// Octets before [`upper`](Self::upper): IPv4 header with options, or IPv6 header with extensions.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.octets().len() - self.upper.len()
    }
    /// The fragment this is; `None` for a whole packet, atomic fragments (RFC 6946) among them.
    #[inline]
    pub fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }
    /// The length the header gives, header included. A quoted packet may have fewer octets.
    #[inline]
    pub fn total_len(&self) -> usize {
        match &self.family {
            Family::V4(packet) => packet.total_len(),
            Family::V6(packet) => packet.total_len(),
        }
    }
    /// The whole packet, trimmed.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        match &self.family {
            Family::V4(packet) => packet.octets(),
            Family::V6(packet) => packet.octets(),
        }
    }

    /// The (source, destination) ports as policy compares them (RFC 4301 §4.4.1.1): TCP, UDP, UDP-Lite, SCTP
    /// and DCCP ports; for ICMP and ICMPv6 type·256 + code, for Mobility type·256, the same in both places.
    /// `None` when they cannot be seen (later fragments, upper layer cut short) or do not exist.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        if self.fragment.is_some_and(|fragment| fragment.offset != 0) {
            return None;
        }
        let &[a, b, c, d] = self.upper.first_chunk::<4>()?;
        let both = |number| Some((number, number));
        match self.protocol {
            protocol if protocol.has_ports() => {
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            }
            IpProtocol::ICMP | IpProtocol::ICMPV6 => both(u16::from_be_bytes([a, b])),
            IpProtocol::MOBILITY => both(u16::from_be_bytes([c, 0])),
            _ => None,
        }
    }
}

/// The version nibble.
#[inline]
fn version(octets: &[u8]) -> Result<u8, Malformed> {
    let first = octets.first().ok_or(Malformed::Truncated { need: ipv4::HEADER, have: 0 })?;
    Ok(first >> 4)
}
