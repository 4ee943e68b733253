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

impl<'a> From<Ipv4<'a>> for Packet<'a> {
    #[inline]
    fn from(packet: Ipv4<'a>) -> Self {
        let fragment = packet.is_fragment().then(|| Fragment {
            offset: packet.fragment_offset(),
            more: packet.more_fragments(),
            id: packet.id().into(),
        });
        let (protocol, upper) = (packet.protocol(), packet.payload());
        Self { family: Family::V4(packet), protocol, upper, fragment }
    }
}

impl<'a> Packet<'a> {
    /// Checks everything that [`Ipv4::parse`], or [`Ipv6::parse`] and [`ipv6::extensions`], check.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        match version(octets)? {
            4 => Ipv4::parse(octets).map(Self::from),
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
            4 => Ipv4::parse_quoted(octets).map(Self::from),
            6 => Ipv6::parse_quoted(octets).and_then(Self::from_v6),
            other => Err(Malformed::BadVersion(other)),
        }
    }

    #[inline]
    fn from_v6(packet: Ipv6<'a>) -> Result<Self, Malformed> {
        let found = ipv6::extensions(&packet)?;
        let short = Malformed::Truncated { need: found.offset, have: packet.octets().len() };
        let upper = packet.octets().get(found.offset..).ok_or(short)?;
        let fragment = found.fragment.filter(|fragment| !fragment.is_atomic());
        let fragment = fragment.map(|fragment| Fragment {
            offset: fragment.offset,
            more: fragment.more,
            id: fragment.id,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, flags_and_offset: u16, upper: &[u8]) -> Vec<u8> {
        let mut header = [0; 20];
        ipv4::Repr {
            src: [10, 1, 0, 2].into(),
            dst: [10, 2, 0, 2].into(),
            protocol: IpProtocol(protocol),
            ttl: 63,
            tos: 0xba,
            id: 7,
            dont_fragment: flags_and_offset & 0x4000 != 0,
            more_fragments: flags_and_offset & 0x2000 != 0,
            fragment_offset: (flags_and_offset & 0x1fff) * 8,
            payload_len: upper.len() as u16,
        }
        .emit(&mut header);
        [&header, upper].concat()
    }

    fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        ipv6::Repr {
            src: "fd01::2".parse().unwrap(),
            dst: "fd02::2".parse().unwrap(),
            next_header: IpProtocol(next_header),
            hop_limit: 63,
            traffic_class: 0xba,
            flow_label: 0x12345,
            payload_len: payload.len() as u16,
        }
        .emit(&mut header);
        [&header, payload].concat()
    }

    const PORTS: [u8; 8] = [0x13, 0x88, 0x00, 0x35, 0x07, 0x08, 0x09, 0x0a];

    #[test]
    fn both_families_answer_the_same_questions() {
        for (octets, version, src, dst, flow_label, df, header_len) in [
            (v4(17, 0, &PORTS), 4, "10.1.0.2", "10.2.0.2", 0, false, 20),
            (v4(17, 0x4000, &PORTS), 4, "10.1.0.2", "10.2.0.2", 0, true, 20),
            (v6(17, &PORTS), 6, "fd01::2", "fd02::2", 0x12345, true, 40),
        ] {
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!(packet.version(), version);
            assert_eq!(packet.src(), src.parse::<IpAddr>().unwrap());
            assert_eq!(packet.dst(), dst.parse::<IpAddr>().unwrap());
            assert_eq!((packet.tos(), packet.ecn(), packet.ttl()), (0xba, Ecn::Ect0, 63));
            assert_eq!((packet.flow_label(), packet.dont_fragment()), (flow_label, df));
            assert_eq!((packet.protocol(), packet.upper()), (IpProtocol::UDP, &PORTS[..]));
            assert_eq!(packet.ports(), Some((5000, 53)));
            assert_eq!((packet.header_len(), packet.total_len()), (header_len, header_len + 8));
            assert_eq!((packet.fragment(), packet.octets()), (None, &octets[..]));
            assert_eq!(
                (packet.v4().is_some(), packet.v6().is_some()),
                (version == 4, version == 6)
            );
            assert_eq!(packet.is_v4(), version == 4);
        }
    }

    #[test]
    fn ports_are_what_policy_compares_and_none_when_they_cannot_be_seen() {
        let both = |number| Some((number, number));
        for (protocol, upper, want) in [
            (6, &PORTS[..], Some((5000, 53))),
            (17, &PORTS, Some((5000, 53))),
            (33, &PORTS, Some((5000, 53))),
            (132, &PORTS, Some((5000, 53))),
            (136, &PORTS, Some((5000, 53))),
            (6, &PORTS[..4], Some((5000, 53))),
            (6, &PORTS[..3], None), // a tiny first piece hides its ports
            (1, &[8, 0, 0, 0], both(0x0800)),
            (58, &[1, 4, 0, 0], both(0x0104)),
            (135, &[59, 0, 5, 0], both(0x0500)),
            (50, &PORTS, None),
            (47, &PORTS, None),
            (59, &[], None),
        ] {
            for octets in [v4(protocol, 0, upper), v6(protocol, upper)] {
                let packet = Packet::parse(&octets).unwrap();
                assert_eq!(packet.ports(), want, "protocol {protocol}");
                assert_eq!(packet.protocol(), IpProtocol(protocol));
            }
        }
    }

    #[test]
    fn only_the_first_fragment_shows_its_ports() {
        let v6_fragment = |offset: u16, more: u16| {
            let [a, b] = (offset | more).to_be_bytes();
            v6(44, &[&[17, 0, a, b, 0, 0, 0, 7][..], &PORTS].concat())
        };
        let fragment = |offset, more| Some(Fragment { offset, more, id: 7 });
        for (octets, want, ports) in [
            (v4(17, 0x2000, &PORTS), fragment(0, true), Some((5000, 53))),
            (v4(17, 0x2003, &PORTS), fragment(24, true), None),
            (v4(17, 0x0003, &PORTS), fragment(24, false), None),
            (v6_fragment(0, 1), fragment(0, true), Some((5000, 53))),
            (v6_fragment(24, 1), fragment(24, true), None),
            (v6_fragment(24, 0), fragment(24, false), None),
            (v6_fragment(0, 0), None, Some((5000, 53))), // atomic: whole (RFC 6946)
        ] {
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!((packet.fragment(), packet.ports()), (want, ports));
            assert_eq!(packet.protocol(), IpProtocol::UDP);
            assert_eq!(packet.upper(), PORTS);
        }
    }

    #[test]
    fn neither_family_is_neither() {
        assert_eq!(Packet::parse(&[]).unwrap_err(), Malformed::Truncated { need: 20, have: 0 });
        for version in (0..16u8).filter(|version| ![4, 6].contains(version)) {
            let octets = [version << 4 | 5; 64];
            assert_eq!(Packet::parse(&octets).unwrap_err(), Malformed::BadVersion(version));
            assert_eq!(Packet::parse_quoted(&octets).unwrap_err(), Malformed::BadVersion(version));
        }
    }

    #[test]
    fn a_quoted_packet_keeps_its_declared_length() {
        for whole in [v4(50, 0, &[9; 100]), v6(50, &[9; 100])] {
            let header_len = whole.len() - 100;
            assert!(Packet::parse(&whole[..header_len + 8]).is_err());
            let quoted = Packet::parse_quoted(&whole[..header_len + 8]).unwrap();
            assert_eq!((quoted.upper().len(), quoted.total_len()), (8, whole.len()));
            assert_eq!(quoted.header_len(), header_len);
            assert!(Packet::parse_quoted(&whole[..header_len - 1]).is_err());
        }
    }
}
