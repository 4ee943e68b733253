//! Ethernet: off when a frame arrives, on when it leaves.
use crate::fib::Mac;
use crate::packet::Summary;
use crate::tables::{InterfaceInfo, Tags};
use crate::turn::Turn;
use sadb::DropReason;
use wire::ethernet::{Ethernet, HEADER, Header};
use wire::iana::EtherType;
use xsk::{Frame, NoRoom};

/// Takes the link header off and checks the IP packet below; what follows the packet is cut.
#[inline(always)]
pub(crate) fn arrive(frame: &mut Frame, ip: &mut Summary) -> Result<(), DropReason> {
    let v4 = strip(frame)?;
    ip.read(frame)?;
    if v4 != ip.is_v4() {
        return Err(DropReason::MalformedIp);
    }
    frame.truncate(ip.total_len);
    Ok(())
}

/// The same without a link header: from the TUN device, or put together here.
pub(crate) fn bare(turn: &mut Turn<'_>, mut frame: Frame) -> Option<(Frame, Summary)> {
    match Summary::of(&frame) {
        Ok(ip) => {
            frame.truncate(ip.total_len);
            Some((frame, ip))
        }
        Err(why) => {
            turn.drop(frame, why);
            None
        }
    }
}

/// Whether IPv4 stood below, or IPv6.
#[inline]
fn strip(frame: &mut Frame) -> Result<bool, DropReason> {
    if let Some([.., 0x08, 0x00]) = frame.first_chunk::<HEADER>() {
        frame.pull(HEADER); // untagged IPv4, without a look at tags
        return Ok(true);
    }
    labelled(frame)
}

/// As [`strip`], whatever the header.
#[inline(never)]
fn labelled(frame: &mut Frame) -> Result<bool, DropReason> {
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

/// The way to a neighbour.
#[derive(Clone, Copy)]
pub(crate) struct Link<'t> {
    pub port: &'t InterfaceInfo,
    /// As in [`crate::Hop::Via`].
    pub vlan: Option<u16>,
    pub destination: Mac,
}

/// A link header, for as many packets as go that way.
pub(crate) enum Cover<'t> {
    Untagged([u8; HEADER]),
    /// Tagged as the VLAN at this place is, whatever the source says.
    Tagged(&'t InterfaceInfo, u16, Header),
}

impl<'t> Link<'t> {
    /// The header of IP packets of one version, tagged where the way leads into a VLAN.
    #[inline(always)]
    pub fn header(&self, v4: bool) -> Cover<'t> {
        let ethertype = if v4 { EtherType::IPV4 } else { EtherType::IPV6 };
        let header = Header { destination: self.destination, source: self.port.mac, ethertype };
        match self.vlan {
            None => Cover::Untagged(header.emit()),
            Some(place) => Cover::Tagged(self.port, place, header),
        }
    }
}

impl Cover<'_> {
    /// Puts it on.
    #[inline(always)]
    pub fn put(&self, frame: &mut Frame) -> Result<(), DropReason> {
        match self {
            Self::Untagged(header) => put(frame, *header),
            Self::Tagged(port, place, header) => tagged(frame, port, *place, *header),
        }
    }
}

/// Priority and drop eligibility stay 0, as with the kernel's VLANs while they map none.
#[inline(never)]
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

#[inline(always)]
fn put<const N: usize>(frame: &mut Frame, header: [u8; N]) -> Result<(), DropReason> {
    let room = frame.push(N).map_err(|NoRoom { .. }| DropReason::NoRoom)?;
    room.copy_from_slice(&header);
    Ok(())
}
