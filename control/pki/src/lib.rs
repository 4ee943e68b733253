//! X.509 as an IKE daemon needs it: keys and signatures (RFC 7427, RFC 4754, RFC 8420), certificates and the
//! paths between them (RFC 5280, RFC 4945), identities and the patterns that policy writes for them, readers of
//! every file in which keys and certificates are kept, and makers of all of these.
//!
//! Octets in, octets out: no file, socket or clock is touched here. Only key generation, ECDSA nonces, salts and
//! serial numbers draw on the system's random numbers, inside the library that signs.
//!
//! * [`Identity`] is who somebody says they are; [`Pattern`] is what policy accepts.
//! * [`Certificate::carries`] ties an identity to a certificate: by subjectAltName or the whole subject, never by CN.
//! * [`Trust::verify`] ties a certificate to an anchor, or says which certificate failed which check.
//! * [`PublicKey::verify`] and [`PrivateKey::sign`] work by [`Scheme`], so that the choice of algorithm is visible
//!   where it is made.

#![forbid(unsafe_code)]

mod algorithm;
mod asn1;
mod certificate;
mod constraints;
mod extensions;
mod identity;
mod legacy;
mod make;
mod name;
mod path;
mod pattern;
mod private_key;
mod public_key;
mod read;
mod refused;
mod request;
mod time;

pub use algorithm::{Curve, Hash, KeyKind, Scheme};
pub use certificate::{Certificate, MAX_CERTIFICATE};
pub use extensions::AltName;
pub use identity::{BadIdentity, Identity};
pub use make::{CannotMake, Constraint, Constraints, Issuer, Profile, Role};
pub use name::{BadName, Name};
pub use path::{Limits, Purpose, Trust, Verified};
pub use pattern::{BadPattern, Pattern};
pub use private_key::{CannotSign, PrivateKey};
pub use public_key::{BadKey, BadSignature, PublicKey};
pub use read::{BadFile, Identified, certificates, pem, pkcs12, to_pkcs12};
pub use refused::{Check, Refused};
pub use request::Request;

/// Octets that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what}")]
pub struct Malformed {
    /// What should have been there.
    pub what: &'static str,
}
