//! Distinguished names (X.501, RFC 5280 §4.1.2.4): kept as they came, compared by what they mean, written and read
//! as people write them.
use crate::{Malformed, asn1};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Octets of the longest name that is read.
const MAX_OCTETS: usize = 8 * 1024;
/// Attributes of the largest name that is read.
const MAX_ATTRIBUTES: usize = 128;

/// A distinguished name.
///
/// Two names are equal when they have the same relative distinguished names in the same order, text compared
/// without case and with runs of spaces as one, whatever string type carries it (RFC 5280 §7.1).
///
/// As text the order is that of the octets, most significant first: `C=CH, O=Example, CN=gw`. Backslash escapes the
/// next character, or is followed by two hex digits; `#` and hex digits are a value in DER; `+` joins attributes.
#[derive(Clone)]
pub struct Name {
    der: Vec<u8>,
    rdns: Vec<Rdn>,
}

/// A relative distinguished name: nearly always one attribute.
pub(crate) type Rdn = Vec<Attribute>;

/// Type and value.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub oid: ObjectIdentifier,
    pub value: Value,
}

/// An attribute's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Some kind of string.
    Text(String),
    /// Anything else, in DER.
    Octets(Vec<u8>),
}

/// Text that is no distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{part}' in a distinguished name: {fault}; write one like C=CH, O=Example, CN=gw")]
pub struct BadName {
    part: String,
    fault: &'static str,
}

impl Name {
    /// Reads a Name in DER.
    ///
    /// # Errors
    /// [`Malformed`]: not a name, or one above 8 KiB or 128 attributes.
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        Self::from_any(asn1::decode(der, WHAT)?)
    }

    pub(crate) fn from_any(any: AnyRef<'_>) -> Result<Self, Malformed> {
        if any.value().len() > MAX_OCTETS {
            return Err(Malformed { what: WHAT });
        }
        let mut attributes = 0;
        let mut rdns = Vec::new();
        for set in asn1::members(any, Tag::Sequence, WHAT)? {
            let rdn: Vec<_> = asn1::members(set, Tag::Set, WHAT)?
                .into_iter()
                .map(Attribute::parse)
                .collect::<Result<_, _>>()?;
            attributes += rdn.len();
            if rdn.is_empty() || attributes > MAX_ATTRIBUTES {
                return Err(Malformed { what: WHAT });
            }
            rdns.push(rdn);
        }
        Ok(Self { der: asn1::octets(&any, WHAT)?, rdns })
    }

    /// The name in DER, as it came.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// Whether it names nothing: a SEQUENCE of none.
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }
    pub(crate) fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }
    /// Whether this name is `base` or lies below it (RFC 5280 §4.2.1.10).
    pub fn is_within(&self, base: &Self) -> bool {
        self.rdns.len() >= base.rdns.len()
            && self.rdns.iter().zip(&base.rdns).all(|(ours, theirs)| same_rdn(ours, theirs))
    }
    /// Text values of one attribute type, in order.
    pub(crate) fn texts(&self, oid: ObjectIdentifier) -> impl Iterator<Item = &str> {
        self.rdns.iter().flatten().filter(move |attribute| attribute.oid == oid).filter_map(
            |attribute| match &attribute.value {
                Value::Text(text) => Some(text.as_str()),
                Value::Octets(_) => None,
            },
        )
    }
}

const WHAT: &str = "distinguished name";

impl Attribute {
    fn parse(any: AnyRef<'_>) -> Result<Self, Malformed> {
        let members = asn1::members(any, Tag::Sequence, WHAT)?;
        let &[oid, value] = members.as_slice() else {
            return Err(Malformed { what: WHAT });
        };
        let oid = oid.decode_as().map_err(|_| Malformed { what: WHAT })?;
        Ok(Self { oid, value: Value::parse(value)? })
    }
    fn encode(&self) -> Result<Vec<u8>, der::Error> {
        let mut content = self.oid.to_der()?;
        content.extend(self.encoded_value()?);
        tlv(Tag::Sequence, &content)
    }
    fn encoded_value(&self) -> Result<Vec<u8>, der::Error> {
        match &self.value {
            Value::Octets(der) => Ok(der.clone()),
            Value::Text(text) => tlv(string_type(self.oid, text), text.as_bytes()),
        }
    }
}

/// countryName and serialNumber are PrintableString, domainComponent and emailAddress IA5String (RFC 5280 Appendix A);
/// all other text is UTF8String.
fn string_type(oid: ObjectIdentifier, text: &str) -> Tag {
    match oid {
        COUNTRY | SERIAL_NUMBER if text.is_ascii() => Tag::PrintableString,
        DOMAIN_COMPONENT | EMAIL_ADDRESS if text.is_ascii() => Tag::Ia5String,
        _ => Tag::Utf8String,
    }
}

fn tlv(tag: Tag, value: &[u8]) -> Result<Vec<u8>, der::Error> {
    AnyRef::new(tag, value)?.to_der()
}

impl Value {
    fn parse(any: AnyRef<'_>) -> Result<Self, Malformed> {
        let bad = Malformed { what: WHAT };
        let octets = any.value();
        Ok(match any.tag() {
            Tag::Utf8String => Self::Text(String::from_utf8(octets.to_vec()).map_err(|_| bad)?),
            Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
                let text = std::str::from_utf8(octets).ok().filter(|text| text.is_ascii());
                Self::Text(text.ok_or(bad)?.to_owned())
            }
            Tag::TeletexString => Self::Text(octets.iter().copied().map(char::from).collect()),
            Tag::BmpString => {
                let (pairs, []) = octets.as_chunks::<2>() else { return Err(bad) };
                let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
                Self::Text(String::from_utf16(&units).map_err(|_| bad)?)
            }
            _ => Self::Octets(asn1::octets(&any, WHAT)?),
        })
    }

    /// What is compared: lower case, spaces at the ends gone, runs of them one (RFC 4518 §2.6).
    pub(crate) fn folded(&self) -> Folded<'_> {
        match self {
            Self::Octets(der) => Folded::Octets(der),
            Self::Text(text) => {
                Folded::Text(text.to_lowercase().split(' ').filter(|word| !word.is_empty()).fold(
                    String::new(),
                    |mut out, word| {
                        if !out.is_empty() {
                            out.push(' ');
                        }
                        out.push_str(word);
                        out
                    },
                ))
            }
        }
    }
}

/// A value as it is compared.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Folded<'a> {
    Text(String),
    Octets(&'a [u8]),
}

fn folded_rdn(rdn: &Rdn) -> Vec<(ObjectIdentifier, Folded<'_>)> {
    let mut out: Vec<_> =
        rdn.iter().map(|attribute| (attribute.oid, attribute.value.folded())).collect();
    out.sort();
    out
}

/// The order of attributes within one RDN means nothing.
fn same_rdn(a: &Rdn, b: &Rdn) -> bool {
    a.len() == b.len() && folded_rdn(a) == folded_rdn(b)
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der || (self.rdns.len() == other.rdns.len() && self.is_within(other))
    }
}
impl Eq for Name {}
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rdns.iter().for_each(|rdn| folded_rdn(rdn).hash(state));
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rdn) in self.rdns.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write_rdn(f, rdn)?;
        }
        Ok(())
    }
}

pub(crate) fn write_rdn(f: &mut fmt::Formatter<'_>, rdn: &Rdn) -> fmt::Result {
    for (at, attribute) in rdn.iter().enumerate() {
        if at > 0 {
            f.write_str("+")?;
        }
        write!(f, "{attribute}")?;
    }
    Ok(())
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYWORDS.iter().find(|(_, oid)| *oid == self.oid) {
            Some((keyword, _)) => write!(f, "{keyword}=")?,
            None => write!(f, "{}=", self.oid)?,
        }
        match &self.value {
            Value::Text(text) => escape(f, text),
            Value::Octets(der) => {
                f.write_str("#")?;
                der.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

fn escape(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (at, char) in text.chars().enumerate() {
        match char {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '*' => write!(f, "\\{char}")?,
            '#' if at == 0 => f.write_str("\\#")?,
            ' ' if at == 0 || at == last => f.write_str("\\20")?,
            char if char.is_control() => {
                let mut octets = [0; 4];
                char.encode_utf8(&mut octets)
                    .bytes()
                    .try_for_each(|octet| write!(f, "\\{octet:02x}"))?;
            }
            char => f.write_char(char)?,
        }
    }
    Ok(())
}

impl FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let rdns = parse(text)?
            .into_iter()
            .map(|rdn| rdn.into_iter().map(Template::exact).collect())
            .collect::<Result<Vec<Rdn>, BadName>>()?;
        Self::from_rdns(rdns).ok_or_else(|| BadName::new(text, "too long"))
    }
}

impl Name {
    fn from_rdns(rdns: Vec<Rdn>) -> Option<Self> {
        let mut content = Vec::new();
        for rdn in &rdns {
            let mut members: Vec<_> =
                rdn.iter().map(Attribute::encode).collect::<Result<_, _>>().ok()?;
            members.sort(); // SET OF in DER (X.690 §11.6)
            content.extend(tlv(Tag::Set, &members.concat()).ok()?);
        }
        Self::from_der(&tlv(Tag::Sequence, &content).ok()?).ok()
    }
}

impl BadName {
    fn new(part: &str, fault: &'static str) -> Self {
        Self { part: part.to_owned(), fault }
    }
}

/// An attribute as policy writes it: `None` is `*`, any value.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub oid: ObjectIdentifier,
    pub value: Option<Value>,
}

impl Template {
    fn exact(self) -> Result<Attribute, BadName> {
        let value = self.value.ok_or_else(|| BadName::new("*", "only a pattern may hold it"))?;
        Ok(Attribute { oid: self.oid, value })
    }
}

/// Reads the text form, with `*` for any value.
pub(crate) fn parse(text: &str) -> Result<Vec<Vec<Template>>, BadName> {
    split(text, ',')
        .into_iter()
        .map(|rdn| split(rdn, '+').into_iter().map(template).collect())
        .collect()
}

/// Splits at separators that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    let at_separator = |char: char| {
        let here = char == separator && !escaped;
        escaped = char == '\\' && !escaped;
        here
    };
    text.split(at_separator).collect()
}

fn template(part: &str) -> Result<Template, BadName> {
    let bad = |fault| BadName::new(part.trim(), fault);
    let (keyword, value) = part.split_once('=').ok_or_else(|| bad("no '='"))?;
    let keyword = keyword.trim();
    let oid = KEYWORDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(keyword))
        .map(|&(_, oid)| oid)
        .or_else(|| ObjectIdentifier::new(keyword).ok())
        .ok_or_else(|| bad("no attribute type that we know; an OID in dots will do"))?;
    let value = trim_unescaped(value);
    if value == "*" {
        return Ok(Template { oid, value: None });
    }
    let value = match value.strip_prefix('#') {
        Some(hex) => Value::Octets(der_value(hex).ok_or_else(|| bad("no value in DER after '#'"))?),
        None => Value::Text(unescape(value).ok_or_else(|| bad("a backslash too many"))?),
    };
    match &value {
        Value::Text(text) if text.is_empty() => Err(bad("no value")),
        _ => Ok(Template { oid, value: Some(value) }),
    }
}

fn trim_unescaped(value: &str) -> &str {
    let start = value.trim_start();
    let trimmed = start.trim_end();
    // `\ ` at the end is a space that is meant
    let backslashes = trimmed.chars().rev().take_while(|&char| char == '\\').count();
    if backslashes % 2 == 1 && trimmed.len() < start.len() {
        start.get(..trimmed.len() + 1).unwrap_or(trimmed)
    } else {
        trimmed
    }
}

fn der_value(hex: &str) -> Option<Vec<u8>> {
    let der = unhex(hex)?;
    AnyRef::from_der(&der).ok()?;
    Some(der)
}

/// Octets from pairs of hex digits.
pub(crate) fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

fn unescape(value: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        let first = rest.next()?;
        if first.is_ascii_hexdigit() {
            let pair = [first, rest.next()?];
            out.extend(unhex(std::str::from_utf8(&pair).ok()?)?);
        } else {
            out.push(first);
        }
    }
    String::from_utf8(out).ok()
}

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const DOMAIN_COMPONENT: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");
pub(crate) const EMAIL_ADDRESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// Keywords (RFC 4514 §3 and custom), the first of a type being the one that is written.
const KEYWORDS: [(&str, ObjectIdentifier); 22] = [
    ("C", COUNTRY),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("CN", COMMON_NAME),
    ("DC", DOMAIN_COMPONENT),
    ("UID", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1")),
    ("E", EMAIL_ADDRESS),
    ("emailAddress", EMAIL_ADDRESS),
    ("serialNumber", SERIAL_NUMBER),
    ("SN", ObjectIdentifier::new_unwrap("2.5.4.4")),
    ("surname", ObjectIdentifier::new_unwrap("2.5.4.4")),
    ("GN", ObjectIdentifier::new_unwrap("2.5.4.42")),
    ("givenName", ObjectIdentifier::new_unwrap("2.5.4.42")),
    ("title", ObjectIdentifier::new_unwrap("2.5.4.12")),
    ("initials", ObjectIdentifier::new_unwrap("2.5.4.43")),
    ("dnQualifier", ObjectIdentifier::new_unwrap("2.5.4.46")),
    ("pseudonym", ObjectIdentifier::new_unwrap("2.5.4.65")),
    ("postalCode", ObjectIdentifier::new_unwrap("2.5.4.17")),
    ("organizationIdentifier", ObjectIdentifier::new_unwrap("2.5.4.97")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_octets_are_the_same_name() {
        for text in [
            "C=CH, O=Example, CN=gw",
            "CN=a\\, b, O=\\#x",
            "DC=example, DC=com, UID=7, E=a@example.com",
            "CN=\\20x\\20, O=a\\+b\\=c\\*",
            "O=x+OU=y, CN=NUL\\00here",
            "1.2.3.4=#0500, CN=Zürich",
        ] {
            let read = name(text);
            assert_eq!(read.to_string(), text);
            assert_eq!(Name::from_der(read.der()).unwrap(), read);
        }
        assert_eq!(name("cn=gw,o=X"), name("CN = gw , O = X"));
        assert_eq!(name("CN=trailing\\ "), name("CN=trailing\\20"));
    }

    #[test]
    fn names_are_compared_without_case_and_with_runs_of_spaces_as_one() {
        assert_eq!(name("O=Ex  Ample"), name("O=ex ample"));
        assert_ne!(name("O=example"), name("O=ex ample"));
        // the string type does not matter
        let printable = [0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 10, 0x13, 2, b'A', b'b'];
        assert_eq!(Name::from_der(&printable).unwrap(), name("O=aB"));
        let bmp = [0x30, 15, 0x31, 13, 0x30, 11, 6, 3, 0x55, 4, 10, 0x1e, 4, 0, b'A', 0, b'b'];
        assert_eq!(Name::from_der(&bmp).unwrap(), name("O=ab"));
    }

    #[test]
    fn order_and_count_of_rdns_matter_and_order_within_one_does_not() {
        assert_ne!(name("C=CH, CN=a"), name("CN=a, C=CH"));
        assert_ne!(name("C=CH, CN=a"), name("C=CH"));
        assert_ne!(name("C=CH, CN=a"), name("C=CH+CN=a"));
        assert_eq!(name("CN=a+C=CH"), name("C=CH+CN=a"));
        assert_ne!(name("CN=gw\\00.evil"), name("CN=gw"));
    }

    #[test]
    fn a_subtree_holds_what_begins_with_its_base() {
        let base = name("C=CH, O=X");
        assert!(name("C=ch, O=x, CN=a").is_within(&base));
        assert!(name("C=CH, O=X").is_within(&base));
        assert!(!name("C=CH").is_within(&base));
        assert!(!name("O=X, C=CH, CN=a").is_within(&base));
    }

    #[test]
    fn text_that_is_no_name_is_refused() {
        for text in ["", "gw", "CN=", "CN=a,,O=b", "XX=a", "CN=a\\", "CN=#zz", "CN=#05", "CN=*"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn octets_that_are_no_name_are_refused() {
        for der in [
            &[][..],
            &[0x31, 0],
            &[0x30, 2, 0x31, 0],
            &[0x30, 4, 0x31, 2, 0x30, 0],
            &[0x30, 0x80, 0, 0],
            &[0x30, 1, 0],
        ] {
            assert!(Name::from_der(der).is_err(), "{der:02x?}");
        }
        assert!(Name::from_der(&[0x30, 0]).unwrap().is_empty());
    }
}
