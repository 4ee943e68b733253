//! IKE at work: the core's thread with its sockets and its pool, and what goes between it and the data plane.
pub mod export;
pub mod halves;
pub mod levels;
pub mod pool;
pub mod slots;
pub mod sockets;
pub mod speaker;
pub mod view;

pub use halves::{Errand, Halves, Lineages};
pub use speaker::{Speaker, Word};

/// The wall clock in seconds since 1970, against which certificates are held.
pub fn unix_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// The kernel's randomness.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl ike::Random for Kernel {
    /// Waits for as long as the kernel has none, which is never once it has started.
    fn fill(&mut self, out: &mut [u8]) {
        while getrandom::fill(out).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
