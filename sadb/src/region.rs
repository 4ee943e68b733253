//! The region as both processes and all readers use it.
use crate::clock;
use crate::codec::{self, Eye, Pen, checksum};
use crate::counters::{Counter, DropReason};
use crate::errors::{Corrupt, RegionError};
use crate::handle::{SequenceHandle, WindowHandle, state};
use crate::latch::{self, Unreadable};
use crate::layout::{self, LINE, Layout, header, heartbeat, hot, secret};
use crate::memfd::{self, Mapping, Which};
use crate::memory::Memory;
use crate::roles::{Control, DataPlane};
use crate::sa::{Direction, Sa};
use crate::setup::Setup;
use crate::status::{CounterSnapshot, CryptoStatus, InterfaceStatus, SaState, SaStatus, Side};
use crate::sync::{Ordering, Peek};
use crate::worker::WorkerCounters;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The descriptors of a region, for `SCM_RIGHTS`.
#[derive(Debug)]
pub struct RegionFds {
    /// Everything that readers may see.
    pub shared: OwnedFd,
    /// Requests and keys; `None` for a reader.
    pub secret: Option<OwnedFd>,
}

/// The region, mapped. Cheap to clone; all clones are the same mapping.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) inner: Arc<Inner>,
}

/// The mapping, and who in this process holds which end of it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Memory>,
    /// `None` in a reader.
    pub(crate) secret: Option<Arc<Memory>>,
    pub(crate) layout: Layout,
    pub(crate) control_taken: AtomicBool,
    pub(crate) data_plane_taken: AtomicBool,
    pub(crate) workers_taken: Box<[AtomicBool]>,
    /// Handles that live in this process, by slot.
    pub(crate) handles: Box<[AtomicU32]>,
    /// Held while this process writes a policy bank or an interface status.
    pub(crate) writing: Mutex<()>,
}

/// Holds a slot against reuse for as long as a handle on it lives.
#[derive(Debug)]
pub(crate) struct Lease {
    inner: Arc<Inner>,
    slot: usize,
}

impl Lease {
    fn new(inner: &Arc<Inner>, slot: usize) -> Option<Self> {
        inner.handles.get(slot)?.fetch_add(1, Ordering::AcqRel);
        Some(Self { inner: Arc::clone(inner), slot })
    }
}
impl Clone for Lease {
    fn clone(&self) -> Self {
        if let Some(handles) = self.inner.handles.get(self.slot) {
            handles.fetch_add(1, Ordering::AcqRel);
        }
        Self { inner: Arc::clone(&self.inner), slot: self.slot }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(handles) = self.inner.handles.get(self.slot) {
            handles.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Region {
    /// A fresh region in two sealed memfds.
    pub fn create(setup: &Setup) -> Result<Self, RegionError> {
        let layout = layout_of(setup)?;
        let map = |which: Which, words: usize| -> Result<_, RegionError> {
            Ok(Memory::mapped(Mapping::new(which, memfd::create(which, words as u64 * 8)?)?))
        };
        let shared = map(Which::Shared, layout.shared_words)?;
        let secret = map(Which::Secret, layout.secret_words)?;
        Self::format(setup, layout, shared, secret)
    }

    /// A fresh region on this process's heap, which cannot be passed on: for tests and Miri.
    pub fn on_heap(setup: &Setup) -> Result<Self, RegionError> {
        let layout = layout_of(setup)?;
        Self::format(
            setup,
            layout,
            Memory::heap(layout.shared_words),
            Memory::heap(layout.secret_words),
        )
    }

    /// Writes both headers.
    fn format(
        setup: &Setup,
        layout: Layout,
        shared: Arc<Memory>,
        secret: Arc<Memory>,
    ) -> Result<Self, RegionError> {
        let pairing = pairing_number();
        let mut head = [0; header::WORDS];
        head[header::MAGIC] = layout::SHARED_MAGIC;
        head[header::VERSION] = crate::ABI_VERSION.into();
        head[header::SHARED_WORDS] = layout.shared_words as u64;
        head[header::SECRET_WORDS] = layout.secret_words as u64;
        head[header::PAIRING] = pairing;
        head[header::COUNTS] = layout::COUNTER_COUNTS;
        codec::encode_setup(
            setup,
            &mut Pen::new(head.get_mut(header::SETUP..).unwrap_or_default()),
        );
        head[header::CHECKSUM] = checksum(&head);
        let unwritable = RegionError::Unsuitable("mapped read-only");
        for (to, word) in shared.writable().ok_or(unwritable)?.iter().zip(head) {
            to.store(word, Ordering::Relaxed);
        }
        let head: [(usize, u64); 2] =
            [(secret::MAGIC, layout::SECRET_MAGIC), (secret::PAIRING, pairing)];
        for (at, word) in head {
            let to = secret.writable().and_then(|words| words.get(at));
            to.ok_or(RegionError::Unsuitable("mapped read-only"))?.store(word, Ordering::Relaxed);
        }
        Ok(Self::over(layout, shared, Some(secret)))
    }

    /// Maps a region somebody else made, after checking seals, magic, version, checksum, geometry and sizes. Without
    /// the secret descriptor it becomes a reader.
    pub fn open(fds: RegionFds) -> Result<Self, RegionError> {
        let shared = Memory::mapped(Mapping::new(Which::Shared, fds.shared)?);
        let secret = match fds.secret {
            Some(fd) => Some(Memory::mapped(Mapping::new(Which::Secret, fd)?)),
            None => None,
        };
        Self::adopt(shared, secret)
    }

    /// Checks memories of unknown origin.
    pub(crate) fn adopt(
        shared: Arc<Memory>,
        secret: Option<Arc<Memory>>,
    ) -> Result<Self, RegionError> {
        let (head, setup) = read_header(&shared)?;
        let layout = layout_of(&setup)?;
        let have = shared.words().len();
        let fits = |part, need: usize, have: usize, said: u64| {
            let bad = RegionError::BadSize { part, need: need as u64 * 8, have: have as u64 * 8 };
            if need == have && said == need as u64 { Ok(()) } else { Err(bad) }
        };
        fits("shared", layout.shared_words, have, head[header::SHARED_WORDS])?;
        if let Some(secret) = &secret {
            fits("secret", layout.secret_words, secret.words().len(), head[header::SECRET_WORDS])?;
            check_pairing(secret, head[header::PAIRING])?;
        }
        Ok(Self::over(layout, shared, secret))
    }

    fn over(layout: Layout, shared: Arc<Memory>, secret: Option<Arc<Memory>>) -> Self {
        let free = |count: usize| (0..count).map(|_| AtomicBool::new(false)).collect();
        let slots = layout.geometry.sa_slots;
        Self {
            inner: Arc::new(Inner {
                shared,
                secret,
                layout,
                control_taken: AtomicBool::new(false),
                data_plane_taken: AtomicBool::new(false),
                workers_taken: free(layout.workers),
                handles: (0..slots).map(|_| AtomicU32::new(0)).collect(),
                writing: Mutex::new(()),
            }),
        }
    }

    /// Duplicates of the descriptors, to pass on to the other process.
    pub fn fds(&self) -> Result<RegionFds, RegionError> {
        let secret = self
            .inner
            .secret
            .as_ref()
            .ok_or(RegionError::Unsuitable("a reader's: it has no keys"))?;
        Ok(RegionFds {
            shared: duplicate(Which::Shared, &self.inner.shared)?,
            secret: Some(duplicate(Which::Secret, secret)?),
        })
    }

    /// A descriptor of the shared memory that can only be read.
    pub fn reader_fds(&self) -> Result<RegionFds, RegionError> {
        let mapping = self.inner.shared.mapping().ok_or(RegionError::Unsuitable(ON_HEAP))?;
        Ok(RegionFds { shared: memfd::read_only(mapping.fd())?, secret: None })
    }

    /// Whether keys are kept out of swap: `false` when RLIMIT_MEMLOCK is too small (or this is a reader).
    pub fn keys_locked(&self) -> bool {
        let mapping = self.inner.secret.as_ref().and_then(|secret| secret.mapping());
        mapping.is_some_and(Mapping::is_locked)
    }

    /// What the data plane must know before its first packet. Read and checked anew at each call.
    pub fn setup(&self) -> Result<Setup, Corrupt> {
        match read_header(&self.inner.shared) {
            Ok((_, setup)) => Ok(setup),
            Err(RegionError::Corrupt(corrupt)) => Err(corrupt),
            Err(_) => Err(Corrupt { what: "header", index: 0, value: 0 }),
        }
    }

    /// Says "I live": stores the clock and this process's id. Does nothing in a reader.
    pub fn heartbeat(&self, side: Side) {
        let pid = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        let now = u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX);
        let words = self.inner.shared.writable().and_then(|words| words.get(heartbeat_at(side)..));
        if let Some([to_pid, to_now, ..]) = words {
            to_pid.store(pid, Ordering::Relaxed);
            // Release, paired with the Acquire in `heartbeat_age`: whoever sees this beat sees its process id
            to_now.store(now, Ordering::Release);
        }
    }

    /// How long ago that side's last heartbeat was; `None` before the first.
    pub fn heartbeat_age(&self, side: Side) -> Option<Duration> {
        let words = self.inner.shared.read(heartbeat_at(side), LINE);
        let beat = words.get(heartbeat::NANOSECONDS)?.peek_acquire();
        (beat != 0).then(|| clock::now().saturating_sub(Duration::from_nanos(beat)))
    }

    /// The process id of that side's last heartbeat; `None` before the first.
    pub fn pid(&self, side: Side) -> Option<u32> {
        let word = self.inner.shared.read(heartbeat_at(side), LINE).get(heartbeat::PID)?.peek();
        u32::try_from(word).ok().filter(|&pid| pid != 0)
    }

    /// The SA in `slot`; `None` when there is none or its record is damaged ([`Region::record`] tells which).
    pub fn sa(&self, slot: u32) -> Option<SaStatus> {
        self.record(slot).ok().flatten()
    }

    /// All SAs, by slot. Damaged records are left out: see [`Region::record`].
    pub fn sas(&self) -> impl Iterator<Item = SaStatus> + '_ {
        (0..self.inner.layout.geometry.sa_slots).filter_map(|slot| self.sa(slot))
    }

    /// The SA in `slot`: `Ok(None)` = empty or no such slot, `Err` = damaged.
    pub fn record(&self, slot: u32) -> Result<Option<SaStatus>, Corrupt> {
        let Some((sa, installed)) = self.inner.record(slot)? else { return Ok(None) };
        let Some(index) = self.inner.layout.slot(slot) else { return Ok(None) };
        let words = self.inner.shared.read(self.inner.layout.hot + index * hot::WORDS, hot::WORDS);
        let value = |at: usize| words.get(at).map_or(0, Peek::peek);
        Ok(Some(SaStatus {
            sa,
            state: match value(hot::STATE) {
                state::LIVE | state::WARNED => SaState::Live,
                state::EXPIRED => SaState::Expired,
                other => return Err(Corrupt { what: "SA state", index: slot, value: other }),
            },
            installed,
            packets: value(hot::PACKETS),
            bytes: value(hot::BYTES),
            last_used: value(hot::LAST_USED),
            sequence: value(hot::NUMBER),
            replay_late: value(hot::REPLAY_LATE),
            replay_duplicate: value(hot::REPLAY_DUPLICATE),
            bad_icv: value(hot::BAD_ICV),
        }))
    }

    /// One worker's counters as last published; `None` when there is no such worker.
    pub fn worker_counters(&self, worker: usize) -> Option<CounterSnapshot> {
        if worker >= self.inner.layout.workers {
            return None;
        }
        let start = layout::WORKER_TABLE + worker * layout::WORKER;
        let words = self.inner.shared.read(start, layout::WORKER);
        let (drops, counters) = words.split_at_checked(DropReason::COUNT)?;
        let mut snapshot = CounterSnapshot::default();
        snapshot.drops.iter_mut().zip(drops).for_each(|(to, word)| *to = word.peek());
        snapshot.counters.iter_mut().zip(counters).for_each(|(to, word)| *to = word.peek());
        Some(snapshot)
    }

    /// The sum over all workers.
    pub fn total_counters(&self) -> CounterSnapshot {
        let workers =
            (0..self.inner.layout.workers).filter_map(|worker| self.worker_counters(worker));
        workers.fold(CounterSnapshot::default(), |mut sum, one| {
            sum.drops.iter_mut().zip(one.drops).for_each(|(to, n)| *to = to.wrapping_add(n));
            sum.counters.iter_mut().zip(one.counters).for_each(|(to, n)| *to = to.wrapping_add(n));
            sum
        })
    }

    /// How many workers the setup has.
    pub fn workers(&self) -> usize {
        self.inner.layout.workers
    }

    /// All interfaces that the data plane has reported on, in the setup's order. Damaged statuses are left out.
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        (0..layout::INTERFACES).filter_map(|index| self.interface(index).ok().flatten()).collect()
    }

    /// The status of interface `index`: `Ok(None)` = not reported yet, `Err` = damaged.
    pub fn interface(&self, index: usize) -> Result<Option<InterfaceStatus>, Corrupt> {
        if index >= layout::INTERFACES {
            return Ok(None);
        }
        let start = layout::INTERFACE_TABLE + index * layout::INTERFACE;
        let mut words = [0; layout::INTERFACE_PAYLOAD];
        let latch = self.inner.shared.read(start, layout::INTERFACE);
        let written = latch::read(latch, &mut words)
            .map_err(|why| unreadable("interface status", index as u32, why))?;
        written.then(|| codec::decode_interface(&mut Eye::new(&words, index as u32))).transpose()
    }

    /// Data plane: reports interface `index` of the setup. False when there is no such interface, or in a reader.
    pub fn set_interface(&self, index: usize, status: &InterfaceStatus) -> bool {
        let start = layout::INTERFACE_TABLE + index.min(layout::INTERFACES) * layout::INTERFACE;
        let latch = self
            .inner
            .shared
            .writable()
            .and_then(|words| words.get(start..start + layout::INTERFACE));
        let (Some(latch), true) = (latch, index < layout::INTERFACES) else { return false };
        let mut words = [0; layout::INTERFACE_PAYLOAD];
        codec::encode_interface(status, &mut Pen::new(&mut words));
        let _one_writer = self.inner.writing.lock();
        latch::write(latch, &words);
        true
    }

    /// What the data plane encrypts with: `Ok(None)` = not reported yet, `Err` = damaged.
    pub fn crypto(&self) -> Result<Option<CryptoStatus>, Corrupt> {
        let mut words = [0; layout::CRYPTO_PAYLOAD];
        let latch = self.inner.shared.read(layout::CRYPTO_STATUS, layout::CRYPTO);
        let written =
            latch::read(latch, &mut words).map_err(|why| unreadable("crypto status", 0, why))?;
        written.then(|| codec::decode_crypto(&mut Eye::new(&words, 0))).transpose()
    }

    /// Data plane: reports what it encrypts with. False in a reader.
    pub fn set_crypto(&self, status: &CryptoStatus) -> bool {
        let (start, end) = (layout::CRYPTO_STATUS, layout::CRYPTO_STATUS + layout::CRYPTO);
        let words = self.inner.shared.writable().and_then(|words| words.get(start..end));
        let Some(latch) = words else { return false };
        let mut words = [0; layout::CRYPTO_PAYLOAD];
        codec::encode_crypto(status, &mut Pen::new(&mut words));
        let _one_writer = self.inner.writing.lock();
        latch::write(latch, &words);
        true
    }

    /// Control's ends of the rings; `None` while taken, or in a reader. Given back when dropped.
    pub fn control(&self) -> Option<Control> {
        Control::new(&self.inner)
    }

    /// The data plane's ends of the rings, and the records; `None` while taken, or in a reader. Given back when
    /// dropped.
    pub fn data_plane(&self) -> Option<DataPlane> {
        DataPlane::new(&self.inner)
    }

    /// Worker `index`'s counters; `None` while taken, in a reader, or when there is no such worker.
    pub fn worker(&self, index: usize) -> Option<WorkerCounters> {
        WorkerCounters::new(&self.inner, index)
    }

    /// The sequence numbers of the outbound SA in `slot`; `None` when there is no outbound SA.
    pub fn outbound(&self, slot: u32) -> Option<SequenceHandle> {
        let index = self.inner.layout.slot(slot)?;
        // the lease first: from then on the record cannot become another SA's
        let lease = Lease::new(&self.inner, index)?;
        let (sa, installed) = self.inner.record(slot).ok().flatten()?;
        let hot = self.inner.shared.array(self.inner.layout.hot + index * hot::WORDS)?;
        (sa.direction == Direction::Outbound).then(|| SequenceHandle::new(hot, installed, lease))
    }

    /// The anti-replay window of the inbound SA in `slot`; `None` when there is no inbound SA.
    pub fn inbound(&self, slot: u32) -> Option<WindowHandle> {
        let index = self.inner.layout.slot(slot)?;
        let lease = Lease::new(&self.inner, index)?;
        let (sa, installed) = self.inner.record(slot).ok().flatten()?;
        let hot = self.inner.shared.array(self.inner.layout.hot + index * hot::WORDS)?;
        // a width that the region has no room for cannot have been installed: whoever wrote it is wrong
        let width = sa.replay_window;
        sa.validate(&self.inner.layout.geometry).ok()?;
        let start = self.inner.layout.windows + index * self.inner.layout.window_stride;
        let words = self.inner.shared.part(start, layout::window_words(width))?;
        (sa.direction == Direction::Inbound)
            .then(|| WindowHandle::new(hot, words, width, installed, lease))
    }
}

impl Inner {
    /// The record in `slot` and its moment of installation; `Ok(None)` = empty.
    pub(crate) fn record(&self, slot: u32) -> Result<Option<(Sa, u64)>, Corrupt> {
        let Some(index) = self.layout.slot(slot) else { return Ok(None) };
        let mut words = [0; layout::RECORD_PAYLOAD];
        let latch = self.shared.read(self.layout.records + index * layout::RECORD, layout::RECORD);
        let written =
            latch::read(latch, &mut words).map_err(|why| unreadable("SA record", slot, why))?;
        if !written || words == [0; layout::RECORD_PAYLOAD] {
            return Ok(None);
        }
        let mut eye = Eye::new(&words, slot);
        let (sa, installed) = (codec::decode_sa(&mut eye)?, eye.take()?);
        if sa.slot != slot {
            return Err(eye.corrupt("SA slot", sa.slot));
        }
        Ok(Some((sa, installed)))
    }
}

const ON_HEAP: &str = "on the heap of one process and has no descriptor";

pub(crate) fn unreadable(what: &'static str, index: u32, why: Unreadable) -> Corrupt {
    let value = match why {
        Unreadable::Torn => 0,
        Unreadable::Damaged(sum) => sum,
    };
    Corrupt { what, index, value }
}

fn layout_of(setup: &Setup) -> Result<Layout, RegionError> {
    setup.validate()?;
    let too_large = RegionError::BadSetup {
        what: "geometry",
        value: setup.geometry.sa_slots.into(),
        allowed: "small enough to address",
    };
    Layout::new(setup.geometry, setup.cores.len()).ok_or(too_large)
}

/// Copies the header once, checks the copy, and decodes the setup from the copy.
fn read_header(shared: &Memory) -> Result<([u64; header::WORDS], Setup), RegionError> {
    let mut head = [0; header::WORDS];
    let have = shared.words().len() as u64 * 8;
    if have < header::WORDS as u64 * 8 {
        return Err(RegionError::BadSize { part: "shared", need: header::WORDS as u64 * 8, have });
    }
    head.iter_mut().zip(shared.words()).for_each(|(to, word)| *to = word.peek());
    if head[header::MAGIC] != layout::SHARED_MAGIC {
        return Err(RegionError::BadMagic(head[header::MAGIC]));
    }
    if head[header::VERSION] != u64::from(crate::ABI_VERSION) {
        let found = head[header::VERSION];
        return Err(RegionError::BadVersion { found, ours: crate::ABI_VERSION.into() });
    }
    let corrupt = |what, value| RegionError::Corrupt(Corrupt { what, index: 0, value });
    let said = core::mem::take(&mut head[header::CHECKSUM]);
    if checksum(&head) != said {
        return Err(corrupt("header checksum", said));
    }
    if head[header::COUNTS] != layout::COUNTER_COUNTS {
        return Err(corrupt("number of counters", head[header::COUNTS]));
    }
    let setup =
        codec::decode_setup(&mut Eye::new(head.get(header::SETUP..).unwrap_or_default(), 0))?;
    Ok((head, setup))
}

fn check_pairing(secret: &Memory, pairing: u64) -> Result<(), RegionError> {
    let word = |at: usize| secret.words().get(at).map_or(0, Peek::peek);
    if word(secret::MAGIC) != layout::SECRET_MAGIC {
        return Err(RegionError::BadMagic(word(secret::MAGIC)));
    }
    if word(secret::PAIRING) == pairing { Ok(()) } else { Err(RegionError::Mismatched) }
}

/// A number that tells two regions of one machine apart: no secret, only a safeguard against mixed-up descriptors.
fn pairing_number() -> u64 {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    checksum(&[clock::now().as_nanos() as u64, pid.into(), made.into()])
}

fn heartbeat_at(side: Side) -> usize {
    match side {
        Side::Control => layout::HEARTBEATS,
        Side::DataPlane => layout::HEARTBEATS + LINE,
    }
}

fn duplicate(which: Which, memory: &Memory) -> Result<OwnedFd, RegionError> {
    let mapping = memory.mapping().ok_or(RegionError::Unsuitable(ON_HEAP))?;
    let octets = mapping.octets() as u64;
    rustix::io::fcntl_dupfd_cloexec(mapping.fd(), 3).map_err(|errno| RegionError::System {
        call: "fcntl(F_DUPFD_CLOEXEC)",
        part: which.name(),
        octets,
        errno,
    })
}

// Counters are read by position: the table's order is the enums' order.
const _: () = assert!(DropReason::COUNT + Counter::COUNT <= layout::WORKER);
