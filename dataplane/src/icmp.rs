//! The two errors a tunnel's entry sends: too big (RFC 1191, RFC 8201) and time exceeded. An error goes back the
//! way its packet came: inside in the clear, into the tunnel under policy, or to the kernel.
use crate::fib::Hop;
use crate::packet::{Origin, Plain, Summary};
use crate::spd::Flow;
use crate::tables::InterfaceInfo;
use crate::turn::Turn;
use crate::{forward, link};
use core::net::IpAddr;
use sadb::{Counter, DropReason, Role, Verdict};
use wire::iana::IpProtocol;
use wire::{icmp, icmpv6, ipv6};
use xsk::Frame;

#[derive(Clone, Copy)]
enum Error {
    TooBig { mtu: usize },
    TimeExceeded,
}

/// Ends a packet that must not be cut, and tells its sender what would fit.
pub(crate) fn too_big(turn: &mut Turn<'_>, plain: Plain, mtu: usize) {
    // No IPv6 sender goes below 1280 (RFC 8200 §5): to tell it less would be of no use.
    let mtu = if plain.ip.is_v4() { mtu } else { mtu.max(ipv6::MIN_MTU) };
    if answer(turn, &plain, Error::TooBig { mtu }).is_some() {
        turn.count(Counter::TooBigSent);
    }
    turn.drop(plain.frame, DropReason::TooBig);
}

/// Ends a packet whose TTL ran out, and tells its sender.
pub(crate) fn time_exceeded(turn: &mut Turn<'_>, plain: Plain) {
    if answer(turn, &plain, Error::TimeExceeded).is_some() {
        turn.count(Counter::TimeExceededSent);
    }
    turn.drop(plain.frame, DropReason::TtlExceeded);
}

fn answer(turn: &mut Turn<'_>, about: &Plain, error: Error) -> Option<()> {
    if about.origin == Origin::Ours {
        return None;
    }
    let source = source(turn, about)?;
    if !turn.desk.limits.may_answer(turn.now) {
        return None;
    }
    let mut frame = turn.desk.pool.take()?;
    if write(&mut frame, source, &about.frame, error).is_none() {
        turn.desk.pool.put(frame);
        return None;
    }
    turn.desk.limits.answered();
    go(turn, frame, about.origin)
}

fn write(frame: &mut Frame, source: IpAddr, about: &[u8], error: Error) -> Option<()> {
    let room = match source {
        IpAddr::V4(_) => icmp::MAX_ERROR,
        IpAddr::V6(_) => icmpv6::MAX_ERROR,
    };
    let out = frame.extend(room).ok()?;
    let len = match (source, error) {
        (IpAddr::V4(source), Error::TooBig { mtu }) => {
            icmp::fragmentation_needed(source, about, u16::try_from(mtu).unwrap_or(u16::MAX), out)
        }
        (IpAddr::V4(source), Error::TimeExceeded) => icmp::time_exceeded(source, about, out),
        (IpAddr::V6(source), Error::TooBig { mtu }) => {
            icmpv6::packet_too_big(source, about, u32::try_from(mtu).unwrap_or(u32::MAX), out)
        }
        (IpAddr::V6(source), Error::TimeExceeded) => icmpv6::time_exceeded(source, about, out),
    };
    frame.truncate(len.ok()?);
    Some(())
}

/// The address that speaks: ours on the link, VLAN or not, by which the answer leaves, else one of the port where the
/// packet arrived; towards a tunnel one that policy lets in; towards the kernel the destination's own, because the
/// kernel believes no packet that claims to be its own.
fn source(turn: &Turn<'_>, about: &Plain) -> Option<IpAddr> {
    let fits = |address: &IpAddr| {
        address.is_ipv4() == about.ip.is_v4() && !crate::martian::address(*address)
    };
    match about.origin {
        Origin::Ours => None,
        Origin::Kernel => Some(about.ip.destination),
        Origin::Inside { port } => {
            let here = || turn.tables.interfaces.get(port)?.all_addresses().find(fits);
            let back = way_back(turn, about.ip.source).and_then(|all| all.iter().find(|a| fits(a)));
            back.copied().or_else(here).or_else(|| turn.tables.locals.iter().find(fits))
        }
        Origin::Outside => turn.tables.locals.iter().find(fits),
        Origin::Tunnel => {
            let inside = turn.tables.interfaces.iter().filter(|info| info.role == Role::Inside);
            let mut ours = inside.flat_map(InterfaceInfo::all_addresses).filter(fits);
            ours.find(|&local| is_protected(turn, local, &about.ip))
        }
    }
}

/// Our addresses on the link that leads to `source`, if it is one of ours.
fn way_back<'t>(turn: &Turn<'t>, source: IpAddr) -> Option<&'t [IpAddr]> {
    let Hop::Via { interface, vlan, .. } = turn.tables.fib.lookup(source) else { return None };
    turn.tables.interfaces.get(interface).map(|info| info.addresses_on(vlan))
}

fn is_protected(turn: &Turn<'_>, local: IpAddr, about: &Summary) -> bool {
    let protocol = if about.is_v4() { IpProtocol::ICMP } else { IpProtocol::ICMPV6 }.0;
    let kind = u16::from(if about.is_v4() { icmp::TIME_EXCEEDED } else { icmpv6::TIME_EXCEEDED });
    let flow = Flow { local, remote: about.source, protocol, ports: Some((kind << 8, kind << 8)) };
    matches!(turn.tables.spd.lookup(&flow), Some(Verdict::Protect { .. }))
}

/// Back to where the packet came from, and nowhere else.
fn go(turn: &mut Turn<'_>, frame: Frame, origin: Origin) -> Option<()> {
    let (frame, ip) = link::bare(turn, frame)?;
    match origin {
        Origin::Kernel => turn.hand_to_kernel(frame),
        Origin::Tunnel | Origin::Outside => {
            turn.desk.transit.push(Plain { frame, ip, origin: Origin::Ours });
        }
        Origin::Inside { .. } | Origin::Ours => match forward::via(turn, ip.destination) {
            Ok(via) if !forward::is_outside(turn, via.interface) => {
                forward::send(turn, frame, via, ip.is_v4());
            }
            Ok(_) => turn.drop(frame, DropReason::PolicyDiscard),
            Err(why) => turn.drop(frame, why),
        },
    }
    Some(())
}
