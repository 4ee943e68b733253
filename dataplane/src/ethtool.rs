//! What ethtool knows, by its netlink family (linux/ethtool_netlink.h): how many receive queues an interface uses, and
//! the receive offloads that would glue packets together before we see them. Those are switched off on our interfaces:
//! native XDP runs before GRO, generic XDP after it, and some drivers have LRO or hardware GRO below XDP.
use crate::netlink::{Netlink, NetlinkError, split};
use rustix::io::Errno;
use rustix::net::netlink::GENERIC;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const NLMSG_ERROR: u16 = 2;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const FEATURES_SET: u8 = 12;
const CHANNELS_GET: u8 = 17;
const CHANNELS_RX_COUNT: u16 = 6;
const CHANNELS_COMBINED_COUNT: u16 = 9;
const NESTED: u16 = 0x8000;

/// The features, as the kernel names them.
const UNWANTED: [&str; 4] = ["rx-lro", "rx-gro-hw", "rx-gro", "rx-gro-list"];

/// Switches the unwanted features off; returns those that the kernel would not change, with its reason.
///
/// # Errors
/// The kernel does not speak ethtool over netlink (before 5.6), or nobody may.
pub fn switch_off(ifindex: u32) -> Result<Vec<(&'static str, Errno)>, NetlinkError> {
    let mut netlink = Netlink::open_protocol(Some(GENERIC), 0)?;
    let family = family(&mut netlink)?;
    let mut left = Vec::new();
    for feature in UNWANTED {
        let body = features_set(ifindex, feature);
        let refused = answer(&mut netlink, &message(family, REQUEST | ACK, FEATURES_SET, &body))?;
        left.extend(refused.map(|errno| (feature, errno)));
    }
    Ok(left)
}

/// Receive queues in use: receive-only and combined channels. `None` when the driver does not say.
///
/// # Errors
/// The kernel does not speak ethtool over netlink.
pub fn receive_queues(ifindex: u32) -> Result<Option<u32>, NetlinkError> {
    let mut netlink = Netlink::open_protocol(Some(GENERIC), 0)?;
    let family = family(&mut netlink)?;
    let header = nested(1, &attribute(1, &ifindex.to_ne_bytes()));
    netlink.send_octets(&message(family, REQUEST, CHANNELS_GET, &header))?;
    let mut count = 0u32;
    for reply in split(netlink.receive_octets(true)?).filter(|r| kind_of(r) == Some(family)) {
        for (kind, value) in attributes(reply) {
            if matches!(kind, CHANNELS_RX_COUNT | CHANNELS_COMBINED_COUNT) {
                let value = value.first_chunk().copied().unwrap_or_default();
                count = count.saturating_add(u32::from_ne_bytes(value));
            }
        }
    }
    Ok(Some(count).filter(|&count| count > 0))
}

/// `None`: acknowledged.
fn answer(netlink: &mut Netlink, request: &[u8]) -> Result<Option<Errno>, NetlinkError> {
    netlink.send_octets(request)?;
    loop {
        for reply in split(netlink.receive_octets(true)?) {
            if kind_of(reply) == Some(NLMSG_ERROR) {
                let code = reply.get(16..).and_then(|body| body.first_chunk().copied());
                let code = i32::from_ne_bytes(code.unwrap_or_default());
                return Ok((code != 0).then(|| Errno::from_raw_os_error(code.wrapping_neg())));
            }
        }
    }
}

fn family(netlink: &mut Netlink) -> Result<u16, NetlinkError> {
    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
    netlink.send_octets(&message(GENL_ID_CTRL, REQUEST, CTRL_CMD_GETFAMILY, &name))?;
    let refused = |errno| NetlinkError::Refused { what: "find the ethtool family".into(), errno };
    for reply in split(netlink.receive_octets(true)?) {
        for (kind, value) in attributes(reply) {
            if kind == CTRL_ATTR_FAMILY_ID {
                let id = value.first_chunk().copied().ok_or(refused(Errno::PROTO))?;
                return Ok(u16::from_ne_bytes(id));
            }
        }
    }
    Err(refused(Errno::NOENT))
}

/// nlmsghdr, genlmsghdr, attributes.
fn message(kind: u16, flags: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
    let mut octets = length.to_ne_bytes().to_vec();
    octets.extend(kind.to_ne_bytes());
    octets.extend(flags.to_ne_bytes());
    octets.extend([1, 0, 0, 0, 0, 0, 0, 0]); // sequence number, port
    octets.extend([command, 1, 0, 0]);
    octets.extend(attributes);
    octets
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut octets = length.to_ne_bytes().to_vec();
    octets.extend(kind.to_ne_bytes());
    octets.extend(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, attributes)
}

/// ETHTOOL_A_FEATURES_WANTED with one bit, named and without a value: off.
fn features_set(ifindex: u32, feature: &str) -> Vec<u8> {
    let name = [feature.as_bytes(), b"\0"].concat();
    let bit = nested(1, &attribute(2, &name));
    let wanted = nested(3, &nested(3, &bit));
    let header = nested(1, &attribute(1, &ifindex.to_ne_bytes()));
    [header, wanted].concat()
}

fn kind_of(message: &[u8]) -> Option<u16> {
    message.get(4..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// The attributes behind the headers of a message.
fn attributes(message: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut octets = message.get(20..).unwrap_or_default();
    core::iter::from_fn(move || {
        let (kind, value, rest) = next_attribute(octets)?;
        octets = rest;
        Some((kind, value))
    })
}

fn next_attribute(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(*octets.first_chunk()?));
    let kind = u16::from_ne_bytes(*octets.get(2..)?.first_chunk()?);
    let value = octets.get(4..length)?;
    Some((kind, value, octets.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let octets = [attribute(2, b"abc\0x"), attribute(7, &[9])].concat();
        let (kind, value, rest) = next_attribute(&octets).unwrap();
        assert_eq!((kind, value), (2, &b"abc\0x"[..]));
        assert_eq!(next_attribute(rest).unwrap(), (7, &[9][..], &[][..]));
        assert!(next_attribute(&[200, 0, 1, 0, 5]).is_none(), "longer than the message");
    }

    #[test]
    fn the_kernel_knows_the_features_by_name() {
        // lo has GRO and nobody minds; a wrong layout or name is EINVAL.
        let Ok(left) = switch_off(1) else { return };
        assert!(left.iter().all(|(_, errno)| *errno != Errno::INVAL), "{left:?}");
    }
}
