//! The next hop: routes, neighbours, TTL, and what is too big for a link.
use crate::fib::{Hop, Mac};
use crate::link::{Cover, Link};
use crate::packet::{Origin, Plain, Summary};
use crate::tables::Tables;
use crate::turn::Turn;
use crate::{fragment, icmp, martian, neighbours};
use core::net::IpAddr;
use sadb::{DropReason, Role};
use wire::ethernet::MAX_HEADER;
use wire::iana::IpProtocol;
use wire::{ipv4, ipv6};
use xsk::Frame;

/// A way out by one of our ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Via {
    pub interface: usize,
    /// As in [`Hop::Via`].
    pub vlan: Option<u16>,
    pub next: IpAddr,
    pub mac: Option<Mac>,
    pub mtu: u16,
}

/// The way to `destination`, if it leads out of a port.
#[inline]
pub(crate) fn via(turn: &mut Turn<'_>, destination: IpAddr) -> Result<Via, DropReason> {
    if let Some(via) = turn.desk.hops.recall(destination) {
        return Ok(*via);
    }
    find(turn, destination)
}

/// Looks the way up and remembers it.
fn find(turn: &mut Turn<'_>, destination: IpAddr) -> Result<Via, DropReason> {
    let mut via = look_up(turn, destination)?;
    // What a link could carry but a frame cannot hold is too big as well.
    let most = turn.desk.pool.umem().largest_packet();
    via.mtu = via.mtu.min(u16::try_from(most).unwrap_or(u16::MAX));
    turn.desk.hops.remember(destination, via);
    Ok(via)
}

fn look_up(turn: &Turn<'_>, destination: IpAddr) -> Result<Via, DropReason> {
    match turn.tables.fib.lookup(destination) {
        Hop::Via { interface, vlan, next, mac, mtu } => Ok(Via { interface, vlan, next, mac, mtu }),
        Hop::Foreign { .. } => Err(DropReason::InterfaceDown),
        Hop::Local | Hop::Unreachable => Err(DropReason::NoRoute),
    }
}

/// A packet that came in from outside, opened or in the clear: to the gateway itself, into another tunnel, or on.
pub(crate) fn deliver(turn: &mut Turn<'_>, plain: Plain) {
    let to = plain.ip.destination;
    if turn.tables.locals.contains(to) {
        return local(turn, plain);
    }
    if turn.tables.locals.is_broadcast(to) {
        return turn.drop(plain.frame, DropReason::Martian);
    }
    match via(turn, to) {
        Ok(via) if plain.origin == Origin::Tunnel && is_outside(turn, via.interface) => {
            turn.desk.transit.push(plain); // policy decides again (RFC 4301 §5.1)
        }
        Ok(via) => clear(turn, plain, via),
        Err(why) => turn.drop(plain.frame, why),
    }
}

/// The usual case of [`deliver`] for what came out of a tunnel: to a known neighbour on the inside.
pub(crate) struct Straight<'t> {
    pub to: IpAddr,
    mtu: usize,
    port: usize,
    cover: Cover<'t>,
}

/// That way to `to`, whose packets were found to be no martians.
pub(crate) fn straight<'t>(turn: &mut Turn<'t>, to: IpAddr) -> Option<Straight<'t>> {
    let tables = turn.tables;
    if tables.locals.contains(to) || tables.locals.is_broadcast(to) {
        return None;
    }
    let via = via(turn, to).ok()?;
    let link = link(tables, &via).filter(|link| link.port.role == Role::Inside)?;
    let (mtu, port) = (via.mtu.into(), link.port.port);
    Some(Straight { to, mtu, port, cover: link.header(to.is_ipv4()) })
}

impl Straight<'_> {
    /// The port, with the link header on, if the packet fits; else nothing has happened.
    #[inline(always)]
    pub fn send(&self, frame: &mut Frame, ip: &Summary) -> Option<usize> {
        let fits = ip.total_len <= self.mtu && frame.headroom() >= MAX_HEADER;
        if !fits || !count_down(frame, ip) {
            return None;
        }
        self.cover.put(frame).ok().map(|()| self.port)
    }
}

/// For the gateway itself. Its own ESP inside a tunnel would be a tunnel in itself.
fn local(turn: &mut Turn<'_>, plain: Plain) {
    let ip = &plain.ip;
    let encap = ip.protocol == IpProtocol::UDP
        && ip.ports.is_some_and(|(_, destination)| turn.sad.is_encap_port(destination));
    if plain.origin == Origin::Tunnel && (ip.protocol == IpProtocol::ESP || encap) {
        return turn.drop(plain.frame, DropReason::Nested);
    }
    turn.hand_to_kernel(plain.frame);
}

pub(crate) fn is_outside(turn: &Turn<'_>, interface: usize) -> bool {
    turn.tables.interfaces.get(interface).is_some_and(|info| info.role == Role::Outside)
}

/// In the clear by `via`.
pub(crate) fn clear(turn: &mut Turn<'_>, mut plain: Plain, via: Via) {
    if martian::address(plain.ip.destination) {
        return turn.drop(plain.frame, DropReason::Martian);
    }
    if plain.origin.is_forwarded() && !count_down(&mut plain.frame, &plain.ip) {
        return icmp::time_exceeded(turn, plain);
    }
    if plain.ip.total_len <= usize::from(via.mtu) {
        let v4 = plain.ip.is_v4();
        return send(turn, plain.frame, via, v4);
    }
    if plain.ip.dont_fragment {
        return icmp::too_big(turn, plain, usize::from(via.mtu));
    }
    let mut pieces = fragment::Pieces::new(plain, via.mtu.into());
    while let Some(piece) = pieces.next(turn) {
        send(turn, piece.frame, via, true);
    }
    pieces.finish(turn);
}

/// Counts the TTL or hop limit of a forwarded packet down; false when it would reach zero (RFC 1812 §5.3.1).
#[inline(always)]
pub(crate) fn count_down(frame: &mut Frame, ip: &Summary) -> bool {
    let left =
        if ip.is_v4() { ipv4::decrement_ttl(frame) } else { ipv6::decrement_hop_limit(frame) };
    left.is_some()
}

/// The link that leads there, if it is up and the neighbour is known.
#[inline]
pub(crate) fn link<'t>(tables: &'t Tables, via: &Via) -> Option<Link<'t>> {
    let port = tables.interfaces.get(via.interface).filter(|info| info.up)?;
    Some(Link { port, vlan: via.vlan, destination: via.mac? })
}

/// An IP packet out of a port: link header on, or waiting for the neighbour.
pub(crate) fn send(turn: &mut Turn<'_>, mut frame: Frame, via: Via, v4: bool) {
    let Some(link) = link(turn.tables, &via) else { return hold(turn, frame, via, v4) };
    match link.header(v4).put(&mut frame) {
        Ok(()) => turn.enqueue(via.interface, frame, DropReason::TxFull),
        Err(why) => turn.drop(frame, why),
    }
}

#[cold]
fn hold(turn: &mut Turn<'_>, frame: Frame, via: Via, v4: bool) {
    match turn.tables.interfaces.get(via.interface) {
        Some(port) if port.up => neighbours::wait(turn, frame, via, v4),
        _ => turn.drop(frame, DropReason::InterfaceDown),
    }
}
