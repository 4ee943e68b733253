//! The Certificate Request payload (RFC 7296 §3.7).

use super::{Malformed, Out, octets};
use crate::iana::ike::CertEncoding;

/// Octets of the SHA-1 hash of an authority's public key.
pub const AUTHORITY: usize = 20;

/// Which certificates are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateRequest<'a> {
    /// In which encoding.
    pub encoding: CertEncoding,
    /// Under which authorities; empty is any. [`authorities`](Self::authorities) has them one by one.
    pub data: &'a [u8],
}

impl<'a> CertificateRequest<'a> {
    /// Checks that there is an encoding.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[encoding], data) = octets::take::<1>(body)?;
        Ok(Self { encoding: CertEncoding(encoding), data })
    }

    /// SHA-1 hashes of the SubjectPublicKeyInfo of each authority that is trusted, in the encodings whose
    /// requests are such (RFC 7296 §3.7). A remainder is no hash and is ignored: a request is only a hint.
    pub fn authorities(&self) -> &'a [[u8; AUTHORITY]] {
        match self.encoding {
            CertEncoding::X509_SIGNATURE
            | CertEncoding::HASH_AND_URL
            | CertEncoding::HASH_AND_URL_BUNDLE => self.data.as_chunks().0,
            _ => &[],
        }
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
    fn authorities_are_hashes_of_twenty_octets() {
        let octets = [&[4][..], &[1; 20], &[2; 20]].concat();
        let request = CertificateRequest::parse(&octets).unwrap();
        assert_eq!(request.authorities(), [[1; 20], [2; 20]]);
        let mut out = Out::default();
        request.emit(&mut out);
        assert_eq!(out.octets(), octets);
        for (octets, want) in [(&octets[..1], 0), (&octets[..20], 0), (&octets[..40], 1)] {
            assert_eq!(CertificateRequest::parse(octets).unwrap().authorities().len(), want);
        }
        let other = [&[15][..], &[1; 40]].concat();
        assert_eq!(CertificateRequest::parse(&other).unwrap().authorities().len(), 0);
        assert!(CertificateRequest::parse(&[]).is_err());
    }
}
