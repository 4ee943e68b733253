//! AF_XDP sockets: one queue of one interface over the shared UMEM.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING,
    XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpMmapOffsets,
    XdpOptionsFlags, XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::frame::Frame;
use crate::memory::Memory;
use crate::pool::Pool;
use crate::port::{Port, Statistics};
use crate::ring::{Consumer, Offsets, Producer};
use crate::rings::{RingSizes, Rings};
use crate::umem::{PortId, Umem};

/// Packets that the kernel sends in one call, in copy mode, unless told otherwise.
const DEFAULT_TX_BUDGET: u32 = 32;

/// How to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// Zero copy, or an error.
    ZeroCopy,
    /// Copy mode, even where the driver could do better.
    Copy,
    /// Zero copy if the driver has it, else copy. Ask [`Socket::mode`] which it became.
    Any,
}

/// What the kernel says it does (`XDP_OPTIONS`), whatever was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The device reads and writes the UMEM itself.
    ZeroCopy,
    /// The kernel copies between its buffers and the UMEM.
    Copy,
}

impl Mode {
    const fn flag(self) -> SocketAddrXdpFlags {
        match self {
            Self::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
            Self::Copy => SocketAddrXdpFlags::XDP_COPY,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
        })
    }
}

/// What stood in the way of a bind: the kernel's number, put in an operator's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindFault {
    /// Another socket has the queue, or the kernel is still closing ours. Try again.
    Busy,
    /// The interface is down. Try again when it is up.
    InterfaceDown,
    /// There is no such interface in this network namespace.
    NoInterface,
    /// The interface has no such queue.
    NoQueue,
    /// The driver has no zero copy, or not with this MTU and frame size.
    NoZeroCopy,
    /// The process lacks a capability.
    NotPermitted,
    /// No memory, or no more of it may be locked.
    NoMemory,
    /// A ring size that is not a power of two or too large.
    RingSize,
    /// The kernel was built without AF_XDP.
    NoAfXdp,
    /// Something else: see the step and the number.
    Other,
}

impl BindFault {
    const fn advice(self) -> &'static str {
        match self {
            Self::Busy => {
                "another AF_XDP socket has this queue: stop the other program; \
                 after a restart or link flap it comes free by itself, try again"
            }
            Self::InterfaceDown => "the interface is down: set it up, or wait for its link",
            Self::NoInterface => "no such interface in this network namespace: check its name",
            Self::NoQueue => "no such queue: compare with `ethtool -l`",
            Self::NoZeroCopy => {
                "the driver offers no zero copy with this MTU and frame size: \
                 set `require: native` or `any`, or use another NIC"
            }
            Self::NotPermitted => {
                "not permitted: run as root, or with CAP_NET_RAW and CAP_IPC_LOCK"
            }
            Self::NoMemory => "no memory to lock: lower `frames` or raise the limit (ulimit -l)",
            Self::RingSize => "ring sizes are powers of two, at most 2^20",
            Self::NoAfXdp => "this kernel has no AF_XDP: use one with CONFIG_XDP_SOCKETS=y",
            Self::Other => "see the kernel log for what the driver says",
        }
    }

    const fn of(step: &'static str, errno: Errno, asked: Mode) -> Self {
        match errno {
            Errno::BUSY => Self::Busy,
            Errno::NETDOWN => Self::InterfaceDown,
            Errno::NODEV | Errno::NXIO => Self::NoInterface,
            Errno::OPNOTSUPP if matches!(asked, Mode::ZeroCopy) => Self::NoZeroCopy,
            Errno::INVAL if matches!(step.as_bytes(), b"bind") => Self::NoQueue,
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::NOMEM | Errno::NOBUFS => Self::NoMemory,
            Errno::AFNOSUPPORT => Self::NoAfXdp,
            _ => Self::Other,
        }
    }
}

/// A queue could not be bound: which, at which step, why, and what to do (in its `Display`).
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("AF_XDP on interface {ifindex} queue {queue}: {step}: {errno}: {}", fault.advice())]
pub struct BindError {
    /// The interface asked for.
    pub ifindex: u32,
    /// The queue asked for.
    pub queue: u32,
    /// What was being done.
    pub step: &'static str,
    /// What the kernel said.
    pub errno: Errno,
    /// What that means here.
    pub fault: BindFault,
}

impl BindError {
    /// Whether the same call may succeed a little later, with nobody doing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self.fault, BindFault::Busy | BindFault::InterfaceDown)
    }
}

/// A step and what the kernel said to it.
type Failed = (&'static str, Errno);

/// One live socket that others can share the UMEM's registration with.
#[derive(Debug)]
pub(crate) struct Sharer {
    port: PortId,
    fd: Arc<OwnedFd>,
    queue: (u32, u32),
    mode: Mode,
}

/// An AF_XDP socket on one queue of one interface.
///
/// Dropping it closes it, and the frames in its rings come home: at once in copy mode, and after a
/// rest of five seconds in zero copy, since a device may go on writing for a moment. That holds
/// only if nobody else keeps the socket open: do not duplicate the descriptor from `as_fd`, and
/// start no process while one is being closed (it holds the descriptor until it has executed).
#[derive(Debug)]
pub struct Socket {
    // The order is the order of dropping. Mappings and the sharer's entry keep the socket open;
    // frames come home only after it is closed.
    rings: Rings,
    _entry: Entry,
    fd: Arc<OwnedFd>,
    home: Home,
    shared: bool,
}

/// Our line in the list of sockets to share with.
#[derive(Debug)]
struct Entry(&'static Umem, PortId);

impl Drop for Entry {
    fn drop(&mut self) {
        sharers(self.0).retain(|sharer| sharer.port != self.1);
    }
}

/// The way home for the frames in a closed socket's rings.
#[derive(Debug)]
struct Home {
    umem: &'static Umem,
    port: PortId,
    mode: Mode,
}

impl Drop for Home {
    fn drop(&mut self) {
        match self.mode {
            Mode::Copy => self.umem.reclaim(self.port),
            Mode::ZeroCopy => self.umem.rest(self.port, Instant::now()),
        }
    }
}

fn sharers(umem: &Umem) -> MutexGuard<'_, Vec<Sharer>> {
    umem.sharers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Socket {
    /// Opens a socket on `queue` of the interface `ifindex` (of this thread's network namespace)
    /// with the frames of `umem`. Put `as_fd` into the XSKMAP to receive.
    ///
    /// The first socket of a mode registers the UMEM with the kernel; the others share it
    /// (`XDP_SHARED_UMEM`), each with rings of its own. A sharer inherits the mode, so a NIC with
    /// zero copy beside one without means one registration more of the same memory.
    ///
    /// # Errors
    /// [`BindError`] says what to do; after [`BindError::is_transient`] try again with backoff.
    pub fn bind(
        umem: &'static Umem,
        ifindex: u32,
        queue: u32,
        mode: BindMode,
        sizes: RingSizes,
    ) -> Result<Self, BindError> {
        let wish = Wish { umem, ifindex, queue, sizes };
        if let Some(step) = sizes.wrong() {
            return Err(BindError {
                fault: BindFault::RingSize,
                ..wish.error((step, Errno::INVAL))
            });
        }
        match mode {
            BindMode::ZeroCopy => wish.attempt(Mode::ZeroCopy),
            BindMode::Copy => wish.attempt(Mode::Copy),
            BindMode::Any => match wish.attempt(Mode::ZeroCopy) {
                Err(error) if error.fault != BindFault::Busy => wish.attempt(Mode::Copy),
                done => done,
            },
        }
    }

    /// The mode that the kernel reports for this socket.
    pub const fn mode(&self) -> Mode {
        self.home.mode
    }

    /// Whether it shares another socket's registration of the UMEM (`XDP_SHARED_UMEM`).
    pub const fn shares_umem(&self) -> bool {
        self.shared
    }

    fn kernel_statistics(&self, counts: &mut Statistics) {
        let Ok(kernel) = sockopt::xdp_statistics(&self.fd) else { return };
        counts.rx_dropped = kernel.rx_dropped;
        counts.rx_invalid = kernel.rx_invalid_descs;
        counts.tx_invalid = kernel.tx_invalid_descs;
        counts.rx_ring_full = kernel.rx_ring_full.unwrap_or(0);
        counts.fill_ring_empty = kernel.rx_fill_ring_empty_descs.unwrap_or(0);
        counts.tx_ring_empty = kernel.tx_ring_empty_descs.unwrap_or(0);
    }

    /// "Busy" in its several forms means that the kernel is at work and will be asked again.
    fn note(&mut self, kick: Result<(), Errno>) {
        match kick {
            Ok(()) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::INTR) => {}
            Err(_) => self.rings.counts.wake_errors += 1,
        }
    }
}

/// A bind to be tried.
struct Wish {
    umem: &'static Umem,
    ifindex: u32,
    queue: u32,
    sizes: RingSizes,
}

impl Wish {
    fn error(&self, (step, errno): Failed) -> BindError {
        let fault = BindFault::of(step, errno, Mode::Copy);
        BindError { ifindex: self.ifindex, queue: self.queue, step, errno, fault }
    }

    /// Shares with a live socket of the same mode if there is one, else registers the UMEM.
    fn attempt(&self, mode: Mode) -> Result<Socket, BindError> {
        let mut sharers = sharers(self.umem);
        let sharing = self.share(&sharers, mode);
        let shared = sharing.is_some();
        let (fd, rings) = sharing.unwrap_or_else(|| self.register(mode)).map_err(|failed| {
            let fault = BindFault::of(failed.0, failed.1, mode);
            BindError { fault, ..self.error(failed) }
        })?;
        let port = rings.port;
        let fd = Arc::new(fd);
        let mode = mode_of(&fd).map_err(|errno| self.error(("read XDP_OPTIONS", errno)))?;
        let queue = (self.ifindex, self.queue);
        sharers.push(Sharer { port, fd: Arc::clone(&fd), queue, mode });
        let umem = self.umem;
        let home = Home { umem, port, mode };
        Ok(Socket { rings, _entry: Entry(umem, port), fd, home, shared })
    }

    /// `None` if there is nobody to share with: a socket whose interface has gone is not bound any
    /// more (EBADF), and one on this very queue would not let us have rings of our own.
    fn share(&self, sharers: &[Sharer], mode: Mode) -> Option<Result<(OwnedFd, Rings), Failed>> {
        let here = (self.ifindex, self.queue);
        let same_mode = sharers.iter().filter(|s| s.mode == mode && s.queue != here);
        same_mode
            .map(|s| self.open(None, Some(s.fd.as_fd()), mode))
            .find(|tried| !matches!(tried, Err(("bind", Errno::BADF))))
    }

    fn register(&self, mode: Mode) -> Result<(OwnedFd, Rings), Failed> {
        let base = self.umem.memory().span::<u8>(0, self.umem.memory().len());
        let registration = XdpUmemReg {
            addr: base.map_or(0, |base| base.as_ptr().expose_provenance() as u64),
            len: self.umem.memory().len() as u64,
            chunk_size: self.umem.frame_size() as u32,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        self.open(Some(registration), None, mode)
    }

    fn open(
        &self,
        registration: Option<XdpUmemReg>,
        share: Option<BorrowedFd<'_>>,
        mode: Mode,
    ) -> Result<(OwnedFd, Rings), Failed> {
        let fd = rustix::net::socket_with(
            AddressFamily::XDP,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|e| ("open a socket", e))?;
        if let Some(registration) = registration {
            sockopt::set_xdp_umem_reg(&fd, registration).map_err(|e| ("register the UMEM", e))?;
        }
        let rings = self.rings(&fd)?;
        self.bind(&fd, share, mode).map_err(|e| ("bind", e))?;
        Ok((fd, rings))
    }

    fn bind(&self, fd: &OwnedFd, share: Option<BorrowedFd<'_>>, mode: Mode) -> Result<(), Errno> {
        let address = |flags| SocketAddrXdp::new(flags, self.ifindex, self.queue);
        match share {
            // Mode and need-wakeup are the sharer's; the kernel refuses other flags here.
            Some(shared_umem_fd) => {
                let addr = address(SocketAddrXdpFlags::XDP_SHARED_UMEM);
                rustix::net::bind(fd, &SocketAddrXdpWithSharedUmem { addr, shared_umem_fd })
            }
            None => {
                let flags = mode.flag() | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
                rustix::net::bind(fd, &address(flags))
            }
        }
    }

    fn rings(&self, fd: &OwnedFd) -> Result<Rings, Failed> {
        self.size_rings(fd).map_err(|e| ("size the rings", e))?;
        let at = sockopt::xdp_mmap_offsets(fd).map_err(|e| ("read XDP_MMAP_OFFSETS", e))?;
        self.map_rings(fd, &at).map_err(|e| ("map the rings", e))
    }

    /// The budget must be set after the transmit ring, which bounds it. A kernel before 6.17 does
    /// not know it: then each wake-up sends 32 packets, and that is all. The send buffer counts
    /// packets that a device has not finished with (copy mode), and its default holds about 90.
    fn size_rings(&self, fd: &OwnedFd) -> Result<(), Errno> {
        sockopt::set_xdp_umem_fill_ring_size(fd, self.sizes.fill)?;
        sockopt::set_xdp_umem_completion_ring_size(fd, self.sizes.completion)?;
        sockopt::set_xdp_rx_ring_size(fd, self.sizes.receive)?;
        sockopt::set_xdp_tx_ring_size(fd, self.sizes.transmit)?;
        if self.sizes.transmit > DEFAULT_TX_BUDGET {
            let _unsupported = set_tx_budget(fd.as_fd(), self.sizes.transmit);
        }
        let octets = self.umem.frame_size() * 2 * self.sizes.transmit as usize;
        let _unprivileged = sockopt::set_socket_send_buffer_size_force(fd, octets);
        Ok(())
    }

    fn map_rings(&self, fd: &OwnedFd, at: &XdpMmapOffsets) -> Result<Rings, Errno> {
        let (umem, sizes) = (self.umem, self.sizes);
        Ok(Rings {
            umem,
            port: umem.new_port(),
            sizes,
            fill: producer(fd, XDP_UMEM_PGOFF_FILL_RING, &at.fr, sizes.fill)?,
            receive: consumer(fd, XDP_PGOFF_RX_RING, &at.rx, sizes.receive)?,
            transmit: producer(fd, XDP_PGOFF_TX_RING, &at.tx, sizes.transmit)?,
            completion: consumer(fd, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, sizes.completion)?,
            filling: 0,
            sending: 0,
            counts: Statistics::default(),
        })
    }
}

fn producer<T: Copy>(
    fd: &OwnedFd,
    page: u64,
    at: &XdpRingOffset,
    size: u32,
) -> Result<Producer<T>, Errno> {
    let (memory, at) = map::<T>(fd, page, at, size)?;
    Producer::over(memory, at, size).ok_or(Errno::PROTO)
}

fn consumer<T: Copy>(
    fd: &OwnedFd,
    page: u64,
    at: &XdpRingOffset,
    size: u32,
) -> Result<Consumer<T>, Errno> {
    let (memory, at) = map::<T>(fd, page, at, size)?;
    Consumer::over(memory, at, size).ok_or(Errno::PROTO)
}

/// Maps one ring where the kernel says its parts are. Kernels without ring flags (before 5.4) have
/// no need-wakeup either, and are not served.
fn map<T>(
    fd: &OwnedFd,
    page: u64,
    at: &XdpRingOffset,
    size: u32,
) -> Result<(Arc<Memory>, Offsets), Errno> {
    let place = |n: u64| usize::try_from(n).ok().filter(|n| *n <= 1 << 16).ok_or(Errno::PROTO);
    let at = Offsets {
        producer: place(at.producer)?,
        consumer: place(at.consumer)?,
        flags: place(at.flags.ok_or(Errno::NOSYS)?)?,
        entries: place(at.desc)?,
    };
    Ok((Arc::new(Memory::of_socket(fd.as_fd(), page, at.octets::<T>(size))?), at))
}

fn mode_of(fd: &OwnedFd) -> Result<Mode, Errno> {
    let zero_copy = XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY;
    let options = sockopt::xdp_options(fd)?;
    Ok(if options.contains(zero_copy) { Mode::ZeroCopy } else { Mode::Copy })
}

/// `XDP_MAX_TX_SKB_BUDGET` of `linux/if_xdp.h`; neither rustix nor libc has a name for it.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

fn set_tx_budget(fd: BorrowedFd<'_>, budget: u32) -> std::io::Result<()> {
    // SAFETY: the option's value is a `u32` on our stack, and its length is given. No Miri: it has
    // no sockets of this kind.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            (&raw const budget).cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Port for Socket {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        self.rings.receive(into, max)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        self.rings.transmit(frames)
    }

    fn recycle(&mut self, pool: &mut Pool) {
        self.rings.recycle(pool);
    }

    fn wake(&mut self) {
        if self.rings.unsent() && self.rings.transmit.needs_wakeup() {
            let kick = rustix::net::send(&self.fd, &[], SendFlags::DONTWAIT);
            self.note(kick.map(drop));
        }
        if self.rings.fill.needs_wakeup() {
            let kick = rustix::net::recv(&self.fd, &mut [0_u8; 0], RecvFlags::DONTWAIT);
            self.note(kick.map(drop));
        }
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn in_flight(&self) -> usize {
        self.rings.in_flight()
    }

    fn statistics(&self) -> Statistics {
        let mut counts = self.rings.counts;
        self.kernel_statistics(&mut counts);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        let umem = Umem::new(4, 2048).unwrap();
        Wish { umem, ifindex: 7, queue: 3, sizes: RingSizes::all(16) }
    }

    #[test]
    fn an_error_names_the_queue_and_what_to_do() {
        let said = wish().error(("bind", Errno::BUSY));
        assert!(said.is_transient());
        let said = said.to_string();
        assert!(said.contains("interface 7 queue 3") && said.contains("stop the other"), "{said}");
        let said = wish().error(("bind", Errno::INVAL));
        assert_eq!((said.fault, said.is_transient()), (BindFault::NoQueue, false));
    }

    #[test]
    fn no_zero_copy_is_told_from_other_refusals() {
        let of = |mode| BindFault::of("bind", Errno::OPNOTSUPP, mode);
        assert_eq!(of(Mode::ZeroCopy), BindFault::NoZeroCopy);
        assert_eq!(of(Mode::Copy), BindFault::Other);
    }

    #[test]
    fn ring_sizes_are_checked_before_the_kernel_is_asked() {
        let umem = Umem::new(4, 2048).unwrap();
        for sizes in [
            RingSizes { fill: 0, ..RingSizes::all(16) },
            RingSizes { completion: 48, ..RingSizes::all(16) },
            RingSizes { receive: 1 << 21, ..RingSizes::all(16) },
            RingSizes { transmit: u32::MAX, ..RingSizes::all(16) },
        ] {
            let error = Socket::bind(umem, 1, 0, BindMode::Any, sizes).unwrap_err();
            assert_eq!(error.fault, BindFault::RingSize, "{error}");
        }
    }
}
