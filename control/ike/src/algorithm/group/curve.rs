//! Groups on elliptic curves: ECP (RFC 5903) and X25519 (RFC 7748, RFC 8031), computed by AWS-LC.

use super::BadPublic;
use crate::Key;
use aws_lc_rs::agreement::{self, Algorithm, PrivateKey, UnparsedPublicKey};
use subtle::ConstantTimeEq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    X25519,
}

/// What SEC 1 §2.3.3 puts in front of an uncompressed point, and IKE leaves out.
const UNCOMPRESSED: u8 = 4;

impl Curve {
    pub(super) const fn scalar_len(self) -> usize {
        match self {
            Self::P256 | Self::X25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Both coordinates at full length (RFC 5903 §7), or the one of X25519.
    pub(super) const fn public_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            _ => 2 * self.scalar_len(),
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
            Self::X25519 => &agreement::X25519,
        }
    }

    /// The key of a scalar and its public value; `None` when the scalar is not in 1..order.
    pub(super) fn secret(self, scalar: &[u8]) -> Option<(PrivateKey, Vec<u8>)> {
        let mut scalar = zeroize::Zeroizing::new(scalar.to_vec());
        if let (Self::P521, Some(first)) = (self, scalar.first_mut()) {
            *first &= 1; // 521 bits in 66 octets
        }
        let key = PrivateKey::from_private_key(self.algorithm(), &scalar).ok()?;
        let public = key.compute_public_key().ok()?;
        let public = match self {
            Self::X25519 => public.as_ref(),
            _ => public.as_ref().strip_prefix(&[UNCOMPRESSED])?,
        };
        Some((key, public.to_vec()))
    }

    /// AWS-LC refuses what is not on the curve; infinity has no coordinates to be sent in.
    pub(super) fn agree(self, key: &PrivateKey, public: &[u8]) -> Result<Key, BadPublic> {
        if public.len() != self.public_len() {
            return Err(BadPublic);
        }
        let mut point = Vec::with_capacity(1 + public.len());
        if self != Self::X25519 {
            point.push(UNCOMPRESSED);
        }
        point.extend_from_slice(public);
        let peer = UnparsedPublicKey::new(self.algorithm(), point);
        let shared = agreement::agree(key, peer, BadPublic, |shared| Ok(Key::from(shared)))?;
        // after a point of small order the secret would be nobody's (RFC 7748 §6.1, RFC 8031 §3.2); on the
        // ECP curves zero is a coordinate like any other
        let zero = shared.expose().ct_eq(&vec![0; shared.len()]);
        let nobodys = self == Self::X25519 && bool::from(zero);
        if nobodys { Err(BadPublic) } else { Ok(shared) }
    }
}
