//! Hashes, curves and signature schemes, and the AlgorithmIdentifier of each (RFC 7427 Appendix A).
use crate::Malformed;
use crate::asn1::{self, AlgorithmIdentifier};
use aws_lc_rs::digest;
use der::Sequence;
use der::asn1::ObjectIdentifier;
use std::fmt;

/// A hash that signatures are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// SHA-1: only in AUTH method 1 of old peers, and in CA certificates where [`crate::Limits`] allows it.
    Sha1,
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

impl Hash {
    /// Octets of the output.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
    /// The number in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §7).
    pub const fn ike(self) -> u16 {
        match self {
            Self::Sha1 => 1,
            Self::Sha256 => 2,
            Self::Sha384 => 3,
            Self::Sha512 => 4,
        }
    }
    /// From the number in SIGNATURE_HASH_ALGORITHMS; `None` when we do not have it.
    pub const fn from_ike(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Sha1),
            2 => Some(Self::Sha256),
            3 => Some(Self::Sha384),
            4 => Some(Self::Sha512),
            _ => None,
        }
    }
    /// The hash of `message`.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), message).as_ref().to_vec()
    }
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
    fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            SHA1 => Some(Self::Sha1),
            SHA256 => Some(Self::Sha256),
            SHA384 => Some(Self::Sha384),
            SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA2-256",
            Self::Sha384 => "SHA2-384",
            Self::Sha512 => "SHA2-512",
        })
    }
}

/// An elliptic curve for ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    /// Octets of a coordinate, and of `r` and of `s` in a raw signature (RFC 4754 §7).
    pub const fn octets(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
    /// The hash that goes with the curve (RFC 4754 §7).
    pub const fn hash(self) -> Hash {
        match self {
            Self::P256 => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }
    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            SECP256R1 => Some(Self::P256),
            SECP384R1 => Some(Self::P384),
            SECP521R1 => Some(Self::P521),
            _ => None,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

/// What kind of key, and how large. Also what [`crate::PrivateKey::generate`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits.
    Rsa(u32),
    /// A point on a curve.
    Ecdsa(Curve),
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ecdsa(curve) => write!(f, "ECDSA {curve}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// How a signature is made and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5. With [`Hash::Sha1`] it is AUTH method 1 (RFC 7296 §3.8).
    RsaPkcs1(Hash),
    /// RSASSA-PSS with MGF1 on the same hash and a salt as long as the hash.
    RsaPss(Hash),
    /// ECDSA, the signature an ECDSA-Sig-Value in DER. The curve is the key's.
    Ecdsa(Hash),
    /// ECDSA with the curve's own hash, the signature `r ‖ s` (RFC 4754): AUTH methods 9, 10 and 11.
    EcdsaRaw(Curve),
    /// Ed25519 over the message itself (RFC 8420: the hash "Identity").
    Ed25519,
}

impl Scheme {
    /// The DER AlgorithmIdentifier, as AUTH method 14 carries it (RFC 7427 §3); `None` for raw ECDSA, which has none.
    pub const fn algorithm_identifier(self) -> Option<&'static [u8]> {
        Some(match self {
            Self::RsaPkcs1(Hash::Sha1) => &PKCS1_SHA1,
            Self::RsaPkcs1(Hash::Sha256) => &PKCS1_SHA256,
            Self::RsaPkcs1(Hash::Sha384) => &PKCS1_SHA384,
            Self::RsaPkcs1(Hash::Sha512) => &PKCS1_SHA512,
            Self::RsaPss(Hash::Sha256) => &PSS_SHA256,
            Self::RsaPss(Hash::Sha384) => &PSS_SHA384,
            Self::RsaPss(Hash::Sha512) => &PSS_SHA512,
            Self::Ecdsa(Hash::Sha256) => &ECDSA_SHA256,
            Self::Ecdsa(Hash::Sha384) => &ECDSA_SHA384,
            Self::Ecdsa(Hash::Sha512) => &ECDSA_SHA512,
            Self::Ed25519 => &ED25519,
            Self::RsaPss(Hash::Sha1) | Self::Ecdsa(Hash::Sha1) | Self::EcdsaRaw(_) => return None,
        })
    }

    /// Which scheme an AlgorithmIdentifier names. `Ok(None)`: well formed, and not one that we have.
    ///
    /// # Errors
    /// [`Malformed`]: not one AlgorithmIdentifier in DER, or parameters that its algorithm does not have.
    pub fn from_algorithm_identifier(der: &[u8]) -> Result<Option<Self>, Malformed> {
        let identifier = asn1::decode(der, "AlgorithmIdentifier")?;
        Self::from_parsed(&identifier)
    }

    pub(crate) fn from_parsed(
        identifier: &AlgorithmIdentifier<'_>,
    ) -> Result<Option<Self>, Malformed> {
        let (scheme, parameters) = match identifier.oid {
            RSASSA_PSS => return pss(identifier),
            oid => match Self::by_oid(oid) {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let fits = match (parameters, identifier.parameters) {
            (_, None) => true, // RFC 4055 §5: absent must be accepted where NULL is meant
            (Parameters::Null, Some(value)) => value.is_null(),
            (Parameters::Absent, Some(_)) => false,
        };
        if fits { Ok(Some(scheme)) } else { Err(Malformed { what: "signature parameters" }) }
    }

    fn by_oid(oid: ObjectIdentifier) -> Option<(Self, Parameters)> {
        Some(match oid {
            RSA_SHA1 => (Self::RsaPkcs1(Hash::Sha1), Parameters::Null),
            RSA_SHA256 => (Self::RsaPkcs1(Hash::Sha256), Parameters::Null),
            RSA_SHA384 => (Self::RsaPkcs1(Hash::Sha384), Parameters::Null),
            RSA_SHA512 => (Self::RsaPkcs1(Hash::Sha512), Parameters::Null),
            ECDSA_WITH_SHA256 => (Self::Ecdsa(Hash::Sha256), Parameters::Absent),
            ECDSA_WITH_SHA384 => (Self::Ecdsa(Hash::Sha384), Parameters::Absent),
            ECDSA_WITH_SHA512 => (Self::Ecdsa(Hash::Sha512), Parameters::Absent),
            asn1::ED25519 => (Self::Ed25519, Parameters::Absent),
            _ => return None,
        })
    }

    /// The hash over the message; `None` for Ed25519, which signs the message itself.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::EcdsaRaw(curve) => Some(curve.hash()),
            Self::Ed25519 => None,
        }
    }

    /// Whether a key of this kind can make such a signature.
    pub const fn fits(self, key: KeyKind) -> bool {
        match (self, key) {
            (Self::RsaPkcs1(_) | Self::RsaPss(_), KeyKind::Rsa(_))
            | (Self::Ecdsa(_), KeyKind::Ecdsa(_))
            | (Self::Ed25519, KeyKind::Ed25519) => true,
            (Self::EcdsaRaw(wanted), KeyKind::Ecdsa(curve)) => wanted as u8 == curve as u8,
            _ => false,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSASSA-PKCS1-v1_5 with {hash}"),
            Self::RsaPss(hash) => write!(f, "RSASSA-PSS with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::EcdsaRaw(curve) => write!(f, "ECDSA with {} on {curve}", curve.hash()),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

enum Parameters {
    Null,
    Absent,
}

/// RSASSA-PSS-params (RFC 4055 §3.1). Absent fields mean SHA-1, MGF1 with SHA-1, 20 and 1.
#[derive(Sequence)]
struct PssParameters<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifier<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifier<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u32>,
}

/// Of all that the parameters can say, the one meaning that anybody uses: the same hash twice, and a salt as long.
fn pss(identifier: &AlgorithmIdentifier<'_>) -> Result<Option<Scheme>, Malformed> {
    let bad = Malformed { what: "RSASSA-PSS parameters" };
    let parameters: PssParameters<'_> =
        identifier.parameters.ok_or(bad)?.decode_as().map_err(|_| bad)?;
    let hash = parameters.hash.map_or(Some(Hash::Sha1), |hash| hash_of(&hash));
    let mask = match parameters.mask {
        None => Some(Hash::Sha1),
        Some(mask) if mask.oid == MGF1 => {
            let inner = mask.parameters.ok_or(bad)?.decode_as().map_err(|_| bad)?;
            hash_of(&inner)
        }
        Some(_) => None,
    };
    let (salt, trailer) = (parameters.salt.unwrap_or(20), parameters.trailer.unwrap_or(1));
    let known = hash.filter(|&hash| {
        hash != Hash::Sha1 && mask == Some(hash) && salt as usize == hash.octets() && trailer == 1
    });
    Ok(known.map(Scheme::RsaPss))
}

fn hash_of(identifier: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    let plain = identifier.parameters.is_none_or(|value| value.is_null());
    Hash::from_oid(identifier.oid).filter(|_| plain)
}

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const RSA_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
pub(crate) const RSASSA_PSS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

static PKCS1_SHA1: [u8; 15] = pkcs1(5);
static PKCS1_SHA256: [u8; 15] = pkcs1(11);
static PKCS1_SHA384: [u8; 15] = pkcs1(12);
static PKCS1_SHA512: [u8; 15] = pkcs1(13);
static PSS_SHA256: [u8; 67] = pss_identifier(1, 32);
static PSS_SHA384: [u8; 67] = pss_identifier(2, 48);
static PSS_SHA512: [u8; 67] = pss_identifier(3, 64);
static ECDSA_SHA256: [u8; 12] = ecdsa(2);
static ECDSA_SHA384: [u8; 12] = ecdsa(3);
static ECDSA_SHA512: [u8; 12] = ecdsa(4);
static ED25519: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

/// pkcs-1 `arc` with NULL parameters (RFC 7427 §A.1).
const fn pkcs1(arc: u8) -> [u8; 15] {
    [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, arc, 5, 0]
}

/// ecdsa-with-SHA2 `arc` without parameters (RFC 7427 §A.3).
const fn ecdsa(arc: u8) -> [u8; 12] {
    [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, arc]
}

/// RSASSA-PSS with SHA-2 `arc` twice and a salt of so many octets (RFC 7427 §A.4).
#[rustfmt::skip]
const fn pss_identifier(arc: u8, salt: u8) -> [u8; 67] {
    [
        0x30, 0x41, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10, 0x30, 0x34,
        0xa0, 0x0f, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, arc, 5, 0,
        0xa1, 0x1c, 0x30, 0x1a, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8,
        0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, arc, 5, 0,
        0xa2, 3, 2, 1, salt,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scheme; 11] = [
        Scheme::RsaPkcs1(Hash::Sha1),
        Scheme::RsaPkcs1(Hash::Sha256),
        Scheme::RsaPkcs1(Hash::Sha384),
        Scheme::RsaPkcs1(Hash::Sha512),
        Scheme::RsaPss(Hash::Sha256),
        Scheme::RsaPss(Hash::Sha384),
        Scheme::RsaPss(Hash::Sha512),
        Scheme::Ecdsa(Hash::Sha256),
        Scheme::Ecdsa(Hash::Sha384),
        Scheme::Ecdsa(Hash::Sha512),
        Scheme::Ed25519,
    ];

    #[test]
    fn identifiers_name_the_scheme_that_they_were_made_from() {
        for scheme in ALL {
            let der = scheme.algorithm_identifier().unwrap();
            assert_eq!(Scheme::from_algorithm_identifier(der), Ok(Some(scheme)), "{scheme}");
            let mut longer = der.to_vec();
            longer.push(0);
            assert!(Scheme::from_algorithm_identifier(&longer).is_err(), "{scheme}");
            for end in 0..der.len() {
                assert!(Scheme::from_algorithm_identifier(&der[..end]).is_err(), "{scheme}");
            }
        }
        assert_eq!(Scheme::EcdsaRaw(Curve::P256).algorithm_identifier(), None);
    }

    #[test]
    fn pss_parameters_mean_one_hash_twice_and_a_salt_as_long() {
        let parse = |der: &[u8]| Scheme::from_algorithm_identifier(der);
        let mut der = PSS_SHA256;
        der[66] = 20;
        assert_eq!(parse(&der), Ok(None), "a short salt");
        let mut der = PSS_SHA256;
        der[59] = 2;
        assert_eq!(parse(&der), Ok(None), "MGF1 with another hash");
        // all defaults: SHA-1
        let defaults = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10, 0x30, 0];
        assert_eq!(parse(&defaults), Ok(None));
        let no_parameters = [0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
        assert!(parse(&no_parameters).is_err());
    }

    #[test]
    fn parameters_that_an_algorithm_does_not_have_are_refused() {
        let ecdsa_null = [0x30, 12, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2, 5, 0];
        assert!(Scheme::from_algorithm_identifier(&ecdsa_null).is_err());
        let rsa_absent = [0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
        let parsed = Scheme::from_algorithm_identifier(&rsa_absent);
        assert_eq!(parsed, Ok(Some(Scheme::RsaPkcs1(Hash::Sha256))));
        let md5_with_rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4, 5, 0];
        assert_eq!(Scheme::from_algorithm_identifier(&md5_with_rsa), Ok(None));
    }

    #[test]
    fn hashes_have_the_numbers_of_rfc_7427() {
        for (number, hash) in
            [(1, Hash::Sha1), (2, Hash::Sha256), (3, Hash::Sha384), (4, Hash::Sha512)]
        {
            assert_eq!((hash.ike(), Hash::from_ike(number)), (number, Some(hash)));
            assert_eq!(hash.digest(b"x").len(), hash.octets());
        }
        assert_eq!(Hash::from_ike(5), None, "Identity is no hash");
    }
}
