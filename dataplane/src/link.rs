//! Ethernet: off when a frame arrives, on when it leaves.
use crate::fib::Mac;
use crate::packet::Summary;
use crate::tables::{InterfaceInfo, Tags};
use crate::turn::Turn;
use sadb::DropReason;
use wire::ethernet::{Ethernet, Header};
use wire::iana::EtherType;
use xsk::{Frame, NoRoom};

/// Takes the link header off and checks the IP packet below; what follows the packet is cut.
pub(crate) fn arrive(turn: &mut Turn<'_>, mut frame: Frame) -> Option<(Frame, Summary)> {
    match strip(&mut frame) {
        Ok(v4) => below(turn, frame, Some(v4)),
        Err(why) => {
            turn.drop(frame, why);
            None
        }
    }
}

/// The same without a link header: from the TUN device, or put together here.
pub(crate) fn bare(turn: &mut Turn<'_>, frame: Frame) -> Option<(Frame, Summary)> {
    below(turn, frame, None)
}

fn below(turn: &mut Turn<'_>, mut frame: Frame, v4: Option<bool>) -> Option<(Frame, Summary)> {
    match Summary::of(&frame) {
        Ok(ip) if v4.is_none_or(|v4| v4 == ip.is_v4()) => {
            frame.truncate(ip.total_len);
            Some((frame, ip))
        }
        Ok(_) => {
            turn.drop(frame, DropReason::MalformedIp);
            None
        }
        Err(why) => {
            turn.drop(frame, why);
            None
        }
    }
}

/// Whether IPv4 stood below, or IPv6.
fn strip(frame: &mut Frame) -> Result<bool, DropReason> {
    let link = Ethernet::parse(frame).map_err(|_| DropReason::MalformedEthernet)?;
    let v4 = match link.ethertype() {
        EtherType::IPV4 => true,
        EtherType::IPV6 => false,
        _ => return Err(DropReason::UnexpectedProtocol),
    };
    let len = link.header_len();
    frame.pull(len);
    Ok(v4)
}

/// Puts a link header on, tagged where the way leads into a VLAN.
pub(crate) fn cover(
    frame: &mut Frame,
    port: &InterfaceInfo,
    vlan: Option<u16>,
    destination: Mac,
    v4: bool,
) -> Result<(), DropReason> {
    let ethertype = if v4 { EtherType::IPV4 } else { EtherType::IPV6 };
    let header = Header { destination, source: port.mac, ethertype };
    match vlan {
        None => put(frame, header.emit()),
        Some(place) => tagged(frame, port, place, header),
    }
}

/// Priority and drop eligibility stay 0, as with the kernel's VLANs while they map none.
fn tagged(
    frame: &mut Frame,
    port: &InterfaceInfo,
    place: u16,
    header: Header,
) -> Result<(), DropReason> {
    let vlan = port.vlans.get(usize::from(place)).ok_or(DropReason::InterfaceDown)?;
    let header = Header { source: vlan.mac, ..header };
    match vlan.tags {
        Tags::One(tag) => put(frame, header.emit_tagged(tag)),
        Tags::Two { outer, inner } => put(frame, header.emit_double_tagged(outer, inner)),
    }
}

fn put<const N: usize>(frame: &mut Frame, header: [u8; N]) -> Result<(), DropReason> {
    let room = frame.push(N).map_err(|NoRoom { .. }| DropReason::NoRoom)?;
    room.copy_from_slice(&header);
    Ok(())
}
