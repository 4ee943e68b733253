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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        iana::ike::{ExchangeType, NotifyType},
        ike::{Contents, Flags, Message, Notify, Payloads, sk::unpad},
    };

    const GCM: Layout = Layout { iv: 8, block: 1, icv: 16 };
    const CBC: Layout = Layout { iv: 16, block: 16, icv: 12 };

    fn header() -> Header {
        let flags = Flags { response: true, ..Flags::default() };
        Header::new((1, 2), ExchangeType::INFORMATIONAL, flags, 7)
    }

    /// Figure of RFC 7296 §3.14: an empty message under AES-CBC and HMAC-SHA1-96.
    #[rustfmt::skip]
    const EMPTY: [u8; 76] = [
        0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2,
        46, 0x20, 37, 0x20, 0, 0, 0, 7, 0, 0, 0, 76,
        0, 0, 0, 48,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn an_empty_message_is_laid_out_octet_for_octet() {
        let mut sealing = Sealing::message(&header(), PayloadType::NONE, &[], CBC).unwrap();
        assert_eq!(sealing.offsets(), (32, 48, 64));
        let parts = sealing.parts();
        assert_eq!(parts.associated, &EMPTY[..32]);
        assert_eq!((parts.iv.len(), parts.plaintext.len(), parts.icv.len()), (16, 16, 12));
        let (covered, icv) = sealing.authenticated();
        assert_eq!((covered, icv.len()), (&EMPTY[..64], 12));
        assert_eq!(sealing.finish(), EMPTY);
    }

    /// What is filled in arrives, and nothing else is touched.
    #[test]
    fn what_is_laid_out_is_read_back_whole_or_in_fragments() {
        let mut contents = Contents::new();
        contents.push(Notify::from(NotifyType::NO_ADDITIONAL_SAS));
        contents.push(Notify::from(NotifyType::INITIAL_CONTACT));
        let (first, inside) = (contents.first(), contents.finish().unwrap());
        let fragment = Fragment { number: 1, total: 2 };
        for layout in [GCM, CBC] {
            for mut sealing in [
                Sealing::message(&header(), first, &inside, layout).unwrap(),
                Sealing::fragment(&header(), first, fragment, &inside, layout).unwrap(),
            ] {
                let parts = sealing.parts();
                parts.iv.fill(0xaa);
                parts.icv.fill(0xbb);
                parts.plaintext.iter_mut().for_each(|octet| *octet ^= 0x55);
                let datagram = sealing.finish();
                let message = Message::parse(&datagram).unwrap();
                let sealed = message.sealed().unwrap();
                let parts = sealed.split(layout.iv, layout.icv).unwrap();
                assert!(parts.iv.iter().all(|octet| *octet == 0xaa));
                assert!(parts.icv.iter().all(|octet| *octet == 0xbb));
                let clear: Vec<_> = parts.ciphertext.iter().map(|octet| octet ^ 0x55).collect();
                assert!(clear.len().is_multiple_of(layout.block));
                let read = Payloads::parse_decrypted(sealed.first, unpad(&clear).unwrap()).unwrap();
                let kinds: Vec<_> = read.notifies().map(|notify| notify.kind()).collect();
                assert_eq!(kinds, [NotifyType::NO_ADDITIONAL_SAS, NotifyType::INITIAL_CONTACT]);
            }
        }
    }

    #[test]
    fn only_the_first_fragment_says_what_is_inside() {
        for number in 1..=3 {
            let fragment = Fragment { number, total: 3 };
            let first = PayloadType::ID_INITIATOR;
            let sealing = Sealing::fragment(&header(), first, fragment, &[1], GCM).unwrap();
            let datagram = sealing.finish();
            let sealed = Message::parse(&datagram).unwrap().sealed().unwrap();
            let want = if number == 1 { first } else { PayloadType::NONE };
            assert_eq!((sealed.first, sealed.fragment), (want, Some(fragment)));
            assert_eq!(sealed.associated.len(), 36);
        }
    }

    #[test]
    fn the_room_of_a_datagram_is_filled_and_not_exceeded() {
        let fragment = Fragment { number: 1, total: 1 };
        for layout in [GCM, CBC, Layout { iv: 8, block: 8, icv: 12 }, Layout { block: 0, ..GCM }] {
            for most in 0..700 {
                let whole = |room: usize| {
                    Sealing::message(&header(), PayloadType::NONE, &vec![0; room], layout).unwrap()
                };
                let piece = |room: usize| {
                    let piece = vec![0; room];
                    Sealing::fragment(&header(), PayloadType::NONE, fragment, &piece, layout)
                        .unwrap()
                };
                check_room(layout.room(most, false), most, |room| whole(room).finish().len());
                check_room(layout.room(most, true), most, |room| piece(room).finish().len());
            }
        }
    }

    fn check_room(room: Option<usize>, most: usize, length: impl Fn(usize) -> usize) {
        match room {
            Some(room) => assert!(length(room) <= most && length(room + 1) > most, "{most}"),
            None => assert!(length(0) > most, "{most}"),
        }
    }

    #[test]
    fn payloads_beyond_the_length_field_are_not_laid_out() {
        let fixed = GENERIC + GCM.iv + 1 + GCM.icv;
        for (length, fits) in [(65_535 - fixed, true), (65_536 - fixed, false), (200_000, false)] {
            let got = Sealing::message(&header(), PayloadType::NONE, &vec![0; length], GCM);
            assert_eq!(got.is_ok(), fits, "{length}");
        }
    }
}
