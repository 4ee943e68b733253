//! Which identities policy accepts.
use crate::identity::{is_domain, split_word};
use crate::name::{self, Rdn, Template, Value};
use crate::{BadIdentity, BadName, Identity};
use std::fmt;
use std::str::FromStr;

/// What an identity is held against.
///
/// As text: `*` for any; an [`Identity`]; `*.example.com`, one label in place of `*`; `*@example.com`, anybody there;
/// a name with `*` for values that do not matter, `C=CH, O=Example, CN=*`. Number and order of the name's parts
/// always matter.
#[derive(Clone)]
pub struct Pattern(Kind);

#[derive(Clone)]
enum Kind {
    Any,
    Exact(Identity),
    /// What follows `*.`.
    Below(String),
    /// What follows `*@`.
    AnybodyAt(String),
    Dn(Vec<Vec<Template>>),
}

/// Text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Not an identity either.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// `*` where it means nothing.
    #[error(
        "'{0}': '*' stands for the first label of a host name, for all before '@', or for a whole \
             value in a name"
    )]
    Wildcard(String),
}

impl Pattern {
    /// Accepts everybody.
    pub const ANY: Self = Self(Kind::Any);

    /// Accepts one identity.
    pub const fn exact(identity: Identity) -> Self {
        Self(Kind::Exact(identity))
    }
    /// The only identity that matches, if there is only one.
    pub const fn as_exact(&self) -> Option<&Identity> {
        match &self.0 {
            Kind::Exact(identity) => Some(identity),
            _ => None,
        }
    }

    /// Whether policy accepts this identity.
    pub fn matches(&self, identity: &Identity) -> bool {
        self.difference(identity).is_none()
    }

    /// The first thing in which an identity differs from the pattern, as a clause for `why`; `None` when it matches.
    pub fn difference(&self, identity: &Identity) -> Option<String> {
        match (&self.0, identity) {
            (Kind::Any, _) => None,
            (Kind::Exact(Identity::Dn(wanted)), Identity::Dn(name)) => {
                first_rdn(&exactly(wanted.rdns()), name.rdns())
            }
            (Kind::Exact(wanted), _) if wanted == identity => None,
            (Kind::Exact(wanted), _) if wanted.kind() == identity.kind() => {
                Some(format!("{identity} is not {wanted}"))
            }
            (Kind::Below(domain), Identity::Fqdn(name)) => {
                let fits = name.split_once('.').is_some_and(|(label, rest)| {
                    !label.is_empty() && rest.eq_ignore_ascii_case(domain)
                });
                (!fits).then(|| format!("{name} is not one label and then .{domain}"))
            }
            (Kind::AnybodyAt(domain), Identity::Email(address)) => {
                let at = address.split_once('@').map(|(_, at)| at);
                let fits = at.is_some_and(|at| at.eq_ignore_ascii_case(domain));
                (!fits).then(|| format!("{address} is not at {domain}"))
            }
            (Kind::Dn(wanted), Identity::Dn(name)) => first_rdn(wanted, name.rdns()),
            _ => Some(format!("{identity} is of type {}, not {}", identity.kind(), self.kind())),
        }
    }

    fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Any => "any",
            Kind::Exact(identity) => identity.kind(),
            Kind::Below(_) => "ID_FQDN",
            Kind::AnybodyAt(_) => "ID_RFC822_ADDR",
            Kind::Dn(_) => "ID_DER_ASN1_DN",
        }
    }
}

fn exactly(rdns: &[Rdn]) -> Vec<Vec<Template>> {
    let exact = |rdn: &Rdn| {
        rdn.iter()
            .map(|attribute| Template { oid: attribute.oid, value: Some(attribute.value.clone()) })
            .collect()
    };
    rdns.iter().map(exact).collect()
}

/// Where two names first differ.
fn first_rdn(wanted: &[Vec<Template>], rdns: &[Rdn]) -> Option<String> {
    for (at, pair) in wanted.iter().zip(rdns).enumerate() {
        let (wanted, rdn) = pair;
        if !rdn_fits(wanted, rdn) {
            let (have, want) = (Rdns(rdn), Templates(wanted));
            return Some(format!("part {} of the name is {have}, not {want}", at + 1));
        }
    }
    let (have, want) = (rdns.len(), wanted.len());
    (have != want).then(|| format!("the name has {have} parts, not {want}"))
}

/// Each attribute of the RDN must answer to one template, and each template to one attribute. RDNs of several
/// attributes are rare and small.
fn rdn_fits(wanted: &[Template], rdn: &Rdn) -> bool {
    let fits = |template: &Template, attribute: &name::Attribute| {
        let same = |value: &Value| value.folded() == attribute.value.folded();
        template.oid == attribute.oid && template.value.as_ref().is_none_or(same)
    };
    wanted.len() == rdn.len()
        && wanted.iter().all(|template| rdn.iter().any(|attribute| fits(template, attribute)))
        && rdn.iter().all(|attribute| wanted.iter().any(|template| fits(template, attribute)))
}

struct Rdns<'a>(&'a Rdn);
impl fmt::Display for Rdns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name::write_rdn(f, self.0)
    }
}

struct Templates<'a>(&'a [Template]);
impl fmt::Display for Templates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, template) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("+")?;
            }
            let value = template.value.clone();
            let any = value.is_none();
            let value = value.unwrap_or(Value::Text(String::new()));
            write!(f, "{}", name::Attribute { oid: template.oid, value })?;
            if any {
                f.write_str("*")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("*"),
            Kind::Exact(identity) => identity.fmt(f),
            Kind::Below(domain) => write!(f, "*.{domain}"),
            Kind::AnybodyAt(domain) => write!(f, "*@{domain}"),
            Kind::Dn(rdns) => {
                for (at, rdn) in rdns.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", Templates(rdn))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({self})")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Exact(ours), Kind::Exact(theirs)) => ours == theirs,
            (Kind::Exact(_), _) | (_, Kind::Exact(_)) => false,
            _ => self.to_string() == other.to_string(),
        }
    }
}
impl Eq for Pattern {}

impl From<Identity> for Pattern {
    fn from(identity: Identity) -> Self {
        Self::exact(identity)
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let text = text.trim();
        let (word, rest) = split_word(text);
        if text == "*" {
            return Ok(Self::ANY);
        }
        let is_name = word == Some("dn") || (word.is_none() && rest.contains('='));
        if is_name {
            return dn(rest);
        }
        if !rest.contains('*') || word == Some("keyid") {
            return Ok(Self::exact(text.parse()?));
        }
        let wildcard = || BadPattern::Wildcard(text.to_owned());
        if let Some(domain) = rest.strip_prefix("*.").filter(|_| word.is_none_or(|w| w == "fqdn")) {
            let domain = Some(domain).filter(|domain| is_domain(domain)).ok_or_else(wildcard)?;
            return Ok(Self(Kind::Below(domain.to_owned())));
        }
        let domain = rest
            .strip_prefix("*@")
            .filter(|domain| word.is_none_or(|word| word == "email") && is_domain(domain));
        Ok(Self(Kind::AnybodyAt(domain.ok_or_else(wildcard)?.to_owned())))
    }
}

fn dn(text: &str) -> Result<Pattern, BadPattern> {
    let rdns = name::parse(text)?;
    if rdns.iter().flatten().all(|template| template.value.is_some()) {
        return Ok(Pattern::exact(Identity::Dn(text.parse()?)));
    }
    Ok(Pattern(Kind::Dn(rdns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, identity: &str) -> bool {
        let pattern: Pattern = pattern.parse().unwrap();
        pattern.matches(&identity.parse().unwrap())
    }

    #[test]
    fn exact_patterns_match_one_identity_of_one_kind() {
        assert!(matches("gw.example.com", "GW.example.com"));
        assert!(!matches("gw.example.com", "gw.example.com.evil"));
        assert!(!matches("192.0.2.1", "fqdn:192.0.2.1"));
        assert!(!matches("fqdn:192.0.2.1", "192.0.2.1"));
        assert!(matches("keyid:a*b", "keyid:a*b"));
        assert!(!matches("keyid:a*b", "keyid:axb"));
    }

    #[test]
    fn a_wildcard_is_one_label() {
        assert!(matches("*.example.com", "gw.Example.com"));
        for other in [
            "example.com",
            "a.b.example.com",
            "fqdn:.example.com",
            "gwexample.com",
            "u@example.com",
        ] {
            assert!(!matches("*.example.com", other), "{other}");
        }
    }

    #[test]
    fn a_wildcard_before_the_at_sign_is_anybody_there() {
        assert!(matches("*@example.com", "Carol@EXAMPLE.com"));
        assert!(!matches("*@example.com", "carol@sub.example.com"));
        assert!(!matches("*@example.com", "example.com"));
    }

    #[test]
    fn a_name_matches_part_by_part_in_order() {
        let pattern = "C=CH, O=Example, CN=*";
        assert!(matches(pattern, "C=ch, O=EXAMPLE, CN=anything"));
        for other in [
            "O=Example, C=CH, CN=x",
            "C=CH, O=Example",
            "C=CH, O=Example, CN=x, CN=y",
            "C=CH, O=Other, CN=x",
            "C=CH, O=Example, OU=x",
            "C=CH, O=Example, CN=x+OU=y",
        ] {
            assert!(!matches(pattern, other), "{other}");
        }
        assert!(matches("O=x, CN=*+UID=7", "O=x, UID=7+CN=a"));
        assert!(!matches("C=CH, CN=gw", "CN=gw, C=CH"));
        assert!(!matches("CN=gw", "CN=gw\\00.evil"));
    }

    #[test]
    fn the_first_difference_is_named() {
        let why = |pattern: &str, identity: &str| {
            let pattern: Pattern = pattern.parse().unwrap();
            pattern.difference(&identity.parse().unwrap()).unwrap()
        };
        let name = "C=CH, O=Example, CN=*";
        assert_eq!(why(name, "C=CH, O=B, CN=x"), "part 2 of the name is O=B, not O=Example");
        assert_eq!(why(name, "C=CH, O=Example, OU=x"), "part 3 of the name is OU=x, not CN=*");
        assert_eq!(why(name, "C=CH"), "the name has 1 parts, not 3");
        assert_eq!(why("a.b", "a@b"), "a@b is of type ID_RFC822_ADDR, not ID_FQDN");
        assert_eq!(why("CN=a", "CN=b"), "part 1 of the name is CN=b, not CN=a");
    }

    #[test]
    fn text_forms_are_read_back() {
        for text in ["*", "*.example.com", "*@example.com", "C=CH, O=*, CN=*", "gw", "keyid:x"] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(pattern.to_string().parse::<Pattern>().unwrap(), pattern);
        }
        for text in ["", "a.*.com", "*a.com", "**", "*.", "u*@x", "*.*.com", "CN=", "*@", "ipv4:*"]
        {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
