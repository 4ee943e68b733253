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
pub const fn max_payload(room: usize, iv_len: usize, icv_len: usize, block: usize) -> Option<usize> {
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
    let pad = u8::try_from(padding.len()).map_err(|_| bad)?;
    for (octet, value) in padding.iter_mut().zip(1..) {
        *octet = value;
    }
    *trailer = [pad, next_header.0];
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
        let padding = rest.get(payload_len..).unwrap_or_default();
        match padding.iter().zip(1..).position(|(octet, want): (&u8, u8)| *octet != want) {
            Some(at) => Err(Malformed::BadPadding { at }),
            None => Ok(Self { payload_len, pad_len, next_header: IpProtocol(next) }),
        }
    }
}
