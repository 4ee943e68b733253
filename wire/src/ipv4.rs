//! IPv4 (RFC 791), with options.

use core::net::Ipv4Addr;

use crate::{Malformed, checksum, ecn::Ecn, iana::IpProtocol};

/// Octets of a header without options.
pub const HEADER: usize = 20;
/// The most octets of options.
pub const MAX_OPTIONS: usize = 40;
/// Every link carries packets of this size whole (RFC 791 §3.2).
pub const MIN_MTU: usize = 68;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// A packet as it arrived, trimmed to its total length.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8; HEADER],
    octets: &'a [u8],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Checks version, header length, total length against `octets` (what follows is trimmed as link
    /// padding), header checksum, and that a fragment lies within 65 535 octets.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    #[inline(always)] // so that what it found is not written to memory to be read back at once
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, header_len) = Self::header(octets)?;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let bad = Malformed::BadLength { said: total, have: octets.len() };
        let packet = Self::split(header, octets.get(..total).ok_or(bad)?, header_len).ok_or(bad)?;
        packet.check_sum()?;
        packet.check_fragment()?;
        Ok(packet)
    }

    /// The same view of a packet quoted in an ICMP error: the payload may be cut short, and the checksum is
    /// not looked at, because routers on the way change what it covers.
    ///
    /// # Errors
    /// The [`Malformed`] that names the field.
    pub fn parse_quoted(octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, header_len) = Self::header(octets)?;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let bad = Malformed::BadLength { said: total, have: octets.len() };
        Self::split(header, octets.get(..total).unwrap_or(octets), header_len).ok_or(bad)
    }

    /// The fixed header and the header length in octets; version and IHL are checked.
    #[inline]
    fn header(octets: &'a [u8]) -> Result<(&'a [u8; HEADER], usize), Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let header = octets.first_chunk::<HEADER>().ok_or(short)?;
        match (header[0] >> 4, header[0] & 0xf) {
            (4, words @ 5..) => Ok((header, usize::from(words) * 4)),
            (4, words) => Err(Malformed::BadHeaderLength(words)),
            (version, _) => Err(Malformed::BadVersion(version)),
        }
    }

    /// `octets` is the packet and nothing else; `None` when the header does not fit into it.
    #[inline]
    fn split(header: &'a [u8; HEADER], octets: &'a [u8], header_len: usize) -> Option<Self> {
        let (head, payload) = octets.split_at_checked(header_len)?;
        Some(Self { header, octets, options: head.get(HEADER..)?, payload })
    }

    /// The header checksum, options included (RFC 791 §3.1).
    #[inline(always)]
    fn check_sum(&self) -> Result<(), Malformed> {
        let mut sum = checksum::sum(self.header);
        if !self.options.is_empty() {
            sum = checksum::add(sum, checksum::sum(self.options));
        }
        if sum == 0xffff { Ok(()) } else { Err(Malformed::BadChecksum) }
    }

    #[inline(always)]
    fn check_fragment(&self) -> Result<(), Malformed> {
        if self.flags_and_offset() & (MORE_FRAGMENTS | OFFSET) == 0 {
            return Ok(());
        }
        let (offset, length) = (usize::from(self.fragment_offset()), self.payload.len());
        let beyond = offset + length + self.header_len() > usize::from(u16::MAX);
        if beyond || (self.more_fragments() && !length.is_multiple_of(8)) {
            return Err(Malformed::BadFragment { offset, length });
        }
        Ok(())
    }

    #[inline]
    fn flags_and_offset(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }
    /// Source address.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }
    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }
    /// The TOS octet: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.header[1]
    }
    /// The differentiated services codepoint, 0…63.
    #[inline]
    pub fn dscp(&self) -> u8 {
        self.tos() >> 2
    }
    /// The ECN field.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::of(self.tos())
    }
    /// Identification: fragments of one packet share it.
    #[inline]
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }
    /// The DF bit.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.flags_and_offset() & DONT_FRAGMENT != 0
    }
    /// The MF bit: this is not the last fragment.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset() & MORE_FRAGMENTS != 0
    }
    /// Where this fragment's payload starts in the whole payload, in octets.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (self.flags_and_offset() & OFFSET) << 3
    }
    /// Whether this is a fragment, first or later.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset() & (MORE_FRAGMENTS | OFFSET) != 0
    }
    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }
    /// What the payload is.
    #[inline]
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol(self.header[9])
    }
    /// The option octets, not interpreted; a multiple of four.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        self.options
    }
    /// Octets of header and options.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER + self.options.len()
    }
    /// The total length field.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[2], self.header[3]]))
    }
    /// What the header carries; link padding is trimmed.
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

/// A header without options, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// What the payload is.
    pub protocol: IpProtocol,
    /// Time to live.
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification; may repeat only while `dont_fragment` holds (RFC 6864 §4.1).
    pub id: u16,
    /// The DF bit.
    pub dont_fragment: bool,
    /// The MF bit.
    pub more_fragments: bool,
    /// Where the payload starts in the whole payload, in octets; a multiple of eight (the rest is dropped).
    pub fragment_offset: u16,
    /// Octets after the header; the total length saturates at 65 535.
    pub payload_len: u16,
}

impl Repr {
    /// Writes the header, checksum included.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER]) {
        let [l0, l1] = self.payload_len.saturating_add(HEADER as u16).to_be_bytes();
        let [i0, i1] = self.id.to_be_bytes();
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags =
            flag(self.dont_fragment, DONT_FRAGMENT) | flag(self.more_fragments, MORE_FRAGMENTS);
        let [f0, f1] = (flags | (self.fragment_offset >> 3)).to_be_bytes();
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (self.src.octets(), self.dst.octets());
        *out = [
            0x45,
            self.tos,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            self.ttl,
            self.protocol.0,
            0,
            0, //
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ];
        let [c0, c1] = checksum::checksum(out).to_be_bytes();
        (out[10], out[11]) = (c0, c1);
    }
}

/// The fixed header of a packet to be changed in place.
#[inline]
fn header_mut(packet: &mut [u8]) -> Result<&mut [u8; HEADER], Malformed> {
    let short = Malformed::Truncated { need: HEADER, have: packet.len() };
    packet.first_chunk_mut().ok_or(short)
}

/// Brings the checksum up to date after one word changed (RFC 1624).
#[inline]
fn refresh(header: &mut [u8; HEADER], old: u16, new: u16) {
    let checksum = u16::from_be_bytes([header[10], header[11]]);
    [header[10], header[11]] = checksum::update(checksum, old, new).to_be_bytes();
}

/// Changes DSCP and ECN in place, and the checksum with them.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_tos(packet: &mut [u8], tos: u8) -> Result<(), Malformed> {
    let header = header_mut(packet)?;
    let old = u16::from_be_bytes([header[0], header[1]]);
    header[1] = tos;
    refresh(header, old, u16::from_be_bytes([header[0], tos]));
    Ok(())
}

/// Changes the time to live in place, and the checksum with it.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_ttl(packet: &mut [u8], ttl: u8) -> Result<(), Malformed> {
    let header = header_mut(packet)?;
    let old = u16::from_be_bytes([header[8], header[9]]);
    header[8] = ttl;
    refresh(header, old, u16::from_be_bytes([ttl, header[9]]));
    Ok(())
}

/// Takes one from the time to live and returns what is left. `None`, with the packet untouched, when it
/// would reach zero (RFC 1812 §5.3.1) or there is no whole header.
#[inline]
pub fn decrement_ttl(packet: &mut [u8]) -> Option<u8> {
    let ttl = packet.get(8)?.checked_sub(1).filter(|left| *left > 0)?;
    set_ttl(packet, ttl).ok().map(|()| ttl)
}

/// Sets or clears the DF bit in place, and the checksum with it.
///
/// # Errors
/// [`Malformed::Truncated`] when there is no whole header.
#[inline]
pub fn set_dont_fragment(packet: &mut [u8], dont_fragment: bool) -> Result<(), Malformed> {
    let header = header_mut(packet)?;
    let old = u16::from_be_bytes([header[6], header[7]]);
    let new = if dont_fragment { old | DONT_FRAGMENT } else { old & !DONT_FRAGMENT };
    [header[6], header[7]] = new.to_be_bytes();
    refresh(header, old, new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example header of many textbooks: UDP, 115 octets, DF, checksum b861.
    const EXAMPLE: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];

    fn example() -> Vec<u8> {
        [&EXAMPLE[..], &[0xaa; 95]].concat()
    }

    /// `packet` after `change`, with its header checksum made right again.
    fn changed(mut packet: Vec<u8>, change: impl Fn(&mut [u8])) -> Vec<u8> {
        change(&mut packet);
        let header_len = usize::from(packet[0] & 0xf).max(5) * 4;
        (packet[10], packet[11]) = (0, 0);
        let sum = checksum::checksum(&packet[..header_len.min(packet.len())]);
        [packet[10], packet[11]] = sum.to_be_bytes();
        packet
    }

    #[test]
    fn a_known_header_reads_as_it_was_sent_and_is_written_the_same() {
        let octets = example();
        let packet = Ipv4::parse(&octets).unwrap();
        let (src, dst) = (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199));
        assert_eq!((packet.src(), packet.dst()), (src, dst));
        assert_eq!((packet.ttl(), packet.protocol()), (64, IpProtocol::UDP));
        assert!(packet.dont_fragment() && !packet.is_fragment());
        assert_eq!(
            (packet.total_len(), packet.header_len(), packet.payload().len()),
            (115, 20, 95)
        );
        let mut out = [0; 20];
        Repr {
            src,
            dst,
            protocol: IpProtocol::UDP,
            ttl: 64,
            tos: 0,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 95,
        }
        .emit(&mut out);
        assert_eq!(out, EXAMPLE);
    }

    #[test]
    fn a_packet_cut_at_any_octet_is_refused() {
        let whole = changed([example(), vec![0; 40]].concat(), |p| {
            (p[0], p[3]) = (0x4f, 115 + 40); // the longest header
        });
        assert_eq!(Ipv4::parse(&whole).unwrap().options().len(), 40);
        for have in 0..whole.len() {
            let want = if have < HEADER {
                Malformed::Truncated { need: HEADER, have }
            } else {
                Malformed::BadLength { said: 155, have }
            };
            assert_eq!(Ipv4::parse(&whole[..have]).unwrap_err(), want);
        }
    }

    #[test]
    fn each_field_that_lies_is_named() {
        let lie = |at: usize, value: u8| changed(example(), move |p| p[at] = value);
        for (octets, want) in [
            (lie(0, 0x65), Malformed::BadVersion(6)),
            (lie(0, 0x05), Malformed::BadVersion(0)),
            (lie(0, 0x40), Malformed::BadHeaderLength(0)),
            (lie(0, 0x44), Malformed::BadHeaderLength(4)),
            (lie(3, 116), Malformed::BadLength { said: 116, have: 115 }),
            (lie(2, 0xff), Malformed::BadLength { said: 0xff73, have: 115 }),
            (lie(3, 19), Malformed::BadLength { said: 19, have: 115 }),
            (lie(3, 0), Malformed::BadLength { said: 0, have: 115 }),
            // Options beyond the total length.
            (changed(example(), |p| (p[0], p[3]) = (0x46, 23)), {
                Malformed::BadLength { said: 23, have: 115 }
            }),
            // Not the last fragment, and 95 octets long.
            (lie(6, 0x20), Malformed::BadFragment { offset: 0, length: 95 }),
            // The ping of death: ends beyond 65 535.
            (changed(example(), |p| (p[6], p[7]) = (0x1f, 0xff)), {
                Malformed::BadFragment { offset: 65528, length: 95 }
            }),
        ] {
            assert_eq!(Ipv4::parse(&octets).unwrap_err(), want);
        }
        for bit in 0..160 {
            let mut octets = example();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert!(Ipv4::parse(&octets).is_err(), "bit {bit} of the header flipped unnoticed");
        }
    }

    #[test]
    fn the_boundaries_of_length_and_header_are_accepted() {
        let header_only = changed(EXAMPLE.to_vec(), |p| p[3] = 20);
        assert!(Ipv4::parse(&header_only).unwrap().payload().is_empty());
        let padded = [&header_only[..], &[0; 26]].concat();
        assert!(Ipv4::parse(&padded).unwrap().payload().is_empty(), "link padding is trimmed");
        let options = changed(example(), |p| p[0] = 0x46);
        let packet = Ipv4::parse(&options).unwrap();
        assert_eq!((packet.options(), packet.payload().len()), (&[0xaa; 4][..], 91));
    }

    #[test]
    fn fragments_say_where_they_belong() {
        let fragment = |flags: u16| {
            changed(EXAMPLE.to_vec(), move |p| {
                p[3] = 20;
                [p[6], p[7]] = flags.to_be_bytes();
            })
        };
        for (flags, offset, more, is) in [
            (0x4000, 0, false, false),
            (0x2000, 0, true, true),
            (0x2001, 8, true, true),
            (0x0001, 8, false, true),
            (0x1ffc, 65504, false, true), // with its header it ends at 65 524
        ] {
            let octets = fragment(flags);
            let packet = Ipv4::parse(&octets).unwrap();
            assert_eq!(packet.fragment_offset(), offset, "{flags:#06x}");
            assert_eq!((packet.more_fragments(), packet.is_fragment()), (more, is), "{flags:#06x}");
        }
        assert!(Ipv4::parse(&fragment(0x1ffe)).is_err());
    }

    #[test]
    fn setters_keep_the_checksum_right() {
        let mut octets = example();
        for value in 0..=255 {
            set_tos(&mut octets, value).unwrap();
            set_ttl(&mut octets, value ^ 0x5a).unwrap();
            set_dont_fragment(&mut octets, value & 1 == 0).unwrap();
            let packet = Ipv4::parse(&octets).unwrap();
            assert_eq!((packet.tos(), packet.ttl()), (value, value ^ 0x5a));
            assert_eq!(packet.dont_fragment(), value & 1 == 0);
        }
        assert_eq!(set_tos(&mut octets[..19], 0), Err(Malformed::Truncated { need: 20, have: 19 }));
    }

    #[test]
    fn a_time_to_live_never_reaches_zero() {
        for (ttl, left) in [(0, None), (1, None), (2, Some(1)), (255, Some(254))] {
            let mut octets = changed(example(), |p| p[8] = ttl);
            let before = octets.clone();
            assert_eq!(decrement_ttl(&mut octets), left);
            assert_eq!(octets == before, left.is_none(), "untouched when refused");
            assert_eq!(Ipv4::parse(&octets).unwrap().ttl(), left.unwrap_or(ttl));
        }
        assert_eq!(decrement_ttl(&mut [0x45; 12]), None);
    }

    #[test]
    fn a_quoted_packet_may_be_cut_behind_its_header() {
        let octets = example();
        for have in 0..octets.len() {
            let quoted = Ipv4::parse_quoted(&octets[..have]);
            assert_eq!(quoted.is_ok(), have >= 20, "{have} octets");
            if let Ok(quoted) = quoted {
                assert_eq!((quoted.payload().len(), quoted.total_len()), (have - 20, 115));
            }
        }
    }
}
