//! Public keys, and the check of what was signed with their other half.
use crate::algorithm::RSASSA_PSS;
use crate::asn1::{self, SubjectPublicKeyInfo};
use crate::{Curve, Hash, KeyKind, Malformed, Scheme, pem};
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::BitStringRef;
use std::fmt;

/// Bits of the smallest RSA modulus that can be worked with at all; [`crate::Limits`] asks for more.
const LEAST_RSA: u32 = 1024;
/// Bits of the largest RSA modulus that can be worked with.
const MOST_RSA: u32 = 8192;
/// Octets of the largest public exponent: verification takes time in its length.
const MOST_EXPONENT: usize = 4;
/// Octets of the largest SubjectPublicKeyInfo: an RSA key of 8192 bits takes 1062.
const MAX_SPKI: usize = 2048;

/// A public key: a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), which is also the raw public key of RFC 7670.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    key: Vec<u8>,
    kind: KeyKind,
    /// The key's own algorithm is id-RSASSA-PSS: no other padding is allowed (RFC 4055 §1.2).
    only_pss: bool,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not a key.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A key of a kind that we do not have.
    #[error("a key of algorithm {0}; use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519")]
    Unsupported(String),
    /// An RSA modulus outside of what can be worked with.
    #[error("an RSA key of {0} bits; use 2048 to 8192")]
    RsaSize(u32),
    /// An even, tiny or huge RSA exponent.
    #[error("an RSA key whose public exponent is not odd between 3 and 2^32; make a new one")]
    RsaExponent,
    /// Encrypted, and no password or a wrong one was given.
    #[error("the key is encrypted, and {0}")]
    Password(&'static str),
    /// The library refuses it: numbers that do not fit together.
    #[error("the key's numbers do not fit together ({0}); make a new key")]
    Inconsistent(String),
    /// A way of writing keys down that we do not read.
    #[error("{0}")]
    Form(&'static str),
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The octets are not a signature of this message with this key.
    #[error("the signature does not hold")]
    Wrong,
    /// The scheme is for another kind of key.
    #[error("a signature by {scheme} cannot come from a key {key}")]
    OtherKey {
        /// What the signature is said to be.
        scheme: Scheme,
        /// What the key is.
        key: KeyKind,
    },
    /// A combination that we do not check.
    #[error("no checking of {scheme} with a key {key}")]
    Unsupported {
        /// What the signature is said to be.
        scheme: Scheme,
        /// What the key is.
        key: KeyKind,
    },
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER. Points are checked when they are used; RSA numbers here.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_spki(der: &[u8]) -> Result<Self, BadKey> {
        const WHAT: &str = "public key";
        if der.len() > MAX_SPKI {
            return Err(Malformed { what: WHAT }.into());
        }
        let info: SubjectPublicKeyInfo<'_> = asn1::decode(der, WHAT)?;
        let key = whole(info.key, WHAT)?;
        let kind = match info.algorithm.oid {
            asn1::RSA_ENCRYPTION | RSASSA_PSS => KeyKind::Rsa(rsa_bits(key)?),
            asn1::EC_PUBLIC_KEY => KeyKind::Ecdsa(curve(&info, key)?),
            asn1::ED25519 if key.len() == 32 && info.algorithm.parameters.is_none() => {
                KeyKind::Ed25519
            }
            asn1::ED25519 => return Err(Malformed { what: WHAT }.into()),
            other => return Err(BadKey::Unsupported(other.to_string())),
        };
        let only_pss = info.algorithm.oid == RSASSA_PSS;
        Ok(Self { spki: der.to_vec(), key: key.to_vec(), kind, only_pss })
    }

    /// Reads a key from a file: SubjectPublicKeyInfo in DER or PEM ("PUBLIC KEY").
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn read(octets: &[u8]) -> Result<Self, BadKey> {
        let Ok(text) = std::str::from_utf8(octets) else { return Self::from_spki(octets) };
        for block in crate::read::blocks(text) {
            if block.label == "PUBLIC KEY" {
                return Self::from_spki(&block.decode()?);
            }
        }
        Self::from_spki(octets)
    }

    /// The SubjectPublicKeyInfo in DER, as it came.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
    /// The SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki)
    }
    /// Kind and size.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }
    /// SHA-1 of the SubjectPublicKeyInfo: how CERTREQ names a CA (RFC 7296 §3.7).
    pub fn certreq_hash(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out.copy_from_slice(&Hash::Sha1.digest(&self.spki));
        out
    }
    /// SHA-256 of the SubjectPublicKeyInfo, to pin and to print.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(&Hash::Sha256.digest(&self.spki));
        out
    }
    /// SHA-1 of the key itself: the subjectKeyIdentifier that we write (RFC 5280 §4.2.1.2, first method).
    pub(crate) fn key_identifier(&self) -> Vec<u8> {
        Hash::Sha1.digest(&self.key)
    }

    /// Whether a signature by this scheme could come from this key.
    pub fn fits(&self, scheme: Scheme) -> bool {
        scheme.fits(self.kind) && !(self.only_pss && matches!(scheme, Scheme::RsaPkcs1(_)))
    }

    /// Checks a signature. PKCS#1 v1.5 is checked by encoding anew and comparing all of it (RFC 8017 §8.2.2), as
    /// AWS-LC does: forgeries with padding cut short or something behind the hash find no parser to fool.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let key = self.kind;
        if !self.fits(scheme) {
            return Err(BadSignature::OtherKey { scheme, key });
        }
        let algorithm = algorithm(scheme, key).ok_or(BadSignature::Unsupported { scheme, key })?;
        UnparsedPublicKey::new(algorithm, &self.key)
            .verify(message, signature)
            .map_err(|_| BadSignature::Wrong)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, SHA-256 ", self.kind)?;
        self.fingerprint().iter().take(8).try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("..)")
    }
}

/// Which check of the library this is. Below 2048 bits only the checks for old keys work, which have no SHA-384.
fn algorithm(scheme: Scheme, key: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
    use {Curve::*, Hash::*};
    let small = matches!(key, KeyKind::Rsa(bits) if bits < 2048);
    Some(match (scheme, key) {
        (Scheme::RsaPkcs1(Sha1), _) => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPkcs1(Sha256), _) => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPkcs1(Sha512), _) => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPkcs1(Sha384), _) if !small => &lc::RSA_PKCS1_2048_8192_SHA384,
        (Scheme::RsaPss(Sha256), _) if !small => &lc::RSA_PSS_2048_8192_SHA256,
        (Scheme::RsaPss(Sha384), _) if !small => &lc::RSA_PSS_2048_8192_SHA384,
        (Scheme::RsaPss(Sha512), _) if !small => &lc::RSA_PSS_2048_8192_SHA512,
        (Scheme::Ecdsa(Sha256), KeyKind::Ecdsa(P256)) => &lc::ECDSA_P256_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), KeyKind::Ecdsa(P256)) => &lc::ECDSA_P256_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), KeyKind::Ecdsa(P256)) => &lc::ECDSA_P256_SHA512_ASN1,
        (Scheme::Ecdsa(Sha256), KeyKind::Ecdsa(P384)) => &lc::ECDSA_P384_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), KeyKind::Ecdsa(P384)) => &lc::ECDSA_P384_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), KeyKind::Ecdsa(P384)) => &lc::ECDSA_P384_SHA512_ASN1,
        (Scheme::Ecdsa(Sha256), KeyKind::Ecdsa(P521)) => &lc::ECDSA_P521_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), KeyKind::Ecdsa(P521)) => &lc::ECDSA_P521_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), KeyKind::Ecdsa(P521)) => &lc::ECDSA_P521_SHA512_ASN1,
        (Scheme::EcdsaRaw(P256), _) => &lc::ECDSA_P256_SHA256_FIXED,
        (Scheme::EcdsaRaw(P384), _) => &lc::ECDSA_P384_SHA384_FIXED,
        (Scheme::EcdsaRaw(P521), _) => &lc::ECDSA_P521_SHA512_FIXED,
        (Scheme::Ed25519, _) => &lc::ED25519,
        _ => return None,
    })
}

/// The octets of a BIT STRING that has no unused bits.
fn whole<'a>(bits: BitStringRef<'a>, what: &'static str) -> Result<&'a [u8], Malformed> {
    bits.as_bytes().ok_or(Malformed { what })
}

fn rsa_bits(key: &[u8]) -> Result<u32, BadKey> {
    let numbers: asn1::RsaPublicKey<'_> = asn1::decode(key, "RSA public key")?;
    let modulus = numbers.modulus.as_bytes();
    let top = modulus.first().copied().unwrap_or_default();
    let bits = (modulus.len() as u32).saturating_mul(8).saturating_sub(top.leading_zeros());
    if !(LEAST_RSA..=MOST_RSA).contains(&bits) {
        return Err(BadKey::RsaSize(bits));
    }
    let exponent = numbers.exponent.as_bytes();
    let odd = exponent.last().is_some_and(|octet| octet & 1 == 1);
    let odd_modulus = modulus.last().is_some_and(|octet| octet & 1 == 1);
    if !odd || !odd_modulus || exponent == [1] || exponent.len() > MOST_EXPONENT {
        return Err(BadKey::RsaExponent);
    }
    Ok(bits)
}

fn curve(info: &SubjectPublicKeyInfo<'_>, key: &[u8]) -> Result<Curve, BadKey> {
    let bad = Malformed { what: "public key" };
    let oid = info.algorithm.parameters.ok_or(bad)?.decode_as().map_err(|_| bad)?;
    let curve =
        Curve::from_oid(oid).ok_or_else(|| BadKey::Unsupported(format!("ECDSA on {oid}")))?;
    // uncompressed alone (RFC 5480 §2.2): compressed points need not be understood
    match key.split_first() {
        Some((4, point)) if point.len() == 2 * curve.octets() => Ok(curve),
        _ => Err(BadKey::Malformed(bad)),
    }
}
