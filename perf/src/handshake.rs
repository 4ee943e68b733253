//! IKEv2: how many handshakes a core carries, what an established peer takes of memory and time, and whether established
//! tunnels are rekeyed in time while very many peers connect at once.
//!
//! [`party`] is our engine with all that it asks of a driver done in this thread; [`sites`] configures both ends. In
//! memory, so that only the engine and its cryptography are in the time.

pub mod call;
pub mod cpu;
pub mod memory;
pub mod operations;
pub mod party;
pub mod rates;
pub mod results;
pub mod rivalry;
pub mod sites;
pub mod storm;

use sites::Proof;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The certificates of the bench.
    #[error("cannot make certificates: {0}")]
    Certificates(String),
    /// An end that did not do what it should: a handshake that fails is no measurement.
    #[error("{proof}, {group}: {up} of {wanted} peers are established; {why}")]
    NotEstablished {
        /// How identities are proved.
        proof: Proof,
        /// The key exchange.
        group: String,
        /// Peers that stand.
        up: usize,
        /// Peers that should.
        wanted: usize,
        /// The last failure.
        why: String,
    },
    /// The operating system.
    #[error("{0}")]
    System(String),
}

/// What a run says while it works.
pub type Tell<'a> = &'a mut dyn FnMut(String);
