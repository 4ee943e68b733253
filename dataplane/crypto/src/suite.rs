//! What this build can run, and the sizes that each choice has on the wire.
use core::fmt;
use wire::iana::{EncryptionId, IntegrityId};

use crate::layout::HEADER;

/// Length of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyBits {
    /// 128 bits.
    B128,
    /// 192 bits.
    B192,
    /// 256 bits.
    B256,
}

impl KeyBits {
    /// Octets of the key, without a salt.
    pub const fn octets(self) -> usize {
        match self {
            Self::B128 => 16,
            Self::B192 => 24,
            Self::B256 => 32,
        }
    }

    const fn negotiate(bits: u16) -> Option<Self> {
        match bits {
            128 => Some(Self::B128),
            192 => Some(Self::B192),
            256 => Some(Self::B256),
            _ => None,
        }
    }
}

/// An integrity algorithm of its own beside the cipher (not an AEAD).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// AUTH_HMAC_SHA1_96 (RFC 2404).
    HmacSha1_96,
    /// AUTH_HMAC_SHA2_256_128 (RFC 4868).
    HmacSha2_256_128,
    /// AUTH_HMAC_SHA2_384_192 (RFC 4868).
    HmacSha2_384_192,
    /// AUTH_HMAC_SHA2_512_256 (RFC 4868).
    HmacSha2_512_256,
}

impl Integrity {
    /// Octets of the ICV on the wire: the hash's output, cut short.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 => 12,
            Self::HmacSha2_256_128 => 16,
            Self::HmacSha2_384_192 => 24,
            Self::HmacSha2_512_256 => 32,
        }
    }

    /// Octets of the key: the hash's output length, neither more nor less (RFC 2404 §3, RFC 4868 §2.1.1).
    pub const fn key_len(self) -> usize {
        match self {
            Self::HmacSha1_96 => 20,
            Self::HmacSha2_256_128 => 32,
            Self::HmacSha2_384_192 => 48,
            Self::HmacSha2_512_256 => 64,
        }
    }

    fn negotiate(id: IntegrityId) -> Option<Self> {
        match id {
            IntegrityId::AUTH_HMAC_SHA1_96 => Some(Self::HmacSha1_96),
            IntegrityId::AUTH_HMAC_SHA2_256_128 => Some(Self::HmacSha2_256_128),
            IntegrityId::AUTH_HMAC_SHA2_384_192 => Some(Self::HmacSha2_384_192),
            IntegrityId::AUTH_HMAC_SHA2_512_256 => Some(Self::HmacSha2_512_256),
            _ => None,
        }
    }
}

/// A cipher with its integrity. Closed: past [`Suite::negotiate`] nobody asks "is it supported?" again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// ENCR_AES_GCM_16 (RFC 4106): a counter mode with a 16-octet ICV.
    AesGcm16(KeyBits),
    /// ENCR_AES_CBC (RFC 3602), encrypt-then-MAC.
    AesCbc(KeyBits, Integrity),
    /// ENCR_NULL (RFC 2410): integrity alone.
    Null(Integrity),
}

use Integrity::{HmacSha1_96, HmacSha2_256_128, HmacSha2_384_192, HmacSha2_512_256};
use KeyBits::{B128, B192, B256};

impl Suite {
    /// Every suite of this build.
    pub const ALL: [Self; 19] = [
        Self::AesGcm16(B128),
        Self::AesGcm16(B192),
        Self::AesGcm16(B256),
        Self::AesCbc(B128, HmacSha1_96),
        Self::AesCbc(B128, HmacSha2_256_128),
        Self::AesCbc(B128, HmacSha2_384_192),
        Self::AesCbc(B128, HmacSha2_512_256),
        Self::AesCbc(B192, HmacSha1_96),
        Self::AesCbc(B192, HmacSha2_256_128),
        Self::AesCbc(B192, HmacSha2_384_192),
        Self::AesCbc(B192, HmacSha2_512_256),
        Self::AesCbc(B256, HmacSha1_96),
        Self::AesCbc(B256, HmacSha2_256_128),
        Self::AesCbc(B256, HmacSha2_384_192),
        Self::AesCbc(B256, HmacSha2_512_256),
        Self::Null(HmacSha1_96),
        Self::Null(HmacSha2_256_128),
        Self::Null(HmacSha2_384_192),
        Self::Null(HmacSha2_512_256),
    ];

    /// From the open registries to what we can run. `key_bits` is the Key Length attribute (RFC 7296
    /// §3.3.5): required for AES, 0 for ENCR_NULL. An AEAD goes with integrity NONE (RFC 7296 §3.3.3).
    ///
    /// # Errors
    /// [`Unsupported`] names the part that this build cannot run.
    pub fn negotiate(
        encryption: EncryptionId,
        key_bits: u16,
        integrity: IntegrityId,
    ) -> Result<Self, Unsupported> {
        let bad_bits = Unsupported::KeyBits { encryption, bits: key_bits };
        let bad_integrity = Unsupported::Integrity { encryption, integrity };
        let aes = KeyBits::negotiate(key_bits).ok_or(bad_bits);
        let mac = Integrity::negotiate(integrity).ok_or(bad_integrity);
        match encryption {
            EncryptionId::ENCR_AES_GCM_16 if integrity != IntegrityId::NONE => Err(bad_integrity),
            EncryptionId::ENCR_AES_GCM_16 => Ok(Self::AesGcm16(aes?)),
            EncryptionId::ENCR_AES_CBC => Ok(Self::AesCbc(aes?, mac?)),
            EncryptionId::ENCR_NULL if key_bits != 0 => Err(bad_bits),
            EncryptionId::ENCR_NULL => Ok(Self::Null(mac?)),
            other => Err(Unsupported::Encryption(other)),
        }
    }

    /// The suite that [`Suite::name`] calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Octets of the explicit IV behind the ESP header.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AesGcm16(_) => 8,
            Self::AesCbc(..) => 16,
            Self::Null(_) => 0,
        }
    }

    /// Octets of the ICV at the packet's end.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::AesGcm16(_) => 16,
            Self::AesCbc(_, integrity) | Self::Null(integrity) => integrity.icv_len(),
        }
    }

    /// Payload and trailer together fill a multiple of this many octets: the cipher's block, and at
    /// least 4 (RFC 4303 §2.4).
    pub const fn block(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::Null(_) => 4,
            Self::AesCbc(..) => 16,
        }
    }

    /// Octets of the cipher's key, a counter mode's 4-octet salt at the end included (RFC 4106 §8.1).
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesGcm16(bits) => bits.octets() + 4,
            Self::AesCbc(bits, _) => bits.octets(),
            Self::Null(_) => 0,
        }
    }

    /// Octets of the integrity key; 0 with an AEAD.
    pub const fn integrity_key_len(self) -> usize {
        match self {
            Self::AesGcm16(_) => 0,
            Self::AesCbc(_, integrity) | Self::Null(integrity) => integrity.key_len(),
        }
    }

    /// Whether an IV used twice under one key betrays the plaintext.
    pub const fn counter_mode(self) -> bool {
        matches!(self, Self::AesGcm16(_))
    }

    /// Whether [`seal`](crate::seal) and [`open`](crate::open) can process a packet of `len` octets
    /// (ESP header to ICV, without an outer header): the header, IV and ICV have room and what is between
    /// them is whole cipher blocks. A caller that counts runts apart from forgeries asks this first.
    pub const fn accepts(self, len: usize) -> bool {
        let unit = if matches!(self, Self::AesCbc(..)) { 16 } else { 1 };
        match len.checked_sub(HEADER + self.iv_len() + self.icv_len()) {
            Some(body) => body % unit == 0,
            None => false,
        }
    }

    /// IANA's names, as they stand in a configuration: `ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesGcm16(B128) => "ENCR_AES_GCM_16_128",
            Self::AesGcm16(B192) => "ENCR_AES_GCM_16_192",
            Self::AesGcm16(B256) => "ENCR_AES_GCM_16_256",
            Self::AesCbc(B128, HmacSha1_96) => "ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96",
            Self::AesCbc(B128, HmacSha2_256_128) => "ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128",
            Self::AesCbc(B128, HmacSha2_384_192) => "ENCR_AES_CBC_128/AUTH_HMAC_SHA2_384_192",
            Self::AesCbc(B128, HmacSha2_512_256) => "ENCR_AES_CBC_128/AUTH_HMAC_SHA2_512_256",
            Self::AesCbc(B192, HmacSha1_96) => "ENCR_AES_CBC_192/AUTH_HMAC_SHA1_96",
            Self::AesCbc(B192, HmacSha2_256_128) => "ENCR_AES_CBC_192/AUTH_HMAC_SHA2_256_128",
            Self::AesCbc(B192, HmacSha2_384_192) => "ENCR_AES_CBC_192/AUTH_HMAC_SHA2_384_192",
            Self::AesCbc(B192, HmacSha2_512_256) => "ENCR_AES_CBC_192/AUTH_HMAC_SHA2_512_256",
            Self::AesCbc(B256, HmacSha1_96) => "ENCR_AES_CBC_256/AUTH_HMAC_SHA1_96",
            Self::AesCbc(B256, HmacSha2_256_128) => "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128",
            Self::AesCbc(B256, HmacSha2_384_192) => "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_384_192",
            Self::AesCbc(B256, HmacSha2_512_256) => "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_512_256",
            Self::Null(HmacSha1_96) => "ENCR_NULL/AUTH_HMAC_SHA1_96",
            Self::Null(HmacSha2_256_128) => "ENCR_NULL/AUTH_HMAC_SHA2_256_128",
            Self::Null(HmacSha2_384_192) => "ENCR_NULL/AUTH_HMAC_SHA2_384_192",
            Self::Null(HmacSha2_512_256) => "ENCR_NULL/AUTH_HMAC_SHA2_512_256",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a combination from the registries cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// No such cipher in this build.
    #[error("{0} is not supported; use ENCR_AES_GCM_16, ENCR_AES_CBC or ENCR_NULL")]
    Encryption(EncryptionId),
    /// The cipher has no key of this length.
    #[error("{encryption} has no key of {bits} bits; AES takes 128, 192 or 256, ENCR_NULL none")]
    KeyBits {
        /// The cipher asked for.
        encryption: EncryptionId,
        /// The key length asked for, in bits.
        bits: u16,
    },
    /// The integrity algorithm is unknown here, missing, or given to an AEAD that has its own.
    #[error(
        "{encryption} with integrity {integrity} is not supported; an AEAD takes NONE, any other \
         cipher AUTH_HMAC_SHA1_96, _SHA2_256_128, _SHA2_384_192 or _SHA2_512_256"
    )]
    Integrity {
        /// The cipher asked for.
        encryption: EncryptionId,
        /// The integrity algorithm asked for.
        integrity: IntegrityId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_its_own_name_and_the_name_leads_back() {
        for suite in Suite::ALL {
            assert_eq!(Suite::from_name(suite.name()), Some(suite));
        }
        assert_eq!(Suite::from_name("ENCR_AES_GCM_16"), None);
    }

    #[test]
    fn the_registries_lead_to_every_suite_and_to_nothing_else() {
        let mut found = Vec::new();
        for encryption in 0..64 {
            for bits in [0, 64, 128, 192, 256, 512, u16::MAX] {
                for integrity in 0..64 {
                    found.extend(Suite::negotiate(
                        EncryptionId(encryption),
                        bits,
                        IntegrityId(integrity),
                    ));
                }
            }
        }
        found.sort();
        assert_eq!(found, Suite::ALL);
    }

    #[test]
    fn a_refusal_names_the_part_at_fault() {
        let (gcm, cbc) = (EncryptionId::ENCR_AES_GCM_16, EncryptionId::ENCR_AES_CBC);
        let (sha1, none) = (IntegrityId::AUTH_HMAC_SHA1_96, IntegrityId::NONE);
        let null = EncryptionId::ENCR_NULL;
        for (encryption, bits, integrity, why) in [
            (gcm, 128, sha1, Unsupported::Integrity { encryption: gcm, integrity: sha1 }),
            (gcm, 0, none, Unsupported::KeyBits { encryption: gcm, bits: 0 }),
            (cbc, 128, none, Unsupported::Integrity { encryption: cbc, integrity: none }),
            (cbc, 129, sha1, Unsupported::KeyBits { encryption: cbc, bits: 129 }),
            (null, 0, none, Unsupported::Integrity { encryption: null, integrity: none }),
            (null, 128, sha1, Unsupported::KeyBits { encryption: null, bits: 128 }),
            (EncryptionId(3), 0, sha1, Unsupported::Encryption(EncryptionId(3))),
        ] {
            assert_eq!(Suite::negotiate(encryption, bits, integrity), Err(why));
        }
    }

    #[test]
    fn sizes_are_those_of_the_rfcs() {
        // (suite, IV, ICV, block, key, integrity key)
        for (suite, iv, icv, block, key, integrity) in [
            (Suite::AesGcm16(B128), 8, 16, 4, 20, 0), // RFC 4106
            (Suite::AesGcm16(B192), 8, 16, 4, 28, 0),
            (Suite::AesGcm16(B256), 8, 16, 4, 36, 0),
            (Suite::AesCbc(B128, HmacSha1_96), 16, 12, 16, 16, 20), // RFC 3602, RFC 2404
            (Suite::AesCbc(B192, HmacSha2_256_128), 16, 16, 16, 24, 32), // RFC 4868
            (Suite::AesCbc(B256, HmacSha2_384_192), 16, 24, 16, 32, 48),
            (Suite::Null(HmacSha2_512_256), 0, 32, 4, 0, 64),
        ] {
            assert_eq!((suite.iv_len(), suite.icv_len()), (iv, icv), "{suite}");
            assert_eq!((suite.block(), suite.key_len()), (block, key), "{suite}");
            assert_eq!(suite.integrity_key_len(), integrity, "{suite}");
            let least = HEADER + iv + icv;
            assert!(suite.accepts(least) && !suite.accepts(least - 1), "{suite}");
            assert!(suite.accepts(least + block), "{suite}");
            assert_eq!(suite.accepts(least + 4), block == 4, "{suite}");
        }
    }
}
