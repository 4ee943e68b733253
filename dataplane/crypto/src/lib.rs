//! Packet ciphers in batches: [`seal`] and [`open`] ESP packets (RFC 4303) in place, many at a time.
//!
//! A packet is one slice: ESP header ‖ IV ‖ payload with trailer ‖ ICV. The caller writes the header and
//! the payload and leaves room for the IV and the ICV; nothing is allocated and nothing is moved.
//! A key ([`SealKey`], [`OpenKey`]) is built once for each SA and direction and is read-only afterwards,
//! so any number of workers may use it at once. The [`Backend`] is chosen when the key is built, never
//! per packet. `portable`, on the RustCrypto crates, is the definition; a faster one is a claim about it.
//!
//! ```
//! use crypto::{Icv, KeyBits, Open, OpenKey, Seal, SealKey, Suite};
//!
//! let suite = Suite::AesGcm(KeyBits::B128, Icv::I16);
//! let material = [7; 20]; // 16 octets of key, 4 of salt
//! let outbound = SealKey::new(suite, &material, &[], true, 1)?;
//! let inbound = OpenKey::new(suite, &material, &[], true)?;
//!
//! // SPI 0x1001, number 1; room for the IV; payload and trailer; room for the ICV
//! let header = [0, 0, 0x10, 0x01, 0, 0, 0, 1];
//! let mut packet = [&header[..], &[0; 8], b"payload and trailer!", &[0; 16]].concat();
//! crypto::seal(&mut [Seal { key: &outbound, sequence: 1, packet: &mut packet }]);
//! assert_ne!(&packet[16..36], b"payload and trailer!");
//!
//! let mut batch = [Open::new(&inbound, 1, &mut packet)];
//! crypto::open(&mut batch);
//! assert_eq!(batch[0].verdict, Ok(()));
//! assert_eq!(&packet[16..36], b"payload and trailer!");
//! # Ok::<(), crypto::BadKey>(())
//! ```
#![deny(unsafe_code)] // but for `wiped`

#[cfg(target_arch = "x86_64")]
mod aes;
mod backend;
mod batch;
#[cfg(target_arch = "x86_64")]
mod chacha;
#[cfg(target_arch = "x86_64")]
mod etm;
#[cfg(target_arch = "x86_64")]
mod hash;
mod key;
mod layout;
mod mac;
mod portable;
mod schedule;
mod selftest;
mod suite;
#[cfg(test)]
mod test_hex;
mod wiped;

pub use backend::Backend;
pub use batch::{BadIcv, Open, Seal, open, seal};
pub use key::{BadKey, OpenKey, SealKey};
pub use selftest::{Fallbacks, NoSuchBackend, SelfTest, VARIABLE, start, started};
pub use suite::{Icv, Integrity, KeyBits, Legacy, Suite, Unsupported};
