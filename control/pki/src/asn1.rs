//! The outer structures of certificates and requests, as views on their octets. What is signed and what is compared
//! stays as it came: nothing is decoded and encoded again.
use crate::Malformed;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, Sequence, SliceReader, Tag, Tagged};

pub const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// AlgorithmIdentifier (RFC 5280 §4.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Sequence)]
pub struct AlgorithmIdentifier<'a> {
    pub oid: ObjectIdentifier,
    #[asn1(optional = "true")]
    pub parameters: Option<AnyRef<'a>>,
}

/// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
#[derive(Clone, Copy, Debug, Sequence)]
pub struct SubjectPublicKeyInfo<'a> {
    pub algorithm: AlgorithmIdentifier<'a>,
    pub key: BitStringRef<'a>,
}

/// Anything signed: certificate and certification request have this shape.
#[derive(Debug, Sequence)]
pub struct Signed<'a> {
    pub body: AnyRef<'a>,
    pub algorithm: AlgorithmIdentifier<'a>,
    pub signature: BitStringRef<'a>,
}

/// TBSCertificate (RFC 5280 §4.1). Version 0 is v1.
#[derive(Debug, Sequence)]
pub struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    pub version: u8,
    /// An INTEGER; negative and long ones exist.
    pub serial: AnyRef<'a>,
    pub signature: AlgorithmIdentifier<'a>,
    pub issuer: AnyRef<'a>,
    pub validity: Validity,
    pub subject: AnyRef<'a>,
    pub key: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub issuer_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub subject_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension<'a>>>,
}

/// Validity (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, Sequence)]
pub struct Validity {
    pub not_before: x509_cert::time::Time,
    pub not_after: x509_cert::time::Time,
}

/// Extension (RFC 5280 §4.1).
#[derive(Clone, Copy, Debug, Sequence)]
pub struct Extension<'a> {
    pub oid: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    pub critical: bool,
    pub value: &'a OctetStringRef,
}

/// CertificationRequestInfo (RFC 2986 §4.1).
#[derive(Debug, Sequence)]
pub struct RequestInfo<'a> {
    pub version: u8,
    pub subject: AnyRef<'a>,
    pub key: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true")]
    pub attributes: AttributeSet<'a>,
}

/// SET OF Attribute, in the order in which it came.
pub type AttributeSet<'a> = der::asn1::SetOfVec<Attribute<'a>>;

/// Attribute (RFC 2986 §4.1).
#[derive(Debug, Clone, Sequence, PartialEq, Eq, der::ValueOrd)]
pub struct Attribute<'a> {
    pub oid: ObjectIdentifier,
    /// A SET.
    pub values: AnyRef<'a>,
}

/// ECDSA-Sig-Value (RFC 3279 §2.2.3).
#[derive(Debug, Sequence)]
pub struct EcdsaSignature<'a> {
    pub r: der::asn1::UintRef<'a>,
    pub s: der::asn1::UintRef<'a>,
}

/// RSAPublicKey (RFC 8017 §A.1.1).
#[derive(Debug, Sequence)]
pub struct RsaPublicKey<'a> {
    pub modulus: der::asn1::UintRef<'a>,
    pub exponent: der::asn1::UintRef<'a>,
}

/// Decodes all of `octets`; what follows the value is an error.
pub fn decode<'a, T: Decode<'a>>(octets: &'a [u8], what: &'static str) -> Result<T, Malformed> {
    T::from_der(octets).map_err(|_| Malformed { what })
}

/// The members of a constructed value, which must be a `tag`.
pub fn members<'a>(
    value: AnyRef<'a>,
    tag: Tag,
    what: &'static str,
) -> Result<Vec<AnyRef<'a>>, Malformed> {
    let bad = |_| Malformed { what };
    if value.tag() != tag {
        return Err(Malformed { what });
    }
    let mut reader = SliceReader::new(value.value()).map_err(bad)?;
    let mut out = Vec::new();
    while !reader.is_finished() {
        out.push(AnyRef::decode(&mut reader).map_err(bad)?);
    }
    Ok(out)
}

/// A value's own octets, tag and length included. DER has one encoding of each value, so this is what came.
pub fn octets(value: &impl der::Encode, what: &'static str) -> Result<Vec<u8>, Malformed> {
    value.to_der().map_err(|_| Malformed { what })
}
