//! The IKE header (RFC 7296 §3.1).

use super::{Malformed, octets};
use crate::iana::ike::{ExchangeType, PayloadType};

/// Octets of the header.
pub const HEADER: usize = 28;
/// The major version that this is.
pub const MAJOR: u8 = 2;

const RESPONSE: u8 = 0x20;
const VERSION: u8 = 0x10;
const INITIATOR: u8 = 0x08;

/// The flags; the others are reserved, sent as zero and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// From the original initiator of the IKE SA.
    pub initiator: bool,
    /// The sender speaks a higher major version as well; never set by version 2.
    pub version: bool,
    /// Answers the request with the same Message ID.
    pub response: bool,
}

impl Flags {
    /// The flags of an octet.
    pub const fn from_octet(octet: u8) -> Self {
        Self {
            initiator: octet & INITIATOR != 0,
            version: octet & VERSION != 0,
            response: octet & RESPONSE != 0,
        }
    }
    /// The octet of these flags.
    pub const fn octet(self) -> u8 {
        (self.initiator as u8 * INITIATOR)
            | (self.version as u8 * VERSION)
            | (self.response as u8 * RESPONSE)
    }
}

/// A header. IKEv1 has the same one, so it is read before the version is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The initiator's SPI; never zero.
    pub initiator_spi: u64,
    /// The responder's SPI; zero in the first request, and in an answer that makes no SA.
    pub responder_spi: u64,
    /// The first payload's type.
    pub next_payload: PayloadType,
    /// The major version.
    pub major: u8,
    /// The minor version; ignored (RFC 7296 §2.5).
    pub minor: u8,
    /// What the message is part of.
    pub exchange: ExchangeType,
    /// Who speaks, and whether it is an answer.
    pub flags: Flags,
    /// Counts the requests in each direction, from zero.
    pub message_id: u32,
    /// Octets of header and payloads together.
    pub length: u32,
}

impl Header {
    /// A header of version 2.0 whose next payload and length are still to be filled in.
    pub const fn new(
        (initiator_spi, responder_spi): (u64, u64),
        exchange: ExchangeType,
        flags: Flags,
        message_id: u32,
    ) -> Self {
        let (next_payload, length) = (PayloadType::NONE, 0);
        let (major, minor) = (MAJOR, 0);
        Self {
            initiator_spi,
            responder_spi,
            next_payload,
            major,
            minor,
            exchange,
            flags,
            message_id,
            length,
        }
    }

    /// The header, and the octets of the payloads behind it. The length field must say how long the
    /// datagram is: neither less nor more.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadLength`] or [`Malformed::ZeroSpi`].
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (octets, payloads) = octets::take::<HEADER>(datagram)?;
        let header = Self::read(octets);
        let (said, have) = (header.length as usize, datagram.len());
        if said != have {
            return Err(Malformed::BadLength { said, have });
        }
        if header.initiator_spi == 0 {
            return Err(Malformed::ZeroSpi);
        }
        Ok((header, payloads))
    }

    fn read(octets: &[u8; HEADER]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *octets;
        let initiator_spi = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, e, f, g, h, next, version, exchange, flags, rest @ ..] = rest;
        let responder_spi = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, length @ ..] = rest;
        Self {
            initiator_spi,
            responder_spi,
            next_payload: PayloadType(next),
            major: version >> 4,
            minor: version & 0xf,
            exchange: ExchangeType(exchange),
            flags: Flags::from_octet(flags),
            message_id: u32::from_be_bytes([a, b, c, d]),
            length: u32::from_be_bytes(length),
        }
    }

    /// The header's octets.
    pub fn emit(&self) -> [u8; HEADER] {
        let [a, b, c, d, e, f, g, h] = self.initiator_spi.to_be_bytes();
        let [i, j, k, l, m, n, o, p] = self.responder_spi.to_be_bytes();
        let version = (self.major << 4) | (self.minor & 0xf);
        let (next, exchange, flags) = (self.next_payload.0, self.exchange.0, self.flags.octet());
        let [q, r, s, t] = self.message_id.to_be_bytes();
        let [u, v, w, x] = self.length.to_be_bytes();
        [
            a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, next, version, exchange, flags, q, r,
            s, t, u, v, w, x,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const OCTETS: [u8; HEADER] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, // initiator's SPI
        0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, // responder's SPI
        0x2e, 0x20, 0x25, 0x28,                         // SK, 2.0, INFORMATIONAL, initiator and response
        0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x1c, // Message ID, length
    ];

    #[test]
    fn the_header_is_read_and_written_octet_for_octet() {
        let flags = Flags { initiator: true, version: false, response: true };
        let spis = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        let want = Header {
            next_payload: PayloadType::SK,
            length: 28,
            ..Header::new(spis, ExchangeType::INFORMATIONAL, flags, 0x102)
        };
        assert_eq!(Header::parse(&OCTETS), Ok((want, &[][..])));
        assert_eq!(want.emit(), OCTETS);
    }

    #[test]
    fn the_length_is_that_of_the_datagram_neither_less_nor_more() {
        for have in 0..64 {
            let mut datagram = [&OCTETS[..], &[0; 36]].concat();
            datagram.truncate(have);
            let want = match have {
                ..HEADER => Err(Malformed::Truncated { need: HEADER, have }),
                HEADER => Ok(()),
                _ => Err(Malformed::BadLength { said: HEADER, have }),
            };
            assert_eq!(Header::parse(&datagram).map(|_| ()), want, "{have} octets");
        }
        for said in [0, 1, 27, 29, 0x0100_001c, u32::MAX] {
            let mut datagram = OCTETS;
            datagram[24..].copy_from_slice(&said.to_be_bytes());
            let want = Malformed::BadLength { said: said as usize, have: HEADER };
            assert_eq!(Header::parse(&datagram), Err(want));
        }
    }

    #[test]
    fn an_initiator_without_an_spi_is_refused_and_a_responder_without_one_is_not() {
        let mut datagram = OCTETS;
        datagram[8..16].fill(0);
        assert_eq!(Header::parse(&datagram).map(|(header, _)| header.responder_spi), Ok(0));
        datagram[..8].fill(0);
        assert_eq!(Header::parse(&datagram), Err(Malformed::ZeroSpi));
    }

    #[test]
    fn versions_are_read_and_reserved_flags_are_not() {
        for version in 0..=u8::MAX {
            let mut datagram = OCTETS;
            (datagram[17], datagram[19]) = (version, 0xc7 | 0x10);
            let (header, _) = Header::parse(&datagram).unwrap();
            assert_eq!((header.major, header.minor), (version / 16, version % 16));
            let want = Flags { initiator: false, version: true, response: false };
            assert_eq!(header.flags, want);
        }
        for octet in 0..=u8::MAX {
            assert_eq!(Flags::from_octet(octet).octet(), octet & 0x38);
        }
    }
}
