//! An eventfd that is written only when somebody must wake: the sleeper says so beforehand.
use core::sync::atomic::{AtomicBool, Ordering};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use std::sync::Arc;

/// A wake-up call between threads that can be waited for in poll(2). Ringing twice before the other side looks is
/// ringing once.
#[derive(Clone, Debug)]
pub struct Bell {
    fd: Arc<OwnedFd>,
    rung: Arc<AtomicBool>,
}

impl Bell {
    /// A bell that has not been rung.
    pub fn new() -> Result<Self, Errno> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd: Arc::new(fd), rung: Arc::new(AtomicBool::new(false)) })
    }

    /// Makes the descriptor readable. One system call, and only if it is not so already.
    pub fn ring(&self) {
        // AcqRel, paired with `answer`: what was done before the bell is seen by who hears it.
        if !self.rung.swap(true, Ordering::AcqRel) {
            // The counter cannot overflow (rung once per answer), so the write cannot fail.
            let _ = write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Makes the bell silent again; says whether it had been rung. No system call if not.
    pub fn answer(&self) -> bool {
        if !self.rung.load(Ordering::Acquire) {
            return false;
        }
        // Silence first, then re-arm: whoever rings in between is heard by the caller, who looks after this. Nothing
        // to read means that the ringer has not written yet: it stays armed, and the write wakes us again.
        if read(&self.fd, &mut [0u8; 8]).is_ok() {
            self.rung.swap(false, Ordering::AcqRel);
        }
        true
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn readable(bell: &Bell) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    #[test]
    fn a_bell_is_heard_once_however_often_it_was_rung() {
        let bell = Bell::new().unwrap();
        assert!(!readable(&bell) && !bell.answer());
        bell.ring();
        bell.clone().ring();
        assert!(readable(&bell) && bell.answer());
        assert!(!readable(&bell) && !bell.answer());
        bell.ring();
        assert!(readable(&bell), "rings again");
    }
}
