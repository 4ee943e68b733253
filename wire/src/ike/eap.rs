//! The Extensible Authentication payload (RFC 7296 §3.16). What is in it is EAP's (RFC 3748).

use super::{Malformed, Out, octets};

/// An EAP packet, not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eap<'a>(pub &'a [u8]);

impl<'a> Eap<'a> {
    /// Checks that there is the least an EAP packet has: code, identifier and length.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        octets::take::<4>(body).map(|_| Self(body))
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(self.0);
    }
}
