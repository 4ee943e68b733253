//! One worker: one core, its ports, and the walk.
use crate::tables::Shared;
use core::time::Duration;
use std::sync::Arc;
use xsk::{Pool, Port};

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
    /// Reassemblies of outer packets that may be open at once. Each holds one frame.
    pub reassembly_slots: usize,
    /// How long the rest of a packet may take.
    pub reassembly_timeout: Duration,
    /// Called with another worker's index, at most once a turn, after packets were put into its inbox: that
    /// worker may be asleep.
    pub wake: Option<Box<dyn Fn(usize) + Send>>,
}

/// The region has no counters left for a worker of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the region has no place for worker {0}: it was made for fewer cores, or the place is taken")]
pub struct NoPlace(pub usize);

/// One worker. Owns its ports, its pool and its waiting packets; shares the rest.
pub struct Worker {
    ports: Vec<(PortRole, Box<dyn Port>)>,
    shared: Arc<Shared>,
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
        let _ = (index, pool, config);
        Ok(Self { ports, shared })
    }

    /// One turn: every port, one batch each. `now` is CLOCK_MONOTONIC ([`sadb::clock::now`]), read once by the
    /// caller. Says whether anything moved; if not, the caller may wait.
    pub fn turn(&mut self, now: Duration) -> bool {
        let _ = (now, &self.shared);
        todo!()
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

    /// Frames that this worker and its ports hold now, pool included.
    pub fn conserve(&self) -> usize {
        todo!()
    }
}
