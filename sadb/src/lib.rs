//! What Postern's two processes say to each other: one sealed memory region with the SAD's records, a ring of
//! requests down, a ring of events up, counters that anybody may read, and the policy bank.
//!
//! # Shape
//!
//! A region is two memfds, sealed so that nobody can resize them: **shared** (header and setup, heartbeats, event ring,
//! policy banks, interface statuses, counters, SA records, sequence numbers, windows) and **secret** (request ring,
//! keys: not dumped, not swapped where limits allow). Readers get only the first, read-only. The layout is in
//! `layout.rs`, asserted when it is compiled; [`ABI_VERSION`] is checked before a region is trusted.
//!
//! | part | written by | how a reader knows that it is whole |
//! |---|---|---|
//! | header, setup | whoever makes the region, once | magic, version, sizes, checksum |
//! | request ring | control (`head`, entries), data plane (`tail`, wipes) | count's Release/Acquire, checksum per entry |
//! | event ring | data plane (`head`, entries), control (`tail`, wipes) | the same |
//! | SA record, interface status, crypto status | data plane | `latch`: two copies and a count, checksum |
//! | sequence number, window word | any worker | one word each, compare-and-exchange |
//! | totals, drops of an SA | any worker | one word each, fetch-and-add |
//! | worker counters | that worker | one word each |
//! | policy bank | control; the active word: data plane | seqlock per bank, checksum, generation |
//! | heartbeat | that side | the time's Release/Acquire |
//!
//! # Trust
//!
//! Everything is an atomic word, so no access is a data race, whatever the other side does. Each side treats what the
//! other wrote as possibly wrong: words are copied out once, the copy is checked in release builds too, and only
//! checked values leave this crate. What is wrong is an error value ([`Corrupt`], [`PeerLied`], [`Bad`]).
//!
//! # Death
//!
//! Either process may be killed at any instruction. The region survives in the other one, which passes it back over
//! [`link`]. Sequence numbers are taken from the region before they are used, and windows live there, so a restart
//! neither repeats a number nor forgets one. Records and statuses have two copies, so a half-written one is never
//! seen. An SA becomes visible only when its keys and window stand.
//!
//! # Orderings
//!
//! Each module says at its head which Acquire pairs with which Release: `ring`, `latch`, [`policies`], [`slots`],
//! [`window`], [`sequence`], [`worker`]. Loads from pages that may be read-only are relaxed loads with an acquire fence
//! behind them, because that is what Rust promises to be possible there.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

mod codec;
pub mod counters;
pub mod errors;
mod latch;
mod layout;
mod memory;
pub mod message;
pub mod policy;
mod ring;
pub mod sa;
pub mod sequence;
pub mod setup;
pub mod status;
mod sync;
pub mod window;

// What needs an operating system is left out of loom's models.
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
pub mod link;
#[cfg(not(loom))]
mod memfd;
#[cfg(not(loom))]
pub mod policies;
#[cfg(not(loom))]
pub mod prefetch;
#[cfg(not(loom))]
pub mod region;
#[cfg(not(loom))]
pub mod roles;
#[cfg(not(loom))]
pub mod slots;
#[cfg(not(loom))]
pub mod worker;

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
#[cfg(not(loom))]
mod region_tests;

pub use counters::{Counter, DropReason};
pub use errors::{Bad, Corrupt, PeerLied, PushError, RegionError};
pub use message::{Event, Refusal, Request, Verb};
pub use policy::{Policy, Verdict};
pub use sa::{Direction, Encap, Name, Sa, SaKeys, Suite};
pub use sequence::Exhausted;
pub use setup::{Interface, Requirement, Role, Setup, XdpMode};
pub use status::{
    CounterSnapshot, CryptoStatus, InterfaceStatus, SaDrop, SaState, SaStatus, Side, Totals,
};
pub use window::Replay;

#[cfg(not(loom))]
pub use {
    handle::{SequenceHandle, WindowHandle},
    policies::StageError,
    region::{Region, RegionFds},
    roles::{Control, DataPlane, EventError},
    slots::Slots,
    worker::WorkerCounters,
};

/// Raised with every change of the layout. Each process checks it before it trusts a region.
pub const ABI_VERSION: u32 = 4;
