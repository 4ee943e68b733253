//! Packets whose next hop has no Ethernet address yet: a few wait, briefly, while the kernel asks.
use crate::forward::{self, Via};
use crate::notice::Notice;
use crate::tables::Tables;
use crate::turn::Turn;
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
    via: Via,
    /// The link of `via`, as the kernel numbers it.
    ifindex: u32,
    v4: bool,
    until: Duration,
}

impl Waiter {
    /// The way by the tables of now. `None`: its VLAN is gone. (Another may stand in its place in the list.)
    fn way(&self, tables: &Tables) -> Option<Via> {
        let Via { interface, vlan, next, .. } = self.via;
        let vlan = match vlan {
            Some(_) => Some(tables.interfaces.get(interface)?.vlan_place(self.ifindex)?),
            None => None,
        };
        Some(Via { vlan, mac: tables.fib.neighbour(interface, vlan, next), ..self.via })
    }
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

    fn asked(&self, ifindex: u32, via: Via) -> bool {
        self.frames.iter().any(|waiter| (waiter.ifindex, waiter.via.next) == (ifindex, via.next))
    }
}

/// Keeps a packet until its neighbour is known, and has the kernel ask if nobody has.
pub(crate) fn wait(turn: &mut Turn<'_>, frame: Frame, via: Via, v4: bool) {
    let port = turn.tables.interfaces.get(via.interface);
    let Some(ifindex) = port.and_then(|port| port.link_number(via.vlan)) else {
        return turn.drop(frame, DropReason::InterfaceDown);
    };
    if turn.desk.waiting.len() >= WAITING {
        return turn.drop(frame, DropReason::NoNeighbour);
    }
    if !turn.desk.waiting.asked(ifindex, via) {
        turn.shared.tell(Notice::Resolve { ifindex, address: via.next });
    }
    turn.count(Counter::WaitedForNeighbour);
    let until = turn.now + PATIENCE;
    turn.desk.waiting.frames.push_back(Waiter { frame, via, ifindex, v4, until });
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
        match waiter.way(turn.tables) {
            Some(via) if via.mac.is_some() => forward::send(turn, waiter.frame, via, waiter.v4),
            None => turn.drop(waiter.frame, DropReason::InterfaceDown),
            Some(_) if waiter.until <= turn.now => {
                turn.drop(waiter.frame, DropReason::NoNeighbour);
            }
            Some(via) => turn.desk.waiting.frames.push_back(Waiter { via, ..waiter }),
        }
    }
}
