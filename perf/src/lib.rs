//! How fast Postern is, measured so that two results can be compared.
//!
//! `benches/` looks at single stages (criterion). The program `perf` runs the whole walk over a port in memory:
//! [`world`] builds a gateway of one worker, [`traffic`] what arrives at it, [`pipeline`] runs cases in
//! interleaved rounds, [`report`] says on which machine, from which commit and when.
//!
//! Nothing here judges a figure: no test of ours fails because something took long.

pub mod ciphers;
pub mod figures;
pub mod handshake;
pub mod instructions;
pub mod machine;
pub mod pipeline;
pub mod report;
pub mod result;
pub mod rng;
pub mod stages;
pub mod table;
pub mod traffic;
pub mod world;
