//! The suites that a file can name: IANA's names and numbers, the keys that each takes, and what is said of those that
//! nobody should use any more. The crate `crypto` runs them; `tests/suites.rs` holds both tables together.
use super::problem::nearest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Visitor};
use std::fmt;
use std::str::FromStr;
use wire::iana::{EncryptionId, IntegrityId};

/// Key lengths of a cipher, in bits, without salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBits {
    /// One, which goes without saying: the Key Length attribute is not used (RFC 7296 §3.3.5). 0: no key.
    Fixed(u16),
    /// 128, 192 or 256.
    Aes,
    /// From the first to the last in whole octets.
    Range(u16, u16),
}

impl KeyBits {
    /// Whether there are keys of so many bits.
    pub fn allow(self, bits: u16) -> bool {
        match self {
            Self::Fixed(only) => bits == only,
            Self::Aes => matches!(bits, 128 | 192 | 256),
            Self::Range(least, most) => (least..=most).contains(&bits) && bits.is_multiple_of(8),
        }
    }

    /// Every length there is.
    pub fn all(self) -> impl Iterator<Item = u16> {
        let (least, most) = match self {
            Self::Fixed(only) => (only, only),
            Self::Aes => (128, 256),
            Self::Range(least, most) => (least, most),
        };
        (least..=most).filter(move |&bits| self.allow(bits))
    }
}

impl fmt::Display for KeyBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bits) => write!(f, "{bits}"),
            Self::Aes => f.write_str("128, 192 or 256"),
            Self::Range(least, most) => write!(f, "{least} to {most} in steps of 8, usually 128"),
        }
    }
}

/// What a cipher does beside hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A counter mode that authenticates by itself.
    Aead,
    /// A counter mode that needs integrity beside it.
    Counter,
    /// Needs integrity beside it; its IVs are random, or it has none.
    Block,
}

/// An encryption transform (IKEv2 Transform Type 1).
#[derive(Debug, PartialEq, Eq)]
pub struct Cipher {
    /// IANA's number and name.
    pub id: EncryptionId,
    /// The keys it takes.
    pub keys: KeyBits,
    /// Octets of salt behind the key (RFC 4106 §8.1; RFC 3686 §5.1 calls it nonce).
    pub salt: usize,
    /// Whether it needs integrity, and IVs that never repeat.
    pub mode: Mode,
    /// Why it must be asked for with `legacy: true`; `None`: it need not.
    pub legacy: Option<&'static str>,
}

impl Cipher {
    /// IANA's name.
    pub fn name(&self) -> &'static str {
        self.id.name().unwrap_or("ENCR")
    }
    /// It authenticates by itself.
    pub fn aead(&self) -> bool {
        self.mode == Mode::Aead
    }
    /// An IV used twice under one key gives plaintext or the key away.
    pub fn counter_mode(&self) -> bool {
        self.mode != Mode::Block
    }
    /// A key for encrypt-decrypt-encrypt whose neighbouring thirds are the same is worth one of them (RFC 2451 §2.3).
    /// The lowest bit of each octet of a DES key is parity and does not count (FIPS 46-3).
    pub fn collapses(&self, key: &[u8]) -> bool {
        let counted = match self.id {
            EncryptionId::ENCR_3DES => 0xfe,
            EncryptionId::ENCR_3IDEA => 0xff,
            _ => return false,
        };
        let third = key.len() / 3;
        let pairs = key.iter().zip(key.iter().skip(third));
        let differs = |at: usize| {
            pairs.clone().skip(at).take(third).any(|(one, next)| (one ^ next) & counted != 0)
        };
        !(differs(0) && differs(third))
    }
    /// As the file names it with a key of so many bits.
    fn name_with(&self, bits: u16) -> String {
        match self.keys {
            KeyBits::Fixed(_) => self.name().to_owned(),
            _ => format!("{}_{bits}", self.name()),
        }
    }
    /// The length that most peers have.
    fn usual_name(&self) -> String {
        self.name_with(128)
    }
}

/// An integrity transform (IKEv2 Transform Type 3).
#[derive(Debug, PartialEq, Eq)]
pub struct Integrity {
    /// IANA's number and name.
    pub id: IntegrityId,
    /// Octets of key.
    pub key: usize,
    /// Why it must be asked for with `legacy: true`; `None`: it need not.
    pub legacy: Option<&'static str>,
}

impl Integrity {
    /// RFC 1828 defines keyed MD5 for packets that nobody encrypts; behind a cipher there is no peer for it.
    fn fits(&self, cipher: &Cipher) -> bool {
        !cipher.aead()
            && (self.id != IntegrityId::AUTH_KPDK_MD5 || cipher.id == EncryptionId::ENCR_NULL)
    }
    /// IANA's name.
    pub fn name(&self) -> &'static str {
        self.id.name().unwrap_or("AUTH")
    }
}

const SMALL_BLOCK: &str = "its blocks of 64 bits begin to repeat after some 32 GiB under one key, which shows plaintext (Sweet32)";
const SMALL_KEY: &str =
    "its keys of 56 bits can all be tried within days by anybody who rents the hardware";
const NO_RFC: &str =
    "no RFC defines it and hardly anybody has examined it; its blocks have only 64 bits";
const MD5: &str = "MD5 is broken as a hash, and RFC 8221 §6 forbids it in IPsec";

const fn aead(id: EncryptionId, salt: usize) -> Cipher {
    Cipher { id, keys: KeyBits::Aes, salt, mode: Mode::Aead, legacy: None }
}
const fn block(id: EncryptionId, keys: KeyBits) -> Cipher {
    Cipher { id, keys, salt: 0, mode: Mode::Block, legacy: None }
}
const fn legacy(id: EncryptionId, keys: KeyBits, why: &'static str) -> Cipher {
    Cipher { legacy: Some(why), ..block(id, keys) }
}

/// Every cipher that a file can name: AEADs, then those that hide nothing, then those with integrity beside them.
pub static CIPHERS: [Cipher; 18] = [
    aead(EncryptionId::ENCR_AES_GCM_16, 4),
    aead(EncryptionId::ENCR_AES_GCM_12, 4),
    aead(EncryptionId::ENCR_AES_GCM_8, 4),
    Cipher { keys: KeyBits::Fixed(256), ..aead(EncryptionId::ENCR_CHACHA20_POLY1305, 4) },
    aead(EncryptionId::ENCR_AES_CCM_16, 3),
    aead(EncryptionId::ENCR_AES_CCM_12, 3),
    aead(EncryptionId::ENCR_AES_CCM_8, 3),
    aead(EncryptionId::ENCR_NULL_AUTH_AES_GMAC, 4),
    block(EncryptionId::ENCR_NULL, KeyBits::Fixed(0)),
    Cipher { mode: Mode::Counter, ..aead(EncryptionId::ENCR_AES_CTR, 4) },
    block(EncryptionId::ENCR_AES_CBC, KeyBits::Aes),
    legacy(EncryptionId::ENCR_3DES, KeyBits::Fixed(192), SMALL_BLOCK),
    legacy(EncryptionId::ENCR_DES, KeyBits::Fixed(64), SMALL_KEY),
    legacy(EncryptionId::ENCR_CAST, KeyBits::Range(40, 128), SMALL_BLOCK),
    legacy(EncryptionId::ENCR_BLOWFISH, KeyBits::Range(40, 448), SMALL_BLOCK),
    legacy(EncryptionId::ENCR_RC5, KeyBits::Range(40, 2040), SMALL_BLOCK),
    legacy(EncryptionId::ENCR_IDEA, KeyBits::Fixed(128), SMALL_BLOCK),
    legacy(EncryptionId::ENCR_3IDEA, KeyBits::Fixed(384), NO_RFC),
];

/// Every integrity algorithm that a file can name.
pub static INTEGRITIES: [Integrity; 8] = [
    Integrity { id: IntegrityId::AUTH_HMAC_SHA2_256_128, key: 32, legacy: None },
    Integrity { id: IntegrityId::AUTH_HMAC_SHA2_384_192, key: 48, legacy: None },
    Integrity { id: IntegrityId::AUTH_HMAC_SHA2_512_256, key: 64, legacy: None },
    Integrity { id: IntegrityId::AUTH_HMAC_SHA1_96, key: 20, legacy: None },
    Integrity { id: IntegrityId::AUTH_AES_XCBC_96, key: 16, legacy: None },
    Integrity { id: IntegrityId::AUTH_AES_CMAC_96, key: 16, legacy: None },
    Integrity { id: IntegrityId::AUTH_HMAC_MD5_96, key: 16, legacy: Some(MD5) },
    Integrity { id: IntegrityId::AUTH_KPDK_MD5, key: 16, legacy: Some(MD5) },
];

/// A cipher with the length of its key, and integrity unless the cipher has its own.
#[derive(Clone, Copy, Debug)]
pub struct SuiteName {
    /// The cipher.
    pub cipher: &'static Cipher,
    /// Bits of its key, without salt.
    pub key_bits: u16,
    /// `None` with an AEAD.
    pub integrity: Option<&'static Integrity>,
}

impl SuiteName {
    /// Every one there is, with every key length.
    pub fn all() -> impl Iterator<Item = Self> {
        CIPHERS.iter().flat_map(|cipher| {
            let own = cipher.aead().then_some(None);
            let beside = INTEGRITIES.iter().filter(|it| it.fits(cipher)).map(Some);
            own.into_iter().chain(beside).flat_map(move |integrity| {
                cipher.keys.all().map(move |key_bits| Self { cipher, key_bits, integrity })
            })
        })
    }

    /// What the numbers mean; `None` when they are not known here.
    pub fn of(suite: sadb::Suite) -> Option<Self> {
        let cipher = CIPHERS.iter().find(|cipher| cipher.id.0 == suite.encryption)?;
        let key_bits = match cipher.keys {
            KeyBits::Fixed(only) => Some(only).filter(|_| suite.key_bits == 0)?,
            keys => Some(suite.key_bits).filter(|&bits| keys.allow(bits))?,
        };
        let integrity = match suite.integrity {
            0 => None,
            number => Some(INTEGRITIES.iter().find(|known| known.id.0 == number)?),
        };
        let fits = integrity.map_or(cipher.aead(), |integrity| integrity.fits(cipher));
        fits.then_some(Self { cipher, key_bits, integrity })
    }

    /// `ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128`, or the numbers of what is not known here.
    pub fn name_of(suite: sadb::Suite) -> String {
        let sadb::Suite { encryption, key_bits, integrity } = suite;
        let unknown = || {
            let cipher = format!("{}_{key_bits}", EncryptionId(encryption));
            if integrity == 0 { cipher } else { format!("{cipher}/{}", IntegrityId(integrity)) }
        };
        Self::of(suite).map_or_else(unknown, |known| known.to_string())
    }

    /// As it crosses to the data plane: the Key Length attribute, so nothing where there is only one (RFC 7296 §3.3.5).
    pub fn suite(self) -> sadb::Suite {
        sadb::Suite {
            encryption: self.cipher.id.0,
            key_bits: match self.cipher.keys {
                KeyBits::Fixed(_) => 0,
                _ => self.key_bits,
            },
            integrity: self.integrity.map_or(0, |integrity| integrity.id.0),
        }
    }

    /// Octets of cipher key, without salt.
    pub fn key_octets(self) -> usize {
        usize::from(self.key_bits / 8)
    }

    /// The cipher as the file names it.
    pub fn cipher_name(self) -> String {
        self.cipher.name_with(self.key_bits)
    }

    /// Why it may only be used where the file says `legacy: true`: each algorithm at fault and what is wrong with it.
    pub fn dangers(self) -> Vec<(String, &'static str)> {
        let short = self.key_bits < 112 && self.key_bits != 0;
        let key = "its key is so short that all can be tried";
        let cipher = self.cipher.legacy.map(|why| {
            let brute = short && !matches!(self.cipher.keys, KeyBits::Fixed(_));
            (self.cipher_name(), if brute { key } else { why })
        });
        let integrity = self.integrity.and_then(|it| Some((it.name().to_owned(), it.legacy?)));
        cipher.into_iter().chain(integrity).collect()
    }

    /// Whether any part of it is legacy.
    pub fn legacy(self) -> bool {
        self.cipher.legacy.or(self.integrity.and_then(|integrity| integrity.legacy)).is_some()
    }
}

impl fmt::Display for SuiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cipher_name())?;
        self.integrity.map_or(Ok(()), |integrity| write!(f, "/{}", integrity.name()))
    }
}

impl FromStr for SuiteName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (cipher, integrity) = match text.split_once('/') {
            Some((cipher, integrity)) => (cipher.trim(), Some(integrity.trim())),
            None => (text, None),
        };
        let (cipher, key_bits) = cipher_of(cipher)?;
        let name = cipher.name_with(key_bits);
        let integrity = integrity.filter(|name| !matches!(*name, "NONE" | "AUTH_NONE"));
        let integrity = match (integrity, cipher.aead()) {
            (None, true) => None,
            (Some(_), true) => {
                return Err(format!("{name} has its own integrity; write {name} alone"));
            }
            (None, false) => {
                return Err(format!(
                    "{name} without integrity lets anybody change packets (RFC 4301 §4.1); \
                     write {name}/AUTH_HMAC_SHA2_256_128"
                ));
            }
            (Some(integrity), false) => Some(integrity_of(integrity)?),
        };
        if let Some(known) = integrity.filter(|known| !known.fits(cipher)) {
            let only = known.name();
            return Err(format!(
                "{only} is for packets that are not encrypted; write ENCR_NULL/{only}"
            ));
        }
        Ok(Self { cipher, key_bits, integrity })
    }
}

/// A cipher and its key length by name: `ENCR_AES_CBC_128`, `ENCR_3DES`.
pub(super) fn cipher_of(text: &str) -> Result<(&'static Cipher, u16), String> {
    let by_name = |name: &str| CIPHERS.iter().find(|cipher| cipher.name() == name);
    if let Some(cipher) = by_name(text) {
        return match cipher.keys {
            KeyBits::Fixed(bits) => Ok((cipher, bits)),
            bits => Err(format!(
                "the length of the key belongs to the name, {bits} bits; write {}",
                cipher.usual_name()
            )),
        };
    }
    let (stem, bits) = text.rsplit_once('_').unwrap_or((text, ""));
    let number = bits.parse::<u16>().ok();
    match (by_name(stem), number) {
        (Some(cipher), Some(bits)) if cipher.keys == KeyBits::Fixed(bits) => {
            Err(format!("{stem} has keys of one length only; write {stem}"))
        }
        (Some(cipher), Some(bits)) if cipher.keys.allow(bits) => Ok((cipher, bits)),
        (Some(Cipher { keys: KeyBits::Fixed(_), .. }), Some(_)) => {
            Err(format!("{stem} has keys of one length only; write {stem}"))
        }
        (Some(cipher), Some(bits)) => {
            let keys = cipher.keys;
            Err(format!(
                "{stem} has no key of {bits} bits, only of {keys}; write {}",
                cipher.usual_name()
            ))
        }
        _ => Err(unknown_cipher(text, stem)),
    }
}

/// `ENCR_AES_GCM` and `ENCR_AES_GCM_128` mean the longest ICV; else the nearest name, or all of them in short.
fn unknown_cipher(text: &str, stem: &str) -> String {
    let long = |stem: &str| {
        let full = format!("{stem}_16");
        CIPHERS.iter().find(|cipher| cipher.name() == full).map(Cipher::usual_name)
    };
    let names: Vec<String> = CIPHERS
        .iter()
        .flat_map(|cipher| {
            let bits =
                if cipher.keys == KeyBits::Aes { [128, 192, 256].as_slice() } else { &[128] };
            bits.iter().map(|&bits| cipher.name_with(bits))
        })
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let near = long(text).or(long(stem)).or(nearest(text, &names).map(str::to_owned));
    let known = near.map_or_else(known_ciphers, |name| format!("did you mean \"{name}\"?"));
    format!("'{text}' is not a cipher of this build; {known}")
}

/// What there is, legacy ones left out.
fn known_ciphers() -> String {
    let of = |aes: bool| {
        let fits =
            |cipher: &&Cipher| cipher.legacy.is_none() && (cipher.keys == KeyBits::Aes) == aes;
        CIPHERS.iter().filter(fits).map(Cipher::name).collect::<Vec<_>>().join(", ")
    };
    format!(
        "known here: {}, each with _128, _192 or _256 behind it; {} (docs/configuration.md has the table, legacy ones too)",
        of(true),
        of(false)
    )
}

fn integrity_of(text: &str) -> Result<&'static Integrity, String> {
    INTEGRITIES.iter().find(|known| known.name() == text).ok_or_else(|| {
        let names: Vec<_> = INTEGRITIES.iter().map(Integrity::name).collect();
        let known = super::problem::suggestion(text, &names);
        format!("'{text}' is not an integrity algorithm of this build; {known}")
    })
}

impl<'de> Deserialize<'de> for SuiteName {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SuiteName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a suite, like ENCR_AES_GCM_16_256")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(|why: String| E::custom(why))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for SuiteName {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Suite".into()
    }
    /// Every name that is accepted and nothing else, except that lengths out of range are not seen.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = |cipher: &Cipher| match cipher.keys {
            KeyBits::Fixed(_) => cipher.name().to_owned(),
            KeyBits::Aes => format!("{}_(128|192|256)", cipher.name()),
            KeyBits::Range(..) => format!("{}_[1-9][0-9]{{1,3}}", cipher.name()),
        };
        let integrities = |cipher: &Cipher| {
            let fit = INTEGRITIES.iter().filter(|integrity| integrity.fits(cipher));
            fit.map(Integrity::name).collect::<Vec<_>>().join("|")
        };
        // Ciphers that take the same integrity share one part of the pattern.
        let parts =
            CIPHERS.chunk_by(|one, next| integrities(one) == integrities(next)).map(|alike| {
                let ciphers = alike.iter().map(pattern).collect::<Vec<_>>().join("|");
                match alike.first().map(integrities).unwrap_or_default() {
                    none if none.is_empty() => format!("({ciphers})(/(AUTH_)?NONE)?"),
                    some => format!("({ciphers})/({some})"),
                }
            });
        schemars::json_schema!({
            "type": "string",
            "pattern": format!("^({})$", parts.collect::<Vec<_>>().join("|")),
            "examples": ["ENCR_AES_GCM_16_256", "ENCR_CHACHA20_POLY1305", "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_its_own_name_and_its_own_numbers_and_both_lead_back() {
        let mut seen = std::collections::HashSet::new();
        for suite in SuiteName::all() {
            let name = suite.to_string();
            let read: SuiteName = name.parse().unwrap();
            assert_eq!((read.suite(), read.key_bits), (suite.suite(), suite.key_bits), "{name}");
            assert_eq!(SuiteName::name_of(suite.suite()), name);
            assert!(seen.insert(suite.suite()) && seen.len() < 10_000, "{name}");
        }
    }

    #[test]
    fn numbers_that_are_not_known_are_shown_as_they_are() {
        for ((encryption, key_bits, integrity), shown) in [
            ((999, 128, 0), "999_128"),
            ((20, 129, 0), "ENCR_AES_GCM_16_129"),
            ((12, 128, 77), "ENCR_AES_CBC_128/77"),
        ] {
            assert_eq!(SuiteName::name_of(sadb::Suite { encryption, key_bits, integrity }), shown);
        }
    }

    #[test]
    fn three_keys_of_which_two_neighbours_are_one_collapse() {
        let cipher = |id| CIPHERS.iter().find(|cipher| cipher.id == id).unwrap();
        for (id, parity) in [(EncryptionId::ENCR_3DES, 1), (EncryptionId::ENCR_3IDEA, 0)] {
            let octets = usize::from(cipher(id).keys.all().next().unwrap() / 24);
            let key = |thirds: [u8; 3]| thirds.map(|third| vec![third; octets]).concat();
            for (thirds, collapses) in [
                ([2, 4, 8], false),
                ([2, 4, 2], false), // two-key triple encryption is what it is
                ([2, 2 | parity, 8], true),
                ([2, 4, 4 | parity], true),
            ] {
                assert_eq!(cipher(id).collapses(&key(thirds)), collapses, "{id} {thirds:?}");
            }
        }
        assert!(!cipher(EncryptionId::ENCR_IDEA).collapses(&[7; 16]));
    }

    #[test]
    fn each_legacy_algorithm_says_what_is_wrong_with_it() {
        let dangers = |name: &str| name.parse::<SuiteName>().unwrap().dangers();
        assert_eq!(dangers("ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96"), []);
        assert_eq!(
            dangers("ENCR_AES_CBC_128/AUTH_HMAC_MD5_96"),
            [("AUTH_HMAC_MD5_96".to_owned(), MD5)]
        );
        let both = dangers("ENCR_DES/AUTH_HMAC_MD5_96");
        assert_eq!(
            both,
            [("ENCR_DES".to_owned(), SMALL_KEY), ("AUTH_HMAC_MD5_96".to_owned(), MD5)]
        );
        let [(name, why)] = dangers("ENCR_RC5_40/AUTH_HMAC_SHA1_96").try_into().unwrap();
        assert!(name == "ENCR_RC5_40" && why.contains("short"), "{why}");
        for suite in SuiteName::all() {
            assert_eq!(suite.legacy(), !suite.dangers().is_empty(), "{suite}");
        }
    }
}
