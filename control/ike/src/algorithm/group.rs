//! Key exchange: Transform Type 4 (RFC 7296 §3.4), with the checks of RFC 6989 on what the peer sends.
//!
//! The curves are AWS-LC's, the modular groups run on `crypto-bigint`; both take a time that does not
//! depend on secrets. Every secret scalar is made from the caller's randomness. Curve448 is not here: the
//! one maintained implementation (`x448`) has had no release but preliminary ones.

mod curve;
mod modp;
mod primes;

use crate::{Key, Random};
use curve::Curve;
use modp::Modp;
use std::fmt;
use wire::iana::ike::KeyExchangeMethod;
use zeroize::Zeroizing;

/// A group that this build runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// 1024-bit MODP (RFC 7296 §B.2): for old peers; [legacy](Group::legacy).
    Modp1024,
    /// 1536-bit MODP (RFC 3526 §2): for old peers; [legacy](Group::legacy).
    Modp1536,
    /// 2048-bit MODP (RFC 3526 §3).
    Modp2048,
    /// 3072-bit MODP (RFC 3526 §4).
    Modp3072,
    /// 4096-bit MODP (RFC 3526 §5).
    Modp4096,
    /// 6144-bit MODP (RFC 3526 §6).
    Modp6144,
    /// 8192-bit MODP (RFC 3526 §7).
    Modp8192,
    /// P-256 (RFC 5903).
    Ecp256,
    /// P-384 (RFC 5903).
    Ecp384,
    /// P-521 (RFC 5903).
    Ecp521,
    /// X25519 (RFC 7748, RFC 8031).
    Curve25519,
}

/// Every group with its number; the ones to prefer first.
const TABLE: &[(Group, KeyExchangeMethod)] = &[
    (Group::Curve25519, KeyExchangeMethod::CURVE25519),
    (Group::Ecp384, KeyExchangeMethod::ECP_384),
    (Group::Ecp256, KeyExchangeMethod::ECP_256),
    (Group::Ecp521, KeyExchangeMethod::ECP_521),
    (Group::Modp3072, KeyExchangeMethod::MODP_3072),
    (Group::Modp4096, KeyExchangeMethod::MODP_4096),
    (Group::Modp2048, KeyExchangeMethod::MODP_2048),
    (Group::Modp6144, KeyExchangeMethod::MODP_6144),
    (Group::Modp8192, KeyExchangeMethod::MODP_8192),
    (Group::Modp1536, KeyExchangeMethod::MODP_1536),
    (Group::Modp1024, KeyExchangeMethod::MODP_1024),
];

/// What the group is made of, where the arithmetic is chosen.
enum Kind {
    Modp(Modp),
    Curve(Curve),
}

impl Group {
    /// What a transform of a proposal means to this build, if anything. None of these has a Key Length
    /// attribute: one that is there is refused (RFC 7296 §3.3.5).
    pub fn negotiate(id: KeyExchangeMethod, key_bits: Option<u16>) -> Option<Self> {
        Self::all().find(|group| group.id() == id && key_bits.is_none())
    }

    /// Every group of this build, the ones to prefer first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(group, _)| *group)
    }

    /// The name as in configurations: `MODP_3072`, `ECP_384`, `Curve25519`.
    pub fn name(self) -> &'static str {
        self.id().name().unwrap_or("")
    }

    /// The group of a name (exact spelling).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::negotiate(KeyExchangeMethod::by_name(name)?, None)
    }

    /// The transform's number, which is also the Key Exchange payload's.
    pub fn id(self) -> KeyExchangeMethod {
        let row = TABLE.iter().find(|(group, _)| *group == self);
        row.map_or(KeyExchangeMethod::NONE, |(_, id)| *id)
    }

    /// Whether a connection must ask for it with `legacy: true`: the groups that RFC 8247 §2.4 turns down.
    pub const fn legacy(self) -> bool {
        matches!(self, Self::Modp1024 | Self::Modp1536)
    }

    /// Octets of a public value (RFC 7296 §3.4, RFC 5903 §7, RFC 8031 §3.1).
    pub fn public_len(self) -> usize {
        match self.kind() {
            Kind::Modp(modp) => modp.len(),
            Kind::Curve(curve) => curve.public_len(),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Modp1024 => Kind::Modp(Modp::M1024),
            Self::Modp1536 => Kind::Modp(Modp::M1536),
            Self::Modp2048 => Kind::Modp(Modp::M2048),
            Self::Modp3072 => Kind::Modp(Modp::M3072),
            Self::Modp4096 => Kind::Modp(Modp::M4096),
            Self::Modp6144 => Kind::Modp(Modp::M6144),
            Self::Modp8192 => Kind::Modp(Modp::M8192),
            Self::Ecp256 => Kind::Curve(Curve::P256),
            Self::Ecp384 => Kind::Curve(Curve::P384),
            Self::Ecp521 => Kind::Curve(Curve::P521),
            Self::Curve25519 => Kind::Curve(Curve::X25519),
        }
    }

    /// A fresh secret and the public value that goes into the Key Exchange payload. Takes microseconds on a
    /// curve and milliseconds in a large MODP group.
    pub fn generate(self, random: &mut dyn Random) -> (Secret, Vec<u8>) {
        let mut scalar = Zeroizing::new(vec![0; self.scalar_len()]);
        // a scalar outside the group's order is drawn again: at worst once in 2^32 (P-256)
        for _ in 0..16 {
            random.fill(&mut scalar);
            if let Some(made) = Secret::from_scalar(self, &scalar) {
                return made;
            }
        }
        // a source this poor would keep us here for ever; this scalar is certainly below the order
        if let [first, .., last] = &mut scalar[..] {
            (*first, *last) = (0, *last | 1);
        }
        Secret::from_scalar(self, &scalar).expect("below the order, and not zero")
    }

    fn scalar_len(self) -> usize {
        match self.kind() {
            Kind::Modp(modp) => modp.exponent_len(),
            Kind::Curve(curve) => curve.scalar_len(),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Our half of a key exchange: wiped when it ends, never printed, and to be used once.
pub struct Secret {
    group: Group,
    half: Half,
}

enum Half {
    Modp(Modp, modp::Exponent),
    Curve(Curve, aws_lc_rs::agreement::PrivateKey),
}

/// A public value that is not in its group, or would give away the secret (RFC 6989 §2, RFC 7748 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public value is none of its group")]
pub struct BadPublic;

impl Secret {
    /// The secret of a scalar, and its public value; `None` when the scalar is zero or not below the order.
    /// For curves the scalar is big-endian as RFC 5903 has it, for X25519 as RFC 7748 does.
    fn from_scalar(group: Group, scalar: &[u8]) -> Option<(Self, Vec<u8>)> {
        let (half, public) = match group.kind() {
            Kind::Modp(modp) => {
                let exponent = modp.exponent(scalar)?;
                let public = modp.public(&exponent);
                (Half::Modp(modp, exponent), public)
            }
            Kind::Curve(curve) => {
                let (key, public) = curve.secret(scalar)?;
                (Half::Curve(curve, key), public)
            }
        };
        Some((Self { group, half }, public))
    }

    /// The group it belongs to.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// The shared secret with the peer's public value, at the length of the group: g^ir of RFC 7296 §2.14,
    /// the x coordinate on the ECP curves (RFC 5903 §7).
    pub fn agree(&self, public: &[u8]) -> Result<Key, BadPublic> {
        match &self.half {
            Half::Modp(modp, exponent) => modp.agree(exponent, public),
            Half::Curve(curve, key) => curve.agree(key, public),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.group)
    }
}
