//! The Encrypted Fragment payload (RFC 7383 §2.5).

use super::{Malformed, Out, octets};
use crate::iana::ike::PayloadType;

/// Octets in front of the IV that an Encrypted payload does not have.
pub const FRAGMENT: usize = 4;

/// Which fragment of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// From 1.
    pub number: u16,
    /// How many there are.
    pub total: u16,
}

impl Fragment {
    fn parse([a, b, c, d]: [u8; FRAGMENT]) -> Result<Self, Malformed> {
        let (number, total) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let fits = (1..=total).contains(&number);
        if fits {
            Ok(Self { number, total })
        } else {
            Err(Malformed::BadFragment { number, total })
        }
    }

    /// The fragment header's octets.
    pub(super) fn octets(self) -> [u8; FRAGMENT] {
        let ([a, b], [c, d]) = (self.number.to_be_bytes(), self.total.to_be_bytes());
        [a, b, c, d]
    }
}

/// One fragment, encrypted and authenticated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedFragment<'a> {
    /// The first payload inside the whole; only the first fragment says it.
    pub first: PayloadType,
    /// Which fragment.
    pub fragment: Fragment,
    /// IV, ciphertext, ICV.
    pub body: &'a [u8],
}

impl<'a> EncryptedFragment<'a> {
    /// Checks that the number is one of the total, and that there is something.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadFragment`] or [`Malformed::Empty`].
    pub fn parse(first: PayloadType, body: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = octets::take::<FRAGMENT>(body)?;
        let fragment = Fragment::parse(*header)?;
        Ok(Self { first, fragment, body: octets::not_empty(body)? })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(&self.fragment.octets());
        out.put(self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_one_of_its_total() {
        for (number, total, fine) in [
            (0, 0, false),
            (0, 1, false),
            (1, 0, false),
            (1, 1, true),
            (2, 1, false),
            (65535, 65535, true),
            (65535, 65534, false),
        ] {
            let octets = [&Fragment { number, total }.octets()[..], &[7]].concat();
            let got = EncryptedFragment::parse(PayloadType::NONE, &octets);
            let bad = Malformed::BadFragment { number, total };
            assert_eq!(got.err(), (!fine).then_some(bad));
        }
        let parse = |octets| EncryptedFragment::parse(PayloadType::NONE, octets);
        assert_eq!(parse(&[0, 1, 0]), Err(Malformed::Truncated { need: 4, have: 3 }));
        assert_eq!(parse(&[0, 1, 0, 1]), Err(Malformed::Empty));
    }
}
