//! The MODP groups (RFC 7296 §B.2, RFC 3526): powers of 2 modulo a safe prime, in Montgomery form.
//!
//! Exponents are short, as RFC 3526 §8 and RFC 7919 §5.2 allow in groups of safe primes: twice the higher
//! estimate of the group's strength, rounded up to whole 64-bit words. Powers take a time that depends on
//! the group alone.

use super::{BadPublic, primes};
use crate::Key;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, CtLt, Odd, Resize};
use std::sync::OnceLock;
use zeroize::{Zeroize, Zeroizing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modp {
    M1024,
    M1536,
    M2048,
    M3072,
    M4096,
    M6144,
    M8192,
}

/// A secret exponent.
pub(super) struct Exponent(BoxedUint);

impl Drop for Exponent {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Modp {
    /// Bits of the prime.
    const fn bits(self) -> u32 {
        match self {
            Self::M1024 => 1024,
            Self::M1536 => 1536,
            Self::M2048 => 2048,
            Self::M3072 => 3072,
            Self::M4096 => 4096,
            Self::M6144 => 6144,
            Self::M8192 => 8192,
        }
    }

    /// Octets of the prime, of a public value and of the shared secret.
    pub(super) const fn len(self) -> usize {
        self.bits() as usize / 8
    }

    /// Octets of our exponents.
    pub(super) const fn exponent_len(self) -> usize {
        match self {
            Self::M1024 | Self::M1536 => 32,
            Self::M2048 => 40,
            Self::M3072 => 56,
            Self::M4096 => 64,
            Self::M6144 => 72,
            Self::M8192 => 80,
        }
    }

    /// The prime in Montgomery's terms, worked out once.
    fn params(self) -> &'static BoxedMontyParams {
        static PARAMS: [OnceLock<BoxedMontyParams>; 7] = [const { OnceLock::new() }; 7];
        let (slot, hex) = match self {
            Self::M1024 => (&PARAMS[0], primes::MODP_1024),
            Self::M1536 => (&PARAMS[1], primes::MODP_1536),
            Self::M2048 => (&PARAMS[2], primes::MODP_2048),
            Self::M3072 => (&PARAMS[3], primes::MODP_3072),
            Self::M4096 => (&PARAMS[4], primes::MODP_4096),
            Self::M6144 => (&PARAMS[5], primes::MODP_6144),
            Self::M8192 => (&PARAMS[6], primes::MODP_8192),
        };
        slot.get_or_init(|| {
            let prime = BoxedUint::from_be_hex(hex, self.bits()).expect("a constant of this file");
            BoxedMontyParams::new_vartime(Odd::new(prime).expect("a prime above two"))
        })
    }

    /// The exponent of these octets, big-endian; `None` when it is zero. A shorter power of 2 than the
    /// prime would be its own logarithm, so the highest bit is always set.
    pub(super) fn exponent(self, octets: &[u8]) -> Option<Exponent> {
        let mut octets = Zeroizing::new(octets.to_vec());
        *octets.first_mut()? |= 0x80;
        let bits = 8 * u32::try_from(octets.len()).ok()?;
        BoxedUint::from_be_slice(&octets, bits).ok().map(Exponent)
    }

    /// 2 to the power of `exponent`.
    pub(super) fn public(self, exponent: &Exponent) -> Vec<u8> {
        let two = BoxedUint::from(2_u64).resize(self.bits());
        self.power(two, exponent).expose().to_vec()
    }

    /// The peer's public value to the power of `exponent`. A value outside 2..=p-2 generates no group
    /// worth the name (RFC 6989 §2.1); inside, a safe prime leaves no small subgroup.
    pub(super) fn agree(self, exponent: &Exponent, public: &[u8]) -> Result<Key, BadPublic> {
        if public.len() != self.len() {
            return Err(BadPublic);
        }
        let y = BoxedUint::from_be_slice(public, self.bits()).map_err(|_| BadPublic)?;
        let one = BoxedUint::one_with_precision(self.bits());
        let last = self.params().modulus().wrapping_sub(&one); // p - 1
        if !bool::from(one.ct_lt(&y) & y.ct_lt(&last)) {
            return Err(BadPublic);
        }
        Ok(self.power(y, exponent))
    }

    fn power(self, base: BoxedUint, exponent: &Exponent) -> Key {
        let mut power = BoxedMontyForm::new(base, self.params()).pow(&exponent.0);
        let mut result = power.retrieve();
        let octets = Zeroizing::new(result.to_be_bytes().into_vec());
        result.zeroize();
        power.as_montgomery_mut().zeroize();
        octets.into()
    }
}
