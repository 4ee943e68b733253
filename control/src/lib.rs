//! The control process: configuration, what must change, the link to the data plane, the local API; and the
//! command line. It never touches a data packet.

pub mod api;
pub mod apply;
pub mod certify;
pub mod cli;
pub mod client;
pub mod config;
pub mod driver;
pub mod epochs;
pub mod events;
pub mod keying;
pub mod plan;
pub mod table;
pub mod view;
