//! Ethernet II frames, with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use crate::{Malformed, iana::EtherType};

/// Octets of an untagged header.
pub const HEADER: usize = 14;
/// Octets of one VLAN tag.
pub const TAG: usize = 4;
/// The most VLAN tags that are looked through.
pub const MAX_TAGS: usize = 2;
/// Octets of the longest header: two tags.
pub const MAX_HEADER: usize = HEADER + MAX_TAGS * TAG;

/// One VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// The tag protocol: [`EtherType::VLAN`] or [`EtherType::SERVICE_VLAN`].
    pub protocol: EtherType,
    /// Tag control information: priority (3 bits), drop eligible (1), VLAN identifier (12).
    pub control: u16,
}

impl VlanTag {
    /// The VLAN identifier, 0…4095.
    #[inline]
    pub const fn id(self) -> u16 {
        self.control & 0x0fff
    }
    /// The priority code point, 0…7.
    #[inline]
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }
    /// The drop eligible indicator.
    #[inline]
    pub const fn drop_eligible(self) -> bool {
        self.control & 0x1000 != 0
    }
}

/// A frame as it arrived, without its check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    header: &'a [u8; HEADER],
    tags: [Option<VlanTag>; MAX_TAGS],
    ethertype: EtherType,
    payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Checks the header and up to two VLAN tags. The payload may be empty and may hold link padding.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when the header or a tag that it announces is cut short.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let (header, payload) = octets.split_first_chunk::<HEADER>().ok_or(short)?;
        let ethertype = EtherType(u16::from_be_bytes([header[12], header[13]]));
        let frame = Self { header, tags: [None; MAX_TAGS], ethertype, payload };
        if ethertype.is_vlan() { frame.untag(octets.len()) } else { Ok(frame) }
    }

    /// Looks through the tags of a tagged frame; `have` is the frame's whole length.
    fn untag(mut self, have: usize) -> Result<Self, Malformed> {
        let mut need = HEADER;
        for tag in &mut self.tags {
            if !self.ethertype.is_vlan() {
                break;
            }
            need += TAG;
            let short = Malformed::Truncated { need, have };
            let (&[a, b, c, d], rest) = self.payload.split_first_chunk::<TAG>().ok_or(short)?;
            *tag = Some(VlanTag { protocol: self.ethertype, control: u16::from_be_bytes([a, b]) });
            self.ethertype = EtherType(u16::from_be_bytes([c, d]));
            self.payload = rest;
        }
        Ok(self)
    }

    /// Who the frame is for.
    #[inline]
    pub fn destination(&self) -> [u8; 6] {
        let h = self.header;
        [h[0], h[1], h[2], h[3], h[4], h[5]]
    }
    /// Who sent it.
    #[inline]
    pub fn source(&self) -> [u8; 6] {
        let h = self.header;
        [h[6], h[7], h[8], h[9], h[10], h[11]]
    }
    /// What the payload is, after at most two tags. A third tag shows here as a VLAN EtherType.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        self.ethertype
    }
    /// The VLAN tags, outermost first.
    pub fn tags(&self) -> impl Iterator<Item = VlanTag> + use<> {
        self.tags.into_iter().flatten()
    }
    /// Octets before the payload: 14, 18 or 22.
    #[inline]
    pub fn header_len(&self) -> usize {
        HEADER + self.tags.iter().flatten().count() * TAG
    }
    /// Everything after the header, link padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
    /// Whether the destination is a group address (broadcast included).
    #[inline]
    pub fn is_multicast(&self) -> bool {
        self.header[0] & 1 != 0
    }
}

/// An untagged header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who the frame is for.
    pub destination: [u8; 6],
    /// Who sends it.
    pub source: [u8; 6],
    /// What the payload is.
    pub ethertype: EtherType,
}

impl Header {
    /// The header's octets.
    #[inline]
    pub fn emit(&self) -> [u8; HEADER] {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (self.destination, self.source);
        let [m, n] = self.ethertype.0.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }

    /// The header's octets with `tag` between the addresses and the EtherType.
    pub fn emit_tagged(&self, tag: VlanTag) -> [u8; HEADER + TAG] {
        let outer = Self { ethertype: tag.protocol, ..*self }.emit();
        let ([a, b], [c, d]) = (tag.control.to_be_bytes(), self.ethertype.0.to_be_bytes());
        let mut out = [0; HEADER + TAG];
        for (to, from) in out.iter_mut().zip(outer.into_iter().chain([a, b, c, d])) {
            *to = from;
        }
        out
    }

    /// The header's octets with two tags; `outer` stands first.
    pub fn emit_double_tagged(&self, outer: VlanTag, inner: VlanTag) -> [u8; MAX_HEADER] {
        let first = Self { ethertype: inner.protocol, ..*self }.emit_tagged(outer);
        let ([a, b], [c, d]) = (inner.control.to_be_bytes(), self.ethertype.0.to_be_bytes());
        let mut out = [0; MAX_HEADER];
        for (to, from) in out.iter_mut().zip(first.into_iter().chain([a, b, c, d])) {
            *to = from;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn frame(after_addresses: &[u8]) -> Vec<u8> {
        [&ADDRESSES, after_addresses].concat()
    }

    #[test]
    fn up_to_two_tags_are_looked_through_and_a_third_is_left_to_see() {
        for (after, ethertype, header_len, ids) in [
            (&[0x08, 0x00][..], EtherType::IPV4, 14, &[][..]),
            (&[0x86, 0xdd], EtherType::IPV6, 14, &[]),
            (&[0x00, 0x26], EtherType(0x26), 14, &[]), // an 802.3 length
            (&[0x81, 0x00, 0x20, 0x05, 0x08, 0x00], EtherType::IPV4, 18, &[5]),
            (&[0x88, 0xa8, 0xff, 0xff, 0x86, 0xdd], EtherType::IPV6, 18, &[4095]),
            (&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x08, 0x06], EtherType::ARP, 22, &[7, 8]),
            (&[0x91, 0x00, 0, 7, 0x81, 0, 0, 8, 0x08, 0x06], EtherType::ARP, 22, &[7, 8]),
            (&[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0], EtherType::VLAN, 22, &[1, 2]),
        ] {
            let octets = frame(after);
            let frame = Ethernet::parse(&octets).unwrap();
            assert_eq!(frame.ethertype(), ethertype, "{after:02x?}");
            assert_eq!(frame.header_len(), header_len);
            assert_eq!(frame.payload(), &octets[header_len..]);
            assert_eq!(frame.tags().map(VlanTag::id).collect::<Vec<_>>(), ids);
            assert_eq!((frame.destination()[5], frame.source()[5]), (1, 2));
        }
    }

    #[test]
    fn a_header_cut_at_any_octet_is_truncated_and_says_what_it_needs() {
        for (after, len) in [
            (&[0x08, 0x00][..], 14),
            (&[0x81, 0x00, 0, 5, 0x08, 0x00], 18),
            (&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 0x86, 0xdd], 22),
        ] {
            let whole = frame(after);
            assert_eq!(whole.len(), len);
            for have in 0..len {
                // What is missing is the fixed header first, then one tag after the other.
                let need = [14, 18, 22].into_iter().find(|need| have < *need).unwrap();
                let got = Ethernet::parse(&whole[..have]).unwrap_err();
                assert_eq!(got, Malformed::Truncated { need, have }, "{have} of {len}");
            }
            assert!(Ethernet::parse(&whole).unwrap().payload().is_empty());
        }
    }

    #[test]
    fn tag_fields_are_three_bits_one_bit_and_twelve() {
        let tag = VlanTag { protocol: EtherType::VLAN, control: 0xb02a };
        assert_eq!((tag.priority(), tag.drop_eligible(), tag.id()), (5, true, 42));
    }

    #[test]
    fn what_is_emitted_is_parsed_again() {
        let header = Header { destination: [1; 6], source: [2; 6], ethertype: EtherType::IPV6 };
        let plain = header.emit();
        let frame = Ethernet::parse(&plain).unwrap();
        assert_eq!((frame.destination(), frame.source()), ([1; 6], [2; 6]));
        assert_eq!(frame.ethertype(), EtherType::IPV6);
        assert!(frame.is_multicast());

        let tag = VlanTag { protocol: EtherType::SERVICE_VLAN, control: 0x2abc };
        let tagged = header.emit_tagged(tag);
        let frame = Ethernet::parse(&tagged).unwrap();
        assert_eq!(frame.tags().collect::<Vec<_>>(), [tag]);
        assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::IPV6, 18));

        let inner = VlanTag { protocol: EtherType::VLAN, control: 0x6123 };
        let double = header.emit_double_tagged(tag, inner);
        let frame = Ethernet::parse(&double).unwrap();
        assert_eq!(frame.tags().collect::<Vec<_>>(), [tag, inner]);
        assert_eq!((frame.ethertype(), frame.header_len()), (EtherType::IPV6, 22));
        assert_eq!((frame.destination(), frame.source()), ([1; 6], [2; 6]));
    }
}
