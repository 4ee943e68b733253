//! Certificate extensions (RFC 5280 §4.2): those that we obey, and which critical ones we do not know.
use crate::asn1::{self, Extension};
use crate::{Identity, Malformed, Name};
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Sequence, Tag, TagNumber, Tagged};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Extensions of a certificate that is read.
const MAX_EXTENSIONS: usize = 64;
/// Names in one subjectAltName, and subtrees in one nameConstraints, that are read.
const MAX_NAMES: usize = 256;

/// What the extensions say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    /// `None`: no basicConstraints.
    pub basic: Option<BasicConstraints>,
    pub key_usage: Option<KeyUsage>,
    pub extended_key_usage: Option<Vec<ObjectIdentifier>>,
    pub alt_names: Vec<AltName>,
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    pub constraints: Option<Subtrees>,
    /// policyConstraints asks for a policy; policies are not evaluated here.
    pub explicit_policy: bool,
    pub unknown_critical: Option<ObjectIdentifier>,
}

/// BasicConstraints (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, Sequence)]
pub(crate) struct BasicConstraints {
    #[asn1(default = "Default::default")]
    pub ca: bool,
    #[asn1(optional = "true")]
    pub path_len: Option<u32>,
}

/// The bits of KeyUsage that bear on IKE (RFC 5280 §4.2.1.3, RFC 4945 §5.1.3.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyUsage {
    pub digital_signature: bool,
    pub non_repudiation: bool,
    pub key_cert_sign: bool,
}

/// NameConstraints (RFC 5280 §4.2.1.10).
#[derive(Clone, Debug, Default)]
pub(crate) struct Subtrees {
    pub permitted: Vec<Subtree>,
    pub excluded: Vec<Subtree>,
}

/// The base of a GeneralSubtree.
#[derive(Clone, Debug)]
pub(crate) enum Subtree {
    Email(String),
    Dns(String),
    /// Address and mask, 4 or 16 octets each.
    Ip(Vec<u8>, Vec<u8>),
    Directory(Name),
    /// A form that is not compared, by its tag.
    Other(u32),
}

/// A subject's alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// rfc822Name.
    Email(String),
    /// dNSName.
    Dns(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress.
    Ip(IpAddr),
    /// directoryName.
    Directory(Name),
    /// Another form, by its tag.
    Other(u32),
}

impl AltName {
    /// Whether this is the identity. Text that no identity could be (a wildcard, a NUL) is none.
    pub fn is(&self, identity: &Identity) -> bool {
        let ours = match self {
            Self::Email(address) => Identity::email(address),
            Self::Dns(name) => Identity::fqdn(name),
            Self::Ip(IpAddr::V4(address)) => Some(Identity::Ipv4(*address)),
            Self::Ip(IpAddr::V6(address)) => Some(Identity::Ipv6(*address)),
            Self::Directory(name) => {
                Some(name).filter(|n| !n.is_empty()).cloned().map(Identity::Dn)
            }
            Self::Uri(_) | Self::Other(_) => None,
        };
        ours.as_ref() == Some(identity)
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) | Self::Dns(text) | Self::Uri(text) => {
                write!(f, "{}", text.escape_debug())
            }
            Self::Ip(address) => address.fmt(f),
            Self::Directory(name) => name.fmt(f),
            Self::Other(tag) => write!(f, "a name of form [{tag}]"),
        }
    }
}

impl Extensions {
    pub fn parse(list: &[Extension<'_>]) -> Result<Self, Malformed> {
        if list.len() > MAX_EXTENSIONS {
            return Err(Malformed { what: "certificate: too many extensions" });
        }
        let mut out = Self::default();
        for (at, extension) in list.iter().enumerate() {
            if list.iter().take(at).any(|earlier| earlier.oid == extension.oid) {
                return Err(Malformed { what: "certificate: an extension twice" });
            }
            out.take(extension)?;
        }
        Ok(out)
    }

    fn take(&mut self, extension: &Extension<'_>) -> Result<(), Malformed> {
        let value = extension.value.as_bytes();
        match extension.oid {
            BASIC_CONSTRAINTS => self.basic = Some(asn1::decode(value, "basicConstraints")?),
            KEY_USAGE => self.key_usage = Some(KeyUsage::parse(value)?),
            EXTENDED_KEY_USAGE => {
                self.extended_key_usage = Some(asn1::decode(value, "extendedKeyUsage")?);
            }
            SUBJECT_ALT_NAME => self.alt_names = alt_names(value)?,
            SUBJECT_KEY_ID => self.subject_key_id = Some(key_id(value)?),
            AUTHORITY_KEY_ID => self.authority_key_id = authority_key_id(value)?,
            NAME_CONSTRAINTS => self.constraints = Some(Subtrees::parse(value)?),
            POLICY_CONSTRAINTS => self.explicit_policy = explicit_policy(value)?,
            // without a policy that must be, any policy will do, and these change nothing (RFC 5280 §6.1.3)
            CERTIFICATE_POLICIES | POLICY_MAPPINGS | INHIBIT_ANY_POLICY => {}
            oid if extension.critical => self.unknown_critical = Some(oid),
            _ => {}
        }
        Ok(())
    }
}

impl KeyUsage {
    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let bits: BitStringRef<'_> = asn1::decode(value, "keyUsage")?;
        let bit = |at| bits.get(at).unwrap_or(false);
        Ok(Self { digital_signature: bit(0), non_repudiation: bit(1), key_cert_sign: bit(5) })
    }
}

/// A context-specific tag's number.
fn context(any: AnyRef<'_>) -> Option<u32> {
    match any.tag() {
        Tag::ContextSpecific { number, .. } => Some(number.value()),
        _ => None,
    }
}

fn key_id(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let octets: &OctetStringRef = asn1::decode(value, "subjectKeyIdentifier")?;
    Ok(octets.as_bytes().to_vec())
}

fn authority_key_id(value: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    const WHAT: &str = "authorityKeyIdentifier";
    let members = asn1::members(asn1::decode(value, WHAT)?, Tag::Sequence, WHAT)?;
    let first = members.iter().find(|member| context(**member) == Some(0));
    Ok(first.map(|member| member.value().to_vec()))
}

fn explicit_policy(value: &[u8]) -> Result<bool, Malformed> {
    const WHAT: &str = "policyConstraints";
    let members = asn1::members(asn1::decode(value, WHAT)?, Tag::Sequence, WHAT)?;
    Ok(members.iter().any(|member| context(*member) == Some(0)))
}

/// GeneralNames of a subjectAltName.
pub(crate) fn alt_names(value: &[u8]) -> Result<Vec<AltName>, Malformed> {
    const WHAT: &str = "subjectAltName";
    let members = asn1::members(asn1::decode(value, WHAT)?, Tag::Sequence, WHAT)?;
    if members.is_empty() || members.len() > MAX_NAMES {
        return Err(Malformed { what: WHAT });
    }
    members.into_iter().map(alt_name).collect()
}

fn alt_name(any: AnyRef<'_>) -> Result<AltName, Malformed> {
    const WHAT: &str = "name in subjectAltName";
    Ok(match context(any).ok_or(Malformed { what: WHAT })? {
        1 => AltName::Email(ia5(any, WHAT)?),
        2 => AltName::Dns(ia5(any, WHAT)?),
        4 => AltName::Directory(directory(any, WHAT)?),
        6 => AltName::Uri(ia5(any, WHAT)?),
        7 => AltName::Ip(address(any.value()).ok_or(Malformed { what: WHAT })?),
        tag => AltName::Other(tag),
    })
}

fn ia5(any: AnyRef<'_>, what: &'static str) -> Result<String, Malformed> {
    let text = std::str::from_utf8(any.value()).ok().filter(|text| text.is_ascii());
    text.map(str::to_owned).ok_or(Malformed { what })
}

/// A Name is a CHOICE, so its tag [4] is explicit.
fn directory(any: AnyRef<'_>, what: &'static str) -> Result<Name, Malformed> {
    Name::from_any(AnyRef::from_der(any.value()).map_err(|_| Malformed { what })?)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

impl Subtrees {
    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "nameConstraints";
        let mut out = Self::default();
        let members = asn1::members(asn1::decode(value, WHAT)?, Tag::Sequence, WHAT)?;
        if members.is_empty() {
            return Err(Malformed { what: WHAT });
        }
        for member in members {
            let side = match context(member) {
                Some(0) => &mut out.permitted,
                Some(1) => &mut out.excluded,
                _ => return Err(Malformed { what: WHAT }),
            };
            // IMPLICIT: the tag stands in place of that of SEQUENCE OF
            let list =
                AnyRef::new(Tag::Sequence, member.value()).map_err(|_| Malformed { what: WHAT })?;
            for subtree in asn1::members(list, Tag::Sequence, WHAT)? {
                side.push(Subtree::parse(subtree)?);
            }
        }
        let count = out.permitted.len() + out.excluded.len();
        if count == 0 || count > MAX_NAMES { Err(Malformed { what: WHAT }) } else { Ok(out) }
    }
}

impl Subtree {
    /// GeneralSubtree: minimum must be 0 and maximum absent (RFC 5280 §4.2.1.10), so only the base is left.
    fn parse(any: AnyRef<'_>) -> Result<Self, Malformed> {
        const WHAT: &str = "subtree in nameConstraints";
        let bad = Malformed { what: WHAT };
        let members = asn1::members(any, Tag::Sequence, WHAT)?;
        let &[base] = members.as_slice() else { return Err(bad) };
        Ok(match context(base).ok_or(bad)? {
            1 => Self::Email(ia5(base, WHAT)?),
            2 => Self::Dns(ia5(base, WHAT)?),
            4 => Self::Directory(directory(base, WHAT)?),
            7 => {
                let octets = base.value();
                let half = octets.len() / 2;
                let (address, mask) = octets.split_at_checked(half).ok_or(bad)?;
                if !matches!(octets.len(), 8 | 32) {
                    return Err(bad);
                }
                Self::Ip(address.to_vec(), mask.to_vec())
            }
            tag => Self::Other(tag),
        })
    }
}

/// A context-specific tag.
pub(crate) const fn tagged(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}

pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
pub(crate) const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");
