//! Integrity of IKE messages: Transform Type 3 (RFC 7296 §3.3.2).

use super::mac::Mac;
use crate::BadIcv;
use subtle::ConstantTimeEq;
use wire::iana::IntegrityId;

/// An integrity algorithm that this build runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integ {
    /// AUTH_HMAC_MD5_96 (RFC 2403): for old peers; [legacy](Integ::legacy).
    HmacMd5_96,
    /// AUTH_HMAC_SHA1_96 (RFC 2404).
    HmacSha1_96,
    /// AUTH_AES_XCBC_96 (RFC 3566).
    AesXcbc96,
    /// AUTH_AES_CMAC_96 (RFC 4494).
    AesCmac96,
    /// AUTH_HMAC_SHA2_256_128 (RFC 4868).
    HmacSha2_256_128,
    /// AUTH_HMAC_SHA2_384_192 (RFC 4868).
    HmacSha2_384_192,
    /// AUTH_HMAC_SHA2_512_256 (RFC 4868).
    HmacSha2_512_256,
}

/// Every algorithm with its number, its MAC, and the octets of key and ICV; the best first.
const TABLE: &[(Integ, IntegrityId, Mac, usize, usize)] = &[
    (Integ::HmacSha2_512_256, IntegrityId::AUTH_HMAC_SHA2_512_256, Mac::Sha2_512, 64, 32),
    (Integ::HmacSha2_384_192, IntegrityId::AUTH_HMAC_SHA2_384_192, Mac::Sha2_384, 48, 24),
    (Integ::HmacSha2_256_128, IntegrityId::AUTH_HMAC_SHA2_256_128, Mac::Sha2_256, 32, 16),
    (Integ::AesCmac96, IntegrityId::AUTH_AES_CMAC_96, Mac::Cmac, 16, 12),
    (Integ::AesXcbc96, IntegrityId::AUTH_AES_XCBC_96, Mac::Xcbc, 16, 12),
    (Integ::HmacSha1_96, IntegrityId::AUTH_HMAC_SHA1_96, Mac::Sha1, 20, 12),
    (Integ::HmacMd5_96, IntegrityId::AUTH_HMAC_MD5_96, Mac::Md5, 16, 12),
];

impl Integ {
    /// What a transform of a proposal means to this build, if anything. None of these has a Key Length
    /// attribute: one that is there is refused (RFC 7296 §3.3.5).
    pub fn negotiate(id: IntegrityId, key_bits: Option<u16>) -> Option<Self> {
        Self::all().find(|integ| integ.id() == id && key_bits.is_none())
    }

    /// Every algorithm of this build, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(integ, ..)| *integ)
    }

    /// IANA's name: `AUTH_HMAC_SHA2_256_128`.
    pub fn name(self) -> &'static str {
        self.id().name().unwrap_or("")
    }

    /// The algorithm of a name (exact spelling).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::negotiate(IntegrityId::by_name(name)?, None)
    }

    /// The transform's number.
    pub fn id(self) -> IntegrityId {
        self.row().0
    }

    /// Octets of SK_ai and SK_ar.
    pub fn key_len(self) -> usize {
        self.row().2
    }

    /// Octets of the Integrity Check Value.
    pub fn icv_len(self) -> usize {
        self.row().3
    }

    /// Whether a connection must ask for it with `legacy: true`.
    pub const fn legacy(self) -> bool {
        matches!(self, Self::HmacMd5_96)
    }

    fn row(self) -> (IntegrityId, Mac, usize, usize) {
        let row = TABLE.iter().find(|(integ, ..)| *integ == self);
        row.map_or((IntegrityId::NONE, Mac::Md5, 0, 0), |(_, id, mac, key, icv)| {
            (*id, *mac, *key, *icv)
        })
    }

    /// The ICV over the concatenation of `parts`.
    pub fn icv(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let (_, mac, _, icv_len) = self.row();
        let mut tag = mac.compute(key, parts);
        tag.truncate(icv_len);
        tag.to_vec()
    }

    /// Whether `icv` is the one over `parts`, in time that does not depend on where they differ.
    pub fn verify(self, key: &[u8], parts: &[&[u8]], icv: &[u8]) -> Result<(), BadIcv> {
        let same = self.icv(key, parts).ct_eq(icv);
        if bool::from(same) { Ok(()) } else { Err(BadIcv) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_what_negotiates_and_what_is_named() {
        assert_eq!(Integ::all().count(), 7);
        for integ in Integ::all() {
            assert_eq!(Integ::negotiate(integ.id(), None), Some(integ));
            assert_eq!(Integ::negotiate(integ.id(), Some(128)), None);
            assert_eq!(Integ::from_name(integ.name()), Some(integ));
        }
        assert_eq!(Integ::negotiate(IntegrityId::NONE, None), None);
        assert_eq!(Integ::from_name("NONE"), None);
    }

    #[test]
    fn an_icv_of_another_length_or_value_does_not_verify() {
        for integ in Integ::all() {
            let key = vec![7; integ.key_len()];
            let mut icv = integ.icv(&key, &[b"one", b"two"]);
            assert_eq!(icv.len(), integ.icv_len());
            assert_eq!(integ.verify(&key, &[b"onet", b"wo"], &icv), Ok(()));
            assert_eq!(integ.verify(&key, &[b"onetwo"], icv.get(1..).unwrap_or(&[])), Err(BadIcv));
            assert_eq!(integ.verify(&key, &[b"onetwo"], &[]), Err(BadIcv));
            icv[0] ^= 1;
            assert_eq!(integ.verify(&key, &[b"onetwo"], &icv), Err(BadIcv));
        }
    }
}
