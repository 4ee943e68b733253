//! The Notify payload (RFC 7296 §3.10), and what the notifications we know carry.

use super::{List, Malformed, Out, Spi, list::Element, octets};
use crate::iana::ike::{HashAlgorithm, KeyExchangeMethod, NotifyType, PayloadType, ProtocolId};

/// The most octets of a cookie (RFC 7296 §2.6).
pub const MAX_COOKIE: usize = 64;
/// The most hash algorithms in one notification.
pub const MAX_HASH_ALGORITHMS: usize = 64;

/// Something said about an SA, or about what the sender can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// The protocol of the SA that is meant; [`ProtocolId::NONE`] where no SPI is given.
    pub protocol: ProtocolId,
    /// The SA that is meant.
    pub spi: Spi,
    /// What is said.
    pub notification: Notification<'a>,
}

/// A notification, those with a fixed form by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification<'a> {
    /// COOKIE: 1 to 64 octets to be returned (RFC 7296 §2.6).
    Cookie(&'a [u8]),
    /// INVALID_KE_PAYLOAD: the method that is wanted instead (RFC 7296 §1.2).
    InvalidKePayload(KeyExchangeMethod),
    /// NAT_DETECTION_SOURCE_IP: SHA-1 over SPIs, address and port (RFC 7296 §2.23).
    NatDetectionSourceIp([u8; 20]),
    /// NAT_DETECTION_DESTINATION_IP: likewise.
    NatDetectionDestinationIp([u8; 20]),
    /// SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4).
    SignatureHashAlgorithms(List<'a, HashAlgorithm>),
    /// SET_WINDOW_SIZE: how many requests the sender keeps (RFC 7296 §2.3).
    SetWindowSize(u32),
    /// AUTH_LIFETIME: seconds (RFC 4478).
    AuthLifetime(u32),
    /// UNSUPPORTED_CRITICAL_PAYLOAD: its type (RFC 7296 §2.5).
    UnsupportedCriticalPayload(PayloadType),
    /// INVALID_MESSAGE_ID: the ID (RFC 7296 §2.3).
    InvalidMessageId(u32),
    /// Any other: what is said by its type alone, like REKEY_SA or INITIAL_CONTACT, and what is not known.
    Other {
        /// Its type.
        kind: NotifyType,
        /// Its data.
        data: &'a [u8],
    },
}

impl<'a> Element<'a> for HashAlgorithm {
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        octets::take::<2>(octets).map(|(id, rest)| (Some(Self(u16::from_be_bytes(*id))), rest))
    }

    fn emit(&self, _last: bool, out: &mut Out) {
        out.put(&self.0.to_be_bytes());
    }
}

fn cookie(data: &[u8]) -> Result<&[u8], Malformed> {
    let bad = Malformed::BadSize { least: 1, most: MAX_COOKIE, have: data.len() };
    if (1..=MAX_COOKIE).contains(&data.len()) { Ok(data) } else { Err(bad) }
}

fn hashes(data: &[u8]) -> Result<List<'_, HashAlgorithm>, Malformed> {
    List::parse(data, ("hash algorithms", MAX_HASH_ALGORITHMS)).map(|(hashes, _)| hashes)
}

impl<'a> Notification<'a> {
    /// A notification of which the type says all.
    pub const fn plain(kind: NotifyType) -> Self {
        Self::Other { kind, data: &[] }
    }

    /// Reads the data of a `kind`. Of the two errors that only help to understand a failure, a wrong
    /// length is forgiven: they become [`Other`](Self::Other).
    ///
    /// # Errors
    /// The data is not what such a notification carries.
    pub fn parse(kind: NotifyType, data: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match (kind, data) {
            (NotifyType::COOKIE, _) => Self::Cookie(cookie(data)?),
            (NotifyType::INVALID_KE_PAYLOAD, _) => {
                let method = u16::from_be_bytes(octets::exactly(data)?);
                Self::InvalidKePayload(KeyExchangeMethod(method))
            }
            (NotifyType::NAT_DETECTION_SOURCE_IP, _) => {
                Self::NatDetectionSourceIp(octets::exactly(data)?)
            }
            (NotifyType::NAT_DETECTION_DESTINATION_IP, _) => {
                Self::NatDetectionDestinationIp(octets::exactly(data)?)
            }
            (NotifyType::SIGNATURE_HASH_ALGORITHMS, _) => {
                Self::SignatureHashAlgorithms(hashes(data)?)
            }
            (NotifyType::SET_WINDOW_SIZE, _) => {
                Self::SetWindowSize(u32::from_be_bytes(octets::exactly(data)?))
            }
            (NotifyType::AUTH_LIFETIME, _) => {
                Self::AuthLifetime(u32::from_be_bytes(octets::exactly(data)?))
            }
            (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, &[kind]) => {
                Self::UnsupportedCriticalPayload(PayloadType(kind))
            }
            (NotifyType::INVALID_MESSAGE_ID, &[a, b, c, d]) => {
                Self::InvalidMessageId(u32::from_be_bytes([a, b, c, d]))
            }
            _ => Self::Other { kind, data },
        })
    }

    /// Its type.
    pub const fn kind(&self) -> NotifyType {
        match self {
            Self::Cookie(_) => NotifyType::COOKIE,
            Self::InvalidKePayload(_) => NotifyType::INVALID_KE_PAYLOAD,
            Self::NatDetectionSourceIp(_) => NotifyType::NAT_DETECTION_SOURCE_IP,
            Self::NatDetectionDestinationIp(_) => NotifyType::NAT_DETECTION_DESTINATION_IP,
            Self::SignatureHashAlgorithms(_) => NotifyType::SIGNATURE_HASH_ALGORITHMS,
            Self::SetWindowSize(_) => NotifyType::SET_WINDOW_SIZE,
            Self::AuthLifetime(_) => NotifyType::AUTH_LIFETIME,
            Self::UnsupportedCriticalPayload(_) => NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD,
            Self::InvalidMessageId(_) => NotifyType::INVALID_MESSAGE_ID,
            Self::Other { kind, .. } => *kind,
        }
    }

    fn emit(&self, out: &mut Out) {
        match self {
            Self::Cookie(data) | Self::Other { data, .. } => out.put(data),
            Self::InvalidKePayload(method) => out.put(&method.0.to_be_bytes()),
            Self::NatDetectionSourceIp(hash) | Self::NatDetectionDestinationIp(hash) => {
                out.put(hash);
            }
            Self::SignatureHashAlgorithms(hashes) => hashes.emit(out),
            Self::SetWindowSize(number)
            | Self::AuthLifetime(number)
            | Self::InvalidMessageId(number) => out.put(&number.to_be_bytes()),
            Self::UnsupportedCriticalPayload(kind) => out.put(&[kind.0]),
        }
    }
}

/// A notification about the IKE SA, or about none.
impl<'a> From<Notification<'a>> for Notify<'a> {
    fn from(notification: Notification<'a>) -> Self {
        Self { protocol: ProtocolId::NONE, spi: Spi::None, notification }
    }
}

/// Likewise, of which the type says all.
impl From<NotifyType> for Notify<'_> {
    fn from(kind: NotifyType) -> Self {
        Notification::plain(kind).into()
    }
}

impl<'a> Notify<'a> {
    /// REKEY_SA: the child that is replaced, by the SPI its sender receives on (RFC 7296 §1.3.3).
    pub const fn rekey_sa(protocol: ProtocolId, spi: u32) -> Self {
        Self::about_child(protocol, spi, NotifyType::REKEY_SA)
    }
    /// CHILD_SA_NOT_FOUND: the child that a rekey asked for (RFC 7296 §2.25).
    pub const fn child_sa_not_found(protocol: ProtocolId, spi: u32) -> Self {
        Self::about_child(protocol, spi, NotifyType::CHILD_SA_NOT_FOUND)
    }
    const fn about_child(protocol: ProtocolId, spi: u32, kind: NotifyType) -> Self {
        Self { protocol, spi: Spi::Child(spi), notification: Notification::plain(kind) }
    }

    /// Its type.
    pub const fn kind(&self) -> NotifyType {
        self.notification.kind()
    }
    /// The Child SA that is meant, when one is.
    pub const fn child(&self) -> Option<(ProtocolId, u32)> {
        match (self.protocol, self.spi) {
            (protocol @ (ProtocolId::AH | ProtocolId::ESP), Spi::Child(spi)) => {
                Some((protocol, spi))
            }
            _ => None,
        }
    }

    /// Checks the SPI's size, that REKEY_SA names a child, and the data of known types.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[protocol, spi_size, a, b], rest) = octets::take::<4>(body)?;
        let kind = NotifyType(u16::from_be_bytes([a, b]));
        let (spi, data) = octets::split_stated(rest, spi_size.into(), 0)?;
        let (protocol, spi) = (ProtocolId(protocol), Spi::parse(spi)?);
        let notify = Self { protocol, spi, notification: Notification::parse(kind, data)? };
        if kind == NotifyType::REKEY_SA && notify.child().is_none() {
            return Err(Malformed::BadSpiSize(spi_size));
        }
        Ok(notify)
    }

    /// Appends the body.
    pub fn emit(&self, out: &mut Out) {
        let [a, b] = self.kind().0.to_be_bytes();
        out.put(&[self.protocol.0, self.spi.size(), a, b]);
        self.spi.emit(out);
        self.notification.emit(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitted(notify: &Notify<'_>) -> Vec<u8> {
        let mut out = Out::default();
        notify.emit(&mut out);
        out.finish().unwrap()
    }

    /// Numbers and figures of RFC 7296 §3.10 and §3.10.1, RFC 4478 and RFC 7427 §4.
    #[test]
    fn notifications_are_written_and_read_octet_for_octet() {
        let hashes = [HashAlgorithm::SHA2_256, HashAlgorithm::IDENTITY];
        for (notify, octets) in [
            (Notification::Cookie(&[1, 2]).into(), &[0, 0, 0x40, 0x06, 1, 2][..]),
            (
                Notification::InvalidKePayload(KeyExchangeMethod::ECP_384).into(),
                &[0, 0, 0, 17, 0, 20],
            ),
            (
                Notification::SignatureHashAlgorithms((&hashes).into()).into(),
                &[0, 0, 0x40, 0x2f, 0, 2, 0, 5],
            ),
            (Notification::SetWindowSize(4).into(), &[0, 0, 0x40, 0x01, 0, 0, 0, 4]),
            (Notification::AuthLifetime(3600).into(), &[0, 0, 0x40, 0x13, 0, 0, 0x0e, 0x10]),
            (Notification::UnsupportedCriticalPayload(PayloadType(99)).into(), &[0, 0, 0, 1, 99]),
            (Notification::InvalidMessageId(9).into(), &[0, 0, 0, 9, 0, 0, 0, 9]),
            (NotifyType::INITIAL_CONTACT.into(), &[0, 0, 0x40, 0x00]),
            (NotifyType::NO_PROPOSAL_CHOSEN.into(), &[0, 0, 0, 14]),
            (Notify::rekey_sa(ProtocolId::ESP, 0xc000_0001), &[3, 4, 0x40, 0x09, 0xc0, 0, 0, 1]),
            (
                Notify::child_sa_not_found(ProtocolId::ESP, 0xc000_0001),
                &[3, 4, 0, 44, 0xc0, 0, 0, 1],
            ),
        ] {
            assert_eq!(Notify::parse(octets), Ok(notify));
            assert_eq!(emitted(&notify), octets);
        }
    }

    #[test]
    fn a_cookie_has_1_to_64_octets_and_a_nat_detection_hash_20() {
        for have in 0..80 {
            let data = vec![7; have];
            let parse = |kind| Notification::parse(kind, &data).err();
            let bad = |least, most| {
                let fine = (least..=most).contains(&have);
                (!fine).then_some(Malformed::BadSize { least, most, have })
            };
            assert_eq!(parse(NotifyType::COOKIE), bad(1, 64));
            assert_eq!(parse(NotifyType::NAT_DETECTION_SOURCE_IP), bad(20, 20));
            assert_eq!(parse(NotifyType::NAT_DETECTION_DESTINATION_IP), bad(20, 20));
            assert_eq!(parse(NotifyType::INVALID_KE_PAYLOAD), bad(2, 2));
            assert_eq!(parse(NotifyType::SET_WINDOW_SIZE), bad(4, 4));
            assert_eq!(parse(NotifyType::AUTH_LIFETIME), bad(4, 4));
            let odd = Malformed::Truncated { need: 2, have: 1 };
            let hashes = parse(NotifyType::SIGNATURE_HASH_ALGORITHMS);
            assert_eq!(hashes, (have % 2 == 1).then_some(odd));
            for forgiven in [
                NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD,
                NotifyType::INVALID_MESSAGE_ID,
                NotifyType(40_000),
            ] {
                assert_eq!(Notification::parse(forgiven, &data).unwrap().kind(), forgiven);
            }
        }
    }

    #[test]
    fn as_many_hash_algorithms_as_the_limit_and_not_one_more() {
        for count in [MAX_HASH_ALGORITHMS - 1, MAX_HASH_ALGORITHMS, MAX_HASH_ALGORITHMS + 1] {
            let data = [0, 2].repeat(count);
            let got = Notification::parse(NotifyType::SIGNATURE_HASH_ALGORITHMS, &data);
            assert_eq!(got.is_ok(), count <= MAX_HASH_ALGORITHMS);
        }
    }

    /// Every protocol and every SPI size; the SPI is never read beyond the payload.
    #[test]
    fn an_spi_of_no_known_size_is_refused_and_so_is_a_rekey_of_no_child() {
        for protocol in [0, 1, 2, 3, 4, 255] {
            for size in 0..=u8::MAX {
                let body = |kind: u16, there: u8| {
                    let [a, b] = kind.to_be_bytes();
                    [&[protocol, size, a, b][..], &vec![1; there.into()]].concat()
                };
                let plain = Notify::parse(&body(16384, size)).map(|notify| notify.spi.size());
                let known = matches!(size, 0 | 4 | 8);
                let bad = Malformed::BadSpiSize(size);
                assert_eq!(plain, if known { Ok(size) } else { Err(bad) });
                let rekey = matches!((protocol, size), (2 | 3, 4));
                let got = Notify::parse(&body(16393, size)).err();
                assert_eq!(got, (!rekey).then_some(bad));
                if let Some(less) = size.checked_sub(1) {
                    let (said, have) = (size.into(), less.into());
                    let got = Notify::parse(&body(16384, less)).err();
                    assert_eq!(got, Some(Malformed::BadLength { said, have }));
                }
            }
        }
    }
}
