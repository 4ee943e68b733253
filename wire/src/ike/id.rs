//! The Identification payloads (RFC 7296 §3.5).

use super::{Malformed, Out, octets};
use crate::iana::ike::IdType;

/// Who somebody says to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification<'a> {
    /// How to read `data`.
    pub kind: IdType,
    /// Three octets that mean nothing. They are kept because AUTH covers them as they came
    /// (RFC 7296 §2.15).
    pub reserved: [u8; 3],
    /// The identity.
    pub data: &'a [u8],
}

impl<'a> Identification<'a> {
    /// An identity to be sent.
    pub const fn new(kind: IdType, data: &'a [u8]) -> Self {
        Self { kind, reserved: [0; 3], data }
    }

    /// Checks that addresses have the length of addresses.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] or [`Malformed::BadSize`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[kind, ref reserved @ ..], data) = octets::take::<4>(body)?;
        let kind = IdType(kind);
        match kind {
            IdType::ID_IPV4_ADDR => octets::exactly::<4>(data).map(drop)?,
            IdType::ID_IPV6_ADDR => octets::exactly::<16>(data).map(drop)?,
            _ => (),
        }
        Ok(Self { kind, reserved: *reserved, data })
    }

    /// Appends the body: also what AUTH covers, RestOfInitIDPayload or RestOfRespIDPayload
    /// (RFC 7296 §2.15).
    pub fn emit(&self, out: &mut Out) {
        out.put(&[self.kind.0]);
        out.put(&self.reserved);
        out.put(self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_auth_covers_is_what_came_reserved_octets_included() {
        let octets = [2, 9, 8, 7, b'a', b'.', b'b'];
        let id = Identification::parse(&octets).unwrap();
        assert_eq!((id.kind, id.data), (IdType::ID_FQDN, &b"a.b"[..]));
        let mut out = Out::default();
        id.emit(&mut out);
        assert_eq!(out.octets(), octets);
    }

    #[test]
    fn addresses_have_the_length_of_addresses() {
        for length in 0..40 {
            let octets = |kind| [vec![kind, 0, 0, 0], vec![1; length]].concat();
            let bad = |size| Malformed::BadSize { least: size, most: size, have: length };
            for (kind, want) in [
                (1, (length != 4).then_some(bad(4))),
                (5, (length != 16).then_some(bad(16))),
                (2, None),
                (11, None),
                (13, None),
                (99, None),
            ] {
                assert_eq!(Identification::parse(&octets(kind)).err(), want);
            }
        }
        assert!(Identification::parse(&[1, 0, 0]).is_err());
    }
}
