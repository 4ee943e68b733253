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

/// Gives the packet to its SA's owner, or back when that is us.
pub(crate) fn to_owner(turn: &mut Turn<'_>, plain: Plain, sa: &Outbound) -> Option<Plain> {
    let owner = sa.slot as usize % turn.desk.workers.max(1);
    if owner == turn.desk.index {
        return Some(plain);
    }
    let Some(inbox) = turn.shared.inboxes.get(owner) else { return Some(plain) };
    let Plain { frame, origin, .. } = plain;
    match inbox.0.push(Handed { frame, tunnel: sa.tunnel, origin }) {
        Ok(()) => {
            turn.desk.handed_to |= 1u64.checked_shl(owner as u32).unwrap_or(0);
            turn.count(Counter::HandedOff);
        }
        Err(back) => turn.drop(back.frame, DropReason::HandoffFull),
    }
    None
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
