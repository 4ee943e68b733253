//! The Delete payload (RFC 7296 §3.11).

use super::{List, Malformed, Out, list::Element, octets};
use crate::iana::ike::ProtocolId;

/// The most SPIs in one payload.
pub const MAX_DELETE_SPIS: usize = 1024;

/// What the sender has deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delete<'a> {
    /// The IKE SA that the message came by, and all its children.
    Ike,
    /// Child SAs: those that the sender receives on.
    Child {
        /// Of which protocol.
        protocol: ProtocolId,
        /// By their SPIs.
        spis: List<'a, u32>,
    },
}

impl<'a> Element<'a> for u32 {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        octets::take::<4>(octets).map(|(spi, rest)| (Some(Self::from_be_bytes(*spi)), rest))
    }

    fn emit(&self, _last: bool, out: &mut Out) {
        out.put(&self.to_be_bytes());
    }
}

impl<'a> Delete<'a> {
    /// Checks that size and number of the SPIs are those of the protocol and of what is there. For IKE,
    /// which needs no SPI, the number is not looked at.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[protocol, size, a, b], octets) = octets::take::<4>(body)?;
        let said = usize::from(u16::from_be_bytes([a, b]));
        match (ProtocolId(protocol), size) {
            (ProtocolId::IKE, 0) if octets.is_empty() => Ok(Self::Ike),
            (ProtocolId::IKE, 0) => Err(Malformed::Trailing(octets.len())),
            (ProtocolId::IKE, _) => Err(Malformed::BadSpiSize(size)),
            (protocol, 4) => {
                let (spis, have) = List::parse(octets, ("SPIs", MAX_DELETE_SPIS))?;
                let bad = Malformed::BadCount { said, have };
                if said == have { Ok(Self::Child { protocol, spis }) } else { Err(bad) }
            }
            _ => Err(Malformed::BadSpiSize(size)),
        }
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        match self {
            Self::Ike => out.put(&[ProtocolId::IKE.0, 0, 0, 0]),
            Self::Child { protocol, spis } => {
                // More than fit a message overflow its length, so the cast loses nothing that is sent.
                let [a, b] = (spis.iter().count() as u16).to_be_bytes();
                out.put(&[protocol.0, 4, a, b]);
                spis.emit(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_are_written_and_read_octet_for_octet() {
        let spis = [0xc001_0203, 0xc004_0506];
        let children = Delete::Child { protocol: ProtocolId::ESP, spis: (&spis).into() };
        for (delete, octets) in [
            (Delete::Ike, &[1, 0, 0, 0][..]),
            (children, &[3, 4, 0, 2, 0xc0, 1, 2, 3, 0xc0, 4, 5, 6]),
        ] {
            assert_eq!(Delete::parse(octets), Ok(delete));
            let mut out = Out::default();
            delete.emit(&mut out);
            assert_eq!(out.octets(), octets);
        }
    }

    #[test]
    fn sizes_and_counts_that_lie_are_refused() {
        for (octets, why) in [
            (&[1, 0, 0][..], Malformed::Truncated { need: 4, have: 3 }),
            (&[1, 0, 0, 0, 9], Malformed::Trailing(1)),
            (&[1, 8, 0, 0], Malformed::BadSpiSize(8)),
            (&[1, 4, 0, 1, 1, 2, 3, 4], Malformed::BadSpiSize(4)),
            (&[3, 0, 0, 0], Malformed::BadSpiSize(0)),
            (&[3, 8, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8], Malformed::BadSpiSize(8)),
            (&[3, 4, 0, 1], Malformed::BadCount { said: 1, have: 0 }),
            (&[3, 4, 0, 1, 1, 2, 3], Malformed::Truncated { need: 4, have: 3 }),
            (&[3, 4, 0, 0, 1, 2, 3, 4], Malformed::BadCount { said: 0, have: 1 }),
            (&[2, 4, 255, 255, 1, 2, 3, 4], Malformed::BadCount { said: 65535, have: 1 }),
        ] {
            assert_eq!(Delete::parse(octets), Err(why), "{octets:?}");
        }
    }

    #[test]
    fn as_many_spis_as_the_limit_and_not_one_more() {
        for count in [0, MAX_DELETE_SPIS - 1, MAX_DELETE_SPIS, MAX_DELETE_SPIS + 1, 16_000] {
            let spis = vec![7; count];
            let mut out = Out::default();
            Delete::Child { protocol: ProtocolId::ESP, spis: spis[..].into() }.emit(&mut out);
            let why = Malformed::TooMany { what: "SPIs", most: MAX_DELETE_SPIS };
            let want = (count > MAX_DELETE_SPIS).then_some(why);
            assert_eq!(Delete::parse(out.octets()).err(), want, "{count}");
        }
    }
}
