//! AF_XDP for the data plane: one UMEM, frames that are owned, sockets with rings of our own, and a
//! twin in memory with the same face.
//!
//! A packet lives in a [`Frame`]: whoever holds the value holds the octets, and nobody else does.
//! A frame is in exactly one place at any time: held by code (a [`Pool`] is code), lying in the
//! UMEM's spare queue, or inside the rings of one port. The [`Umem`] writes the place down for each
//! frame and looks at it, in release builds too, whenever a descriptor comes back from a ring; a
//! descriptor that names a frame which is somewhere else is counted and ignored, never aliased.
//!
//! Beside the frames that sockets use there may be a few large ones, for packets that are put
//! together from fragments ([`Umem::with_large`]). A [`Frame`] is a frame wherever it lives.
//!
//! ```
//! use xsk::{Pool, Port, RingSizes, Twin, Umem};
//! let umem = Umem::new(64, 2048)?;
//! let mut pool = Pool::new(umem);
//! let (mut port, mut wire) = Twin::pair(umem, RingSizes::all(16));
//! port.recycle(&mut pool); // gives the port frames to receive into
//! wire.inject(b"a frame of the outside world");
//! let mut batch = Vec::new();
//! port.receive(&mut batch, 32);
//! batch[0].pull(2); // headers are popped and pushed in place
//! port.transmit(&mut batch);
//! assert_eq!(wire.take().as_deref(), Some(&b"frame of the outside world"[..]));
//! # Ok::<(), xsk::UmemError>(())
//! ```
//!
//! # Unsafe code
//! This is one of the rooms where it is allowed. It stands in `memory` (mappings), `ring` (indices
//! and entries shared with the kernel), `frame` (the slice over a frame) and `socket` (one socket
//! option that no safe wrapper knows). Miri runs the unit tests over heap-backed memory:
//! `MIRIFLAGS=-Zmiri-ignore-leaks cargo +nightly miri test -p postern-xsk --lib` (a UMEM lives as
//! long as the process, which Miri would call a leak). Loom tries the rings' orderings:
//! `RUSTFLAGS="--cfg loom" cargo test -p postern-xsk --lib loom`.

mod frame;
mod memory;
mod pool;
mod port;
mod ring;
mod rings;
mod socket;
mod twin;
mod umem;

pub use frame::{Frame, HEADROOM, NoRoom};
pub use pool::Pool;
pub use port::{Port, Statistics};
pub use rings::RingSizes;
pub use socket::{BindError, BindFault, BindMode, Mode, Socket};
pub use twin::{Twin, Wire};
pub use umem::{Census, Umem, UmemError};
