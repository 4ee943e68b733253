//! Makes certificates.
use crate::asn1::{AlgorithmIdentifier, Extension, Signed, TbsCertificate, Validity};
use crate::constraints::Budget;
use crate::extensions::{self as ext, AltName, BasicConstraints, tagged};
use crate::path::{CLIENT_AUTH, IPSEC_IKE, SERVER_AUTH};
use crate::{CannotSign, Certificate, Curve, Hash, KeyKind, Name, PrivateKey, PublicKey, Scheme};
use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UintRef, UtcTime,
};
use der::{Decode, Encode, Tag};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;
use x509_cert::time::Time;

/// Octets of a serial number: 127 random bits (RFC 5280 §4.1.2.2 asks for at most 20 octets, and positive).
const SERIAL: usize = 16;
/// 2050-01-01T00:00:00Z, from which on times are GeneralizedTime (RFC 5280 §4.1.2.5).
const YEAR_2050: u64 = 2_524_608_000;

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whom it is for. May be empty when there are alternative names and it is no CA.
    pub subject: Name,
    /// The identities that it is to carry.
    pub alt_names: Vec<AltName>,
    /// First second of its validity, in Unix seconds.
    pub not_before: u64,
    /// Last second of its validity, in Unix seconds.
    pub not_after: u64,
    /// CA or peer.
    pub role: Role,
}

/// What a certificate is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Signs certificates: keyCertSign and cRLSign.
    Ca {
        /// How many CAs may stand between it and a peer's certificate; `None`: any number.
        path_len: Option<u8>,
        /// Which names it may write.
        constraints: Constraints,
    },
    /// Signs AUTH: digitalSignature; serverAuth, clientAuth and ipsecIKE.
    Peer,
}

/// Name constraints (RFC 5280 §4.2.1.10). Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Names of a form that stands here must lie in one of these.
    pub permitted: Vec<Constraint>,
    /// No name may lie in one of these.
    pub excluded: Vec<Constraint>,
}

/// A subtree of names. As text: `dns:example.com`, `email:example.com`, `ip:192.0.2.0/24`, `dn:C=CH, O=Example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A domain and all below it; with a leading dot, only below.
    Dns(String),
    /// A mailbox, the mailboxes at a host, or with a leading dot at all hosts of a domain.
    Email(String),
    /// Address and prefix length.
    Ip(IpAddr, u8),
    /// Names that begin so.
    Directory(Name),
}

/// Why no certificate was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotMake {
    /// The issuer's certificate is about another key.
    #[error("the key is not the one of the CA certificate {0}; give the key that belongs to it")]
    OtherKey(String),
    /// The issuer is no CA.
    #[error("{0} is no CA; issue from one with basicConstraints CA:TRUE and keyCertSign")]
    NotCa(String),
    /// The issuer may have no CAs below it.
    #[error("{0} may sign no CA (pathlen {1}); issue from the CA above it")]
    PathLength(String, u32),
    /// Ends before it begins.
    #[error("it would end before it begins")]
    Lifetime,
    /// Outlives its issuer.
    #[error("it would outlive its issuer, which ends at {0}; choose a shorter lifetime")]
    Outlives(String),
    /// Names nobody.
    #[error("it would name nobody: give a subject, or an alternative name for a peer")]
    Nameless,
    /// An alternative name that cannot be written.
    #[error(
        "'{0}' cannot be written into subjectAltName; give a host name, an e-mail address, an \
             IP address or a distinguished name"
    )]
    AltName(String),
    /// A name that the issuer's constraints forbid.
    #[error("the name constraints of the CA do not allow '{0}'")]
    Constrained(String),
    /// A constraint that cannot be read.
    #[error(
        "'{0}' is no name constraint; write dns:example.com, email:example.com, \
             ip:192.0.2.0/24 or dn:C=CH, O=Example"
    )]
    Constraint(String),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] CannotSign),
    /// The system has no random numbers.
    #[error("no random numbers for a serial number")]
    Random,
    /// What was made cannot be read.
    #[error("it cannot be encoded: a field is too long")]
    Encoding,
}

impl From<der::Error> for CannotMake {
    fn from(_: der::Error) -> Self {
        Self::Encoding
    }
}

/// A CA at work.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// The key of that certificate.
    pub key: &'a PrivateKey,
}

impl Profile {
    /// A certificate signed by its own key: a root, or a peer that is to be trusted by itself.
    ///
    /// # Errors
    /// [`CannotMake`].
    pub fn self_signed(&self, key: &PrivateKey) -> Result<Certificate, CannotMake> {
        self.check()?;
        let id = key.public_key().key_identifier();
        self.build(&self.subject, &id, key.public_key(), key)
    }

    fn check(&self) -> Result<(), CannotMake> {
        let is_ca = matches!(self.role, Role::Ca { .. });
        if self.subject.is_empty() && (is_ca || self.alt_names.is_empty()) {
            return Err(CannotMake::Nameless);
        }
        if self.not_after <= self.not_before { Err(CannotMake::Lifetime) } else { Ok(()) }
    }

    fn build(
        &self,
        issuer: &Name,
        issuer_key_id: &[u8],
        key: &PublicKey,
        signer: &PrivateKey,
    ) -> Result<Certificate, CannotMake> {
        let made = self.extensions(issuer_key_id, key)?;
        let extensions = made.iter().map(Made::view).collect::<Result<Vec<_>, _>>()?;
        let serial = serial()?;
        let serial = UintRef::new(&serial)?.to_der()?;
        let tbs = TbsCertificate {
            version: 2,
            serial: AnyRef::from_der(&serial)?,
            signature: algorithm(signer)?,
            issuer: AnyRef::from_der(issuer.der())?,
            validity: Validity {
                not_before: time(self.not_before)?,
                not_after: time(self.not_after)?,
            },
            subject: AnyRef::from_der(self.subject.der())?,
            key: AnyRef::from_der(key.spki())?,
            issuer_id: None,
            subject_id: None,
            extensions: Some(extensions),
        };
        let der = sign(&tbs.to_der()?, signer)?;
        Certificate::from_der(&der).map_err(|_| CannotMake::Encoding)
    }

    fn extensions(&self, issuer_key_id: &[u8], key: &PublicKey) -> Result<Vec<Made>, CannotMake> {
        let mut out = match &self.role {
            Role::Ca { path_len, constraints } => ca_extensions(*path_len, constraints)?,
            Role::Peer => peer_extensions()?,
        };
        out.extend(alt_name_extension(&self.subject, &self.alt_names)?);
        let id = key.key_identifier();
        let subject_key = OctetStringRef::new(&id)?.to_der()?;
        out.push(Made::new(ext::SUBJECT_KEY_ID, false, subject_key));
        let authority_key = AnyRef::new(tagged(0, false), issuer_key_id)?.to_der()?;
        out.push(Made::new(ext::AUTHORITY_KEY_ID, false, tlv(Tag::Sequence, &authority_key)?));
        Ok(out)
    }
}

impl Issuer<'_> {
    /// Issues a certificate for somebody's key; from a [`crate::Request`], pass its key and what of its names the CA
    /// grants.
    ///
    /// # Errors
    /// [`CannotMake`]: also when the result could never be verified, because of the issuer's own limits.
    pub fn issue(&self, profile: &Profile, key: &PublicKey) -> Result<Certificate, CannotMake> {
        profile.check()?;
        self.may_issue(profile)?;
        let known = self.certificate.extensions().subject_key_id.clone();
        let id = known.unwrap_or_else(|| self.certificate.public_key().key_identifier());
        let made = profile.build(self.certificate.subject(), &id, key, self.key)?;
        let Some(subtrees) = &self.certificate.extensions().constraints else { return Ok(made) };
        match subtrees.check(&made, &mut Budget(u32::MAX)) {
            Ok(()) => Ok(made),
            Err(outside) => {
                Err(CannotMake::Constrained(outside.map_or(String::new(), |outside| outside.name)))
            }
        }
    }

    fn may_issue(&self, profile: &Profile) -> Result<(), CannotMake> {
        let (ca, name) = (self.certificate, || self.certificate.to_string());
        if ca.public_key() != self.key.public_key() {
            return Err(CannotMake::OtherKey(name()));
        }
        let usage = ca.extensions().key_usage;
        if !ca.is_ca() || usage.is_some_and(|usage| !usage.key_cert_sign) {
            return Err(CannotMake::NotCa(name()));
        }
        let path_len = ca.extensions().basic.and_then(|basic| basic.path_len);
        match (&profile.role, path_len) {
            (Role::Ca { .. }, Some(0)) => return Err(CannotMake::PathLength(name(), 0)),
            (Role::Ca { path_len: Some(wanted), .. }, Some(most)) if u32::from(*wanted) >= most => {
                return Err(CannotMake::PathLength(name(), most));
            }
            _ => {}
        }
        if profile.not_after > ca.not_after() {
            return Err(CannotMake::Outlives(crate::time::text(ca.not_after())));
        }
        Ok(())
    }
}

/// An extension with its value.
#[derive(Debug)]
pub(crate) struct Made {
    oid: ObjectIdentifier,
    critical: bool,
    value: Vec<u8>,
}

impl Made {
    fn new(oid: ObjectIdentifier, critical: bool, value: Vec<u8>) -> Self {
        Self { oid, critical, value }
    }
    pub fn view(&self) -> Result<Extension<'_>, der::Error> {
        let (oid, critical) = (self.oid, self.critical);
        Ok(Extension { oid, critical, value: OctetStringRef::new(&self.value)? })
    }
}

fn ca_extensions(path_len: Option<u8>, limits: &Constraints) -> Result<Vec<Made>, CannotMake> {
    let basic = BasicConstraints { ca: true, path_len: path_len.map(u32::from) };
    let mut out = vec![
        Made::new(ext::BASIC_CONSTRAINTS, true, basic.to_der()?),
        // keyCertSign and cRLSign: bits 5 and 6
        Made::new(ext::KEY_USAGE, true, BitStringRef::new(1, &[0b0000_0110])?.to_der()?),
    ];
    if *limits != Constraints::default() {
        out.push(Made::new(ext::NAME_CONSTRAINTS, true, limits.to_der()?));
    }
    Ok(out)
}

fn peer_extensions() -> Result<Vec<Made>, CannotMake> {
    let basic = BasicConstraints { ca: false, path_len: None };
    let purposes = vec![SERVER_AUTH, CLIENT_AUTH, IPSEC_IKE];
    Ok(vec![
        Made::new(ext::BASIC_CONSTRAINTS, true, basic.to_der()?),
        // digitalSignature: bit 0
        Made::new(ext::KEY_USAGE, true, BitStringRef::new(7, &[0b1000_0000])?.to_der()?),
        Made::new(ext::EXTENDED_KEY_USAGE, false, purposes.to_der()?),
    ])
}

/// subjectAltName, critical when the subject is empty (RFC 5280 §4.2.1.6); nothing when there are no names.
pub(crate) fn alt_name_extension(
    subject: &Name,
    names: &[AltName],
) -> Result<Option<Made>, CannotMake> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut content = Vec::new();
    for name in names {
        content.extend(general_name(name)?);
    }
    let value = tlv(Tag::Sequence, &content)?;
    Ok(Some(Made::new(ext::SUBJECT_ALT_NAME, subject.is_empty(), value)))
}

fn general_name(name: &AltName) -> Result<Vec<u8>, CannotMake> {
    let cannot = || CannotMake::AltName(name.to_string());
    match name {
        AltName::Email(address) => {
            let fits = crate::Identity::email(address).is_some();
            if fits { tlv(tagged(1, false), address.as_bytes()) } else { Err(cannot()) }
        }
        AltName::Dns(host) => {
            let fits = crate::Identity::fqdn(host).is_some();
            if fits { tlv(tagged(2, false), host.as_bytes()) } else { Err(cannot()) }
        }
        AltName::Ip(IpAddr::V4(address)) => tlv(tagged(7, false), &address.octets()),
        AltName::Ip(IpAddr::V6(address)) => tlv(tagged(7, false), &address.octets()),
        AltName::Directory(name) => tlv(tagged(4, true), name.der()),
        AltName::Uri(_) | AltName::Other(_) => Err(cannot()),
    }
}

impl TryFrom<&crate::Identity> for AltName {
    type Error = CannotMake;
    /// The alternative name that carries an identity; a key-id has none.
    fn try_from(identity: &crate::Identity) -> Result<Self, CannotMake> {
        use crate::Identity;
        Ok(match identity {
            Identity::Ipv4(address) => Self::Ip((*address).into()),
            Identity::Ipv6(address) => Self::Ip((*address).into()),
            Identity::Fqdn(name) => Self::Dns(name.clone()),
            Identity::Email(address) => Self::Email(address.clone()),
            Identity::Dn(name) => Self::Directory(name.clone()),
            Identity::KeyId(_) => return Err(CannotMake::AltName(identity.to_string())),
        })
    }
}

impl Constraints {
    fn to_der(&self) -> Result<Vec<u8>, CannotMake> {
        let mut content = Vec::new();
        for (number, list) in [(0, &self.permitted), (1, &self.excluded)] {
            let subtrees: Vec<_> = list.iter().map(Constraint::to_der).collect::<Result<_, _>>()?;
            if !subtrees.is_empty() {
                content.extend(tlv(tagged(number, true), &subtrees.concat())?);
            }
        }
        tlv(Tag::Sequence, &content)
    }
}

impl Constraint {
    /// GeneralSubtree: the base, minimum 0 left out.
    fn to_der(&self) -> Result<Vec<u8>, CannotMake> {
        let base = match self {
            Self::Email(base) => tlv(tagged(1, false), base.as_bytes())?,
            Self::Dns(base) => tlv(tagged(2, false), base.as_bytes())?,
            Self::Directory(name) => tlv(tagged(4, true), name.der())?,
            Self::Ip(IpAddr::V4(address), length) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                let base = u32::from(*address) & mask;
                tlv(tagged(7, false), &[base.to_be_bytes(), mask.to_be_bytes()].concat())?
            }
            Self::Ip(IpAddr::V6(address), length) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                let base = u128::from(*address) & mask;
                tlv(tagged(7, false), &[base.to_be_bytes(), mask.to_be_bytes()].concat())?
            }
        };
        tlv(Tag::Sequence, &base)
    }
}

impl FromStr for Constraint {
    type Err = CannotMake;
    fn from_str(text: &str) -> Result<Self, CannotMake> {
        let bad = || CannotMake::Constraint(text.to_owned());
        let (word, rest) = text.split_once(':').ok_or_else(bad)?;
        let rest = rest.trim();
        let plain = |text: &&str| text.bytes().all(|octet| octet.is_ascii_graphic());
        let ascii = Some(rest).filter(plain).map(str::to_owned);
        match word.trim() {
            "dns" => ascii.map(Self::Dns),
            "email" => ascii.map(Self::Email),
            "dn" => rest.parse().ok().map(Self::Directory),
            "ip" => prefix(rest),
            _ => None,
        }
        .ok_or_else(bad)
    }
}

fn prefix(text: &str) -> Option<Constraint> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address.parse().ok()?, Some(length.parse().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let bits = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
    Some(length.unwrap_or(bits))
        .filter(|length| *length <= bits)
        .map(|n| Constraint::Ip(address, n))
}

fn tlv(tag: Tag, value: &[u8]) -> Result<Vec<u8>, CannotMake> {
    Ok(AnyRef::new(tag, value)?.to_der()?)
}

/// Positive, and of constant length.
fn serial() -> Result<[u8; SERIAL], CannotMake> {
    let mut out = [0; SERIAL];
    aws_lc_rs::rand::fill(&mut out).map_err(|_| CannotMake::Random)?;
    let [first, ..] = &mut out;
    *first = *first & 0x7f | 0x40;
    Ok(out)
}

fn time(unix: u64) -> Result<Time, der::Error> {
    let since = Duration::from_secs(unix);
    Ok(if unix < YEAR_2050 {
        Time::UtcTime(UtcTime::from_unix_duration(since)?)
    } else {
        Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?)
    })
}

/// What certificates are signed by: the scheme that every peer knows for the key.
fn scheme(key: &PrivateKey) -> Scheme {
    match key.public_key().kind() {
        KeyKind::Rsa(_) => Scheme::RsaPkcs1(Hash::Sha256),
        KeyKind::Ecdsa(Curve::P256) => Scheme::Ecdsa(Hash::Sha256),
        KeyKind::Ecdsa(Curve::P384) => Scheme::Ecdsa(Hash::Sha384),
        KeyKind::Ecdsa(Curve::P521) => Scheme::Ecdsa(Hash::Sha512),
        KeyKind::Ed25519 => Scheme::Ed25519,
    }
}

fn algorithm(key: &PrivateKey) -> Result<AlgorithmIdentifier<'static>, der::Error> {
    AlgorithmIdentifier::from_der(scheme(key).algorithm_identifier().unwrap_or_default())
}

/// Wraps a body with algorithm and signature.
pub(crate) fn sign(body: &[u8], key: &PrivateKey) -> Result<Vec<u8>, CannotMake> {
    let signature = key.sign(scheme(key), body)?;
    let signed = Signed {
        body: AnyRef::from_der(body)?,
        algorithm: algorithm(key)?,
        signature: BitStringRef::from_bytes(&signature)?,
    };
    Ok(signed.to_der()?)
}
