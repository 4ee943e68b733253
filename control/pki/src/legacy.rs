//! RSASSA-PKCS1-v1_5 with SHA-1, to sign: AUTH method 1 (RFC 7296 §3.8) as old peers want it.
//!
//! AWS-LC's safe interface signs with SHA-2 alone, so the private operation is done here on a constant-time bignum:
//! one exponentiation modulo n, without the Chinese remainder theorem, so that no fault can give a factor away. The
//! caller checks the signature before anybody sees it.
use crate::Hash;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Sequence};
use zeroize::Zeroizing;

/// RSAPrivateKey (RFC 8017 §A.1.2).
#[derive(Sequence)]
pub(crate) struct RsaPrivateKey<'a> {
    pub version: u8,
    pub modulus: UintRef<'a>,
    pub public_exponent: UintRef<'a>,
    pub private_exponent: UintRef<'a>,
    pub prime_1: UintRef<'a>,
    pub prime_2: UintRef<'a>,
    pub exponent_1: UintRef<'a>,
    pub exponent_2: UintRef<'a>,
    pub coefficient: UintRef<'a>,
    #[asn1(optional = "true")]
    pub others: Option<AnyRef<'a>>,
}

/// DigestInfo of SHA-1 up to the hash (RFC 8017 §9.2, note 1).
const DIGEST_INFO: [u8; 15] = [0x30, 33, 0x30, 9, 6, 5, 0x2b, 14, 3, 2, 26, 5, 0, 4, 20];

/// Signs with an RSAPrivateKey in DER. `None` when it is not one.
pub(crate) fn sign_sha1(private_key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = RsaPrivateKey::from_der(private_key).ok()?;
    let octets = key.modulus.as_bytes().len();
    let encoded = encode(message, octets)?;
    let bits = u32::try_from(octets).ok()?.checked_mul(8)?;
    let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, bits).ok();
    let modulus = Option::from(Odd::new(number(key.modulus.as_bytes())?))?;
    let exponent = Zeroizing::new(number(key.private_exponent.as_bytes())?);
    let parameters = BoxedMontyParams::new(modulus);
    let signature = BoxedMontyForm::new(number(&encoded)?, &parameters).pow(&exponent).retrieve();
    let octets_out = signature.to_be_bytes();
    let from = octets_out.len().checked_sub(octets)?;
    octets_out.get(from..).map(<[u8]>::to_vec)
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): 0, 1, ff .. ff, 0, DigestInfo.
fn encode(message: &[u8], octets: usize) -> Option<Vec<u8>> {
    let hash = Hash::Sha1.digest(message);
    let padding = octets.checked_sub(3 + DIGEST_INFO.len() + hash.len()).filter(|&n| n >= 8)?;
    let mut out = vec![0, 1];
    out.resize(2 + padding, 0xff);
    out.push(0);
    out.extend(DIGEST_INFO);
    out.extend(hash);
    Some(out)
}
