//! The control process: configuration, what must change, the link to the data plane, the local API; and the
//! command line. It never touches a data packet.

pub mod config;
