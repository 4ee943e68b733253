//! Outbound (RFC 4301 §5.1): from the plaintext side, or from our own kernel, into tunnels.
use crate::packet::{Origin, Plain, Summary};
use crate::sad::STEPS;
use crate::seal::{self, Batch};
use crate::spd::Flow;
use crate::turn::{BATCH, Turn};
use crate::{handoff, link, martian, policy};
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason, Verdict};
use wire::checksum;
use xsk::Frame;

/// What becomes of a frame from inside.
#[derive(Clone, Copy)]
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
    let looks = arrived.iter_mut().zip(&mut headers);
    let sound: ArrayVec<Result<(), DropReason>, BATCH> =
        looks.map(|(frame, ip)| inside(turn, port, frame, ip)).collect();
    let fates = judge(turn, &sound, &headers);
    let mut ready = Batch::default();
    for ((frame, ip), fate) in arrived.drain(..).zip(&headers).zip(&fates) {
        match *fate {
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

/// What the packet itself says.
#[inline]
fn inside(
    turn: &mut Turn<'_>,
    port: usize,
    frame: &mut Frame,
    ip: &mut Summary,
) -> Result<(), DropReason> {
    link::arrive(frame, ip)?;
    complete(turn, port, frame, ip);
    Ok(())
}

/// What addresses and policy say about each packet. Meanwhile the SAs that policy names come from memory.
fn judge(
    turn: &Turn<'_>,
    sound: &[Result<(), DropReason>],
    headers: &[Summary],
) -> ArrayVec<Fate, BATCH> {
    let mut tunnels = ArrayVec::<u32, BATCH>::new();
    let mut before: Option<(&Summary, Fate)> = None;
    let fates = sound.iter().zip(headers).map(|(sound, ip)| {
        if let Err(why) = *sound {
            return Fate::Drop(why);
        }
        if let Some((_, fate)) = before.filter(|(other, _)| other.is_of_flow(ip)) {
            return fate;
        }
        let fate = of_flow(turn, &ip.leaving());
        before = Some((ip, fate));
        match fate {
            Fate::Policy(Some(Verdict::Protect { tunnel })) if tunnels.last() != Some(&tunnel) => {
                tunnels.push(tunnel);
                turn.sad.bring_sender(&tunnels, tunnels.len() - 1);
            }
            _ => {}
        }
        fate
    });
    let fates = fates.collect();
    for at in tunnels.len()..tunnels.len() + STEPS {
        turn.sad.bring_sender(&tunnels, at);
    }
    fates
}

#[inline]
fn of_flow(turn: &Turn<'_>, flow: &Flow) -> Fate {
    let locals = &turn.tables.locals;
    if locals.contains(flow.remote) {
        Fate::Kernel
    } else if martian::address(flow.remote) || locals.is_broadcast(flow.remote) {
        Fate::Drop(DropReason::Martian)
    } else {
        Fate::Policy(turn.tables.spd.lookup(flow))
    }
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
