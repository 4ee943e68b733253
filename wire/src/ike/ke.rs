//! The Key Exchange payload (RFC 7296 §3.4).

use super::{Malformed, Out, octets};
use crate::iana::ike::KeyExchangeMethod;

/// One side's part of a key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyExchange<'a> {
    /// Which method it is for.
    pub method: KeyExchangeMethod,
    /// The public value; how long it must be, and which values are none, is the method's to say.
    pub public: &'a [u8],
}

impl<'a> KeyExchange<'a> {
    /// Checks that there is a public value.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::Empty`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[a, b, _, _], public) = octets::take::<4>(body)?;
        let method = KeyExchangeMethod(u16::from_be_bytes([a, b]));
        Ok(Self { method, public: octets::not_empty(public)? })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        let [a, b] = self.method.0.to_be_bytes();
        out.put(&[a, b, 0, 0]);
        out.put(self.public);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_value_is_there_and_reserved_octets_are_ignored() {
        let want = KeyExchange { method: KeyExchangeMethod::CURVE25519, public: &[7] };
        assert_eq!(KeyExchange::parse(&[0, 31, 0xff, 0xff, 7]), Ok(want));
        let mut out = Out::default();
        want.emit(&mut out);
        assert_eq!(out.octets(), [0, 31, 0, 0, 7]);
        for (octets, why) in [
            (&[][..], Malformed::Truncated { need: 4, have: 0 }),
            (&[0, 31, 0], Malformed::Truncated { need: 4, have: 3 }),
            (&[0, 31, 0, 0], Malformed::Empty),
        ] {
            assert_eq!(KeyExchange::parse(octets), Err(why));
        }
    }
}
