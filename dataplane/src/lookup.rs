//! From an ESP packet to its SA, and every check that costs no cryptography (RFC 4303 §3.4.2, §3.4.3).
use crate::inbound::Esp;
use crate::open::{Batch, Sealed};
use crate::packet::Summary;
use crate::sa::Inbound;
use crate::turn::{Facts, Turn};
use sadb::{DropReason, Encap, Replay, SaDrop};
use wire::esp;
use wire::iana::IpProtocol;
use xsk::Frame;

/// Finds the SA and looks at the window; nothing of the SA changes here. The packet goes to `sealed`, or ends.
#[inline]
pub(crate) fn find<'t>(
    turn: &mut Turn<'t>,
    frame: Frame,
    outer: &Summary,
    esp: Esp,
    sealed: &mut Batch<'t>,
) {
    let sad = turn.sad;
    match judge(sad.inbound(esp.spi), frame.len(), outer, esp) {
        Ok((sa, sequence)) => {
            if sealed.last().is_none_or(|before| !core::ptr::eq(before.sa, sa)) {
                sa.key.prefetch(frame.len()); // there is time until all packets have come so far
            }
            let &Summary { tos, flow_label, .. } = outer;
            sealed.push(Sealed { frame, sa, sequence, tos, flow_label, fate: Ok(()) });
        }
        Err(why) => refuse(turn, frame, why, Facts::of(esp.spi, esp.sequence.into(), outer)),
    }
}

#[cold]
fn refuse(turn: &mut Turn<'_>, frame: Frame, why: DropReason, facts: Facts) {
    match why {
        // these say nothing about a peer of ours
        DropReason::Runt | DropReason::ReservedSpi => turn.drop(frame, why),
        _ => turn.refuse(frame, why, facts),
    }
}

#[inline]
fn judge<'t>(
    found: Option<&'t Inbound>,
    len: usize,
    outer: &Summary,
    Esp { spi, sequence: low }: Esp,
) -> Result<(&'t Inbound, u64), DropReason> {
    if spi <= esp::LAST_RESERVED_SPI {
        return Err(DropReason::ReservedSpi);
    }
    let sa = found.ok_or(DropReason::NoSa)?;
    addressed(sa, outer)?;
    // Enough for IV, trailer and ICV, in whole blocks: RFC 4303 §2.4 aligns to four octets at least.
    let body = len.checked_sub(esp::HEADER + sa.sizes.iv + sa.sizes.icv);
    let whole = body.is_some_and(|body| body >= esp::TRAILER && sa.sizes.ragged(body) == 0);
    if !whole {
        return Err(DropReason::Runt);
    }
    if sa.window.expired() {
        return Err(DropReason::Expired);
    }
    let sequence = sa.window.infer(low, sa.esn);
    sa.window.check(sequence).map_err(|why| replayed(sa, why))?;
    Ok((sa, sequence))
}

/// The SPI alone names the SA, but only its peer may use it, and only the way that was agreed.
#[inline]
fn addressed(sa: &Inbound, outer: &Summary) -> Result<(), DropReason> {
    if (outer.source, outer.destination) != (sa.remote, sa.local) {
        return Err(DropReason::WrongAddress);
    }
    let encap = outer.ports.filter(|_| outer.protocol == IpProtocol::UDP);
    match (sa.encap, encap) {
        (Encap::Raw, None) => Ok(()),
        (Encap::Udp { local, remote }, Some((source, destination))) => match destination == local {
            true if source == remote => Ok(()),
            true => Err(DropReason::WrongAddress), // a NAT moved it, or somebody else did
            false => Err(DropReason::WrongEncap),
        },
        _ => Err(DropReason::WrongEncap),
    }
}

/// Counts a replay on the SA, and names it.
pub(crate) fn replayed(sa: &Inbound, why: Replay) -> DropReason {
    match why {
        Replay::Zero => DropReason::SequenceZero,
        Replay::Late => {
            sa.window.count(SaDrop::ReplayLate, 1);
            DropReason::ReplayLate
        }
        Replay::Duplicate => {
            sa.window.count(SaDrop::ReplayDuplicate, 1);
            DropReason::ReplayDuplicate
        }
    }
}
