//! What Postern's two processes say to each other: one sealed memory region with the SAD's records, a ring of
//! requests down, a ring of events up, counters that anybody may read, and the policy bank.
//!
//! Each side treats what the other wrote as possibly wrong: every index and record is checked when it is read,
//! in release builds too.
#![allow(missing_docs)] // while the skeleton stands

pub mod clock;
pub mod counters;
pub mod errors;
pub mod link;
pub mod message;
pub mod policy;
pub mod region;
pub mod roles;
pub mod sa;
pub mod sequence;
pub mod setup;
pub mod slots;
pub mod status;
pub mod window;
pub mod worker;

pub use counters::{Counter, DropReason};
pub use errors::{Bad, Corrupt, PeerLied, PushError, RegionError};
pub use message::{Event, Refusal, Request, Verb};
pub use policy::{Policy, Verdict};
pub use region::{Region, RegionFds, StageError};
pub use roles::{Control, DataPlane, EventError};
pub use sa::{Direction, Encap, Name, Sa, SaKeys, Suite};
pub use sequence::{Exhausted, SequenceHandle};
pub use setup::{Interface, Requirement, Role, Setup, XdpMode};
pub use slots::Slots;
pub use status::{CounterSnapshot, InterfaceStatus, SaDrop, SaState, SaStatus, Side, Totals};
pub use window::{Replay, WindowHandle};
pub use worker::WorkerCounters;

/// Raised with every change of the layout. Each process checks it before it trusts a region.
pub const ABI_VERSION: u32 = 1;
