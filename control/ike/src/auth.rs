//! AUTH payloads: proofs of identity made and checked (RFC 7296 §2.15, §3.8; RFC 4754; RFC 7427; RFC 8420).
//!
//! The octets that they cover, and the proof by a shared key, are in [`derive`](crate::derive). How a peer must
//! prove itself is policy: the caller picks the function, and the method that the peer names must fit it.
//! Signatures take long enough to belong into the pool.

use pki::{Certificate, Hash, Identity, PrivateKey, Purpose, Scheme, Trust};
use pki::{PublicKey, Refused};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use wire::iana::ike::{AuthMethod, HashAlgorithm};
use wire::ike::DigitalSignature;

use crate::algorithm::Prf;
use crate::{Key, derive};

/// The hashes that we take in signatures, as SIGNATURE_HASH_ALGORITHMS lists them (RFC 7427 §4). SHA-1 is
/// never among them (RFC 8247 §3.2).
pub const HASHES: &[HashAlgorithm] = &[
    HashAlgorithm::SHA2_256,
    HashAlgorithm::SHA2_384,
    HashAlgorithm::SHA2_512,
    HashAlgorithm::IDENTITY,
];

/// The most certificates of a peer that are looked at; its own is the first.
const MOST_CERTIFICATES: usize = 16;

/// What a peer sent to prove itself, and what that must cover.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The AUTH payload's method.
    pub method: AuthMethod,
    /// Its data.
    pub auth: Vec<u8>,
    /// What [`auth_octets`](crate::derive::auth_octets) gives for the peer's side.
    pub octets: Vec<u8>,
}

/// Our proof by a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The AUTH payload's method.
    pub method: AuthMethod,
    /// Its data.
    pub data: Vec<u8>,
    /// How it was made.
    pub scheme: Scheme,
}

/// Why there is no proof of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotProve {
    /// The peer takes no hash that this key signs with (RFC 7427 §4).
    #[error("the key {key} signs with none of the hashes that the peer takes: {}", List(taken))]
    Hashes {
        /// Our key.
        key: pki::KeyKind,
        /// The peer's.
        taken: Vec<HashAlgorithm>,
    },
    /// The peer announced no hashes, and there is no classic method for this key.
    #[error("the peer knows only the classic signature methods, and there is none for the key {0}")]
    Classic(pki::KeyKind),
    /// As before; the classic method for RSA signs with SHA-1, which is not allowed here.
    #[error("the peer takes RSA signatures with SHA-1 only, which need `legacy: true`")]
    Sha1,
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] pki::CannotSign),
    /// The data do not fit the payload; no scheme of ours comes near.
    #[error("the signature does not fit its payload")]
    TooLong,
}

/// Why a peer's proof is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// Its method is not what policy asks for.
    #[error("the peer proves itself by {got}, and we accept {wanted}")]
    Method {
        /// What it named.
        got: AuthMethod,
        /// What it may name.
        wanted: &'static str,
    },
    /// The keys differ, or what was signed does.
    #[error("the pre-shared keys differ")]
    SharedKey,
    /// The signature cannot be read.
    #[error("the signature's algorithm cannot be read: {0}")]
    Unreadable(String),
    /// The signature is by a scheme that we do not have.
    #[error("the signature is by an algorithm that we do not have")]
    UnknownScheme,
    /// The signature is with a hash that we have not offered.
    #[error("the signature is by {0}, whose hash we have not offered")]
    Hash(Scheme),
    /// SHA-1 is not allowed here.
    #[error("the signature is with SHA-1, which needs `legacy: true`")]
    Sha1,
    /// There is no certificate, or no key, to check it with.
    #[error("there is no {0} to check the signature with")]
    NoKey(&'static str),
    /// The peer's own certificate cannot be read.
    #[error("the peer's certificate cannot be read: {0}")]
    BadCertificate(String),
    /// The certificate is not the identity's.
    #[error("the certificate of {subject} does not carry the identity {identity}")]
    Identity {
        /// Whose it is.
        subject: String,
        /// What the peer claims.
        identity: String,
    },
    /// The certificate is not to be trusted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] pki::BadSignature),
}

/// Numbers with names, with commas between.
struct List<'a>(&'a [HashAlgorithm]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, hash) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{hash}")?;
        }
        Ok(())
    }
}

/// The hash of a scheme as the registry numbers it (RFC 7427 §7, RFC 8420 §2).
fn hash_of(scheme: Scheme) -> HashAlgorithm {
    scheme.hash().map_or(HashAlgorithm::IDENTITY, |hash| HashAlgorithm(hash.ike()))
}

/// The classic method of a scheme (RFC 7296 §3.8, RFC 4754 §3).
const fn classic_method(scheme: Scheme) -> Option<AuthMethod> {
    Some(match scheme {
        Scheme::RsaPkcs1(Hash::Sha1) => AuthMethod::RSA_SIGNATURE,
        Scheme::EcdsaRaw(pki::Curve::P256) => AuthMethod::ECDSA_256,
        Scheme::EcdsaRaw(pki::Curve::P384) => AuthMethod::ECDSA_384,
        Scheme::EcdsaRaw(pki::Curve::P521) => AuthMethod::ECDSA_521,
        _ => return None,
    })
}

/// Signs `octets`: by RFC 7427 when the peer announced `hashes`, with the key's first scheme whose hash is one
/// of them; otherwise by the classic method, for which RSA needs leave to use SHA-1.
///
/// # Errors
/// [`CannotProve`].
pub fn sign(
    key: &PrivateKey,
    hashes: Option<&[HashAlgorithm]>,
    sha1: bool,
    octets: &[u8],
) -> Result<Signed, CannotProve> {
    match hashes {
        Some(taken) => sign_named(key, taken, octets),
        None => sign_classic(key, sha1, octets),
    }
}

fn sign_named(
    key: &PrivateKey,
    taken: &[HashAlgorithm],
    octets: &[u8],
) -> Result<Signed, CannotProve> {
    let fits = |scheme: &Scheme| {
        let hash = hash_of(*scheme);
        hash != HashAlgorithm::SHA1 && taken.contains(&hash)
    };
    let named = |scheme: Scheme| Some((scheme, scheme.algorithm_identifier()?));
    let found = key.schemes().iter().copied().filter(fits).find_map(named);
    let (scheme, algorithm) = found.ok_or_else(|| CannotProve::Hashes {
        key: key.public_key().kind(),
        taken: taken.to_vec(),
    })?;
    let signature = key.sign(scheme, octets)?;
    let data = DigitalSignature { algorithm, signature: &signature }.data();
    let data = data.map_err(|_| CannotProve::TooLong)?;
    Ok(Signed { method: AuthMethod::DIGITAL_SIGNATURE, data, scheme })
}

fn sign_classic(key: &PrivateKey, sha1: bool, octets: &[u8]) -> Result<Signed, CannotProve> {
    let method = |scheme: Scheme| Some((scheme, classic_method(scheme)?));
    let found = key.schemes().iter().copied().find_map(method);
    let (scheme, method) = found.ok_or(CannotProve::Classic(key.public_key().kind()))?;
    if scheme.hash() == Some(Hash::Sha1) && !sha1 {
        return Err(CannotProve::Sha1);
    }
    Ok(Signed { method, data: key.sign(scheme, octets)?, scheme })
}

/// Checks a proof by a shared key, in constant time (RFC 7296 §2.15).
///
/// # Errors
/// [`NotProved::Method`] or [`NotProved::SharedKey`].
pub fn verify_psk(prf: Prf, psk: &Key, proof: &Proof) -> Result<(), NotProved> {
    if proof.method != AuthMethod::SHARED_KEY {
        return Err(NotProved::Method { got: proof.method, wanted: "a pre-shared key" });
    }
    let wanted = derive::psk_auth(prf, psk, &proof.octets);
    let same = wanted.expose().ct_eq(&proof.auth);
    if bool::from(same) { Ok(()) } else { Err(NotProved::SharedKey) }
}

/// Checks a proof by a key that we know: any of `keys`. `sha1`: whether method 1 may use SHA-1. Gives the
/// scheme.
///
/// # Errors
/// [`NotProved`], that of the last key.
pub fn verify_raw_key(
    keys: &[Arc<PublicKey>],
    sha1: bool,
    proof: &Proof,
) -> Result<Scheme, NotProved> {
    let mut last = NotProved::NoKey("raw public key");
    for key in keys {
        match verify_signature(key, sha1, proof) {
            Ok(scheme) => return Ok(scheme),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Checks a proof by a certificate: `chain` as the peer sent it, in DER, its own first. The certificate must
/// carry `identity`, lead to an anchor, and its key must have made the signature. What else the peer sent and
/// we cannot read is passed over. Gives the scheme.
///
/// # Errors
/// [`NotProved`]: the first check that failed, the cheapest being made first.
pub fn verify_certificate(
    trust: &Trust,
    chain: &[Vec<u8>],
    identity: &Identity,
    proof: &Proof,
    unix_now: u64,
) -> Result<Scheme, NotProved> {
    let (leaf, rest) = chain.split_first().ok_or(NotProved::NoKey("certificate"))?;
    let leaf = Certificate::from_der(leaf);
    let leaf = leaf.map_err(|why| NotProved::BadCertificate(why.to_string()))?;
    if !leaf.carries(identity) {
        let (subject, identity) = (leaf.subject().to_string(), identity.to_string());
        return Err(NotProved::Identity { subject, identity });
    }
    let received = rest.iter().take(MOST_CERTIFICATES);
    let received: Vec<_> = received.filter_map(|der| Certificate::from_der(der).ok()).collect();
    trust.verify(&leaf, &received, unix_now, Purpose::Ike)?;
    verify_signature(leaf.public_key(), trust.limits.sha1, proof)
}

/// Checks a signature with one key. `sha1`: whether method 1 may use SHA-1. Gives the scheme.
///
/// # Errors
/// [`NotProved`].
pub fn verify_signature(key: &PublicKey, sha1: bool, proof: &Proof) -> Result<Scheme, NotProved> {
    match proof.method {
        AuthMethod::DIGITAL_SIGNATURE => verify_named(key, proof),
        AuthMethod::RSA_SIGNATURE => verify_rsa(key, sha1, proof),
        AuthMethod::ECDSA_256 => verify_by(key, Scheme::EcdsaRaw(pki::Curve::P256), proof),
        AuthMethod::ECDSA_384 => verify_by(key, Scheme::EcdsaRaw(pki::Curve::P384), proof),
        AuthMethod::ECDSA_521 => verify_by(key, Scheme::EcdsaRaw(pki::Curve::P521), proof),
        got => Err(NotProved::Method { got, wanted: "a signature" }),
    }
}

fn verify_by(key: &PublicKey, scheme: Scheme, proof: &Proof) -> Result<Scheme, NotProved> {
    key.verify(scheme, &proof.octets, &proof.auth)?;
    Ok(scheme)
}

/// The method that names its algorithm (RFC 7427 §3). The hash must be one that we offer.
fn verify_named(key: &PublicKey, proof: &Proof) -> Result<Scheme, NotProved> {
    let unreadable = |why: &dyn fmt::Display| NotProved::Unreadable(why.to_string());
    let named = DigitalSignature::parse(&proof.auth).map_err(|why| unreadable(&why))?;
    let scheme = Scheme::from_algorithm_identifier(named.algorithm);
    let scheme = scheme.map_err(|why| unreadable(&why))?.ok_or(NotProved::UnknownScheme)?;
    if !HASHES.contains(&hash_of(scheme)) {
        return Err(NotProved::Hash(scheme));
    }
    key.verify(scheme, &proof.octets, named.signature)?;
    Ok(scheme)
}

/// Method 1: RSASSA-PKCS1-v1_5 with a hash that only the signature itself says (RFC 7296 §3.8). Each is tried
/// by encoding anew; nothing is parsed.
fn verify_rsa(key: &PublicKey, sha1: bool, proof: &Proof) -> Result<Scheme, NotProved> {
    let holds = |hash| verify_by(key, Scheme::RsaPkcs1(hash), proof);
    let strong = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
    if let Some(scheme) = strong.into_iter().find_map(|hash| holds(hash).ok()) {
        return Ok(scheme);
    }
    match holds(Hash::Sha1) {
        Ok(_) if !sha1 => Err(NotProved::Sha1),
        other => other,
    }
}
