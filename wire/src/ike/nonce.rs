//! The Nonce payload (RFC 7296 §3.9).

use super::{Malformed, Out};

/// The fewest octets of a nonce.
pub const LEAST: usize = 16;
/// The most octets of a nonce.
pub const MOST: usize = 256;

/// Random octets that make an exchange unlike any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce<'a>(pub &'a [u8]);

impl<'a> Nonce<'a> {
    /// Checks the length: 16 to 256 octets.
    ///
    /// # Errors
    /// [`Malformed::BadSize`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let have = body.len();
        let bad = Malformed::BadSize { least: LEAST, most: MOST, have };
        if (LEAST..=MOST).contains(&have) { Ok(Self(body)) } else { Err(bad) }
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_has_16_to_256_octets() {
        let octets = [0x5a; 300];
        for have in [0, 1, 15, 16, 17, 32, 255, 256, 257, 300] {
            let want = if (16..=256).contains(&have) {
                Ok(Nonce(&octets[..have]))
            } else {
                Err(Malformed::BadSize { least: 16, most: 256, have })
            };
            assert_eq!(Nonce::parse(&octets[..have]), want);
        }
    }
}
