//! What people and programs may look at.
use super::Engine;
use crate::action::{Endpoint, EspSuite, Lineage};
use crate::algorithm::Suite;
use crate::child::{Child, Fate, Sending};
use crate::derive::Keys;
use crate::ike_sa::{IkeSa, State};
use crate::narrow::Covered;
use std::sync::Arc;

/// An IKE SA as it stands. Times are in milliseconds of the core's clock.
#[derive(Clone, Debug)]
pub struct IkeStatus {
    /// Its connection; for one that a stranger began, the best guess so far.
    pub connection: Arc<str>,
    /// `connecting`, `authenticating`, `established`, `replaced` or `closing`.
    pub state: &'static str,
    /// Our SPI.
    pub local_spi: u64,
    /// The peer's SPI; 0 until it is known.
    pub remote_spi: u64,
    /// Whether we began it.
    pub initiator: bool,
    /// Its ends.
    pub path: Endpoint,
    /// A NAT in front of us, a NAT in front of the peer.
    pub nat: (bool, bool),
    /// Who the peer proved to be.
    pub identity: Option<String>,
    /// How we and how the peer proved who we are.
    pub methods: Option<(String, String)>,
    /// Its algorithms.
    pub suite: Option<Suite>,
    /// Since when it is established.
    pub since: Option<u64>,
    /// When it is rekeyed.
    pub rekey_at: Option<u64>,
    /// When it is reauthenticated.
    pub reauth_at: Option<u64>,
    /// When the peer last proved that it lives.
    pub heard: Option<u64>,
    /// Whether its connection allows algorithms that can be broken.
    pub legacy: bool,
    /// Its Child SAs.
    pub children: Vec<ChildStatus>,
}

/// A Child SA as it stands.
#[derive(Clone, Debug)]
pub struct ChildStatus {
    /// As configured.
    pub name: Arc<str>,
    /// Its tunnel.
    pub lineage: Lineage,
    /// `installed`, `inbound only`, `replaced` or `closing`.
    pub state: &'static str,
    /// Our SPI.
    pub inbound: u32,
    /// The peer's SPI.
    pub outbound: u32,
    /// Its algorithms.
    pub suite: EspSuite,
    /// What it covers.
    pub covered: Covered,
    /// When it was made.
    pub created: u64,
    /// When it is rekeyed, by the clock.
    pub rekey_at: Option<u64>,
}

/// The keys of an IKE SA, for a table that Wireshark reads. Whoever asks for them must have been asked why.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Initiator's and responder's SPI.
    pub spis: (u64, u64),
    /// Its algorithms.
    pub suite: Suite,
    /// Its keys.
    pub keys: Keys,
}

impl Engine {
    /// Every IKE SA, in the order of our SPIs.
    pub fn status(&self) -> Vec<IkeStatus> {
        self.sas.values().map(ike).collect()
    }

    /// The keys of every established IKE SA.
    pub fn keys(&self) -> Vec<SessionKeys> {
        let of = |sa: &IkeSa| {
            let channel = &sa.established()?.channel;
            let (suite, keys) = (*channel.suite(), channel.keys().clone());
            Some(SessionKeys { spis: channel.spis(), suite, keys })
        };
        self.sas.values().filter_map(of).collect()
    }

    /// Half-open IKE SAs that others began.
    pub fn half_open(&self) -> usize {
        self.half_open.total()
    }

    /// What is out in the pool or in the data plane.
    pub fn outstanding(&self) -> usize {
        self.tickets.out()
    }
}

fn ike(sa: &IkeSa) -> IkeStatus {
    let base = &sa.base;
    let established = sa.established();
    IkeStatus {
        connection: Arc::clone(&base.connection.name),
        state: state(sa),
        local_spi: base.spi,
        remote_spi: base.peer_spi,
        initiator: base.initiator,
        path: base.path,
        nat: (base.nat.local, base.nat.remote),
        identity: established.map(|established| established.peer.identity.to_string()),
        methods: established.map(|established| established.peer.methods.clone()),
        suite: established.map(|established| *established.channel.suite()),
        since: established.map(|established| established.since),
        rekey_at: established.and_then(|established| established.times.rekey),
        reauth_at: established.and_then(|established| established.times.reauth),
        heard: established.map(|established| established.heard),
        legacy: base.connection.legacy,
        children: established
            .map_or_else(Vec::new, |established| established.children.iter().map(child).collect()),
    }
}

fn state(sa: &IkeSa) -> &'static str {
    match &sa.state {
        State::Calling(_) | State::Answering(_) => "connecting",
        State::Proving(_) | State::Judging(_) => "authenticating",
        State::Established(established) if established.successor.is_some() => "replaced",
        State::Established(_) => "established",
        State::Ghost(_) | State::Gone => "closing",
    }
}

fn child(child: &Child) -> ChildStatus {
    ChildStatus {
        name: Arc::clone(&child.settings.name),
        lineage: child.lineage,
        state: match (&child.fate, &child.sending) {
            (Fate::Replaced(_) | Fate::Left, _) => "replaced",
            (Fate::Closing(_), _) => "closing",
            (Fate::Lives, Sending::Ready) => "installed",
            (Fate::Lives, _) => "inbound only",
        },
        inbound: child.inbound,
        outbound: child.outbound,
        suite: child.suite,
        covered: child.covered.clone(),
        created: child.created,
        rekey_at: child.soft,
    }
}
