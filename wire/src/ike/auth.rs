//! The Authentication payload (RFC 7296 §3.8), and its layout for signatures of any kind (RFC 7427 §3).

use super::{Malformed, Out, TooLong, octets};
use crate::iana::ike::AuthMethod;
use alloc::vec::Vec;

/// What proves an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication<'a> {
    /// How it proves it.
    pub method: AuthMethod,
    /// The proof: a signature, or a keyed hash.
    pub data: &'a [u8],
}

impl<'a> Authentication<'a> {
    /// Checks that there is a proof, and where the method is [`AuthMethod::DIGITAL_SIGNATURE`] its layout.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::Empty`] or [`Malformed::BadLength`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[method, ..], data) = octets::take::<4>(body)?;
        let (method, data) = (AuthMethod(method), octets::not_empty(data)?);
        if method == AuthMethod::DIGITAL_SIGNATURE {
            DigitalSignature::parse(data)?;
        }
        Ok(Self { method, data })
    }

    /// The signature and its algorithm, where the method is [`AuthMethod::DIGITAL_SIGNATURE`].
    pub fn digital_signature(&self) -> Option<DigitalSignature<'a>> {
        let signature = DigitalSignature::parse(self.data).ok();
        signature.filter(|_| self.method == AuthMethod::DIGITAL_SIGNATURE)
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        out.put(&[self.method.0, 0, 0, 0]);
        out.put(self.data);
    }
}

/// A signature that names its algorithm (RFC 7427 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitalSignature<'a> {
    /// An AlgorithmIdentifier, DER; 1 to 255 octets, not looked into here.
    pub algorithm: &'a [u8],
    /// The signature; at least one octet.
    pub signature: &'a [u8],
}

impl<'a> DigitalSignature<'a> {
    /// Reads the data of an Authentication payload: a length, the algorithm, the signature.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::BadLength`], or [`Malformed::Empty`] when either is.
    pub fn parse(data: &'a [u8]) -> Result<Self, Malformed> {
        let (&[length], rest) = octets::take::<1>(data)?;
        let (algorithm, signature) = octets::split_stated(rest, length.into(), 0)?;
        let algorithm = octets::not_empty(algorithm)?;
        Ok(Self { algorithm, signature: octets::not_empty(signature)? })
    }

    /// The data of an Authentication payload whose method is [`AuthMethod::DIGITAL_SIGNATURE`].
    ///
    /// # Errors
    /// [`TooLong`] when the algorithm exceeds 255 octets.
    pub fn data(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Out::default();
        out.put_count(self.algorithm.len());
        out.put(self.algorithm);
        out.put(self.signature);
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8420 §A.1: Ed25519's AlgorithmIdentifier.
    const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

    #[test]
    fn a_signature_lies_behind_its_algorithm() {
        let signature = DigitalSignature { algorithm: &ED25519, signature: &[0xaa; 64] };
        let data = signature.data().unwrap();
        assert_eq!(data, [&[7][..], &ED25519, &[0xaa; 64]].concat());
        let octets = [&[14, 0, 0, 0], &data[..]].concat();
        let auth = Authentication::parse(&octets).unwrap();
        assert_eq!(auth.digital_signature(), Some(signature));
        let mut out = Out::default();
        auth.emit(&mut out);
        assert_eq!(out.octets(), octets);
        for end in 0..octets.len() - 63 {
            assert!(Authentication::parse(&octets[..end]).is_err(), "cut to {end}");
        }
    }

    #[test]
    fn only_that_method_has_that_layout() {
        let auth = Authentication::parse(&[2, 0xff, 0xff, 0xff, 9]).unwrap();
        assert_eq!((auth.method, auth.data), (AuthMethod::SHARED_KEY, &[9][..]));
        assert_eq!(auth.digital_signature(), None);
        for (octets, why) in [
            (&[2, 0, 0][..], Malformed::Truncated { need: 4, have: 3 }),
            (&[2, 0, 0, 0], Malformed::Empty),
            (&[14, 0, 0, 0, 0, 9], Malformed::Empty),
            (&[14, 0, 0, 0, 1, 9], Malformed::Empty),
            (&[14, 0, 0, 0, 9, 9], Malformed::BadLength { said: 9, have: 1 }),
        ] {
            assert_eq!(Authentication::parse(octets), Err(why), "{octets:?}");
        }
    }

    #[test]
    fn an_algorithm_beyond_its_length_field_is_not_written() {
        let long = DigitalSignature { algorithm: &[1; 256], signature: &[1] };
        assert_eq!(long.data(), Err(TooLong));
        assert!(DigitalSignature { algorithm: &[1; 255], ..long }.data().is_ok());
    }
}
