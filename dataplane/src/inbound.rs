//! Inbound (RFC 4301 §5.2): from the ciphertext side, out of tunnels.
use crate::open::{self, Batch};
use crate::packet::{Origin, Plain, Summary};
use crate::reassembly::Outcome;
use crate::turn::{Facts, Turn};
use crate::{forward, link, lookup, martian};
use sadb::{Counter, DropReason, Verdict};
use wire::iana::IpProtocol;
use wire::natt::{self, Natt};
use wire::udp::{self, Udp};
use xsk::Frame;

/// An ESP packet: the frame holds it from the ESP header to the ICV.
pub(crate) struct Esp {
    pub frame: Frame,
    pub outer: Summary,
    /// Source and destination port of the UDP datagram around it, if there was one.
    pub encap: Option<(u16, u16)>,
}

/// What a frame from outside turned out to be.
enum Arrival {
    Esp(Esp),
    Keepalive(Frame),
    /// For the gateway's own kernel whatever policy says: IKE protects itself.
    Ike(Frame),
    Plain(Plain),
    Bad(Frame, DropReason),
}

/// A batch from the ciphertext side.
pub(crate) fn from_outside(turn: &mut Turn<'_>, arrived: &mut Vec<Frame>) {
    let mut sealed = Batch::new();
    for mut frame in arrived.drain(..) {
        let mut ip = Summary::BLANK;
        if let Err(why) = link::arrive(&mut frame, &mut ip) {
            turn.drop(frame, why);
            continue;
        }
        if let Some((frame, ip)) = whole(turn, frame, ip) {
            sealed.extend(sort(turn, frame, ip));
        }
    }
    open::flush(turn, &mut sealed);
}

/// Fragments for us are put together first; nothing is decided on a part (RFC 4303 §3.4.1).
fn whole(turn: &mut Turn<'_>, frame: Frame, ip: Summary) -> Option<(Frame, Summary)> {
    if ip.fragment.is_none() || !turn.tables.locals.contains(ip.destination) {
        return Some((frame, ip));
    }
    match turn.desk.reassembly.add(frame, &ip, turn.now, &mut turn.desk.pool) {
        Outcome::Kept => None,
        Outcome::Whole(frame) => {
            turn.count(Counter::Reassembled);
            link::bare(turn, frame)
        }
        Outcome::Bad(frame, why, others) => {
            turn.desk.counters.count_many(why, others);
            turn.drop(frame, why);
            None
        }
    }
}

/// An ESP packet whose SA is known, or nothing because the packet is dealt with.
fn sort<'t>(turn: &mut Turn<'t>, frame: Frame, ip: Summary) -> Option<open::Sealed<'t>> {
    match classify(turn, frame, ip) {
        Arrival::Esp(esp) => return lookup::find(turn, esp),
        Arrival::Keepalive(frame) => {
            turn.count(Counter::Keepalives);
            turn.desk.pool.put(frame);
        }
        Arrival::Ike(frame) => turn.hand_to_kernel(frame),
        Arrival::Plain(plain) => plaintext(turn, plain),
        Arrival::Bad(frame, why) => turn.drop(frame, why),
    }
    None
}

fn classify(turn: &Turn<'_>, mut frame: Frame, ip: Summary) -> Arrival {
    let ours = turn.tables.locals.contains(ip.destination);
    match ip.protocol {
        IpProtocol::ESP if ours => {
            frame.pull(ip.header_len);
            Arrival::Esp(Esp { frame, outer: ip, encap: None })
        }
        IpProtocol::UDP if ours => datagram(turn, frame, ip),
        _ => Arrival::Plain(Plain { frame, ip, origin: Origin::Outside }),
    }
}

fn datagram(turn: &Turn<'_>, mut frame: Frame, ip: Summary) -> Arrival {
    let upper = frame.get(ip.header_len..).unwrap_or_default();
    let Ok(udp) = Udp::parse(upper) else {
        return Arrival::Bad(frame, DropReason::MalformedTransport);
    };
    let ports = (udp.source(), udp.destination());
    if ports.1 == IKE_PORT {
        return Arrival::Ike(frame);
    }
    if !turn.sad.is_encap_port(ports.1) {
        return Arrival::Plain(Plain { frame, ip, origin: Origin::Outside });
    }
    let esp_len = udp.payload().len();
    match natt::classify(udp.payload()) {
        Natt::Keepalive => Arrival::Keepalive(frame),
        Natt::Ike(_) => Arrival::Ike(frame),
        Natt::Malformed => Arrival::Bad(frame, DropReason::MalformedEncap),
        Natt::Esp(_) => {
            frame.pull(ip.header_len + udp::HEADER);
            frame.truncate(esp_len);
            Arrival::Esp(Esp { frame, outer: ip, encap: Some(ports) })
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
            let Plain { frame, ip, .. } = plain;
            turn.refuse(
                frame,
                DropReason::PlaintextOutside,
                Facts { spi: 0, sequence: 0, ip: &ip },
            );
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
