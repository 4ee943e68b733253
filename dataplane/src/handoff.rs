//! From the core where a packet arrived to the core that owns its outbound SA, so that one SA's packets leave in
//! sequence order. Placement is policy: a worker that keeps a packet instead would still be correct.
use crate::packet::{Origin, Plain};
use crate::sa::Outbound;
use crate::seal::Batch;
use crate::turn::{BATCH, Turn};
use crate::{link, policy};
use crossbeam_queue::ArrayQueue;
use sadb::{Counter, DropReason};
use xsk::Frame;

/// Packets that may wait for one worker.
const INBOX: usize = 1024;

/// A packet on its way to its SA's owner. Policy has decided and the TTL is counted; the rest is still to do.
#[derive(Debug)]
pub(crate) struct Handed {
    frame: Frame,
    tunnel: u32,
    origin: Origin,
}

/// What waits for one worker. Many put in, one takes out.
#[derive(Debug)]
pub(crate) struct Inbox(ArrayQueue<Handed>);

impl Inbox {
    pub fn new() -> Self {
        Self(ArrayQueue::new(INBOX))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The worker that owns the SA, unless it is this one.
#[inline]
pub(crate) fn owner(turn: &Turn<'_>, sa: &Outbound) -> Option<usize> {
    if turn.desk.workers <= 1 {
        return None;
    }
    let owner = sa.slot as usize % turn.desk.workers;
    (owner != turn.desk.index && owner < turn.shared.inboxes.len()).then_some(owner)
}

/// Gives a packet to another worker.
pub(crate) fn give(turn: &mut Turn<'_>, frame: Frame, origin: Origin, tunnel: u32, owner: usize) {
    let Some(inbox) = turn.shared.inboxes.get(owner) else {
        return turn.drop(frame, DropReason::HandoffFull);
    };
    match inbox.0.push(Handed { frame, tunnel, origin }) {
        Ok(()) => {
            turn.desk.handed_to |= 1u64.checked_shl(owner as u32).unwrap_or(0);
            turn.count(Counter::HandedOff);
        }
        Err(back) => turn.drop(back.frame, DropReason::HandoffFull),
    }
}

/// Takes what others gave us, at most a batch.
pub(crate) fn collect<'t>(turn: &mut Turn<'t>, ready: &mut Batch<'t>) -> usize {
    let Some(inbox) = turn.shared.inboxes.get(turn.desk.index) else { return 0 };
    for taken in 0..BATCH {
        let Some(Handed { frame, tunnel, origin }) = inbox.0.pop() else { return taken };
        if let Some((frame, ip)) = link::bare(turn, frame) {
            policy::resume(turn, Plain { frame, ip, origin }, tunnel, ready);
        }
    }
    BATCH
}
