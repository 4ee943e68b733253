//! What policy says about a packet that leaves (RFC 4301 §5.1), up to the SA that will carry it.
use crate::forward::{self, Via};
use crate::notice::Notice;
use crate::packet::{Plain, Summary};
use crate::sa::Outbound;
use crate::seal::{self, Batch, Ready};
use crate::turn::Turn;
use crate::{fragment, handoff, icmp};
use sadb::{Counter, DropReason, Verdict};
use wire::iana::IpProtocol;

/// Protect, bypass or discard; what no entry covers is discarded (RFC 4301 §4.4.1).
pub(crate) fn apply<'t>(turn: &mut Turn<'t>, plain: Plain, ready: &mut Batch<'t>) {
    let flow = plain.ip.leaving();
    match turn.tables.spd.lookup(&flow) {
        Some(Verdict::Protect { tunnel }) => protect(turn, plain, tunnel, ready),
        // A later fragment shows no ports: it may be of a flow that must not go in the clear (RFC 4301 §7).
        Some(Verdict::Bypass)
            if plain.ip.is_later_fragment() && turn.tables.spd.hangs_on_ports(&flow) =>
        {
            turn.drop(plain.frame, DropReason::InnerFragment);
        }
        Some(Verdict::Bypass) => bypass(turn, plain),
        Some(Verdict::Discard) | None => turn.drop(plain.frame, DropReason::PolicyDiscard),
    }
}

fn bypass(turn: &mut Turn<'_>, plain: Plain) {
    turn.count(Counter::Bypassed);
    match forward::via(turn, plain.ip.destination) {
        Ok(via) => forward::clear(turn, plain, via),
        Err(why) => turn.drop(plain.frame, why),
    }
}

fn protect<'t>(turn: &mut Turn<'t>, mut plain: Plain, tunnel: u32, ready: &mut Batch<'t>) {
    let sad = turn.sad;
    let Some(sa) = sad.outbound_of(tunnel) else {
        acquire(turn, tunnel, &plain.ip);
        return turn.drop(plain.frame, DropReason::NoOutboundSa);
    };
    if is_our_own(&plain.ip, sa) {
        return turn.drop(plain.frame, DropReason::Nested);
    }
    if !forward::count_down(&mut plain) {
        return icmp::time_exceeded(turn, plain);
    }
    if let Some(plain) = handoff::to_owner(turn, plain, sa) {
        fit(turn, plain, sa, ready);
    }
}

/// From another worker: policy and TTL are done with, but the SA may have changed on the way.
pub(crate) fn resume<'t>(turn: &mut Turn<'t>, plain: Plain, tunnel: u32, ready: &mut Batch<'t>) {
    let sad = turn.sad;
    match sad.outbound_of(tunnel) {
        Some(sa) => fit(turn, plain, sa, ready),
        None => turn.drop(plain.frame, DropReason::NoOutboundSa),
    }
}

/// The way to the peer, and the packet in pieces that fit it: fragments are made before encryption.
fn fit<'t>(turn: &mut Turn<'t>, plain: Plain, sa: &'t Outbound, ready: &mut Batch<'t>) {
    let via = match forward::via(turn, sa.remote) {
        Ok(via) => via,
        Err(why) => return turn.drop(plain.frame, why),
    };
    let most = sa.max_inner(usize::from(via.mtu));
    if plain.ip.total_len <= most {
        return push(turn, plain, sa, via, ready);
    }
    if plain.ip.dont_fragment {
        return icmp::too_big(turn, plain, most);
    }
    let mut pieces = fragment::Pieces::new(plain, most);
    while let Some(piece) = pieces.next(turn) {
        push(turn, piece, sa, via, ready);
    }
    pieces.finish(turn);
}

fn push<'t>(turn: &mut Turn<'t>, plain: Plain, sa: &'t Outbound, via: Via, ready: &mut Batch<'t>) {
    if ready.is_full() {
        seal::flush(turn, ready);
    }
    let Plain { frame, ip, .. } = plain;
    ready.push(Ready { frame, ip, sa, via, sequence: 0, group: 0 });
}

/// An SA's own output on its way into the SA: a route leads the tunnel into itself.
fn is_our_own(ip: &Summary, sa: &Outbound) -> bool {
    (ip.source, ip.destination) == (sa.local, sa.remote)
        && (ip.protocol == IpProtocol::ESP
            || ip.protocol == IpProtocol::UDP && sa.outer.carries(ip.ports))
}

fn acquire(turn: &mut Turn<'_>, tunnel: u32, ip: &Summary) {
    if turn.desk.limits.acquire(tunnel, turn.now) {
        let (source_port, destination_port) = ip.ports.unwrap_or_default();
        turn.shared.tell(Notice::Acquire {
            tunnel,
            source: ip.source,
            destination: ip.destination,
            protocol: ip.protocol.0,
            source_port,
            destination_port,
        });
    }
}
