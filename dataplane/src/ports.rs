//! The gateway's interfaces: the XDP program on each, one AF_XDP socket per receive queue, and what is done when a
//! link goes away and comes back.
//!
//! Worker `i` of `n` owns the queues `i, i + n, …` of every interface. An interface with fewer queues than the setup
//! has cores limits the number of workers; that is said loudly, with the command that changes it.
//!
//! A socket dies with its network device (deleted and made again, driver reset): the mirror then shows another link
//! number, or none. The workers get a [`Closed`] port in its place, so that nothing waits in a dead ring, the program is
//! attached anew and the queues are bound again with growing pauses until the kernel gives them (EBUSY while it still
//! closes the old ones).
use crate::seat::{Errand, Seat};
use crate::tables::InterfaceInfo;
use bpf::{AttachMode, Program};
use core::time::Duration;
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use sadb::{Interface, InterfaceStatus, Name, Region, Requirement, Role, XdpMode};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use xsk::{BindError, BindMode, Frame, Pool, Port, RingSizes, Socket, Statistics, Umem};

/// First and longest pause between attempts to bind.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why an interface cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No such link now.
    #[error("there is no interface of this name; waiting for it")]
    Missing,
    /// The program cannot be attached.
    #[error(transparent)]
    Attach(#[from] bpf::Error),
    /// A queue cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The mode is less than what the configuration requires.
    #[error(
        "runs in mode {mode:?} and the configuration requires {require:?}: use a NIC whose driver has it, free a \
         transmit queue (`ethtool -L`), lower the MTU, or set `require: any`"
    )]
    Mode {
        /// What it reached.
        mode: XdpMode,
        /// What was asked.
        require: Requirement,
    },
    /// Fewer queues than when the workers were started.
    #[error(
        "has {have} queues for {workers} workers: `ethtool -L IF combined {workers}`, or fewer `workers.cores`"
    )]
    Queues {
        /// Receive queues in use by the driver.
        have: u32,
        /// Workers that run.
        workers: usize,
    },
    /// The system refused something small.
    #[error("epoll: {0}")]
    System(Errno),
}

impl PortError {
    /// Whether waiting may help: the interface is away, down, or the kernel still closes old sockets.
    fn passes(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Bind(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// Receive queues that the driver uses now, as ethtool says or else as `/sys/class/net/IF/queues/rx-*` does. At least
/// one. (`/sys` shows the network namespace of whoever mounted it, which need not be ours; ethtool shows ours.)
pub fn queues(name: &str, ifindex: u32) -> u32 {
    if let Ok(Some(count)) = crate::ethtool::receive_queues(ifindex) {
        return count;
    }
    let path = Path::new("/sys/class/net").join(name).join("queues");
    let Ok(entries) = std::fs::read_dir(path) else { return 1 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    u32::try_from(names.filter(|name| name.starts_with("rx-")).count()).unwrap_or(1).max(1)
}

struct Bound {
    ifindex: u32,
    queues: u32,
    mode: XdpMode,
    /// Wake-up errors as of the last look, to tell a dead device.
    wake_errors: u64,
}

struct Entry {
    setup: Interface,
    bound: Option<Bound>,
    retry_at: Instant,
    pause: Duration,
    attempts: u32,
    rebinds: u64,
    /// What the sockets before the present ones counted.
    before: Statistics,
}

/// A port for each worker, of one interface.
pub type Row = Vec<Box<dyn Port>>;

/// All interfaces of the setup.
pub struct Ports {
    program: Program,
    umem: &'static Umem,
    sizes: RingSizes,
    workers: usize,
    entries: Vec<Entry>,
}

impl Ports {
    /// Nothing attached or bound yet.
    pub fn new(
        program: Program,
        umem: &'static Umem,
        frames: u32,
        interfaces: &[Interface],
        workers: usize,
    ) -> Self {
        let now = Instant::now();
        let entry = |setup: &Interface| Entry {
            setup: *setup,
            bound: None,
            retry_at: now,
            pause: PAUSE,
            attempts: 0,
            rebinds: 0,
            before: Statistics::default(),
        };
        Self {
            program,
            umem,
            sizes: ring_sizes(frames, interfaces.len(), workers),
            workers,
            entries: interfaces.iter().map(entry).collect(),
        }
    }

    /// The program and its maps.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Attaches and binds every interface for the first time: per interface, one port per worker. An interface that is
    /// away or down now gets closed ports and is tried again later.
    ///
    /// # Errors
    /// What waiting will not cure, with the interface's name.
    pub fn open(&mut self, links: &[InterfaceInfo]) -> Result<Vec<Row>, (Name, PortError)> {
        let mut rows = Vec::with_capacity(self.entries.len());
        for slot in 0..self.entries.len() {
            let ifindex = links.get(slot).map_or(0, |link| link.ifindex);
            let row = match self.bind(slot, ifindex) {
                Ok(row) => row,
                Err(error) => {
                    let name = self.entries.get(slot).map(|entry| entry.setup.name);
                    let Some(name) = name.filter(|_| !error.passes()) else {
                        self.postpone(slot, &error);
                        rows.push(self.closed_row());
                        continue;
                    };
                    return Err((name, error));
                }
            };
            rows.push(row);
        }
        Ok(rows)
    }

    /// Looks after the interfaces: releases those that went, binds those that came. Call when the links changed and
    /// now and then; says whether an interface changed its state.
    pub fn look_after(&mut self, links: &[InterfaceInfo], seats: &[Arc<Seat>]) -> bool {
        let mut changed = false;
        for slot in 0..self.entries.len() {
            let link = links.get(slot);
            let ifindex = link.map_or(0, |link| link.ifindex);
            changed |= self.release_if_dead(slot, ifindex, seats);
            let Some(entry) = self.entries.get(slot) else { continue };
            if entry.bound.is_some() || entry.retry_at > Instant::now() || ifindex == 0 {
                continue;
            }
            match self.bind(slot, ifindex) {
                Ok(row) => {
                    self.hand_out(slot, row, seats);
                    changed = true;
                }
                Err(error) => self.postpone(slot, &error),
            }
        }
        changed
    }

    /// Whether our program still hangs on each bound interface; puts it back where it does not.
    pub fn check_attachments(&self) {
        for (slot, entry) in self.entries.iter().enumerate() {
            let Some(bound) = &entry.bound else { continue };
            if matches!(self.program.attached(bound.ifindex), Ok(None)) {
                let name = entry.setup.name;
                tracing::error!(%name, "somebody took the XDP program off; attaching it again");
                if let Err(error) = self.attach(slot, entry, bound.ifindex) {
                    tracing::error!(%name, %error, "cannot attach; what policy protects may pass in the clear");
                }
            }
        }
    }

    /// Writes every interface's status into the region.
    pub fn publish(&self, region: &Region, links: &[InterfaceInfo], seats: &[Arc<Seat>]) {
        for (slot, entry) in self.entries.iter().enumerate() {
            let mut counts = entry.before;
            if entry.bound.is_some() {
                counts += current(seats, slot);
            }
            region.set_interface(slot, &entry.status(links.get(slot), counts));
        }
    }

    /// Mode of each interface, for the report.
    pub fn modes(&self) -> impl Iterator<Item = (&Interface, XdpMode, u32)> {
        self.entries.iter().map(|entry| {
            let bound = entry.bound.as_ref();
            let mode = bound.map_or(XdpMode::Down, |bound| bound.mode);
            (&entry.setup, mode, bound.map_or(0, |bound| bound.queues))
        })
    }

    fn closed_row(&self) -> Row {
        (0..self.workers).map(|_| Box::new(Closed::default()) as Box<dyn Port>).collect()
    }

    fn hand_out(&self, slot: usize, row: Row, seats: &[Arc<Seat>]) {
        for (seat, port) in seats.iter().zip(row) {
            // The worker is stuck if it has not taken 64 errands; a dropped port closes its socket.
            if seat.send(Errand::Port(slot, port)).is_err() {
                tracing::error!(slot, "a worker does not take its new port");
            }
        }
    }

    /// Gone, another device of the same name, or one that refuses every wake-up although its link is up.
    fn release_if_dead(&mut self, slot: usize, ifindex: u32, seats: &[Arc<Seat>]) -> bool {
        let counts = current(seats, slot);
        let Some(entry) = self.entries.get_mut(slot) else { return false };
        let Some(bound) = &mut entry.bound else { return false };
        let refusing = counts.wake_errors > bound.wake_errors.saturating_add(16);
        bound.wake_errors = counts.wake_errors;
        if bound.ifindex == ifindex && !refusing {
            return false;
        }
        tracing::warn!(name = %entry.setup.name, was = bound.ifindex, now = ifindex, "the device is gone; binding again");
        let queues = bound.queues;
        entry.bound = None;
        entry.rebinds += 1;
        entry.before += counts;
        (entry.pause, entry.attempts, entry.retry_at) = (PAUSE, 0, Instant::now());
        for queue in 0..queues {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            let _ = self.program.clear_socket(slot, queue); // the kernel did it itself when the device went
        }
        let row = self.closed_row();
        self.hand_out(slot, row, seats);
        true
    }

    fn postpone(&mut self, slot: usize, error: &PortError) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        entry.attempts += 1;
        if entry.attempts.is_power_of_two() {
            tracing::warn!(name = %entry.setup.name, attempts = entry.attempts, %error, "interface not in use");
        }
        entry.retry_at = Instant::now() + entry.pause;
        entry.pause = (entry.pause * 2).min(LONGEST_PAUSE);
    }

    fn bind(&mut self, slot: usize, ifindex: u32) -> Result<Row, PortError> {
        let entry = self.entries.get(slot).filter(|_| ifindex != 0).ok_or(PortError::Missing)?;
        let name = entry.setup.name;
        let have = queues(name.as_str(), ifindex);
        if (have as usize) < self.workers {
            return Err(PortError::Queues { have, workers: self.workers });
        }
        let attached = self.attach(slot, entry, ifindex)?;
        offloads_off(&name, ifindex, attached);
        let (row, mode) = self.sockets(slot, ifindex, have, bind_mode(entry.setup.require))?;
        let mode = match (attached, mode) {
            (AttachMode::Generic, _) => XdpMode::Generic,
            (AttachMode::Native, xsk::Mode::ZeroCopy) => XdpMode::ZeroCopy,
            (AttachMode::Native, xsk::Mode::Copy) => XdpMode::Copy,
        };
        let require = entry.setup.require;
        if !satisfies(mode, require) {
            return Err(PortError::Mode { mode, require });
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.bound = Some(Bound { ifindex, queues: have, mode, wake_errors: 0 });
            crate::report::interface(&entry.setup, mode, have);
        }
        Ok(row)
    }

    fn attach(&self, slot: usize, entry: &Entry, ifindex: u32) -> Result<AttachMode, bpf::Error> {
        let role = match entry.setup.role {
            Role::Inside => bpf::Role::Inside,
            Role::Outside => bpf::Role::Outside,
        };
        let mode = match entry.setup.require {
            Requirement::Any => bpf::Mode::Any,
            Requirement::Native | Requirement::ZeroCopy => bpf::Mode::Native,
        };
        self.program.attach(ifindex, role, u32::try_from(slot).unwrap_or(u32::MAX), mode)
    }

    /// Binds every queue, then lets frames come to all of them.
    fn sockets(
        &self,
        slot: usize,
        ifindex: u32,
        queues: u32,
        mode: BindMode,
    ) -> Result<(Row, xsk::Mode), PortError> {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let mut owned: Vec<Vec<Socket>> = (0..self.workers).map(|_| Vec::new()).collect();
        let mut reached = xsk::Mode::ZeroCopy;
        for queue in 0..queues {
            let socket = Socket::bind(self.umem, ifindex, queue, mode, self.sizes)?;
            if socket.mode() == xsk::Mode::Copy {
                reached = xsk::Mode::Copy;
            }
            self.program.set_socket(slot, queue, socket.as_fd())?;
            let worker = (queue as usize).checked_rem(self.workers).unwrap_or(0);
            if let Some(sockets) = owned.get_mut(worker) {
                sockets.push(socket);
            }
        }
        let row = owned.into_iter().map(|sockets| Queues::port(sockets).map_err(PortError::System));
        Ok((row.collect::<Result<_, _>>()?, reached))
    }
}

impl Entry {
    fn status(&self, link: Option<&InterfaceInfo>, counts: Statistics) -> InterfaceStatus {
        let name = self.setup.name;
        let bound = self.bound.as_ref();
        InterfaceStatus {
            name,
            role: self.setup.role,
            ifindex: link.map_or(0, |link| link.ifindex),
            mode: bound.map_or(XdpMode::Down, |bound| bound.mode),
            queues: bound.map_or(0, |bound| bound.queues),
            mtu: link.map_or(0, |link| u32::from(link.mtu)),
            driver: link.and_then(|link| link.driver),
            up: link.is_some_and(|link| link.up),
            rx_dropped: counts.rx_dropped,
            rx_ring_full: counts.rx_ring_full,
            fill_ring_empty: counts.fill_ring_empty,
            tx_invalid: counts.tx_invalid.wrapping_add(counts.refused),
            rebinds: self.rebinds,
        }
    }
}

fn current(seats: &[Arc<Seat>], slot: usize) -> Statistics {
    seats.iter().fold(Statistics::default(), |mut sum, seat| {
        sum += seat.statistics(slot);
        sum
    })
}

fn bind_mode(require: Requirement) -> BindMode {
    match require {
        Requirement::Any | Requirement::Native => BindMode::Any,
        Requirement::ZeroCopy => BindMode::ZeroCopy,
    }
}

fn satisfies(mode: XdpMode, require: Requirement) -> bool {
    match require {
        Requirement::Any => true,
        Requirement::Native => matches!(mode, XdpMode::Copy | XdpMode::ZeroCopy),
        Requirement::ZeroCopy => mode == XdpMode::ZeroCopy,
    }
}

/// Fill rings of all sockets together take at most half of the frames: the other half is in pools, transmit rings and
/// waiting queues.
fn ring_sizes(frames: u32, interfaces: usize, workers: usize) -> RingSizes {
    let sockets = u32::try_from(interfaces.saturating_mul(workers).max(1)).unwrap_or(u32::MAX);
    let share = (frames / 2).checked_div(sockets).unwrap_or(0).clamp(64, 2048);
    RingSizes::all(1 << share.ilog2())
}

fn offloads_off(name: &Name, ifindex: u32, attached: AttachMode) {
    match crate::ethtool::switch_off(ifindex) {
        Ok(left) => {
            for (feature, errno) in left {
                tracing::warn!(%name, feature, %errno, "receive offload stays on; frames may come too large");
            }
        }
        Err(error) if attached == AttachMode::Generic => {
            tracing::warn!(%name, %error, "offloads unknown: `ethtool -K {name} gro off lro off`");
        }
        Err(error) => tracing::debug!(%name, %error, "offloads unknown"),
    }
}

/// Several queues of one interface that one worker owns. Sends by the first, so that packets keep their order.
struct Queues {
    sockets: Vec<Socket>,
    next: usize,
    epoll: OwnedFd,
}

impl Queues {
    fn port(mut sockets: Vec<Socket>) -> Result<Box<dyn Port>, Errno> {
        if sockets.len() == 1
            && let Some(only) = sockets.pop()
        {
            return Ok(Box::new(only));
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for socket in &sockets {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        }
        Ok(Box::new(Self { sockets, next: 0, epoll }))
    }
}

impl Port for Queues {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        let mut count = 0;
        let turn = self.next;
        self.next = (turn + 1).checked_rem(self.sockets.len()).unwrap_or(0);
        let middle = turn.min(self.sockets.len());
        let (later, first) = self.sockets.split_at_mut(middle);
        for socket in first.iter_mut().chain(later) {
            count += socket.receive(into, max.saturating_sub(count));
        }
        count
    }
    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        self.sockets.first_mut().map_or(0, |socket| socket.transmit(frames))
    }
    fn recycle(&mut self, pool: &mut Pool) {
        self.sockets.iter_mut().for_each(|socket| socket.recycle(pool));
    }
    fn wake(&mut self) {
        self.sockets.iter_mut().for_each(Port::wake);
    }
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.epoll.as_fd())
    }
    fn in_flight(&self) -> usize {
        self.sockets.iter().map(Port::in_flight).sum()
    }
    fn statistics(&self) -> Statistics {
        self.sockets.iter().fold(Statistics::default(), |mut sum, socket| {
            sum += socket.statistics();
            sum
        })
    }
}

/// A port of an interface that is away: takes what is sent and drops it, counted, so that no frame waits for a device
/// that may never come back.
#[derive(Default)]
pub struct Closed {
    refused: u64,
}

impl Port for Closed {
    fn receive(&mut self, _into: &mut Vec<Frame>, _max: usize) -> usize {
        0
    }
    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        let count = frames.len();
        self.refused = self.refused.wrapping_add(count as u64);
        frames.clear(); // each drops home to the UMEM
        count
    }
    fn recycle(&mut self, _pool: &mut Pool) {}
    fn wake(&mut self) {}
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn in_flight(&self) -> usize {
        0
    }
    fn statistics(&self) -> Statistics {
        Statistics { refused: self.refused, ..Statistics::default() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_met_by_its_mode_and_better_ones() {
        use XdpMode as M;
        let modes = [M::Down, M::Generic, M::Copy, M::ZeroCopy];
        for (require, met) in [
            (Requirement::Any, [true, true, true, true]),
            (Requirement::Native, [false, false, true, true]),
            (Requirement::ZeroCopy, [false, false, false, true]),
        ] {
            assert_eq!(modes.map(|mode| satisfies(mode, require)), met, "{require:?}");
        }
    }

    #[test]
    fn fill_rings_leave_half_of_the_frames_to_the_rest() {
        for (frames, interfaces, workers) in
            [(8192, 2, 1), (4096, 4, 4), (65536, 2, 8), (256, 1, 1)]
        {
            let sizes = ring_sizes(frames, interfaces, workers);
            assert!(sizes.fill.is_power_of_two() && sizes.fill <= 2048);
            let filled = sizes.fill as usize * interfaces * workers;
            assert!(
                filled <= frames as usize / 2 || sizes.fill == 64,
                "{frames} {interfaces} {workers}"
            );
        }
    }

    #[test]
    fn a_closed_port_keeps_no_frame() {
        let umem = Umem::new(16, 2048).unwrap();
        let mut pool = Pool::new(umem);
        let mut frames: Vec<Frame> = core::iter::from_fn(|| pool.take()).collect();
        assert_eq!(frames.len(), 16);
        let mut port = Closed::default();
        assert_eq!(port.transmit(&mut frames), 16);
        assert_eq!((frames.len(), umem.spare(), port.statistics().refused), (0, 16, 16));
    }
}
