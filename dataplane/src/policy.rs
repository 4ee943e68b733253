//! What policy says about a packet that leaves (RFC 4301 §5.1), up to the SA that will carry it.
use crate::forward;
use crate::notice::Notice;
use crate::outer::Marks;
use crate::packet::{Origin, Plain, Summary};
use crate::sa::Outbound;
use crate::seal::{self, Batch, Packet, Way};
use crate::turn::Turn;
use crate::{fragment, handoff, icmp};
use sadb::{Counter, DropReason, Verdict};
use wire::iana::IpProtocol;
use xsk::Frame;

/// Asks policy about one packet, and does what it says.
pub(crate) fn apply<'t>(turn: &mut Turn<'t>, plain: Plain, ready: &mut Batch<'t>) {
    let Plain { frame, ip, origin } = plain;
    let verdict = turn.tables.spd.lookup(&ip.leaving());
    act(turn, frame, &ip, origin, verdict, ready);
}

/// Protect, bypass or discard; what no entry covers is discarded (RFC 4301 §4.4.1).
#[inline]
pub(crate) fn act<'t>(
    turn: &mut Turn<'t>,
    frame: Frame,
    ip: &Summary,
    origin: Origin,
    verdict: Option<Verdict>,
    ready: &mut Batch<'t>,
) {
    match verdict {
        Some(Verdict::Protect { tunnel }) => protect(turn, frame, ip, origin, tunnel, ready),
        Some(Verdict::Bypass) => bypass(turn, Plain { frame, ip: *ip, origin }),
        Some(Verdict::Discard) | None => turn.drop(frame, DropReason::PolicyDiscard),
    }
}

#[inline(never)]
fn bypass(turn: &mut Turn<'_>, plain: Plain) {
    // A later fragment shows no ports: it may be of a flow that must not go in the clear (RFC 4301 §7).
    if plain.ip.is_later_fragment() && turn.tables.spd.hangs_on_ports(&plain.ip.leaving()) {
        return turn.drop(plain.frame, DropReason::InnerFragment);
    }
    turn.count(Counter::Bypassed);
    match forward::via(turn, plain.ip.destination) {
        Ok(via) => forward::clear(turn, plain, via),
        Err(why) => turn.drop(plain.frame, why),
    }
}

#[inline]
fn protect<'t>(
    turn: &mut Turn<'t>,
    mut frame: Frame,
    ip: &Summary,
    origin: Origin,
    tunnel: u32,
    ready: &mut Batch<'t>,
) {
    let sad = turn.sad;
    let Some(sa) = ready.sender(tunnel).or_else(|| sad.outbound_of(tunnel)) else {
        acquire(turn, tunnel, ip);
        return turn.drop(frame, DropReason::NoOutboundSa);
    };
    if is_our_own(ip, sa) {
        return turn.drop(frame, DropReason::Nested);
    }
    if origin.is_forwarded() && !forward::count_down(&mut frame, ip) {
        return icmp::time_exceeded(turn, Plain { frame, ip: *ip, origin });
    }
    match handoff::owner(turn, sa) {
        Some(owner) => handoff::give(turn, frame, origin, sa.tunnel, owner),
        None => fit(turn, frame, ip, origin, sa, ready),
    }
}

/// From another worker: policy and TTL are done with, but the SA may have changed on the way.
pub(crate) fn resume<'t>(turn: &mut Turn<'t>, plain: Plain, tunnel: u32, ready: &mut Batch<'t>) {
    let Plain { frame, ip, origin } = plain;
    let sad = turn.sad;
    match sad.outbound_of(tunnel) {
        Some(sa) => fit(turn, frame, &ip, origin, sa, ready),
        None => turn.drop(frame, DropReason::NoOutboundSa),
    }
}

/// The way to the peer, and the packet in pieces that fit it: fragments are made before encryption.
#[inline]
fn fit<'t>(
    turn: &mut Turn<'t>,
    frame: Frame,
    ip: &Summary,
    origin: Origin,
    sa: &'t Outbound,
    ready: &mut Batch<'t>,
) {
    match room(turn, ip, sa, ready) {
        Ok(most) if ip.total_len <= most => push(frame, ip, sa, ready),
        Ok(most) => cut(turn, Plain { frame, ip: *ip, origin }, sa, most, ready),
        Err(why) => turn.drop(frame, why),
    }
}

/// Makes room for a packet of this SA; says how large it may be.
#[inline]
fn room<'t>(
    turn: &mut Turn<'t>,
    ip: &Summary,
    sa: &'t Outbound,
    ready: &mut Batch<'t>,
) -> Result<usize, DropReason> {
    if ready.is_full() {
        seal::flush(turn, ready);
    }
    match ready.most(sa) {
        Some(most) => Ok(most),
        None => {
            sa.prefetch(ip.total_len); // there is time until all packets have come so far
            let way = match turn.tables.fib.gateway(sa.remote) {
                Some(via) => Way::Known(via),
                None => ready.keep(forward::via(turn, sa.remote)?),
            };
            Ok(ready.begin(sa, way, turn.desk.pool.umem().largest_packet()))
        }
    }
}

#[cold]
fn cut<'t>(
    turn: &mut Turn<'t>,
    plain: Plain,
    sa: &'t Outbound,
    most: usize,
    ready: &mut Batch<'t>,
) {
    if plain.ip.dont_fragment {
        return icmp::too_big(turn, plain, most);
    }
    let mut pieces = fragment::Pieces::new(plain, most);
    while let Some(Plain { frame, ip, .. }) = pieces.next(turn) {
        match room(turn, &ip, sa, ready) {
            Ok(_) => push(frame, &ip, sa, ready),
            Err(why) => turn.drop(frame, why),
        }
    }
    pieces.finish(turn);
}

#[inline]
fn push(frame: Frame, ip: &Summary, sa: &Outbound, ready: &mut Batch<'_>) {
    let marks = Marks::new(ip, sa.dscp, sa.ecn, sa.dont_fragment);
    ready.push(Packet { frame, marks, v4: ip.is_v4(), refused: None, sequence: 0 });
}

/// An SA's own output on its way into the SA: a route leads the tunnel into itself.
#[inline]
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
