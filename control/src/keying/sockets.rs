//! The UDP sockets of IKE. Bound to every address of ours, and still each answer leaves from the address that the question
//! came to: the kernel says which that was, and is told which to use (IP_PKTINFO).
use ike::action::Endpoint;
use ike::settings::Ports;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{
    Ipv4PacketInfo, Ipv6RecvPacketInfo, Ipv6V6Only, RcvBuf, RcvBufForce,
};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    SockaddrIn6, SockaddrLike, SockaddrStorage, bind, recvmsg, sendmsg, setsockopt, socket,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The largest UDP payload.
pub const LARGEST: usize = 65_535;

/// Octets that may wait in a socket; the kernel counts what it keeps beside each datagram too. Ten thousand peers that call
/// at once find room, and those who stand and want new keys are heard among them.
const ROOM: usize = 8 << 20;

/// Four sockets: two families, two ports.
#[derive(Debug)]
pub struct Sockets(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    v4: bool,
    port: u16,
}

impl Sockets {
    /// Binds them. A kernel without IPv6 goes without.
    ///
    /// # Errors
    /// Which port, and why: most likely another IKE daemon has it.
    pub fn open(ports: Ports) -> Result<Self, String> {
        let mut all = Vec::new();
        for port in [ports.ike, ports.natt] {
            for v4 in [true, false] {
                match Socket::open(v4, port) {
                    Ok(socket) => all.push(socket),
                    Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if !v4 => {}
                    Err(Errno::EADDRINUSE) => {
                        return Err(format!(
                            "UDP port {port} is in use: does another IKE daemon run here? stop it"
                        ));
                    }
                    Err(error) => return Err(format!("UDP port {port}: {error}")),
                }
            }
        }
        Ok(Self(all))
    }

    /// To poll.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|socket| socket.fd.as_fd())
    }

    /// Takes up to `most` datagrams from each socket.
    pub fn receive(&self, most: usize, buffer: &mut [u8], mut got: impl FnMut(Endpoint, &[u8])) {
        for socket in &self.0 {
            for _ in 0..most {
                match socket.receive(buffer) {
                    Ok(Some((path, length))) => got(path, buffer.get(..length).unwrap_or_default()),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// Of the system call; no socket fits.
    pub fn send(&self, path: Endpoint, datagram: &[u8]) -> io::Result<()> {
        let fits = |socket: &&Socket| {
            socket.v4 == path.local.is_ipv4() && socket.port == path.local.port()
        };
        match self.0.iter().find(fits) {
            Some(socket) => socket.send(path, datagram).map_err(io::Error::from),
            None => Err(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        }
    }
}

impl Socket {
    fn open(v4: bool, port: u16) -> Result<Self, Errno> {
        let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(family, SockType::Datagram, flags, None)?;
        // Beyond what is allowed to everybody only with CAP_NET_ADMIN.
        if setsockopt(&fd, RcvBufForce, &ROOM).is_err() {
            setsockopt(&fd, RcvBuf, &ROOM)?;
        }
        if v4 {
            setsockopt(&fd, Ipv4PacketInfo, &true)?;
            bind(
                fd.as_raw_fd(),
                &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)),
            )?;
        } else {
            setsockopt(&fd, Ipv6V6Only, &true)?;
            setsockopt(&fd, Ipv6RecvPacketInfo, &true)?;
            let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
            bind(fd.as_raw_fd(), &SockaddrIn6::from(any))?;
        }
        Ok(Self { fd, v4, port })
    }

    /// `None`: something came that cannot be answered.
    fn receive(&self, buffer: &mut [u8]) -> Result<Option<(Endpoint, usize)>, Errno> {
        let mut slices = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(in6_pktinfo, in_pktinfo);
        let message = recvmsg::<SockaddrStorage>(
            self.fd.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let remote = message.address.as_ref().and_then(socket_address);
        let local = message.cmsgs()?.find_map(|item| match item {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr))))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
            }
            _ => None,
        });
        let length = message.bytes;
        let path = local
            .zip(remote)
            .map(|(local, remote)| Endpoint { local: SocketAddr::new(local, self.port), remote });
        Ok(path.map(|path| (path, length)))
    }

    fn send(&self, path: Endpoint, datagram: &[u8]) -> Result<(), Errno> {
        let slices = [IoSlice::new(datagram)];
        let (fd, flags) = (self.fd.as_raw_fd(), MsgFlags::empty());
        let to = SockaddrStorage::from(path.remote);
        match path.local.ip() {
            IpAddr::V4(from) => {
                let address = in_addr { s_addr: from.to_bits().to_be() };
                let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
                sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&to))
            }
            IpAddr::V6(from) => {
                let info =
                    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: from.octets() }, ipi6_ifindex: 0 };
                sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&to))
            }
        }
        .map(|_| ())
    }
}

fn socket_address(from: &SockaddrStorage) -> Option<SocketAddr> {
    match from.family()? {
        AddressFamily::Inet => from.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into()),
        AddressFamily::Inet6 => from.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// 127/8 is all ours, so one host has many addresses.
    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        let port = |number| Ports { ike: number, natt: number + 1 };
        let (sockets, ours) = (20_000..60_000)
            .step_by(97)
            .find_map(|number| Some((Sockets::open(port(number)).ok()?, number)))
            .unwrap();
        let asked: SocketAddr = format!("127.0.0.77:{}", ours + 1).parse().unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer.send_to(b"who is there", asked).unwrap();
        let (mut seen, mut buffer) = (None, vec![0; LARGEST]);
        while seen.is_none() {
            sockets.receive(8, &mut buffer, |path, octets| seen = Some((path, octets.to_vec())));
        }
        let (path, octets) = seen.unwrap();
        assert_eq!((path.local, octets.as_slice()), (asked, b"who is there".as_slice()));
        assert_eq!(path.remote, peer.local_addr().unwrap());
        sockets.send(path, b"we").unwrap();
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (b"we".as_slice(), asked));
        assert!(Sockets::open(port(ours)).unwrap_err().contains("in use"));
    }
}
