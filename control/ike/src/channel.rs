//! Messages under an IKE SA's keys, and those of IKE_SA_INIT that have none.
use crate::algorithm::{Prf, Suite};
use crate::derive::{self, Keys, Nonces};
use crate::fragment::{Budget, Limits, Reassembly};
use crate::ike_sa::Base;
use crate::message::{Identification, Note, Part, Received, protocol};
use crate::narrow::Ts;
use crate::proposal::{Kind, Offer, Proposal, Transform};
use crate::protect::{self, Opener, Sealer};
use crate::{Key, Random};
use wire::iana::IpProtocol;
use wire::iana::ike::{
    AuthMethod, CertEncoding, ExchangeType, IdType, KeyExchangeMethod, NotifyType, ProtocolId,
    TransformType,
};
use wire::ike::{self, Contents, Flags, HEADER, Header, Message, Payload, Payloads, Refused};

/// Octets of IPv6 and UDP headers and the non-ESP marker around a message.
const AROUND: usize = 40 + 8 + 4;

/// The keys of an IKE SA, and what becomes of them: messages.
#[derive(Debug)]
pub(crate) struct Channel {
    suite: Suite,
    keys: Keys,
    sealer: Sealer,
    opener: Opener,
    spis: (u64, u64),
    initiator: bool,
    /// The longest message that is sent whole; `None`: the peer does not put fragments together.
    most: Option<usize>,
    reassembly: Reassembly,
}

/// What became of a datagram.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Forged, or a fragment of something that is not complete.
    Nothing,
    /// The peer's, and wrong.
    Malformed(Refused),
    /// The peer's.
    Message(Box<Received>),
}

impl Channel {
    /// The keys that IKE_SA_INIT gives. `fragmentation`: what the peer says of itself.
    pub(crate) fn new(
        base: &Base,
        suite: Suite,
        nonces: &(Vec<u8>, Vec<u8>),
        shared: &Key,
        (fragmentation, budget): (bool, &Budget),
    ) -> Self {
        let skeyseed = derive::skeyseed(suite.prf(), nonces_of(nonces), shared);
        let fragmentation = base.connection.fragmentation.filter(|_| fragmentation);
        let most = fragmentation.map(|limit| usize::from(limit.size).saturating_sub(AROUND));
        let reassembly = Reassembly::within(Limits::default(), budget.clone());
        Self::of(suite, &skeyseed, nonces, base.spis(), base.initiator, (most, reassembly))
    }

    /// The keys that a rekey gives, cut with those of this one (RFC 7296 §2.18).
    pub(crate) fn rekeyed(
        &self,
        suite: Suite,
        nonces: &(Vec<u8>, Vec<u8>),
        shared: &Key,
        spis: (u64, u64),
        initiator: bool,
    ) -> Self {
        let skeyseed =
            derive::rekeyed_skeyseed(self.prf(), &self.keys.d, shared, nonces_of(nonces));
        let mut reassembly =
            Reassembly::within(Limits::default(), self.reassembly.budget().clone());
        reassembly.prove();
        Self::of(suite, &skeyseed, nonces, spis, initiator, (self.most, reassembly))
    }

    /// The peer has proved who it is.
    pub(crate) fn prove(&mut self) {
        self.reassembly.prove();
    }

    fn of(
        suite: Suite,
        skeyseed: &Key,
        nonces: &(Vec<u8>, Vec<u8>),
        spis: (u64, u64),
        initiator: bool,
        (most, reassembly): (Option<usize>, Reassembly),
    ) -> Self {
        let named = derive::Spis { initiator: spis.0, responder: spis.1 };
        let keys = Keys::derive(&suite, skeyseed, nonces_of(nonces), named);
        let (sealer, opener) = protect::pair(&suite, &keys, initiator);
        Self { suite, keys, sealer, opener, spis, initiator, most, reassembly }
    }

    pub(crate) fn suite(&self) -> &Suite {
        &self.suite
    }
    pub(crate) fn prf(&self) -> Prf {
        self.suite.prf()
    }
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
    pub(crate) fn spis(&self) -> (u64, u64) {
        self.spis
    }
    pub(crate) fn own_spi(&self) -> u64 {
        if self.initiator { self.spis.0 } else { self.spis.1 }
    }

    /// A message, in fragments if it must be. What cannot be said in a message at all is not sent: the exchange runs into
    /// its time-out.
    pub(crate) fn seal(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        response: bool,
        parts: &[Part],
        random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        let flags = Flags { initiator: self.initiator, version: false, response };
        let header = Header::new(self.spis, exchange, flags, id);
        let contents = contents(parts);
        let first = contents.first();
        let Ok(payloads) = contents.finish() else { return Vec::new() };
        let most = self.most.unwrap_or(usize::from(u16::MAX));
        self.sealer.seal_within(random, &header, first, &payloads, most).unwrap_or_default()
    }

    /// Checks who sent a datagram, and reads it when it is whole.
    pub(crate) fn open(&mut self, datagram: &[u8], now: u64) -> Opened {
        // Nobody vouches for what is outside the encrypted payload, nor for a message without one.
        let Ok(message) = Message::parse(datagram) else { return Opened::Nothing };
        let Some(sealed) = message.sealed() else { return Opened::Nothing };
        let Ok(Some(opened)) = self.reassembly.take(now, &self.opener, message.header(), &sealed)
        else {
            return Opened::Nothing;
        };
        match Payloads::parse_decrypted(opened.first, opened.payloads.expose()) {
            Ok(payloads) => Opened::Message(Box::new(received(&payloads))),
            Err(refused) => Opened::Malformed(refused),
        }
    }

    /// Whether a repetition of a request is the peer's, and shall be answered: of fragments only the first is
    /// (RFC 7383 §2.6.1). Changes nothing.
    pub(crate) fn repeats(&self, datagram: &[u8]) -> bool {
        let Ok(message) = Message::parse(datagram) else { return false };
        let Some(sealed) = message.sealed() else { return false };
        let first = sealed.fragment.is_none_or(|fragment| fragment.number == 1);
        first && self.opener.open(&sealed).is_ok()
    }

    pub(crate) fn forget_fragments(&mut self, now: u64) {
        self.reassembly.expire(now);
    }
}

fn nonces_of((initiator, responder): &(Vec<u8>, Vec<u8>)) -> Nonces<'_> {
    Nonces { initiator, responder }
}

/// A message without protection, with message ID 0: IKE_SA_INIT. Empty when it cannot be said.
pub(crate) fn plain(
    spis: (u64, u64),
    initiator: bool,
    exchange: ExchangeType,
    response: bool,
    parts: &[Part],
) -> Vec<u8> {
    let flags = Flags { initiator, version: false, response };
    plain_with(Header::new(spis, exchange, flags, 0), parts)
}

/// A message without protection.
pub(crate) fn plain_with(header: Header, parts: &[Part]) -> Vec<u8> {
    let contents = contents(parts);
    let next_payload = contents.first();
    let Ok(payloads) = contents.finish() else { return Vec::new() };
    let length = u32::try_from(payloads.len().saturating_add(HEADER)).unwrap_or(u32::MAX);
    [&Header { next_payload, length, ..header }.emit()[..], &payloads].concat()
}

/// Reads a message without protection. Nobody vouches for it.
pub(crate) fn read_plain(datagram: &[u8]) -> Option<Received> {
    Message::parse(datagram).ok().map(|message| received(message.payloads()))
}

fn contents(parts: &[Part]) -> Contents {
    let mut contents = Contents::new();
    parts.iter().for_each(|part| push(&mut contents, part));
    contents
}

fn push(contents: &mut Contents, part: &Part) {
    let id = |kind: &u8, octets| ike::Identification::new(IdType(*kind), octets);
    match part {
        Part::Sa { protocol, spi, proposals } => push_sa(contents, *protocol, *spi, proposals),
        Part::Ke(method, public) => {
            _ = contents.push(ike::KeyExchange { method: KeyExchangeMethod(*method), public });
        }
        Part::Nonce(nonce) => _ = contents.push(ike::Nonce(nonce)),
        Part::IdInitiator(kind, octets) => {
            _ = contents.push(Payload::IdInitiator(id(kind, octets)))
        }
        Part::IdResponder(kind, octets) => {
            _ = contents.push(Payload::IdResponder(id(kind, octets)))
        }
        Part::Certificate(encoding, data) => {
            _ = contents.push(ike::Certificate { encoding: CertEncoding(*encoding), data });
        }
        Part::CertificateRequest(encoding, data) => {
            _ = contents.push(ike::CertificateRequest { encoding: CertEncoding(*encoding), data });
        }
        Part::Auth(method, data) => {
            _ = contents.push(ike::Authentication { method: AuthMethod(*method), data });
        }
        Part::Note(note) => push_note(contents, note),
        Part::DeleteIke => _ = contents.push(ike::Delete::Ike),
        Part::DeleteEsp(spis) => {
            let spis = spis.as_slice().into();
            _ = contents.push(ike::Delete::Child { protocol: ProtocolId(protocol::ESP), spis });
        }
        Part::TsInitiator(list) => {
            let list = selectors(list);
            _ = contents.push(Payload::TsInitiator(ike::TrafficSelectors {
                selectors: list.as_slice().into(),
            }));
        }
        Part::TsResponder(list) => {
            let list = selectors(list);
            _ = contents.push(Payload::TsResponder(ike::TrafficSelectors {
                selectors: list.as_slice().into(),
            }));
        }
    }
}

fn push_note(contents: &mut Contents, note: &Note) {
    let Note { kind, protocol, spi, data } = note;
    let notification = ike::Notification::Other { kind: *kind, data };
    contents.push(ike::Notify { protocol: ProtocolId(*protocol), spi: *spi, notification });
}

fn push_sa(contents: &mut Contents, protocol: u8, spi: ike::Spi, proposals: &[(u8, Proposal)]) {
    let transforms: Vec<Vec<ike::Transform>> = proposals
        .iter()
        .map(|(_, proposal)| proposal.transforms.iter().map(to_wire).collect())
        .collect();
    let each = proposals.iter().zip(&transforms).map(|((number, _), transforms)| ike::Proposal {
        number: *number,
        protocol: ProtocolId(protocol),
        spi,
        transforms: transforms.as_slice().into(),
    });
    let each: Vec<_> = each.collect();
    contents.push(ike::SecurityAssociation { proposals: each.as_slice().into() });
}

fn to_wire(transform: &Transform) -> ike::Transform {
    let plain = ike::Transform::new(TransformType(transform.kind.number()), transform.id);
    ike::Transform { key_length: transform.key_bits, ..plain }
}

fn from_wire(transform: ike::Transform) -> Option<Transform> {
    let ike::Transform { kind, id, key_length, understood } = transform;
    let kind = Kind::from_number(kind.0);
    understood.then_some(Transform { kind, id, key_bits: key_length })
}

fn selectors(list: &[Ts]) -> Vec<ike::TrafficSelector> {
    let of = |ts: &Ts| ike::TrafficSelector {
        protocol: IpProtocol(ts.protocol),
        ports: ts.ports,
        addresses: ts.addresses,
    };
    list.iter().map(of).collect()
}

fn received(payloads: &Payloads<'_>) -> Received {
    let list = |ts: ike::TrafficSelectors<'_>| ts.selectors.iter().map(ts_of).collect();
    Received {
        sa: payloads.security_association().map(|sa| sa.proposals.iter().map(offer_of).collect()),
        ke: payloads.key_exchange().map(|ke| (ke.method.0, ke.public.to_vec())),
        nonce: payloads.nonce().map(|nonce| nonce.0.to_vec()),
        id_initiator: payloads.id_initiator().map(identification),
        id_responder: payloads.id_responder().map(identification),
        certificates: payloads.certificates().map(|c| (c.encoding.0, c.data.to_vec())).collect(),
        auth: payloads.authentication().map(|auth| (auth.method.0, auth.data.to_vec())),
        notes: payloads.iter().filter_map(note_of).collect(),
        deletes: payloads.deletes().map(delete_of).collect(),
        ts_initiator: payloads.ts_initiator().map(list),
        ts_responder: payloads.ts_responder().map(list),
    }
}

fn ts_of(ts: ike::TrafficSelector) -> Ts {
    Ts { addresses: ts.addresses, protocol: ts.protocol.0, ports: ts.ports }
}

fn offer_of(offer: ike::Proposal<'_>) -> Offer {
    let transforms = offer.transforms.iter().filter_map(from_wire).collect();
    Offer {
        number: offer.number,
        protocol: offer.protocol.0,
        spi: offer.spi,
        proposal: Proposal { transforms },
    }
}

fn identification(id: ike::Identification<'_>) -> Identification {
    let body = [&[id.kind.0], &id.reserved[..], id.data].concat();
    Identification { kind: id.kind.0, octets: id.data.to_vec(), body }
}

fn delete_of(delete: ike::Delete<'_>) -> (u8, Vec<u32>) {
    match delete {
        ike::Delete::Ike => (protocol::IKE, Vec::new()),
        ike::Delete::Child { protocol, spis } => (protocol.0, spis.iter().collect()),
    }
}

fn note_of(payload: Payload<'_>) -> Option<Note> {
    let Payload::Notify(notify) = payload else { return None };
    use ike::Notification as N;
    let data = match notify.notification {
        N::Cookie(data) | N::Other { data, .. } => data.to_vec(),
        N::InvalidKePayload(method) => method.0.to_be_bytes().to_vec(),
        N::NatDetectionSourceIp(hash) | N::NatDetectionDestinationIp(hash) => hash.to_vec(),
        N::SignatureHashAlgorithms(hashes) => {
            hashes.iter().flat_map(|hash| hash.0.to_be_bytes()).collect()
        }
        N::SetWindowSize(number) | N::AuthLifetime(number) | N::InvalidMessageId(number) => {
            number.to_be_bytes().to_vec()
        }
        N::UnsupportedCriticalPayload(kind) => vec![kind.0],
    };
    let kind: NotifyType = notify.kind();
    Some(Note { kind, protocol: notify.protocol.0, spi: notify.spi, data })
}
