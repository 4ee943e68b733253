//! What IKE_SA_INIT is made of on both sides, and what it leaves behind.
use crate::Random;
use crate::action::Endpoint;
use crate::algorithm::{Encr, Group, Integ, Prf, Suite};
use crate::channel::Channel;
use crate::ike_sa::Base;
use crate::message::{Part, Received};
use crate::nat;
use crate::proposal::{Chosen, Kind};
use crate::settings::Encap;
use wire::iana::ike::{HashAlgorithm, KeyExchangeMethod, NotifyType, PrfId};
use wire::iana::{EncryptionId, IntegrityId};

/// What both sides know after IKE_SA_INIT.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) channel: Channel,
    /// Initiator's and responder's.
    pub(crate) nonces: (Vec<u8>, Vec<u8>),
    /// Both messages as they were sent: AUTH covers them (RFC 7296 §2.15).
    pub(crate) messages: (Vec<u8>, Vec<u8>),
    /// What the peer announced.
    pub(crate) peer: Abilities,
}

/// What a peer says in IKE_SA_INIT that it can do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities {
    /// RFC 7383.
    pub(crate) fragmentation: bool,
    /// RFC 6023.
    pub(crate) childless: bool,
    /// RFC 7427: hashes for signatures; `None`: the classic methods only.
    pub(crate) hashes: Option<Vec<HashAlgorithm>>,
}

impl Abilities {
    pub(crate) fn of(received: &Received) -> Self {
        let hashes = received.note(NotifyType::SIGNATURE_HASH_ALGORITHMS);
        let list = |octets: &[u8]| {
            octets
                .as_chunks()
                .0
                .iter()
                .map(|pair| HashAlgorithm(u16::from_be_bytes(*pair)))
                .collect()
        };
        Self {
            fragmentation: received.has(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED),
            childless: received.has(NotifyType::CHILDLESS_IKEV2_SUPPORTED),
            hashes: hashes.map(|note| list(&note.data)),
        }
    }
}

/// The notifies with which either side says what it can do and where it thinks it is.
pub(crate) fn announcements(base: &Base, random: &mut dyn Random) -> Vec<Part> {
    let mut parts = nat_detection(base, random);
    if base.connection.fragmentation.is_some() {
        parts.push(Part::note(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, []));
    }
    let hashes: Vec<u8> =
        crate::auth::HASHES.iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
    parts.push(Part::note(NotifyType::SIGNATURE_HASH_ALGORITHMS, hashes));
    parts
}

fn nat_detection(base: &Base, random: &mut dyn Random) -> Vec<Part> {
    let Endpoint { local, remote } = base.path;
    let mut source = nat::hash(base.spis(), local);
    if base.connection.encap == Encap::Force {
        random.fill(&mut source); // so that the peer finds a NAT in front of us
    }
    let destination = nat::hash(base.spis(), remote);
    vec![
        Part::note(NotifyType::NAT_DETECTION_SOURCE_IP, source),
        Part::note(NotifyType::NAT_DETECTION_DESTINATION_IP, destination),
    ]
}

/// What the peer's notifies say about NATs: in front of us, in front of the peer. `spis` as they stood in the header.
pub(crate) fn detect_nat(received: &Received, spis: (u64, u64), path: Endpoint) -> (bool, bool) {
    let of = |kind| received.notes.iter().filter(move |note| note.kind == kind);
    let matches = |kind, address| {
        let hash = nat::hash(spis, address);
        of(kind).next().is_none() || of(kind).any(|note| note.data == hash)
    };
    let local = !matches(NotifyType::NAT_DETECTION_DESTINATION_IP, path.local);
    let remote = !matches(NotifyType::NAT_DETECTION_SOURCE_IP, path.remote);
    (local, remote)
}

/// The algorithms of a choice; `None`: one of them is not in this build, or they do not go together.
pub(crate) fn suite(chosen: &Chosen) -> Option<Suite> {
    let encryption = chosen.one(Kind::Encryption)?;
    let encr = Encr::negotiate(EncryptionId(encryption.id), encryption.key_bits)?;
    let prf = Prf::negotiate(PrfId(chosen.one(Kind::Prf)?.id), None)?;
    let integ = match chosen.one(Kind::Integrity) {
        Some(transform) => Some(Integ::negotiate(IntegrityId(transform.id), None)?),
        None => None,
    };
    let group = Group::negotiate(KeyExchangeMethod(chosen.key_exchange()?), None)?;
    Suite::new(encr, prf, integ, group)
}

/// Nonces are 16 to 256 octets (RFC 7296 §2.10, §3.9).
pub(crate) fn sound_nonce(nonce: Option<Vec<u8>>) -> Option<Vec<u8>> {
    nonce.filter(|nonce| (16..=256).contains(&nonce.len()))
}
