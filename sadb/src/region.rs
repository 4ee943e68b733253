//! The region.
use crate::errors::{Corrupt, RegionError};
use crate::policy::Policy;
use crate::roles::{Control, DataPlane};
use crate::sequence::SequenceHandle;
use crate::setup::Setup;
use crate::status::{CounterSnapshot, InterfaceStatus, SaStatus, Side};
use crate::window::WindowHandle;
use crate::worker::WorkerCounters;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// The descriptors of a region, for `SCM_RIGHTS`.
#[derive(Debug)]
pub struct RegionFds {
    /// Everything that readers may see.
    pub shared: OwnedFd,
    /// Requests and keys; `None` for a reader.
    pub secret: Option<OwnedFd>,
}

/// The region, mapped. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Region {
    _inner: Arc<()>,
}

impl Region {
    /// A fresh region in two sealed memfds.
    pub fn create(_setup: &Setup) -> Result<Self, RegionError> {
        todo!()
    }
    /// A fresh region in this process's heap: for tests, Miri and loom.
    pub fn on_heap(_setup: &Setup) -> Result<Self, RegionError> {
        todo!()
    }
    /// Maps a region somebody else made, after checking seals, size, magic, version and geometry.
    pub fn open(_fds: RegionFds) -> Result<Self, RegionError> {
        todo!()
    }
    /// Duplicates of the descriptors, to pass on.
    pub fn fds(&self) -> Result<RegionFds, RegionError> {
        todo!()
    }
    /// What the data plane must know before its first packet.
    pub fn setup(&self) -> Result<Setup, Corrupt> {
        todo!()
    }
    /// Says "I live": stores the clock and this process's id. Does nothing in a reader.
    pub fn heartbeat(&self, _side: Side) {
        todo!()
    }
    /// How long ago that side's last heartbeat was; `None` before the first.
    pub fn heartbeat_age(&self, _side: Side) -> Option<Duration> {
        todo!()
    }
    /// The process id with the last heartbeat of that side.
    pub fn pid(&self, _side: Side) -> Option<u32> {
        todo!()
    }
    /// The SA in `slot`; `None` when there is none (or its record is damaged: see [`Region::record`]).
    pub fn sa(&self, slot: u32) -> Option<SaStatus> {
        self.record(slot).ok().flatten()
    }
    /// The SA in `slot`, telling an empty record from a damaged one.
    pub fn record(&self, _slot: u32) -> Result<Option<SaStatus>, Corrupt> {
        todo!()
    }
    /// All SAs, by slot.
    pub fn sas(&self) -> impl Iterator<Item = SaStatus> + '_ {
        (0..0).filter_map(|slot| self.sa(slot))
    }
    /// Generation and entries of the active policy bank; generation 0 = none was activated yet.
    pub fn policies(&self) -> Result<(u64, Vec<Policy>), Corrupt> {
        todo!()
    }
    /// Control: writes the inactive bank. Generations are chosen by control, from 1, never the active one.
    pub fn stage_policies(&self, _generation: u64, _policies: &[Policy]) -> Result<(), StageError> {
        todo!()
    }
    /// Data plane: what control staged, checked.
    pub fn staged(&self, _generation: u64, _count: u32) -> Result<Vec<Policy>, Corrupt> {
        todo!()
    }
    /// Data plane: makes the staged bank the active one.
    pub fn activate(&self, _generation: u64) -> Result<(), Corrupt> {
        todo!()
    }
    /// One worker's counters as last published; `None` when there is no such worker.
    pub fn worker_counters(&self, _worker: usize) -> Option<CounterSnapshot> {
        todo!()
    }
    /// The sum over all workers.
    pub fn total_counters(&self) -> CounterSnapshot {
        todo!()
    }
    /// All interfaces that the data plane has reported on.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        todo!()
    }
    /// Data plane: reports interface `index` of the setup. False when there is no such interface.
    pub fn set_interface(&self, _index: usize, _status: &InterfaceStatus) -> bool {
        todo!()
    }
    /// Control's ends of the rings; `None` while taken, or in a reader.
    pub fn control(&self) -> Option<Control> {
        todo!()
    }
    /// The data plane's ends of the rings and the records; `None` while taken, or in a reader.
    pub fn data_plane(&self) -> Option<DataPlane> {
        todo!()
    }
    /// Worker `index`'s counters; `None` while taken, in a reader, or when there is no such worker.
    pub fn worker(&self, _index: usize) -> Option<WorkerCounters> {
        todo!()
    }
    /// The sequence numbers of the outbound SA in `slot`; `None` when there is no outbound SA.
    pub fn outbound(&self, _slot: u32) -> Option<SequenceHandle> {
        todo!()
    }
    /// The anti-replay window of the inbound SA in `slot`; `None` when there is no inbound SA.
    pub fn inbound(&self, _slot: u32) -> Option<WindowHandle> {
        todo!()
    }
}

/// Why policies could not be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// More entries than the region was made for.
    #[error(
        "{have} policies, and the region has room for {room}: raise dataplane.policies and restart"
    )]
    TooMany {
        /// Entries given.
        have: usize,
        /// Entries that fit.
        room: u32,
    },
    /// Generation 0, above 2^62, or the active one.
    #[error("policy generation {0} cannot be staged: it is 0, too large, or active now")]
    BadGeneration(u64),
    /// A reader cannot stage.
    #[error("this region is mapped read-only")]
    ReadOnly,
}
