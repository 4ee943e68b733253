//! The chain of payloads: each says what the next one is (RFC 7296 §3.2).

use super::{Malformed, Refused, octets};
use crate::iana::ike::PayloadType;

/// Octets of the header that every payload starts with.
pub const GENERIC: usize = 4;
/// The most payloads in one message. A real one has a dozen, or two with a long certificate chain.
pub const MAX_PAYLOADS: usize = 64;

const CRITICAL: u8 = 0x80;

/// One payload, its body not yet looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Its type, which the payload before it stated.
    pub kind: PayloadType,
    /// The critical bit: refuse the message when the type is not known.
    pub critical: bool,
    /// What it states as next; behind SK and SKF that is the first payload inside.
    pub next: PayloadType,
    /// What follows the generic header.
    pub body: &'a [u8],
}

/// The payloads in order. Nothing comes after an error, nor after an encrypted payload, which must be the
/// last. So every payload starts behind the one before it, and there can be no loop.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: PayloadType,
    rest: &'a [u8],
    left: usize,
}

/// Walks the payloads in `octets`, of which the first is a `first`.
pub fn payloads(first: PayloadType, octets: &[u8]) -> Chain<'_> {
    Chain { next: first, rest: octets, left: MAX_PAYLOADS }
}

impl<'a> Chain<'a> {
    fn step(&mut self) -> Result<Raw<'a>, Malformed> {
        let too_many = Malformed::TooMany { what: "payloads", most: MAX_PAYLOADS };
        self.left = self.left.checked_sub(1).ok_or(too_many)?;
        let (&[next, flags, a, b], _) = octets::take::<GENERIC>(self.rest)?;
        let said = u16::from_be_bytes([a, b]);
        let (payload, rest) = octets::split_stated(self.rest, said, GENERIC)?;
        let (_, body) = octets::take::<GENERIC>(payload)?;
        let (kind, next, critical) = (self.next, PayloadType(next), flags & CRITICAL != 0);
        let last = matches!(kind, PayloadType::SK | PayloadType::SKF);
        if last && !rest.is_empty() {
            return Err(Malformed::NotLast);
        }
        (self.next, self.rest) = (if last { PayloadType::NONE } else { next }, rest);
        Ok(Raw { kind, critical, next, body })
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<Raw<'a>, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.next;
        let step = match (kind, self.rest.len()) {
            (PayloadType::NONE, 0) => return None,
            (PayloadType::NONE, trailing) => Err(Malformed::Trailing(trailing)),
            _ => self.step(),
        };
        if step.is_err() {
            (self.next, self.rest) = (PayloadType::NONE, &[]);
        }
        Some(step.map_err(|why| Refused::Payload { kind, why }))
    }
}

impl core::iter::FusedIterator for Chain<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(first: u8, octets: &[u8]) -> Result<Vec<Raw<'_>>, Refused> {
        payloads(PayloadType(first), octets).collect()
    }

    fn refused(kind: u8, why: Malformed) -> Refused {
        Refused::Payload { kind: PayloadType(kind), why }
    }

    #[test]
    fn each_payload_names_the_next() {
        let octets = [43, 0, 0, 6, 1, 2, 0, 0x80, 0, 4];
        let want = [
            Raw { kind: PayloadType(40), critical: false, next: PayloadType(43), body: &[1, 2] },
            Raw { kind: PayloadType(43), critical: true, next: PayloadType(0), body: &[] },
        ];
        assert_eq!(walk(40, &octets).unwrap(), want);
        assert_eq!(walk(0, &[]).unwrap(), []);
    }

    /// The reserved bits beside the critical one are ignored.
    #[test]
    fn only_the_top_bit_is_critical() {
        for (flags, critical) in
            [(0, false), (0x7f, false), (0x01, false), (0x80, true), (0xff, true)]
        {
            assert_eq!(walk(40, &[0, flags, 0, 4]).unwrap()[0].critical, critical);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for (octets, why) in [
            (&[][..], Malformed::Truncated { need: 4, have: 0 }),
            (&[0, 0, 0], Malformed::Truncated { need: 4, have: 3 }),
            (&[0, 0, 0, 0], Malformed::BadLength { said: 0, have: 4 }),
            (&[0, 0, 0, 1], Malformed::BadLength { said: 1, have: 4 }),
            (&[0, 0, 0, 3], Malformed::BadLength { said: 3, have: 4 }),
            (&[0, 0, 0, 5], Malformed::BadLength { said: 5, have: 4 }),
            (&[0, 0, 255, 255, 0], Malformed::BadLength { said: 65535, have: 5 }),
        ] {
            assert_eq!(walk(40, octets), Err(refused(40, why)), "{octets:?}");
        }
        assert_eq!(walk(0, &[0]), Err(refused(0, Malformed::Trailing(1))));
        assert_eq!(walk(40, &[0, 0, 0, 4, 9, 9]), Err(refused(0, Malformed::Trailing(2))));
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut chain = payloads(PayloadType(40), &[40, 0, 0, 4, 40, 0, 0, 1, 0, 0, 0, 4]);
        assert!(chain.next().is_some_and(|first| first.is_ok()));
        assert!(chain.next().is_some_and(|second| second.is_err()));
        assert!(chain.next().is_none() && chain.next().is_none());
    }

    #[test]
    fn as_many_payloads_as_the_limit_and_not_one_more() {
        for count in [1, 2, MAX_PAYLOADS - 1, MAX_PAYLOADS, MAX_PAYLOADS + 1, 200, 16_000] {
            let mut octets = [43, 0, 0, 4].repeat(count);
            let last = octets.len() - 4;
            octets[last] = 0;
            let want = Malformed::TooMany { what: "payloads", most: MAX_PAYLOADS };
            match walk(43, &octets) {
                Ok(all) => assert!(all.len() == count && count <= MAX_PAYLOADS),
                Err(why) => assert!(why == refused(43, want) && count > MAX_PAYLOADS, "{count}"),
            }
        }
    }

    #[test]
    fn an_encrypted_payload_is_the_last_and_names_what_is_inside() {
        for kind in [46, 53] {
            let inside = walk(kind, &[35, 0, 0, 6, 7, 7]).unwrap();
            assert_eq!((inside.len(), inside[0].next), (1, PayloadType::ID_INITIATOR));
            let behind = walk(kind, &[43, 0, 0, 4, 0, 0, 0, 4]);
            assert_eq!(behind, Err(refused(kind, Malformed::NotLast)));
        }
    }
}
