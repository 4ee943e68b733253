//! The XDP program, its maps and its loader.
//!
//! One program serves every interface of the gateway. It decides which frames are ours and redirects those to
//! the AF_XDP socket of the receiving queue; all others pass to the kernel. Program, maps and links are pinned,
//! so that they outlive the process: while no socket is bound, what would be redirected is dropped (fail closed),
//! and SSH, ARP and the rest go on.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

mod error;
pub use error::Error;

/// Interfaces that one data plane may serve: slots are `0..SLOTS`.
pub const SLOTS: u32 = 16;
/// Receive queues per interface that may have a socket.
pub const QUEUES: u32 = 64;

/// Sizes of the maps, fixed when they are first created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Prefixes in each of the two protected sets.
    pub prefixes: u32,
    /// Our own addresses.
    pub locals: u32,
    /// Peers' outer addresses.
    pub peers: u32,
}
impl Default for Limits {
    fn default() -> Self {
        Self { prefixes: 65_536, locals: 1024, peers: 65_536 }
    }
}

/// Which rules apply to frames that arrive on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plaintext side.
    Inside,
    /// Ciphertext side.
    Outside,
}

/// What the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path, after the socket buffer is made: slow, works on every device.
    Generic,
    /// Native where the driver has it, else generic.
    Any,
}

/// What the caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the kernel's generic path.
    Generic,
}

/// The loaded program and its maps. Dropping it leaves everything in place: see [`detach_all`].
pub struct Program;

impl Program {
    /// Loads the program; adopts maps that an earlier process pinned under `pin_dir` (a directory on a bpffs).
    pub fn load(_pin_dir: &Path, _limits: Limits) -> Result<Self, Error> {
        todo!()
    }
    /// Attaches to an interface, or adopts the attachment that an earlier process left there.
    pub fn attach(
        &self,
        _ifindex: u32,
        _role: Role,
        _slot: u32,
        _mode: Mode,
    ) -> Result<AttachMode, Error> {
        todo!()
    }
    /// Takes the program off one interface.
    pub fn detach(&self, _ifindex: u32) -> Result<(), Error> {
        todo!()
    }
    /// Whether our program is on the interface now, and how; `None` if nothing or the interface is gone.
    pub fn attached(&self, _ifindex: u32) -> Result<Option<AttachMode>, Error> {
        todo!()
    }
    /// Frames of (slot, queue) go to this AF_XDP socket from now on.
    pub fn set_socket(
        &self,
        _slot: u32,
        _queue: u32,
        _socket: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        todo!()
    }
    /// No socket any more: what is ours is dropped.
    pub fn clear_socket(&self, _slot: u32, _queue: u32) -> Result<(), Error> {
        todo!()
    }
    /// Our own addresses, all of them.
    pub fn set_locals(&self, _addresses: &[IpAddr]) -> Result<(), Error> {
        todo!()
    }
    /// Outer addresses of known peers.
    pub fn set_peers(&self, _addresses: &[IpAddr]) -> Result<(), Error> {
        todo!()
    }
    /// Prefixes behind peers that some policy protects.
    pub fn set_protected_remote(&self, _prefixes: &[(IpAddr, u8)]) -> Result<(), Error> {
        todo!()
    }
    /// Prefixes behind us that some policy protects.
    pub fn set_protected_local(&self, _prefixes: &[(IpAddr, u8)]) -> Result<(), Error> {
        todo!()
    }
    /// UDP ports on which ESP may arrive (RFC 3948), at most 4; 4500 unless set.
    pub fn set_udp_encap_ports(&self, _ports: &[u16]) -> Result<(), Error> {
        todo!()
    }
    /// Every way a frame can end here, by name, summed over the CPUs.
    pub fn counters(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        todo!()
    }
}

/// Takes the program off every interface and removes all pins: nothing is protected any more.
pub fn detach_all(_pin_dir: &Path) -> Result<(), Error> {
    todo!()
}
