//! What Postern's two processes say to each other: one sealed memory region with the SAD's records, a ring of
//! requests down, a ring of events up, counters that anybody may read, and the policy bank.
//!
//! Each side treats what the other wrote as possibly wrong: every index and record is checked when it is read,
//! in release builds too.
#![allow(missing_docs)] // while the skeleton stands

pub mod counters;
pub mod message;
pub mod policy;
pub mod sa;
pub mod setup;

pub use counters::{Counter, DropReason};
pub use message::{Event, Refusal, Request, Verb};
pub use policy::{Policy, Verdict};
pub use sa::{Direction, Encap, Name, Sa, SaKeys, Suite};
pub use setup::{Interface, Requirement, Role, Setup, XdpMode};
