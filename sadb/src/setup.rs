//! What the data plane must know before its first packet. Control writes it into the region when it makes one.
use crate::sa::Name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Plaintext side: what policy protects is taken, all else passes to the kernel.
    Inside = 0,
    /// Ciphertext side.
    Outside = 1,
}

/// The least that an interface must reach, or the data plane refuses to start on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Requirement {
    #[default]
    Any = 0,
    Native = 1,
    ZeroCopy = 2,
}

/// How frames come in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum XdpMode {
    /// Not bound (yet, or any more).
    Down = 0,
    /// Generic XDP: the slowest.
    Generic = 1,
    /// Native XDP, frames copied.
    Copy = 2,
    /// Native XDP, no copy.
    ZeroCopy = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: Name,
    pub role: Role,
    pub require: Requirement,
    /// Complete partial TCP/UDP checksums of arriving plaintext (veth and virtio leave them to hardware).
    pub complete_checksums: bool,
}

/// Idle behaviour of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Idle {
    /// Spin, then yield, then wait in poll(2).
    #[default]
    Adaptive = 0,
    /// Never wait.
    Spin = 1,
}

/// Sizes of the region and of everything that is allotted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// SA records, both directions together; at most 2^20 - 1.
    pub sa_slots: u32,
    /// SPD entries.
    pub policies: u32,
    /// The widest anti-replay window any SA may ask for.
    pub window_max: u32,
    /// Requests or events that may wait; a power of two.
    pub ring_entries: u32,
}
impl Default for Geometry {
    fn default() -> Self {
        Self { sa_slots: 4096, policies: 4096, window_max: 1024, ring_entries: 256 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub geometry: Geometry,
    /// At most 16.
    pub interfaces: Vec<Interface>,
    /// One worker is pinned to each of these CPU numbers; at most 64.
    pub cores: Vec<u16>,
    pub idle: Idle,
    /// Frames in the UMEM, shared by all workers.
    pub frames: u32,
    /// 2048 or 4096.
    pub frame_size: u32,
    /// Name of the TUN device for packets to and from the gateway itself.
    pub tun: Name,
    /// Reassemblies that may be open at once, and for how long.
    pub reassembly_slots: u32,
    pub reassembly_ms: u32,
}
