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
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::B128, Self::B192, Self::B256];

    /// Octets of the key, without a salt.
    pub const fn octets(self) -> usize {
        match self {
            Self::B128 => 16,
            Self::B192 => 24,
            Self::B256 => 32,
        }
    }

    const fn bits(self) -> u16 {
        match self {
            Self::B128 => 128,
            Self::B192 => 192,
            Self::B256 => 256,
        }
    }

    fn negotiate(bits: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.bits() == bits)
    }
}

/// Length of an AEAD's ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Icv {
    /// 16 octets: the whole tag.
    I16,
    /// 12 octets.
    I12,
    /// 8 octets.
    I8,
}

impl Icv {
    /// All of them, longest first.
    pub const ALL: [Self; 3] = [Self::I16, Self::I12, Self::I8];

    /// Octets of the ICV.
    pub const fn octets(self) -> usize {
        match self {
            Self::I16 => 16,
            Self::I12 => 12,
            Self::I8 => 8,
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
    /// AUTH_HMAC_MD5_96 (RFC 2403): for old peers; [legacy](Integrity::legacy).
    HmacMd5_96,
    /// AUTH_AES_XCBC_96 (RFC 3566).
    AesXcbc96,
    /// AUTH_AES_CMAC_96 (RFC 4494).
    AesCmac96,
    /// AUTH_KPDK_MD5: MD5 of key, packet and key again (RFC 1828); [legacy](Integrity::legacy). It was
    /// defined for AH alone, so here it goes with AH and with ENCR_NULL, never behind a cipher.
    KeyedMd5,
}

impl Integrity {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::HmacSha1_96,
        Self::HmacSha2_256_128,
        Self::HmacSha2_384_192,
        Self::HmacSha2_512_256,
        Self::HmacMd5_96,
        Self::AesXcbc96,
        Self::AesCmac96,
        Self::KeyedMd5,
    ];

    /// Octets of the ICV on the wire: the algorithm's output, cut short but for keyed MD5.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 | Self::HmacMd5_96 | Self::AesXcbc96 | Self::AesCmac96 => 12,
            Self::HmacSha2_256_128 | Self::KeyedMd5 => 16,
            Self::HmacSha2_384_192 => 24,
            Self::HmacSha2_512_256 => 32,
        }
    }

    /// Octets of the key, neither more nor less: the hash's output length (RFC 2403 §2, RFC 2404 §3, RFC 4868
    /// §2.1.1), or AES-128's (RFC 3566 §4, RFC 4494 §2). RFC 1828 leaves its key's length open; it is 128 bits
    /// here, as its §1 asks of every implementation.
    pub const fn key_len(self) -> usize {
        match self {
            Self::HmacMd5_96 | Self::AesXcbc96 | Self::AesCmac96 | Self::KeyedMd5 => 16,
            Self::HmacSha1_96 => 20,
            Self::HmacSha2_256_128 => 32,
            Self::HmacSha2_384_192 => 48,
            Self::HmacSha2_512_256 => 64,
        }
    }

    /// Whether it serves old peers only, and runs only where the configuration says so.
    pub const fn legacy(self) -> bool {
        matches!(self, Self::HmacMd5_96 | Self::KeyedMd5)
    }

    /// IANA's Transform Type 3.
    pub const fn id(self) -> IntegrityId {
        match self {
            Self::HmacSha1_96 => IntegrityId::AUTH_HMAC_SHA1_96,
            Self::HmacSha2_256_128 => IntegrityId::AUTH_HMAC_SHA2_256_128,
            Self::HmacSha2_384_192 => IntegrityId::AUTH_HMAC_SHA2_384_192,
            Self::HmacSha2_512_256 => IntegrityId::AUTH_HMAC_SHA2_512_256,
            Self::HmacMd5_96 => IntegrityId::AUTH_HMAC_MD5_96,
            Self::AesXcbc96 => IntegrityId::AUTH_AES_XCBC_96,
            Self::AesCmac96 => IntegrityId::AUTH_AES_CMAC_96,
            Self::KeyedMd5 => IntegrityId::AUTH_KPDK_MD5,
        }
    }

    /// The algorithm with this number.
    pub fn negotiate(id: IntegrityId) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.id() == id)
    }
}

/// A block cipher of 64 bits in CBC mode with an explicit IV (RFC 2405, RFC 2451): for old peers. A key whose
/// length is free says it in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Legacy {
    /// ENCR_DES (RFC 2405).
    Des,
    /// ENCR_3DES (RFC 2451): three keys, encrypt-decrypt-encrypt.
    TripleDes,
    /// ENCR_CAST: CAST-128 (RFC 2144), 5 to 16 octets of key.
    Cast128(u8),
    /// ENCR_BLOWFISH, 5 to 56 octets of key.
    Blowfish(u8),
    /// ENCR_RC5: RC5-32/16 (RFC 2040), 5 to 255 octets of key.
    Rc5(u8),
    /// ENCR_IDEA.
    Idea,
    /// ENCR_3IDEA: three IDEA keys, encrypt-decrypt-encrypt. IANA has the number; no RFC says more.
    TripleIdea,
}

impl Legacy {
    /// Each of them, with the shortest, the usual and the longest key where its length is free.
    const SOME: [Self; 13] = [
        Self::Des,
        Self::TripleDes,
        Self::Cast128(5),
        Self::Cast128(10),
        Self::Cast128(16),
        Self::Blowfish(5),
        Self::Blowfish(16),
        Self::Blowfish(56),
        Self::Rc5(5),
        Self::Rc5(16),
        Self::Rc5(255),
        Self::Idea,
        Self::TripleIdea,
    ];

    /// `None`: no such cipher. `Some(None)`: it has no key of so many bits.
    fn negotiate(encryption: EncryptionId, bits: u16) -> Option<Option<Self>> {
        let octets = || u8::try_from(bits / 8).ok().filter(|_| bits.is_multiple_of(8));
        let free = |least, most| octets().filter(|octets| (least..=most).contains(octets));
        let fixed = |cipher| (bits == 0).then_some(cipher);
        Some(match encryption {
            EncryptionId::ENCR_DES => fixed(Self::Des),
            EncryptionId::ENCR_3DES => fixed(Self::TripleDes),
            EncryptionId::ENCR_CAST => free(5, 16).map(Self::Cast128),
            EncryptionId::ENCR_BLOWFISH => free(5, 56).map(Self::Blowfish),
            EncryptionId::ENCR_RC5 => free(5, 255).map(Self::Rc5),
            EncryptionId::ENCR_IDEA => fixed(Self::Idea),
            EncryptionId::ENCR_3IDEA => fixed(Self::TripleIdea),
            _ => return None,
        })
    }

    /// Octets of the key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::TripleDes => 24,
            Self::Idea => 16,
            Self::TripleIdea => 48,
            Self::Cast128(octets) | Self::Blowfish(octets) | Self::Rc5(octets) => octets as usize,
        }
    }

    /// Below 2¹².
    const fn code(self) -> u32 {
        (self.id().0 as u32) << 8 | self.key_len() as u32 & 0xff
    }

    const fn id(self) -> EncryptionId {
        match self {
            Self::Des => EncryptionId::ENCR_DES,
            Self::TripleDes => EncryptionId::ENCR_3DES,
            Self::Cast128(_) => EncryptionId::ENCR_CAST,
            Self::Blowfish(_) => EncryptionId::ENCR_BLOWFISH,
            Self::Rc5(_) => EncryptionId::ENCR_RC5,
            Self::Idea => EncryptionId::ENCR_IDEA,
            Self::TripleIdea => EncryptionId::ENCR_3IDEA,
        }
    }

    /// The Key Length attribute; 0 where the key has but one length.
    const fn key_bits(self) -> u16 {
        match self {
            Self::Cast128(octets) | Self::Blowfish(octets) | Self::Rc5(octets) => octets as u16 * 8,
            Self::Des | Self::TripleDes | Self::Idea | Self::TripleIdea => 0,
        }
    }
}

/// A cipher that still waits for its integrity.
enum Cipher {
    Ctr(KeyBits),
    Cbc(KeyBits),
    Null,
    Legacy(Legacy),
}

impl Cipher {
    /// `None`: none has this number. `Some(None)`: it has no such key.
    fn negotiate(encryption: EncryptionId, bits: u16) -> Option<Option<Self>> {
        let aes = KeyBits::negotiate(bits);
        Some(match encryption {
            EncryptionId::ENCR_AES_CTR => aes.map(Self::Ctr),
            EncryptionId::ENCR_AES_CBC => aes.map(Self::Cbc),
            EncryptionId::ENCR_NULL => (bits == 0).then_some(Self::Null),
            legacy => Legacy::negotiate(legacy, bits)?.map(Self::Legacy),
        })
    }
}

/// A cipher with its integrity. Closed: past [`Suite::negotiate`] nobody asks "is it supported?" again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// ENCR_AES_GCM_16, _12, _8 (RFC 4106): an AEAD in counter mode.
    AesGcm(KeyBits, Icv),
    /// ENCR_NULL_AUTH_AES_GMAC (RFC 4543): GCM's integrity alone; the payload travels in the clear.
    AesGmac(KeyBits),
    /// ENCR_AES_CCM_16, _12, _8 (RFC 4309): an AEAD in counter mode.
    AesCcm(KeyBits, Icv),
    /// ENCR_CHACHA20_POLY1305 (RFC 7634): an AEAD in counter mode.
    ChaCha20Poly1305,
    /// ENCR_AES_CTR (RFC 3686), encrypt-then-MAC.
    AesCtr(KeyBits, Integrity),
    /// ENCR_AES_CBC (RFC 3602), encrypt-then-MAC.
    AesCbc(KeyBits, Integrity),
    /// ENCR_NULL (RFC 2410): integrity alone.
    Null(Integrity),
    /// A cipher of old in CBC mode, encrypt-then-MAC.
    Legacy(Legacy, Integrity),
}

impl Suite {
    /// Every suite of this build; of a legacy cipher whose key length is free the shortest, the usual and
    /// the longest.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let bits = || KeyBits::ALL.into_iter();
        let icvs = |bits| Icv::ALL.into_iter().map(move |icv| (bits, icv));
        let macs = || Integrity::ALL.into_iter();
        let behind = move || macs().filter(|mac| *mac != Integrity::KeyedMd5);
        let sized = move || bits().flat_map(move |bits| behind().map(move |mac| (bits, mac)));
        let legacy = move |cipher| behind().map(move |mac| Self::Legacy(cipher, mac));
        let gcm = bits().flat_map(icvs).map(|(bits, icv)| Self::AesGcm(bits, icv));
        let ccm = bits().flat_map(icvs).map(|(bits, icv)| Self::AesCcm(bits, icv));
        gcm.chain(bits().map(Self::AesGmac))
            .chain(ccm)
            .chain([Self::ChaCha20Poly1305])
            .chain(sized().map(|(bits, mac)| Self::AesCtr(bits, mac)))
            .chain(sized().map(|(bits, mac)| Self::AesCbc(bits, mac)))
            .chain(macs().map(Self::Null))
            .chain(Legacy::SOME.into_iter().flat_map(legacy))
    }

    /// From the open registries to what we can run. `key_bits` is the Key Length attribute (RFC 7296
    /// §3.3.5): required where the cipher's key has several lengths, 0 where it has one or none. An AEAD
    /// goes with integrity NONE (RFC 7296 §3.3.3).
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
        if let Some(aead) = Self::aead(encryption, key_bits) {
            let alone = integrity == IntegrityId::NONE;
            return if alone { aead.ok_or(bad_bits) } else { Err(bad_integrity) };
        }
        let cipher = Cipher::negotiate(encryption, key_bits)
            .ok_or(Unsupported::Encryption(encryption))?
            .ok_or(bad_bits)?;
        let fits = |mac: &Integrity| *mac != Integrity::KeyedMd5 || matches!(cipher, Cipher::Null);
        let mac = Integrity::negotiate(integrity).filter(fits).ok_or(bad_integrity)?;
        Ok(match cipher {
            Cipher::Ctr(bits) => Self::AesCtr(bits, mac),
            Cipher::Cbc(bits) => Self::AesCbc(bits, mac),
            Cipher::Null => Self::Null(mac),
            Cipher::Legacy(cipher) => Self::Legacy(cipher, mac),
        })
    }

    /// `None`: no AEAD has this number. `Some(None)`: it has no such key.
    fn aead(encryption: EncryptionId, bits: u16) -> Option<Option<Self>> {
        let aes = KeyBits::negotiate(bits);
        let gcm = |icv| aes.map(|bits| Self::AesGcm(bits, icv));
        let ccm = |icv| aes.map(|bits| Self::AesCcm(bits, icv));
        Some(match encryption {
            EncryptionId::ENCR_AES_GCM_16 => gcm(Icv::I16),
            EncryptionId::ENCR_AES_GCM_12 => gcm(Icv::I12),
            EncryptionId::ENCR_AES_GCM_8 => gcm(Icv::I8),
            EncryptionId::ENCR_NULL_AUTH_AES_GMAC => aes.map(Self::AesGmac),
            EncryptionId::ENCR_AES_CCM_16 => ccm(Icv::I16),
            EncryptionId::ENCR_AES_CCM_12 => ccm(Icv::I12),
            EncryptionId::ENCR_AES_CCM_8 => ccm(Icv::I8),
            EncryptionId::ENCR_CHACHA20_POLY1305 => (bits == 0).then_some(Self::ChaCha20Poly1305),
            _ => return None,
        })
    }

    /// The numbers that [`Suite::negotiate`] makes this of: Transform Type 1, Key Length attribute, Transform
    /// Type 3.
    pub const fn registered(self) -> (EncryptionId, u16, IntegrityId) {
        let bits = match self {
            Self::AesGcm(bits, _) | Self::AesGmac(bits) | Self::AesCcm(bits, _) => bits.bits(),
            Self::AesCtr(bits, _) | Self::AesCbc(bits, _) => bits.bits(),
            Self::Legacy(cipher, _) => cipher.key_bits(),
            Self::ChaCha20Poly1305 | Self::Null(_) => 0,
        };
        let integrity = match self.integrity() {
            Some(integrity) => integrity.id(),
            None => IntegrityId::NONE,
        };
        (self.encryption(), bits, integrity)
    }

    const fn encryption(self) -> EncryptionId {
        match self {
            Self::AesGcm(_, Icv::I16) => EncryptionId::ENCR_AES_GCM_16,
            Self::AesGcm(_, Icv::I12) => EncryptionId::ENCR_AES_GCM_12,
            Self::AesGcm(_, Icv::I8) => EncryptionId::ENCR_AES_GCM_8,
            Self::AesGmac(_) => EncryptionId::ENCR_NULL_AUTH_AES_GMAC,
            Self::AesCcm(_, Icv::I16) => EncryptionId::ENCR_AES_CCM_16,
            Self::AesCcm(_, Icv::I12) => EncryptionId::ENCR_AES_CCM_12,
            Self::AesCcm(_, Icv::I8) => EncryptionId::ENCR_AES_CCM_8,
            Self::ChaCha20Poly1305 => EncryptionId::ENCR_CHACHA20_POLY1305,
            Self::AesCtr(..) => EncryptionId::ENCR_AES_CTR,
            Self::AesCbc(..) => EncryptionId::ENCR_AES_CBC,
            Self::Null(_) => EncryptionId::ENCR_NULL,
            Self::Legacy(cipher, _) => cipher.id(),
        }
    }

    /// The integrity algorithm beside the cipher; `None` with an AEAD.
    pub const fn integrity(self) -> Option<Integrity> {
        match self {
            Self::AesGcm(..) | Self::AesGmac(_) | Self::AesCcm(..) | Self::ChaCha20Poly1305 => None,
            Self::AesCtr(_, integrity)
            | Self::AesCbc(_, integrity)
            | Self::Null(integrity)
            | Self::Legacy(_, integrity) => Some(integrity),
        }
    }

    /// The suite that [`Suite::name`] calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        let (cipher, integrity) = match name.split_once('/') {
            Some((cipher, integrity)) => (cipher, IntegrityId::by_name(integrity)?),
            None => (name, IntegrityId::NONE),
        };
        let (encryption, bits) = match EncryptionId::by_name(cipher) {
            Some(encryption) => (encryption, 0),
            None => {
                let (cipher, bits) = cipher.rsplit_once('_')?;
                (EncryptionId::by_name(cipher)?, bits.parse().ok()?)
            }
        };
        // `ENCR_AES_CBC_0256` reads as a number, but is nobody's name
        Self::negotiate(encryption, bits, integrity).ok().filter(|suite| suite.name() == name)
    }

    /// Octets of the explicit IV behind the ESP header.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AesGcm(..) | Self::AesGmac(_) | Self::AesCcm(..) => 8,
            Self::ChaCha20Poly1305 | Self::AesCtr(..) | Self::Legacy(..) => 8,
            Self::AesCbc(..) => 16,
            Self::Null(_) => 0,
        }
    }

    /// Octets of the ICV at the packet's end.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::AesGcm(_, icv) | Self::AesCcm(_, icv) => icv.octets(),
            Self::AesGmac(_) | Self::ChaCha20Poly1305 => 16,
            Self::AesCtr(_, integrity)
            | Self::AesCbc(_, integrity)
            | Self::Null(integrity)
            | Self::Legacy(_, integrity) => integrity.icv_len(),
        }
    }

    /// Payload and trailer together fill a multiple of this many octets: the cipher's block, and at
    /// least 4 (RFC 4303 §2.4).
    pub const fn block(self) -> usize {
        match self.unit() {
            1 => 4,
            block => block,
        }
    }

    /// The cipher works on multiples of this many octets.
    pub(crate) const fn unit(self) -> usize {
        match self {
            Self::AesCbc(..) => 16,
            Self::Legacy(..) => 8,
            _ => 1,
        }
    }

    /// Octets of the cipher's key, a counter mode's salt at the end included: 4 octets (RFC 4106 §8.1, RFC 4543
    /// §5.2, RFC 3686 §5.1, RFC 7634 §2), or 3 (RFC 4309 §7.1).
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesGcm(bits, _) | Self::AesGmac(bits) | Self::AesCtr(bits, _) => {
                bits.octets() + 4
            }
            Self::AesCcm(bits, _) => bits.octets() + 3,
            Self::ChaCha20Poly1305 => 36,
            Self::AesCbc(bits, _) => bits.octets(),
            Self::Null(_) => 0,
            Self::Legacy(cipher, _) => cipher.key_len(),
        }
    }

    /// Octets of the integrity key; 0 with an AEAD.
    pub const fn integrity_key_len(self) -> usize {
        match self.integrity() {
            Some(integrity) => integrity.key_len(),
            None => 0,
        }
    }

    /// Whether an IV used twice under one key betrays the plaintext or the key of the ICV.
    pub const fn counter_mode(self) -> bool {
        match self {
            Self::AesGcm(..) | Self::AesGmac(_) | Self::AesCcm(..) => true,
            Self::ChaCha20Poly1305 | Self::AesCtr(..) => true,
            Self::AesCbc(..) | Self::Null(_) | Self::Legacy(..) => false,
        }
    }

    /// Whether it serves old peers only, and runs only where the configuration says so.
    pub const fn legacy(self) -> bool {
        match self.integrity() {
            Some(integrity) => matches!(self, Self::Legacy(..)) || integrity.legacy(),
            None => false,
        }
    }

    /// Whether the payload is encrypted at all.
    pub const fn encrypts(self) -> bool {
        !matches!(self, Self::AesGmac(_) | Self::Null(_))
    }

    /// Whether [`seal`](crate::seal) and [`open`](crate::open) can process a packet of `len` octets
    /// (ESP header to ICV, without an outer header): the header, IV and ICV have room and what is between
    /// them is whole cipher blocks. A caller that counts runts apart from forgeries asks this first.
    pub const fn accepts(self, len: usize) -> bool {
        match len.checked_sub(HEADER + self.iv_len() + self.icv_len()) {
            Some(body) => body % self.unit() == 0,
            None => false,
        }
    }

    /// A number of its own for every suite, below 2²⁴.
    pub(crate) const fn code(self) -> u32 {
        let (family, cipher, mac) = match self {
            Self::AesGcm(bits, icv) => (0, bits as u32, icv as u32),
            Self::AesGmac(bits) => (1, bits as u32, 0),
            Self::AesCcm(bits, icv) => (2, bits as u32, icv as u32),
            Self::ChaCha20Poly1305 => (3, 0, 0),
            Self::AesCtr(bits, mac) => (4, bits as u32, mac as u32),
            Self::AesCbc(bits, mac) => (5, bits as u32, mac as u32),
            Self::Null(mac) => (6, 0, mac as u32),
            Self::Legacy(cipher, mac) => (7, cipher.code(), mac as u32),
        };
        family << 21 | cipher << 4 | mac
    }

    /// IANA's names with the key length, as they stand in a configuration:
    /// `ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128`.
    pub fn name(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (encryption, bits, integrity) = self.registered();
        let bits = if bits == 0 { String::new() } else { format!("_{bits}") };
        match self.integrity() {
            Some(_) => f.pad(&format!("{encryption}{bits}/{integrity}")),
            None => f.pad(&format!("{encryption}{bits}")),
        }
    }
}

/// Why a combination from the registries cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// No such cipher in this build.
    #[error("{0} is not supported; use ENCR_AES_GCM_16")]
    Encryption(EncryptionId),
    /// The cipher has no key of this length.
    #[error(
        "{encryption} has no key of {bits} bits; AES takes 128, 192 or 256; the length is not named where \
         there is only one"
    )]
    KeyBits {
        /// The cipher asked for.
        encryption: EncryptionId,
        /// The key length asked for, in bits.
        bits: u16,
    },
    /// The integrity algorithm is unknown here, missing, or given to an AEAD that has its own.
    #[error(
        "{encryption} with integrity {integrity} is not supported; an AEAD takes NONE, any other \
         cipher needs one, AUTH_HMAC_SHA2_256_128 for choice"
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
    use Integrity::{
        AesCmac96, AesXcbc96, HmacMd5_96, HmacSha1_96, HmacSha2_256_128, HmacSha2_384_192,
        HmacSha2_512_256, KeyedMd5,
    };
    use KeyBits::{B128, B192, B256};

    #[test]
    fn every_suite_has_its_own_name_and_the_name_leads_back() {
        for suite in Suite::all() {
            assert_eq!(Suite::from_name(&suite.name()), Some(suite));
        }
        assert_eq!(Suite::from_name("ENCR_AES_GCM_16"), None);
    }

    #[test]
    fn every_suite_has_its_own_code() {
        let mut codes: Vec<_> = Suite::all().map(Suite::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Suite::all().count());
        assert!(codes.iter().all(|code| *code < 1 << 24));
    }

    #[test]
    fn the_registries_lead_to_every_suite_and_to_nothing_else() {
        let mut found = Vec::new();
        for encryption in 0..64 {
            for bits in [0, 40, 64, 80, 128, 192, 256, 448, 512, 2040, u16::MAX] {
                for integrity in 0..64 {
                    found.extend(Suite::negotiate(
                        EncryptionId(encryption),
                        bits,
                        IntegrityId(integrity),
                    ));
                }
            }
        }
        let known = |suite: &Suite| match *suite {
            Suite::Legacy(cipher, _) => Legacy::SOME.contains(&cipher),
            _ => true,
        };
        found.retain(known); // of the ciphers with free lengths there are more
        found.sort();
        let mut all: Vec<_> = Suite::all().collect();
        all.sort();
        assert_eq!(found, all);
    }

    #[test]
    fn a_refusal_names_the_part_at_fault() {
        let (gcm, cbc) = (EncryptionId::ENCR_AES_GCM_16, EncryptionId::ENCR_AES_CBC);
        let (sha1, none) = (IntegrityId::AUTH_HMAC_SHA1_96, IntegrityId::NONE);
        let null = EncryptionId::ENCR_NULL;
        let (blowfish, chacha) =
            (EncryptionId::ENCR_BLOWFISH, EncryptionId::ENCR_CHACHA20_POLY1305);
        let kpdk = IntegrityId::AUTH_KPDK_MD5;
        for (encryption, bits, integrity, why) in [
            (gcm, 128, sha1, Unsupported::Integrity { encryption: gcm, integrity: sha1 }),
            (gcm, 0, none, Unsupported::KeyBits { encryption: gcm, bits: 0 }),
            (cbc, 128, none, Unsupported::Integrity { encryption: cbc, integrity: none }),
            (cbc, 129, sha1, Unsupported::KeyBits { encryption: cbc, bits: 129 }),
            (null, 0, none, Unsupported::Integrity { encryption: null, integrity: none }),
            (null, 128, sha1, Unsupported::KeyBits { encryption: null, bits: 128 }),
            (EncryptionId(1), 0, sha1, Unsupported::Encryption(EncryptionId(1))),
            (EncryptionId(23), 128, none, Unsupported::Encryption(EncryptionId(23))),
            (cbc, 128, kpdk, Unsupported::Integrity { encryption: cbc, integrity: kpdk }),
            (blowfish, 0, sha1, Unsupported::KeyBits { encryption: blowfish, bits: 0 }),
            (blowfish, 456, sha1, Unsupported::KeyBits { encryption: blowfish, bits: 456 }),
            (blowfish, 44, sha1, Unsupported::KeyBits { encryption: blowfish, bits: 44 }),
            (chacha, 256, none, Unsupported::KeyBits { encryption: chacha, bits: 256 }),
        ] {
            assert_eq!(Suite::negotiate(encryption, bits, integrity), Err(why));
        }
    }

    #[test]
    fn sizes_are_those_of_the_rfcs() {
        // (suite, IV, ICV, block, key, integrity key)
        for (suite, iv, icv, block, key, integrity) in [
            (Suite::AesGcm(B128, Icv::I16), 8, 16, 4, 20, 0), // RFC 4106
            (Suite::AesGcm(B192, Icv::I16), 8, 16, 4, 28, 0),
            (Suite::AesGcm(B256, Icv::I16), 8, 16, 4, 36, 0),
            (Suite::AesGcm(B256, Icv::I8), 8, 8, 4, 36, 0),
            (Suite::AesGmac(B256), 8, 16, 4, 36, 0), // RFC 4543
            (Suite::AesCcm(B256, Icv::I12), 8, 12, 4, 35, 0), // RFC 4309
            (Suite::ChaCha20Poly1305, 8, 16, 4, 36, 0), // RFC 7634
            (Suite::AesCtr(B192, AesXcbc96), 8, 12, 4, 28, 16), // RFC 3686, RFC 3566
            (Suite::Null(KeyedMd5), 0, 16, 4, 0, 16), // RFC 1828
            (Suite::Legacy(Legacy::TripleIdea, HmacMd5_96), 8, 12, 8, 48, 16),
            (Suite::Legacy(Legacy::Des, AesCmac96), 8, 12, 8, 8, 16), // RFC 2405, RFC 4494
            (Suite::AesCbc(B128, HmacSha1_96), 16, 12, 16, 16, 20),   // RFC 3602, RFC 2404
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
