//! The contexts of an SA: everything that can be computed before its first packet.
use core::fmt;

use crate::backend::{Backend, OpenKernel, SealKernel};
use crate::layout::HEADER;
use crate::schedule::{self, OpenSchedule, Place, SealSchedule};
use crate::suite::Suite;
use crate::wiped::Wiped;

/// Packets that one IV epoch has room for: the explicit IV's low 40 bits are the packet's number.
const EPOCH_BITS: u32 = 40;
/// The highest IV epoch: 24 bits.
const EPOCH_MAX: u32 = 0xff_ffff;
/// Numbers kept free at the end, so that a caller's reservation ahead cannot overflow.
const MARGIN: u64 = u32::MAX as u64;

/// Packets are grouped by this: backend, then suite (so family and key size), never SA. One number, because
/// every packet's is compared.
pub(crate) type Lane = u32;

/// What every packet is measured against, worked out once.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Octets of header, IV and ICV.
    least: u16,
    /// The cipher's unit less one: the bits that are clear in the length of a whole body.
    ragged: u8,
}

impl Shape {
    fn of(suite: Suite) -> Self {
        Self {
            least: (HEADER + suite.iv_len() + suite.icv_len()) as u16,
            ragged: (suite.unit() - 1) as u8,
        }
    }

    /// As [`Suite::accepts`].
    #[inline(always)]
    pub fn accepts(self, len: usize) -> bool {
        match len.checked_sub(self.least.into()) {
            Some(body) => body & usize::from(self.ragged) == 0,
            None => false,
        }
    }
}

fn lane(place: Place, suite: Suite) -> Lane {
    u32::from(place.backend.rank) << 24 | suite.code()
}

/// Why key material was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The cipher's key has the wrong length.
    #[error("{suite} needs an encryption key of {need} octets, salt included, not {have}")]
    EncryptionLength {
        /// The suite the key was for.
        suite: Suite,
        /// Octets needed: the key, and a counter mode's salt behind it.
        need: usize,
        /// Octets given.
        have: usize,
    },
    /// The integrity key has the wrong length.
    #[error("{suite} needs an integrity key of {need} octets, not {have}")]
    IntegrityLength {
        /// The suite the key was for.
        suite: Suite,
        /// Octets needed; 0 with an AEAD.
        need: usize,
        /// Octets given.
        have: usize,
    },
    /// The key makes less of the cipher than its length promises (RFC 2405 §2.3, RFC 2451 §2.3).
    #[error(
        "the key is one of those with which {0} protects hardly anything; draw another at random"
    )]
    Weak(Suite),
    /// The IV epoch does not fit its 24 bits; cutting it short could repeat an IV.
    #[error("IV epoch {0:#x} has more than 24 bits; install a new key")]
    Epoch(u32),
    /// The operating system gave no randomness for the IVs.
    #[error("no randomness for the IVs of a new SA: {0}")]
    Entropy(getrandom::Error),
}

/// The outbound context of one SA: key schedule, HMAC states and IV source. Read-only, on cache lines of
/// its own, wiped when dropped.
pub struct SealKey(Wiped<Sealing>);

/// In this order: what the batch looks at first is one cache line, the schedule's tag included. So what a schedule is
/// made of must not want lines of its own.
#[repr(C, align(64))]
struct Sealing {
    kernel: SealKernel,
    sequence_limit: u64,
    iv_base: u64,
    backend: &'static Backend,
    lane: Lane,
    shape: Shape,
    esn: bool,
    suite: Suite,
    schedule: SealSchedule,
}

/// The inbound context of one SA: key schedule and HMAC states. Read-only, on cache lines of its own,
/// wiped when dropped.
pub struct OpenKey(Wiped<Opening>);

/// As [`Sealing`].
#[repr(C, align(64))]
struct Opening {
    kernel: OpenKernel,
    backend: &'static Backend,
    lane: Lane,
    shape: Shape,
    esn: bool,
    suite: Suite,
    schedule: OpenSchedule,
}

impl SealKey {
    /// A context on the backend that [`start`](crate::start) chose, or else on the fastest one. `encryption` is the cipher's key with a counter mode's salt behind
    /// it (RFC 4106 §8.1); `esn` means 64-bit sequence numbers. `iv_epoch` (24 bits) stands on top of a
    /// counter mode's explicit IVs and must never be the same twice under one key; other suites ignore it.
    ///
    /// # Errors
    /// [`BadKey`]: a length or the epoch does not fit the suite, or the system has no randomness.
    pub fn new(
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
        iv_epoch: u32,
    ) -> Result<Self, BadKey> {
        Self::at(Place::chosen(suite), suite, encryption, integrity, esn, iv_epoch)
    }

    /// As [`SealKey::new`], on a backend of the caller's choice.
    ///
    /// # Errors
    /// As [`SealKey::new`].
    pub fn on(
        backend: &'static Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
        iv_epoch: u32,
    ) -> Result<Self, BadKey> {
        Self::at(Place::of(backend, suite), suite, encryption, integrity, esn, iv_epoch)
    }

    pub(crate) fn at(
        place: Place,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
        iv_epoch: u32,
    ) -> Result<Self, BadKey> {
        check_lengths(suite, encryption, integrity)?;
        if suite.counter_mode() && iv_epoch > EPOCH_MAX {
            return Err(BadKey::Epoch(iv_epoch));
        }
        let iv_base = u64::from(iv_epoch) << EPOCH_BITS;
        let sealing = || {
            Ok(Sealing {
                kernel: place.family.seal,
                sequence_limit: sequence_limit(suite, esn),
                iv_base,
                backend: place.backend,
                lane: lane(place, suite),
                shape: Shape::of(suite),
                suite,
                esn,
                schedule: SealSchedule::new(place, suite, encryption, integrity)?,
            })
        };
        Wiped::build(sealing).map(Self)
    }

    /// What this context seals with.
    #[inline(always)]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// The name of the backend that runs it.
    pub fn backend(&self) -> &'static str {
        self.0.backend.name
    }

    /// The last number that may be sealed; then the SA needs new keys. 2⁴⁰−1 in a counter mode (the room
    /// of an IV epoch), 2³²−1 without ESN (RFC 4303 §3.3.3), whichever is less.
    #[inline(always)]
    pub fn sequence_limit(&self) -> u64 {
        self.0.sequence_limit
    }

    #[inline(always)]
    pub(crate) fn lane(&self) -> Lane {
        self.0.lane
    }

    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        self.0.shape
    }

    #[inline(always)]
    pub(crate) fn kernel(&self) -> SealKernel {
        self.0.kernel
    }

    #[inline(always)]
    pub(crate) fn esn(&self) -> bool {
        self.0.esn
    }

    /// What a counter mode adds the packet's number to: the IV epoch in the top 24 bits.
    #[inline(always)]
    pub(crate) fn iv_base(&self) -> u64 {
        self.0.iv_base
    }

    /// The tier whose kernels run it.
    pub(crate) fn tier(&self) -> &'static Backend {
        self.0.backend
    }

    /// Asks for the memory that sealing a packet of so many octets will want. The CPU reads nothing and waits for
    /// nothing.
    #[inline]
    pub fn prefetch(&self, octets: usize) {
        schedule::prefetch(&self.0.schedule, octets);
    }

    #[inline(always)]
    pub(crate) fn schedule(&self) -> &SealSchedule {
        &self.0.schedule
    }
}

impl OpenKey {
    /// A context on the backend that [`start`](crate::start) chose, or else on the fastest one. `encryption` is the cipher's key with a counter mode's salt behind
    /// it (RFC 4106 §8.1); `esn` means 64-bit sequence numbers.
    ///
    /// # Errors
    /// [`BadKey`]: a length does not fit the suite.
    pub fn new(
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
    ) -> Result<Self, BadKey> {
        Self::at(Place::chosen(suite), suite, encryption, integrity, esn)
    }

    /// As [`OpenKey::new`], on a backend of the caller's choice.
    ///
    /// # Errors
    /// As [`OpenKey::new`].
    pub fn on(
        backend: &'static Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
    ) -> Result<Self, BadKey> {
        Self::at(Place::of(backend, suite), suite, encryption, integrity, esn)
    }

    pub(crate) fn at(
        place: Place,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
        esn: bool,
    ) -> Result<Self, BadKey> {
        check_lengths(suite, encryption, integrity)?;
        let opening = || {
            Ok(Opening {
                kernel: place.family.open,
                backend: place.backend,
                lane: lane(place, suite),
                shape: Shape::of(suite),
                suite,
                esn,
                schedule: OpenSchedule::new(place, suite, encryption, integrity)?,
            })
        };
        Wiped::build(opening).map(Self)
    }

    /// What this context opens.
    #[inline(always)]
    pub fn suite(&self) -> Suite {
        self.0.suite
    }

    /// The name of the backend that runs it.
    pub fn backend(&self) -> &'static str {
        self.0.backend.name
    }

    #[inline(always)]
    pub(crate) fn lane(&self) -> Lane {
        self.0.lane
    }

    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        self.0.shape
    }

    #[inline(always)]
    pub(crate) fn kernel(&self) -> OpenKernel {
        self.0.kernel
    }

    #[inline(always)]
    pub(crate) fn esn(&self) -> bool {
        self.0.esn
    }

    /// The tier whose kernels run it.
    pub(crate) fn tier(&self) -> &'static Backend {
        self.0.backend
    }

    /// As [`SealKey::prefetch`], for opening.
    #[inline]
    pub fn prefetch(&self, octets: usize) {
        schedule::prefetch(&self.0.schedule, octets);
    }

    #[inline(always)]
    pub(crate) fn schedule(&self) -> &OpenSchedule {
        &self.0.schedule
    }
}

/// The length of the wrong key, seen against what the suite needs.
pub(crate) fn bad_encryption(suite: Suite, have: usize) -> BadKey {
    BadKey::EncryptionLength { suite, need: suite.key_len(), have }
}

/// As [`bad_encryption`], for the integrity key.
pub(crate) fn bad_integrity(suite: Suite, have: usize) -> BadKey {
    BadKey::IntegrityLength { suite, need: suite.integrity_key_len(), have }
}

fn check_lengths(suite: Suite, encryption: &[u8], integrity: &[u8]) -> Result<(), BadKey> {
    if encryption.len() != suite.key_len() {
        return Err(bad_encryption(suite, encryption.len()));
    }
    if integrity.len() != suite.integrity_key_len() {
        return Err(bad_integrity(suite, integrity.len()));
    }
    Ok(())
}

fn sequence_limit(suite: Suite, esn: bool) -> u64 {
    let numbers = if esn { u64::MAX - MARGIN } else { u64::from(u32::MAX) };
    let ivs = if suite.counter_mode() { (1 << EPOCH_BITS) - 1 } else { u64::MAX };
    numbers.min(ivs)
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({}, {}, esn: {}, ..)", self.0.suite, self.0.backend.name, self.0.esn)
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenKey({}, {}, esn: {}, ..)", self.0.suite, self.0.backend.name, self.0.esn)
    }
}
