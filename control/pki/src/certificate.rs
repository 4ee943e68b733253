//! Certificates (RFC 5280 §4.1).
use crate::asn1::{self, Signed, TbsCertificate};
use crate::extensions::Extensions;
use crate::{
    AltName, BadFile, BadKey, BadSignature, Hash, Identity, Malformed, Name, PublicKey, Scheme, pem,
};
use der::Encode;
use std::fmt;
use std::sync::Arc;

/// Octets of the largest certificate that is read.
pub const MAX_CERTIFICATE: usize = 32 * 1024;

/// A certificate that was read, not one that was verified: that is [`crate::Trust::verify`]. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    /// What the signature is over, and the signature.
    body: Vec<u8>,
    signature: Vec<u8>,
    /// `None`: an algorithm that we do not have.
    scheme: Option<Scheme>,
    serial: Vec<u8>,
    issuer: Name,
    subject: Name,
    not_before: u64,
    not_after: u64,
    key: PublicKey,
    extensions: Extensions,
    /// SHA-256 of `der`.
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// [`BadKey`]: malformed, larger than [`MAX_CERTIFICATE`], or with a public key that we cannot use.
    pub fn from_der(der: &[u8]) -> Result<Self, BadKey> {
        const WHAT: &str = "certificate";
        let bad = Malformed { what: WHAT };
        if der.len() > MAX_CERTIFICATE {
            return Err(Malformed { what: "certificate: above 32 KiB" }.into());
        }
        let outer: Signed<'_> = asn1::decode(der, WHAT)?;
        let tbs: TbsCertificate<'_> = outer.body.decode_as().map_err(|_| bad)?;
        // the algorithm stands twice, and only the inner one is signed (RFC 5280 §4.1.1.2)
        if tbs.signature != outer.algorithm {
            return Err(Malformed { what: "certificate: two signature algorithms" }.into());
        }
        let list = tbs.extensions.as_deref().unwrap_or_default();
        if tbs.version > 2 || (tbs.version != 2 && tbs.extensions.is_some()) {
            return Err(Malformed { what: "certificate: its version" }.into());
        }
        Ok(Self(Arc::new(Parts {
            body: asn1::octets(&outer.body, WHAT)?,
            signature: outer.signature.as_bytes().ok_or(bad)?.to_vec(),
            scheme: Scheme::from_parsed(&outer.algorithm)?,
            serial: serial(tbs.serial)?,
            issuer: Name::from_any(tbs.issuer)?,
            subject: Name::from_any(tbs.subject)?,
            not_before: tbs.validity.not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity.not_after.to_unix_duration().as_secs(),
            key: PublicKey::from_spki(&tbs.key.to_der().map_err(|_| bad)?)?,
            extensions: Extensions::parse(list)?,
            fingerprint: sha256(der),
            der: der.to_vec(),
        })))
    }

    /// Reads one certificate from a file, PEM or DER. Where there may be several: [`crate::certificates`].
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read(octets: &[u8]) -> Result<Self, BadFile> {
        crate::certificates(octets)?.into_iter().next().ok_or(BadFile::Empty("certificate"))
    }

    /// The certificate in DER, as it came.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }
    /// The certificate in PEM.
    pub fn to_pem(&self) -> String {
        pem("CERTIFICATE", &self.0.der)
    }
    /// Whom it is for. May be empty.
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }
    /// Who signed it.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }
    /// The serial number's octets, most significant first, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }
    /// The serial number in hex.
    pub fn serial_text(&self) -> String {
        self.0.serial.iter().map(|octet| format!("{octet:02x}")).collect()
    }
    /// First second of its validity, in Unix seconds.
    pub fn not_before(&self) -> u64 {
        self.0.not_before
    }
    /// Last second of its validity, in Unix seconds.
    pub fn not_after(&self) -> u64 {
        self.0.not_after
    }
    /// The key that it is about.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.key
    }
    /// subjectAltName.
    pub fn alt_names(&self) -> &[AltName] {
        &self.0.extensions.alt_names
    }
    /// Whether basicConstraints says that it may sign certificates.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.basic.is_some_and(|basic| basic.ca)
    }
    /// Whether issuer and subject are one name.
    pub fn is_self_issued(&self) -> bool {
        self.0.issuer == self.0.subject
    }
    /// How its signature was made; `None`: by an algorithm that we do not have.
    pub fn scheme(&self) -> Option<Scheme> {
        self.0.scheme
    }
    /// SHA-256 of its DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }
    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Whether it was issued to this identity: an address, FQDN or e-mail address that subjectAltName holds, or a
    /// name that is the whole subject or a directoryName there (RFC 4945 §3.1). A commonName never counts, nor does
    /// a wildcard in the certificate; a key-id is in no certificate.
    pub fn carries(&self, identity: &Identity) -> bool {
        let subject = match identity {
            Identity::Dn(name) => !name.is_empty() && name == self.subject(),
            _ => false,
        };
        subject || self.alt_names().iter().any(|name| name.is(identity))
    }

    /// The identities that it carries, the subject last; for messages and for choosing our own.
    pub fn identities(&self) -> Vec<Identity> {
        let all = self.alt_names().iter().filter_map(|name| match name {
            AltName::Email(address) => Identity::email(address),
            AltName::Dns(name) => Identity::fqdn(name),
            AltName::Ip(std::net::IpAddr::V4(address)) => Some(Identity::Ipv4(*address)),
            AltName::Ip(std::net::IpAddr::V6(address)) => Some(Identity::Ipv6(*address)),
            AltName::Directory(name) => Some(Identity::Dn(name.clone())),
            AltName::Uri(_) | AltName::Other(_) => None,
        });
        let subject = Some(self.subject()).filter(|name| !name.is_empty());
        all.chain(subject.cloned().map(Identity::Dn)).collect()
    }

    /// Checks its signature with a key, and nothing else.
    ///
    /// # Errors
    /// [`BadSignature`]; an algorithm that we do not have is `Wrong`.
    pub fn verify_signature(&self, issuer: &PublicKey) -> Result<(), BadSignature> {
        let scheme = self.0.scheme.ok_or(BadSignature::Wrong)?;
        issuer.verify(scheme, &self.0.body, &self.0.signature)
    }
}

fn serial(any: der::asn1::AnyRef<'_>) -> Result<Vec<u8>, Malformed> {
    let bad = Malformed { what: "serial number" };
    let number: der::asn1::IntRef<'_> = any.decode_as().map_err(|_| bad)?;
    let octets = number.as_bytes();
    // RFC 5280 §4.1.2.2 allows 20; leave room for those who count otherwise
    if octets.len() > 32 {
        return Err(bad);
    }
    Ok(match octets {
        [0, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        all => all.to_vec(),
    })
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(&Hash::Sha256.digest(octets));
    out
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}
impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

/// Subject, or the first alternative name where the subject is empty, and the serial number.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.alt_names().first() {
            Some(name) if self.subject().is_empty() => write!(f, "'{name}'")?,
            _ => write!(f, "'{}'", self.subject())?,
        }
        write!(f, " (serial {})", self.serial_text())
    }
}
