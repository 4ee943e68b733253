//! Transforms: one algorithm of a proposal each (RFC 7296 §3.3.2), with their attributes (§3.3.5).

use core::fmt;

use super::{Malformed, Out, list::Element, octets};
use crate::iana::ike::{
    AttributeType, EncryptionId, EsnId, IntegrityId, KeyExchangeMethod, PrfId, TransformType,
};

const HEADER: usize = 8;
/// "Another transform follows": the number of IKEv1's Transform payload.
const MORE: u8 = 3;
/// The attribute format bit: type and value, no length.
const SHORT: u16 = 0x8000;

/// One transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transform {
    /// What it chooses.
    pub kind: TransformType,
    /// The algorithm, numbered per kind; [`algorithm`](Self::algorithm) has it by name.
    pub id: u16,
    /// The Key Length attribute, in bits.
    pub key_length: Option<u16>,
    /// Whether Key Length, once at most, is all the attributes there are. A transform with others must
    /// not be chosen (RFC 7296 §3.3.6).
    pub understood: bool,
}

/// The algorithm of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Type 1, with the key length in bits where it is stated.
    Encryption(EncryptionId, Option<u16>),
    /// Type 2.
    Prf(PrfId),
    /// Type 3.
    Integrity(IntegrityId),
    /// Type 4.
    KeyExchange(KeyExchangeMethod),
    /// Type 5.
    SequenceNumbers(EsnId),
    /// Types 6 to 12 (RFC 9370): which of the seven, from 1.
    AdditionalKeyExchange(u8, KeyExchangeMethod),
    /// Any other.
    Unknown(TransformType, u16),
}

impl Transform {
    /// A transform without attributes.
    pub const fn new(kind: TransformType, id: u16) -> Self {
        Self { kind, id, key_length: None, understood: true }
    }
    /// Type 1; the key length in bits, for ciphers that have several.
    pub const fn encryption(id: EncryptionId, key_length: Option<u16>) -> Self {
        Self { key_length, ..Self::new(TransformType::ENCR, id.0) }
    }
    /// Type 2.
    pub const fn prf(id: PrfId) -> Self {
        Self::new(TransformType::PRF, id.0)
    }
    /// Type 3.
    pub const fn integrity(id: IntegrityId) -> Self {
        Self::new(TransformType::INTEG, id.0)
    }
    /// Type 4.
    pub const fn key_exchange(method: KeyExchangeMethod) -> Self {
        Self::new(TransformType::KE, method.0)
    }
    /// Type 5.
    pub const fn sequence_numbers(id: EsnId) -> Self {
        Self::new(TransformType::SN, id.0)
    }

    /// The algorithm by name.
    pub const fn algorithm(&self) -> Algorithm {
        match self.kind {
            TransformType::ENCR => Algorithm::Encryption(EncryptionId(self.id), self.key_length),
            TransformType::PRF => Algorithm::Prf(PrfId(self.id)),
            TransformType::INTEG => Algorithm::Integrity(IntegrityId(self.id)),
            TransformType::KE => Algorithm::KeyExchange(KeyExchangeMethod(self.id)),
            TransformType::SN => Algorithm::SequenceNumbers(EsnId(self.id)),
            TransformType(kind @ 6..=12) => {
                Algorithm::AdditionalKeyExchange(kind - 5, KeyExchangeMethod(self.id))
            }
            kind => Algorithm::Unknown(kind, self.id),
        }
    }

    fn read_attributes(&mut self, mut octets: &[u8]) -> Result<(), Malformed> {
        while !octets.is_empty() {
            let (&[a, b, c, d], rest) = octets::take::<4>(octets)?;
            let (kind, value) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let key_length = kind == AttributeType::KEY_LENGTH.0 | SHORT;
            self.understood &= key_length && self.key_length.is_none();
            if kind & SHORT == 0 {
                (_, octets) = octets::split_stated(rest, value, 0)?;
            } else {
                octets = rest;
            }
            if key_length {
                self.key_length.get_or_insert(value);
            }
        }
        Ok(())
    }
}

impl<'a> Element<'a> for Transform {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        let (&[last, _, a, b, kind, _, c, d], _) = octets::take::<HEADER>(octets)?;
        let said = u16::from_be_bytes([a, b]);
        let (whole, rest) = octets::split_stated(octets, said, HEADER)?;
        if last != if rest.is_empty() { 0 } else { MORE } {
            return Err(Malformed::BadLastSubstructure(last));
        }
        let mut transform = Self::new(TransformType(kind), u16::from_be_bytes([c, d]));
        transform.read_attributes(octets::take::<HEADER>(whole)?.1)?;
        Ok((Some(transform), rest))
    }

    fn emit(&self, last: bool, out: &mut Out) {
        let start = out.position();
        let [a, b] = self.id.to_be_bytes();
        out.put(&[if last { 0 } else { MORE }, 0, 0, 0, self.kind.0, 0, a, b]);
        if let Some(bits) = self.key_length {
            out.put(&(AttributeType::KEY_LENGTH.0 | SHORT).to_be_bytes());
            out.put(&bits.to_be_bytes());
        }
        out.patch_length(start + 2, start);
    }
}

/// `ENCR_AES_GCM_16_256`: IANA's name, and the key length where it is stated.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm() {
            Algorithm::Encryption(id, Some(bits)) => write!(f, "{id}_{bits}"),
            Algorithm::Encryption(id, None) => write!(f, "{id}"),
            Algorithm::Prf(id) => write!(f, "{id}"),
            Algorithm::Integrity(id) => write!(f, "{id}"),
            Algorithm::KeyExchange(method) => write!(f, "{method}"),
            Algorithm::SequenceNumbers(id) => write!(f, "{id}"),
            Algorithm::AdditionalKeyExchange(_, method) => write!(f, "{}:{method}", self.kind),
            Algorithm::Unknown(kind, id) => write!(f, "{kind}:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(octets: &[u8]) -> Result<Transform, Malformed> {
        Transform::take(octets).map(|(transform, _)| transform.unwrap())
    }

    /// RFC 7296 §3.3.5: 256 bits are `800e 0100`.
    #[test]
    fn a_transform_is_written_and_read_octet_for_octet() {
        let octets = [0, 0, 0, 12, 1, 0, 0, 20, 0x80, 0x0e, 0x01, 0x00];
        let want = Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256));
        assert_eq!(take(&octets), Ok(want));
        let mut out = Out::default();
        want.emit(true, &mut out);
        Transform::key_exchange(KeyExchangeMethod::CURVE25519).emit(false, &mut out);
        assert_eq!(out.octets(), [&octets[..], &[3, 0, 0, 8, 4, 0, 0, 31]].concat());
    }

    #[test]
    fn key_length_once_and_in_the_short_format_is_all_that_is_understood() {
        let (short, long) = ([0x80, 14, 1, 0], [0, 14, 0, 2, 1, 0]);
        let (other, empty) = ([0x80, 15, 0, 1], [0x40, 0, 0, 0]);
        for (attributes, key_length, understood) in [
            (vec![], None, true),
            (short.to_vec(), Some(256), true),
            ([short, [0x80, 14, 0, 128]].concat(), Some(256), false),
            (long.to_vec(), None, false),
            (other.to_vec(), None, false),
            (empty.to_vec(), None, false),
            ([&short[..], &long, &other].concat(), Some(256), false),
            ([&other[..], &short].concat(), Some(256), false),
        ] {
            let length = 8 + attributes.len() as u8;
            let octets = [&[0, 9, 0, length, 1, 9, 0, 12], &attributes[..]].concat();
            let got = take(&octets).unwrap();
            assert_eq!((got.key_length, got.understood), (key_length, understood), "{octets:?}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for (octets, want) in [
            (&[0, 0, 0, 8, 1, 0, 0][..], Malformed::Truncated { need: 8, have: 7 }),
            (&[0, 0, 0, 7, 1, 0, 0, 1], Malformed::BadLength { said: 7, have: 8 }),
            (&[0, 0, 0, 9, 1, 0, 0, 1], Malformed::BadLength { said: 9, have: 8 }),
            (&[0, 0, 0, 9, 1, 0, 0, 1, 0], Malformed::Truncated { need: 4, have: 1 }),
            (&[0, 0, 0, 12, 1, 0, 0, 1, 0, 14, 0, 1], Malformed::BadLength { said: 1, have: 0 }),
        ] {
            assert_eq!(take(octets), Err(want), "{octets:?}");
        }
    }

    #[test]
    fn only_the_last_says_so() {
        for last in 0..=u8::MAX {
            let one = [last, 0, 0, 8, 1, 0, 0, 1];
            let two = [&one[..], &[0]].concat();
            let refused = Malformed::BadLastSubstructure(last);
            assert_eq!(take(&one).err(), (last != 0).then_some(refused));
            assert_eq!(take(&two).err(), (last != 3).then_some(refused));
        }
    }

    #[test]
    fn transforms_are_shown_by_their_iana_names() {
        for (transform, want) in [
            (Transform::encryption(EncryptionId(20), Some(256)), "ENCR_AES_GCM_16_256"),
            (Transform::encryption(EncryptionId(28), None), "ENCR_CHACHA20_POLY1305"),
            (Transform::prf(PrfId(5)), "PRF_HMAC_SHA2_256"),
            (Transform::integrity(IntegrityId(12)), "AUTH_HMAC_SHA2_256_128"),
            (Transform::key_exchange(KeyExchangeMethod(20)), "ECP_384"),
            (Transform::sequence_numbers(EsnId(1)), "ESN"),
            (Transform::new(TransformType::ADDKE7, 36), "ADDKE7:ml-kem-768"),
            (Transform::new(TransformType(99), 7), "99:7"),
        ] {
            assert_eq!(transform.to_string(), want);
        }
        let seventh = Transform::new(TransformType::ADDKE7, 36).algorithm();
        let method = KeyExchangeMethod::ML_KEM_768;
        assert_eq!(seventh, Algorithm::AdditionalKeyExchange(7, method));
    }
}
