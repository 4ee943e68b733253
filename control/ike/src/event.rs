//! What happened, for logs and for people who watch.
use crate::action::{Endpoint, Lineage};
use crate::why::Why;
use std::fmt;
use std::sync::Arc;

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An IKE SA is established.
    IkeUp {
        /// Which.
        ike: IkeName,
        /// Who the peer proved to be.
        identity: String,
        /// Our proof of identity, and the peer's: `psk`, `rsa_pss_sha256` and so on.
        methods: (String, String),
        /// Its algorithms.
        suite: String,
        /// Whether we began it.
        initiator: bool,
    },
    /// An IKE SA replaced another, and took over its Child SAs.
    IkeRekeyed {
        /// The old one.
        old: IkeName,
        /// The new one.
        new: IkeName,
    },
    /// An IKE SA is gone.
    IkeDown {
        /// Which.
        ike: IkeName,
        /// Why.
        cause: Cause,
    },
    /// A Child SA is installed both ways, or inbound while the old one still sends.
    ChildUp {
        /// Which.
        child: ChildName,
        /// What it covers: ours ↔ the peer's.
        covered: String,
        /// Its algorithms.
        suite: String,
        /// The inbound SPI of the one that it replaces.
        replaces: Option<u32>,
    },
    /// A Child SA is gone.
    ChildDown {
        /// Which.
        child: ChildName,
        /// Why.
        cause: Cause,
    },
    /// The peer moved to another address or port.
    Moved {
        /// Which.
        ike: IkeName,
        /// Where it is now.
        path: Endpoint,
    },
    /// Something failed. The same is kept for `why`.
    Failed(Box<Why>),
}

/// Which IKE SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeName {
    /// Its connection.
    pub connection: Arc<str>,
    /// Our SPI.
    pub local_spi: u64,
    /// The peer's SPI.
    pub remote_spi: u64,
    /// Its ends.
    pub path: Endpoint,
}

/// Which Child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildName {
    /// Its connection.
    pub connection: Arc<str>,
    /// As configured.
    pub child: Arc<str>,
    /// Its tunnel.
    pub lineage: Lineage,
    /// Our SPI.
    pub inbound: u32,
    /// The peer's SPI.
    pub outbound: u32,
}

/// Why an SA went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// We were told to.
    Ordered,
    /// The peer deleted it.
    Peer,
    /// The peer does not answer.
    Dead,
    /// Its hard lifetime is over.
    Expired,
    /// Another took its place.
    Replaced,
    /// Both ends made one at the same time, and this one lost.
    Redundant,
    /// The configuration changed.
    Configuration,
    /// A failure that is told by an event of its own.
    Failed,
}
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ordered => "by order",
            Self::Peer => "the peer deleted it",
            Self::Dead => "the peer does not answer",
            Self::Expired => "its lifetime is over",
            Self::Replaced => "another took its place",
            Self::Redundant => "both ends made one at the same time",
            Self::Configuration => "the configuration changed",
            Self::Failed => "it failed",
        })
    }
}
