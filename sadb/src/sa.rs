//! One Security Association as control describes it (RFC 4301 §4.4.2).
use core::net::IpAddr;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A connection's or interface's name: UTF-8, at most 47 octets, as it stands in the YAML (`site-b/net`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(pub(crate) [u8; 48]);

impl Name {
    /// `None` when `text` is empty, longer than 47 octets, or has a control character.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return None;
        }
        let mut octets = [0; 48];
        octets.get_mut(..text.len()).filter(|_| text.len() < 48)?.copy_from_slice(text.as_bytes());
        Some(Self(octets))
    }
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|&octet| octet == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or("?")
    }
}
impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    Inbound = 0,
    Outbound = 1,
}

/// How ESP travels (RFC 4303, RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// IP protocol 50.
    Raw,
    /// ESP in UDP. Ports in host order; `local` is ours.
    Udp { local: u16, remote: u16 },
}

/// The transforms as IANA numbers them (IKEv2 Transform Types 1 and 3). Open: `crypto` decides what it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    /// Transform Type 1, e.g. 20 = ENCR_AES_GCM_16.
    pub encryption: u16,
    /// Length of the cipher key in bits, salt not counted; 0 for ENCR_NULL.
    pub key_bits: u16,
    /// Transform Type 3, e.g. 12 = AUTH_HMAC_SHA2_256_128; 0 = NONE (with an AEAD).
    pub integrity: u16,
}

/// What happens to the DF bit of the outer IPv4 header (RFC 4301 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum DontFragment {
    #[default]
    Copy = 0,
    Set = 1,
    Clear = 2,
}

/// What happens to the DSCP (RFC 2983, RFC 4301 §5.1.2): `Out` copies inner to outer only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Dscp {
    #[default]
    Out = 0,
    /// Inner to outer, and outer to inner on decapsulation.
    Copy = 1,
    /// Outer DSCP 0; inner untouched.
    No = 2,
    /// Inner untouched on the way out; outer to inner on decapsulation.
    In = 3,
}

/// Limits after which an SA warns (soft) and dies (hard); 0 = none. RFC 4301 §4.4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Lifetime {
    pub soft_packets: u64,
    pub hard_packets: u64,
    pub soft_bytes: u64,
    pub hard_bytes: u64,
    /// From the moment of installation, by the monotonic clock.
    pub soft_seconds: u64,
    pub hard_seconds: u64,
}

/// One SA, one direction, without its keys. Plain data: it is what crosses the ring and what `status` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sa {
    /// Connection and child, `site-b/net`.
    pub name: Name,
    /// Which record of the region holds it: `0..Geometry::sa_slots`. Control allots slots.
    pub slot: u32,
    /// Host order. Inbound SPIs that we choose carry their slot: [`crate::sa::slot_of`]. 0–255 are refused (RFC 4303 §2.1).
    pub spi: u32,
    /// The tunnel (Child SA lineage) it serves: SPD entries name this number, so a rekey leaves the SPD alone.
    pub tunnel: u32,
    pub direction: Direction,
    pub encap: Encap,
    pub suite: Suite,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address; the same family as `local`.
    pub remote: IpAddr,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub esn: bool,
    /// Anti-replay window in packets, 32..=65536, a power of two; 0 = off (manual keys only, never with ESN). Inbound only.
    pub replay_window: u32,
    pub dont_fragment: DontFragment,
    pub dscp: Dscp,
    /// Copy ECN by RFC 6040 (normal mode) when true; compatibility mode (outer Not-ECT) when false.
    pub ecn: bool,
    /// Counter-mode ciphers: the top 24 bits of every explicit IV; the low 40 are the packet's number. Never the
    /// same twice under one key (see docs/configuration.md on manual keys).
    pub iv_epoch: u32,
    pub lifetime: Lifetime,
    /// First sequence number to send minus one, or highest received; 0 for a new SA.
    pub initial_sequence: u64,
    /// A digest of everything control configured for this SA, keys included: after a restart control compares it
    /// with the configuration to see what must change. Opaque to the data plane.
    pub digest: [u8; 16],
}

/// Keys of one SA. They cannot be printed, and are wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SaKeys {
    /// Cipher key with the salt behind it (RFC 4106 §8.1): at most 36 octets.
    pub encryption: Vec<u8>,
    /// Integrity key, at most 64 octets; empty with an AEAD.
    pub integrity: Vec<u8>,
}
impl core::fmt::Debug for SaKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SaKeys(..)")
    }
}

/// Bits of an inbound SPI of ours that name its slot: the high 20; the low 12 are random.
pub const SPI_RANDOM_BITS: u32 = 12;

/// The slot that an SPI of our choosing names. Slot 0 would give SPIs below 4096, so slots are biased by one.
pub fn slot_of(spi: u32) -> Option<u32> {
    (spi >> SPI_RANDOM_BITS).checked_sub(1)
}

/// The SPI for `slot` with `random` in its low bits; `None` when the slot does not fit.
pub fn spi_for(slot: u32, random: u32) -> Option<u32> {
    let high = slot.checked_add(1).filter(|&high| high < 1 << (32 - SPI_RANDOM_BITS))?;
    Some(high << SPI_RANDOM_BITS | random & ((1 << SPI_RANDOM_BITS) - 1))
}
