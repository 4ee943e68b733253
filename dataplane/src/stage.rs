//! Where a turn's time goes, for benches. Only with the feature `stages` is anything of it compiled in: then every
//! mark costs a look at a clock, so whole turns are timed without it.
//!
//! Marks stand at the ends of batches, never in the middle of a packet: what has passed since the last one is the
//! stage's that has just ended.

/// A part of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Frames given back to the pool and taken from a port.
    Receive,
    /// Link and IP headers, policy, the SA, the way; inbound the SA and the window.
    Classify,
    /// Lifetimes and sequence numbers.
    Number,
    /// Outer headers and trailers.
    Encapsulate,
    /// [`crypto::seal`], descriptors included.
    Seal,
    /// [`crypto::open`], descriptors included.
    Open,
    /// After the ciphers: windows, inner checks, the next hop, link headers.
    Forward,
    /// Frames put into the rings of ports.
    Transmit,
    /// The guard over the tables, packets that wait, counters.
    Rest,
}

impl Stage {
    /// All of them, in the order of a turn.
    pub const ALL: [Self; 9] = [
        Self::Receive,
        Self::Classify,
        Self::Number,
        Self::Encapsulate,
        Self::Seal,
        Self::Open,
        Self::Forward,
        Self::Transmit,
        Self::Rest,
    ];

    /// As results write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Classify => "classify",
            Self::Number => "number",
            Self::Encapsulate => "encapsulate",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Forward => "forward",
            Self::Transmit => "transmit",
            Self::Rest => "rest",
        }
    }
}

/// A stage has ended.
#[cfg(not(feature = "stages"))]
#[inline(always)]
pub(crate) fn mark(_: Stage) {}

#[cfg(feature = "stages")]
pub(crate) use timed::mark;
#[cfg(feature = "stages")]
pub use timed::{start, take};

#[cfg(feature = "stages")]
mod timed {
    use super::Stage;
    use core::cell::Cell;

    const STAGES: usize = Stage::ALL.len();

    thread_local! {
        static CLOCK: Cell<fn() -> u64> = const { Cell::new(|| 0) };
        static LAST: Cell<u64> = const { Cell::new(0) };
        static SUMS: [Cell<u64>; STAGES] = const { [const { Cell::new(0) }; STAGES] };
    }

    /// A stage has ended.
    pub(crate) fn mark(stage: Stage) {
        let now = CLOCK.get()();
        let spent = now.wrapping_sub(LAST.replace(now));
        SUMS.with(|sums| {
            if let Some(sum) = sums.get(stage as usize) {
                sum.set(sum.get().wrapping_add(spent));
            }
        });
    }

    /// From here on this thread's stages are timed with `clock`; call it before every turn.
    pub fn start(clock: fn() -> u64) {
        CLOCK.set(clock);
        LAST.set(clock());
    }

    /// What has been counted since the last call, in `clock`'s units, by stage.
    pub fn take() -> [u64; STAGES] {
        SUMS.with(|sums| core::array::from_fn(|stage| sums.get(stage).map_or(0, Cell::take)))
    }
}

#[cfg(all(test, feature = "stages"))]
mod tests {
    use super::*;

    #[test]
    fn what_passes_between_two_marks_is_the_second_ones() {
        fn clock() -> u64 {
            thread_local!(static NOW: core::cell::Cell<u64> = const { core::cell::Cell::new(0) });
            NOW.replace(NOW.get() + 10)
        }
        start(clock);
        mark(Stage::Receive);
        mark(Stage::Seal);
        mark(Stage::Seal);
        let sums = take();
        assert_eq!((sums[0], sums[4], sums.iter().sum::<u64>()), (10, 20, 30));
        assert_eq!(take(), [0; 9]);
    }
}
