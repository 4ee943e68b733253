//! The XDP program, its maps and its loader.
//!
//! One program (`postern.bpf.c`, whose head states the rules) serves every interface of the gateway. It decides
//! which frames are ours and redirects those to the AF_XDP socket of the receiving queue; all others pass to the
//! kernel. It parses as little as that takes: lengths, addresses, extension headers, the first octets behind UDP.
//! Checksums, policies and everything exact are the data plane's.
//!
//! # When the data plane is gone
//!
//! Maps and links are pinned under one directory of a BPF file system, so that program and policy outlive the
//! process. The kernel takes a closed socket out of its map, and a redirect without a socket is a drop: protected
//! prefixes fail closed both ways, while SSH, ARP, IKE and the rest go on. The next process adopts the pins. In
//! this order no moment is open: [`Program::load`], the `set_…` calls, [`Program::attach`], [`Program::set_socket`].
//! If the program changed meanwhile, `attach` replaces it in one step. Only [`detach_all`] ends the protection.
//!
//! What never passes an interface with our program, such as packets that the gateway itself sends, is not
//! protected by it.

use std::fs::{self, File};
use std::path::Path;

mod attach;
mod counter;
mod error;
mod maps;
mod program;
mod skeleton;

pub use counter::NAMES as COUNTERS;
pub use error::Error;
pub use program::Program;

use maps::Layout;

/// Interfaces that one data plane may serve: slots are `0..SLOTS`.
pub const SLOTS: u32 = 16;
/// Receive queues per interface that may have a socket.
pub const QUEUES: u32 = 64;
/// UDP ports on which ESP may arrive.
pub const ENCAP_PORTS: u32 = 4;

/// How much the maps may hold. Raising a limit takes effect at the next [`Program::load`], which carries the
/// entries over; a lower one keeps the larger map.
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

/// Which rules apply to frames that arrive on an interface. The values are those of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// Plaintext side.
    Inside = 0,
    /// Ciphertext side.
    Outside = 1,
}

/// What the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic path, after the socket buffer is made: slow, works on every device.
    Generic,
    /// Native where the driver has it, else generic. What an earlier process attached stays as it is.
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

/// What the program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the kernel.
    Pass,
    /// To the data plane.
    Redirect,
    /// Nowhere.
    Drop,
}

/// Takes the program off every interface and removes all pins: nothing is protected any more. Refused while a
/// [`Program`] of any process works with these pins. Nothing there is fine.
pub fn detach_all(pin_dir: &Path) -> Result<(), Error> {
    if !pin_dir.exists() {
        return Ok(());
    }
    let lock = lock(pin_dir)?;
    let ours = pinned_ids(pin_dir)?;
    for ifindex in attach::linked(pin_dir)? {
        attach::end(&lock, pin_dir, ifindex, None)?;
    }
    if let Some(interfaces) = maps::pinned(&Layout::INTERFACES.pin(pin_dir))? {
        for ifindex in maps::numbers(&interfaces) {
            attach::end_if_ours(&lock, pin_dir, ifindex, &ours)?;
        }
    }
    let fault = |source| Error::Pin { path: pin_dir.into(), source };
    for entry in fs::read_dir(pin_dir).map_err(fault)? {
        fs::remove_file(entry.map_err(fault)?.path()).map_err(fault)?;
    }
    fs::remove_dir(pin_dir).map_err(fault)
}

/// One process at a time: the lock goes with the process, however it ends.
fn lock(pin_dir: &Path) -> Result<File, Error> {
    let fault = |source| Error::Pin { path: pin_dir.into(), source };
    let directory = File::open(pin_dir).map_err(fault)?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse(pin_dir.into())),
        Err(fs::TryLockError::Error(source)) => Err(fault(source)),
    }
}

/// Ids of the maps pinned here: a program that uses one of them is ours.
fn pinned_ids(pin_dir: &Path) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::new();
    for layout in Layout::all(Limits::default()) {
        if let Some(map) = maps::pinned(&layout.pin(pin_dir))? {
            ids.push(maps::map_id(&map).map_err(|source| Error::Map { map: layout.name, source })?);
        }
    }
    Ok(ids)
}
