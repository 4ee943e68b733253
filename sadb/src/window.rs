//! The anti-replay window (RFC 4303 §3.4.3, Appendix A2).
use crate::status::{SaDrop, Totals};

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replay {
    /// Left of the window.
    #[error("left of the anti-replay window")]
    Late,
    /// Received before.
    #[error("received before")]
    Duplicate,
    /// Never sent by anybody (RFC 4303 §3.3.3).
    #[error("sequence number 0")]
    Zero,
}

/// One inbound SA's window and totals.
#[derive(Debug)]
pub struct WindowHandle {}
impl WindowHandle {
    /// The 64-bit number whose low half a packet carried (RFC 4303 App. A2.2); `low` itself without ESN.
    pub fn infer(&self, _low: u32, _esn: bool) -> u64 {
        todo!()
    }
    /// Before decryption: cheap, changes nothing.
    pub fn check(&self, _sequence: u64) -> Result<(), Replay> {
        todo!()
    }
    /// After the ICV was verified, never before: marks, and moves the window. Of twins, one wins.
    pub fn commit(&self, _sequence: u64) -> Result<(), Replay> {
        todo!()
    }
    /// The highest number received.
    pub fn highest(&self) -> u64 {
        todo!()
    }
    /// The window's width in packets; 0 = off.
    pub fn width(&self) -> u32 {
        todo!()
    }
    /// Adds to what the SA carried; `now` in seconds of CLOCK_MONOTONIC.
    pub fn account(&self, _packets: u64, _bytes: u64, _now: u64) -> Totals {
        todo!()
    }
    /// Counts `n` drops on the SA.
    pub fn count(&self, _why: SaDrop, _n: u64) {
        todo!()
    }
    /// When the SA was installed: seconds of CLOCK_MONOTONIC.
    pub fn installed(&self) -> u64 {
        todo!()
    }
    /// Marks the SA as past a hard lifetime. True for the one caller that did it first.
    pub fn expire(&self) -> bool {
        todo!()
    }
    /// Whether it is past a hard lifetime.
    pub fn expired(&self) -> bool {
        todo!()
    }
    /// Marks the soft lifetime as reached. True for the one caller that did it first.
    pub fn warn(&self) -> bool {
        todo!()
    }
}
