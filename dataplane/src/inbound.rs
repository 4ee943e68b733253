//! Inbound (RFC 4301 §5.2): from the ciphertext side, out of tunnels.
use crate::open::{self, Batch};
use crate::packet::{Origin, Plain, Summary};
use crate::reassembly::Outcome;
use crate::sad::STEPS;
use crate::turn::{BATCH, Facts, Turn};
use crate::{forward, link, lookup, martian};
use arrayvec::ArrayVec;
use sadb::{Counter, DropReason, Verdict};
use wire::esp;
use wire::iana::IpProtocol;
use wire::natt::{self, Natt};
use wire::udp::{self, Udp};
use xsk::Frame;

/// An ESP packet's header.
#[derive(Clone, Copy)]
pub(crate) struct Esp {
    pub spi: u32,
    /// The low 32 bits of the number.
    pub sequence: u32,
}

/// What a frame from outside turned out to be.
enum Arrival {
    /// The frame holds it from the ESP header to the ICV.
    Esp(Esp),
    Keepalive,
    /// For the gateway's own kernel whatever policy says: IKE protects itself.
    Ike,
    Plain,
    /// A part of a packet for us.
    Fragment,
    Bad(DropReason),
}

/// A batch from the ciphertext side. All frames are looked at before the first goes on, so that the SAs they need can
/// come from memory meanwhile.
pub(crate) fn from_outside(turn: &mut Turn<'_>, arrived: &mut Vec<Frame>) {
    let mut headers = core::mem::take(&mut turn.desk.headers);
    let mut named = ArrayVec::<(u32, u32), BATCH>::new();
    let looks = arrived.iter_mut().zip(&mut headers).map(|(frame, ip)| {
        let arrival = look(turn, frame, ip);
        match arrival {
            Arrival::Esp(Esp { spi, sequence, .. }) if named.last().is_none_or(|n| n.0 != spi) => {
                named.push((spi, sequence));
                turn.sad.bring_receiver(&named, named.len() - 1);
            }
            _ => {}
        }
        arrival
    });
    let arrivals: ArrayVec<Arrival, BATCH> = looks.collect();
    for at in named.len()..named.len() + STEPS {
        turn.sad.bring_receiver(&named, at);
    }
    let mut sealed = Batch::new();
    for ((frame, ip), arrival) in arrived.drain(..).zip(&headers).zip(arrivals) {
        sort(turn, frame, ip, arrival, &mut sealed);
    }
    open::flush(turn, &mut sealed, &mut headers);
    turn.desk.headers = headers;
}

#[inline]
fn look(turn: &Turn<'_>, frame: &mut Frame, ip: &mut Summary) -> Arrival {
    match link::arrive(frame, ip) {
        Ok(()) if ip.fragment.is_some() && turn.tables.locals.contains(ip.destination) => {
            Arrival::Fragment
        }
        Ok(()) => classify(turn, frame, ip),
        Err(why) => Arrival::Bad(why),
    }
}

/// What is known of a packet's kind is acted upon; an ESP packet whose SA is known goes to `sealed`.
#[inline]
fn sort<'t>(
    turn: &mut Turn<'t>,
    frame: Frame,
    ip: &Summary,
    arrival: Arrival,
    sealed: &mut Batch<'t>,
) {
    match arrival {
        Arrival::Esp(esp) => lookup::find(turn, frame, ip, esp, sealed),
        Arrival::Keepalive => {
            turn.count(Counter::Keepalives);
            turn.desk.pool.put(frame);
        }
        Arrival::Ike => turn.hand_to_kernel(frame),
        Arrival::Plain => plaintext(turn, Plain { frame, ip: *ip, origin: Origin::Outside }),
        Arrival::Fragment => fragment(turn, frame, ip, sealed),
        Arrival::Bad(why) => turn.drop(frame, why),
    }
}

/// Fragments for us are put together first; nothing is decided on a part (RFC 4303 §3.4.1).
#[cold]
fn fragment<'t>(turn: &mut Turn<'t>, frame: Frame, ip: &Summary, sealed: &mut Batch<'t>) {
    match turn.desk.reassembly.add(frame, ip, turn.now, &mut turn.desk.pool) {
        Outcome::Kept => {}
        Outcome::Whole(frame) => {
            turn.count(Counter::Reassembled);
            if let Some((mut frame, ip)) = link::bare(turn, frame) {
                let arrival = classify(turn, &mut frame, &ip);
                sort(turn, frame, &ip, arrival, sealed);
            }
        }
        Outcome::Bad(frame, why, others) => {
            turn.desk.counters.count_many(why, others);
            turn.drop(frame, why);
        }
    }
}

#[inline]
fn classify(turn: &Turn<'_>, frame: &mut Frame, ip: &Summary) -> Arrival {
    let ours = turn.tables.locals.contains(ip.destination);
    match ip.protocol {
        IpProtocol::ESP if ours => {
            frame.pull(ip.header_len);
            esp(frame)
        }
        IpProtocol::UDP if ours => datagram(turn, frame, ip),
        _ => Arrival::Plain,
    }
}

#[inline]
fn esp(frame: &Frame) -> Arrival {
    match esp::Esp::parse(frame) {
        Ok(esp) => Arrival::Esp(Esp { spi: esp.spi(), sequence: esp.sequence() }),
        Err(_) => Arrival::Bad(DropReason::Runt),
    }
}

fn datagram(turn: &Turn<'_>, frame: &mut Frame, ip: &Summary) -> Arrival {
    let upper = frame.get(ip.header_len..).unwrap_or_default();
    let Ok(udp) = Udp::parse(upper) else {
        return Arrival::Bad(DropReason::MalformedTransport);
    };
    let ports = (udp.source(), udp.destination());
    if ports.1 == IKE_PORT {
        return Arrival::Ike;
    }
    if !turn.sad.is_encap_port(ports.1) {
        return Arrival::Plain;
    }
    let esp_len = udp.payload().len();
    match natt::classify(udp.payload()) {
        Natt::Keepalive => Arrival::Keepalive,
        Natt::Ike(_) => Arrival::Ike,
        Natt::Malformed => Arrival::Bad(DropReason::MalformedEncap),
        Natt::Esp(_) => {
            frame.pull(ip.header_len + udp::HEADER);
            frame.truncate(esp_len);
            esp(frame)
        }
    }
}

/// UDP port of IKE (RFC 7296 §2).
const IKE_PORT: u16 = 500;

/// What should have come protected is not let in (RFC 4301 §5.2 step 3a).
fn plaintext(turn: &mut Turn<'_>, plain: Plain) {
    let flow = plain.ip.arriving();
    let hidden = plain.ip.is_later_fragment() && turn.tables.spd.hangs_on_ports(&flow);
    match turn.tables.spd.lookup(&flow) {
        Some(Verdict::Protect { .. }) => {
            let facts = Facts::of(0, 0, &plain.ip);
            turn.refuse(plain.frame, DropReason::PlaintextOutside, facts);
        }
        Some(Verdict::Discard) => turn.drop(plain.frame, DropReason::PolicyDiscard),
        _ if hidden => turn.drop(plain.frame, DropReason::InnerFragment),
        _ if martian::address(plain.ip.source) || martian::address(plain.ip.destination) => {
            turn.drop(plain.frame, DropReason::Martian);
        }
        verdict => {
            if verdict.is_some() {
                turn.count(Counter::Bypassed);
            }
            forward::deliver(turn, plain);
        }
    }
}
