//! From an ESP packet to its SA, and every check that costs no cryptography (RFC 4303 §3.4.2, §3.4.3).
use crate::inbound::Esp;
use crate::open::Sealed;
use crate::sa::Inbound;
use crate::turn::{Facts, Turn};
use sadb::{DropReason, Encap, Replay, SaDrop};
use wire::esp;

/// Finds the SA and looks at the window; nothing of the SA changes here.
pub(crate) fn find<'t>(turn: &mut Turn<'t>, packet: Esp) -> Option<Sealed<'t>> {
    let Ok(header) = esp::Esp::parse(&packet.frame) else {
        turn.drop(packet.frame, DropReason::Runt);
        return None;
    };
    let (spi, low) = (header.spi(), header.sequence());
    let sad = turn.sad;
    match judge(sad.inbound(spi), &packet, spi, low) {
        Ok((sa, sequence)) => {
            let Esp { frame, outer, .. } = packet;
            Some(Sealed { frame, outer, sa, sequence })
        }
        Err(why) => {
            let facts = Facts { spi, sequence: low.into(), ip: &packet.outer };
            match why {
                // these say nothing about a peer of ours
                DropReason::Runt | DropReason::ReservedSpi => turn.drop(packet.frame, why),
                _ => turn.refuse(packet.frame, why, facts),
            }
            None
        }
    }
}

fn judge<'t>(
    found: Option<&'t Inbound>,
    packet: &Esp,
    spi: u32,
    low: u32,
) -> Result<(&'t Inbound, u64), DropReason> {
    if spi <= esp::LAST_RESERVED_SPI {
        return Err(DropReason::ReservedSpi);
    }
    let sa = found.ok_or(DropReason::NoSa)?;
    addressed(sa, packet)?;
    // Enough for IV, trailer and ICV, in whole blocks: RFC 4303 §2.4 aligns to four octets at least.
    let body = packet.frame.len().checked_sub(esp::HEADER + sa.sizes.iv + sa.sizes.icv);
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
fn addressed(sa: &Inbound, packet: &Esp) -> Result<(), DropReason> {
    if (packet.outer.source, packet.outer.destination) != (sa.remote, sa.local) {
        return Err(DropReason::WrongAddress);
    }
    match (sa.encap, packet.encap) {
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
