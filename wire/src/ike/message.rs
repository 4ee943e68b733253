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
        let (need, have) = (iv + icv + 1, self.body.len());
        let short = Malformed::Truncated { need, have };
        let (iv, rest) = self.body.split_at_checked(iv).ok_or(short)?;
        let end = rest.len().checked_sub(icv).filter(|end| *end > 0).ok_or(short)?;
        let (ciphertext, icv) = rest.split_at_checked(end).ok_or(short)?;
        let end = self.octets.len().saturating_sub(icv.len());
        let authenticated = self.octets.get(..end).ok_or(short)?;
        Ok(SealedParts { iv, ciphertext, icv, authenticated })
    }
}
