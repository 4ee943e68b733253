//! What other libraries do with the same packets, for `perf bench crypto`. Never linked into the product.
//!
//! Libraries differ in what they offer, so each [`Rival`] takes what Postern's kernels take: a batch of ESP packets in
//! place. The IV stands in the packet and the nonce beside it, ready made; a rival encrypts and writes ICVs. What
//! Postern's kernels do beyond that (checking headers, making IVs, grouping by suite) is not asked of it.
//!
//! ring, aws-lc and the RustCrypto crates are always here. `build.rs` looks for libipsec-mb and OpenSSL and compiles a
//! shim in C for each that is installed.
#![deny(unsafe_code)] // but for the modules that call C, and `packet` that is made for it

mod algorithm;
mod aws_lc;
mod ipsec_mb;
mod openssl;
mod packet;
mod ring;
mod rustcrypto;
pub mod tsc;

pub use algorithm::{Algorithm, Cipher, Hash, Keys};
pub use ipsec_mb::{Arch, BadTier, Tier};
pub use packet::Packet;

/// One library's way to seal and open.
pub trait Rival {
    /// The library and its interface.
    fn name(&self) -> &str;
    /// Encrypts every packet under the IV that stands in it, and writes its ICV. Says how many were sealed.
    fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize;
    /// Verifies and decrypts every packet. Says how many were genuine.
    fn open(&mut self, batch: &mut [Packet<'_>]) -> usize;
}

/// A library, and the version that is here.
#[derive(Clone, Debug)]
pub struct Library {
    /// As its makers call it.
    pub name: &'static str,
    /// `None`: not installed when this program was built.
    pub version: Option<String>,
}

/// Those that the bench knows.
pub fn libraries() -> Vec<Library> {
    let here = |name, version: &str| Library { name, version: Some(version.into()) };
    vec![
        here("ring", "0.17"),
        here("aws-lc-rs", "1.19"),
        here("RustCrypto", "aes 0.9, aes-gcm 0.11, chacha20poly1305 0.11, cbc 0.2, hmac 0.13"),
        Library { name: "libipsec-mb", version: ipsec_mb::version() },
        Library { name: "OpenSSL", version: openssl::version() },
    ]
}

/// Every rival that can run `algorithm`, each with its own contexts for the SAs that `keys` are for; libipsec-mb once
/// for each of `tiers` that this CPU has.
pub fn all(algorithm: Algorithm, keys: &[Keys], tiers: &[Tier]) -> Vec<Box<dyn Rival>> {
    let mut all = Vec::new();
    all.extend(tiers.iter().flat_map(|tier| ipsec_mb::rivals(algorithm, keys, *tier)));
    all.extend(ring::rival(algorithm, keys));
    all.extend(aws_lc::rival(algorithm, keys));
    all.extend(rustcrypto::rival(algorithm, keys));
    all.extend(openssl::rival(algorithm, keys));
    all
}

/// Seals with `each` until one fails.
fn count(batch: &mut [Packet<'_>], each: impl FnMut(&mut Packet<'_>) -> Option<()>) -> usize {
    batch.iter_mut().filter_map(each).count()
}
