//! One worker: one core, its ports, and the walk.
use crate::hops::Hops;
use crate::limits::Limits;
use crate::neighbours::{self, Waiting};
use crate::packet::Summary;
use crate::reassembly::Reassembly;
use crate::stage::{self, Stage};
use crate::tables::Shared;
use crate::turn::{BATCH, Desk, Turn};
use crate::{inbound, outbound};
use core::time::Duration;
use sadb::{Counter, DropReason};
use std::sync::Arc;
use xsk::{Frame, Pool, Port};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortRole {
    /// Plaintext side, Ethernet.
    Inside,
    /// Ciphertext side, Ethernet.
    Outside,
    /// The TUN device: IP without a link header.
    Kernel,
}

/// What a worker may use.
pub struct Config {
    /// Reassemblies of outer packets that may be open at once. Each holds one frame; a large one if it must, of those
    /// that the pool's UMEM has.
    pub reassembly_slots: usize,
    /// How long the rest of a packet may take.
    pub reassembly_timeout: Duration,
    /// Called with another worker's index, at most once a turn, after packets were put into its inbox: that
    /// worker may be asleep.
    pub wake: Option<Box<dyn Fn(usize) + Send>>,
}

impl Default for Config {
    fn default() -> Self {
        let reassembly_timeout = Duration::from_secs(2);
        Self { reassembly_slots: 64, reassembly_timeout, wake: None }
    }
}

/// The region has no counters left for a worker of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the region has no place for worker {0}: it was made for fewer cores, or the place is taken"
)]
pub struct NoPlace(pub usize);

/// One worker. Owns its ports, its pool and its waiting packets; shares the rest.
pub struct Worker {
    ports: Vec<(PortRole, Box<dyn Port>)>,
    shared: Arc<Shared>,
    desk: Desk,
    arrived: Vec<Frame>,
    wake: Option<Box<dyn Fn(usize) + Send>>,
}

impl Worker {
    /// Worker `index` of as many as `shared` was made for. Port `i` is interface `i` of the setup; the TUN device,
    /// if this worker serves it, comes last.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub fn new(
        index: usize,
        ports: Vec<(PortRole, Box<dyn Port>)>,
        pool: Pool,
        shared: Arc<Shared>,
        config: Config,
    ) -> Result<Self, NoPlace> {
        let desk = Desk {
            index,
            workers: shared.inboxes.len(),
            pool,
            counters: shared.region.worker(index).ok_or(NoPlace(index))?,
            queues: ports.iter().map(|_| Vec::with_capacity(BATCH)).collect(),
            kernel: ports.iter().position(|(role, _)| *role == PortRole::Kernel),
            headers: vec![Summary::BLANK; BATCH].into(),
            transit: Vec::with_capacity(BATCH),
            hops: Hops::new(),
            waiting: Waiting::new(),
            reassembly: Reassembly::new(config.reassembly_slots, config.reassembly_timeout),
            limits: Limits::new(),
            handed_to: 0,
        };
        let arrived = Vec::with_capacity(BATCH);
        Ok(Self { ports, shared, desk, arrived, wake: config.wake })
    }

    /// One turn: every port, one batch each. `now` is CLOCK_MONOTONIC ([`sadb::clock::now`]), read once by the
    /// caller. Says whether anything moved; if not, the caller may wait.
    ///
    /// Tables and SAD are looked at under one guard for the whole turn, so lookups take no lock and nothing that
    /// the turn uses can be freed under it.
    pub fn turn(&mut self, now: Duration) -> bool {
        let Self { ports, shared, desk, arrived, .. } = self;
        let (tables, sad) = (shared.tables.load(), shared.sad.pin());
        desk.hops.keep_for(tables.generation);
        let mut turn = Turn { now, tables: &tables, sad: &sad, shared, desk };
        let mut moved = 0;
        for (index, (role, port)) in ports.iter_mut().enumerate() {
            port.recycle(&mut turn.desk.pool);
            moved += receive(&mut turn, port.as_mut(), arrived);
            stage::mark(Stage::Receive);
            match role {
                PortRole::Outside => inbound::from_outside(&mut turn, arrived),
                PortRole::Inside => outbound::from_inside(&mut turn, index, arrived),
                PortRole::Kernel => outbound::from_kernel(&mut turn, arrived),
            }
        }
        moved += outbound::from_others(&mut turn);
        outbound::in_transit(&mut turn);
        neighbours::retry(&mut turn);
        let lost = turn.desk.reassembly.expire(now, &mut turn.desk.pool);
        turn.desk.counters.count_many(DropReason::FragmentTimeout, lost);
        stage::mark(Stage::Rest);
        for ((_, port), queue) in ports.iter_mut().zip(0..) {
            moved += transmit(desk, port.as_mut(), queue);
        }
        stage::mark(Stage::Transmit);
        self.end(moved > 0)
    }

    fn end(&mut self, busy: bool) -> bool {
        self.desk.counters.add(if busy { Counter::BusyTurns } else { Counter::IdleTurns }, 1);
        self.desk.counters.publish();
        let handed_to = core::mem::take(&mut self.desk.handed_to);
        if let Some(wake) = self.wake.as_ref().filter(|_| handed_to != 0) {
            (0..64).filter(|bit| handed_to >> bit & 1 != 0).for_each(wake);
        }
        busy
    }

    /// Replaces a port whose socket was bound anew. The old one is closed with what is in its rings. False when
    /// there is no such port.
    pub fn set_port(&mut self, index: usize, port: Box<dyn Port>) -> bool {
        match self.ports.get_mut(index) {
            Some((_, place)) => {
                *place = port;
                true
            }
            None => false,
        }
    }

    /// The ports, to wait on and to report of.
    pub fn ports(&self) -> impl Iterator<Item = (PortRole, &dyn Port)> {
        self.ports.iter().map(|(role, port)| (*role, &**port))
    }

    /// Whether packets of other workers wait in the inbox: look before going to sleep.
    pub fn has_mail(&self) -> bool {
        self.shared.inboxes.get(self.desk.index).is_some_and(|inbox| inbox.len() > 0)
    }

    /// Frames that this worker and its ports hold now, pool included. With [`Shared::in_handoff`] and the UMEM's
    /// spare frames that is all there are.
    pub fn conserve(&self) -> usize {
        let desk = &self.desk;
        let queued: usize = desk.queues.iter().map(Vec::len).sum();
        let in_flight: usize = self.ports.iter().map(|(_, port)| port.in_flight()).sum();
        let held = desk.waiting.len() + desk.reassembly.len() + desk.transit.len();
        desk.pool.len() + queued + in_flight + held + self.arrived.len()
    }
}

fn receive(turn: &mut Turn<'_>, port: &mut dyn Port, arrived: &mut Vec<Frame>) -> usize {
    let count = port.receive(arrived, BATCH);
    if count > 0 {
        let octets: usize = arrived.iter().map(|frame| frame.len()).sum();
        turn.desk.counters.add(Counter::RxFrames, count as u64);
        turn.desk.counters.add(Counter::RxOctets, octets as u64);
    }
    count
}

/// Into the transmit ring what it takes; the rest waits for the next turn.
fn transmit(desk: &mut Desk, port: &mut dyn Port, queue: usize) -> usize {
    let Some(queue) = desk.queues.get_mut(queue) else { return 0 };
    let mut sent = 0;
    if !queue.is_empty() {
        let octets = |queue: &[Frame]| queue.iter().map(|frame| frame.len() as u64).sum::<u64>();
        let before = octets(queue);
        sent = port.transmit(queue);
        desk.counters.add(Counter::TxFrames, sent as u64);
        desk.counters.add(Counter::TxOctets, before.saturating_sub(octets(queue)));
    }
    port.wake();
    sent
}
