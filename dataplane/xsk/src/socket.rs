//! AF_XDP sockets. In progress.
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use thiserror::Error;

use crate::frame::Frame;
use crate::pool::Pool;
use crate::port::{Port, Statistics};
use crate::rings::{RingSizes, Rings};
use crate::umem::Umem;

/// How to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// Zero copy or an error.
    ZeroCopy,
    /// Copy mode, even where the driver could do better.
    Copy,
    /// Zero copy if the driver has it, else copy.
    Any,
}

/// What the kernel says it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The device reads and writes the UMEM.
    ZeroCopy,
    /// The kernel copies between its buffers and the UMEM.
    Copy,
}

/// Why a socket could not be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// Placeholder.
    #[error("{step}: {errno}")]
    Other {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

#[derive(Debug)]
pub(crate) struct Sharer {
    pub fd: Arc<OwnedFd>,
}

/// An AF_XDP socket on one queue of one interface.
#[derive(Debug)]
pub struct Socket {
    rings: Rings,
    fd: Arc<OwnedFd>,
    mode: Mode,
}

impl Socket {
    /// Binds.
    pub fn bind(
        _umem: &'static Umem,
        _ifindex: u32,
        _queue: u32,
        _mode: BindMode,
        _sizes: RingSizes,
    ) -> Result<Self, BindError> {
        todo!()
    }
    /// The mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Port for Socket {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        self.rings.receive(into, max)
    }
    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        self.rings.transmit(frames)
    }
    fn recycle(&mut self, pool: &mut Pool) {
        self.rings.recycle(pool);
    }
    fn wake(&mut self) {}
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
    fn in_flight(&self) -> usize {
        self.rings.in_flight()
    }
    fn statistics(&self) -> Statistics {
        self.rings.counts
    }
}
