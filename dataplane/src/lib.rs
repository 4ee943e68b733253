//! The data plane: what happens to a packet between the ring it came in by and the ring it leaves by.
//!
//! [`Worker::turn`] is the walk; each stage of it is a file. What workers read and others write — SAD, SPD,
//! routes, neighbours, links — hangs in [`Shared`] and is looked at without a lock. What workers have to say
//! goes up as [`Notice`]s through a bounded queue.
//!
//! No stage allocates, locks, logs or calls the system for a packet. Every frame that ends here has a
//! [`sadb::DropReason`] and goes back to the pool.

mod forward;
mod fragment;
mod handoff;
mod hops;
mod icmp;
mod inbound;
mod inner;
mod limits;
mod link;
mod lookup;
mod martian;
mod neighbours;
mod number;
mod open;
mod outbound;
mod outer;
mod policy;
mod ranges;
mod reassembly;
mod seal;
mod turn;

pub mod bell;
pub mod ethtool;
pub mod fib;
pub mod keeper;
pub mod kernel;
pub mod mirror;
pub mod netlink;
pub mod news;
pub mod notice;

pub mod packet;
pub mod pmtu;
pub mod ports;
pub mod report;
pub mod routes;
pub mod runtime;
pub mod sa;
pub mod sad;
pub mod seat;
pub mod spd;
pub mod stage;
pub mod tables;
pub mod tun;
pub mod worker;

pub use fib::{Fib, Hop, Neighbour, Route, RouteKind};
pub use notice::Notice;
pub use sad::Sad;
pub use spd::Spd;
pub use tables::{InterfaceInfo, LocalAddresses, Shared, Tables, Tags, Vlan};
pub use worker::{Config, NoPlace, PortRole, Worker};
