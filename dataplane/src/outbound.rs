//! Outbound (RFC 4301 §5.1): from the plaintext side, or from our own kernel, into tunnels.
use crate::packet::{Origin, Plain, Summary};
use crate::seal::{self, Batch};
use crate::turn::{BATCH, Turn};
use crate::{handoff, link, martian, policy};
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason, Verdict};
use wire::checksum;
use xsk::Frame;

/// What becomes of a frame from inside.
enum Fate {
    /// What policy says about it; `None`: no entry covers it.
    Policy(Option<Verdict>),
    /// For the gateway itself.
    Kernel,
    Drop(DropReason),
}

/// A batch from a neighbour on the plaintext side. All frames are looked at before the first is sent on, so that what
/// that one needs from memory can come while others are looked at.
pub(crate) fn from_inside(turn: &mut Turn<'_>, port: usize, arrived: &mut Vec<Frame>) {
    let mut headers = core::mem::take(&mut turn.desk.headers);
    let mut tunnels = ArrayVec::<u32, BATCH>::new();
    let looks = arrived.iter_mut().zip(&mut headers).map(|(frame, ip)| {
        let fate = inside(turn, port, frame, ip);
        match fate {
            Fate::Policy(Some(Verdict::Protect { tunnel })) if tunnels.last() != Some(&tunnel) => {
                turn.sad.prefetch_tunnel(tunnel);
                tunnels.push(tunnel);
            }
            _ => {}
        }
        fate
    });
    let fates: ArrayVec<Fate, BATCH> = looks.collect();
    turn.sad.bring_senders(&tunnels);
    let mut ready = Batch::default();
    for ((frame, ip), fate) in arrived.drain(..).zip(&headers).zip(fates) {
        match fate {
            Fate::Policy(verdict) => {
                policy::act(turn, frame, ip, Origin::Inside { port }, verdict, &mut ready);
            }
            Fate::Kernel => turn.hand_to_kernel(frame),
            Fate::Drop(why) => turn.drop(frame, why),
        }
    }
    seal::flush(turn, &mut ready);
    turn.desk.headers = headers;
}

/// A batch from the gateway's own kernel.
pub(crate) fn from_kernel(turn: &mut Turn<'_>, arrived: &mut Vec<Frame>) {
    let mut ready = Batch::default();
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
    let mut ready = Batch::default();
    let taken = handoff::collect(turn, &mut ready);
    seal::flush(turn, &mut ready);
    taken
}

/// What came out of one tunnel for another, and errors of ours. Errors about those come in a second round; there
/// is no third, since errors cause none.
pub(crate) fn in_transit(turn: &mut Turn<'_>) {
    let mut ready = Batch::default();
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

/// Up to the point where policy has decided.
#[inline]
fn inside(turn: &mut Turn<'_>, port: usize, frame: &mut Frame, ip: &mut Summary) -> Fate {
    if let Err(why) = link::arrive(frame, ip) {
        return Fate::Drop(why);
    }
    complete(turn, port, frame, ip);
    if turn.tables.locals.contains(ip.destination) {
        return Fate::Kernel;
    }
    if martian::address(ip.destination) || turn.tables.locals.is_broadcast(ip.destination) {
        return Fate::Drop(DropReason::Martian);
    }
    Fate::Policy(turn.tables.spd.lookup(&ip.leaving()))
}

/// A virtual neighbour leaves checksums to hardware that this packet will never meet.
#[inline]
fn complete(turn: &mut Turn<'_>, port: usize, frame: &mut Frame, ip: &Summary) {
    let wanted = turn.tables.interfaces.get(port).is_some_and(|info| info.complete_checksums);
    if !wanted || ip.fragment.is_some() {
        return;
    }
    let upper = frame.get_mut(ip.header_len..).unwrap_or_default();
    if checksum::complete_upper(upper, ip.source, ip.destination, ip.protocol) {
        turn.count(Counter::ChecksumsCompleted);
    }
}
