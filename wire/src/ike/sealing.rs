//! The layout of a message whose payloads are encrypted, so that it can be encrypted where it lies
//! (RFC 7296 §3.14, RFC 7383 §2.5).

use alloc::vec::Vec;

use super::{Fragment, GENERIC, HEADER, Header, Out, TooLong, skf::FRAGMENT};
use crate::iana::ike::PayloadType;

/// The lengths that an SA's algorithms ask for, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The initialisation vector.
    pub iv: usize,
    /// Payloads, padding and pad length are a multiple of it; 1 asks for no padding.
    pub block: usize,
    /// The integrity check value.
    pub icv: usize,
}

impl Layout {
    /// How many octets of padding follow `payloads` octets of payloads.
    pub const fn pad_len(&self, payloads: usize) -> usize {
        let block = if self.block == 0 { 1 } else { self.block };
        (block - (payloads + 1) % block) % block
    }

    /// How many octets of payloads fit a datagram of `most` octets, whole or as a fragment; `None` when not
    /// even none do.
    pub const fn room(&self, most: usize, fragment: bool) -> Option<usize> {
        let block = if self.block == 0 { 1 } else { self.block };
        let fixed = HEADER + GENERIC + if fragment { FRAGMENT } else { 0 } + self.iv + self.icv;
        match most.checked_sub(fixed) {
            Some(rest) => (rest - rest % block).checked_sub(1),
            None => None,
        }
    }
}

/// A message that holds its payloads in the clear, with room for IV and ICV. [`parts`](Self::parts) are
/// to be filled in and encrypted, before [`finish`](Self::finish) makes it a datagram.
#[derive(Debug)]
pub struct Sealing {
    octets: Vec<u8>,
    iv: usize,
    plaintext: usize,
    icv: usize,
}

/// Where everything lies in a [`Sealing`].
#[derive(Debug)]
pub struct Parts<'a> {
    /// Everything in front of the IV: what an AEAD covers besides (RFC 5282 §5.1).
    pub associated: &'a [u8],
    /// To be filled in; zeros.
    pub iv: &'a mut [u8],
    /// Payloads, padding (zeros) and pad length: to be encrypted in place.
    pub plaintext: &'a mut [u8],
    /// To be filled in; zeros.
    pub icv: &'a mut [u8],
}

impl Sealing {
    /// Lays out a whole message around `payloads`, of which the first is a `first`.
    ///
    /// # Errors
    /// [`TooLong`] when that does not fit a payload.
    pub fn message(
        header: &Header,
        first: PayloadType,
        payloads: &[u8],
        layout: Layout,
    ) -> Result<Self, TooLong> {
        Self::new(header, (PayloadType::SK, first, &[]), payloads, layout)
    }

    /// Lays out one fragment around a `piece` of the payloads. `first` is what the first payload of the
    /// whole is; only the first fragment says it (RFC 7383 §2.5).
    ///
    /// # Errors
    /// [`TooLong`] when that does not fit a payload.
    pub fn fragment(
        header: &Header,
        first: PayloadType,
        fragment: Fragment,
        piece: &[u8],
        layout: Layout,
    ) -> Result<Self, TooLong> {
        let first = if fragment.number == 1 { first } else { PayloadType::NONE };
        Self::new(header, (PayloadType::SKF, first, &fragment.octets()), piece, layout)
    }

    fn new(
        header: &Header,
        (kind, first, fragment): (PayloadType, PayloadType, &[u8]),
        payloads: &[u8],
        layout: Layout,
    ) -> Result<Self, TooLong> {
        let mut out = Out::default();
        out.put(&[0; HEADER]);
        out.put(&[first.0, 0, 0, 0]);
        out.put(fragment);
        let iv = out.position();
        out.put_zeros(layout.iv);
        let plaintext = out.position();
        out.put(payloads);
        let pad = layout.pad_len(payloads.len());
        out.put_zeros(pad);
        out.put_count(pad);
        let icv = out.position();
        out.put_zeros(layout.icv);
        out.patch_length(HEADER + 2, HEADER);
        let length = u32::try_from(out.position()).map_err(|_| TooLong)?;
        out.patch(0, &Header { next_payload: kind, length, ..*header }.emit());
        Ok(Self { octets: out.finish()?, iv, plaintext, icv })
    }

    /// The parts, apart from each other.
    pub fn parts(&mut self) -> Parts<'_> {
        // The offsets were measured on these octets, so no part is lost to a default.
        let (rest, icv) = self.octets.split_at_mut_checked(self.icv).unwrap_or_default();
        let (rest, plaintext) = rest.split_at_mut_checked(self.plaintext).unwrap_or_default();
        let (associated, iv) = rest.split_at_mut_checked(self.iv).unwrap_or_default();
        Parts { associated, iv, plaintext, icv }
    }
    /// Everything in front of the ICV, and the ICV to be filled in: for an integrity algorithm of its own,
    /// after the encryption (RFC 7296 §3.14).
    pub fn authenticated(&mut self) -> (&[u8], &mut [u8]) {
        let (covered, icv) = self.octets.split_at_mut_checked(self.icv).unwrap_or_default();
        (covered, icv)
    }
    /// The offsets of IV, plaintext and ICV.
    pub const fn offsets(&self) -> (usize, usize, usize) {
        (self.iv, self.plaintext, self.icv)
    }
    /// The datagram, without a non-ESP marker. It is encrypted only if that was done.
    pub fn finish(self) -> Vec<u8> {
        self.octets
    }
}
