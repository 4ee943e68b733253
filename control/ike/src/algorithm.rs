//! What this build can negotiate for an IKE SA: closed enums beside the open registries of `wire`.
//! `negotiate` is the one crossing from a number in a proposal to an algorithm.

pub mod encr;
pub mod group;
pub mod integ;
mod mac;
pub mod prf;
pub mod suite;

pub use encr::Encr;
pub use group::{BadPublic, Group, Secret};
pub use integ::Integ;
pub use prf::Prf;
pub use suite::Suite;
