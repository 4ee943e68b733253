//! Certification requests (RFC 2986): what somebody asks a CA to sign, without the key leaving its place.
use crate::asn1::{self, Attribute, AttributeSet, RequestInfo, Signed};
use crate::extensions::{self, AltName};
use crate::make::{self, CannotMake};
use crate::{BadKey, Malformed, Name, PrivateKey, PublicKey, Scheme, pem, read};
use der::asn1::{AnyRef, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode, Tag};

/// A request whose signature holds: who made it has the private key.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    subject: Name,
    key: PublicKey,
    alt_names: Vec<AltName>,
}

impl Request {
    /// Asks for a certificate for `key`.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn new(
        subject: &Name,
        alt_names: &[AltName],
        key: &PrivateKey,
    ) -> Result<Self, CannotMake> {
        let wanted = make::alt_name_extension(subject, alt_names)?;
        let extensions = wanted.iter().map(make::Made::view).collect::<Result<Vec<_>, _>>()?;
        let list = extensions.to_der()?;
        let list = AnyRef::from_der(&list)?;
        let values = list.to_der()?;
        let values = AnyRef::new(Tag::Set, &values)?;
        let mut attributes: AttributeSet<'_> = SetOfVec::new();
        if wanted.is_some() {
            attributes.insert(Attribute { oid: EXTENSION_REQUEST, values })?;
        }
        let info = RequestInfo {
            version: 0,
            subject: AnyRef::from_der(subject.der())?,
            key: AnyRef::from_der(key.public_key().spki())?,
            attributes,
        };
        let der = make::sign(&info.to_der()?, key)?;
        Self::from_der(&der).map_err(|_| CannotMake::Encoding)
    }

    /// Reads a request in DER and checks its signature.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_der(der: &[u8]) -> Result<Self, BadKey> {
        const WHAT: &str = "certification request";
        let bad = Malformed { what: WHAT };
        if der.len() > crate::MAX_CERTIFICATE {
            return Err(bad.into());
        }
        let outer: Signed<'_> = asn1::decode(der, WHAT)?;
        let info: RequestInfo<'_> = outer.body.decode_as().map_err(|_| bad)?;
        let key = PublicKey::from_spki(&asn1::octets(&info.key, WHAT)?)?;
        let unknown = || BadKey::Unsupported(outer.algorithm.oid.to_string());
        let scheme = Scheme::from_parsed(&outer.algorithm)?.ok_or_else(unknown)?;
        let signature = outer.signature.as_bytes().ok_or(bad)?;
        key.verify(scheme, &asn1::octets(&outer.body, WHAT)?, signature)
            .map_err(|why| BadKey::Inconsistent(why.to_string()))?;
        let subject = Name::from_any(info.subject)?;
        let alt_names = requested_names(&info.attributes)?;
        Ok(Self { der: der.to_vec(), subject, key, alt_names })
    }

    /// Reads a request from a file, PEM or DER.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn read(octets: &[u8]) -> Result<Self, BadKey> {
        let text = std::str::from_utf8(octets).unwrap_or_default();
        let wanted = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
        match read::blocks(text).find(|block| wanted.contains(&block.label)) {
            Some(block) => Self::from_der(&block.decode()?),
            None => Self::from_der(octets),
        }
    }

    /// The request in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The request in PEM.
    pub fn to_pem(&self) -> String {
        pem("CERTIFICATE REQUEST", &self.der)
    }
    /// The subject that is asked for.
    pub fn subject(&self) -> &Name {
        &self.subject
    }
    /// The key that is to be certified.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
    /// The subjectAltName that is asked for. A CA decides what it grants; other extensions are not even read.
    pub fn alt_names(&self) -> &[AltName] {
        &self.alt_names
    }
}

fn requested_names(attributes: &AttributeSet<'_>) -> Result<Vec<AltName>, Malformed> {
    const WHAT: &str = "extensionRequest";
    let bad = |_| Malformed { what: WHAT };
    let Some(wanted) = attributes.iter().find(|one| one.oid == EXTENSION_REQUEST) else {
        return Ok(Vec::new());
    };
    let list: Vec<asn1::Extension<'_>> = Decode::from_der(wanted.values.value()).map_err(bad)?;
    let names = list.iter().find(|extension| extension.oid == extensions::SUBJECT_ALT_NAME);
    names.map_or(Ok(Vec::new()), |names| extensions::alt_names(names.value.as_bytes()))
}

/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
