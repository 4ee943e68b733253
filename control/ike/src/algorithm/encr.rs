//! Encryption of IKE messages: Transform Type 1 (RFC 7296 §3.3.2, RFC 5282, RFC 5930, RFC 7634).

use wire::iana::EncryptionId;

/// Length of an AES key, without the salt that counter modes carry behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyBits {
    /// 128 bits.
    K128,
    /// 192 bits.
    K192,
    /// 256 bits.
    K256,
}

impl KeyBits {
    /// In bits, as the Key Length attribute carries it.
    pub const fn bits(self) -> u16 {
        match self {
            Self::K128 => 128,
            Self::K192 => 192,
            Self::K256 => 256,
        }
    }

    /// In octets.
    pub const fn octets(self) -> usize {
        self.bits() as usize / 8
    }
}

/// Length of an AEAD's Integrity Check Value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icv {
    /// 16 octets.
    I16,
    /// 12 octets.
    I12,
    /// 8 octets.
    I8,
}

impl Icv {
    /// In octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::I16 => 16,
            Self::I12 => 12,
            Self::I8 => 8,
        }
    }
}

/// A cipher for the Encrypted payload that this build runs. Closed: behind [`Encr::negotiate`] nobody
/// asks again whether it is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encr {
    /// ENCR_AES_CBC (RFC 3602).
    AesCbc(KeyBits),
    /// ENCR_AES_CTR (RFC 3686, RFC 5930).
    AesCtr(KeyBits),
    /// ENCR_AES_GCM_16, _12 and _8 (RFC 4106, RFC 5282).
    AesGcm(KeyBits, Icv),
    /// ENCR_AES_CCM_16, _12 and _8 (RFC 4309, RFC 5282).
    AesCcm(KeyBits, Icv),
    /// ENCR_CHACHA20_POLY1305 (RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_3DES (RFC 2451): for old peers; [legacy](Encr::legacy).
    TripleDes,
}

use Icv::{I8, I12, I16};
use KeyBits::{K128, K192, K256};

/// Every cipher with its number and its name; the best of each kind first.
const TABLE: &[(Encr, EncryptionId, &str)] = &[
    (Encr::AesGcm(K256, I16), EncryptionId::ENCR_AES_GCM_16, "ENCR_AES_GCM_16_256"),
    (Encr::AesGcm(K192, I16), EncryptionId::ENCR_AES_GCM_16, "ENCR_AES_GCM_16_192"),
    (Encr::AesGcm(K128, I16), EncryptionId::ENCR_AES_GCM_16, "ENCR_AES_GCM_16_128"),
    (Encr::ChaCha20Poly1305, EncryptionId::ENCR_CHACHA20_POLY1305, "ENCR_CHACHA20_POLY1305"),
    (Encr::AesCcm(K256, I16), EncryptionId::ENCR_AES_CCM_16, "ENCR_AES_CCM_16_256"),
    (Encr::AesCcm(K192, I16), EncryptionId::ENCR_AES_CCM_16, "ENCR_AES_CCM_16_192"),
    (Encr::AesCcm(K128, I16), EncryptionId::ENCR_AES_CCM_16, "ENCR_AES_CCM_16_128"),
    (Encr::AesGcm(K256, I12), EncryptionId::ENCR_AES_GCM_12, "ENCR_AES_GCM_12_256"),
    (Encr::AesGcm(K192, I12), EncryptionId::ENCR_AES_GCM_12, "ENCR_AES_GCM_12_192"),
    (Encr::AesGcm(K128, I12), EncryptionId::ENCR_AES_GCM_12, "ENCR_AES_GCM_12_128"),
    (Encr::AesCcm(K256, I12), EncryptionId::ENCR_AES_CCM_12, "ENCR_AES_CCM_12_256"),
    (Encr::AesCcm(K192, I12), EncryptionId::ENCR_AES_CCM_12, "ENCR_AES_CCM_12_192"),
    (Encr::AesCcm(K128, I12), EncryptionId::ENCR_AES_CCM_12, "ENCR_AES_CCM_12_128"),
    (Encr::AesGcm(K256, I8), EncryptionId::ENCR_AES_GCM_8, "ENCR_AES_GCM_8_256"),
    (Encr::AesGcm(K192, I8), EncryptionId::ENCR_AES_GCM_8, "ENCR_AES_GCM_8_192"),
    (Encr::AesGcm(K128, I8), EncryptionId::ENCR_AES_GCM_8, "ENCR_AES_GCM_8_128"),
    (Encr::AesCcm(K256, I8), EncryptionId::ENCR_AES_CCM_8, "ENCR_AES_CCM_8_256"),
    (Encr::AesCcm(K192, I8), EncryptionId::ENCR_AES_CCM_8, "ENCR_AES_CCM_8_192"),
    (Encr::AesCcm(K128, I8), EncryptionId::ENCR_AES_CCM_8, "ENCR_AES_CCM_8_128"),
    (Encr::AesCtr(K256), EncryptionId::ENCR_AES_CTR, "ENCR_AES_CTR_256"),
    (Encr::AesCtr(K192), EncryptionId::ENCR_AES_CTR, "ENCR_AES_CTR_192"),
    (Encr::AesCtr(K128), EncryptionId::ENCR_AES_CTR, "ENCR_AES_CTR_128"),
    (Encr::AesCbc(K256), EncryptionId::ENCR_AES_CBC, "ENCR_AES_CBC_256"),
    (Encr::AesCbc(K192), EncryptionId::ENCR_AES_CBC, "ENCR_AES_CBC_192"),
    (Encr::AesCbc(K128), EncryptionId::ENCR_AES_CBC, "ENCR_AES_CBC_128"),
    (Encr::TripleDes, EncryptionId::ENCR_3DES, "ENCR_3DES"),
];

impl Encr {
    /// What a transform of a proposal means to this build, if anything. `key_bits` is its Key Length
    /// attribute: needed for AES, and refused for ciphers of one length (RFC 7296 §3.3.5).
    pub fn negotiate(id: EncryptionId, key_bits: Option<u16>) -> Option<Self> {
        Self::all().find(|encr| encr.id() == id && encr.key_bits() == key_bits)
    }

    /// Every cipher of this build; the best of each kind first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(encr, ..)| *encr)
    }

    /// IANA's name with the key length behind it, as in configurations: `ENCR_AES_GCM_16_256`.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name)| name)
    }

    /// The cipher of a name (exact spelling).
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|(.., known)| *known == name).map(|(encr, ..)| *encr)
    }

    /// The transform's number.
    pub fn id(self) -> EncryptionId {
        self.row().map_or(EncryptionId(0), |(id, _)| id)
    }

    fn row(self) -> Option<(EncryptionId, &'static str)> {
        TABLE.iter().find(|(encr, ..)| *encr == self).map(|(_, id, name)| (*id, *name))
    }

    /// The Key Length attribute in bits; `None` for a cipher of one length.
    pub const fn key_bits(self) -> Option<u16> {
        match self {
            Self::AesCbc(key) | Self::AesCtr(key) | Self::AesGcm(key, _) | Self::AesCcm(key, _) => {
                Some(key.bits())
            }
            Self::ChaCha20Poly1305 | Self::TripleDes => None,
        }
    }

    /// Octets of SK_ei and SK_er: the key, and the salt behind it where there is one (RFC 5282 §7.1,
    /// RFC 5930 §2, RFC 7634 §2).
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCbc(key) => key.octets(),
            Self::AesCtr(key) | Self::AesGcm(key, _) => key.octets() + 4,
            Self::AesCcm(key, _) => key.octets() + 3,
            Self::ChaCha20Poly1305 => 32 + 4,
            Self::TripleDes => 24,
        }
    }

    /// Octets of the IV in front of the ciphertext.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AesCbc(_) => 16,
            _ => 8,
        }
    }

    /// Octets of the ICV that the cipher itself makes; 0: an [`Integ`](super::Integ) must stand beside it.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::AesGcm(_, icv) | Self::AesCcm(_, icv) => icv.octets(),
            Self::ChaCha20Poly1305 => 16,
            Self::AesCbc(_) | Self::AesCtr(_) | Self::TripleDes => 0,
        }
    }

    /// Whether it authenticates as well, so that no integrity transform is negotiated (RFC 5282 §8).
    pub const fn is_aead(self) -> bool {
        self.icv_len() != 0
    }

    /// The plaintext with its padding is a multiple of so many octets.
    pub const fn block(self) -> usize {
        match self {
            Self::AesCbc(_) => 16,
            Self::TripleDes => 8,
            _ => 1,
        }
    }

    /// Whether a connection must ask for it with `legacy: true`.
    pub const fn legacy(self) -> bool {
        matches!(self, Self::TripleDes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_what_negotiates_and_what_is_named() {
        assert_eq!(Encr::all().count(), 26);
        for encr in Encr::all() {
            assert_eq!(Encr::negotiate(encr.id(), encr.key_bits()), Some(encr));
            assert_eq!(Encr::from_name(encr.name()), Some(encr));
            let known = encr.id().name().unwrap_or("?");
            let name = encr.key_bits().map_or(known.to_owned(), |bits| format!("{known}_{bits}"));
            assert_eq!(encr.name(), name);
        }
    }

    #[test]
    fn a_key_length_is_needed_for_aes_and_refused_for_ciphers_of_one_length() {
        for (id, bits) in [
            (EncryptionId::ENCR_AES_GCM_16, None),
            (EncryptionId::ENCR_AES_GCM_16, Some(0)),
            (EncryptionId::ENCR_AES_GCM_16, Some(255)),
            (EncryptionId::ENCR_AES_CBC, Some(512)),
            (EncryptionId::ENCR_CHACHA20_POLY1305, Some(256)),
            (EncryptionId::ENCR_3DES, Some(192)),
            (EncryptionId::ENCR_NULL, None),
            (EncryptionId::ENCR_DES, None),
            (EncryptionId::ENCR_NULL_AUTH_AES_GMAC, Some(128)),
            (EncryptionId::ENCR_AES_GCM_16_IIV, Some(128)),
        ] {
            assert_eq!(Encr::negotiate(id, bits), None, "{id} {bits:?}");
        }
    }

    #[test]
    fn salts_stand_behind_the_keys_of_counter_modes() {
        for (encr, len) in [
            (Encr::AesCbc(K128), 16),
            (Encr::AesCtr(K192), 28),
            (Encr::AesGcm(K256, I16), 36),
            (Encr::AesCcm(K128, I8), 19),
            (Encr::ChaCha20Poly1305, 36),
            (Encr::TripleDes, 24),
        ] {
            assert_eq!(encr.key_len(), len, "{}", encr.name());
        }
    }
}
