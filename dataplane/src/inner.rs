//! What an SA carried: trailer, selectors, ECN, and on its way (RFC 4303 §3.4.4, RFC 4301 §5.2).
use crate::forward::Straight;
use crate::open::{Batch, Sealed, refuse};
use crate::packet::{Origin, Plain, Summary};
use crate::sa::Inbound;
use crate::spd::Admission;
use crate::turn::{BATCH, Turn};
use crate::{forward, martian};
use arrayvec::ArrayVec;
use sadb::sa::Dscp;
use sadb::{Counter, DropReason};
use wire::ecn::{self, Ecn};
use wire::esp::{self, Trailer};
use wire::iana::IpProtocol;
use wire::{Malformed, ipv4, ipv6};
use xsk::Frame;

/// Sends on what was inside of opened packets, and ends those that were refused. The usual case is dealt with where
/// the frames are, before any of them is moved.
pub(crate) fn send<'t>(turn: &mut Turn<'t>, batch: &mut Batch<'t>, headers: &[Summary]) {
    let mut ahead: Option<Straight<'_>> = None;
    let looks = batch.iter_mut().zip(headers);
    let ports: ArrayVec<Option<usize>, BATCH> = looks
        .map(|(opened, ip)| {
            if opened.fate.is_err() || opened.frame.is_large() {
                return None;
            }
            if ahead.as_ref().is_none_or(|ahead| ahead.to != ip.destination) {
                ahead = forward::straight(turn, ip.destination);
            }
            ahead.as_ref()?.send(&mut opened.frame, ip)
        })
        .collect();
    for ((opened, ip), port) in batch.drain(..).zip(headers).zip(ports) {
        let Sealed { frame, sa, sequence, flow_label, fate, .. } = opened;
        match (fate, port) {
            (Ok(()), Some(port)) => turn.enqueue(port, frame, DropReason::TxFull),
            (Ok(()), None) => deliver(turn, frame, *ip),
            (Err(DropReason::Dummy), _) => turn.drop(frame, DropReason::Dummy),
            (Err(why), _) => refuse(turn, frame, why, sa, sequence, flow_label),
        }
    }
}

#[inline(never)]
fn deliver(turn: &mut Turn<'_>, frame: Frame, ip: Summary) {
    if let Some(frame) = compact(turn, frame) {
        forward::deliver(turn, Plain { frame, ip, origin: Origin::Tunnel });
    }
}

/// A small packet from a large one (RFC 4303 §2.7: padding against traffic analysis) goes on in an ordinary frame,
/// which a device can send. What needs a large frame is cut or refused by the MTU of its way.
fn compact(turn: &mut Turn<'_>, large: Frame) -> Option<Frame> {
    if !large.is_large() || large.len() > turn.desk.pool.umem().largest_packet() {
        return Some(large);
    }
    let copy = turn.desk.pool.take().and_then(|mut frame| {
        frame.fill(&large).ok()?;
        Some(frame)
    });
    match copy {
        Some(_) => turn.desk.pool.put(large),
        None => turn.drop(large, DropReason::NoFrame),
    }
    copy
}

/// Cuts an opened packet to what was inside, and judges that. What the SA of the packet `before` may carry need not be
/// asked again for more of the same.
#[inline]
pub(crate) fn unwrap(
    turn: &mut Turn<'_>,
    opened: &mut Sealed<'_>,
    ip: &mut Summary,
    before: Option<(&Inbound, &Summary)>,
) -> Result<(), DropReason> {
    cut(&mut opened.frame, opened.sa, ip)?;
    let like =
        |&(sa, other): &(&Inbound, &Summary)| core::ptr::eq(sa, opened.sa) && other.is_of_flow(ip);
    if !before.as_ref().is_some_and(like) {
        admit(turn, opened.sa, ip)?;
    }
    ip.tos = marks(&mut opened.frame, ip, opened.tos, opened.sa.dscp)?;
    turn.count(Counter::Opened);
    Ok(())
}

/// Whether this SA may carry it (RFC 4301 §5.2).
#[inline]
fn admit(turn: &Turn<'_>, sa: &Inbound, ip: &Summary) -> Result<(), DropReason> {
    if martian::address(ip.source)
        || martian::address(ip.destination)
        || turn.tables.locals.contains(ip.source)
    {
        return Err(DropReason::Martian);
    }
    match turn.tables.spd.admits(sa.tunnel, &ip.arriving()) {
        Admission::Admitted => Ok(()),
        Admission::Discarded => Err(DropReason::PolicyDiscard),
        Admission::PortsHidden if ip.is_later_fragment() => Err(DropReason::InnerFragment),
        Admission::PortsHidden | Admission::Outside => Err(DropReason::BadSelector),
    }
}

/// Cuts the frame to the inner packet; padding for traffic flow confidentiality (RFC 4303 §2.7) goes with the rest.
#[inline]
fn cut(frame: &mut Frame, sa: &Inbound, ip: &mut Summary) -> Result<(), DropReason> {
    frame.pull(esp::HEADER + sa.sizes.iv);
    frame.truncate(frame.len().saturating_sub(sa.sizes.icv));
    let trailer = Trailer::parse(frame).map_err(|why| match why {
        Malformed::BadPadLength { .. } => DropReason::BadPadLength,
        Malformed::BadPadding { .. } => DropReason::BadPadding,
        _ => DropReason::Runt,
    })?;
    let v4 = match trailer.next_header {
        IpProtocol::NO_NEXT_HEADER => return Err(DropReason::Dummy), // RFC 4303 §2.6
        IpProtocol::IPV4 => true,
        IpProtocol::IPV6 => false,
        _ => return Err(DropReason::BadNextHeader),
    };
    frame.truncate(trailer.payload_len);
    ip.read(frame).map_err(|_| DropReason::MalformedInner)?;
    if ip.is_v4() != v4 {
        return Err(DropReason::MalformedInner);
    }
    frame.truncate(ip.total_len);
    Ok(())
}

/// RFC 6040 §4.2, and RFC 2983 where the SA says so.
#[inline]
fn marks(frame: &mut Frame, ip: &Summary, outer: u8, dscp: Dscp) -> Result<u8, DropReason> {
    let ecn =
        ecn::decapsulate(Ecn::of(ip.tos), Ecn::of(outer)).map_err(|_| DropReason::EcnIllegal)?;
    let dscp = match dscp {
        Dscp::Copy | Dscp::In => outer,
        Dscp::Out | Dscp::No => ip.tos,
    };
    let tos = ecn.apply(dscp);
    if tos != ip.tos {
        let set = if ip.is_v4() { ipv4::set_tos } else { ipv6::set_traffic_class };
        set(frame, tos).map_err(|_| DropReason::MalformedInner)?;
    }
    Ok(tos)
}
