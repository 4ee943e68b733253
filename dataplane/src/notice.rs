//! What a worker has to tell the keeper. Bounded and lossy: a worker never waits for anybody.
use core::net::IpAddr;
use sadb::DropReason;

/// One thing worth telling. All are rate-limited per worker before they get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Policy says protect and the tunnel has no outbound SA (RFC 4301 §5.1).
    Acquire {
        /// The tunnel that policy names.
        tunnel: u32,
        /// Source address of the packet that asked.
        source: IpAddr,
        /// Its destination.
        destination: IpAddr,
        /// Its upper-layer protocol.
        protocol: u8,
        /// 0 when the packet shows no ports.
        source_port: u16,
        /// 0 when the packet shows no ports.
        destination_port: u16,
    },
    /// A lifetime ran out: said once for soft and once for hard.
    Expire {
        /// Record of the SA.
        slot: u32,
        /// Host order.
        spi: u32,
        /// After a hard one the SA carries nothing more.
        hard: bool,
    },
    /// An auditable event (RFC 4303 §4). `count` tells how many like it this one stands for.
    Audit {
        /// Why the packet ended.
        reason: DropReason,
        /// Host order; 0 when there is none.
        spi: u32,
        /// As far as it is known: 64 bits with ESN.
        sequence: u64,
        /// Outer source, or the plaintext's.
        source: IpAddr,
        /// Outer destination, or the plaintext's.
        destination: IpAddr,
        /// IPv6 only; else 0.
        flow_label: u32,
        /// Events since the last notice for this reason, this one included.
        count: u32,
    },
    /// A packet waits for this neighbour: let the kernel resolve it.
    Resolve {
        /// Link on which to ask.
        ifindex: u32,
        /// Whom to ask for.
        address: IpAddr,
    },
}
