//! Messages as the exchanges see them: what was received, owned and typed, and what is to be sent.
use crate::narrow::Ts;
use crate::proposal::{Kind, Offer, Proposal, Transform};
use wire::iana::ike::NotifyType;
use wire::ike::{Refused, Spi};

/// The protocols that proposals, notifies and deletes name (RFC 7296 §3.3.1).
pub(crate) mod protocol {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const IKE: u8 = 1;
    pub(crate) const ESP: u8 = 3;
}

/// A notify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) kind: NotifyType,
    pub(crate) protocol: u8,
    pub(crate) spi: Spi,
    pub(crate) data: Vec<u8>,
}

impl Note {
    /// About the message or the IKE SA.
    pub(crate) fn plain(kind: NotifyType, data: impl Into<Vec<u8>>) -> Self {
        Self { kind, protocol: protocol::NONE, spi: Spi::None, data: data.into() }
    }
    /// About a Child SA.
    pub(crate) fn about(kind: NotifyType, spi: u32) -> Self {
        Self { kind, protocol: protocol::ESP, spi: Spi::Child(spi), data: Vec::new() }
    }
    /// The SPI of the ESP SA that it is about.
    pub(crate) fn esp_spi(&self) -> Option<u32> {
        match self.spi {
            Spi::Child(spi) if self.protocol == protocol::ESP => Some(spi),
            _ => None,
        }
    }
    /// Data that is one number of two octets.
    pub(crate) fn number(&self) -> Option<u16> {
        self.data.as_slice().try_into().ok().map(u16::from_be_bytes)
    }
    /// Whether it reports an error (RFC 7296 §3.10.1).
    pub(crate) fn is_error(&self) -> bool {
        self.kind.0 < 16384
    }
}

/// An identity as it travels: type and octets; and the payload's body, which AUTH covers (RFC 7296 §2.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identification {
    pub(crate) kind: u8,
    pub(crate) octets: Vec<u8>,
    /// Reserved octets included: as they came.
    pub(crate) body: Vec<u8>,
}

/// The payloads of a message, in types of our own. Bounded by the message's size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) sa: Option<Vec<Offer>>,
    pub(crate) ke: Option<(u16, Vec<u8>)>,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) id_initiator: Option<Identification>,
    pub(crate) id_responder: Option<Identification>,
    /// Encoding and data.
    pub(crate) certificates: Vec<(u8, Vec<u8>)>,
    /// Method and data.
    pub(crate) auth: Option<(u8, Vec<u8>)>,
    pub(crate) notes: Vec<Note>,
    /// Protocol and SPIs of ESP.
    pub(crate) deletes: Vec<(u8, Vec<u32>)>,
    pub(crate) ts_initiator: Option<Vec<Ts>>,
    pub(crate) ts_responder: Option<Vec<Ts>>,
}

impl Received {
    pub(crate) fn note(&self, kind: NotifyType) -> Option<&Note> {
        self.notes.iter().find(|note| note.kind == kind)
    }
    pub(crate) fn has(&self, kind: NotifyType) -> bool {
        self.note(kind).is_some()
    }
    /// The first error.
    pub(crate) fn error(&self) -> Option<&Note> {
        self.notes.iter().find(|note| note.is_error())
    }
}

/// A payload to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Sa { protocol: u8, spi: Spi, proposals: Vec<(u8, Proposal)> },
    Ke(u16, Vec<u8>),
    Nonce(Vec<u8>),
    IdInitiator(u8, Vec<u8>),
    IdResponder(u8, Vec<u8>),
    Certificate(u8, Vec<u8>),
    CertificateRequest(u8, Vec<u8>),
    Auth(u8, Vec<u8>),
    Note(Note),
    DeleteIke,
    DeleteEsp(Vec<u32>),
    TsInitiator(Vec<Ts>),
    TsResponder(Vec<Ts>),
}

impl Part {
    pub(crate) fn note(kind: NotifyType, data: impl Into<Vec<u8>>) -> Self {
        Self::Note(Note::plain(kind, data))
    }
    /// What is said to a peer whose message was found wrong.
    pub(crate) fn refusal(refused: &Refused) -> Self {
        let data = match refused {
            Refused::UnsupportedCritical(kind) => vec![kind.0],
            _ => Vec::new(),
        };
        Self::note(refused.notify_type(), data)
    }
    /// All that we offer, numbered from one (RFC 7296 §3.3.1).
    pub(crate) fn offer(protocol: u8, spi: Spi, proposals: &[Proposal]) -> Self {
        let proposals = (1..=u8::MAX).zip(proposals.iter().cloned()).collect();
        Self::Sa { protocol, spi, proposals }
    }
    /// What we chose.
    pub(crate) fn choice(protocol: u8, spi: Spi, number: u8, proposal: Proposal) -> Self {
        Self::Sa { protocol, spi, proposals: vec![(number, proposal)] }
    }
}

/// A proposal for ESP says whether sequence numbers are extended (RFC 7296 §3.3.3); without a word, they are not.
pub(crate) fn with_esn(proposal: &Proposal) -> Proposal {
    let mut proposal = proposal.clone();
    if proposal.of(Kind::Esn).next().is_none() {
        proposal.transforms.push(Transform::esn(false));
    }
    proposal
}
