//! The Certificate payload (RFC 7296 §3.6).

use super::{Malformed, Out, octets};
use crate::iana::ike::CertEncoding;

/// The most certificates in one message: an end entity's, and its intermediates'.
pub const MAX_CERTIFICATES: usize = 16;

/// One certificate, or what its encoding says it is. Not looked into here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// How to read `data`.
    pub encoding: CertEncoding,
    /// The certificate; at least one octet.
    pub data: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Checks that there is something.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::Empty`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[encoding], data) = octets::take::<1>(body)?;
        Ok(Self { encoding: CertEncoding(encoding), data: octets::not_empty(data)? })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(&[self.encoding.0]);
        out.put(self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_an_encoding_and_is_not_empty() {
        let want = Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[0x30, 0] };
        assert_eq!(Certificate::parse(&[4, 0x30, 0]), Ok(want));
        let mut out = Out::default();
        want.emit(&mut out);
        assert_eq!(out.octets(), [4, 0x30, 0]);
        assert_eq!(Certificate::parse(&[]), Err(Malformed::Truncated { need: 1, have: 0 }));
        assert_eq!(Certificate::parse(&[4]), Err(Malformed::Empty));
    }
}
