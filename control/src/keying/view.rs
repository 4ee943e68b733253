//! What people and programs see of IKE.
use super::Lineages;
use crate::driver::Shared;
use ike::engine::{ChildStatus, IkeStatus};
use ike::settings::Start;
use ike::why::Why;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct IkeView {
    /// [`crate::view::VERSION`].
    pub version: u32,
    /// What keeps IKE from being spoken; `null`: nothing.
    pub problem: Option<String>,
    /// IKE SAs that others began and that are not yet authenticated.
    pub half_open: usize,
    /// Connections that are configured to be negotiated.
    pub connections: Vec<Configured>,
    /// IKE SAs.
    pub ike_sas: Vec<IkeSa>,
}

/// A connection of the configuration.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// `up`: all of its children; `partly`: some; `connecting`; `waiting`: for a packet, a peer or an order; `down`.
    pub state: String,
    /// Names of its children.
    pub children: Vec<String>,
}

/// An IKE SA.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct IkeSa {
    /// Its connection.
    pub connection: String,
    /// `connecting`, `authenticating`, `established`, `replaced` or `closing`.
    pub state: String,
    /// 16 hexadecimal digits.
    pub local_spi: String,
    /// 16 hexadecimal digits.
    pub remote_spi: String,
    /// Whether we began it.
    pub initiator: bool,
    /// Our address and port.
    pub local: String,
    /// The peer's.
    pub remote: String,
    /// A NAT in front of us.
    pub nat_local: bool,
    /// A NAT in front of the peer.
    pub nat_remote: bool,
    /// Who the peer proved to be.
    pub identity: Option<String>,
    /// How we proved who we are.
    pub local_proof: Option<String>,
    /// How the peer did.
    pub remote_proof: Option<String>,
    /// Its algorithms.
    pub suite: Option<String>,
    /// Whether algorithms that can be broken are allowed.
    pub legacy: bool,
    /// Seconds since it is established.
    pub age: Option<u64>,
    /// Seconds until it gets new keys.
    pub rekey_in: Option<u64>,
    /// Seconds until identities are proved anew.
    pub reauth_in: Option<u64>,
    /// Seconds since the peer last proved that it lives.
    pub heard: Option<u64>,
    /// Its Child SAs.
    pub children: Vec<ChildSa>,
}

/// A Child SA.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ChildSa {
    /// As configured.
    pub name: String,
    /// `installed`, `inbound only`, `replaced` or `closing`.
    pub state: String,
    /// Our SPI.
    pub inbound: u32,
    /// The peer's SPI.
    pub outbound: u32,
    /// Its algorithms.
    pub suite: String,
    /// What it covers, ours ↔ the peer's.
    pub covered: String,
    /// Seconds since it was made.
    pub age: u64,
    /// Seconds until it gets new keys.
    pub rekey_in: Option<u64>,
    /// Packets from the peer, over all SAs that this one replaced.
    pub packets_in: u64,
    /// Octets from the peer.
    pub bytes_in: u64,
    /// Packets to the peer.
    pub packets_out: u64,
    /// Octets to the peer.
    pub bytes_out: u64,
    /// Seconds since the last packet from the peer; `null` = none yet.
    pub last_in: Option<u64>,
    /// Seconds since the last packet to the peer; `null` = none yet.
    pub last_out: Option<u64>,
}

/// A failure, field by field.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct WhyView {
    /// [`crate::view::VERSION`].
    pub version: u32,
    /// Seconds ago.
    pub ago: u64,
    /// The connection, once it is known.
    pub connection: Option<String>,
    /// The child.
    pub child: Option<String>,
    /// The peer's address and port.
    pub peer: String,
    /// The identity that the peer claimed.
    pub identity: Option<String>,
    /// The exchange in which it failed.
    pub stage: String,
    /// What kind of failure.
    pub reason: String,
    /// What was offered.
    pub offered: Vec<String>,
    /// What was considered.
    pub candidates: Vec<Candidate>,
    /// Which check failed.
    pub check: Option<String>,
    /// What would put it right.
    pub fix: Option<String>,
    /// All of it as prose.
    pub text: String,
}

/// Something of ours, and where it first differs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Candidate {
    /// Connection and proposal.
    pub name: String,
    /// The first field that differs.
    pub field: String,
    /// What the peer has there.
    pub offered: String,
    /// What we have there.
    pub ours: String,
}

fn seconds_since(then: u64, now: u64) -> u64 {
    now.saturating_sub(then) / 1000
}
fn seconds_until(then: u64, now: u64) -> u64 {
    then.saturating_sub(now).div_ceil(1000)
}

/// The core's status with what the data plane counted.
pub fn view(status: &[IkeStatus], now: u64, half_open: usize, shared: &Shared) -> IkeView {
    let region = shared.region();
    let sas: Vec<_> =
        status.iter().map(|sa| ike_sa(sa, now, &shared.lineages, region.as_ref())).collect();
    let mut of: BTreeMap<&str, Vec<&IkeSa>> = BTreeMap::new();
    sas.iter().for_each(|sa| of.entry(&sa.connection).or_default().push(sa));
    let configured = shared.connections.lock().map(|all| all.clone()).unwrap_or_default();
    let connections = configured
        .into_iter()
        .map(|(name, children)| Configured {
            state: state(&children, of.get(&*name).map_or(&[], Vec::as_slice)).to_owned(),
            children: children.into_iter().map(|(child, _)| child).collect(),
            name,
        })
        .collect();
    IkeView {
        version: crate::view::VERSION,
        problem: shared.link().ike,
        half_open,
        connections,
        ike_sas: sas,
    }
}

/// Of a connection with these children and IKE SAs.
fn state(children: &[(String, Start)], own: &[&IkeSa]) -> &'static str {
    let up: BTreeSet<_> = own
        .iter()
        .flat_map(|sa| &sa.children)
        .filter(|child| matches!(child.state.as_str(), "installed" | "inbound only"))
        .map(|child| child.name.as_str())
        .collect();
    if children.iter().all(|(child, _)| up.contains(child.as_str())) {
        "up"
    } else if !up.is_empty() {
        "partly"
    } else if own.iter().any(|sa| matches!(sa.state.as_str(), "connecting" | "authenticating")) {
        "connecting"
    } else if children.iter().all(|(_, start)| *start != Start::Auto) {
        "waiting"
    } else {
        "down"
    }
}

fn ike_sa(sa: &IkeStatus, now: u64, lineages: &Lineages, region: Option<&sadb::Region>) -> IkeSa {
    let proofs = sa.methods.clone();
    IkeSa {
        connection: sa.connection.to_string(),
        state: sa.state.to_owned(),
        local_spi: format!("{:016x}", sa.local_spi),
        remote_spi: format!("{:016x}", sa.remote_spi),
        initiator: sa.initiator,
        local: sa.path.local.to_string(),
        remote: sa.path.remote.to_string(),
        nat_local: sa.nat.0,
        nat_remote: sa.nat.1,
        identity: sa.identity.clone(),
        local_proof: proofs.as_ref().map(|(ours, _)| ours.clone()),
        remote_proof: proofs.map(|(_, theirs)| theirs),
        suite: sa.suite.map(|suite| suite.to_string()),
        legacy: sa.legacy,
        age: sa.since.map(|since| seconds_since(since, now)),
        rekey_in: sa.rekey_at.map(|at| seconds_until(at, now)),
        reauth_in: sa.reauth_at.map(|at| seconds_until(at, now)),
        heard: sa.heard.map(|heard| seconds_since(heard, now)),
        children: sa.children.iter().map(|child| child_sa(child, now, lineages, region)).collect(),
    }
}

fn child_sa(
    child: &ChildStatus,
    now: u64,
    lineages: &Lineages,
    region: Option<&sadb::Region>,
) -> ChildSa {
    let booked = lineages.lock().get(&child.lineage).cloned().unwrap_or_default();
    let carried = region.map_or(booked.before, |region| booked.carried(region));
    let ago = |then: u64| (then != 0).then(|| sadb::clock::seconds().saturating_sub(then));
    ChildSa {
        name: child.name.to_string(),
        state: child.state.to_owned(),
        inbound: child.inbound,
        outbound: child.outbound,
        suite: child.suite.to_string(),
        covered: child.covered.to_string(),
        age: seconds_since(child.created, now),
        rekey_in: child.rekey_at.map(|at| seconds_until(at, now)),
        packets_in: carried.packets_in,
        bytes_in: carried.bytes_in,
        packets_out: carried.packets_out,
        bytes_out: carried.bytes_out,
        last_in: ago(carried.last_in),
        last_out: ago(carried.last_out),
    }
}

/// A failure, at `now` of the core's clock.
pub fn why(why: &Why, now: u64) -> WhyView {
    let candidate = |one: &ike::why::Candidate| Candidate {
        name: one.name.clone(),
        field: one.field.clone(),
        offered: one.offered.clone(),
        ours: one.ours.clone(),
    };
    WhyView {
        version: crate::view::VERSION,
        ago: seconds_since(why.when, now),
        connection: why.connection.as_deref().map(str::to_owned),
        child: why.child.as_deref().map(str::to_owned),
        peer: why.peer.to_string(),
        identity: why.identity.clone(),
        stage: why.stage.to_string(),
        reason: why.reason.to_string(),
        offered: why.offered.clone(),
        candidates: why.candidates.iter().map(candidate).collect(),
        check: why.check.clone(),
        fix: why.fix.clone(),
        text: why.to_string(),
    }
}
