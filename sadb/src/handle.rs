//! What workers hold of one SA: handles on its words in the region.
//!
//! A handle stays valid as long as it lives, even when its SA is gone. So that a straggler cannot draw numbers from the
//! slot's *next* SA, a slot is not given to another SA while handles on the former one live in this process (see
//! [`crate::DataPlane::install`]).
use crate::layout::hot;
use crate::memory::Part;
use crate::prefetch::prefetch;
use crate::region::Lease;
use crate::sequence::{self, Exhausted};
use crate::status::{SaDrop, Totals};
use crate::sync::{Ordering, Word};
use crate::window::{Replay, Window};

/// Values of the hot state word.
pub(crate) mod state {
    pub(crate) const LIVE: u64 = 0;
    pub(crate) const WARNED: u64 = 1;
    pub(crate) const EXPIRED: u64 = 2;
}

type Hot = Part<[Word; hot::WORDS]>;

/// What both directions have: totals, drops, lifetimes.
#[derive(Clone, Debug)]
struct Common {
    hot: Hot,
    installed: u64,
    _lease: Lease,
}

impl Common {
    #[inline]
    fn words(&self) -> &[Word; hot::WORDS] {
        &self.hot
    }
    #[inline]
    fn account(&self, packets: u64, bytes: u64, now: u64) -> Totals {
        self.words()[hot::LAST_USED].store(now, Ordering::Relaxed);
        Totals {
            packets: self.words()[hot::PACKETS]
                .fetch_add(packets, Ordering::Relaxed)
                .wrapping_add(packets),
            bytes: self.words()[hot::BYTES].fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes),
        }
    }
    fn warn(&self) -> bool {
        let (live, warned) = (state::LIVE, state::WARNED);
        self.words()[hot::STATE]
            .compare_exchange(live, warned, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
    fn expire(&self) -> bool {
        self.words()[hot::STATE].swap(state::EXPIRED, Ordering::Relaxed) != state::EXPIRED
    }
    #[inline]
    fn expired(&self) -> bool {
        self.words()[hot::STATE].load(Ordering::Relaxed) == state::EXPIRED
    }
}

/// What both handles can do, with the documentation written once.
macro_rules! common {
    ($handle:ident) => {
        impl $handle {
            /// Adds to what the SA carried and returns the sums; `now` in seconds of CLOCK_MONOTONIC.
            #[inline]
            pub fn account(&self, packets: u64, bytes: u64, now: u64) -> Totals {
                self.common.account(packets, bytes, now)
            }
            /// When the SA was installed: seconds of CLOCK_MONOTONIC.
            pub fn installed(&self) -> u64 {
                self.common.installed
            }
            /// Marks the soft lifetime as reached. True for the one caller that did it first.
            pub fn warn(&self) -> bool {
                self.common.warn()
            }
            /// Marks the SA as past a hard lifetime. True for the one caller that did it first.
            pub fn expire(&self) -> bool {
                self.common.expire()
            }
            /// Whether it is past a hard lifetime: then it must carry nothing more (RFC 4301 §4.4.2.1).
            #[inline]
            pub fn expired(&self) -> bool {
                self.common.expired()
            }
        }
    };
}
common!(SequenceHandle);
common!(WindowHandle);

/// One outbound SA's sequence numbers and totals. A clone is another handle on the same SA.
#[derive(Clone, Debug)]
pub struct SequenceHandle {
    common: Common,
}

impl SequenceHandle {
    pub(crate) fn new(hot: Hot, installed: u64, lease: Lease) -> Self {
        Self { common: Common { hot, installed, _lease: lease } }
    }
    /// Reserves `n` numbers, none above `limit`, and returns the first. The region knows of them before anybody can use
    /// them, so they stay used whatever dies (RFC 4303 §3.3.3: never cycles).
    #[inline]
    pub fn reserve(&self, n: u32, limit: u64) -> Result<u64, Exhausted> {
        sequence::reserve(&self.common.words()[hot::NUMBER], n, limit)
    }
    /// Asks for what a packet will change.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.common.words());
    }
    /// The last number reserved; 0 = none yet.
    #[inline]
    pub fn last(&self) -> u64 {
        self.common.words()[hot::NUMBER].load(Ordering::Relaxed)
    }
}

/// One inbound SA's window and totals. A clone is another handle on the same SA.
#[derive(Clone, Debug)]
pub struct WindowHandle {
    common: Common,
    words: Part<[Word]>,
    width: u32,
}

impl WindowHandle {
    pub(crate) fn new(
        hot: Hot,
        words: Part<[Word]>,
        width: u32,
        installed: u64,
        lease: Lease,
    ) -> Self {
        Self { common: Common { hot, installed, _lease: lease }, words, width }
    }
    #[inline]
    fn window(&self) -> Window<'_> {
        Window { highest: &self.common.words()[hot::NUMBER], words: &self.words, width: self.width }
    }
    /// Asks for what a packet with these low 32 bits of its number will change.
    #[inline]
    pub fn prefetch(&self, low: u32) {
        prefetch(self.common.words());
        if let Some(word) = self.window().word_of(low) {
            prefetch(word);
        }
    }
    /// The 64-bit number whose low half a packet carried (RFC 4303 Appendix A2.2); `low` itself without ESN.
    #[inline]
    pub fn infer(&self, low: u32, esn: bool) -> u64 {
        self.window().infer(low, esn)
    }
    /// Before decryption: cheap, and changes nothing (RFC 4303 §3.4.3).
    #[inline]
    pub fn check(&self, sequence: u64) -> Result<(), Replay> {
        self.window().check(sequence)
    }
    /// After the ICV was verified, never before: checks again, marks, and moves the window. Of twins one wins.
    #[inline]
    pub fn commit(&self, sequence: u64) -> Result<(), Replay> {
        self.window().commit(sequence)
    }
    /// [`WindowHandle::commit`] without moving the window: for packets of one SA one after another, with one
    /// [`WindowHandle::advance`] to the highest of them behind. Until then the window reaches further back, as if
    /// they were still to come.
    #[inline]
    pub fn mark(&self, sequence: u64) -> Result<(), Replay> {
        self.window().mark(sequence)
    }
    /// Moves the window up to a number that was marked.
    #[inline]
    pub fn advance(&self, sequence: u64) {
        self.window().advance(sequence);
    }
    /// The highest number received.
    #[inline]
    pub fn highest(&self) -> u64 {
        self.common.words()[hot::NUMBER].load(Ordering::Relaxed)
    }
    /// The window's width in packets; 0 = off.
    pub fn width(&self) -> u32 {
        self.width
    }
    /// Counts `n` drops on the SA.
    pub fn count(&self, why: SaDrop, n: u64) {
        let word = match why {
            SaDrop::ReplayLate => &self.common.words()[hot::REPLAY_LATE],
            SaDrop::ReplayDuplicate => &self.common.words()[hot::REPLAY_DUPLICATE],
            SaDrop::BadIcv => &self.common.words()[hot::BAD_ICV],
        };
        word.fetch_add(n, Ordering::Relaxed);
    }
}
