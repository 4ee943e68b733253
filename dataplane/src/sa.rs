//! One SA as a worker sees it: what the packet path needs, and nothing that changes. What changes — sequence
//! numbers, window, totals — lives in the region behind a handle, so it survives this process.
use crate::outer::Outer;
use core::net::IpAddr;
use core::time::Duration;
use crypto::{OpenKey, SealKey};
use sadb::sa::{DontFragment, Dscp, Lifetime};
use sadb::{Encap, Sa, SequenceHandle, Totals, WindowHandle};
use std::sync::Arc;
use wire::esp::TRAILER;

/// Sizes of a suite, small enough to keep at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Octets of the explicit IV.
    pub iv: usize,
    /// Octets of the ICV.
    pub icv: usize,
    /// Payload and trailer fill a multiple of this.
    pub block: usize,
}

impl From<crypto::Suite> for Sizes {
    fn from(suite: crypto::Suite) -> Self {
        Self { iv: suite.iv_len(), icv: suite.icv_len(), block: suite.block() }
    }
}

impl Sizes {
    /// Octets of padding behind `payload` octets (RFC 4303 §2.4). Blocks are powers of two.
    #[inline]
    pub fn pad_len(self, payload: usize) -> usize {
        (payload + TRAILER).wrapping_neg() & self.mask()
    }

    /// What is left over of `len` octets when they are cut into blocks.
    #[inline]
    pub fn ragged(self, len: usize) -> usize {
        len & self.mask()
    }

    #[inline]
    fn mask(self) -> usize {
        self.block.max(4) - 1 // ciphers without blocks align to 32 bits
    }
}

/// An SA that seals. On cache lines of its own, with all that changes in the one line of its record.
#[derive(Debug)]
#[repr(align(64))]
pub struct Outbound {
    /// Record of the region.
    pub slot: u32,
    /// Host order, chosen by the peer.
    pub spi: u32,
    /// The tunnel it serves.
    pub tunnel: u32,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// How ESP travels.
    pub encap: Encap,
    /// Outer DF.
    pub dont_fragment: DontFragment,
    /// Outer DSCP.
    pub dscp: Dscp,
    /// RFC 6040 normal mode.
    pub ecn: bool,
    /// When it warns and dies.
    pub lifetime: Lifetime,
    /// Of its suite.
    pub sizes: Sizes,
    pub(crate) outer: Outer,
    pub(crate) key: Arc<SealKey>,
    pub(crate) numbers: SequenceHandle,
}

/// An SA that opens; as [`Outbound`].
#[derive(Debug)]
#[repr(align(64))]
pub struct Inbound {
    /// Record of the region.
    pub slot: u32,
    /// Host order, chosen by us.
    pub spi: u32,
    /// The tunnel it serves: what it may carry stands in the SPD under this number.
    pub tunnel: u32,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// How ESP travels.
    pub encap: Encap,
    /// 64-bit sequence numbers.
    pub esn: bool,
    /// Whether the outer DSCP goes to the inner header.
    pub dscp: Dscp,
    /// RFC 6040 decapsulation.
    pub ecn: bool,
    /// When it warns and dies.
    pub lifetime: Lifetime,
    /// Of its suite.
    pub sizes: Sizes,
    pub(crate) key: Arc<OpenKey>,
    pub(crate) window: WindowHandle,
}

impl Outbound {
    pub(crate) fn new(sa: &Sa, key: Arc<SealKey>, numbers: SequenceHandle) -> Self {
        Self {
            slot: sa.slot,
            spi: sa.spi,
            tunnel: sa.tunnel,
            local: sa.local,
            remote: sa.remote,
            encap: sa.encap,
            dont_fragment: sa.dont_fragment,
            dscp: sa.dscp,
            ecn: sa.ecn,
            lifetime: sa.lifetime,
            sizes: key.suite().into(),
            outer: Outer::new(sa.local, sa.remote, sa.encap),
            key,
            numbers,
        }
    }

    /// Asks for all that sealing a packet of so many octets will need beside this.
    #[inline]
    pub(crate) fn prefetch(&self, octets: usize) {
        self.numbers.prefetch();
        self.key.prefetch(octets);
    }

    /// The largest inner packet whose ESP packet fits `mtu`.
    pub fn max_inner(&self, mtu: usize) -> usize {
        crate::pmtu::max_payload(mtu, self.sizes, self.outer.len())
    }
}

impl Inbound {
    pub(crate) fn new(sa: &Sa, key: Arc<OpenKey>, window: WindowHandle) -> Self {
        Self {
            slot: sa.slot,
            spi: sa.spi,
            tunnel: sa.tunnel,
            local: sa.local,
            remote: sa.remote,
            encap: sa.encap,
            esn: sa.esn,
            dscp: sa.dscp,
            ecn: sa.ecn,
            lifetime: sa.lifetime,
            sizes: key.suite().into(),
            key,
            window,
        }
    }
}

/// How far an SA is through its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// No limit reached.
    Young,
    /// Past a soft limit: time for a successor.
    Soft,
    /// Past a hard limit: it carries nothing more.
    Hard,
}

/// RFC 4301 §4.4.2.1: whichever limit comes first. `age` in seconds since installation.
#[inline]
pub fn age(limits: &Lifetime, totals: Totals, age: u64) -> Age {
    // no limit is zero, and one less is more than can be had
    let past = |packets: u64, bytes: u64, seconds: u64| {
        totals.packets > packets.wrapping_sub(1)
            || totals.bytes > bytes.wrapping_sub(1)
            || age > seconds.wrapping_sub(1)
    };
    if past(limits.hard_packets, limits.hard_bytes, limits.hard_seconds) {
        Age::Hard
    } else if past(limits.soft_packets, limits.soft_bytes, limits.soft_seconds) {
        Age::Soft
    } else {
        Age::Young
    }
}

/// What both handles know about an SA's life. Marks are made in the region, so an expiry is told once however
/// many workers see it, and again by nobody after a restart.
pub(crate) trait Life {
    fn installed(&self) -> u64;
    fn mark_expired(&self) -> bool;
    fn mark_warned(&self) -> bool;

    /// Of totals, what is news: `Some(hard)`, once each.
    fn news(&self, limits: &Lifetime, totals: Totals, now: Duration) -> Option<bool> {
        let since = now.as_secs().saturating_sub(self.installed());
        match age(limits, totals, since) {
            Age::Young => None,
            Age::Soft => self.mark_warned().then_some(false),
            Age::Hard => self.mark_expired().then_some(true),
        }
    }
}

macro_rules! life {
    ($($handle:ty),*) => { $(impl Life for $handle {
        fn installed(&self) -> u64 {
            <$handle>::installed(self)
        }
        fn mark_expired(&self) -> bool {
            self.expire()
        }
        fn mark_warned(&self) -> bool {
            self.warn()
        }
    })* };
}
life!(SequenceHandle, WindowHandle);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_limit_comes_first_decides_and_zero_is_no_limit() {
        let limits = Lifetime {
            soft_packets: 10,
            hard_packets: 20,
            soft_bytes: 1000,
            hard_bytes: 2000,
            soft_seconds: 0,
            hard_seconds: 60,
        };
        let at = |packets, bytes, seconds| age(&limits, Totals { packets, bytes }, seconds);
        assert_eq!(at(9, 999, 59), Age::Young);
        assert_eq!(at(10, 0, 0), Age::Soft);
        assert_eq!(at(0, 1000, 0), Age::Soft);
        assert_eq!(at(20, 0, 0), Age::Hard);
        assert_eq!(at(0, 2000, 0), Age::Hard);
        assert_eq!(at(0, 0, 60), Age::Hard);
        let none = Lifetime::default();
        assert_eq!(age(&none, Totals { packets: u64::MAX, bytes: u64::MAX }, u64::MAX), Age::Young);
    }
}
