//! The Vendor ID payload (RFC 7296 §3.12).

use super::{Malformed, Out};

/// What software the sender is, usually as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorId<'a>(pub &'a [u8]);

impl<'a> VendorId<'a> {
    /// Any octets, even none.
    ///
    /// # Errors
    /// Never.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self(body))
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(self.0);
    }
}
