//! From the core where a packet arrived to the core that owns its outbound SA, so that one SA's packets leave in
//! sequence order. Placement is policy: a worker that keeps a packet instead would still be correct.
use crossbeam_queue::ArrayQueue;
use xsk::Frame;

/// Packets that may wait for one worker.
const INBOX: usize = 1024;

/// A packet on its way to its SA's owner. Policy has decided and the TTL is counted; the rest is still to do.
#[derive(Debug)]
pub(crate) struct Handed {
    pub frame: Frame,
    pub tunnel: u32,
    pub origin: crate::packet::Origin,
}

/// What waits for one worker. Many put in, one takes out.
#[derive(Debug)]
pub(crate) struct Inbox(ArrayQueue<Handed>);

impl Inbox {
    pub fn new() -> Self {
        Self(ArrayQueue::new(INBOX))
    }

    /// Gives the packet back when the inbox is full.
    pub fn put(&self, handed: Handed) -> Result<(), Handed> {
        self.0.push(handed)
    }

    pub fn take(&self) -> Option<Handed> {
        self.0.pop()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
