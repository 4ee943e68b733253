//! One Security Association as control describes it (RFC 4301 §4.4.2).
use crate::message::Refusal;
use crate::setup::Geometry;
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
    /// The text.
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

/// Which way an SA carries packets: an SA is one-way (RFC 4301 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the peer: opened.
    Inbound = 0,
    /// To the peer: sealed.
    Outbound = 1,
}

/// How ESP travels (RFC 4303, RFC 3948).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encap {
    /// IP protocol 50.
    Raw,
    /// ESP in UDP. Ports in host order; `local` is ours.
    Udp {
        /// Our port.
        local: u16,
        /// The peer's port.
        remote: u16,
    },
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
    /// As on the inner packet.
    #[default]
    Copy = 0,
    /// Always set.
    Set = 1,
    /// Never set.
    Clear = 2,
}

/// What happens to the DSCP (RFC 2983, RFC 4301 §5.1.2): `Out` copies inner to outer only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Dscp {
    /// Inner to outer; not back.
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
    /// Warn after so many packets.
    pub soft_packets: u64,
    /// Die after so many packets.
    pub hard_packets: u64,
    /// Warn after so many octets.
    pub soft_bytes: u64,
    /// Die after so many octets.
    pub hard_bytes: u64,
    /// Warn so many seconds after installation, by the monotonic clock.
    pub soft_seconds: u64,
    /// Die so many seconds after installation, by the monotonic clock.
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
    /// Inbound or outbound.
    pub direction: Direction,
    /// Raw ESP or ESP in UDP.
    pub encap: Encap,
    /// The transforms.
    pub suite: Suite,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address; the same family as `local`.
    pub remote: IpAddr,
    /// 64-bit sequence numbers (RFC 4303 §2.2.1).
    pub esn: bool,
    /// Anti-replay window in packets, 32..=65536, a power of two; 0 = off (manual keys only, never with ESN). Inbound only.
    pub replay_window: u32,
    /// The outer DF bit.
    pub dont_fragment: DontFragment,
    /// The DSCP, both ways.
    pub dscp: Dscp,
    /// Copy ECN by RFC 6040 (normal mode) when true; compatibility mode (outer Not-ECT) when false.
    pub ecn: bool,
    /// Counter-mode ciphers: the top 24 bits of every explicit IV; the low 40 are the packet's number. Never the
    /// same twice under one key (see docs/configuration.md on manual keys).
    pub iv_epoch: u32,
    /// When to warn and when to die.
    pub lifetime: Lifetime,
    /// First sequence number to send minus one, or highest received; 0 for a new SA.
    pub initial_sequence: u64,
    /// A digest of everything control configured for this SA, keys included: after a restart control compares it
    /// with the configuration to see what must change. Opaque to the data plane.
    pub digest: [u8; 16],
}

impl Sa {
    /// Whether a region of this geometry can hold it, and whether the RFCs allow it. What needs other knowledge (does
    /// this build run the suite, is the SPI in use) is checked by who has it.
    pub fn validate(&self, geometry: &Geometry) -> Result<(), Refusal> {
        let usable = |address: IpAddr| !address.is_unspecified() && !address.is_multicast();
        if self.slot >= geometry.sa_slots {
            return Err(Refusal::BadSlot);
        }
        if self.spi < 256 {
            return Err(Refusal::ReservedSpi); // RFC 4303 §2.1
        }
        if self.suite.encryption == 0 {
            return Err(Refusal::UnknownSuite); // reserved by IANA
        }
        let one_family = self.local.is_ipv4() == self.remote.is_ipv4();
        if !one_family || !usable(self.local) || !usable(self.remote) {
            return Err(Refusal::BadAddresses);
        }
        if let Encap::Udp { local: 0, .. } | Encap::Udp { remote: 0, .. } = self.encap {
            return Err(Refusal::BadAddresses);
        }
        if self.direction == Direction::Inbound && !self.window_fits(geometry) {
            return Err(Refusal::BadWindow);
        }
        if !self.esn && self.initial_sequence > u32::MAX.into() {
            return Err(Refusal::BadSequence);
        }
        Ok(())
    }

    /// ESN cannot work without a window: the high half is inferred from it (RFC 4303 §2.2.1).
    fn window_fits(&self, geometry: &Geometry) -> bool {
        match self.replay_window {
            0 => !self.esn,
            width => width.is_power_of_two() && (32..=geometry.window_max).contains(&width),
        }
    }
}

/// Keys of one SA. They cannot be printed, and are wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SaKeys {
    /// Cipher key with the salt behind it (RFC 4106 §8.1): at most 256 octets.
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

#[cfg(test)]
#[cfg(not(loom))]
pub(crate) mod tests {
    use super::*;

    /// An SA with a value of its own in every field.
    pub(crate) fn sample(slot: u32, direction: Direction) -> Sa {
        Sa {
            name: Name::new("site-b/net").unwrap(),
            slot,
            spi: spi_for(slot, 0x123).unwrap(),
            tunnel: 7,
            direction,
            encap: Encap::Udp { local: 4500, remote: 4501 },
            suite: Suite { encryption: 20, key_bits: 256, integrity: 0 },
            local: "2001:db8::1".parse().unwrap(),
            remote: "2001:db8::2".parse().unwrap(),
            esn: true,
            replay_window: 64,
            dont_fragment: DontFragment::Clear,
            dscp: Dscp::In,
            ecn: true,
            iv_epoch: 0xabcdef,
            lifetime: Lifetime {
                soft_packets: 1,
                hard_packets: 2,
                soft_bytes: 3,
                hard_bytes: 4,
                soft_seconds: 5,
                hard_seconds: 6,
            },
            initial_sequence: 0,
            digest: *b"0123456789abcdef",
        }
    }
    pub(crate) fn keys() -> SaKeys {
        SaKeys { encryption: (1..=36).collect(), integrity: (101..=164).collect() }
    }

    #[test]
    fn an_sa_that_cannot_be_is_refused_with_the_reason() {
        let geometry = Geometry { sa_slots: 4, window_max: 1024, ..Geometry::default() };
        type Change = fn(&mut Sa);
        let rows: [(Refusal, Change); 16] = [
            (Refusal::BadSlot, |sa| sa.slot = 4),
            (Refusal::BadSlot, |sa| sa.slot = u32::MAX),
            (Refusal::ReservedSpi, |sa| sa.spi = 0),
            (Refusal::ReservedSpi, |sa| sa.spi = 255),
            (Refusal::UnknownSuite, |sa| sa.suite.encryption = 0),
            (Refusal::BadAddresses, |sa| sa.local = "192.0.2.1".parse().unwrap()),
            (Refusal::BadAddresses, |sa| sa.remote = "::".parse().unwrap()),
            (Refusal::BadAddresses, |sa| sa.remote = "ff02::1".parse().unwrap()),
            (Refusal::BadAddresses, |sa| sa.encap = Encap::Udp { local: 0, remote: 4500 }),
            (Refusal::BadAddresses, |sa| sa.encap = Encap::Udp { local: 4500, remote: 0 }),
            (Refusal::BadWindow, |sa| sa.replay_window = 0),
            (Refusal::BadWindow, |sa| sa.replay_window = 16),
            (Refusal::BadWindow, |sa| sa.replay_window = 33),
            (Refusal::BadWindow, |sa| sa.replay_window = 2048),
            (Refusal::BadWindow, |sa| sa.replay_window = u32::MAX),
            (Refusal::BadSequence, |sa| {
                sa.esn = false;
                sa.initial_sequence = 1 << 32;
            }),
        ];
        assert_eq!(sample(3, Direction::Inbound).validate(&geometry), Ok(()));
        for (row, (refusal, change)) in rows.into_iter().enumerate() {
            let mut sa = sample(3, Direction::Inbound);
            change(&mut sa);
            assert_eq!(sa.validate(&geometry), Err(refusal), "row {row}");
        }
    }

    #[test]
    fn a_window_can_be_off_without_esn_only() {
        let sa = Sa { esn: false, replay_window: 0, ..sample(0, Direction::Inbound) };
        assert_eq!(sa.validate(&Geometry::default()), Ok(()));
    }

    #[test]
    fn an_spi_of_ours_names_its_slot() {
        for slot in [0, 1, 4095, (1 << 20) - 2] {
            assert_eq!(spi_for(slot, u32::MAX).and_then(slot_of), Some(slot));
            assert!(spi_for(slot, 0).unwrap() >= 4096);
        }
        assert_eq!(spi_for((1 << 20) - 1, 0), None);
        assert_eq!(slot_of(255), None);
    }

    #[test]
    fn a_name_has_1_to_47_octets_and_no_control_characters() {
        assert!(Name::new(&"x".repeat(47)).is_some());
        for bad in ["", "a\tb", "a\0", &"x".repeat(48)] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", keys()), "SaKeys(..)");
    }
}
