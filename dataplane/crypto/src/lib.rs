//! Packet ciphers in batches: [`seal`] and [`open`] ESP packets (RFC 4303) in place, many at a time.
//!
//! A packet is one slice: ESP header ‖ IV ‖ payload with trailer ‖ ICV. The caller writes the header and
//! the payload and leaves room for the IV and the ICV; nothing is allocated and nothing is moved.
//! A key ([`SealKey`], [`OpenKey`]) is built once for each SA and direction and is read-only afterwards,
//! so any number of workers may use it at once.
//!
//! Packets of one [`Suite`] are one group, whatever SAs they belong to, and a kernel gets a group at once.
//! Kernels come in tiers ([`Backend`]): `portable`, on the RustCrypto crates, is the definition of every suite;
//! the others are claims about it. Which one runs a key is decided when the key is built, never per packet.
//! A process calls [`start`] before its first key: that chooses the tier, lets each of its kernels work against
//! `portable`, and has those that disagree replaced by it.
//!
//! IVs of counter modes are unique by construction: 24 bits of epoch, which the caller never gives twice with one
//! key, and 40 bits of sequence number, which [`seal`] checks. IVs of CBC are the number under a permutation that
//! only the context knows. Old ciphers ([`Legacy`]) and MD5 run as any other, portable only; to let them run at all
//! is the caller's decision ([`Suite::legacy`]).
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
mod authenticate;
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

pub use authenticate::{AuthKey, Authenticate, ICV_MAX, authenticate, verify};
pub use backend::Backend;
pub use batch::{BadIcv, Open, Seal, open, seal};
pub use key::{BadKey, OpenKey, SealKey};
pub use selftest::{Fallbacks, NoSuchBackend, SelfTest, VARIABLE, start, started};
pub use suite::{Icv, Integrity, KeyBits, Legacy, Suite, Unsupported};
