//! ESP (RFC 4303): header, padding and trailer. What is between belongs to the cipher.

use crate::{Malformed, iana::IpProtocol};

/// Octets of the header: SPI and sequence number.
pub const HEADER: usize = 8;
/// Octets of the trailer behind the padding: pad length and next header.
pub const TRAILER: usize = 2;
/// The most padding octets (RFC 4303 §2.4).
pub const MAX_PAD: usize = 255;
/// SPIs up to this one are reserved and never name an SA (RFC 4303 §2.1).
pub const LAST_RESERVED_SPI: u32 = 255;

/// What padding holds: 1, 2, 3 … 255 (RFC 4303 §2.4).
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks it")]
const RAMP: [u8; MAX_PAD] = {
    let mut ramp = [0; MAX_PAD];
    let mut i = 0;
    while i < MAX_PAD {
        ramp[i] = i as u8 + 1;
        i += 1;
    }
    ramp
};

/// An ESP packet as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Esp<'a> {
    header: &'a [u8; HEADER],
    body: &'a [u8],
}

impl<'a> Esp<'a> {
    /// Checks that there is a whole header. How much must follow depends on the SA's algorithms.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    #[inline]
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: HEADER, have: octets.len() };
        let (header, body) = octets.split_first_chunk().ok_or(short)?;
        Ok(Self { header, body })
    }

    /// Security Parameters Index.
    #[inline]
    pub fn spi(&self) -> u32 {
        let [a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }
    /// The sequence number that travels: the low 32 bits of an extended one (RFC 4303 §2.2.1).
    #[inline]
    pub fn sequence(&self) -> u32 {
        let [.., a, b, c, d] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }
    /// IV, ciphertext and ICV.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// A header to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Security Parameters Index.
    pub spi: u32,
    /// The low 32 bits of the sequence number.
    pub sequence: u32,
}

impl Header {
    /// The header's octets.
    #[inline]
    pub fn emit(&self) -> [u8; HEADER] {
        let ([a, b, c, d], [e, f, g, h]) = (self.spi.to_be_bytes(), self.sequence.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

/// How many padding octets make payload, padding and trailer a multiple of `block`; a block below four
/// counts as four, so that the ICV starts on a 32-bit boundary (RFC 4303 §2.4).
#[inline]
pub const fn pad_len(payload_len: usize, block: usize) -> usize {
    let block = if block < 4 { 4 } else { block };
    (block - (payload_len + TRAILER) % block) % block
}

/// How long an ESP packet is, header to ICV, around `payload_len` octets.
#[inline]
pub const fn packet_len(payload_len: usize, iv_len: usize, icv_len: usize, block: usize) -> usize {
    HEADER + iv_len + payload_len + pad_len(payload_len, block) + TRAILER + icv_len
}

/// The longest payload whose ESP packet is at most `room` octets; `None` when not even an empty one fits.
#[inline]
pub const fn max_payload(
    room: usize,
    iv_len: usize,
    icv_len: usize,
    block: usize,
) -> Option<usize> {
    let block = if block < 4 { 4 } else { block };
    match room.checked_sub(HEADER + iv_len + icv_len) {
        Some(rest) => (rest - rest % block).checked_sub(TRAILER),
        None => None,
    }
}

/// Fills `out` with padding 1, 2, 3 …, pad length and next header (RFC 4303 §2.4). All of `out` is written,
/// so its length, [`pad_len`] + [`TRAILER`], says how much padding there is.
///
/// # Errors
/// [`Malformed::BadLength`] when `out` cannot be a trailer: below 2 octets or above 257. Nothing is written.
#[inline]
pub fn emit_trailer(out: &mut [u8], next_header: IpProtocol) -> Result<(), Malformed> {
    let have = out.len();
    let bad = Malformed::BadLength { said: TRAILER, have };
    let (padding, trailer) = out.split_last_chunk_mut::<TRAILER>().ok_or(bad)?;
    let ramp = RAMP.get(..padding.len()).ok_or(bad)?;
    padding.copy_from_slice(ramp);
    *trailer = [ramp.len() as u8, next_header.0];
    Ok(())
}

/// What the end of a decrypted packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Octets of payload before the padding; traffic flow confidentiality padding included.
    pub payload_len: usize,
    /// Octets of padding.
    pub pad_len: u8,
    /// What the payload is; 59 marks a dummy packet (RFC 4303 §2.6).
    pub next_header: IpProtocol,
}

impl Trailer {
    /// Reads the trailer of decrypted octets (payload, padding, trailer; no IV, no ICV), and checks that the
    /// padding fits and is 1, 2, 3 … (RFC 4303 §2.4).
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadPadLength`] or [`Malformed::BadPadding`].
    #[inline]
    pub fn parse(decrypted: &[u8]) -> Result<Self, Malformed> {
        let short = Malformed::Truncated { need: TRAILER, have: decrypted.len() };
        let (rest, &[pad_len, next]) = decrypted.split_last_chunk::<TRAILER>().ok_or(short)?;
        let said = usize::from(pad_len);
        let too_long = Malformed::BadPadLength { said, have: rest.len() };
        let payload_len = rest.len().checked_sub(said).ok_or(too_long)?;
        let (padding, ramp) = (rest.get(payload_len..), RAMP.get(..said));
        if padding != ramp {
            return Err(wrong_padding(padding.unwrap_or_default()));
        }
        Ok(Self { payload_len, pad_len, next_header: IpProtocol(next) })
    }
}

/// Names the first octet of `padding` that is not its own number.
#[cold]
fn wrong_padding(padding: &[u8]) -> Malformed {
    let at = padding.iter().zip(RAMP).position(|(octet, want)| *octet != want);
    Malformed::BadPadding { at: at.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_spi_and_sequence_number_and_cannot_be_shorter() {
        let packet = [&Header { spi: 0x4321, sequence: 1 }.emit()[..], &[0xe9; 16]].concat();
        assert_eq!(packet[..8], [0, 0, 0x43, 0x21, 0, 0, 0, 1]);
        let esp = Esp::parse(&packet).unwrap();
        assert_eq!((esp.spi(), esp.sequence(), esp.body()), (0x4321, 1, &[0xe9; 16][..]));
        for have in 0..HEADER {
            let want = Malformed::Truncated { need: HEADER, have };
            assert_eq!(Esp::parse(&packet[..have]).unwrap_err(), want);
        }
        assert!(Esp::parse(&packet[..HEADER]).unwrap().body().is_empty());
    }

    #[test]
    fn the_trailer_ends_on_a_block_boundary_of_at_least_four_octets() {
        for (payload, block, pad) in [
            (0, 4, 2),
            (1, 4, 1),
            (2, 4, 0),
            (3, 4, 3),
            (1500, 4, 2),
            (0, 1, 2),
            (0, 0, 2),
            (0, 16, 14),
            (14, 16, 0),
            (15, 16, 15),
            (64, 16, 14),
        ] {
            assert_eq!(pad_len(payload, block), pad, "payload of {payload}, block of {block}");
        }
        for payload in 0..4096 {
            for block in [1, 2, 4, 8, 16] {
                let total = payload + pad_len(payload, block) + TRAILER;
                assert!(
                    total.is_multiple_of(block.max(4)) && pad_len(payload, block) < block.max(4)
                );
            }
        }
    }

    #[test]
    fn the_longest_payload_for_a_room_fits_and_one_more_does_not() {
        for (iv, icv, block) in [(8, 16, 4), (16, 12, 16), (16, 32, 16), (0, 12, 4)] {
            for room in 0..2100 {
                let fits = |payload| packet_len(payload, iv, icv, block) <= room;
                match max_payload(room, iv, icv, block) {
                    Some(most) => assert!(fits(most) && !fits(most + 1), "{room}: {most}"),
                    None => assert!(!fits(0), "{room}"),
                }
            }
        }
    }

    /// The end of a tunnel-mode plaintext, built by hand in the manner of RFC 3602 §4: the last 8 octets of 64,
    /// padding to 16, next header IPv4.
    #[test]
    fn a_known_trailer_is_written_and_read_octet_for_octet() {
        let known = [
            0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
            0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0e, 0x04,
        ];
        let mut written = [0; 24];
        written[..8].copy_from_slice(&known[..8]);
        emit_trailer(&mut written[8..], IpProtocol::IPV4).unwrap();
        assert_eq!(written, known);
        let want = Trailer { payload_len: 8, pad_len: 14, next_header: IpProtocol::IPV4 };
        assert_eq!(Trailer::parse(&known), Ok(want));
    }

    #[test]
    fn every_pad_length_is_read_back_and_no_other_length_is_a_trailer() {
        for pad in 0..=MAX_PAD {
            let mut octets = vec![0; 5 + pad + TRAILER];
            emit_trailer(&mut octets[5..], IpProtocol::IPV6).unwrap();
            let want =
                Trailer { payload_len: 5, pad_len: pad as u8, next_header: IpProtocol::IPV6 };
            assert_eq!(Trailer::parse(&octets), Ok(want));
        }
        for len in [0, 1, MAX_PAD + TRAILER + 1] {
            let mut octets = vec![7; len];
            let want = Malformed::BadLength { said: TRAILER, have: len };
            assert_eq!(emit_trailer(&mut octets, IpProtocol::IPV4), Err(want));
            assert_eq!(octets, vec![7; len], "nothing is written");
        }
    }

    #[test]
    fn padding_longer_than_the_packet_is_refused() {
        for (decrypted, want) in [
            (&[][..], Malformed::Truncated { need: 2, have: 0 }),
            (&[4], Malformed::Truncated { need: 2, have: 1 }),
            (&[1, 4], Malformed::BadPadLength { said: 1, have: 0 }),
            (&[9, 1, 2, 4, 4], Malformed::BadPadLength { said: 4, have: 3 }),
            (&[1, 2, 3, 255, 4], Malformed::BadPadLength { said: 255, have: 3 }),
        ] {
            assert_eq!(Trailer::parse(decrypted), Err(want), "{decrypted:?}");
        }
        let all_padding = Trailer { payload_len: 0, pad_len: 2, next_header: IpProtocol(59) };
        assert_eq!(Trailer::parse(&[1, 2, 2, 59]), Ok(all_padding));
    }

    #[test]
    fn each_wrong_padding_octet_is_named() {
        let mut good = [0; 255 + TRAILER];
        emit_trailer(&mut good, IpProtocol::IPV4).unwrap();
        for at in 0..255 {
            let mut octets = good;
            octets[at] ^= 0x80;
            assert_eq!(Trailer::parse(&octets), Err(Malformed::BadPadding { at }));
        }
    }
}
