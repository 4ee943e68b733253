//! What one turn of a worker has at hand: the tables as they stood when it began, and the worker's own things.
use crate::hops::Hops;
use crate::limits::Limits;
use crate::neighbours::Waiting;
use crate::notice::Notice;
use crate::packet::{Plain, Summary};
use crate::reassembly::Reassembly;
use crate::sad::Pinned;
use crate::tables::{Shared, Tables};
use core::net::IpAddr;
use core::time::Duration;
use sadb::{Counter, DropReason, WorkerCounters};
use xsk::{Frame, Pool};

/// Packets looked at together, per port and turn.
pub(crate) const BATCH: usize = 64;

/// Frames that may wait for one port's transmit ring.
const QUEUE: usize = 1024;

/// What a worker owns besides its ports.
pub(crate) struct Desk {
    pub index: usize,
    pub workers: usize,
    pub pool: Pool,
    pub counters: WorkerCounters,
    /// By port: what goes into its transmit ring at the end of the turn.
    pub queues: Vec<Vec<Frame>>,
    /// The port that leads to the kernel.
    pub kernel: Option<usize>,
    /// What the headers of a batch say, by place in the batch.
    pub headers: Box<[Summary]>,
    /// Out of a tunnel, or of our making, and on the way into a tunnel.
    pub transit: Vec<Plain>,
    pub hops: Hops,
    pub waiting: Waiting,
    pub reassembly: Reassembly,
    pub limits: Limits,
    /// Workers that found something in their inbox this turn, one bit each.
    pub handed_to: u64,
}

/// One turn.
pub(crate) struct Turn<'t> {
    /// CLOCK_MONOTONIC when the turn began.
    pub now: Duration,
    pub tables: &'t Tables,
    pub sad: &'t Pinned<'t>,
    pub shared: &'t Shared,
    pub desk: &'t mut Desk,
}

/// What an audit entry says beside the reason (RFC 4303 §4).
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub spi: u32,
    pub sequence: u64,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub flow_label: u32,
}

impl Facts {
    pub fn of(spi: u32, sequence: u64, ip: &Summary) -> Self {
        let &Summary { source, destination, flow_label, .. } = ip;
        Self { spi, sequence, source, destination, flow_label }
    }
}

impl Turn<'_> {
    /// The one place where a frame ends: it is counted, and goes back to the pool.
    #[inline]
    pub fn drop(&mut self, frame: Frame, why: DropReason) {
        self.desk.counters.count(why);
        self.desk.pool.put(frame);
    }

    /// Ends a frame and tells the keeper, at most once a second for each reason.
    pub fn refuse(&mut self, frame: Frame, why: DropReason, facts: Facts) {
        self.audit(why, facts);
        self.drop(frame, why);
    }

    /// Tells the keeper why a frame will end, at most once a second for each reason.
    pub fn audit(&mut self, why: DropReason, facts: Facts) {
        if let Some(count) = self.desk.limits.audit(why, self.now) {
            self.shared.tell(Notice::Audit {
                reason: why,
                spi: facts.spi,
                sequence: facts.sequence,
                source: facts.source,
                destination: facts.destination,
                flow_label: facts.flow_label,
                count,
            });
        }
    }

    #[inline]
    pub fn count(&mut self, what: Counter) {
        self.desk.counters.add(what, 1);
    }

    /// Into a port's queue, or `full` when it has grown too long.
    #[inline]
    pub fn enqueue(&mut self, port: usize, frame: Frame, full: DropReason) {
        match self.desk.queues.get_mut(port).filter(|queue| queue.len() < QUEUE) {
            Some(queue) => queue.push(frame),
            None => self.drop(frame, full),
        }
    }

    /// To the gateway's own kernel, through the TUN device.
    pub fn hand_to_kernel(&mut self, frame: Frame) {
        let Some(port) = self.desk.kernel else {
            return self.drop(frame, DropReason::KernelFull);
        };
        self.count(Counter::ToKernel);
        self.enqueue(port, frame, DropReason::KernelFull);
    }
}
