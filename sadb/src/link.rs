//! The Unix socket over which a region's descriptors travel; afterwards the doorbell and the sign of life.
//!
//! ```text
//! control    Hello(control, have a region?)    reader    Hello(reader)
//! data plane   Region + 2 descriptors          data plane  Region + 1 read-only descriptor
//!            | Bring                                     | Nothing
//! control        Region + 2 descriptors
//! data plane       Taken | Refused
//! ```
//! SOCK_SEQPACKET keeps messages apart; each is 16 octets. Whoever connects must run as root or as our own user
//! (SO_PEERCRED), on both sides. After the handshake a message of one octet wakes the other side, and the end of the
//! stream is the end of the other process.
use crate::errors::RegionError;
use crate::region::{Region, RegionFds};
use rustix::fs::{Mode, chmod, unlink};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can go wrong on the link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A system call failed.
    #[error("{call} on {path}: {errno}")]
    System {
        /// The system call.
        call: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// Another data plane listens there.
    #[error("{0}: a data plane is running already")]
    AlreadyRunning(PathBuf),
    /// The peer runs under another user than root or ours.
    #[error("the peer on the socket runs as uid {0}, which is neither root nor ours")]
    WrongUser(u32),
    /// The peer said something else than it should.
    #[error("the peer on the socket does not speak our handshake: {0}")]
    Handshake(&'static str),
    /// Another release.
    #[error(
        "the peer speaks layout version {theirs}, we speak {ours}: start both programs from one release"
    )]
    Version {
        /// What the peer said.
        theirs: u32,
        /// [`crate::ABI_VERSION`].
        ours: u32,
    },
    /// The data plane has no region yet: no control ever came.
    #[error("the data plane has no region yet: is postern-control running?")]
    NoRegion,
    /// The region offered or received cannot be used.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The peer did not accept our region.
    #[error("the data plane refused the region we offered; its log says why")]
    Refused,
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    PeerGone,
}

/// First octets of every message.
const MAGIC: [u8; 8] = *b"POSTERNl";
/// Octets of a message: magic, version, kind, padding.
const MESSAGE: usize = 16;
/// How long one step of a handshake may take. Handshakes are served one after the other.
const STEP: Duration = Duration::from_millis(500);
/// Descriptors that one message may carry.
const FDS: usize = 2;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    HelloControl = 1,
    HelloReader,
    Region,
    Bring,
    Nothing,
    Taken,
    Refused,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::HelloControl,
        Self::HelloReader,
        Self::Region,
        Self::Bring,
        Self::Nothing,
        Self::Taken,
        Self::Refused,
    ];
    fn emit(self) -> [u8; MESSAGE] {
        let [a, b, c, d] = crate::ABI_VERSION.to_le_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = MAGIC;
        [m0, m1, m2, m3, m4, m5, m6, m7, a, b, c, d, self as u8, 0, 0, 0]
    }
    fn parse(octets: &[u8]) -> Result<Self, LinkError> {
        let message: &[u8; MESSAGE] =
            octets.try_into().map_err(|_| LinkError::Handshake("a message of the wrong length"))?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, a, b, c, d, kind, ..] = *message;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
            return Err(LinkError::Handshake("a message without our magic"));
        }
        let (theirs, ours) = (u32::from_le_bytes([a, b, c, d]), crate::ABI_VERSION);
        if theirs != ours {
            return Err(LinkError::Version { theirs, ours });
        }
        let known = Self::ALL.into_iter().find(|&known| known as u8 == kind);
        known.ok_or(LinkError::Handshake("a message of unknown kind"))
    }
}

/// A connected socket in its handshake: blocking, with a time limit on each step.
struct Talk<'a> {
    socket: OwnedFd,
    path: &'a Path,
}

impl Talk<'_> {
    fn failed(&self, call: &'static str) -> impl Fn(Errno) -> LinkError {
        failed(call, self.path)
    }

    fn set_limits(&self) -> Result<(), LinkError> {
        for timeout in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&self.socket, timeout, Some(STEP))
                .map_err(self.failed("setsockopt"))?;
        }
        Ok(())
    }

    /// The peer's process id, if its user may talk to us.
    fn peer(&self) -> Result<u32, LinkError> {
        let peer = sockopt::socket_peercred(&self.socket)
            .map_err(self.failed("getsockopt(SO_PEERCRED)"))?;
        if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
            return Err(LinkError::WrongUser(peer.uid.as_raw()));
        }
        Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
    }

    fn say(&self, kind: Kind, fds: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let message = kind.emit();
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(LinkError::Handshake("more descriptors than a message holds"));
        }
        let slices = [IoSlice::new(&message)];
        net::sendmsg(&self.socket, &slices, &mut ancillary, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(self.failed("sendmsg"))
    }

    fn hear(&self) -> Result<(Kind, Vec<OwnedFd>), LinkError> {
        let mut message = [0; MESSAGE + 1]; // one more, to notice a message that is too long
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut room);
        let mut slices = [IoSliceMut::new(&mut message)];
        let got = net::recvmsg(&self.socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .map_err(self.failed("recvmsg"))?;
        let fds = ancillary.drain().filter_map(|item| match item {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds: Vec<OwnedFd> = fds.flatten().collect();
        match message.get(..got.bytes) {
            None | Some([]) => Err(LinkError::PeerGone),
            Some(octets) => Ok((Kind::parse(octets)?, fds)),
        }
    }

    /// A region from the descriptors of a message.
    fn region(&self, fds: Vec<OwnedFd>, secret: bool) -> Result<Region, LinkError> {
        let missing = LinkError::Handshake("a region without its descriptors");
        let mut fds = fds.into_iter();
        match (fds.next(), fds.next(), secret) {
            (Some(shared), Some(keys), true) => {
                Ok(Region::open(RegionFds { shared, secret: Some(keys) })?)
            }
            (Some(shared), None, false) => Ok(Region::open(RegionFds { shared, secret: None })?),
            _ => Err(missing),
        }
    }

    fn give(&self, fds: &RegionFds) -> Result<(), LinkError> {
        let all: Vec<_> = [Some(&fds.shared), fds.secret.as_ref()]
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
            .collect();
        self.say(Kind::Region, &all)
    }
}

fn failed(call: &'static str, path: &Path) -> impl Fn(Errno) -> LinkError {
    move |errno| match errno {
        Errno::PIPE | Errno::CONNRESET => LinkError::PeerGone,
        errno => LinkError::System { call, path: path.to_owned(), errno },
    }
}

fn open_socket(path: &Path, flags: SocketFlags) -> Result<(OwnedFd, SocketAddrUnix), LinkError> {
    let address = SocketAddrUnix::new(path).map_err(failed("sockaddr_un", path))?;
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags | SocketFlags::CLOEXEC,
        None,
    )
    .map_err(failed("socket", path))?;
    Ok((socket, address))
}

/// The data plane's listening socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
}

/// Who came.
#[derive(Debug)]
pub enum Accepted {
    /// Control, with whom we now share a region.
    Control(ControlLink),
    /// A reader; it was served.
    Reader,
}

/// A control that is attached.
#[derive(Debug)]
pub struct ControlLink {
    /// The region both use: the one we had, or the one control brought.
    pub region: Region,
    /// To ring and be rung.
    pub doorbell: Doorbell,
    /// Control's process id.
    pub pid: u32,
}

impl Listener {
    /// Listens at `path` (mode 0600); takes the place of a socket that nobody listens on any more.
    pub fn bind(path: &Path) -> Result<Self, LinkError> {
        let (socket, address) = open_socket(path, SocketFlags::NONBLOCK)?;
        if net::bind(&socket, &address) == Err(Errno::ADDRINUSE) {
            let (probe, address) = open_socket(path, SocketFlags::NONBLOCK)?;
            if net::connect(&probe, &address) != Err(Errno::CONNREFUSED) {
                return Err(LinkError::AlreadyRunning(path.to_owned()));
            }
            unlink(path).map_err(failed("unlink", path))?;
            net::bind(&socket, &address).map_err(failed("bind", path))?;
        }
        // nobody can connect before `listen`, so there is no moment with another mode
        chmod(path, Mode::RUSR | Mode::WUSR).map_err(failed("chmod", path))?;
        net::listen(&socket, 16).map_err(failed("listen", path))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Takes one peer that waits and serves its handshake, which takes about a second at most. `Ok(None)` = nobody
    /// waits. `current` is the region we have, if any. An error concerns that peer only.
    pub fn accept(&self, current: Option<&Region>) -> Result<Option<Accepted>, LinkError> {
        let socket = match net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Err(Errno::AGAIN) => return Ok(None),
            other => other.map_err(failed("accept", &self.path))?,
        };
        let talk = Talk { socket, path: &self.path };
        talk.set_limits()?;
        let pid = talk.peer()?;
        match talk.hear()? {
            (Kind::HelloControl, _) => serve_control(talk, current, pid).map(Some),
            (Kind::HelloReader, _) => serve_reader(&talk, current).map(Some),
            _ => Err(LinkError::Handshake("it did not say who it is")),
        }
    }
}

impl AsFd for Listener {
    /// Readable when a peer waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = unlink(&self.path); // somebody else may have removed it
    }
}

fn serve_control(
    talk: Talk<'_>,
    current: Option<&Region>,
    pid: u32,
) -> Result<Accepted, LinkError> {
    let region = match current {
        Some(region) => {
            talk.give(&region.fds()?)?;
            region.clone()
        }
        None => {
            talk.say(Kind::Bring, &[])?;
            take_offer(&talk)?
        }
    };
    Ok(Accepted::Control(ControlLink { region, doorbell: Doorbell { socket: talk.socket }, pid }))
}

/// The region that control brings; control is told when it is no good.
fn take_offer(talk: &Talk<'_>) -> Result<Region, LinkError> {
    let offer = match talk.hear()? {
        (Kind::Region, fds) => talk.region(fds, true),
        _ => Err(LinkError::Handshake("it did not bring a region")),
    };
    talk.say(if offer.is_ok() { Kind::Taken } else { Kind::Refused }, &[])?;
    offer
}

fn serve_reader(talk: &Talk<'_>, current: Option<&Region>) -> Result<Accepted, LinkError> {
    match current {
        Some(region) => talk.give(&region.reader_fds()?)?,
        None => talk.say(Kind::Nothing, &[])?,
    }
    Ok(Accepted::Reader)
}

fn connect(path: &Path) -> Result<Talk<'_>, LinkError> {
    let (socket, address) = open_socket(path, SocketFlags::empty())?;
    let talk = Talk { socket, path };
    talk.set_limits()?;
    net::connect(&talk.socket, &address).map_err(failed("connect", path))?;
    talk.peer()?;
    Ok(talk)
}

/// Control: attaches to the data plane at `path`. The data plane's region wins; when it has none it gets
/// `existing`, or what `make` makes.
pub fn connect_control(
    path: &Path,
    existing: Option<Region>,
    make: impl FnOnce() -> Result<Region, RegionError>,
) -> Result<(Region, Doorbell), LinkError> {
    let talk = connect(path)?;
    talk.say(Kind::HelloControl, &[])?;
    let region = match talk.hear()? {
        (Kind::Region, fds) => talk.region(fds, true)?,
        (Kind::Bring, _) => {
            let region = existing.map_or_else(make, Ok)?;
            talk.give(&region.fds()?)?;
            match talk.hear()? {
                (Kind::Taken, _) => region,
                (Kind::Refused, _) => return Err(LinkError::Refused),
                _ => {
                    return Err(LinkError::Handshake("it did not say whether it takes our region"));
                }
            }
        }
        _ => return Err(LinkError::Handshake("it did not answer our greeting")),
    };
    Ok((region, Doorbell { socket: talk.socket }))
}

/// A reader: the shared half of the data plane's region, read-only.
pub fn connect_reader(path: &Path) -> Result<Region, LinkError> {
    let talk = connect(path)?;
    talk.say(Kind::HelloReader, &[])?;
    match talk.hear()? {
        (Kind::Region, fds) => talk.region(fds, false),
        (Kind::Nothing, _) => Err(LinkError::NoRegion),
        _ => Err(LinkError::Handshake("it did not answer our greeting")),
    }
}

/// Wakes the peer, and is woken. Also the sign of life.
#[derive(Debug)]
pub struct Doorbell {
    socket: OwnedFd,
}

impl Doorbell {
    /// Wakes the peer; never blocks. `Err(PeerGone)` when there is none any more.
    pub fn ring(&self) -> Result<(), LinkError> {
        match net::send(&self.socket, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            // so many rings wait that one more says nothing new
            Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(()),
            Err(errno) => Err(failed("send", Path::new("the doorbell"))(errno)),
        }
    }

    /// Takes all rings that wait; never blocks. `Ok(true)` = it rang. `Err(PeerGone)` at the end of the peer.
    pub fn drain(&self) -> Result<bool, LinkError> {
        let mut rang = false;
        // bounded, so that a peer that never stops ringing cannot keep us here
        for _ in 0..1024 {
            let mut octet = [0u8; 1];
            match net::recv(&self.socket, octet.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(LinkError::PeerGone),
                Ok(_) => rang = true,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("recv", Path::new("the doorbell"))(errno)),
            }
        }
        Ok(rang)
    }
}

impl AsFd for Doorbell {
    /// Readable when it rang or the peer is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::small;

    fn at() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dataplane.sock");
        (directory, path)
    }

    /// Serves one peer while `other` connects.
    fn serve<T: Send>(
        path: &Path,
        current: Option<&Region>,
        other: impl FnOnce() -> T + Send,
    ) -> (Result<Option<Accepted>, LinkError>, T) {
        let listener = Listener::bind(path).unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(other);
            let mut polled = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut polled, None).unwrap();
            let accepted = listener.accept(current);
            (accepted, other.join().unwrap())
        })
    }

    fn same(one: &Region, two: &Region) -> bool {
        one.heartbeat(crate::Side::Control);
        two.pid(crate::Side::Control).is_some()
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_fresh_data_plane_gets_the_region_that_control_makes() {
        let (_directory, path) = at();
        let (accepted, control) =
            serve(&path, None, || connect_control(&path, None, || Region::create(&small())));
        let Ok(Some(Accepted::Control(link))) = accepted else { panic!("{accepted:?}") };
        let (region, doorbell) = control.unwrap();
        assert!(same(&region, &link.region));
        assert_eq!(link.pid, std::process::id());
        assert!(!link.doorbell.drain().unwrap());
        doorbell.ring().unwrap();
        doorbell.ring().unwrap();
        assert!(link.doorbell.drain().unwrap());
        assert!(!link.doorbell.drain().unwrap());
        drop(doorbell);
        assert!(matches!(link.doorbell.drain(), Err(LinkError::PeerGone)));
        assert!(matches!(link.doorbell.ring(), Err(LinkError::PeerGone)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn the_data_planes_region_wins() {
        let (_directory, path) = at();
        let (ours, theirs) = (Region::create(&small()).unwrap(), Region::create(&small()).unwrap());
        let (accepted, control) = serve(&path, Some(&ours), || {
            connect_control(&path, Some(theirs), || panic!("not asked"))
        });
        assert!(matches!(accepted, Ok(Some(Accepted::Control(_)))));
        assert!(same(&ours, &control.unwrap().0));
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_reader_gets_the_shared_half_and_cannot_write() {
        let (_directory, path) = at();
        let region = Region::create(&small()).unwrap();
        let (accepted, reader) = serve(&path, Some(&region), || connect_reader(&path));
        assert!(matches!(accepted, Ok(Some(Accepted::Reader))));
        let reader = reader.unwrap();
        assert!(
            reader.control().is_none()
                && reader.data_plane().is_none()
                && reader.worker(0).is_none()
        );
        reader.heartbeat(crate::Side::Control);
        assert_eq!(reader.pid(crate::Side::Control), None);
        assert!(same(&region, &reader));
        assert!(matches!(reader.fds(), Err(RegionError::Unsuitable(_))));
        assert_eq!(reader.stage_policies(1, &[]), Err(crate::StageError::ReadOnly));
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_reader_without_a_region_is_told() {
        let (_directory, path) = at();
        let (_, reader) = serve(&path, None, || connect_reader(&path));
        assert!(matches!(reader, Err(LinkError::NoRegion)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_bad_offer_is_refused_on_both_sides() {
        let (_directory, path) = at();
        let (accepted, ()) = serve(&path, None, || {
            let talk = connect(&path).unwrap();
            talk.say(Kind::HelloControl, &[]).unwrap();
            assert_eq!(talk.hear().unwrap().0, Kind::Bring);
            let file = tempfile::tempfile().unwrap(); // not sealed
            talk.say(Kind::Region, &[file.as_fd(), file.as_fd()]).unwrap();
            assert_eq!(talk.hear().unwrap().0, Kind::Refused);
        });
        assert!(
            matches!(accepted, Err(LinkError::Region(RegionError::NotSealed { .. }))),
            "{accepted:?}"
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_silent_or_strange_peer_is_an_error_and_no_hang() {
        let (_directory, path) = at();
        let silent = || connect(&path).map(|talk| talk.hear().map(|_| ()));
        let (accepted, _) = serve(&path, None, || drop(silent()));
        assert!(accepted.is_err(), "{accepted:?}");
        let (accepted, ()) = serve(&path, None, || {
            let talk = connect(&path).unwrap();
            net::send(&talk.socket, b"GET / HTTP/1.1\r\n", SendFlags::empty()).unwrap();
            let _ = talk.hear();
        });
        assert!(matches!(accepted, Err(LinkError::Handshake(_))), "{accepted:?}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "no SOCK_SEQPACKET in Miri")]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let (_directory, path) = at();
        let living = Listener::bind(&path).unwrap();
        assert!(matches!(Listener::bind(&path), Err(LinkError::AlreadyRunning(_))));
        assert!(living.accept(None).is_err(), "the probe said nothing and left");
        let dead = path.with_extension("dead");
        {
            let (socket, address) = open_socket(&dead, SocketFlags::empty()).unwrap();
            net::bind(&socket, &address).unwrap(); // closed without unlink, as after kill -9
        }
        assert!(Listener::bind(&dead).unwrap().accept(None).unwrap().is_none());
    }

    #[test]
    fn another_releases_message_names_both_versions() {
        let mut message = Kind::HelloReader.emit();
        message[8] ^= 0x40;
        let Err(LinkError::Version { theirs, ours }) = Kind::parse(&message) else { panic!() };
        assert_eq!((theirs, ours), (crate::ABI_VERSION ^ 0x40, crate::ABI_VERSION));
        for len in [0, 1, MESSAGE - 1] {
            assert!(Kind::parse(&message[..len]).is_err());
        }
        message = Kind::HelloReader.emit();
        message[12] = 0;
        assert!(matches!(Kind::parse(&message), Err(LinkError::Handshake(_))));
    }
}
