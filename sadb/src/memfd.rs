//! Memory in a sealed memfd (memfd_create(2)), mapped.
use crate::errors::RegionError;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use rustix::fs::{self, MemfdFlags, Mode, SealFlags};
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Without these the sender could cut the file under our mapping, and a load would raise SIGBUS.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Which of the two memories: they are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// May be read by tools.
    Shared,
    /// Holds keys: not in core dumps, not in swap if that can be had.
    Secret,
}

impl Which {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Secret => "secret",
        }
    }
    fn failed(self, call: &'static str, octets: u64) -> impl Fn(Errno) -> RegionError {
        move |errno| RegionError::System { call, part: self.name(), octets, errno }
    }
}

/// A sealed descriptor of `octets` zeroes that only this user can open anew.
pub(crate) fn create(which: Which, octets: u64) -> Result<OwnedFd, RegionError> {
    let name = format!("postern-{}", which.name());
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match fs::memfd_create(&name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => fs::memfd_create(&name, flags), // before Linux 6.3
        other => other,
    }
    .map_err(which.failed("memfd_create", octets))?;
    fs::fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(which.failed("fchmod", octets))?;
    fs::ftruncate(&fd, octets).map_err(which.failed("ftruncate", octets))?;
    fs::fcntl_add_seals(&fd, SEALS).map_err(which.failed("fcntl(F_ADD_SEALS)", octets))?;
    Ok(fd)
}

/// The same file, to read only: what a reader gets.
pub(crate) fn read_only(fd: BorrowedFd<'_>) -> Result<OwnedFd, RegionError> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::open(path, fs::OFlags::RDONLY | fs::OFlags::CLOEXEC, Mode::empty())
        .map_err(Which::Shared.failed("open of /proc/self/fd", 0))
}

/// A mapped descriptor.
pub(crate) struct Mapping {
    start: NonNull<c_void>,
    octets: usize,
    writable: bool,
    locked: bool,
    fd: OwnedFd,
}

impl Mapping {
    /// Maps all of a sealed file, writable when the descriptor is.
    pub(crate) fn new(which: Which, fd: OwnedFd) -> Result<Self, RegionError> {
        let octets = sealed_size(which, fd.as_fd())?;
        let writable = fs::fcntl_getfl(&fd).map_err(which.failed("fcntl(F_GETFL)", octets))?
            & fs::OFlags::RWMODE
            == fs::OFlags::RDWR;
        let write = if writable { ProtFlags::WRITE } else { ProtFlags::empty() };
        let octets =
            usize::try_from(octets).map_err(|_| which.failed("mmap", octets)(Errno::NOMEM))?;
        let (null, flags) = (ptr::null_mut(), MapFlags::SHARED | MapFlags::NORESERVE);
        // SAFETY: a null hint lets the kernel choose free addresses, so no memory of ours is replaced.
        // No Miri test: Miri has no mmap of files; `a_region_in_memfds_works` runs it for real.
        let start = unsafe { mm::mmap(null, octets, ProtFlags::READ | write, flags, &fd, 0) }
            .map_err(which.failed("mmap", octets as u64))?;
        let start = NonNull::new(start).ok_or(which.failed("mmap", octets as u64)(Errno::FAULT))?;
        let mut mapping = Self { start, octets, writable, locked: false, fd };
        if which == Which::Secret {
            mapping.protect()?;
        }
        Ok(mapping)
    }

    /// Keeps the pages out of core dumps, and out of swap where the limits allow.
    fn protect(&mut self) -> Result<(), RegionError> {
        let failed = Which::Secret.failed("madvise(MADV_DONTDUMP)", self.octets as u64);
        // SAFETY: the range is our own mapping; DONTDUMP changes no content.
        // No Miri test: see `new`; `a_region_in_memfds_works` runs it.
        unsafe { mm::madvise(self.start.as_ptr(), self.octets, Advice::LinuxDontDump) }
            .map_err(failed)?;
        // SAFETY: the range is our own mapping; locking changes no content.
        // No Miri test: see `new`; `a_region_in_memfds_works` runs it.
        self.locked = unsafe { mm::mlock(self.start.as_ptr(), self.octets) }.is_ok();
        Ok(())
    }

    pub(crate) fn start(&self) -> NonNull<c_void> {
        self.start
    }
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }
    /// Whether the pages are kept out of swap.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this range; the `Memory` that lends it out is being dropped, so no reference is
        // left. Unmapping our own whole mapping cannot fail. No Miri test: see `new`; `a_region_in_memfds_works`.
        let _ = unsafe { mm::munmap(self.start.as_ptr(), self.octets) };
    }
}

/// The size of a file that can neither shrink nor grow any more.
fn sealed_size(which: Which, fd: BorrowedFd<'_>) -> Result<u64, RegionError> {
    let not_sealed =
        |seals: SealFlags| RegionError::NotSealed { part: which.name(), seals: seals.bits() };
    let seals = fs::fcntl_get_seals(fd).map_err(|_| not_sealed(SealFlags::empty()))?;
    if !seals.contains(SEALS) {
        return Err(not_sealed(seals));
    }
    let octets = fs::fstat(fd).map_err(which.failed("fstat", 0))?.st_size;
    let octets = u64::try_from(octets).unwrap_or_default();
    match octets {
        0 => Err(RegionError::BadSize { part: which.name(), need: 8, have: 0 }),
        octets => Ok(octets),
    }
}
