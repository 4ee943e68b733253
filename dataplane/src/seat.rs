//! A worker's thread: pinned to its core, it turns, and waits when there is nothing to do.
use crate::bell::Bell;
use crate::worker::Worker;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use crossbeam_queue::ArrayQueue;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sadb::clock;
use sadb::setup::Idle;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use xsk::{Port, Statistics};

/// Turns without work before a worker gives its time slice away, and before it waits.
const SPINS: u32 = 200;
const YIELDS: u32 = 300;
/// Longest wait: what depends on time (reassemblies, packets that wait for a neighbour) is looked at this often.
const LONGEST_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// How often a worker leaves its ports' counts for the keeper.
const REPORT: Duration = Duration::from_millis(400);
/// Errands that may wait; the keeper sends few.
const ERRANDS: usize = 64;

/// What the keeper asks a worker to do between two turns.
pub enum Errand {
    /// Use this port for the interface from now on; close the one before.
    Port(usize, Box<dyn Port>),
}

/// What keeper and worker thread share.
pub struct Seat {
    errands: ArrayQueue<Errand>,
    bell: Bell,
    stop: AtomicBool,
    statistics: Mutex<Vec<Statistics>>,
}

impl Seat {
    /// A seat that nobody sits on yet.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            errands: ArrayQueue::new(ERRANDS),
            bell: Bell::new()?,
            stop: AtomicBool::new(false),
            statistics: Mutex::default(),
        })
    }

    /// Leaves an errand. Gives it back when too many wait.
    pub fn send(&self, errand: Errand) -> Result<(), Errand> {
        self.errands.push(errand)?;
        self.bell.ring();
        Ok(())
    }

    /// Wakes the worker if it sleeps.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Asks the thread to end after its turn.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Its ports' counts, at most half a second old.
    pub fn statistics(&self, port: usize) -> Statistics {
        let all = self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(port).copied().unwrap_or_default()
    }

    fn report(&self, worker: &Worker) {
        let counts = worker.ports().map(|(_, port)| port.statistics()).collect();
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn run_errands(&self, worker: &mut Worker) {
        while let Some(Errand::Port(index, port)) = self.errands.pop() {
            worker.set_port(index, port);
        }
    }
}

/// Starts the thread of a worker on `core`.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    index: usize,
    core: u16,
    idle: Idle,
    worker: Worker,
    seat: Arc<Seat>,
) -> std::io::Result<JoinHandle<()>> {
    let run = move || {
        if !core_affinity::set_for_current(core_affinity::CoreId { id: usize::from(core) }) {
            tracing::warn!(
                worker = index,
                core,
                "cannot pin the worker: is the core in our cpuset?"
            );
        }
        work(worker, &seat, idle);
    };
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)
}

fn work(mut worker: Worker, seat: &Seat, idle: Idle) {
    let mut quiet = 0;
    let mut report_at = Duration::ZERO;
    while !seat.stop.load(Ordering::Relaxed) {
        if !seat.errands.is_empty() {
            seat.run_errands(&mut worker);
        }
        let now = clock::now();
        let moved = worker.turn(now);
        if now >= report_at {
            report_at = now + REPORT;
            seat.report(&worker);
        }
        quiet = if moved { 0 } else { rest(quiet, idle, &worker, seat) };
    }
}

/// Spin, then yield, then wait: latency for a busy gateway, silence for a quiet one.
fn rest(quiet: u32, idle: Idle, worker: &Worker, seat: &Seat) -> u32 {
    match (idle, quiet) {
        (Idle::Spin, _) | (_, ..SPINS) => core::hint::spin_loop(),
        (_, ..YIELDS) => std::thread::yield_now(),
        _ => wait(worker, seat),
    }
    quiet.saturating_add(1)
}

/// Waits for any port, an errand or another worker. Whoever rang before we looked is answered first.
fn wait(worker: &Worker, seat: &Seat) {
    if seat.bell.answer() {
        return;
    }
    let fds = worker.ports().filter_map(|(_, port)| port.wait_fd());
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    fds.push(PollFd::new(&seat.bell, PollFlags::IN));
    let _ = poll(&mut fds, Some(&LONGEST_WAIT)); // EINTR is as good as a wake-up
}
