//! Every payload as one of an enum, to be read and written alike.

use super::{
    Authentication, Certificate, CertificateRequest, Configuration, Delete, Eap, Encrypted,
    EncryptedFragment, Identification, KeyExchange, Malformed, Nonce, Notify, Out, Raw,
    SecurityAssociation, TrafficSelectors, VendorId,
};
use crate::iana::ike::PayloadType;

/// A payload of a type that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// SA.
    SecurityAssociation(SecurityAssociation<'a>),
    /// KE.
    KeyExchange(KeyExchange<'a>),
    /// IDi.
    IdInitiator(Identification<'a>),
    /// IDr.
    IdResponder(Identification<'a>),
    /// CERT.
    Certificate(Certificate<'a>),
    /// CERTREQ.
    CertificateRequest(CertificateRequest<'a>),
    /// AUTH.
    Authentication(Authentication<'a>),
    /// Ni or Nr.
    Nonce(Nonce<'a>),
    /// N.
    Notify(Notify<'a>),
    /// D.
    Delete(Delete<'a>),
    /// V.
    VendorId(VendorId<'a>),
    /// TSi.
    TsInitiator(TrafficSelectors<'a>),
    /// TSr.
    TsResponder(TrafficSelectors<'a>),
    /// SK.
    Encrypted(Encrypted<'a>),
    /// SKF.
    EncryptedFragment(EncryptedFragment<'a>),
    /// CP.
    Configuration(Configuration<'a>),
    /// EAP.
    Eap(Eap<'a>),
}

impl<'a> Payload<'a> {
    /// Reads the body by the type. `None` when the type is not known here: IKEv1's are not, whatever the
    /// number, nor are those of extensions that we do not have.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn parse(raw: &Raw<'a>) -> Result<Option<Self>, Malformed> {
        let body = raw.body;
        Ok(Some(match raw.kind {
            PayloadType::SA => Self::SecurityAssociation(SecurityAssociation::parse(body)?),
            PayloadType::KE => Self::KeyExchange(KeyExchange::parse(body)?),
            PayloadType::ID_INITIATOR => Self::IdInitiator(Identification::parse(body)?),
            PayloadType::ID_RESPONDER => Self::IdResponder(Identification::parse(body)?),
            PayloadType::CERT => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CERTREQ => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::AUTH => Self::Authentication(Authentication::parse(body)?),
            PayloadType::NONCE => Self::Nonce(Nonce::parse(body)?),
            PayloadType::NOTIFY => Self::Notify(Notify::parse(body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(VendorId::parse(body)?),
            PayloadType::TS_INITIATOR => Self::TsInitiator(TrafficSelectors::parse(body)?),
            PayloadType::TS_RESPONDER => Self::TsResponder(TrafficSelectors::parse(body)?),
            PayloadType::SK => Self::Encrypted(Encrypted::parse(raw.next, body)?),
            PayloadType::SKF => Self::EncryptedFragment(EncryptedFragment::parse(raw.next, body)?),
            PayloadType::CP => Self::Configuration(Configuration::parse(body)?),
            PayloadType::EAP => Self::Eap(Eap::parse(body)?),
            _ => return Ok(None),
        }))
    }

    /// Its type.
    pub const fn kind(&self) -> PayloadType {
        match self {
            Self::SecurityAssociation(_) => PayloadType::SA,
            Self::KeyExchange(_) => PayloadType::KE,
            Self::IdInitiator(_) => PayloadType::ID_INITIATOR,
            Self::IdResponder(_) => PayloadType::ID_RESPONDER,
            Self::Certificate(_) => PayloadType::CERT,
            Self::CertificateRequest(_) => PayloadType::CERTREQ,
            Self::Authentication(_) => PayloadType::AUTH,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::TsInitiator(_) => PayloadType::TS_INITIATOR,
            Self::TsResponder(_) => PayloadType::TS_RESPONDER,
            Self::Encrypted(_) => PayloadType::SK,
            Self::EncryptedFragment(_) => PayloadType::SKF,
            Self::Configuration(_) => PayloadType::CP,
            Self::Eap(_) => PayloadType::EAP,
        }
    }

    /// The first payload inside an encrypted one, which its own header names as the next.
    pub(super) const fn first_inside(&self) -> Option<PayloadType> {
        match self {
            Self::Encrypted(Encrypted { first, .. })
            | Self::EncryptedFragment(EncryptedFragment { first, .. }) => Some(*first),
            _ => None,
        }
    }

    /// Appends the body, without the generic header.
    pub fn emit(&self, out: &mut Out) {
        match self {
            Self::SecurityAssociation(body) => body.emit(out),
            Self::KeyExchange(body) => body.emit(out),
            Self::IdInitiator(body) | Self::IdResponder(body) => body.emit(out),
            Self::Certificate(body) => body.emit(out),
            Self::CertificateRequest(body) => body.emit(out),
            Self::Authentication(body) => body.emit(out),
            Self::Nonce(body) => body.emit(out),
            Self::Notify(body) => body.emit(out),
            Self::Delete(body) => body.emit(out),
            Self::VendorId(body) => body.emit(out),
            Self::TsInitiator(body) | Self::TsResponder(body) => body.emit(out),
            Self::Encrypted(body) => body.emit(out),
            Self::EncryptedFragment(body) => body.emit(out),
            Self::Configuration(body) => body.emit(out),
            Self::Eap(body) => body.emit(out),
        }
    }
}

macro_rules! from {
    ($($body:ident)*) => {
        $(impl<'a> From<$body<'a>> for Payload<'a> {
            fn from(body: $body<'a>) -> Self {
                Self::$body(body)
            }
        })*
    };
}

from! {
    SecurityAssociation KeyExchange Certificate CertificateRequest Authentication Nonce Notify Delete
    VendorId Encrypted EncryptedFragment Configuration Eap
}
