//! Route netlink, plainly: one socket, no runtime. Requests are answered in order; notifications are read as they
//! come, on the same socket as the dumps, so that what the kernel said last is what is applied last.
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType,
    netlink::SocketAddrNetlink, sockopt,
};

/// Multicast groups of rtnetlink (`RTMGRP_*`, linux/rtnetlink.h): links, neighbours, addresses and routes.
pub const GROUP_LINK: u32 = 0x1;
/// Neighbour tables.
pub const GROUP_NEIGHBOUR: u32 = 0x4;
/// IPv4 addresses.
pub const GROUP_IPV4_ADDRESS: u32 = 0x10;
/// IPv4 routes.
pub const GROUP_IPV4_ROUTE: u32 = 0x40;
/// IPv6 addresses.
pub const GROUP_IPV6_ADDRESS: u32 = 0x100;
/// IPv6 routes.
pub const GROUP_IPV6_ROUTE: u32 = 0x400;

/// Longest datagram we take: dumps come in 32 KiB, a link with many virtual functions may be larger.
const DATAGRAM: usize = 256 * 1024;
/// What the kernel may queue for us before it says ENOBUFS.
const BACKLOG: usize = 8 * 1024 * 1024;

/// What can go wrong between us and the kernel's tables.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket itself failed.
    #[error("netlink {what}: {errno}")]
    Socket {
        /// The step that failed.
        what: &'static str,
        /// The kernel's number.
        errno: Errno,
    },
    /// The kernel turned a change down.
    #[error("the kernel refused to {what}: {errno}")]
    Refused {
        /// What was asked.
        what: String,
        /// The kernel's number.
        errno: Errno,
    },
    /// The kernel had more to say than the socket holds: everything must be read again.
    #[error("netlink notifications were lost (ENOBUFS); the tables are read again")]
    Overrun,
}

/// One message of the kernel, sorted.
#[derive(Debug)]
pub enum Message {
    /// An entry: of a dump when `sequence` is one that we sent, a notification otherwise.
    Entry {
        /// The request it answers.
        sequence: u32,
        /// `NLM_F_*`.
        flags: u16,
        /// What it says.
        inner: RouteNetlinkMessage,
    },
    /// A dump is complete; `consistent` is false when the table changed meanwhile and it must be read again.
    Done {
        /// The request it answers.
        sequence: u32,
        /// Nothing changed while the dump ran.
        consistent: bool,
    },
    /// The answer to a change: `None` is an acknowledgement.
    Answer {
        /// The request it answers.
        sequence: u32,
        /// Why not.
        errno: Option<Errno>,
    },
}

/// A route netlink socket.
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    interrupted: bool,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Netlink {
    /// A socket that follows `groups` (0: none).
    pub fn open(groups: u32) -> Result<Self, NetlinkError> {
        Self::open_protocol(None, groups)
    }

    /// A socket of another netlink protocol, e.g. `netlink::GENERIC`.
    pub fn open_protocol(protocol: Option<Protocol>, groups: u32) -> Result<Self, NetlinkError> {
        let failed = |what| move |errno| NetlinkError::Socket { what, errno };
        let fd = net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(failed("socket"))?;
        // Beyond rmem_max where we may (CAP_NET_ADMIN), so that a full table's worth of changes fits.
        if sockopt::set_socket_recv_buffer_size_force(&fd, BACKLOG).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&fd, BACKLOG);
        }
        net::bind(&fd, &SocketAddrNetlink::new(0, groups)).map_err(failed("bind"))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; DATAGRAM], interrupted: false })
    }

    /// Sends one request and returns the number that its answers carry.
    pub fn send(&mut self, inner: RouteNetlinkMessage, flags: u16) -> Result<u32, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags | NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(inner));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.send_octets(&octets)?;
        Ok(self.sequence)
    }

    /// Sends one message that is already laid out.
    pub fn send_octets(&self, octets: &[u8]) -> Result<(), NetlinkError> {
        let kernel = SocketAddrNetlink::new(0, 0);
        net::sendto(&self.fd, octets, SendFlags::empty(), &kernel)
            .map(drop)
            .map_err(|errno| NetlinkError::Socket { what: "send", errno })
    }

    /// Receives one datagram into the socket's own buffer; empty when there is none now and `wait` is false.
    pub fn receive_octets(&mut self, wait: bool) -> Result<&[u8], NetlinkError> {
        let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let length = loop {
            match net::recv(&self.fd, self.buffer.as_mut_slice(), flags | RecvFlags::TRUNC) {
                Ok((_, length)) => break length,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break 0,
                Err(Errno::NOBUFS) => return Err(NetlinkError::Overrun),
                Err(errno) => return Err(NetlinkError::Socket { what: "receive", errno }),
            }
        };
        self.buffer.get(..length).ok_or(NetlinkError::Overrun)
    }

    /// Receives one datagram's messages. Entries that the netlink crate cannot read are left out.
    pub fn receive(&mut self, wait: bool) -> Result<Vec<Message>, NetlinkError> {
        let mut interrupted = self.interrupted;
        let messages = split(self.receive_octets(wait)?)
            .filter_map(|octets| {
                let parsed = NetlinkMessage::<RouteNetlinkMessage>::deserialize(octets);
                parsed.inspect_err(|error| tracing::debug!(%error, "netlink message left out")).ok()
            })
            .filter_map(|message| sorted(message, &mut interrupted))
            .collect();
        self.interrupted = interrupted;
        Ok(messages)
    }

    /// Asks for a change and waits for the answer. `what` completes "the kernel refused to …".
    pub fn change(
        &mut self,
        what: impl Into<String>,
        inner: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        let asked = self.send(inner, flags | NLM_F_ACK)?;
        loop {
            for message in self.receive(true)? {
                match message {
                    Message::Answer { sequence, errno: None } if sequence == asked => return Ok(()),
                    Message::Answer { sequence, errno: Some(errno) } if sequence == asked => {
                        return Err(NetlinkError::Refused { what: what.into(), errno });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Everything in one table, on a socket without groups.
    pub fn dump(
        &mut self,
        inner: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let asked = self.send(inner, NLM_F_DUMP)?;
        let mut entries = Vec::new();
        loop {
            for message in self.receive(true)? {
                match message {
                    Message::Entry { sequence, inner, .. } if sequence == asked => {
                        entries.push(inner);
                    }
                    Message::Done { sequence, .. } if sequence == asked => return Ok(entries),
                    Message::Answer { sequence, errno: Some(errno) } if sequence == asked => {
                        return Err(NetlinkError::Refused { what: "list a table".into(), errno });
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The messages in one datagram: each begins with its length and is padded to four octets.
pub fn split(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*octets.first_chunk()?);
        let length = usize::try_from(length).ok().filter(|&length| length >= 16)?;
        let message = octets.get(..length)?;
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn sorted(message: NetlinkMessage<RouteNetlinkMessage>, interrupted: &mut bool) -> Option<Message> {
    let (header, payload) = message.into_parts();
    let (sequence, flags) = (header.sequence_number, header.flags);
    *interrupted |= flags & NLM_F_DUMP_INTR != 0;
    match payload {
        NetlinkPayload::InnerMessage(inner) => Some(Message::Entry { sequence, flags, inner }),
        NetlinkPayload::Done(_) => {
            Some(Message::Done { sequence, consistent: !core::mem::take(interrupted) })
        }
        NetlinkPayload::Error(error) => {
            let errno = error.code.map(|code| Errno::from_raw_os_error(code.get().wrapping_neg()));
            Some(Message::Answer { sequence, errno })
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_cut_at_four_octet_boundaries_and_a_lie_about_length_ends_it() {
        let message = |length: u32, fill: u8, pad: usize| {
            let mut octets = length.to_ne_bytes().to_vec();
            octets.resize(length as usize, fill);
            octets.resize(octets.len() + pad, 0);
            octets
        };
        let whole = [message(18, 1, 2), message(16, 2, 0)].concat();
        assert_eq!(split(&whole).map(<[u8]>::len).collect::<Vec<_>>(), [18, 16]);
        for (lie, name) in [(0u32, "zero"), (15, "short"), (400, "beyond the end")] {
            let mut octets = message(16, 0, 0);
            octets.splice(..4, lie.to_ne_bytes());
            assert_eq!(split(&octets).count(), 0, "{name}");
        }
    }
}
