//! IPv6 (RFC 8200), with a bounded walk over extension headers.

use core::net::Ipv6Addr;

use crate::{Malformed, ecn::Ecn, iana::IpProtocol};

/// Octets of the fixed header.
pub const HEADER: usize = 40;
/// Octets of a fragment header.
pub const FRAGMENT_HEADER: usize = 8;
/// Every link carries packets of this size whole (RFC 8200 §5).
pub const MIN_MTU: usize = 1280;
/// The most extension headers that are walked; a longer chain is refused (RFC 8504 §5.3 allows a limit).
pub const MAX_EXTENSIONS: usize = 8;

/// A packet as it arrived, trimmed to its payload length.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    header: &'a [u8; HEADER],
    octets: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Checks version and payload length against `octets`; what follows is trimmed as link padding.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field; [`Malformed::Jumbogram`] for RFC 2675.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let header = Self::header(octets)?;
        let total = HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let bad = Malformed::BadLength { said: total, have: octets.len() };
        let octets = octets.get(..total).ok_or(bad)?;
        let payload = octets.get(HEADER..).ok_or(bad)?;
        if payload.is_empty() && header[6] == IpProtocol::HOPOPTS.0 {
            return Err(Malformed::Jumbogram);
        }
        Ok(Self { header, octets, payload })
    }

    /// The same view of a packet quoted in an ICMPv6 error: the payload may be cut short.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    pub fn parse_quoted(octets: &'a [u8]) -> Result<Self, Malformed> {
        let header = Self::header(octets)?;
        let total = HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let octets = octets.get(..total).unwrap_or(octets);
        Ok(Self { header, octets, payload: octets.get(HEADER..).unwrap_or(&[]) })
    }

    #[inline]
    fn header(octets: &'a [u8]) -> Result<&'a [u8; HEADER], Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let header = octets.first_chunk::<HEADER>().ok_or(short)?;
        match header[0] >> 4 {
            6 => Ok(header),
            version => Err(Malformed::BadVersion(version)),
        }
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> Ipv6Addr {
        address(self.header.first_chunk::<24>().and_then(|head| head.last_chunk()))
    }
    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Ipv6Addr {
        address(self.header.last_chunk())
    }
    /// The traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (self.header[0] << 4) | (self.header[1] >> 4)
    }
    /// The differentiated services codepoint, 0…63.
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }
    /// The ECN field.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.traffic_class())
    }
    /// The flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }
    /// What follows the fixed header: an extension header or the upper layer.
    #[inline]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.header[6])
    }
    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }
    /// The payload length field plus the fixed header.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER + usize::from(u16::from_be_bytes([self.header[4], self.header[5]]))
    }
    /// What follows the fixed header, extension headers included; link padding is trimmed.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
    /// The whole packet, header included, trimmed.
    #[inline]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }
}

/// The address in sixteen octets that are there by construction.
#[inline]
fn address(octets: Option<&[u8; 16]>) -> Ipv6Addr {
    Ipv6Addr::from(octets.copied().unwrap_or_default())
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where this fragment starts in the fragmentable part, in octets.
    pub offset: u16,
    /// Whether more follow.
    pub more: bool,
    /// What fragments of one packet share.
    pub id: u32,
    /// What the fragmentable part starts with.
    pub protocol: IpProtocol,
    /// Where the fragment header is, from the start of the IPv6 header.
    pub header_offset: usize,
}

impl Fragment {
    /// Alone and whole: to be treated as no fragment at all (RFC 6946 §4).
    #[inline]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }

    fn parse(octets: &[u8; FRAGMENT_HEADER], at: usize) -> Self {
        let [next, _, a, b, id @ ..] = *octets;
        let field = u16::from_be_bytes([a, b]);
        Self {
            offset: field & 0xfff8,
            more: field & 1 != 0,
            id: u32::from_be_bytes(id),
            protocol: IpProtocol(next),
            header_offset: at,
        }
    }

    /// Writes the header that says this; `header_offset` is where the caller puts it.
    pub fn emit(&self) -> [u8; FRAGMENT_HEADER] {
        let [a, b] = ((self.offset & 0xfff8) | u16::from(self.more)).to_be_bytes();
        let [c, d, e, f] = self.id.to_be_bytes();
        [self.protocol.0, 0, a, b, c, d, e, f]
    }
}

/// A routing header (RFC 8200 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The routing type.
    pub kind: u8,
    /// How many listed nodes are still to be visited.
    pub segments_left: u8,
    /// Where the header is, from the start of the IPv6 header.
    pub header_offset: usize,
}

/// What stands after the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The upper-layer protocol (RFC 4301 §4.4.1.1: what follows headers 0, 43, 44 and 60). In a later
    /// fragment, what the fragmentable part starts with.
    pub protocol: IpProtocol,
    /// Where it starts, from the start of the IPv6 header.
    pub offset: usize,
    /// The fragment header, if there is one.
    pub fragment: Option<Fragment>,
    /// The routing header, if there is one.
    pub routing: Option<Routing>,
    /// Octets that a node on the way must copy into every fragment: up to and including hop-by-hop and
    /// routing headers (RFC 8200 §4.5), from the start of the IPv6 header.
    pub unfragmentable: usize,
    /// Where the Next Header field that names what follows the unfragmentable part is, from the start of
    /// the IPv6 header.
    pub next_header_at: usize,
}

/// Walks the extension headers of `packet`: hop-by-hop, routing, fragment and destination options, at most
/// [`MAX_EXTENSIONS`]. A later fragment's walk ends at its fragment header.
///
/// # Errors
/// A header that is cut short, repeated where it must not be, out of place, a type 0 routing header that
/// still wants to travel (RFC 5095), an impossible fragment, or a chain that is too long.
#[inline]
pub fn extensions(packet: &Ipv6<'_>) -> Result<Upper, Malformed> {
    let upper = Upper {
        protocol: packet.next_header(),
        offset: HEADER,
        fragment: None,
        routing: None,
        unfragmentable: HEADER,
        next_header_at: 6,
    };
    if is_extension(upper.protocol) { walk(upper, packet) } else { Ok(upper) }
}

#[inline]
const fn is_extension(protocol: IpProtocol) -> bool {
    use IpProtocol as P;
    matches!(protocol, P::HOPOPTS | P::ROUTING | P::FRAGMENT | P::DSTOPTS)
}

fn walk(mut upper: Upper, packet: &Ipv6<'_>) -> Result<Upper, Malformed> {
    let mut rest = packet.payload;
    for _ in 0..MAX_EXTENSIONS {
        let length = step(&mut upper, rest, packet.total_len())?;
        let short = Malformed::Truncated { need: upper.offset, have: packet.octets.len() };
        rest = rest.get(length..).ok_or(short)?;
        let later = upper.fragment.is_some_and(|fragment| fragment.offset != 0);
        if later || !is_extension(upper.protocol) {
            return Ok(upper);
        }
    }
    Err(Malformed::TooManyExtensions)
}

/// Passes one header at the start of `rest`, moves `upper` behind it, and says how long it was. `total` is
/// the packet's length by its own header: a quoted packet has fewer octets than that.
fn step(upper: &mut Upper, rest: &[u8], total: usize) -> Result<usize, Malformed> {
    let (at, protocol) = (upper.offset, upper.protocol);
    let short = Malformed::Truncated { need: at + 8, have: at + rest.len() };
    let head = rest.first_chunk::<8>().ok_or(short)?;
    let misplaced = Err(Malformed::BadExtension { protocol });
    let mut length = (usize::from(head[1]) + 1) * 8;
    match protocol {
        IpProtocol::HOPOPTS if at != HEADER => return misplaced,
        IpProtocol::ROUTING if upper.routing.is_some() => return misplaced,
        // Type 0 routing headers are a traffic amplifier (RFC 5095 §3).
        IpProtocol::ROUTING if head[2] == 0 && head[3] != 0 => return misplaced,
        IpProtocol::ROUTING => {
            let (kind, segments_left) = (head[2], head[3]);
            upper.routing = Some(Routing { kind, segments_left, header_offset: at });
        }
        IpProtocol::FRAGMENT if upper.fragment.is_some() => return misplaced,
        IpProtocol::FRAGMENT => {
            length = FRAGMENT_HEADER;
            upper.fragment =
                Some(fragment(Fragment::parse(head, at), total.saturating_sub(at + length))?);
        }
        _ => {}
    }
    upper.protocol = IpProtocol(head[0]);
    upper.offset = at + length;
    if matches!(protocol, IpProtocol::HOPOPTS | IpProtocol::ROUTING) && upper.fragment.is_none() {
        upper.unfragmentable = upper.offset;
        upper.next_header_at = at;
    }
    Ok(length)
}

/// Checks that `length` octets at the fragment's place are possible (RFC 8200 §4.5).
fn fragment(fragment: Fragment, length: usize) -> Result<Fragment, Malformed> {
    let offset = usize::from(fragment.offset);
    let before = fragment.header_offset - HEADER;
    let beyond = before + offset + length > usize::from(u16::MAX);
    if beyond || (fragment.more && !length.is_multiple_of(8)) {
        return Err(Malformed::BadFragment { offset, length });
    }
    Ok(fragment)
}

/// A fixed header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// What follows the header.
    pub next_header: IpProtocol,
    /// Hop limit.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The flow label; the low 20 bits are written.
    pub flow_label: u32,
    /// Octets after the fixed header.
    pub payload_len: u16,
}

impl Repr {
    /// Writes the header.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER]) {
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        let [l0, l1] = self.payload_len.to_be_bytes();
        let [a, b, c, d] = word.to_be_bytes();
        let head = [a, b, c, d, l0, l1, self.next_header.0, self.hop_limit];
        let parts = [&head[..], &self.src.octets(), &self.dst.octets()];
        let octets = parts.into_iter().flatten();
        for (to, from) in out.iter_mut().zip(octets) {
            *to = *from;
        }
    }
}

/// The fixed header of a packet to be changed in place.
#[inline]
fn header_mut(packet: &mut [u8]) -> Result<&mut [u8; HEADER], Malformed> {
    let short = Malformed::Truncated { need: HEADER, have: packet.len() };
    packet.first_chunk_mut().ok_or(short)
}

/// Changes DSCP and ECN in place.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_traffic_class(packet: &mut [u8], class: u8) -> Result<(), Malformed> {
    let header = header_mut(packet)?;
    header[0] = (header[0] & 0xf0) | (class >> 4);
    header[1] = (header[1] & 0x0f) | (class << 4);
    Ok(())
}

/// Changes the hop limit in place.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_hop_limit(packet: &mut [u8], hop_limit: u8) -> Result<(), Malformed> {
    header_mut(packet)?[7] = hop_limit;
    Ok(())
}

/// Takes one from the hop limit and returns what is left. `None`, with the packet untouched, when it would
/// reach zero (RFC 8200 §3) or there is no whole header.
#[inline]
pub fn decrement_hop_limit(packet: &mut [u8]) -> Option<u8> {
    let left = packet.get(7)?.checked_sub(1).filter(|left| *left > 0)?;
    set_hop_limit(packet, left).ok().map(|()| left)
}

/// Changes the payload length in place.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_payload_len(packet: &mut [u8], payload_len: u16) -> Result<(), Malformed> {
    let header = header_mut(packet)?;
    [header[4], header[5]] = payload_len.to_be_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER];
        Repr {
            src: "2001:db8::1".parse().unwrap(),
            dst: "2001:db8:ffff::2".parse().unwrap(),
            next_header: IpProtocol(next_header),
            hop_limit: 64,
            traffic_class: 0xb9,
            flow_label: 0xf_edcb,
            payload_len: payload.len() as u16,
        }
        .emit(&mut header);
        [&header, payload].concat()
    }

    fn walked(next_header: u8, payload: &[u8]) -> Result<Upper, Malformed> {
        extensions(&Ipv6::parse(&packet(next_header, payload)).unwrap())
    }

    const UDP: [u8; 8] = [0x13, 0x88, 0, 53, 0, 8, 0, 0];

    #[test]
    fn the_fixed_header_reads_as_it_was_written() {
        let octets = packet(17, &UDP);
        assert_eq!(octets[..8], [0x6b, 0x9f, 0xed, 0xcb, 0, 8, 17, 64]);
        let packet = Ipv6::parse(&octets).unwrap();
        assert_eq!(packet.src(), "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(packet.dst(), "2001:db8:ffff::2".parse::<Ipv6Addr>().unwrap());
        assert_eq!((packet.traffic_class(), packet.flow_label()), (0xb9, 0xf_edcb));
        assert_eq!((packet.dscp(), packet.ecn()), (0x2e, Ecn::Ect1));
        assert_eq!((packet.next_header(), packet.hop_limit()), (IpProtocol::UDP, 64));
        assert_eq!((packet.payload(), packet.total_len()), (&UDP[..], 48));
    }

    #[test]
    fn a_packet_cut_at_any_octet_is_refused_and_link_padding_is_trimmed() {
        let whole = packet(17, &UDP);
        for have in 0..whole.len() {
            let want = if have < HEADER {
                Malformed::Truncated { need: HEADER, have }
            } else {
                Malformed::BadLength { said: 48, have }
            };
            assert_eq!(Ipv6::parse(&whole[..have]).unwrap_err(), want);
        }
        let padded = [&whole[..], &[0; 6]].concat();
        assert_eq!(Ipv6::parse(&padded).unwrap().octets(), whole);
    }

    #[test]
    fn wrong_versions_and_jumbograms_are_refused() {
        for version in (0..16).filter(|version| *version != 6) {
            let mut octets = packet(17, &UDP);
            octets[0] = version << 4;
            assert_eq!(Ipv6::parse(&octets).unwrap_err(), Malformed::BadVersion(version));
        }
        assert_eq!(Ipv6::parse(&packet(0, &[])).unwrap_err(), Malformed::Jumbogram);
        assert!(Ipv6::parse(&packet(59, &[])).is_ok());
    }

    #[test]
    fn the_walk_ends_at_the_upper_layer() {
        let hop = |next| [next, 0, 5, 2, 0, 0, 1, 0];
        let dst = |next| [next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let srh = |next| [next, 0, 4, 1, 0, 0, 0, 0];
        let atomic = |next| [next, 0, 0, 0, 0, 0, 0, 9];
        for (first, chain, protocol, offset, unfragmentable, next_header_at) in [
            (17, UDP.to_vec(), 17, 40, 40, 6),
            (59, vec![], 59, 40, 40, 6),
            (0, [&hop(17)[..], &UDP].concat(), 17, 48, 48, 40),
            (60, [&dst(50)[..], &UDP].concat(), 50, 56, 40, 6),
            (43, [&srh(6)[..], &UDP].concat(), 6, 48, 48, 40),
            (
                0,
                [&hop(60)[..], &dst(43), &srh(44), &atomic(60), &dst(58), &UDP].concat(),
                { 58 },
                96,
                72,
                64,
            ),
            (44, [&atomic(17)[..], &UDP].concat(), 17, 48, 40, 6),
            // ESP, AH and Mobility are upper layers here (RFC 4301 §4.4.1.1).
            (51, UDP.to_vec(), 51, 40, 40, 6),
            (135, UDP.to_vec(), 135, 40, 40, 6),
        ] {
            let upper = walked(first, &chain).unwrap();
            assert_eq!(upper.protocol, IpProtocol(protocol));
            assert_eq!(upper.offset, offset);
            assert_eq!(upper.unfragmentable, unfragmentable);
            assert_eq!(upper.next_header_at, next_header_at);
        }
    }

    #[test]
    fn a_chain_cut_at_any_octet_is_truncated() {
        let chain = [
            &[60, 0, 5, 2, 0, 0, 1, 0][..],
            &[43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[44, 0, 4, 1, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 9],
        ]
        .concat();
        for len in 1..chain.len() {
            let got = walked(0, &chain[..len]).unwrap_err();
            let Malformed::Truncated { need, have } = got else { panic!("{len}: {got:?}") };
            assert!(have == HEADER + len && need > have, "{len}: {got:?}");
        }
        assert_eq!(walked(0, &chain).unwrap().offset, HEADER + chain.len());
    }

    #[test]
    fn headers_out_of_place_or_repeated_are_refused() {
        let at = |protocol| Malformed::BadExtension { protocol: IpProtocol(protocol) };
        let zeros = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
        for (first, chain, want) in [
            // hop-by-hop behind another header
            (60, [&zeros(0)[..], &zeros(17), &UDP].concat(), at(0)),
            (0, [&zeros(0)[..], &zeros(17), &UDP].concat(), at(0)),
            (43, [&zeros(43)[..], &zeros(17), &UDP].concat(), at(43)),
            // the fragment header twice
            (
                44,
                [&[44, 0, 0, 0, 0, 0, 0, 1][..], &[17, 0, 0, 0, 0, 0, 0, 1], &UDP].concat(),
                at(44),
            ),
            // type 0 routing header with a segment left
            (43, [&[17, 0, 0, 1, 0, 0, 0, 0][..], &UDP].concat(), at(43)),
        ] {
            assert_eq!(walked(first, &chain).unwrap_err(), want);
        }
        // Type 0 with nothing left is passed over (RFC 8200 §4.4).
        let spent = [&[17, 0, 0, 0, 0, 0, 0, 0][..], &UDP].concat();
        assert_eq!(walked(43, &spent).unwrap().routing.unwrap().segments_left, 0);
    }

    #[test]
    fn eight_extension_headers_are_walked_and_nine_are_not() {
        let chain = |headers: usize| {
            let mut chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(headers - 1);
            chain.extend([17, 0, 1, 4, 0, 0, 0, 0]);
            chain.extend(UDP);
            chain
        };
        assert_eq!(walked(60, &chain(MAX_EXTENSIONS)).unwrap().protocol, IpProtocol::UDP);
        assert_eq!(walked(60, &chain(MAX_EXTENSIONS + 1)), Err(Malformed::TooManyExtensions));
    }

    #[test]
    fn a_later_fragment_ends_the_walk_at_its_fragment_header() {
        // What follows is a piece of payload that happens to look like a header chain.
        let fragment = Fragment {
            offset: 1448,
            more: false,
            id: 0xdead_beef,
            protocol: IpProtocol::DSTOPTS,
            header_offset: 40,
        };
        let upper = walked(44, &[&fragment.emit()[..], &[60, 255]].concat()).unwrap();
        assert_eq!((upper.protocol, upper.offset), (IpProtocol::DSTOPTS, 48));
        assert_eq!(upper.fragment, Some(fragment));
    }

    #[test]
    fn impossible_fragments_are_refused() {
        let fragment = |offset, more, length| {
            let header_offset = 40;
            let head = Fragment { offset, more, id: 1, protocol: IpProtocol::UDP, header_offset };
            walked(44, &[&head.emit()[..], &vec![0; length]].concat())
        };
        assert!(fragment(0, true, 16).is_ok());
        let odd = Malformed::BadFragment { offset: 0, length: 15 };
        assert_eq!(fragment(0, true, 15).unwrap_err(), odd);
        assert!(fragment(65528, false, 7).is_ok());
        let beyond = Malformed::BadFragment { offset: 65528, length: 8 };
        assert_eq!(fragment(65528, false, 8).unwrap_err(), beyond);
    }

    #[test]
    fn setters_change_their_field_and_no_other() {
        let before = packet(17, &UDP);
        let mut octets = before.clone();
        for value in 0..=255 {
            set_traffic_class(&mut octets, value).unwrap();
            assert_eq!(Ipv6::parse(&octets).unwrap().traffic_class(), value);
            assert_eq!(Ipv6::parse(&octets).unwrap().flow_label(), 0xf_edcb);
        }
        set_traffic_class(&mut octets, 0xb9).unwrap();
        assert_eq!(octets, before);
        set_hop_limit(&mut octets, 2).unwrap();
        assert_eq!(decrement_hop_limit(&mut octets), Some(1));
        assert_eq!(decrement_hop_limit(&mut octets), None);
        set_payload_len(&mut octets, 3).unwrap();
        assert_eq!(Ipv6::parse(&octets).unwrap().payload(), &UDP[..3]);
        let short = Malformed::Truncated { need: 40, have: 39 };
        assert_eq!(set_hop_limit(&mut octets[..39], 1), Err(short));
    }

    #[test]
    fn a_quoted_first_fragment_is_judged_by_the_length_its_header_gives() {
        let head = [17, 0, 0, 1, 0, 0, 0, 1];
        let whole = packet(44, &[&head[..], &[0; 64]].concat());
        for have in 0..whole.len() {
            let quoted = Ipv6::parse_quoted(&whole[..have]).and_then(|quoted| extensions(&quoted));
            assert_eq!(quoted.is_ok(), have >= 48, "{have} octets");
        }
    }
}
