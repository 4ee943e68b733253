//! Internet Key Exchange without I/O, clock or randomness of its own: all three come in as arguments, and
//! what is to be done comes out as values.
//!
//! `algorithm` is what this build can negotiate, `derive` makes the keys (RFC 7296 §2.13–2.18), `protect`
//! and `fragment` seal and open messages (§3.14, RFC 5282, RFC 7383), `auth` makes and checks AUTH payloads.
//!
//! [`Engine`] owns all IKE SAs. Datagrams, time and [`action::Order`]s go in, [`action::Action`]s come out.
#![forbid(unsafe_code)]

pub mod action;
pub mod algorithm;
pub mod auth;
pub mod derive;
pub mod engine;
pub mod event;
pub mod fix;
pub mod fragment;
pub mod job;
pub mod narrow;
pub mod proposal;
pub mod protect;
pub mod settings;
pub mod why;

mod channel;
mod child;
mod cookie;
mod env;
mod exchange;
mod half_open;
mod ike_sa;
mod key;
mod message;
mod nat;
mod retransmit;
mod window;

pub use engine::Engine;
pub use key::Key;

/// Where random octets come from: the kernel in the product, a seed in tests.
pub trait Random {
    /// Fills `out` with octets that nobody can foresee.
    fn fill(&mut self, out: &mut [u8]);
}

/// A message was not sealed with the key of its SA. Deliberately says no more: a length, a padding or an
/// ICV that is wrong look the same from outside, in content and in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("integrity check failed")]
pub struct BadIcv;
