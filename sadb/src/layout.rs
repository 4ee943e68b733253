//! Where everything stands, in words of 64 bits from the start of each memory.
//!
//! ```text
//! shared  HEADER       magic, version, sizes, pairing number, counts of counters, checksum, setup
//!         HEARTBEATS   one line per side: process id, CLOCK_MONOTONIC in ns
//!         EVENTS       head line, tail line of the event ring
//!         POLICY       which bank is active
//!         INTERFACES   16 latched statuses
//!         CRYPTO       the latched name of the crypto backend, and of kernels that are not used
//!         workers      one block of counters each
//!         events       ring entries
//!         banks        two policy banks: sequence, generation, count, checksum, entries
//!         records      one latched SA record per slot
//!         hot          one line per slot: the number, totals and drops
//!         windows      one anti-replay window per slot, wide enough for `window_max`
//! secret  HEADER       magic, pairing number
//!         REQUESTS     head line, tail line of the request ring
//!         requests     ring entries
//!         keys         one key record per slot
//! ```
//! A line is eight words: what two cores write lives on different lines.
use crate::counters::{Counter, DropReason};
use crate::setup::Geometry;

/// `POSTERN` and a sign for the shared memory, as a little-endian number.
pub(crate) const SHARED_MAGIC: u64 = u64::from_le_bytes(*b"POSTERNs");
/// The same for the secret memory.
pub(crate) const SECRET_MAGIC: u64 = u64::from_le_bytes(*b"POSTERNk");

/// Words on a cache line.
pub(crate) const LINE: usize = 8;
/// Interfaces a setup may have.
pub(crate) const INTERFACES: usize = 16;
/// Workers a setup may have.
pub(crate) const WORKERS: usize = 64;

/// Offsets in the header of the shared memory.
pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const SHARED_WORDS: usize = 2;
    pub(crate) const SECRET_WORDS: usize = 3;
    pub(crate) const PAIRING: usize = 4;
    pub(crate) const COUNTS: usize = 5;
    pub(crate) const CHECKSUM: usize = 7;
    pub(crate) const SETUP: usize = 8;
    pub(crate) const SETUP_WORDS: usize = 144;
    pub(crate) const WORDS: usize = SETUP + SETUP_WORDS;
}

/// Offsets in the header of the secret memory.
pub(crate) mod secret {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const PAIRING: usize = 1;
    pub(crate) const REQUESTS: usize = 8;
    pub(crate) const WORDS: usize = 24;
}

/// Offsets of one side's heartbeat.
pub(crate) mod heartbeat {
    pub(crate) const PID: usize = 0;
    pub(crate) const NANOSECONDS: usize = 1;
}

/// Offsets in an SA's hot line: all that changes when it carries a packet. With many SAs each line is a cache miss, so
/// it is one line and not two.
pub(crate) mod hot {
    /// Outbound: the last sequence number reserved. Inbound: the highest received.
    pub(crate) const NUMBER: usize = 0;
    pub(crate) const PACKETS: usize = 1;
    pub(crate) const BYTES: usize = 2;
    pub(crate) const LAST_USED: usize = 3;
    pub(crate) const REPLAY_LATE: usize = 4;
    pub(crate) const REPLAY_DUPLICATE: usize = 5;
    pub(crate) const BAD_ICV: usize = 6;
    /// 0 = live, 1 = warned (soft lifetime), 2 = expired (hard lifetime).
    pub(crate) const STATE: usize = 7;
    pub(crate) const WORDS: usize = 8;
}

/// Offsets in a policy bank, before its entries.
pub(crate) mod bank {
    /// Odd while control writes.
    pub(crate) const SEQUENCE: usize = 0;
    pub(crate) const GENERATION: usize = 1;
    pub(crate) const COUNT: usize = 2;
    pub(crate) const CHECKSUM: usize = 3;
    pub(crate) const WORDS: usize = 8;
}

pub(crate) const HEARTBEATS: usize = header::WORDS;
pub(crate) const EVENTS: usize = HEARTBEATS + 2 * LINE;
pub(crate) const POLICY: usize = EVENTS + 2 * LINE;
pub(crate) const INTERFACE_TABLE: usize = POLICY + LINE;
pub(crate) const CRYPTO_STATUS: usize = INTERFACE_TABLE + INTERFACES * INTERFACE;
pub(crate) const WORKER_TABLE: usize = CRYPTO_STATUS + CRYPTO;

/// Words of an interface status inside its latch, and of the latch, in whole lines.
pub(crate) const INTERFACE_PAYLOAD: usize = 20;
pub(crate) const INTERFACE: usize = 48;
/// Names of crypto kernels that there is room for.
pub(crate) const FALLBACKS: usize = 16;
/// Words of a crypto status inside its latch, and of the latch, in whole lines.
pub(crate) const CRYPTO_PAYLOAD: usize = 1 + 6 * (1 + FALLBACKS);
pub(crate) const CRYPTO: usize = 216;
/// Words of an SA as it crosses the ring; a record adds the moment of installation.
pub(crate) const SA: usize = 24;
pub(crate) const RECORD_PAYLOAD: usize = SA + 1;
pub(crate) const RECORD: usize = 56;
/// Words of a policy entry.
pub(crate) const POLICY_ENTRY: usize = 16;
/// Words of keys: lengths, 256 octets of cipher key and salt, 64 of integrity key.
pub(crate) const KEYS: usize = 1 + 32 + 8;
/// A key record: what it belongs to, keys, checksum.
pub(crate) const KEY_RECORD: usize = 48;
/// Words of a request and an event, checksum included.
pub(crate) const REQUEST: usize = 72;
pub(crate) const EVENT: usize = 16;
/// A worker's counters.
pub(crate) const WORKER: usize = (DropReason::COUNT + Counter::COUNT).next_multiple_of(LINE);

/// How many counters of each kind this layout has: another number is another layout.
pub(crate) const COUNTER_COUNTS: u64 = DropReason::COUNT as u64 | (Counter::COUNT as u64) << 32;

// The layout is the contract between two programs that may come from two builds. Change it by accident and nothing
// builds; change it on purpose and raise `ABI_VERSION`.
const _: () = assert!(size_of::<core::sync::atomic::AtomicU64>() == 8);
const _: () = assert!(header::CHECKSUM < header::SETUP && header::WORDS == 152);
const _: () = assert!(HEARTBEATS == 152 && EVENTS == 168 && POLICY == 184);
const _: () = assert!(INTERFACE_TABLE == 192 && CRYPTO_STATUS == 960 && WORKER_TABLE == 1176);
const _: () = assert!(crate::latch::words(INTERFACE_PAYLOAD) <= INTERFACE);
const _: () = assert!(crate::latch::words(CRYPTO_PAYLOAD) <= CRYPTO);
const _: () = assert!(crate::latch::words(RECORD_PAYLOAD) <= RECORD);
const _: () = assert!(1 + KEYS < KEY_RECORD && 2 + SA + KEYS < REQUEST);
const _: () =
    assert!(WORKER == 64, "a new counter changes the layout: raise ABI_VERSION and this number");
const _: () =
    assert!(COUNTER_COUNTS == 43 | 19 << 32, "counters changed: raise ABI_VERSION, then this");
const _: () = assert!(
    HEARTBEATS.is_multiple_of(LINE)
        && WORKER_TABLE.is_multiple_of(LINE)
        && secret::WORDS.is_multiple_of(LINE)
);
const _: () = assert!(
    INTERFACE.is_multiple_of(LINE)
        && CRYPTO.is_multiple_of(LINE)
        && RECORD.is_multiple_of(LINE)
        && hot::WORDS.is_multiple_of(LINE)
);
const _: () = assert!(
    KEY_RECORD.is_multiple_of(LINE) && REQUEST.is_multiple_of(LINE) && EVENT.is_multiple_of(LINE)
);

/// Words of a window that must serve `width` packets: enough blocks of 16 for the width and one more (the window's
/// ends rarely fall on block boundaries), rounded up to a power of two.
pub(crate) const fn window_words(width: u32) -> usize {
    (width as usize / crate::window::BLOCK as usize + 1).next_power_of_two()
}

/// Where the parts whose sizes the geometry decides begin. Made from checked numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) geometry: Geometry,
    pub(crate) workers: usize,
    pub(crate) window_stride: usize,
    pub(crate) events: usize,
    pub(crate) banks: usize,
    pub(crate) records: usize,
    pub(crate) hot: usize,
    pub(crate) windows: usize,
    pub(crate) shared_words: usize,
    pub(crate) keys: usize,
    pub(crate) secret_words: usize,
}

impl Layout {
    /// `None` when the sizes do not fit into an address. (Which sizes make sense is `Setup::validate`'s to say.)
    pub(crate) fn new(geometry: Geometry, workers: usize) -> Option<Self> {
        let after =
            |start: usize, count: usize, each: usize| start.checked_add(count.checked_mul(each)?);
        let [slots, policies, entries] =
            [geometry.sa_slots, geometry.policies, geometry.ring_entries]
                .map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let window_stride = window_words(geometry.window_max).next_multiple_of(LINE);
        let events = after(WORKER_TABLE, workers, WORKER)?;
        let banks = after(events, entries, EVENT)?;
        let records = after(banks, 2, after(bank::WORDS, policies, POLICY_ENTRY)?)?;
        let hot = after(records, slots, RECORD)?;
        let windows = after(hot, slots, hot::WORDS)?;
        let shared_words = after(windows, slots, window_stride)?;
        let keys = after(secret::WORDS, entries, REQUEST)?;
        let secret_words = after(keys, slots, KEY_RECORD)?;
        // octets must fit, too
        shared_words.checked_mul(8).zip(secret_words.checked_mul(8))?;
        Some(Self {
            geometry,
            workers,
            window_stride,
            events,
            banks,
            records,
            hot,
            windows,
            shared_words,
            keys,
            secret_words,
        })
    }

    /// `slot` as an index; `None` when there is no such slot.
    pub(crate) fn slot(&self, slot: u32) -> Option<usize> {
        (slot < self.geometry.sa_slots).then(|| usize::try_from(slot).ok())?
    }
    pub(crate) fn bank_words(&self) -> usize {
        (self.records - self.banks) / 2
    }
    pub(crate) fn ring_entries(&self) -> usize {
        self.geometry.ring_entries as usize
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_block_more_than_its_width_needs() {
        for (width, words) in [(32, 4), (64, 8), (128, 16), (1024, 128), (65536, 8192)] {
            assert_eq!(window_words(width), words, "width {width}");
            assert!(words * 16 >= width as usize + 16);
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let huge = Geometry {
            sa_slots: u32::MAX,
            policies: u32::MAX,
            window_max: u32::MAX,
            ring_entries: u32::MAX,
        };
        assert_eq!(Layout::new(huge, usize::MAX), None);
        assert!(Layout::new(Geometry::default(), 64).is_some());
    }
}
