//! The TUN device `postern0`: packets for the gateway itself go to the kernel by it, and the kernel's own packets
//! enter tunnels by it.
//!
//! The device is persistent, so that routes through it outlive us: while nobody reads, it has no carrier and the
//! kernel drops what is routed into it. It is multi-queue, one queue per worker, and each queue has a thread that does
//! the reading and writing: a worker's [`TunPort`] is four lock-free queues of frames and costs no system call on a
//! turn that has nothing for the kernel. Packets are raw IP without an Ethernet header; the kernel hands us no
//! unfinished checksums and no segments to cut (no `TUN_F_*` offload is asked for).
use crate::bell::Bell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crossbeam_queue::ArrayQueue;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tun_rs::{DeviceBuilder, SyncDevice};
use xsk::{Frame, Pool, Port, Statistics};

/// Frames each way that may wait between a worker and its thread.
const DEPTH: usize = 256;
/// Frames lent to the thread to read into.
const LENT: usize = 64;
/// Octets left free before a packet from the kernel: outer headers, UDP, ESP and an Ethernet header fit.
const HEADROOM: usize = 256;

/// What can go wrong with the device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel does not give us the device.
    #[error("TUN device {name}: {source} (is the tun module loaded, and are we root?)")]
    Open {
        /// The device.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// Something around it failed.
    #[error("TUN device {name}: {what}: {source}")]
    Setup {
        /// The device.
        name: String,
        /// The step.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Makes or adopts the device and returns one port per worker. The device is left down if it was: see
/// [`crate::routes::set_up`].
///
/// # Errors
/// The device cannot be had, or a thread cannot be started.
pub fn open(name: &str, mtu: u16, workers: usize) -> Result<Vec<TunPort>, TunError> {
    let mut ports = Vec::with_capacity(workers);
    for worker in 0..workers {
        let device = DeviceBuilder::new()
            .name(name)
            .multi_queue(true)
            .mtu(mtu)
            .inherit_enable_state()
            .build_sync()
            .map_err(|source| TunError::Open { name: name.into(), source })?;
        let setup = |what| move |source| TunError::Setup { name: name.into(), what, source };
        device.persist().map_err(setup("make it persistent"))?;
        device.set_nonblocking(true).map_err(setup("make it non-blocking"))?;
        let port = TunPort::start(device, worker).map_err(setup("start its thread"))?;
        ports.push(port);
    }
    quieten(name);
    Ok(ports)
}

/// Sysctls of the device: no reverse path check (what comes out of a tunnel is checked against policy), no address of
/// its own making, no router solicitations, no redirects.
fn quieten(name: &str) {
    let settings = [
        ("ipv4", "rp_filter", "0"),
        ("ipv4", "send_redirects", "0"),
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "router_solicitations", "0"),
    ];
    for (family, key, value) in settings {
        let path = Path::new("/proc/sys/net").join(family).join("conf").join(name).join(key);
        if let Err(error) = std::fs::write(&path, value)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), value, %error, "sysctl not set; set it by hand");
        }
    }
}

/// What a worker and its thread share.
struct Exchange {
    /// Empty frames to read into.
    lent: ArrayQueue<Frame>,
    /// From the kernel.
    received: ArrayQueue<Frame>,
    /// To the kernel.
    sending: ArrayQueue<Frame>,
    /// Written, or refused by the kernel: empty again.
    sent: ArrayQueue<Frame>,
    for_worker: Bell,
    for_thread: Bell,
    asleep: AtomicBool,
    stop: AtomicBool,
    refused: AtomicU64,
}

/// A worker's end of its queue of the TUN device. Raw IP.
pub struct TunPort {
    exchange: Arc<Exchange>,
    in_flight: usize,
    received: u64,
    transmitted: u64,
    completed: u64,
    news: bool,
    thread: Option<JoinHandle<()>>,
}

impl TunPort {
    fn start(device: SyncDevice, worker: usize) -> io::Result<Self> {
        let bell = || Bell::new().map_err(io::Error::from);
        let exchange = Arc::new(Exchange {
            lent: ArrayQueue::new(LENT),
            received: ArrayQueue::new(LENT),
            sending: ArrayQueue::new(DEPTH),
            sent: ArrayQueue::new(DEPTH + LENT),
            for_worker: bell()?,
            for_thread: bell()?,
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&exchange);
        let name = format!("tun-{worker}");
        let run = move || Reader { device, exchange: theirs }.run();
        let thread = Some(std::thread::Builder::new().name(name).spawn(run)?);
        let (received, transmitted, completed) = (0, 0, 0);
        Ok(Self { exchange, in_flight: 0, received, transmitted, completed, news: false, thread })
    }
}

impl Port for TunPort {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        self.exchange.for_worker.answer();
        let before = into.len();
        into.extend(core::iter::from_fn(|| self.exchange.received.pop()).take(max));
        let count = into.len().saturating_sub(before);
        self.in_flight = self.in_flight.saturating_sub(count);
        self.received = self.received.wrapping_add(count as u64);
        count
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        // `sent` must be able to take back everything that lies in `sending`: the thread never waits for us.
        let room = DEPTH.saturating_sub(self.exchange.sending.len() + self.exchange.sent.len());
        let count = room.min(frames.len());
        for frame in frames.drain(..count) {
            // Only this end pushes, so there is room; a frame that found none would drop home to the UMEM.
            self.in_flight += usize::from(self.exchange.sending.push(frame).is_ok());
        }
        self.transmitted = self.transmitted.wrapping_add(count as u64);
        self.news |= count > 0;
        count
    }

    fn recycle(&mut self, pool: &mut Pool) {
        while let Some(frame) = self.exchange.sent.pop() {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.completed = self.completed.wrapping_add(1);
            pool.put(frame);
        }
        // Only as many as `received` can take back.
        let outside = self.exchange.lent.len() + self.exchange.received.len();
        for _ in outside..LENT.saturating_sub(1) {
            let Some(mut frame) = pool.take() else { break };
            frame.reset(HEADROOM);
            self.news |= self.exchange.lent.is_empty();
            self.in_flight += usize::from(self.exchange.lent.push(frame).is_ok());
        }
    }

    fn wake(&mut self) {
        // SeqCst, paired with `Reader::sleep`: either it sees our frames or we see it asleep.
        core::sync::atomic::fence(Ordering::SeqCst);
        if core::mem::take(&mut self.news) && self.exchange.asleep.load(Ordering::Relaxed) {
            self.exchange.for_thread.ring();
        }
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.exchange.for_worker.as_fd())
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            received: self.received,
            transmitted: self.transmitted,
            completed: self.completed,
            refused: self.exchange.refused.load(Ordering::Relaxed),
            ..Statistics::default()
        }
    }
}

impl Drop for TunPort {
    fn drop(&mut self) {
        self.exchange.stop.store(true, Ordering::Release);
        self.exchange.for_thread.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its frames come home with it
        }
    }
}

/// The thread's end.
struct Reader {
    device: SyncDevice,
    exchange: Arc<Exchange>,
}

impl Reader {
    fn run(&self) {
        let mut spare = None;
        while !self.exchange.stop.load(Ordering::Acquire) {
            self.exchange.for_thread.answer();
            let moved = self.write() | self.read(&mut spare);
            if !moved {
                self.sleep(spare.is_some());
            }
        }
    }

    /// Hands everything to the kernel. It does not keep us waiting: a TUN device takes or refuses.
    fn write(&self) -> bool {
        let mut moved = false;
        while let Some(frame) = self.exchange.sending.pop() {
            moved = true;
            if self.device.send(&frame).is_err() {
                self.exchange.refused.fetch_add(1, Ordering::Relaxed); // e.g. EIO: the device is down
            }
            let _ = self.exchange.sent.push(frame); // full cannot be; if it were, the frame drops home
        }
        moved
    }

    /// Takes what the kernel has, at most one batch.
    fn read(&self, spare: &mut Option<Frame>) -> bool {
        let mut moved = false;
        for _ in 0..LENT {
            let Some(mut frame) = spare.take().or_else(|| self.exchange.lent.pop()) else { break };
            if !self.read_one(&mut frame) {
                *spare = Some(frame);
                break;
            }
            let _ = self.exchange.received.push(frame);
            moved = true;
        }
        if moved {
            self.exchange.for_worker.ring();
        }
        moved
    }

    fn read_one(&self, frame: &mut Frame) -> bool {
        frame.reset(HEADROOM);
        let room = frame.tailroom();
        let Ok(octets) = frame.extend(room) else { return false };
        match self.device.recv(octets) {
            Ok(length) if length > 0 => {
                frame.truncate(length);
                true
            }
            _ => false,
        }
    }

    fn sleep(&self, can_read: bool) {
        self.exchange.asleep.store(true, Ordering::Relaxed);
        // SeqCst, paired with `TunPort::wake`.
        core::sync::atomic::fence(Ordering::SeqCst);
        let idle = self.exchange.sending.is_empty() && (can_read || self.exchange.lent.is_empty());
        if idle && !self.exchange.stop.load(Ordering::Acquire) {
            let bell = PollFd::new(&self.exchange.for_thread, PollFlags::IN);
            let device = PollFd::from_borrowed_fd(self.device.as_fd(), PollFlags::IN);
            let mut both = [bell, device];
            let count = if can_read { 2 } else { 1 };
            let _ = poll(both.get_mut(..count).unwrap_or_default(), None);
            if both.get(1).is_some_and(|device| device.revents().contains(PollFlags::ERR)) {
                // Somebody deleted the device: nothing comes from it any more, but the worker's frames go round.
                let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                let bell = PollFd::new(&self.exchange.for_thread, PollFlags::IN);
                let _ = poll(&mut [bell], Some(&pause));
            }
        }
        self.exchange.asleep.store(false, Ordering::Relaxed);
    }
}
