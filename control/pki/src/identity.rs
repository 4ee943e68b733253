//! Who a peer says it is (RFC 7296 §3.5, RFC 4945 §3.1).
use crate::{Malformed, Name};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Octets of the longest FQDN or e-mail address.
const MAX_TEXT: usize = 512;
/// Octets of the longest key-id.
const MAX_KEY_ID: usize = 1024;

/// An identity. Equality ignores the case of FQDNs and of the part of an e-mail address behind `@`.
///
/// As text: an address, `gw.example.com`, `user@example.com`, `C=CH, O=Example, CN=gw`, `keyid:text` or
/// `keyid:"text with spaces"` or `keyid:0x0a1b`; where the form alone does not tell, `fqdn:`, `email:` or `dn:` stands before it.
#[derive(Clone)]
pub enum Identity {
    /// ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// ID_FQDN.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_DER_ASN1_DN.
    Dn(Name),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// What cannot be an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    /// An ID type that we do not have (RFC 7296 §3.5).
    #[error("identity of type {0}; only 1, 2, 3, 5, 9 and 11 are known")]
    Type(u8),
    /// Octets that the ID type does not allow.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Text that is no identity.
    #[error(
        "'{0}' is no identity; write an address, a host name, an e-mail address, a name like \
             C=CH, O=Example, CN=gw, or keyid:text"
    )]
    Text(String),
}

impl Identity {
    /// From the ID type and the Identification Data of an ID payload (RFC 7296 §3.5). A peer may not name itself
    /// with wildcards, control characters or NUL.
    ///
    /// # Errors
    /// [`BadIdentity`].
    pub fn from_ike(kind: u8, octets: &[u8]) -> Result<Self, BadIdentity> {
        let bad = |what| BadIdentity::Malformed(Malformed { what });
        Ok(match kind {
            1 => Self::Ipv4(<[u8; 4]>::try_from(octets).map_err(|_| bad("IPv4 identity"))?.into()),
            2 => Self::fqdn(text(octets)?).ok_or_else(|| bad("FQDN identity"))?,
            3 => Self::email(text(octets)?).ok_or_else(|| bad("e-mail identity"))?,
            5 => Self::Ipv6(<[u8; 16]>::try_from(octets).map_err(|_| bad("IPv6 identity"))?.into()),
            9 => Self::Dn(Name::from_der(octets)?),
            11 => Self::key_id(octets).ok_or_else(|| bad("key-id identity"))?,
            other => return Err(BadIdentity::Type(other)),
        })
    }

    /// ID type and Identification Data.
    pub fn to_ike(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Ipv4(address) => (1, address.octets().to_vec()),
            Self::Fqdn(name) => (2, name.clone().into_bytes()),
            Self::Email(address) => (3, address.clone().into_bytes()),
            Self::Ipv6(address) => (5, address.octets().to_vec()),
            Self::Dn(name) => (9, name.der().to_vec()),
            Self::KeyId(octets) => (11, octets.clone()),
        }
    }

    /// A host name; `None` unless it is printable ASCII without `*`, `@`, space and slash.
    pub fn fqdn(name: &str) -> Option<Self> {
        Some(Self::Fqdn(name.to_owned())).filter(|_| is_domain(name))
    }
    /// An e-mail address; `None` unless it has one `@` with something printable on both sides.
    pub fn email(address: &str) -> Option<Self> {
        let (local, domain) = address.split_once('@')?;
        let plain = local.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'*');
        let fits = plain && !local.is_empty() && address.len() <= MAX_TEXT && is_domain(domain);
        fits.then(|| Self::Email(address.to_owned()))
    }
    /// Octets without meaning to us; `None` when empty or above 1024.
    pub fn key_id(octets: &[u8]) -> Option<Self> {
        (1..=MAX_KEY_ID).contains(&octets.len()).then(|| Self::KeyId(octets.to_vec()))
    }

    /// What kind of identity, in the words of RFC 7296 §3.5.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ipv4(_) => "ID_IPV4_ADDR",
            Self::Ipv6(_) => "ID_IPV6_ADDR",
            Self::Fqdn(_) => "ID_FQDN",
            Self::Email(_) => "ID_RFC822_ADDR",
            Self::Dn(_) => "ID_DER_ASN1_DN",
            Self::KeyId(_) => "ID_KEY_ID",
        }
    }

    /// What is compared: for a FQDN and a mail domain, lower case.
    fn folded(&self) -> (u8, Vec<u8>) {
        let (kind, mut octets) = self.to_ike();
        let from = match self {
            Self::Fqdn(_) => 0,
            Self::Email(address) => address.find('@').unwrap_or(0),
            _ => octets.len(),
        };
        octets.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
        (kind, octets)
    }

    /// The form without a word before it; `None` for a key-id, which has none.
    fn bare(&self) -> Option<String> {
        match self {
            Self::Ipv4(address) => Some(address.to_string()),
            Self::Ipv6(address) => Some(address.to_string()),
            Self::Fqdn(text) | Self::Email(text) => Some(text.clone()),
            Self::Dn(name) => Some(name.to_string()),
            Self::KeyId(_) => None,
        }
    }
    fn word(&self) -> &'static str {
        match self {
            Self::Ipv4(_) => "ipv4",
            Self::Ipv6(_) => "ipv6",
            Self::Fqdn(_) => "fqdn",
            Self::Email(_) => "email",
            Self::Dn(_) => "dn",
            Self::KeyId(_) => "keyid",
        }
    }
}

fn text(octets: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(octets).map_err(|_| Malformed { what: "text of an identity" })
}

/// Characters that some identity of this kind has in the field. `*` is for patterns alone.
pub(crate) fn is_domain(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"*@/,".contains(&octet);
    !name.is_empty() && name.len() <= MAX_TEXT && name.bytes().all(plain)
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dn(ours), Self::Dn(theirs)) => ours == theirs,
            _ => self.folded() == other.folded(),
        }
    }
}
impl Eq for Identity {}
impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Dn(name) => name.hash(state),
            _ => self.folded().hash(state),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.kind())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bare(), self) {
            (Some(bare), _) if guess(&bare).as_ref() == Some(self) => f.write_str(&bare),
            (Some(bare), _) => write!(f, "{}:{bare}", self.word()),
            (None, Self::KeyId(octets)) => write_key_id(f, octets),
            (None, _) => Ok(()),
        }
    }
}

fn write_key_id(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let text = std::str::from_utf8(octets).ok();
    let plain = |text: &&str| {
        let graphic = |octet: u8| octet.is_ascii_graphic() && octet != b'*';
        text.bytes().all(graphic) && !text.starts_with("0x") && !text.starts_with('"')
    };
    if let Some(text) = text.filter(plain) {
        return write!(f, "keyid:{text}");
    }
    if let Some(text) = text.filter(|text| text.chars().all(is_shown)) {
        return write!(f, "keyid:\"{text}\"");
    }
    f.write_str("keyid:0x")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// Whether a character of a key-id looks like itself. Nothing that a terminal obeys, or that turns what stands beside it
/// around, is among them.
fn is_shown(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric()
}

/// What the form alone says.
fn guess(text: &str) -> Option<Identity> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(match address {
            IpAddr::V4(address) => Identity::Ipv4(address),
            IpAddr::V6(address) => Identity::Ipv6(address),
        });
    }
    match text {
        _ if text.contains('=') => text.parse().ok().map(Identity::Dn),
        _ if text.contains('@') => Identity::email(text),
        _ if text.contains(':') => None,
        _ => Identity::fqdn(text),
    }
}

/// A word and a colon before the rest, if the word is one of ours.
pub(crate) fn split_word(text: &str) -> (Option<&str>, &str) {
    const WORDS: [&str; 6] = ["ipv4", "ipv6", "fqdn", "email", "dn", "keyid"];
    match text.split_once(':') {
        Some((word, rest)) if WORDS.contains(&word) => (Some(word), rest.trim_start()),
        _ => (None, text),
    }
}

fn key_id(text: &str) -> Option<Identity> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match (quoted, text.strip_prefix("0x")) {
        (Some(quoted), _) => Identity::key_id(quoted.as_bytes()),
        (None, Some(hex)) => Identity::key_id(&crate::name::unhex(hex)?),
        (None, None) => Identity::key_id(text.as_bytes()),
    }
}

impl FromStr for Identity {
    type Err = BadIdentity;
    fn from_str(text: &str) -> Result<Self, BadIdentity> {
        let text = text.trim();
        let found = match split_word(text) {
            (Some("ipv4"), rest) => rest.parse().ok().map(Self::Ipv4),
            (Some("ipv6"), rest) => rest.parse().ok().map(Self::Ipv6),
            (Some("fqdn"), rest) => Self::fqdn(rest),
            (Some("email"), rest) => Self::email(rest),
            (Some("dn"), rest) => rest.parse().ok().map(Self::Dn),
            (Some("keyid"), rest) => key_id(rest),
            _ => guess(text),
        };
        found.ok_or_else(|| BadIdentity::Text(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> Identity {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_ike_octets_are_the_same_identity() {
        for (text, kind) in [
            ("192.0.2.1", 1),
            ("gw.example.com", 2),
            ("carol", 2),
            ("fqdn:192.0.2.1", 2),
            ("fqdn:a=b", 2),
            ("user@example.com", 3),
            ("email:a=b@example.com", 3),
            ("2001:db8::1", 5),
            ("C=CH, O=Example, CN=gw", 9),
            ("dn:", 9),
            ("keyid:branch-17", 11),
            ("keyid:0x0001ff", 11),
            ("keyid:\"branch 17\"", 11),
            ("keyid:\"Zürich\"", 11),
            ("keyid:\"*\"", 11),
            ("keyid:\"0x17\"", 11),
            ("keyid:\"\"a\"\"", 11),
            ("keyid:a\"b", 11),
        ] {
            let read = match text {
                "dn:" => Identity::Dn(Name::from_der(&[0x30, 0]).unwrap()),
                text => identity(text),
            };
            let (number, octets) = read.to_ike();
            assert_eq!((number, read.to_string()), (kind, text.to_owned()));
            assert_eq!(Identity::from_ike(number, &octets).unwrap(), read, "{text}");
        }
    }

    /// What a peer calls itself is shown to people: nothing of it may move the cursor or turn the text around.
    #[test]
    fn a_key_id_with_more_than_letters_and_spaces_is_shown_in_hexadecimal() {
        for octets in [
            &b"a\x1b[2J"[..],
            b"a\nb",
            b"a\x00",
            b"\xff",
            "a\u{202e}b".as_bytes(),
            "a\u{200b}b".as_bytes(),
            "a\u{a0}b".as_bytes(),
        ] {
            let shown = Identity::key_id(octets).unwrap().to_string();
            assert!(shown.starts_with("keyid:0x"), "{shown}");
            assert_eq!(identity(&shown), Identity::key_id(octets).unwrap());
        }
    }

    #[test]
    fn case_matters_only_before_the_at_sign_and_in_key_ids() {
        assert_eq!(identity("GW.Example.com"), identity("gw.example.COM"));
        assert_eq!(identity("u@Example.com"), identity("u@example.COM"));
        assert_ne!(identity("U@example.com"), identity("u@example.com"));
        assert_ne!(identity("keyid:A"), identity("keyid:a"));
        assert_eq!(identity("O=Example"), identity("O=EXAMPLE"));
        assert_ne!(identity("fqdn:192.0.2.1"), identity("192.0.2.1"));
    }

    #[test]
    fn a_peer_cannot_name_itself_with_wildcards_nul_or_wrong_lengths() {
        for (kind, octets) in [
            (1, &b"123"[..]),
            (1, b""),
            (2, b""),
            (2, b"*.example.com"),
            (2, b"gw.example.com\0.evil.com"),
            (2, b"gw example"),
            (2, b"u@example.com"),
            (2, b"\xff\xfe"),
            (3, b"example.com"),
            (3, b"@example.com"),
            (3, b"u@"),
            (3, b"*@example.com"),
            (3, b"a@b@c"),
            (3, b"u@example.com\0"),
            (5, b"1234"),
            (9, b"CN=gw"),
            (11, b""),
            (0, b"x"),
            (4, b"12345678"),
            (10, b"\x82\x01a"),
            (255, b"x"),
        ] {
            assert!(Identity::from_ike(kind, octets).is_err(), "{kind} {octets:02x?}");
        }
        assert!(Identity::from_ike(11, &[0; MAX_KEY_ID + 1]).is_err());
        assert!(Identity::from_ike(2, &[b'a'; MAX_TEXT + 1]).is_err());
    }

    #[test]
    fn text_that_is_no_identity_is_refused() {
        for text in ["", "a b", "*.example.com", "ipv4:1.2.3", "keyid:0xabc", "x:y", "@", "XX=1"] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
