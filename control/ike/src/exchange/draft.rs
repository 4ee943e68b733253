//! A Child SA that we are about to ask for, or have asked for.
use super::asking::Rival;
use super::call::first_group;
use crate::action::{EspSuite, Packet};
use crate::algorithm::{Group, Secret};
use crate::child::Agreed;
use crate::env::Env;
use crate::message::{Note, Part, Received, protocol, with_esn};
use crate::narrow::{Covered, Ts};
use crate::proposal::{self, KeyExchange, Proposal};
use crate::settings;
use crate::why::Stage;
use std::sync::Arc;
use wire::iana::ike::NotifyType;
use wire::ike::Spi;
use wire::selector::PortRange;

/// A Child SA that we ask for.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) settings: Arc<settings::Child>,
    pub(super) spi: u32,
    pub(super) nonce: Vec<u8>,
    pub(super) offered: Covered,
    pub(super) proposals: Vec<Proposal>,
    pub(super) group: Option<Group>,
    pub(super) public: Vec<u8>,
    pub(super) secret: Option<Secret>,
    pub(super) replaces: Option<u32>,
    pub(super) rival: Option<Rival>,
    /// How often another group was tried.
    pub(super) turns: u32,
}

impl Draft {
    /// `None`: there is no room for another SA.
    pub(crate) fn new(
        settings: &Arc<settings::Child>,
        mut offered: Covered,
        packet: Option<&Packet>,
        nonce: Vec<u8>,
        env: &mut Env<'_>,
    ) -> Option<Self> {
        if let Some(packet) = packet {
            put_first(&mut offered, packet);
        }
        let proposals: Vec<_> = settings.proposals.iter().map(with_esn).collect();
        Some(Self {
            spi: env.reserve()?,
            settings: Arc::clone(settings),
            nonce,
            offered,
            group: first_group(&proposals),
            proposals,
            public: Vec::new(),
            secret: None,
            replaces: None,
            rival: None,
            turns: 0,
        })
    }

    pub(crate) fn abandon(self, env: &mut Env<'_>) {
        env.spis.release(self.spi);
    }

    pub(super) fn stage(&self) -> Stage {
        if self.replaces.is_some() { Stage::RekeyChild } else { Stage::CreateChild }
    }

    /// SA and TS payloads; with a nonce and perhaps a public value unless this is IKE_AUTH.
    pub(crate) fn parts(&self, exchange: KeyExchange) -> Vec<Part> {
        let spi = Spi::Child(self.spi);
        let mut parts = Vec::new();
        if exchange == KeyExchange::Ignored {
            let first: Vec<_> = self.proposals.iter().map(Proposal::without_key_exchange).collect();
            parts.push(Part::offer(protocol::ESP, spi, &first));
        } else {
            parts.extend(
                self.replaces.map(|old| Part::Note(Note::about(NotifyType::REKEY_SA, old))),
            );
            parts.push(Part::offer(protocol::ESP, spi, &self.proposals));
            parts.push(Part::Nonce(self.nonce.clone()));
            parts.extend(self.group.map(|group| Part::Ke(group.id().0, self.public.clone())));
        }
        parts.push(Part::TsInitiator(self.offered.local.clone()));
        parts.push(Part::TsResponder(self.offered.remote.clone()));
        parts
    }

    pub(super) fn exchange(&self) -> KeyExchange {
        self.group.map_or(KeyExchange::Absent, |group| KeyExchange::Sent(group.id().0))
    }

    /// Holds an answer against what was asked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn answered(
        &self,
        received: &Received,
        nonce: Vec<u8>,
        exchange: KeyExchange,
    ) -> Result<Agreed, String> {
        let offers = received.sa.as_deref().ok_or("the answer has no SA payload")?;
        let [answer] = offers else { return Err("the answer chose not one proposal".to_owned()) };
        let chosen = proposal::accepts(&self.proposals, answer, exchange)
            .ok_or("the answer chose what we did not offer")?;
        let suite =
            EspSuite::of(&chosen).ok_or("the answer chose a cipher whose keys we cannot cut")?;
        let outbound = esp_spi(chosen.spi).ok_or("the answer's SPI cannot be one")?;
        let (Some(local), Some(remote)) = (&received.ts_initiator, &received.ts_responder) else {
            return Err("the answer has no traffic selectors".to_owned());
        };
        let covered = Covered { local: local.clone(), remote: remote.clone() };
        let sound = self.offered.covers(&covered) && !covered.selectors().is_empty();
        if !sound {
            return Err(format!("the answer covers {covered}, and we offered {}", self.offered));
        }
        Ok(Agreed {
            settings: Arc::clone(&self.settings),
            inbound: self.spi,
            outbound,
            suite,
            covered,
            initiator: true,
            nonces: (self.nonce.clone(), nonce),
            replaces: self.replaces,
        })
    }
}

/// SPIs 0 to 255 are reserved (RFC 4303 §2.1).
pub(crate) fn esp_spi(spi: Spi) -> Option<u32> {
    match spi {
        Spi::Child(spi) if spi > 255 => Some(spi),
        _ => None,
    }
}

/// The packet's own selectors go first: so the peer knows what it is about when it must narrow (RFC 7296 §2.9).
fn put_first(offered: &mut Covered, packet: &Packet) {
    let (from, to) = packet.ports.unzip();
    let one = |port: Option<u16>| port.map_or(PortRange::ANY, PortRange::one);
    let ts = |address: std::net::IpAddr, port| Ts {
        addresses: address.into(),
        protocol: packet.protocol,
        ports: one(port),
    };
    let (local, remote) = (ts(packet.source, from), ts(packet.destination, to));
    if offered.includes(&local, &remote) {
        offered.local.insert(0, local);
        offered.remote.insert(0, remote);
    }
}
