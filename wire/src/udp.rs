//! UDP (RFC 768).

use core::net::IpAddr;

use crate::{Malformed, checksum, iana::IpProtocol};

/// Octets of the header.
pub const HEADER: usize = 8;

/// A datagram as it arrived, trimmed to its length field.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; HEADER],
    octets: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Checks the length field against `octets`; what follows is trimmed. The checksum is not looked at:
    /// see [`checksum_ok`](Self::checksum_ok).
    ///
    /// # Errors
    /// [`Malformed::Truncated`], or [`Malformed::BadLength`] when the field is below 8 or beyond the octets.
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let header = octets.first_chunk::<HEADER>().ok_or(short)?;
        let said = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let bad = Malformed::BadLength { said, have: octets.len() };
        let octets = octets.get(..said).ok_or(bad)?;
        Ok(Self { header, octets, payload: octets.get(HEADER..).ok_or(bad)? })
    }

    /// Source port.
    #[inline]
    pub fn source(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }
    /// Destination port.
    #[inline]
    pub fn destination(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }
    /// The checksum field; 0 is "none".
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }
    /// What the datagram carries.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the checksum is right for these addresses. "None" is right over IPv4 only (RFC 768, RFC 8200
    /// §8.1); a receiver of ESP in UDP need not ask at all, since the ICV covers what matters (RFC 3948 §2.1).
    pub fn checksum_ok(&self, src: IpAddr, dst: IpAddr) -> bool {
        if self.checksum() == 0 {
            return src.is_ipv4();
        }
        let pseudo = checksum::pseudo(src, dst, IpProtocol::UDP, self.octets.len() as u32);
        checksum::add(pseudo, checksum::sum(self.octets)) == 0xffff
    }
}

/// A header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Octets after the header; the length field saturates at 65 535.
    pub payload_len: u16,
    /// The checksum, or 0 for none (ESP in UDP over IPv4, RFC 3948 §2.1).
    pub checksum: u16,
}

impl Header {
    /// The header's octets.
    #[inline]
    pub fn emit(&self) -> [u8; HEADER] {
        let ([a, b], [c, d]) = (self.source.to_be_bytes(), self.destination.to_be_bytes());
        let [e, f] = self.payload_len.saturating_add(HEADER as u16).to_be_bytes();
        let [g, h] = self.checksum.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// The checksum of a whole datagram whose checksum field is zero; never 0, which would mean "none".
pub fn checksum(src: IpAddr, dst: IpAddr, datagram: &[u8]) -> u16 {
    let pseudo = checksum::pseudo(src, dst, IpProtocol::UDP, datagram.len() as u32);
    match !checksum::add(pseudo, checksum::sum(datagram)) {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(v4: bool) -> (IpAddr, IpAddr) {
        let (src, dst) =
            if v4 { ("192.0.2.1", "192.0.2.2") } else { ("2001:db8::1", "2001:db8::2") };
        (src.parse().unwrap(), dst.parse().unwrap())
    }

    fn datagram(checksum: u16, payload: &[u8]) -> Vec<u8> {
        let payload_len = payload.len() as u16;
        let header = Header { source: 4500, destination: 4501, payload_len, checksum };
        [&header.emit(), payload].concat()
    }

    #[test]
    fn a_datagram_cut_at_any_octet_is_refused_and_what_follows_it_is_trimmed() {
        let whole = datagram(0, b"payload");
        for have in 0..whole.len() {
            let want = if have < HEADER {
                Malformed::Truncated { need: HEADER, have }
            } else {
                Malformed::BadLength { said: 15, have }
            };
            assert_eq!(Udp::parse(&whole[..have]).unwrap_err(), want);
        }
        let longer = [&whole[..], b"trailing"].concat();
        let udp = Udp::parse(&longer).unwrap();
        assert_eq!((udp.source(), udp.destination(), udp.payload()), (4500, 4501, &b"payload"[..]));
    }

    #[test]
    fn a_length_below_the_header_is_a_lie() {
        for said in 0..HEADER {
            let mut octets = datagram(0, b"payload");
            octets[5] = said as u8;
            assert_eq!(Udp::parse(&octets).unwrap_err(), Malformed::BadLength { said, have: 15 });
        }
        let mut empty = datagram(0, &[]);
        empty[5] = 8;
        assert!(Udp::parse(&empty).unwrap().payload().is_empty());
    }

    #[test]
    fn a_missing_checksum_is_right_over_ipv4_only_and_a_wrong_one_nowhere() {
        for v4 in [true, false] {
            let (src, dst) = addresses(v4);
            let right = checksum(src, dst, &datagram(0, b"payload"));
            for (field, want) in
                [(right, true), (0, v4), (right ^ 1, false), (right.swap_bytes(), false)]
            {
                let octets = datagram(field, b"payload");
                assert_eq!(
                    Udp::parse(&octets).unwrap().checksum_ok(src, dst),
                    want,
                    "{field:#06x}"
                );
            }
        }
    }

    #[test]
    fn a_checksum_that_comes_out_as_zero_is_sent_as_ffff() {
        // Choose the last word so that the sum is ffff.
        for v4 in [true, false] {
            let (src, dst) = addresses(v4);
            let rest = checksum(src, dst, &datagram(0, &[0, 0]));
            let octets = datagram(0, &rest.to_be_bytes());
            assert_eq!(checksum(src, dst, &octets), 0xffff);
            let sent = datagram(0xffff, &rest.to_be_bytes());
            assert!(Udp::parse(&sent).unwrap().checksum_ok(src, dst));
        }
    }
}
