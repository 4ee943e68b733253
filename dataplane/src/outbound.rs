//! Outbound (RFC 4301 §5.1): from the plaintext side, or from our own kernel, into tunnels.
use crate::packet::{Origin, Plain};
use crate::seal::{self, Batch};
use crate::turn::Turn;
use crate::{handoff, link, martian, policy};
use sadb::{Counter, DropReason};
use wire::checksum;
use xsk::Frame;

/// A batch from a neighbour on the plaintext side.
pub(crate) fn from_inside(turn: &mut Turn<'_>, port: usize, arrived: &mut Vec<Frame>) {
    let mut ready = Batch::new();
    for frame in arrived.drain(..) {
        if let Some(plain) = inside(turn, port, frame) {
            policy::apply(turn, plain, &mut ready);
        }
    }
    seal::flush(turn, &mut ready);
}

/// A batch from the gateway's own kernel.
pub(crate) fn from_kernel(turn: &mut Turn<'_>, arrived: &mut Vec<Frame>) {
    let mut ready = Batch::new();
    for frame in arrived.drain(..) {
        turn.count(Counter::FromKernel);
        if let Some((frame, ip)) = link::bare(turn, frame) {
            policy::apply(turn, Plain { frame, ip, origin: Origin::Kernel }, &mut ready);
        }
    }
    seal::flush(turn, &mut ready);
}

/// What other workers gave us.
pub(crate) fn from_others(turn: &mut Turn<'_>) -> usize {
    let mut ready = Batch::new();
    let taken = handoff::collect(turn, &mut ready);
    seal::flush(turn, &mut ready);
    taken
}

/// What came out of one tunnel for another, and errors of ours. Errors about those come in a second round; there
/// is no third, since errors cause none.
pub(crate) fn in_transit(turn: &mut Turn<'_>) {
    let mut ready = Batch::new();
    for _ in 0..2 {
        let mut transit = core::mem::take(&mut turn.desk.transit);
        for plain in transit.drain(..) {
            policy::apply(turn, plain, &mut ready);
        }
        let new = core::mem::replace(&mut turn.desk.transit, transit);
        turn.desk.transit.extend(new);
    }
    seal::flush(turn, &mut ready);
}

/// Up to the point where policy is asked; what is for the gateway itself goes to the kernel.
fn inside(turn: &mut Turn<'_>, port: usize, frame: Frame) -> Option<Plain> {
    let (mut frame, ip) = link::arrive(turn, frame)?;
    complete(turn, port, &mut frame);
    if turn.tables.locals.contains(ip.destination) {
        turn.hand_to_kernel(frame);
        return None;
    }
    if martian::address(ip.destination) || turn.tables.locals.is_broadcast(ip.destination) {
        turn.drop(frame, DropReason::Martian);
        return None;
    }
    Some(Plain { frame, ip, origin: Origin::Inside { port } })
}

/// A virtual neighbour leaves checksums to hardware that this packet will never meet.
fn complete(turn: &mut Turn<'_>, port: usize, frame: &mut Frame) {
    let wanted = turn.tables.interfaces.get(port).is_some_and(|info| info.complete_checksums);
    if wanted && checksum::complete(frame) {
        turn.count(Counter::ChecksumsCompleted);
    }
}
