//! From a peer's certificate to an anchor (RFC 5280 §6, RFC 4945 §5).
//!
//! Every check is made on the way up, before the signature that would lead further, and the search has a budget: a
//! peer can send what it likes and cost no more than that.
use crate::constraints::Budget;
use crate::{BadSignature, Certificate, Check, Hash, KeyKind, Refused};
use der::asn1::ObjectIdentifier;
use std::ops::RangeInclusive;

/// Comparisons of a name with a subtree that one verification may cost.
const COMPARISONS: u32 = 20_000;

/// What is trusted. Every certificate in `anchors` is, whoever signed it.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Where paths end. A peer's own certificate may stand here too.
    pub anchors: Vec<Certificate>,
    /// CA certificates that help to build paths and are trusted no more than received ones.
    pub intermediates: Vec<Certificate>,
    /// What policy allows, and what a verification may cost.
    pub limits: Limits,
}

/// What policy allows, and what a verification may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits of an RSA modulus.
    pub rsa_bits: RangeInclusive<u32>,
    /// Signatures with SHA-1 are accepted. Off, unless an old CA cannot be replaced.
    pub sha1: bool,
    /// Certificates in a path, the peer's own and the anchor included.
    pub path: usize,
    /// Certificates that a peer may send besides its own.
    pub received: usize,
    /// Signatures that are checked at most.
    pub signatures: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rsa_bits: 2048..=8192, sha1: false, path: 8, received: 16, signatures: 32 }
    }
}

/// What the certificate is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Signing AUTH (RFC 4945 §5.1.3): keyUsage has digitalSignature or nonRepudiation, and extendedKeyUsage one
    /// of any, serverAuth, clientAuth, ipsecIKE, or what came before it; each only if it is there at all.
    Ike,
}

/// A path that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The peer's certificate first, the anchor last; one alone when they are the same.
    pub path: Vec<Certificate>,
}

impl Trust {
    /// Trusts these, with the limits that are usual.
    pub fn new(anchors: Vec<Certificate>) -> Self {
        Self { anchors, ..Self::default() }
    }

    /// Looks for a path from `leaf` to an anchor, by way of our intermediates and those that the peer sent, in any
    /// order. `unix_now` is in seconds. Whether the certificate belongs to the peer's identity is another question:
    /// [`Certificate::carries`].
    ///
    /// # Errors
    /// [`Refused`]: where the best attempt ended.
    pub fn verify(
        &self,
        leaf: &Certificate,
        received: &[Certificate],
        unix_now: u64,
        purpose: Purpose,
    ) -> Result<Verified, Refused> {
        let (have, most) = (received.len(), self.limits.received);
        if have > most {
            return Err(Refused::new(leaf, 0, Check::TooManyCertificates { have, most }));
        }
        let Purpose::Ike = purpose;
        self.sound(leaf, unix_now)
            .and_then(|()| leaf_usage(leaf))
            .map_err(|check| Refused::new(leaf, 0, check))?;
        if self.anchors.contains(leaf) {
            return Ok(Verified { path: vec![leaf.clone()] });
        }
        let mut search = Search {
            trust: self,
            received,
            now: unix_now,
            signatures: self.limits.signatures,
            comparisons: Budget(COMPARISONS),
            worst: None,
        };
        let mut path = vec![leaf];
        if search.extend(&mut path) {
            return Ok(Verified { path: path.into_iter().cloned().collect() });
        }
        let unknown = || Refused::new(leaf, 0, unknown_issuer(leaf));
        Err(search.worst.map_or_else(unknown, |(_, refused)| refused))
    }

    /// The Certification Authority field of a CERTREQ for these anchors: the SHA-1 hashes of their keys, one after the
    /// other (RFC 7296 §3.7).
    pub fn certreq(&self) -> Vec<u8> {
        self.anchors.iter().flat_map(|anchor| anchor.public_key().certreq_hash()).collect()
    }

    /// What every certificate of a path must pass.
    fn sound(&self, certificate: &Certificate, now: u64) -> Result<(), Check> {
        let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
        if now < not_before {
            return Err(Check::NotYetValid { not_before, now });
        }
        if now > not_after {
            return Err(Check::Expired { not_after, now });
        }
        let key = certificate.public_key().kind();
        let bits = &self.limits.rsa_bits;
        if matches!(key, KeyKind::Rsa(size) if !bits.contains(&size)) {
            return Err(Check::KeySize { key, least: *bits.start(), most: *bits.end() });
        }
        let extensions = certificate.extensions();
        if let Some(oid) = extensions.unknown_critical {
            return Err(Check::CriticalExtension { oid: oid.to_string() });
        }
        if extensions.explicit_policy {
            return Err(Check::ExplicitPolicy);
        }
        Ok(())
    }
}

/// RFC 4945 §5.1.3.2 and §5.1.3.12.
fn leaf_usage(leaf: &Certificate) -> Result<(), Check> {
    let usage = leaf.extensions().key_usage;
    if usage.is_some_and(|usage| !usage.digital_signature && !usage.non_repudiation) {
        return Err(Check::KeyUsage { wanted: "digitalSignature" });
    }
    purposes(leaf)
}

fn purposes(certificate: &Certificate) -> Result<(), Check> {
    match &certificate.extensions().extended_key_usage {
        Some(have) if !have.iter().any(|oid| PURPOSES.contains(oid)) => {
            let have = have.iter().map(ToString::to_string).collect();
            Err(Check::ExtendedKeyUsage { have })
        }
        _ => Ok(()),
    }
}

fn unknown_issuer(certificate: &Certificate) -> Check {
    Check::UnknownIssuer { issuer: certificate.issuer().to_string() }
}

/// Depth first, anchors before intermediates, ours before the peer's.
struct Search<'a> {
    trust: &'a Trust,
    received: &'a [Certificate],
    now: u64,
    /// How many signatures may still be checked.
    signatures: usize,
    comparisons: Budget,
    /// The refusal that says most, and how much that is.
    worst: Option<((u8, usize), Refused)>,
}

impl<'a> Search<'a> {
    /// Adds issuers to the path until an anchor is its end. `false`: there is no way on.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(&last) = path.last() else { return false };
        let trust = self.trust;
        for anchor in candidates(last, &trust.anchors) {
            if self.admit(path, anchor, true) {
                path.push(anchor);
                return true;
            }
        }
        let depth = path.len() - 1;
        let (ours, theirs) = (&trust.intermediates, self.received);
        for issuer in candidates(last, ours).into_iter().chain(candidates(last, theirs)) {
            if already(path, issuer) || trust.anchors.contains(issuer) {
                continue;
            }
            if path.len() + 2 > trust.limits.path {
                self.note(last, depth, Check::PathTooLong { most: trust.limits.path });
                return false;
            }
            if self.admit(path, issuer, false) {
                path.push(issuer);
                if self.extend(path) {
                    return true;
                }
                path.pop();
            }
        }
        self.note(last, depth, unknown_issuer(last));
        false
    }

    /// Whether `issuer` may follow the path's end. The signature comes last, since it costs most.
    fn admit(&mut self, path: &[&Certificate], issuer: &Certificate, anchor: bool) -> bool {
        let depth = path.len();
        let fits = (self.trust.sound(issuer, self.now))
            .and_then(|()| may_sign(issuer, path))
            .and_then(|()| if anchor { Ok(()) } else { purposes(issuer) });
        if let Err(check) = fits {
            self.note(issuer, depth, check);
            return false;
        }
        let Some(&last) = path.last() else { return false };
        let named = self.constrain(issuer, path);
        if let Err((certificate, depth, check)) = named {
            self.note(certificate, depth, check);
            return false;
        }
        match self.signed(last, issuer) {
            Ok(()) => true,
            Err(check) => {
                self.note(last, depth - 1, check);
                false
            }
        }
    }

    /// The issuer's name constraints bind all below it but self-issued CAs (RFC 5280 §6.1.3 b, c).
    fn constrain<'c>(
        &mut self,
        issuer: &Certificate,
        path: &[&'c Certificate],
    ) -> Result<(), (&'c Certificate, usize, Check)> {
        let Some(subtrees) = &issuer.extensions().constraints else { return Ok(()) };
        for (depth, &certificate) in path.iter().enumerate() {
            if depth > 0 && certificate.is_self_issued() {
                continue;
            }
            subtrees.check(certificate, &mut self.comparisons).map_err(|outside| {
                let check = outside.map_or(Check::TooMuchWork, |outside| Check::NameConstraint {
                    name: outside.name,
                    by: issuer.to_string(),
                    excluded: outside.excluded,
                });
                (certificate, depth, check)
            })?;
        }
        Ok(())
    }

    fn signed(&mut self, certificate: &Certificate, issuer: &Certificate) -> Result<(), Check> {
        let scheme = certificate.scheme().ok_or(Check::SignatureAlgorithm)?;
        if scheme.hash() == Some(Hash::Sha1) && !self.trust.limits.sha1 {
            return Err(Check::WeakHash);
        }
        let told = |fault| Check::Signature { issuer: issuer.to_string(), fault };
        if !issuer.public_key().fits(scheme) {
            let key = issuer.public_key().kind();
            return Err(told(BadSignature::OtherKey { scheme, key }));
        }
        self.signatures = self.signatures.checked_sub(1).ok_or(Check::TooMuchWork)?;
        certificate.verify_signature(issuer.public_key()).map_err(told)
    }

    /// Keeps the refusal that says most: a check that failed on a path that held so far says more than a path that
    /// just ended, and further up says more than below.
    fn note(&mut self, certificate: &Certificate, depth: usize, check: Check) {
        let weight = match check {
            Check::UnknownIssuer { .. } => 0,
            Check::Signature { .. } => 1,
            _ => 2,
        };
        let rank = (weight, depth);
        if self.worst.as_ref().is_none_or(|(worst, _)| rank > *worst) {
            self.worst = Some((rank, Refused::new(certificate, depth, check)));
        }
    }
}

/// Certificates that have the issuer's name; those with the key that it names come first (RFC 5280 §4.2.1.1).
fn candidates<'a>(certificate: &Certificate, among: &'a [Certificate]) -> Vec<&'a Certificate> {
    let wanted = certificate.extensions().authority_key_id.as_ref();
    let named = |issuer: &&Certificate| issuer.subject() == certificate.issuer();
    let mut out: Vec<_> = among.iter().filter(named).collect();
    out.sort_by_key(|issuer| {
        let key = issuer.extensions().subject_key_id.as_ref();
        wanted.is_some() && key.is_some() && wanted != key
    });
    out
}

/// A path holds each certificate once, and each CA with each key once: no circles through cross-certificates.
fn already(path: &[&Certificate], issuer: &Certificate) -> bool {
    let same = |one: &Certificate| {
        one.public_key().spki() == issuer.public_key().spki() && one.subject() == issuer.subject()
    };
    path.contains(&issuer) || path.iter().skip(1).any(|one| same(one))
}

/// RFC 5280 §6.1.4 (k) to (n).
fn may_sign(issuer: &Certificate, path: &[&Certificate]) -> Result<(), Check> {
    let extensions = issuer.extensions();
    let basic = extensions.basic.filter(|basic| basic.ca).ok_or(Check::NotCa)?;
    if extensions.key_usage.is_some_and(|usage| !usage.key_cert_sign) {
        return Err(Check::KeyUsage { wanted: "keyCertSign" });
    }
    let below = path.iter().skip(1).filter(|certificate| !certificate.is_self_issued()).count();
    let have = u32::try_from(below).unwrap_or(u32::MAX);
    match basic.path_len {
        Some(allowed) if have > allowed => Err(Check::PathLength { allowed, have }),
        _ => Ok(()),
    }
}

pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
pub(crate) const IPSEC_IKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17");

/// Purposes that are good for IKE: any, serverAuth, clientAuth, ipsecIKE; then those that were there before ipsecIKE:
/// ipsecEndSystem, ipsecTunnel, ipsecUser, iKEIntermediate.
const PURPOSES: [ObjectIdentifier; 8] = [
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
    SERVER_AUTH,
    CLIENT_AUTH,
    IPSEC_IKE,
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.5"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.6"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.7"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.8.2.2"),
];
