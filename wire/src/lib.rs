//! What octets mean: checked views and emitters for every format that Postern reads or writes, and the
//! IANA registries. No I/O, no clock, no `unsafe`, and no allocation but where IKE messages are written (the
//! crate is `no_std`).
//!
//! Every view has one way in, `parse`, which does all the checking; behind it no accessor can fail. A view
//! owns nothing and copies nothing. Lengths and offsets are octets, numbers are in host order.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod checksum;
pub mod ecn;
pub mod esp;
pub mod ethernet;
pub mod iana;
pub mod icmp;
pub mod icmpv6;
pub mod ike;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
mod malformed;
pub mod natt;
pub mod prefix;
pub mod selector;
pub mod udp;

pub use malformed::Malformed;
