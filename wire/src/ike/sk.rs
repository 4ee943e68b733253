//! The Encrypted payload (RFC 7296 §3.14): its outside. What is inside needs keys.

use super::{Malformed, Out, octets};
use crate::iana::ike::PayloadType;

/// IV, ciphertext and ICV, and what the first payload in the ciphertext is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted<'a> {
    /// The first payload inside.
    pub first: PayloadType,
    /// IV, ciphertext, ICV: how long each is depends on the SA's algorithms.
    pub body: &'a [u8],
}

impl<'a> Encrypted<'a> {
    /// Checks that there is something.
    ///
    /// # Errors
    /// [`Malformed::Empty`].
    pub fn parse(first: PayloadType, body: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { first, body: octets::not_empty(body)? })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(self.body);
    }
}

/// Removes the padding and the pad length behind decrypted payloads. Padding holds anything
/// (RFC 7296 §3.14).
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadPadLength`].
pub fn unpad(decrypted: &[u8]) -> Result<&[u8], Malformed> {
    let short = Malformed::Truncated { need: 1, have: 0 };
    let (pad, rest) = decrypted.split_last().ok_or(short)?;
    let (said, have) = (usize::from(*pad), rest.len());
    let end = have.checked_sub(said).ok_or(Malformed::BadPadLength { said, have })?;
    Ok(rest.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_holds_anything_and_fits() {
        for (decrypted, want) in [
            (&[][..], Err(Malformed::Truncated { need: 1, have: 0 })),
            (&[0], Ok(&[][..])),
            (&[1], Err(Malformed::BadPadLength { said: 1, have: 0 })),
            (&[9, 9, 0], Ok(&[9, 9])),
            (&[9, 7, 1], Ok(&[9])),
            (&[9, 7, 2], Ok(&[])),
            (&[9, 7, 3], Err(Malformed::BadPadLength { said: 3, have: 2 })),
            (&[9, 7, 255], Err(Malformed::BadPadLength { said: 255, have: 2 })),
        ] {
            assert_eq!(unpad(decrypted), want);
        }
    }
}
