//! The Encrypted payload (RFC 7296 §3.14, RFC 5282): messages sealed and opened with the keys of an IKE SA.
//!
//! Whatever is wrong with a message, opening says one thing, [`BadIcv`]; nothing is decrypted before its
//! ICV has been found right (but for CCM, whose ICV is over the plaintext), and ICVs are compared in
//! constant time.

mod cipher;

use crate::algorithm::{Encr, Integ, Suite};
use crate::derive::Keys;
use crate::{BadIcv, Key, Random};
use cipher::Cipher;
use wire::iana::ike::PayloadType;
use wire::ike::{Fragment, Header, Layout, Sealed, Sealing, TooLong, sk};
use zeroize::Zeroizing;

/// The longest message that is sealed, in octets: what fits a datagram.
const LONGEST: usize = u16::MAX as usize;

/// The payloads of a message that was found authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The first payload's type; [`PayloadType::NONE`] when there are none.
    pub first: PayloadType,
    /// The chain of payloads, to be parsed.
    pub payloads: Key,
}

/// A message that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// It is too long, even in fragments.
    #[error("the payloads do not fit, even in fragments")]
    TooLong,
    /// The key has run out of IVs, or is none of the cipher's.
    #[error("the key cannot seal any more")]
    Exhausted,
}

impl From<TooLong> for Unsealable {
    fn from(TooLong: TooLong) -> Self {
        Self::TooLong
    }
}

/// Both directions of an IKE SA; `initiator`: whether we are its original initiator (RFC 7296 §2.14).
pub fn pair(suite: &Suite, keys: &Keys, initiator: bool) -> (Sealer, Opener) {
    let of = |encr: &Key, integ: &Key| Protection {
        encr: suite.encr(),
        integ: suite.integ(),
        encr_key: encr.clone(),
        integ_key: integ.clone(),
    };
    let (i, r) = (of(&keys.ei, &keys.ai), of(&keys.er, &keys.ar));
    let (ours, theirs) = if initiator { (i, r) } else { (r, i) };
    (Sealer { protection: ours, sealed: 0 }, Opener { protection: theirs })
}

/// Cipher, integrity and their keys of one direction.
#[derive(Debug)]
struct Protection {
    encr: Encr,
    integ: Option<Integ>,
    encr_key: Key,
    integ_key: Key,
}

impl Protection {
    fn layout(&self) -> Layout {
        let icv = self.integ.map_or(self.encr.icv_len(), Integ::icv_len);
        Layout { iv: self.encr.iv_len(), block: self.encr.block(), icv }
    }

    fn cipher(&self) -> Option<Cipher<'_>> {
        Cipher::new(self.encr, self.encr_key.expose())
    }
}

/// Seals what we send. There is one for each set of keys, and it is not cloned: it counts the IVs.
#[derive(Debug)]
pub struct Sealer {
    protection: Protection,
    /// Messages and fragments so far: the IV of the next one, in counter modes.
    sealed: u64,
}

impl Sealer {
    /// A whole message: `header` (whose next payload and length are filled in here), and `payloads`, of
    /// which the first is a `first`, in an Encrypted payload.
    ///
    /// # Errors
    /// [`Unsealable::TooLong`]; nothing else that can happen.
    pub fn seal(
        &mut self,
        random: &mut dyn Random,
        header: &Header,
        first: PayloadType,
        payloads: &[u8],
    ) -> Result<Vec<u8>, Unsealable> {
        let laid_out = Sealing::message(header, first, payloads, self.protection.layout())?;
        self.fill(random, laid_out)
    }

    /// One message when it has at most `most` octets, otherwise fragments of at most so many
    /// (RFC 7383 §2.5). `most` counts from the IKE header: without IP, UDP and non-ESP marker.
    ///
    /// # Errors
    /// [`Unsealable::TooLong`] when 65535 fragments are too few, or `most` has no room for any.
    pub fn seal_within(
        &mut self,
        random: &mut dyn Random,
        header: &Header,
        first: PayloadType,
        payloads: &[u8],
        most: usize,
    ) -> Result<Vec<Vec<u8>>, Unsealable> {
        let (layout, most) = (self.protection.layout(), most.min(LONGEST));
        if layout.room(most, false).is_some_and(|room| payloads.len() <= room) {
            return Ok(vec![self.seal(random, header, first, payloads)?]);
        }
        let room = layout.room(most, true).filter(|room| *room > 0).ok_or(TooLong)?;
        let total = u16::try_from(payloads.len().div_ceil(room)).map_err(|_| TooLong)?;
        let mut fragments = Vec::with_capacity(total.into());
        for (number, piece) in (1..=total).zip(payloads.chunks(room)) {
            let fragment = Fragment { number, total };
            let laid_out = Sealing::fragment(header, first, fragment, piece, layout)?;
            fragments.push(self.fill(random, laid_out)?);
        }
        Ok(fragments)
    }

    /// Encrypts what is laid out, and puts the ICV behind it.
    fn fill(
        &mut self,
        random: &mut dyn Random,
        mut laid_out: Sealing,
    ) -> Result<Vec<u8>, Unsealable> {
        let number = self.sealed;
        self.sealed = number.checked_add(1).ok_or(Unsealable::Exhausted)?;
        let cipher = self.protection.cipher().ok_or(Unsealable::Exhausted)?;
        let parts = laid_out.parts();
        self.protection.encr.fill_iv(random, number, parts.iv);
        let tag = cipher.seal(parts.iv, parts.associated, parts.plaintext);
        let tag = tag.ok_or(Unsealable::Exhausted)?;
        let (covered, icv) = laid_out.authenticated();
        let tag = match self.protection.integ {
            Some(integ) => integ.icv(self.protection.integ_key.expose(), &[covered]),
            None => tag,
        };
        icv.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        Ok(laid_out.finish())
    }
}

impl Encr {
    /// CBC: octets that nobody can foresee (RFC 7296 §3.14); other modes: a number never used before with
    /// this key (RFC 5282 §3.1, RFC 5930 §2, RFC 7634 §2).
    fn fill_iv(self, random: &mut dyn Random, number: u64, iv: &mut [u8]) {
        match iv.as_mut_array() {
            Some(iv) if self.block() == 1 => *iv = number.to_be_bytes(),
            _ => random.fill(iv),
        }
    }
}

/// Opens what the peer sends. Looks and changes nothing: a forged message cannot do harm.
#[derive(Debug)]
pub struct Opener {
    protection: Protection,
}

impl Opener {
    /// The payloads of a message, or of one fragment of it:
    /// [`Reassembly`](crate::fragment::Reassembly) takes messages in any number of pieces.
    ///
    /// # Errors
    /// [`BadIcv`], whatever is wrong.
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<Opened, BadIcv> {
        let (protection, layout) = (&self.protection, self.protection.layout());
        let parts = sealed.split(layout.iv, layout.icv).map_err(|_| BadIcv)?;
        if let Some(integ) = protection.integ {
            let key = protection.integ_key.expose();
            integ.verify(key, &[parts.authenticated], parts.icv)?;
        }
        let mut text = Zeroizing::new(parts.ciphertext.to_vec());
        let cipher = protection.cipher().ok_or(BadIcv)?;
        cipher.open(parts.iv, sealed.associated, &mut text, parts.icv).ok_or(BadIcv)?;
        let length = sk::unpad(&text).map_err(|_| BadIcv)?.len();
        text.truncate(length);
        Ok(Opened { first: sealed.first, payloads: text.into() })
    }
}
