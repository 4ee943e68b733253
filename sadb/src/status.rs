//! What readers see: SAs as they are, interfaces as they are.
use crate::sa::{Name, Sa};
use crate::setup::{Role, XdpMode};

/// Which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// postern-control.
    Control,
    /// postern-dataplane.
    DataPlane,
}

/// Whether an SA still carries traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaState {
    /// It does.
    Live,
    /// It is past a hard lifetime and carries nothing more.
    Expired,
}

/// One SA as it is now: what control asked for and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaStatus {
    /// As installed or last updated.
    pub sa: Sa,
    /// Live or expired.
    pub state: SaState,
    /// When it was installed: seconds of CLOCK_MONOTONIC.
    pub installed: u64,
    /// Packets carried.
    pub packets: u64,
    /// Octets carried, as lifetimes count them.
    pub bytes: u64,
    /// When it last carried a packet: seconds of CLOCK_MONOTONIC; 0 = never.
    pub last_used: u64,
    /// Outbound: the last sequence number reserved. Inbound: the highest received.
    pub sequence: u64,
    /// Inbound packets left of the window.
    pub replay_late: u64,
    /// Inbound packets seen before.
    pub replay_duplicate: u64,
    /// Inbound packets with a wrong ICV.
    pub bad_icv: u64,
}

/// What an inbound SA counts by itself, besides its worker's [`crate::DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaDrop {
    /// Left of the window.
    ReplayLate,
    /// Seen before.
    ReplayDuplicate,
    /// Wrong ICV.
    BadIcv,
}

/// What an SA carried so far, for lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub bytes: u64,
}

/// One interface as the data plane has it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// As in the setup.
    pub name: Name,
    /// As in the setup.
    pub role: Role,
    /// The kernel's number; 0 = no such interface now.
    pub ifindex: u32,
    /// How frames come in.
    pub mode: XdpMode,
    /// Queues bound.
    pub queues: u32,
    /// In octets.
    pub mtu: u32,
    /// The kernel driver's name, where known.
    pub driver: Option<Name>,
    /// Whether the link is up and bound.
    pub up: bool,
    /// XDP_STATISTICS rx_dropped.
    pub rx_dropped: u64,
    /// XDP_STATISTICS rx_ring_full.
    pub rx_ring_full: u64,
    /// XDP_STATISTICS rx_fill_ring_empty_descs.
    pub fill_ring_empty: u64,
    /// XDP_STATISTICS tx_invalid_descs.
    pub tx_invalid: u64,
    /// How often its sockets were bound anew.
    pub rebinds: u64,
}

/// What the data plane encrypts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoStatus {
    /// The crypto backend's name.
    pub backend: Name,
    /// Its kernels that failed their self-test, so that slower ones run in their stead. 16 at most are kept.
    pub fallbacks: Vec<Name>,
}

/// One worker's counters, or the sum of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// By [`crate::DropReason`] as index.
    pub drops: [u64; crate::DropReason::COUNT],
    /// By [`crate::Counter`] as index.
    pub counters: [u64; crate::Counter::COUNT],
}
impl Default for CounterSnapshot {
    fn default() -> Self {
        Self { drops: [0; crate::DropReason::COUNT], counters: [0; crate::Counter::COUNT] }
    }
}
