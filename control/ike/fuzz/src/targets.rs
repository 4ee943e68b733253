//! What the fuzz target does with its octets. Shared by the fuzzer (nightly) and by the replay of the committed corpus
//! (`control/ike/tests/corpus.rs`, stable), which bring the world of the tests along.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "whatever is not as expected shall fail; only the tests write scripts"
)]

#[path = "../../tests/world/mod.rs"]
mod world;

mod scenes;
mod script;

pub use script::sealed;
