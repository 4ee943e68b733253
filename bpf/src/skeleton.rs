//! What libbpf-cargo generates from the compiled program.
#![allow(unsafe_code, missing_docs, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

include!(concat!(env!("OUT_DIR"), "/postern.skel.rs"));
