//! The verbs that cross the rings, after PF_KEY (RFC 2367 §3): Add, Update, Delete, Flush go down; Acquire and
//! Expire come up. Each request is answered by one `Event::Done` with its number.
use crate::sa::{Name, Sa, SaKeys};
use core::net::IpAddr;

/// Control to data plane. `id` comes back in [`Event::Done`].
#[derive(Debug)]
pub struct Request {
    pub id: u64,
    pub verb: Verb,
}

#[derive(Debug)]
pub enum Verb {
    /// Install. Refused when the slot is taken, the SPI is in use or the suite unknown.
    Add { sa: Box<Sa>, keys: SaKeys },
    /// Change lifetimes, peer address, encapsulation, DF/DSCP/ECN and digest of the SA in `sa.slot` with the same SPI; sequence and window stay.
    Update { sa: Box<Sa> },
    /// Retire the SA with this SPI in this slot.
    Delete { slot: u32, spi: u32 },
    /// Retire every SA.
    Flush,
    /// The inactive policy bank holds `count` entries of this generation: check all, then swap.
    Policies { generation: u64, count: u32 },
    /// Answer and do nothing: control asks whether anybody is there.
    Ping,
}

/// Why the data plane turned a request down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    UnknownVerb = 1,
    BadSlot,
    SlotTaken,
    SpiInUse,
    ReservedSpi,
    UnknownSuite,
    BadKeyLength,
    BadAddresses,
    BadWindow,
    NoSuchSa,
    BadPolicy,
    UnknownTunnel,
    BadSequence,
}

/// Data plane to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Request `id` is done, or was refused and changed nothing.
    Done { id: u64, result: Result<(), Refusal> },
    /// A packet matched a Protect entry whose tunnel has no outbound SA. At most one per tunnel and second.
    Acquire {
        tunnel: u32,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        source_port: u16,
        destination_port: u16,
    },
    /// A lifetime ran out. After a hard one the SA carries nothing more.
    Expire { slot: u32, spi: u32, hard: bool },
    /// An auditable event (RFC 4303 §4): rate limited, so `count` tells how many it stands for.
    Audit {
        reason: u16,
        spi: u32,
        sequence: u64,
        source: IpAddr,
        destination: IpAddr,
        flow_label: u32,
        count: u32,
    },
    /// An interface changed its state or its XDP mode; details stand in the interface's status.
    Interface { name: Name, up: bool },
}
