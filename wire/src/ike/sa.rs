//! The Security Association payload: proposals of algorithms (RFC 7296 §3.3).

use core::fmt;

use super::{List, Malformed, Out, Spi, Transform, list::Element, octets};
use crate::iana::ike::ProtocolId;

/// The most proposals in one payload.
pub const MAX_PROPOSALS: usize = 64;
/// The most transforms in one proposal.
pub const MAX_TRANSFORMS: usize = 128;

const HEADER: usize = 8;
/// "Another proposal follows": the number of IKEv1's Proposal payload.
const MORE: u8 = 2;

/// The proposals, most preferred first; in an answer the one that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityAssociation<'a> {
    /// At least one.
    pub proposals: List<'a, Proposal<'a>>,
}

/// One proposal: from each kind of transform it has, one is to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// Counts proposals from 1; the answer repeats it.
    pub number: u8,
    /// What the SA is for.
    pub protocol: ProtocolId,
    /// The sender's SPI: none in IKE_SA_INIT, of IKE when it is rekeyed, otherwise of the child.
    pub spi: Spi,
    /// What can be chosen.
    pub transforms: List<'a, Transform>,
}

impl<'a> SecurityAssociation<'a> {
    /// Checks every proposal, transform and attribute.
    ///
    /// # Errors
    /// What is wrong; [`Malformed::Empty`] without proposals.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let body = octets::not_empty(body)?;
        let (proposals, _) = List::parse(body, ("proposals", MAX_PROPOSALS))?;
        Ok(Self { proposals })
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        self.proposals.emit(out);
    }
}

impl<'a> Element<'a> for Proposal<'a> {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        let (&[last, _, a, b, number, protocol, spi_size, count], _) =
            octets::take::<HEADER>(octets)?;
        let said = u16::from_be_bytes([a, b]);
        let (whole, rest) = octets::split_stated(octets, said, HEADER)?;
        if last != if rest.is_empty() { 0 } else { MORE } {
            return Err(Malformed::BadLastSubstructure(last));
        }
        let (_, inside) = octets::take::<HEADER>(whole)?;
        let (spi, inside) = octets::split_stated(inside, spi_size.into(), 0)?;
        let (transforms, have) = List::parse(inside, ("transforms", MAX_TRANSFORMS))?;
        let said = usize::from(count);
        if said != have {
            return Err(Malformed::BadCount { said, have });
        }
        let (spi, protocol) = (Spi::parse(spi)?, ProtocolId(protocol));
        Ok((Some(Self { number, protocol, spi, transforms }), rest))
    }

    fn emit(&self, last: bool, out: &mut Out) {
        let start = out.position();
        out.put(&[if last { 0 } else { MORE }, 0, 0, 0, self.number, self.protocol.0]);
        out.put(&[self.spi.size()]);
        out.put_count(self.transforms.iter().count());
        self.spi.emit(out);
        self.transforms.emit(out);
        out.patch_length(start + 2, start);
    }
}

/// `ESP ENCR_AES_GCM_16_256/NO_ESN`.
impl fmt::Display for Proposal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol)?;
        for (at, transform) in self.transforms.iter().enumerate() {
            write!(f, "{}{transform}", if at == 0 { ' ' } else { '/' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iana::ike::{EncryptionId, EsnId, IntegrityId, KeyExchangeMethod, PrfId};

    /// Two proposals for ESP, laid out by hand from the figures of RFC 7296 §3.3.1 and §3.3.2.
    #[rustfmt::skip]
    const TWO: [u8; 72] = [
        2, 0, 0, 32, 1, 3, 4, 2, 0xc0, 0xff, 0xee, 0x01,
            3, 0, 0, 12, 1, 0, 0, 20, 0x80, 0x0e, 0x00, 0x80, // ENCR_AES_GCM_16, 128
            0, 0, 0, 8, 5, 0, 0, 0,                           // NO_ESN
        0, 0, 0, 40, 2, 3, 4, 3, 0xc0, 0xff, 0xee, 0x01,
            3, 0, 0, 12, 1, 0, 0, 12, 0x80, 0x0e, 0x01, 0x00, // ENCR_AES_CBC, 256
            3, 0, 0, 8, 3, 0, 0, 12,                          // AUTH_HMAC_SHA2_256_128
            0, 0, 0, 8, 5, 0, 0, 1,                           // ESN
    ];

    fn emitted(sa: &SecurityAssociation<'_>) -> Vec<u8> {
        let mut out = Out::default();
        sa.emit(&mut out);
        out.finish().unwrap()
    }

    #[test]
    fn proposals_are_written_and_read_octet_for_octet() {
        let gcm = [
            Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(128)),
            Transform::sequence_numbers(EsnId::NO_ESN),
        ];
        let cbc = [
            Transform::encryption(EncryptionId::ENCR_AES_CBC, Some(256)),
            Transform::integrity(IntegrityId::AUTH_HMAC_SHA2_256_128),
            Transform::sequence_numbers(EsnId::ESN),
        ];
        let of = |number, transforms: &'static [Transform]| Proposal {
            number,
            protocol: ProtocolId::ESP,
            spi: Spi::Child(0xc0ff_ee01),
            transforms: transforms.into(),
        };
        let proposals = [of(1, Vec::from(gcm).leak()), of(2, Vec::from(cbc).leak())];
        let want = SecurityAssociation { proposals: (&proposals).into() };
        let read = SecurityAssociation::parse(&TWO).unwrap();
        assert_eq!(read, want);
        assert_eq!((emitted(&want), emitted(&read)), (TWO.to_vec(), TWO.to_vec()));
        let shown: Vec<_> = read.proposals.iter().map(|each| each.to_string()).collect();
        assert_eq!(
            shown,
            ["ESP ENCR_AES_GCM_16_128/NO_ESN", "ESP ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128/ESN"]
        );
    }

    #[test]
    fn lengths_counts_and_places_that_lie_are_refused() {
        let with = |changes: &[(usize, u8)]| {
            let mut octets = TWO;
            for (at, value) in changes {
                octets[*at] = *value;
            }
            octets
        };
        for (changes, want) in [
            (&[(0, 0)][..], Malformed::BadLastSubstructure(0)),
            (&[(0, 3)], Malformed::BadLastSubstructure(3)),
            (&[(32, 2)], Malformed::BadLastSubstructure(2)),
            (&[(3, 7)], Malformed::BadLength { said: 7, have: 8 }),
            (&[(2, 1)], Malformed::BadLength { said: 0x120, have: 72 }),
            (&[(35, 41)], Malformed::BadLength { said: 41, have: 40 }),
            (&[(7, 1)], Malformed::BadCount { said: 1, have: 2 }),
            (&[(7, 255)], Malformed::BadCount { said: 255, have: 2 }),
            (&[(6, 255)], Malformed::BadLength { said: 255, have: 24 }),
            (&[(6, 24), (7, 0)], Malformed::BadSpiSize(24)),
            (&[(15, 13)], Malformed::Truncated { need: 4, have: 1 }),
        ] {
            let octets = with(changes);
            assert_eq!(SecurityAssociation::parse(&octets), Err(want), "{changes:?}");
        }
        assert_eq!(SecurityAssociation::parse(&[]), Err(Malformed::Empty));
    }

    /// Reserved fields are ignored, whatever they hold (RFC 7296 §2.5).
    #[test]
    fn reserved_fields_are_ignored() {
        let mut octets = TWO;
        for at in [1, 13, 17, 25, 29, 33] {
            octets[at] = 0xff;
        }
        assert_eq!(SecurityAssociation::parse(&octets), SecurityAssociation::parse(&TWO));
    }

    #[test]
    fn as_many_proposals_and_transforms_as_the_limits_and_not_one_more() {
        for count in [1, MAX_PROPOSALS - 1, MAX_PROPOSALS, MAX_PROPOSALS + 1, 300] {
            let mut octets = [2, 0, 0, 8, 1, 1, 0, 0].repeat(count);
            octets[(count - 1) * 8] = 0;
            let want = Malformed::TooMany { what: "proposals", most: MAX_PROPOSALS };
            let got = SecurityAssociation::parse(&octets);
            assert_eq!(got.err(), (count > MAX_PROPOSALS).then_some(want), "{count}");
        }
        for count in [0, 1, MAX_TRANSFORMS - 1, MAX_TRANSFORMS, MAX_TRANSFORMS + 1, 255] {
            let transforms = vec![Transform::prf(PrfId::PRF_HMAC_SHA1); count];
            let (number, protocol, spi) = (1, ProtocolId::IKE, Spi::None);
            let transforms = transforms[..].into();
            let proposals = [Proposal { number, protocol, spi, transforms }];
            let octets = emitted(&SecurityAssociation { proposals: (&proposals).into() });
            let want = Malformed::TooMany { what: "transforms", most: MAX_TRANSFORMS };
            let got = SecurityAssociation::parse(&octets);
            assert_eq!(got.err(), (count > MAX_TRANSFORMS).then_some(want), "{count}");
        }
    }

    #[test]
    fn more_transforms_than_their_count_can_say_are_not_written() {
        let transforms = vec![Transform::key_exchange(KeyExchangeMethod::NONE); 256];
        for (count, fits) in [(255, true), (256, false)] {
            let (number, protocol, spi) = (1, ProtocolId::IKE, Spi::None);
            let transforms = transforms[..count].into();
            let proposals = [Proposal { number, protocol, spi, transforms }];
            let mut out = Out::default();
            SecurityAssociation { proposals: (&proposals).into() }.emit(&mut out);
            assert_eq!(out.finish().is_ok(), fits);
        }
    }
}
