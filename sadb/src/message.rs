//! The verbs that cross the rings, after PF_KEY (RFC 2367 §3): Add, Update, Delete, Flush go down; Acquire and
//! Expire come up. Each request is answered by one `Event::Done` with its number.
use crate::sa::{Name, Sa, SaKeys};
use core::net::IpAddr;

/// Control to data plane. `id` comes back in [`Event::Done`].
#[derive(Debug)]
pub struct Request {
    /// Control's number for it.
    pub id: u64,
    /// What to do.
    pub verb: Verb,
}

/// What control asks for.
#[derive(Debug)]
pub enum Verb {
    /// Install. Refused when the slot is taken, the SPI is in use or the suite unknown.
    Add {
        /// What to install.
        sa: Box<Sa>,
        /// Its keys.
        keys: SaKeys,
    },
    /// Change lifetimes, peer address, encapsulation, DF/DSCP/ECN and digest of the SA in `sa.slot` with the same
    /// SPI; sequence and window stay.
    Update {
        /// As it shall be.
        sa: Box<Sa>,
    },
    /// Retire the SA with this SPI in this slot.
    Delete {
        /// Its slot.
        slot: u32,
        /// Its SPI, which must be the one in the slot.
        spi: u32,
    },
    /// Retire every SA.
    Flush,
    /// The inactive policy bank holds `count` entries of this generation: check all, then swap.
    Policies {
        /// As staged.
        generation: u64,
        /// Entries staged.
        count: u32,
    },
    /// Answer and do nothing: control asks whether anybody is there.
    Ping,
}

/// Why the data plane turned a request down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    /// No such verb, or a request that makes no sense.
    UnknownVerb = 1,
    /// No such slot.
    BadSlot,
    /// Another SA is in the slot, or leaves it just now.
    SlotTaken,
    /// Another inbound SA has this SPI.
    SpiInUse,
    /// SPI 0 to 255 (RFC 4303 §2.1).
    ReservedSpi,
    /// This build does not run the suite, or the suite may not change.
    UnknownSuite,
    /// A key does not fit its suite.
    BadKeyLength,
    /// Addresses of two families, unspecified, or multicast; or port 0.
    BadAddresses,
    /// Not a power of two, wider than the region allows, or off with ESN.
    BadWindow,
    /// No SA with this SPI is in the slot.
    NoSuchSa,
    /// The staged bank is not what was announced, or an entry is damaged.
    BadPolicy,
    /// An entry names a tunnel that no SA serves.
    UnknownTunnel,
    /// The first sequence number does not fit the SA.
    BadSequence,
    /// One of the keys with which the cipher protects hardly anything (RFC 2405 §2.3, RFC 2451 §2.3).
    WeakKey,
}

impl Refusal {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::UnknownVerb,
        Self::BadSlot,
        Self::SlotTaken,
        Self::SpiInUse,
        Self::ReservedSpi,
        Self::UnknownSuite,
        Self::BadKeyLength,
        Self::BadAddresses,
        Self::BadWindow,
        Self::NoSuchSa,
        Self::BadPolicy,
        Self::UnknownTunnel,
        Self::BadSequence,
        Self::WeakKey,
    ];
}

/// Data plane to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Request `id` is done, or was refused and changed nothing.
    Done {
        /// The request's number.
        id: u64,
        /// Done, or why not.
        result: Result<(), Refusal>,
    },
    /// A packet matched a Protect entry whose tunnel has no outbound SA. At most one per tunnel and second.
    Acquire {
        /// The tunnel the entry names.
        tunnel: u32,
        /// The packet's source.
        source: IpAddr,
        /// The packet's destination.
        destination: IpAddr,
        /// The packet's upper protocol.
        protocol: u8,
        /// Its source port; 0 without ports.
        source_port: u16,
        /// Its destination port; 0 without ports.
        destination_port: u16,
    },
    /// A lifetime ran out. After a hard one the SA carries nothing more.
    Expire {
        /// The SA's slot.
        slot: u32,
        /// The SA's SPI.
        spi: u32,
        /// Dead, or only to be replaced soon.
        hard: bool,
    },
    /// An auditable event (RFC 4303 §4): rate limited, so `count` tells how many it stands for.
    Audit {
        /// A [`crate::DropReason`] as a number.
        reason: u16,
        /// As received.
        spi: u32,
        /// As received; with ESN as inferred.
        sequence: u64,
        /// Outer source.
        source: IpAddr,
        /// Outer destination.
        destination: IpAddr,
        /// IPv6 flow label; 0 in IPv4.
        flow_label: u32,
        /// How many packets it stands for.
        count: u32,
    },
    /// An interface changed its state or its XDP mode; details stand in the interface's status.
    Interface {
        /// Which.
        name: Name,
        /// Whether it carries frames now.
        up: bool,
    },
}
