//! Why a certificate is not trusted: which one, which check, and what to do.
use crate::{BadSignature, Certificate, KeyKind, time};
use std::fmt;

/// A path that was not found, told by the certificate at which the best attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which certificate: its subject and serial number.
    pub certificate: String,
    /// How far it is from the peer's own, which is 0.
    pub depth: usize,
    /// What failed.
    pub check: Check,
}

/// A check that a certificate did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// More certificates came than are looked at.
    TooManyCertificates {
        /// How many came.
        have: usize,
        /// How many are looked at.
        most: usize,
    },
    /// Its time is over. Unix seconds.
    Expired {
        /// Its last second.
        not_after: u64,
        /// The time of the check.
        now: u64,
    },
    /// Its time has not come. Unix seconds.
    NotYetValid {
        /// Its first second.
        not_before: u64,
        /// The time of the check.
        now: u64,
    },
    /// None of the certificates at hand has the name of its issuer.
    UnknownIssuer {
        /// The name.
        issuer: String,
    },
    /// A certificate has the name of its issuer, and did not sign it.
    Signature {
        /// The one that has the name.
        issuer: String,
        /// What the check said.
        fault: BadSignature,
    },
    /// Signed by an algorithm that we do not have.
    SignatureAlgorithm,
    /// Signed with SHA-1.
    WeakHash,
    /// An RSA key smaller or larger than policy allows.
    KeySize {
        /// What it is.
        key: KeyKind,
        /// Bits of the smallest RSA key that is allowed.
        least: u32,
        /// Bits of the largest.
        most: u32,
    },
    /// A certificate signed others, and basicConstraints does not say that it may.
    NotCa,
    /// More CAs below it than its pathLenConstraint allows.
    PathLength {
        /// What it allows.
        allowed: u32,
        /// CAs between it and the peer's certificate.
        have: u32,
    },
    /// keyUsage is there and lacks the bit.
    KeyUsage {
        /// The bit that is lacking.
        wanted: &'static str,
    },
    /// extendedKeyUsage is there and has none that fits.
    ExtendedKeyUsage {
        /// The purposes that it has, as OIDs.
        have: Vec<String>,
    },
    /// A CA had no right to a name in the certificate.
    NameConstraint {
        /// The name.
        name: String,
        /// The CA that is constrained.
        by: String,
        /// The name lies in an excluded subtree; else it lies in no permitted one.
        excluded: bool,
    },
    /// A critical extension that is not known here.
    CriticalExtension {
        /// Its OID.
        oid: String,
    },
    /// policyConstraints asks for certificate policies, which are not evaluated here.
    ExplicitPolicy,
    /// A path longer than is followed.
    PathTooLong {
        /// Certificates of the longest path.
        most: usize,
    },
    /// The search took more signature checks or comparisons than it may.
    TooMuchWork,
}

impl Refused {
    pub(crate) fn new(certificate: &Certificate, depth: usize, check: Check) -> Self {
        Self { certificate: certificate.to_string(), depth, check }
    }

    /// What an operator can do about it.
    pub fn fix(&self) -> String {
        self.check.fix()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.depth == 0 { "certificate" } else { "CA certificate" };
        write!(f, "{role} {}: {}; {}", self.certificate, self.check, self.check.fix())
    }
}
impl std::error::Error for Refused {}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyCertificates { have, most } => {
                write!(f, "{have} certificates came with it, and {most} are looked at")
            }
            Self::Expired { not_after, now } => {
                write!(
                    f,
                    "it expired at {}, and it is {}",
                    time::text(*not_after),
                    time::text(*now)
                )
            }
            Self::NotYetValid { not_before, now } => {
                let (from, now) = (time::text(*not_before), time::text(*now));
                write!(f, "it is not valid before {from}, and it is {now}")
            }
            Self::UnknownIssuer { issuer } => {
                write!(f, "its issuer '{issuer}' is neither trusted nor among what the peer sent")
            }
            Self::Signature { issuer, fault } => write!(f, "not signed by {issuer}: {fault}"),
            Self::SignatureAlgorithm => f.write_str("signed by an algorithm that we do not have"),
            Self::WeakHash => f.write_str("signed with SHA-1"),
            Self::KeySize { key, least, most } => {
                write!(f, "its key is {key}, and {least} to {most} bits are allowed")
            }
            Self::NotCa => f.write_str("it signed another, and basicConstraints makes it no CA"),
            Self::PathLength { allowed, have } => {
                write!(f, "pathLenConstraint allows {allowed} CAs below it, and there are {have}")
            }
            Self::KeyUsage { wanted } => write!(f, "keyUsage lacks {wanted}"),
            Self::ExtendedKeyUsage { have } => {
                write!(f, "extendedKeyUsage has only {}", have.join(", "))
            }
            Self::NameConstraint { name, by, excluded: true } => {
                write!(f, "its name '{name}' is excluded by the name constraints of {by}")
            }
            Self::NameConstraint { name, by, excluded: false } => {
                write!(f, "its name '{name}' is not permitted by the name constraints of {by}")
            }
            Self::CriticalExtension { oid } => {
                write!(f, "it has a critical extension {oid} that is not known here")
            }
            Self::ExplicitPolicy => {
                f.write_str("policyConstraints asks for policies, which are not evaluated here")
            }
            Self::PathTooLong { most } => write!(f, "no anchor within {most} certificates"),
            Self::TooMuchWork => f.write_str("the search for a path was given up: too much work"),
        }
    }
}

impl Check {
    /// What an operator can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::TooManyCertificates { .. } => "let the peer send its own chain alone".into(),
            Self::Expired { .. } => "renew it, or set the clock".into(),
            Self::NotYetValid { .. } => "set the clock, or wait".into(),
            Self::UnknownIssuer { issuer } => format!(
                "add the certificate of '{issuer}' to the trusted CAs, or let the peer send the \
                 intermediate"
            ),
            Self::Signature { .. } => {
                "another CA has the same name: put the one that signed it among the trusted CAs"
                    .into()
            }
            Self::SignatureAlgorithm => {
                "issue it anew with RSA, ECDSA on P-256, P-384 or P-521, or Ed25519".into()
            }
            Self::WeakHash => "issue it anew with SHA-256".into(),
            Self::KeySize { least, .. } => {
                format!("issue it for an RSA key of {least} bits or more")
            }
            Self::NotCa => "issue the CA anew with basicConstraints CA:TRUE".into(),
            Self::PathLength { .. } => "issue from a CA nearer to it, or raise its pathlen".into(),
            Self::KeyUsage { wanted } => format!("issue it anew with {wanted} or without keyUsage"),
            Self::ExtendedKeyUsage { .. } => {
                "issue it anew with serverAuth, clientAuth or ipsecIKE, or without \
                 extendedKeyUsage"
                    .into()
            }
            Self::NameConstraint { .. } => {
                "issue it from a CA that may write this name, or change the name".into()
            }
            Self::CriticalExtension { .. } => "issue it anew without that extension".into(),
            Self::ExplicitPolicy => "issue the CA anew without requireExplicitPolicy".into(),
            Self::PathTooLong { .. } => "trust a CA nearer to the peer".into(),
            Self::TooMuchWork => "remove CAs of the same name and different keys".into(),
        }
    }
}
