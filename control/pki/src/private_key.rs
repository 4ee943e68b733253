//! Private keys: made, read, written and signed with.
use crate::legacy;
use crate::{BadKey, Curve, Hash, KeyKind, Malformed, PublicKey, Scheme, asn1, pem, read};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair,
};
use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use std::fmt;
use zeroize::Zeroizing;

/// A private key with its public half. It prints as its public half, and its memory is cleared by AWS-LC.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a key does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The scheme is for another kind of key, or pairs a curve with a hash that is not its own.
    #[error("a key {key} cannot sign by {scheme}")]
    Scheme {
        /// What was asked for.
        scheme: Scheme,
        /// What the key is.
        key: KeyKind,
    },
    /// The library failed, or its signature did not hold when it was checked.
    #[error("signing failed")]
    Failed,
}

impl PrivateKey {
    /// Makes a key: RSA of 2048, 3072, 4096 or 8192 bits, ECDSA, or Ed25519.
    ///
    /// # Errors
    /// [`BadKey::RsaSize`]; [`BadKey::Inconsistent`] when the system has no random numbers.
    pub fn generate(kind: KeyKind) -> Result<Self, BadKey> {
        let failed = |_| BadKey::Inconsistent("no key could be made".into());
        let pair = match kind {
            KeyKind::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    8192 => KeySize::Rsa8192,
                    bits => return Err(BadKey::RsaSize(bits)),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
            KeyKind::Ecdsa(curve) => {
                Pair::Ecdsa(curve, EcdsaKeyPair::generate(raw(curve)).map_err(failed)?)
            }
            KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::new(pair)
    }

    /// Reads a key from a file: PEM or DER; PKCS#8, encrypted PKCS#8 (PBES2), PKCS#1 (RSA), SEC1 (EC). Of a PEM file
    /// with several blocks it is the first private key. For PKCS#12 see [`crate::pkcs12`].
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn read(octets: &[u8], password: Option<&str>) -> Result<Self, BadKey> {
        if let Ok(text) = std::str::from_utf8(octets) {
            for block in read::blocks(text) {
                let read: fn(&[u8], Option<&str>) -> _ = match block.label {
                    "PRIVATE KEY" => |der, _| Self::from_pkcs8(der),
                    "ENCRYPTED PRIVATE KEY" => Self::from_encrypted,
                    "RSA PRIVATE KEY" => |der, _| Self::from_pkcs1(der),
                    "EC PRIVATE KEY" => |der, _| Self::from_sec1(der),
                    _ => continue,
                };
                return read(&block.decode()?, password);
            }
        }
        Self::from_der(octets, password)
    }

    fn from_der(der: &[u8], password: Option<&str>) -> Result<Self, BadKey> {
        if PrivateKeyInfoRef::try_from(der).is_ok() {
            Self::from_pkcs8(der)
        } else if EncryptedPrivateKeyInfoRef::try_from(der).is_ok() {
            Self::from_encrypted(der, password)
        } else if legacy::RsaPrivateKey::from_der(der).is_ok() {
            Self::from_pkcs1(der)
        } else if EcPrivateKey::from_der(der).is_ok() {
            Self::from_sec1(der)
        } else {
            Err(Malformed { what: "private key" }.into())
        }
    }

    /// PKCS#8 in DER (RFC 5958).
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, BadKey> {
        let what = "PKCS#8 private key";
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Malformed { what })?;
        let pair = match info.algorithm.oid {
            asn1::RSA_ENCRYPTION => return Self::from_pkcs1(info.private_key.as_bytes()),
            asn1::EC_PUBLIC_KEY => {
                let oid: Option<ObjectIdentifier> =
                    info.algorithm.parameters.and_then(|value| value.decode_as().ok());
                let curve = known_curve(oid.ok_or(Malformed { what })?)?;
                let pair = EcdsaKeyPair::from_pkcs8(raw(curve), der).map_err(inconsistent)?;
                Pair::Ecdsa(curve, pair)
            }
            asn1::ED25519 => Pair::Ed25519(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(inconsistent)?,
            ),
            other => return Err(BadKey::Unsupported(other.to_string())),
        };
        Self::new(pair)
    }

    /// RSAPrivateKey in DER (RFC 8017 §A.1.2).
    fn from_pkcs1(der: &[u8]) -> Result<Self, BadKey> {
        let what = "PKCS#1 private key";
        let numbers = legacy::RsaPrivateKey::from_der(der).map_err(|_| Malformed { what })?;
        let bits = numbers.modulus.as_bytes().len() as u32 * 8;
        if !(2048..=8192).contains(&bits) {
            return Err(BadKey::RsaSize(bits));
        }
        Self::new(Pair::Rsa(RsaKeyPair::from_der(der).map_err(inconsistent)?))
    }

    /// ECPrivateKey in DER (RFC 5915).
    fn from_sec1(der: &[u8]) -> Result<Self, BadKey> {
        let what = "SEC1 private key";
        let key = EcPrivateKey::from_der(der).map_err(|_| Malformed { what })?;
        let named = key.curve.ok_or(BadKey::Form("a SEC1 key that does not name its curve"))?;
        let curve = known_curve(named)?;
        let pair = EcdsaKeyPair::from_private_key_der(raw(curve), der).map_err(inconsistent)?;
        Self::new(Pair::Ecdsa(curve, pair))
    }

    /// EncryptedPrivateKeyInfo in DER (RFC 5958 §3).
    fn from_encrypted(der: &[u8], password: Option<&str>) -> Result<Self, BadKey> {
        let what = "encrypted PKCS#8 private key";
        let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| Malformed { what })?;
        let password = password.ok_or(BadKey::Password("no password was given"))?;
        let wrong = |_| BadKey::Password("the password does not open it");
        Self::from_pkcs8(info.decrypt(password).map_err(wrong)?.as_bytes())
    }

    fn new(pair: Pair) -> Result<Self, BadKey> {
        let spki: Result<PublicKeyX509Der<'_>, _> = match &pair {
            Pair::Rsa(key) => key.public_key().as_der(),
            Pair::Ecdsa(_, key) => key.public_key().as_der(),
            Pair::Ed25519(key) => key.public_key().as_der(),
        };
        let spki = spki.map_err(|_| BadKey::Inconsistent("no public half".into()))?;
        Ok(Self { public: PublicKey::from_spki(spki.as_ref())?, pair })
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// What this key signs by, best first: what certificates and RFC 7427 use, then the classic methods. With SHA-1
    /// last of all.
    pub fn schemes(&self) -> &'static [Scheme] {
        match self.pair {
            Pair::Rsa(_) => &[
                Scheme::RsaPss(Hash::Sha256),
                Scheme::RsaPss(Hash::Sha384),
                Scheme::RsaPss(Hash::Sha512),
                Scheme::RsaPkcs1(Hash::Sha256),
                Scheme::RsaPkcs1(Hash::Sha384),
                Scheme::RsaPkcs1(Hash::Sha512),
                Scheme::RsaPkcs1(Hash::Sha1),
            ],
            Pair::Ecdsa(Curve::P256, _) => {
                &[Scheme::Ecdsa(Hash::Sha256), Scheme::EcdsaRaw(Curve::P256)]
            }
            Pair::Ecdsa(Curve::P384, _) => {
                &[Scheme::Ecdsa(Hash::Sha384), Scheme::EcdsaRaw(Curve::P384)]
            }
            Pair::Ecdsa(Curve::P521, _) => {
                &[Scheme::Ecdsa(Hash::Sha512), Scheme::EcdsaRaw(Curve::P521)]
            }
            Pair::Ed25519(_) => &[Scheme::Ed25519],
        }
    }

    /// Signs. Takes the same time whatever the key is; ECDSA nonces and PSS salts come from the system.
    ///
    /// # Errors
    /// [`CannotSign`]: see [`Self::schemes`] for what works.
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
        let refused = CannotSign::Scheme { scheme, key: self.public.kind() };
        if !self.schemes().contains(&scheme) {
            return Err(refused);
        }
        match (&self.pair, scheme) {
            (Pair::Rsa(_), Scheme::RsaPkcs1(Hash::Sha1)) => self.sign_sha1(message),
            (Pair::Rsa(key), scheme) => {
                sign_rsa(key, rsa_encoding(scheme).ok_or(refused)?, message)
            }
            (Pair::Ecdsa(_, key), scheme) => sign_ecdsa(key, scheme, message),
            (Pair::Ed25519(key), _) => {
                key.try_sign(message).map(|s| s.as_ref().to_vec()).map_err(|_| CannotSign::Failed)
            }
        }
    }

    fn sign_sha1(&self, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
        let pkcs8 = self.to_pkcs8();
        let info = PrivateKeyInfoRef::try_from(pkcs8.as_slice()).map_err(|_| CannotSign::Failed)?;
        let signature = legacy::sign_sha1(info.private_key.as_bytes(), message);
        let holds = |signature: &Vec<u8>| {
            self.public.verify(Scheme::RsaPkcs1(Hash::Sha1), message, signature).is_ok()
        };
        signature.filter(holds).ok_or(CannotSign::Failed)
    }

    /// PKCS#8 in DER, not encrypted. Empty if the library cannot write its own key.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let plain = match &self.pair {
            Pair::Rsa(key) => {
                let der: Result<Pkcs8V1Der<'_>, _> = key.as_der();
                der.map(|der| Zeroizing::new(der.as_ref().to_vec()))
            }
            Pair::Ecdsa(_, key) => key.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())),
            Pair::Ed25519(key) => key.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())),
        };
        plain.unwrap_or_default()
    }

    /// PKCS#8 in PEM, not encrypted.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", &self.to_pkcs8()))
    }

    /// PKCS#8 in PEM, encrypted by PBES2 with scrypt and AES-256-CBC.
    ///
    /// # Errors
    /// [`BadKey::Inconsistent`] when the system has no random numbers.
    pub fn to_encrypted_pem(&self, password: &str) -> Result<String, BadKey> {
        let failed = |_| BadKey::Inconsistent("it could not be encrypted".into());
        let pkcs8 = self.to_pkcs8();
        let what = "PKCS#8 private key";
        let info = PrivateKeyInfoRef::try_from(pkcs8.as_slice()).map_err(|_| Malformed { what })?;
        let encrypted = info.encrypt(password).map_err(failed)?;
        Ok(pem("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(.. of {:?})", self.public)
    }
}

/// ECPrivateKey (RFC 5915 §3).
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    point: Option<BitStringRef<'a>>,
}

fn known_curve(oid: ObjectIdentifier) -> Result<Curve, BadKey> {
    Curve::from_oid(oid).ok_or_else(|| BadKey::Unsupported(format!("ECDSA on {oid}")))
}

fn inconsistent(why: aws_lc_rs::error::KeyRejected) -> BadKey {
    BadKey::Inconsistent(why.to_string())
}

/// The curve with its own hash; the signature comes out as `r ‖ s`.
fn raw(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &lc::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &lc::ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &lc::ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn rsa_encoding(scheme: Scheme) -> Option<&'static dyn RsaEncoding> {
    Some(match scheme {
        Scheme::RsaPkcs1(Hash::Sha256) => &lc::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1(Hash::Sha384) => &lc::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1(Hash::Sha512) => &lc::RSA_PKCS1_SHA512,
        Scheme::RsaPss(Hash::Sha256) => &lc::RSA_PSS_SHA256,
        Scheme::RsaPss(Hash::Sha384) => &lc::RSA_PSS_SHA384,
        Scheme::RsaPss(Hash::Sha512) => &lc::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn sign_rsa(
    key: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, CannotSign> {
    let mut out = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut out).map_err(|_| CannotSign::Failed)?;
    Ok(out)
}

fn sign_ecdsa(key: &EcdsaKeyPair, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
    let signature = key.sign(&SystemRandom::new(), message).map_err(|_| CannotSign::Failed)?;
    if matches!(scheme, Scheme::EcdsaRaw(_)) {
        return Ok(signature.as_ref().to_vec());
    }
    ecdsa_der(signature.as_ref()).ok_or(CannotSign::Failed)
}

/// ECDSA-Sig-Value from `r ‖ s`.
fn ecdsa_der(raw: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(raw.len() / 2)?;
    let (r, s) = (UintRef::new(r).ok()?, UintRef::new(s).ok()?);
    asn1::EcdsaSignature { r, s }.to_der().ok()
}
