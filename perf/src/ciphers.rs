//! Our kernels against other libraries, on the same packets in the same memory, in turn.
//!
//! A case is a suite, a scenario and a size. In each of its rounds every contender seals all packets in batches of 32
//! and opens them again, which puts the plaintext back for the next; rounds begin with another contender each time.
//! A ratio is the median over the rounds of two contenders' times in the same round: on a shared machine only what
//! ran side by side compares.

pub mod contender;
pub mod frames;
pub mod plan;
pub mod results;
pub mod run;
pub mod targets;
pub mod verify;

/// Packets in one call.
pub const BATCH: usize = 32;
