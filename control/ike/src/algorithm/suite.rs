//! The algorithms of one IKE SA, in combinations that make sense.

use super::{Encr, Group, Integ, Prf};
use std::fmt;

/// What protects an IKE SA and where its keys come from. An AEAD stands alone, any other cipher has an
/// integrity algorithm beside it: encryption without integrity cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    encr: Encr,
    prf: Prf,
    integ: Option<Integ>,
    group: Group,
}

impl Suite {
    /// `None` when cipher and integrity do not go together: an AEAD with an integrity algorithm beside it,
    /// another cipher without one (RFC 7296 §3.3, RFC 5282 §8).
    pub fn new(encr: Encr, prf: Prf, integ: Option<Integ>, group: Group) -> Option<Self> {
        (encr.is_aead() != integ.is_some()).then_some(Self { encr, prf, integ, group })
    }

    /// The cipher.
    pub const fn encr(&self) -> Encr {
        self.encr
    }

    /// The pseudo-random function.
    pub const fn prf(&self) -> Prf {
        self.prf
    }

    /// The integrity algorithm; `None` with an AEAD.
    pub const fn integ(&self) -> Option<Integ> {
        self.integ
    }

    /// The key exchange.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// Octets of SK_ai and SK_ar; 0 with an AEAD.
    pub fn integ_key_len(&self) -> usize {
        self.integ.map_or(0, Integ::key_len)
    }

    /// Whether any of its algorithms must be asked for with `legacy: true`.
    pub fn legacy(&self) -> bool {
        self.encr.legacy()
            || self.prf.legacy()
            || self.integ.is_some_and(Integ::legacy)
            || self.group.legacy()
    }
}

/// `ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/Curve25519`.
impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encr.name())?;
        if let Some(integ) = self.integ {
            write!(f, "/{}", integ.name())?;
        }
        write!(f, "/{}/{}", self.prf.name(), self.group.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_never_goes_without_integrity_and_an_aead_takes_none_beside_it() {
        for encr in Encr::all() {
            for integ in Integ::all().map(Some).chain([None]) {
                let suite = Suite::new(encr, Prf::HmacSha2_256, integ, Group::Curve25519);
                assert_eq!(
                    suite.is_some(),
                    encr.is_aead() == integ.is_none(),
                    "{encr:?} {integ:?}"
                );
            }
        }
    }

    #[test]
    fn one_legacy_algorithm_makes_the_suite_legacy() {
        let suite = |encr, prf, integ, group| {
            Suite::new(encr, prf, Some(integ), group).is_some_and(|suite| suite.legacy())
        };
        let (cbc, sha2) = (Encr::from_name("ENCR_AES_CBC_256").unwrap(), Integ::HmacSha2_256_128);
        assert!(!suite(cbc, Prf::HmacSha2_256, sha2, Group::Ecp256));
        assert!(suite(Encr::TripleDes, Prf::HmacSha2_256, sha2, Group::Ecp256));
        assert!(suite(cbc, Prf::HmacMd5, sha2, Group::Ecp256));
        assert!(suite(cbc, Prf::HmacSha2_256, Integ::HmacMd5_96, Group::Ecp256));
        assert!(suite(cbc, Prf::HmacSha2_256, sha2, Group::Modp1024));
    }

    #[test]
    fn a_suite_prints_as_its_parts() {
        let suite = |encr, integ| Suite::new(encr, Prf::HmacSha1, integ, Group::Modp2048).unwrap();
        let cbc = suite(Encr::TripleDes, Some(Integ::HmacSha1_96));
        assert_eq!(cbc.to_string(), "ENCR_3DES/AUTH_HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_2048");
        let aead = suite(Encr::ChaCha20Poly1305, None);
        assert_eq!(aead.to_string(), "ENCR_CHACHA20_POLY1305/PRF_HMAC_SHA1/MODP_2048");
    }
}
