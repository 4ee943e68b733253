//! Whole messages: checked once, then looked at by payload.

use super::{
    Authentication, Certificate, CertificateRequest, Chain, Configuration, Delete, Eap, Fragment,
    Header, Identification, KeyExchange, MAX_CERTIFICATES, Malformed, Nonce, Notification, Notify,
    Payload, Raw, Refused, SecurityAssociation, TrafficSelectors, chain, header::MAJOR,
};
use crate::iana::ike::{NotifyType, PayloadType};

/// Payloads that a message has once or not at all. The others may be repeated.
const ONCE: [PayloadType; 12] = [
    PayloadType::SA,
    PayloadType::KE,
    PayloadType::ID_INITIATOR,
    PayloadType::ID_RESPONDER,
    PayloadType::AUTH,
    PayloadType::NONCE,
    PayloadType::TS_INITIATOR,
    PayloadType::TS_RESPONDER,
    PayloadType::SK,
    PayloadType::SKF,
    PayloadType::CP,
    PayloadType::EAP,
];

/// Payloads, each of them checked. Those of unknown types are passed over.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a> {
    first: PayloadType,
    octets: &'a [u8],
}

/// What has been seen of a message on the way through it.
#[derive(Default)]
struct Seen {
    once: [bool; ONCE.len()],
    certificates: usize,
}

impl Seen {
    fn count(&mut self, kind: PayloadType) -> Result<(), Malformed> {
        let mut places = ONCE.iter().zip(&mut self.once);
        if let Some((_, seen)) = places.find(|(once, _)| **once == kind)
            && core::mem::replace(seen, true)
        {
            return Err(Malformed::Duplicate);
        }
        self.certificates += usize::from(kind == PayloadType::CERT);
        if self.certificates > MAX_CERTIFICATES {
            return Err(Malformed::TooMany { what: "certificates", most: MAX_CERTIFICATES });
        }
        Ok(())
    }

    fn check(&mut self, raw: &Raw<'_>) -> Result<(), Refused> {
        let kind = raw.kind;
        let refused = |why| Refused::Payload { kind, why };
        match Payload::parse(raw).map_err(refused)? {
            Some(_) => self.count(kind).map_err(refused),
            None if raw.critical => Err(Refused::UnsupportedCritical(kind)),
            None => Ok(()),
        }
    }
}

impl<'a> Payloads<'a> {
    /// Checks the payloads of a message as it travels; an encrypted one may be the last of them.
    ///
    /// # Errors
    /// [`Refused`] says which payload and why.
    pub fn parse(first: PayloadType, octets: &'a [u8]) -> Result<Self, Refused> {
        let mut seen = Seen::default();
        for raw in chain::payloads(first, octets) {
            seen.check(&raw?)?;
        }
        Ok(Self { first, octets })
    }

    /// Checks the payloads that were inside an encrypted one, its padding removed. There must not be
    /// another encrypted one among them.
    ///
    /// # Errors
    /// [`Refused`] says which payload and why.
    pub fn parse_decrypted(first: PayloadType, octets: &'a [u8]) -> Result<Self, Refused> {
        let payloads = Self::parse(first, octets)?;
        match payloads.encrypted() {
            Some(raw) => Err(Refused::Payload { kind: raw.kind, why: Malformed::Nested }),
            None => Ok(payloads),
        }
    }

    fn chain(&self) -> Chain<'a> {
        chain::payloads(self.first, self.octets)
    }
    /// The payloads of one type, unread.
    fn of(&self, kind: PayloadType) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let of_kind = move |raw: Raw<'a>| (raw.kind == kind).then_some(raw.body);
        self.chain().flatten().filter_map(of_kind)
    }
    /// The first payload of one type. All were read once before, so none is lost to an error here.
    fn one<T>(
        &self,
        kind: PayloadType,
        parse: impl Fn(&'a [u8]) -> Result<T, Malformed>,
    ) -> Option<T> {
        self.of(kind).find_map(|body| parse(body).ok())
    }
    fn encrypted(&self) -> Option<Raw<'a>> {
        let last = |raw: &Raw<'_>| matches!(raw.kind, PayloadType::SK | PayloadType::SKF);
        self.chain().flatten().find(last)
    }

    /// All that are known, in order.
    pub fn iter(&self) -> impl Iterator<Item = Payload<'a>> + use<'a> {
        self.chain().flatten().filter_map(|raw| Payload::parse(&raw).ok().flatten())
    }
    /// The types that were passed over.
    pub fn passed_over(&self) -> impl Iterator<Item = PayloadType> + use<'a> {
        let unknown = |raw: Raw<'_>| matches!(Payload::parse(&raw), Ok(None)).then_some(raw.kind);
        self.chain().flatten().filter_map(unknown)
    }

    /// SA.
    pub fn security_association(&self) -> Option<SecurityAssociation<'a>> {
        self.one(PayloadType::SA, SecurityAssociation::parse)
    }
    /// KE.
    pub fn key_exchange(&self) -> Option<KeyExchange<'a>> {
        self.one(PayloadType::KE, KeyExchange::parse)
    }
    /// IDi.
    pub fn id_initiator(&self) -> Option<Identification<'a>> {
        self.one(PayloadType::ID_INITIATOR, Identification::parse)
    }
    /// IDr.
    pub fn id_responder(&self) -> Option<Identification<'a>> {
        self.one(PayloadType::ID_RESPONDER, Identification::parse)
    }
    /// CERT, the end entity's first (RFC 7296 §3.6).
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'a>> + use<'a> {
        self.of(PayloadType::CERT).filter_map(|body| Certificate::parse(body).ok())
    }
    /// CERTREQ.
    pub fn certificate_requests(&self) -> impl Iterator<Item = CertificateRequest<'a>> + use<'a> {
        self.of(PayloadType::CERTREQ).filter_map(|body| CertificateRequest::parse(body).ok())
    }
    /// AUTH.
    pub fn authentication(&self) -> Option<Authentication<'a>> {
        self.one(PayloadType::AUTH, Authentication::parse)
    }
    /// Ni or Nr.
    pub fn nonce(&self) -> Option<Nonce<'a>> {
        self.one(PayloadType::NONCE, Nonce::parse)
    }
    /// N, all of them.
    pub fn notifies(&self) -> impl Iterator<Item = Notify<'a>> + use<'a> {
        self.of(PayloadType::NOTIFY).filter_map(|body| Notify::parse(body).ok())
    }
    /// The first notification of one type.
    pub fn notification(&self, kind: NotifyType) -> Option<Notification<'a>> {
        self.notifies().map(|notify| notify.notification).find(|each| each.kind() == kind)
    }
    /// Whether something is said.
    pub fn says(&self, kind: NotifyType) -> bool {
        self.notification(kind).is_some()
    }
    /// The first notification that reports an error.
    pub fn error(&self) -> Option<Notify<'a>> {
        self.notifies().find(|notify| notify.kind().is_error())
    }
    /// D, all of them.
    pub fn deletes(&self) -> impl Iterator<Item = Delete<'a>> + use<'a> {
        self.of(PayloadType::DELETE).filter_map(|body| Delete::parse(body).ok())
    }
    /// V, all of them.
    pub fn vendor_ids(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.of(PayloadType::VENDOR_ID)
    }
    /// TSi.
    pub fn ts_initiator(&self) -> Option<TrafficSelectors<'a>> {
        self.one(PayloadType::TS_INITIATOR, TrafficSelectors::parse)
    }
    /// TSr.
    pub fn ts_responder(&self) -> Option<TrafficSelectors<'a>> {
        self.one(PayloadType::TS_RESPONDER, TrafficSelectors::parse)
    }
    /// CP.
    pub fn configuration(&self) -> Option<Configuration<'a>> {
        self.one(PayloadType::CP, Configuration::parse)
    }
    /// EAP.
    pub fn eap(&self) -> Option<Eap<'a>> {
        self.one(PayloadType::EAP, Eap::parse)
    }
}

/// A message as it arrived, all of it that can be seen without keys.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    header: Header,
    octets: &'a [u8],
    payloads: Payloads<'a>,
}

impl<'a> Message<'a> {
    /// Checks a datagram, its non-ESP marker already removed.
    ///
    /// # Errors
    /// [`Refused`] says what is wrong and where.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Refused> {
        let (header, octets) = Header::parse(datagram).map_err(Refused::Header)?;
        if header.major != MAJOR {
            return Err(Refused::MajorVersion(header.major));
        }
        let payloads = Payloads::parse(header.next_payload, octets)?;
        Ok(Self { header, octets: datagram, payloads })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The datagram: what AUTH signs of IKE_SA_INIT (RFC 7296 §2.15), and what a cached response is.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }
    /// The payloads outside of encryption.
    pub fn payloads(&self) -> &Payloads<'a> {
        &self.payloads
    }

    /// The encrypted payload, or fragment of one, that ends the message.
    pub fn sealed(&self) -> Option<Sealed<'a>> {
        let raw = self.payloads.encrypted()?;
        let (fragment, body) = match Payload::parse(&raw).ok()?? {
            Payload::Encrypted(sk) => (None, sk.body),
            Payload::EncryptedFragment(skf) => (Some(skf.fragment), skf.body),
            _ => return None,
        };
        let start = self.octets.len().checked_sub(body.len())?;
        let associated = self.octets.get(..start)?;
        Some(Sealed { first: raw.next, fragment, associated, body, octets: self.octets })
    }
}

/// The encrypted payload of a message, ready to be checked and decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The first payload inside; of fragments only the first knows it.
    pub first: PayloadType,
    /// Which fragment of how many; `None` when the message is whole.
    pub fragment: Option<Fragment>,
    /// Everything in front of the IV: what an AEAD covers besides (RFC 5282 §5.1).
    pub associated: &'a [u8],
    /// IV, ciphertext, ICV.
    pub body: &'a [u8],
    octets: &'a [u8],
}

/// A [`Sealed`] taken apart by the lengths of an SA's algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedParts<'a> {
    /// The initialisation vector.
    pub iv: &'a [u8],
    /// Payloads, padding and pad length, encrypted; at least the pad length.
    pub ciphertext: &'a [u8],
    /// The integrity check value.
    pub icv: &'a [u8],
    /// Everything in front of the ICV: what a separate integrity algorithm covers (RFC 7296 §3.14).
    pub authenticated: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Takes the body apart.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn split(&self, iv: usize, icv: usize) -> Result<SealedParts<'a>, Malformed> {
        let need = iv.saturating_add(icv).saturating_add(1);
        let have = self.body.len();
        let short = Malformed::Truncated { need, have };
        let (iv, rest) = self.body.split_at_checked(iv).ok_or(short)?;
        let end = rest.len().checked_sub(icv).filter(|end| *end > 0).ok_or(short)?;
        let (ciphertext, icv) = rest.split_at_checked(end).ok_or(short)?;
        let end = self.octets.len().saturating_sub(icv.len());
        let authenticated = self.octets.get(..end).ok_or(short)?;
        Ok(SealedParts { iv, ciphertext, icv, authenticated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        iana::ike::{
            AuthMethod, CertEncoding, EncryptionId, ExchangeType, IdType, KeyExchangeMethod, PrfId,
            ProtocolId,
        },
        ike::{
            Encrypted, EncryptedFragment, Flags, Proposal, Spi, TooLong, TrafficSelector,
            Transform, VendorId, Writer,
        },
        selector::AddressRange,
    };

    const REQUEST: Flags = Flags { initiator: true, version: false, response: false };

    fn header() -> Header {
        Header::new((0x0102_0304_0506_0708, 0), ExchangeType::IKE_SA_INIT, REQUEST, 0)
    }

    fn written(payloads: &[Payload<'_>]) -> Vec<u8> {
        let mut writer = Writer::new(header());
        for payload in payloads {
            writer.push(*payload);
        }
        writer.finish().unwrap()
    }

    fn refused(payloads: &[Payload<'_>]) -> Option<Refused> {
        Message::parse(&written(payloads)).err()
    }

    /// An IKE_SA_INIT request laid out by hand from the figures of RFC 7296 §3.
    #[rustfmt::skip]
    const INIT: [u8; 124] = [
        1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0,
        33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 124,
        34, 0, 0, 40, // SA
            0, 0, 0, 36, 1, 1, 0, 3,
                3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0,
                3, 0, 0, 8, 2, 0, 0, 6,
                0, 0, 0, 8, 4, 0, 0, 19,
        40, 0, 0, 12, 0, 19, 0, 0, 9, 9, 9, 9, // KE
        41, 0, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, // Nonce
        43, 0, 0, 8, 0, 0, 0x40, 0x2e, // N(IKEV2_FRAGMENTATION_SUPPORTED)
        43, 0, 0, 10, 1, 2, 3, 4, 5, 6, // V
        0, 0, 0, 6, 7, 7, // V
    ];

    fn init() -> Vec<Payload<'static>> {
        const TRANSFORMS: &[Transform] = &[
            Transform::encryption(EncryptionId::ENCR_AES_GCM_16, Some(256)),
            Transform::prf(PrfId::PRF_HMAC_SHA2_384),
            Transform::key_exchange(KeyExchangeMethod::ECP_256),
        ];
        let (number, protocol, spi) = (1, ProtocolId::IKE, Spi::None);
        let transforms = TRANSFORMS.into();
        let proposals = Vec::leak(vec![Proposal { number, protocol, spi, transforms }]);
        let proposals = (&*proposals).into();
        vec![
            SecurityAssociation { proposals }.into(),
            KeyExchange { method: KeyExchangeMethod::ECP_256, public: &[9; 4] }.into(),
            Nonce(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]).into(),
            Notify::from(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED).into(),
            VendorId(&[1, 2, 3, 4, 5, 6]).into(),
            VendorId(&[7, 7]).into(),
        ]
    }

    /// One of each payload, as inside IKE_AUTH and beyond, the ones that may be repeated twice.
    fn rest() -> Vec<Payload<'static>> {
        let range = AddressRange::new([10, 0, 0, 1].into(), [10, 0, 0, 9].into()).unwrap();
        let ts =
            TrafficSelectors { selectors: (&*vec![TrafficSelector::from(range)].leak()).into() };
        let spis = [7, 8].as_slice().into();
        let certificate = Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[0x30, 0] };
        let request = CertificateRequest { encoding: CertEncoding::X509_SIGNATURE, data: &[5; 20] };
        vec![
            Payload::IdInitiator(Identification::new(IdType::ID_FQDN, b"a.example")),
            certificate.into(),
            certificate.into(),
            request.into(),
            request.into(),
            Payload::IdResponder(Identification::new(IdType::ID_KEY_ID, &[])),
            Authentication { method: AuthMethod::SHARED_KEY, data: &[3; 32] }.into(),
            Payload::TsInitiator(ts),
            Payload::TsResponder(ts),
            Delete::Ike.into(),
            Delete::Child { protocol: ProtocolId::ESP, spis }.into(),
            Configuration {
                kind: crate::iana::ike::CfgType::CFG_REQUEST,
                attributes: (&[]).into(),
            }
            .into(),
            Eap(&[1, 2, 0, 4]).into(),
            Notify::rekey_sa(ProtocolId::ESP, 9).into(),
        ]
    }

    #[test]
    fn a_message_is_written_and_read_octet_for_octet() {
        assert_eq!(written(&init()), INIT);
        let message = Message::parse(&INIT).unwrap();
        assert!(message.payloads().iter().eq(init()));
        assert_eq!((message.header().length, message.octets()), (124, &INIT[..]));
        let all = message.payloads();
        assert_eq!(all.key_exchange().unwrap().public, [9; 4]);
        assert_eq!(all.nonce().unwrap().0.len(), 16);
        assert!(all.says(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED));
        assert!(!all.says(NotifyType::COOKIE) && all.error().is_none());
        assert!(all.vendor_ids().eq([&[1, 2, 3, 4, 5, 6][..], &[7, 7]]));
        assert!(message.sealed().is_none() && all.authentication().is_none());
    }

    /// The length field keeps a cut datagram from being read at all; with the field made
    /// to fit, the chain does.
    #[test]
    fn a_message_cut_anywhere_is_refused_even_when_its_length_field_is_cut_along() {
        let whole = written(&[init(), rest()].concat());
        for end in 0..whole.len() {
            assert!(matches!(Message::parse(&whole[..end]), Err(Refused::Header(_))), "{end}");
            let mut cut = whole[..end].to_vec();
            if let Some(field) = cut.get_mut(24..28) {
                field.copy_from_slice(&(end as u32).to_be_bytes());
                assert!(Message::parse(&cut).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn another_major_version_is_refused_before_its_payloads_and_another_minor_one_is_not() {
        for version in 0..=u8::MAX {
            let mut octets = INIT;
            (octets[16], octets[17]) = (1, version); // an IKEv1 payload that would not be read
            let want = Refused::MajorVersion(version >> 4);
            let got = Message::parse(&octets).err();
            if version >> 4 == 2 {
                assert_eq!(got, None, "type 1 is unknown, not critical, and passed over");
            } else {
                assert_eq!((got, want.notify_type()), (Some(want), NotifyType(5)));
            }
        }
    }

    /// Every number that is not one of ours, those of IKEv1 among them.
    #[test]
    fn an_unknown_payload_is_refused_when_critical_and_otherwise_passed_over() {
        for kind in (1..=u8::MAX).map(PayloadType) {
            let known = matches!(kind.0, 33..=48 | 53);
            for critical in [false, true].into_iter().filter(|_| !known) {
                let mut writer = Writer::new(header());
                writer.push(init()[2]).push_raw(kind, critical, &[0xff; 9]).push(init()[3]);
                let octets = writer.finish().unwrap();
                let got = Message::parse(&octets);
                if critical {
                    assert_eq!(got.unwrap_err(), Refused::UnsupportedCritical(kind));
                    continue;
                }
                let got = got.unwrap();
                assert!(got.payloads().iter().eq([init()[2], init()[3]]));
                assert!(got.payloads().passed_over().eq([kind]));
            }
        }
        let unsupported = Refused::UnsupportedCritical(PayloadType(255));
        assert_eq!(unsupported.notify_type(), NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD);
        assert_eq!(unsupported.to_string(), "critical payload 255 is not known");
    }

    /// RFC 7296 §2.5: the critical bit of a payload that is known is ignored.
    #[test]
    fn a_known_payload_may_be_critical() {
        let mut writer = Writer::new(header());
        writer.push_raw(PayloadType::NONCE, true, &[1; 16]);
        assert!(Message::parse(&writer.finish().unwrap()).is_ok());
    }

    #[test]
    fn what_comes_once_is_refused_twice_and_the_rest_is_not() {
        let sealed = Encrypted { first: PayloadType::NONE, body: &[1] };
        for payload in [init(), rest()].concat() {
            let kind = payload.kind();
            let once = ONCE.contains(&kind);
            let repeated = matches!(kind.0, 37 | 38 | 41 | 42 | 43);
            assert_ne!(once, repeated, "{kind}");
            let want = Refused::Payload { kind, why: Malformed::Duplicate };
            assert_eq!(refused(&[payload, payload]), once.then_some(want), "{kind}");
            let between = [payload, init()[3], payload, sealed.into()];
            assert_eq!(refused(&between), once.then_some(want), "{kind}");
        }
    }

    #[test]
    fn the_accessors_find_every_payload() {
        let octets = written(&rest());
        let message = Message::parse(&octets).unwrap();
        let all = message.payloads();
        assert!(all.iter().eq(rest()));
        assert_eq!(all.id_initiator().unwrap().data, b"a.example");
        assert_eq!(all.id_responder().unwrap().kind, IdType::ID_KEY_ID);
        assert_eq!((all.certificates().count(), all.certificate_requests().count()), (2, 2));
        assert_eq!(all.authentication().unwrap().data, [3; 32]);
        assert_eq!(all.ts_initiator(), all.ts_responder());
        assert_eq!(all.ts_initiator().unwrap().selectors.iter().count(), 1);
        assert!(all.deletes().next() == Some(Delete::Ike) && all.deletes().count() == 2);
        assert!(all.configuration().is_some() && all.eap() == Some(Eap(&[1, 2, 0, 4])));
        assert_eq!(all.notifies().next().unwrap().child(), Some((ProtocolId::ESP, 9)));
    }

    #[test]
    fn as_many_certificates_as_the_limit_and_not_one_more() {
        let certificate = Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[0x30] };
        for count in [1, MAX_CERTIFICATES - 1, MAX_CERTIFICATES, MAX_CERTIFICATES + 1] {
            let why = Malformed::TooMany { what: "certificates", most: MAX_CERTIFICATES };
            let want = Refused::Payload { kind: PayloadType::CERT, why };
            let got = refused(&vec![certificate.into(); count]);
            assert_eq!(got, (count > MAX_CERTIFICATES).then_some(want), "{count}");
        }
    }

    #[test]
    fn an_error_names_its_payload() {
        let mut octets = INIT;
        octets[71] = 4; // the KE's length
        let why = Malformed::Truncated { need: 4, have: 0 };
        let want = Refused::Payload { kind: PayloadType::KE, why };
        assert_eq!(Message::parse(&octets).unwrap_err(), want);
        assert_eq!(want.to_string(), "payload KE: truncated: 4 octets needed, 0 there");
        assert_eq!(want.notify_type(), NotifyType::INVALID_SYNTAX);
    }

    #[test]
    fn an_encrypted_payload_is_found_with_what_it_covers() {
        let skf = EncryptedFragment {
            first: PayloadType::ID_INITIATOR,
            fragment: Fragment { number: 1, total: 3 },
            body: &[0xee; 25],
        };
        let sk = Encrypted { first: PayloadType::NONE, body: &[0xee; 25] };
        for (payload, fragment, covered) in
            [(sk.into(), None, 32), (skf.into(), Some(skf.fragment), 36)]
        {
            let octets = written(&[payload]);
            let message = Message::parse(&octets).unwrap();
            let sealed = message.sealed().unwrap();
            assert_eq!((sealed.fragment, sealed.body), (fragment, &[0xee; 25][..]));
            assert_eq!(sealed.associated, &octets[..covered]);
            let parts = sealed.split(8, 16).unwrap();
            let lengths = (parts.iv.len(), parts.ciphertext.len(), parts.icv.len());
            assert_eq!((lengths, parts.authenticated), ((8, 1, 16), &octets[..covered + 9]));
            for (iv, icv) in [(8, 17), (9, 16), (25, 0), (0, 25), (26, 0), (usize::MAX, 1)] {
                let need = iv.saturating_add(icv).saturating_add(1);
                let short = Malformed::Truncated { need, have: 25 };
                assert_eq!(sealed.split(iv, icv), Err(short));
            }
        }
    }

    #[test]
    fn encryption_is_not_nested() {
        let sk = Encrypted { first: PayloadType::NONE, body: &[1] };
        let octets = written(&[init()[3], sk.into()]);
        let inside = &octets[28..];
        assert!(Payloads::parse(PayloadType::NOTIFY, inside).is_ok());
        let want = Refused::Payload { kind: PayloadType::SK, why: Malformed::Nested };
        assert_eq!(Payloads::parse_decrypted(PayloadType::NOTIFY, inside).err(), Some(want));
        assert!(Payloads::parse_decrypted(PayloadType::NOTIFY, &[0, 0, 0, 8, 0, 0, 64, 0]).is_ok());
        assert!(Payloads::parse_decrypted(PayloadType::NONE, &[]).is_ok(), "a liveness check");
    }

    #[test]
    fn a_payload_beyond_its_length_field_is_not_written() {
        for (length, fits) in [(65_531, true), (65_532, false), (70_000, false)] {
            let mut writer = Writer::new(header());
            writer.push(VendorId(&vec![7; length]));
            let octets = writer.finish();
            assert_eq!(octets.as_ref().err(), (!fits).then_some(&TooLong));
            assert!(octets.is_err() || Message::parse(&octets.unwrap()).is_ok());
        }
    }
}
