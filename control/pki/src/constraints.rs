//! Name constraints (RFC 5280 §4.2.1.10): which names a CA may write into certificates.
use crate::extensions::{AltName, Subtree, Subtrees};
use crate::name::EMAIL_ADDRESS;
use crate::{Certificate, Name};
use std::net::IpAddr;

/// A name that a CA had no right to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    pub name: String,
    /// It lies in an excluded subtree; else it lies in no permitted one.
    pub excluded: bool,
}

/// The work is bounded by this many comparisons; then `Err(None)`.
pub(crate) struct Budget(pub u32);

impl Subtrees {
    /// Holds every name of a certificate against the subtrees.
    pub fn check(
        &self,
        certificate: &Certificate,
        budget: &mut Budget,
    ) -> Result<(), Option<Outside>> {
        let subject = certificate.subject();
        if !subject.is_empty() {
            self.check_name(&AltName::Directory(subject.clone()), budget)?;
        }
        for name in certificate.alt_names() {
            self.check_name(name, budget)?;
        }
        for address in emails_of(certificate) {
            self.check_name(&AltName::Email(address.to_owned()), budget)?;
        }
        Ok(())
    }

    fn check_name(&self, name: &AltName, budget: &mut Budget) -> Result<(), Option<Outside>> {
        let count = self.permitted.len() + self.excluded.len();
        let cost = u32::try_from(count).unwrap_or(u32::MAX);
        budget.0 = budget.0.checked_sub(cost).ok_or(None)?;
        let outside = |excluded| Some(Outside { name: name.to_string(), excluded });
        let inside = |base: &Subtree| base.is_opaque_for(name) || base.holds(name) == Some(true);
        if self.excluded.iter().any(inside) {
            return Err(outside(true));
        }
        // a form that no subtree speaks of is free; one whose comparison we do not have is not
        let mut verdicts = self.permitted.iter().filter_map(|base| base.holds(name)).peekable();
        if verdicts.peek().is_some() && !verdicts.any(|holds| holds) {
            return Err(outside(false));
        }
        Ok(())
    }
}

/// An address in the subject counts where subjectAltName has none (RFC 5280 §4.2.1.10).
fn emails_of(certificate: &Certificate) -> impl Iterator<Item = &str> {
    let has = certificate.alt_names().iter().any(|name| matches!(name, AltName::Email(_)));
    certificate.subject().texts(EMAIL_ADDRESS).filter(move |_| !has)
}

impl Subtree {
    /// Whether a name lies in this subtree; `None` when they are of different forms. A form that we cannot compare
    /// holds nothing, so that it cannot permit.
    fn holds(&self, name: &AltName) -> Option<bool> {
        match (self, name) {
            (Self::Dns(base), AltName::Dns(name)) => Some(dns(base, name)),
            (Self::Email(base), AltName::Email(address)) => Some(email(base, address)),
            (Self::Directory(base), AltName::Directory(name)) => Some(directory(base, name)),
            (Self::Ip(base, mask), AltName::Ip(address)) => Some(ip(base, mask, *address)),
            _ if self.is_opaque_for(name) => Some(false),
            _ => None,
        }
    }

    /// Whether both are of one form, and one that we cannot compare.
    fn is_opaque_for(&self, name: &AltName) -> bool {
        match (self, name) {
            (Self::Other(base), AltName::Other(tag)) => base == tag,
            (Self::Other(6), AltName::Uri(_)) => true,
            _ => false,
        }
    }
}

fn directory(base: &Name, name: &Name) -> bool {
    name.is_within(base)
}

/// The base itself or anything with labels in front; a leading dot asks for at least one label. An empty base holds
/// all.
fn dns(base: &str, name: &str) -> bool {
    let (base, name) = (base.to_ascii_lowercase(), name.to_ascii_lowercase());
    let Some(front) = name.strip_suffix(&base) else { return false };
    base.is_empty()
        || (front.is_empty() && !base.starts_with('.'))
        || front.ends_with('.')
        || (base.starts_with('.') && !front.is_empty())
}

/// A mailbox, a host, or with a leading dot every host below a domain.
fn email(base: &str, address: &str) -> bool {
    let Some((local, host)) = address.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some((wanted, at)) => local == wanted && host.eq_ignore_ascii_case(at),
        None if base.is_empty() => true,
        None if base.starts_with('.') => dns(base, host),
        None => host.eq_ignore_ascii_case(base),
    }
}

fn ip(base: &[u8], mask: &[u8], address: IpAddr) -> bool {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let same = |((octet, base), mask): ((&u8, &u8), &u8)| octet & mask == base & mask;
    octets.len() == base.len() && octets.iter().zip(base).zip(mask).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_lie_below_whole_labels() {
        for (base, name, holds) in [
            ("example.com", "example.com", true),
            ("example.com", "GW.Example.com", true),
            ("example.com", "badexample.com", false),
            (".example.com", "a.example.com", true),
            (".example.com", "example.com", false),
            ("example.com", "example.com.evil", false),
            ("", "anything", true),
        ] {
            assert_eq!(dns(base, name), holds, "{base} {name}");
        }
    }

    #[test]
    fn mail_constraints_are_a_mailbox_a_host_or_a_domain() {
        for (base, address, holds) in [
            ("u@example.com", "u@EXAMPLE.com", true),
            ("u@example.com", "U@example.com", false),
            ("example.com", "x@example.com", true),
            ("example.com", "x@a.example.com", false),
            (".example.com", "x@a.example.com", true),
            (".example.com", "x@example.com", false),
            ("example.com", "nobody", false),
        ] {
            assert_eq!(email(base, address), holds, "{base} {address}");
        }
    }

    #[test]
    fn addresses_are_compared_under_the_mask_and_within_one_family() {
        let net = |address: &str| ip(&[10, 1, 0, 0], &[255, 255, 0, 0], address.parse().unwrap());
        assert!(net("10.1.2.3"));
        assert!(!net("10.2.2.3"));
        assert!(!net("::ffff:10.1.2.3"));
    }
}
