//! HMAC over MD5, SHA-1 and SHA-2, packets abreast in the lanes of a vector register.
mod hmac;
mod key;
mod lane;
mod md5;
mod sha1;
mod sha2;
mod shani;
mod tables;
#[cfg(test)]
mod tests;
mod vector;

use crate::mac::{MacKernel, MacKey};
use crate::suite::Integrity;

pub(crate) use tables::{AVX2, AVX512};

/// One tier's kernels: each gets jobs of its own algorithm only, at most 64 at once.
pub(crate) struct Kernels {
    pub hmac_md5: MacKernel,
    pub hmac_sha1: MacKernel,
    pub hmac_sha256: MacKernel,
    pub hmac_sha384: MacKernel,
    pub hmac_sha512: MacKernel,
}

/// Inner and outer state of an HMAC, each one block in. `None`: no HMAC, or the key has not its length.
pub(crate) fn mac_key(which: Integrity, key: &[u8]) -> Option<MacKey> {
    if key.len() == which.key_len() { key::states(which, key) } else { None }
}
