//! Packet ciphers in batches: [`seal`] and [`open`] ESP packets (RFC 4303) in place, many at a time.
//!
//! A packet is one slice: ESP header ‖ IV ‖ payload with trailer ‖ ICV. The caller writes the header and
//! the payload and leaves room for the IV and the ICV; nothing is allocated and nothing is moved.
//! A key ([`SealKey`], [`OpenKey`]) is built once for each SA and direction and is read-only afterwards,
//! so any number of workers may use it at once. The [`Backend`] is chosen when the key is built, never
//! per packet. `portable`, on the RustCrypto crates, is the definition; a faster one is a claim about it.
#![forbid(unsafe_code)]

mod backend;
mod batch;
mod key;
mod layout;
mod portable;
mod suite;

pub use backend::Backend;
pub use batch::{BadIcv, Open, Seal, open, seal};
pub use key::{BadKey, OpenKey, SealKey};
pub use suite::{Integrity, KeyBits, Suite, Unsupported};
