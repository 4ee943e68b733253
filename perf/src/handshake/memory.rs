//! Memory of an established peer: what a process that has very many of them grows by.
use super::party::Party;
use super::rates::connect;
use super::sites::{Proof, Sites, alone};
use super::{Failed, cpu};
use ike::algorithm::Group;
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::Arc;

/// What so many peers take.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// How both ends proved who they are.
    pub proof: String,
    /// Established peers, each with an IKE SA and a Child SA.
    pub peers: usize,
    /// Octets by which the process grew, by peer.
    pub octets_per_peer: u64,
}

/// In a process of its own: what others left in the heap would hide what peers take.
///
/// # Errors
/// [`Failed::System`] with what it said.
pub fn measure(proof: Proof, peers: usize) -> Result<Memory, Failed> {
    let system = |why: &dyn std::fmt::Display| Failed::System(format!("{proof}: {why}"));
    let program = std::env::current_exe().map_err(|why| system(&why))?;
    let method = if proof == Proof::Psk { "psk" } else { "ecdsa-p256" };
    let mut command = Command::new(program);
    command.args(["established", "--proof", method, "--peers", &peers.to_string()]);
    let done = command.output().map_err(|why| system(&why))?;
    if !done.status.success() {
        return Err(system(&String::from_utf8_lossy(&done.stderr)));
    }
    serde_json::from_slice(&done.stdout).map_err(|why| system(&why))
}

/// A gateway to which peers connect, one after another. Each caller is gone before the next one comes.
///
/// # Errors
/// [`Failed`]: a handshake that failed.
pub fn here(proof: Proof, peers: usize) -> Result<Memory, Failed> {
    let sites = Sites::new(proof, Group::Curve25519)?;
    let mut gateway = Party::new(&alone(sites.gateway()?));
    // The first ones bring along whatever is made once.
    let warm = 64.min(peers);
    (0..warm).try_for_each(|peer| one(&sites, peer, &mut gateway))?;
    let before = cpu::resident();
    (warm..warm + peers).try_for_each(|peer| one(&sites, peer, &mut gateway))?;
    let grown = cpu::resident().saturating_sub(before);
    let octets_per_peer = grown / u64::try_from(peers.max(1)).unwrap_or(u64::MAX);
    Ok(Memory { proof: proof.name().to_owned(), peers, octets_per_peer })
}

fn one(sites: &Sites, peer: usize, gateway: &mut Party) -> Result<(), Failed> {
    let mut caller = Party::new(&Arc::new(sites.peers(peer, 1)?));
    let name: Arc<str> = format!("peer-{peer}").into();
    connect(sites, &[name], &mut caller, gateway, 1)
}
