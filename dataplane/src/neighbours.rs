//! Packets whose next hop has no Ethernet address yet: a few wait, briefly, while the kernel asks.
use crate::forward::{self, Via};
use crate::notice::Notice;
use crate::turn::Turn;
use core::net::IpAddr;
use core::time::Duration;
use sadb::{Counter, DropReason};
use std::collections::VecDeque;
use xsk::Frame;

/// Packets that may wait, per worker.
const WAITING: usize = 64;
/// How long one may wait.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Waiter {
    frame: Frame,
    interface: usize,
    next: IpAddr,
    v4: bool,
    until: Duration,
}

/// In the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    frames: VecDeque<Waiter>,
    generation: u64,
}

impl Waiting {
    pub fn new() -> Self {
        Self { frames: VecDeque::with_capacity(WAITING), generation: 0 }
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    fn asked(&self, via: Via) -> bool {
        self.frames.iter().any(|w| (w.interface, w.next) == (via.interface, via.next))
    }
}

/// Keeps a packet until its neighbour is known, and has the kernel ask if nobody has.
pub(crate) fn wait(turn: &mut Turn<'_>, frame: Frame, via: Via, v4: bool) {
    let Via { interface, next, .. } = via;
    let Some(info) = turn.tables.interfaces.get(interface) else {
        return turn.drop(frame, DropReason::InterfaceDown);
    };
    if turn.desk.waiting.len() >= WAITING {
        return turn.drop(frame, DropReason::NoNeighbour);
    }
    if !turn.desk.waiting.asked(via) {
        turn.shared.tell(Notice::Resolve { ifindex: info.ifindex, address: next });
    }
    turn.count(Counter::WaitedForNeighbour);
    let until = turn.now + PATIENCE;
    turn.desk.waiting.frames.push_back(Waiter { frame, interface, next, v4, until });
}

/// Sends what has become sendable since the tables changed, and gives up on what waited too long.
pub(crate) fn retry(turn: &mut Turn<'_>) {
    let changed = turn.desk.waiting.generation != turn.tables.generation;
    turn.desk.waiting.generation = turn.tables.generation;
    let late = turn.desk.waiting.frames.front().is_some_and(|waiter| waiter.until <= turn.now);
    if !changed && !late {
        return;
    }
    for _ in 0..turn.desk.waiting.len() {
        let Some(waiter) = turn.desk.waiting.frames.pop_front() else { return };
        let mac = turn.tables.fib.neighbour(waiter.interface, waiter.next);
        match mac {
            Some(_) => {
                let Waiter { frame, interface, next, v4, .. } = waiter;
                forward::send(turn, frame, Via { interface, next, mac, mtu: 0 }, v4);
            }
            None if waiter.until <= turn.now => turn.drop(waiter.frame, DropReason::NoNeighbour),
            None => turn.desk.waiting.frames.push_back(waiter),
        }
    }
}
