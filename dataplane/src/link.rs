//! Ethernet: off when a frame arrives, on when it leaves.
use crate::fib::Mac;
use crate::packet::Summary;
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

/// Puts a link header on.
pub(crate) fn cover(
    frame: &mut Frame,
    source: Mac,
    destination: Mac,
    v4: bool,
) -> Result<(), NoRoom> {
    let ethertype = if v4 { EtherType::IPV4 } else { EtherType::IPV6 };
    let header = Header { destination, source, ethertype }.emit();
    frame.push(header.len())?.copy_from_slice(&header);
    Ok(())
}
