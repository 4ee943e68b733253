//! Pseudo-random functions: Transform Type 2 (RFC 7296 §2.13, §3.3.2).

use super::mac::Mac;
use crate::Key;
use wire::iana::ike::PrfId;

/// A PRF that this build runs. Its [`Display`](std::fmt::Display) is IANA's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prf {
    /// PRF_HMAC_MD5 (RFC 2104): for old peers; [legacy](Prf::legacy).
    HmacMd5,
    /// PRF_HMAC_SHA1 (RFC 2104).
    HmacSha1,
    /// PRF_AES128_XCBC (RFC 4434).
    Aes128Xcbc,
    /// PRF_HMAC_SHA2_256 (RFC 4868).
    HmacSha2_256,
    /// PRF_HMAC_SHA2_384 (RFC 4868).
    HmacSha2_384,
    /// PRF_HMAC_SHA2_512 (RFC 4868).
    HmacSha2_512,
    /// PRF_AES128_CMAC (RFC 4615).
    Aes128Cmac,
}

/// Every PRF with its number and what computes it; the best first.
const TABLE: &[(Prf, PrfId, Mac)] = &[
    (Prf::HmacSha2_512, PrfId::PRF_HMAC_SHA2_512, Mac::Sha2_512),
    (Prf::HmacSha2_384, PrfId::PRF_HMAC_SHA2_384, Mac::Sha2_384),
    (Prf::HmacSha2_256, PrfId::PRF_HMAC_SHA2_256, Mac::Sha2_256),
    (Prf::Aes128Cmac, PrfId::PRF_AES128_CMAC, Mac::Cmac),
    (Prf::Aes128Xcbc, PrfId::PRF_AES128_XCBC, Mac::Xcbc),
    (Prf::HmacSha1, PrfId::PRF_HMAC_SHA1, Mac::Sha1),
    (Prf::HmacMd5, PrfId::PRF_HMAC_MD5, Mac::Md5),
];

/// What [`Prf::plus`] can give at most: its block counter is one octet (RFC 7296 §2.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prf+ gives at most 255 blocks")]
pub struct TooMuch;

impl Prf {
    /// What a transform of a proposal means to this build, if anything. None of these has a Key Length
    /// attribute: one that is there is refused (RFC 7296 §3.3.5).
    pub fn negotiate(id: PrfId, key_bits: Option<u16>) -> Option<Self> {
        Self::all().find(|prf| prf.id() == id && key_bits.is_none())
    }

    /// Every PRF of this build, the best first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(prf, ..)| *prf)
    }

    /// IANA's name: `PRF_HMAC_SHA2_384`.
    pub fn name(self) -> &'static str {
        self.id().name().unwrap_or("")
    }

    /// The PRF of a name (exact spelling).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::negotiate(PrfId::by_name(name)?, None)
    }

    /// The transform's number.
    pub fn id(self) -> PrfId {
        self.row().0
    }

    /// Octets of its output, which is also the preferred length of its key: that of SK_d, SK_pi and SK_pr
    /// (RFC 7296 §2.14).
    pub fn output_len(self) -> usize {
        self.row().1.output_len()
    }

    /// Whether a connection must ask for it with `legacy: true`.
    pub const fn legacy(self) -> bool {
        matches!(self, Self::HmacMd5)
    }

    /// Whether SKEYSEED is made from the first 8 octets of each nonce only (RFC 7296 §2.14).
    pub const fn takes_half_nonces(self) -> bool {
        matches!(self, Self::Aes128Xcbc | Self::Aes128Cmac)
    }

    fn row(self) -> (PrfId, Mac) {
        let row = TABLE.iter().find(|(prf, ..)| *prf == self);
        row.map_or((PrfId::PRF_HMAC_MD5, Mac::Md5), |(_, id, mac)| (*id, *mac))
    }

    /// prf(key, parts): over the concatenation of `parts`, with a key of any length.
    pub fn compute(self, key: &[u8], parts: &[&[u8]]) -> Key {
        self.row().1.compute(key, parts).into()
    }

    /// prf+(key, parts), its first `len` octets (RFC 7296 §2.13): blocks over what came before, the parts
    /// and a counter.
    pub fn plus(self, key: &[u8], parts: &[&[u8]], len: usize) -> Result<Key, TooMuch> {
        // room for all of it from the start: a vector that grows leaves what it held behind
        let mut out = Vec::with_capacity(len.next_multiple_of(self.output_len()));
        let mut block = Key::default();
        for counter in 1..=u8::MAX {
            if out.len() >= len {
                break;
            }
            let counter = [counter];
            let mut message = vec![block.expose()];
            message.extend_from_slice(parts);
            message.push(&counter);
            block = self.compute(key, &message);
            out.extend_from_slice(block.expose());
        }
        let mut out = zeroize::Zeroizing::new(out);
        if out.len() < len {
            return Err(TooMuch);
        }
        out.truncate(len);
        Ok(out.into())
    }
}

impl std::fmt::Display for Prf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_what_negotiates_and_what_is_named() {
        assert_eq!(Prf::all().count(), 7);
        for prf in Prf::all() {
            assert_eq!(Prf::negotiate(prf.id(), None), Some(prf));
            assert_eq!(Prf::negotiate(prf.id(), Some(128)), None);
            assert_eq!(Prf::from_name(prf.name()), Some(prf));
            assert_eq!(prf.compute(b"key", &[]).len(), prf.output_len());
        }
        assert_eq!(Prf::negotiate(PrfId(3), None), None);
    }

    #[test]
    fn prf_plus_ends_after_255_blocks() {
        for prf in Prf::all() {
            let most = 255 * prf.output_len();
            assert_eq!(prf.plus(b"key", &[b"seed"], most).map(|key| key.len()), Ok(most));
            assert_eq!(prf.plus(b"key", &[b"seed"], most + 1), Err(TooMuch));
            assert_eq!(prf.plus(b"key", &[b"seed"], 0).map(|key| key.len()), Ok(0));
        }
    }

    #[test]
    fn a_shorter_prf_plus_is_the_start_of_a_longer_one() {
        let long = Prf::HmacSha1.plus(b"key", &[b"se", b"ed"], 100).unwrap();
        for len in 0..100 {
            let short = Prf::HmacSha1.plus(b"key", &[b"seed"], len).unwrap();
            assert_eq!(short.expose(), &long.expose()[..len]);
        }
    }
}
