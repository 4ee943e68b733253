//! The Unix socket over which a region's descriptors travel; afterwards the doorbell and the sign of life.
use crate::errors::RegionError;
use crate::region::Region;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

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
    #[error("the peer on the socket does not speak our handshake ({0})")]
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

/// The data plane's listening socket.
#[derive(Debug)]
pub struct Listener {}

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
    /// Listens at `path` (mode 0600); removes a socket that nobody listens on.
    pub fn bind(_path: &Path) -> Result<Self, LinkError> {
        todo!()
    }
    /// Takes one peer that waits and serves its handshake (at most about a second). `Ok(None)` = nobody waits.
    /// `current` is the region we have, if any.
    pub fn accept(&self, _current: Option<&Region>) -> Result<Option<Accepted>, LinkError> {
        todo!()
    }
}
impl AsFd for Listener {
    /// Readable when a peer waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
}

/// Control: attaches to the data plane at `path`. The data plane's region wins; when it has none it gets
/// `existing`, or what `make` makes.
pub fn connect_control(
    _path: &Path,
    _existing: Option<Region>,
    _make: impl FnOnce() -> Result<Region, RegionError>,
) -> Result<(Region, Doorbell), LinkError> {
    todo!()
}

/// A reader: the shared half of the data plane's region, read-only.
pub fn connect_reader(_path: &Path) -> Result<Region, LinkError> {
    todo!()
}

/// Wakes the peer, and is woken. Also the sign of life.
#[derive(Debug)]
pub struct Doorbell {
    socket: OwnedFd,
}
impl Doorbell {
    /// Wakes the peer; never blocks. `Err(PeerGone)` when there is none any more.
    pub fn ring(&self) -> Result<(), LinkError> {
        todo!()
    }
    /// Takes all rings that wait; never blocks. `Ok(true)` = it rang. `Err(PeerGone)` at the end of the peer.
    pub fn drain(&self) -> Result<bool, LinkError> {
        todo!()
    }
}
impl AsFd for Doorbell {
    /// Readable when it rang or the peer is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
