//! One implementation of all suites, chosen when a key is built.
use crate::batch::{Open, Seal};
use crate::portable;
use crate::suite::Suite;

/// Seals a group: packets of one suite and backend that [`seal`](crate::seal) has found sound.
pub(crate) type SealKernel = fn(&mut [&mut Seal<'_>]);
/// Opens such a group; sets `verdict` to `Ok` where the ICV verifies, and leaves the rest alone.
pub(crate) type OpenKernel = fn(&mut [&mut Open<'_>]);

/// One implementation of every suite. The packet path calls through the key's and never asks again.
#[derive(Debug)]
pub struct Backend {
    /// As `status` shows it.
    pub name: &'static str,
    /// Place in [`Backend::available`]; keeps groups of different backends apart.
    pub(crate) rank: u8,
    pub(crate) gcm: Family,
    pub(crate) cbc_hmac: Family,
    pub(crate) null_hmac: Family,
}

/// The kernels for one family of suites; a key's size and hash are in its schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub seal: SealKernel,
    pub open: OpenKernel,
}

static ALL: [&Backend; 1] = [&portable::BACKEND];

impl Backend {
    /// Those that this CPU can run, slowest and plainest first: `portable` is the definition, the rest
    /// are claims about it.
    pub fn available() -> &'static [&'static Self] {
        &ALL
    }

    /// The fastest that this CPU can run.
    pub fn best() -> &'static Self {
        Self::available().last().copied().unwrap_or(&portable::BACKEND)
    }

    pub(crate) const fn family(&self, suite: Suite) -> Family {
        match suite {
            Suite::AesGcm16(_) => self.gcm,
            Suite::AesCbc(..) => self.cbc_hmac,
            Suite::Null(_) => self.null_hmac,
        }
    }
}
