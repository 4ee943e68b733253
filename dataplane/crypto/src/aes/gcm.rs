//! AES-GCM in ESP (RFC 4106): a packet's counter blocks and its hash in one pass over it.
//!
//! The packet itself is the stream that is cut into vectors. Its header and IV are just one block long, so
//! the first lane belongs to nobody's text: it carries the counter block of the tag, E(J0), through the
//! cipher and the associated data into the hash. The length block takes the lane behind the last.
mod batch;
#[cfg(test)]
mod emulated;
mod gmac;
mod group;
mod open;
mod seal;
mod short;
mod stream;
mod tags;
mod tail;
mod tiers;

use super::ghash::{self, POWERS};
use super::lanes::{Aesni, Lanes};
use super::schedule::{EncryptKey, ROUND_KEYS, RoundKeys};
use crate::suite::KeyBits;

pub(super) use tiers::{aesni, avx512, vaes, vaes256};

/// Octets of the salt in front of the explicit IV (RFC 4106 §4).
const SALT: usize = 4;
/// Octets of powers that a tail reads at once: five vectors of four lanes, or less.
const WINDOW: usize = 320;
/// Octets of a cache line.
const LINE: usize = 64;
/// Blocks of a key: powers, rounds, round keys, and as many as complete the window that starts with H¹.
const BLOCKS: usize = POWERS - 1 + WINDOW / 16;

const _: () = assert!(BLOCKS == POWERS + 1 + ROUND_KEYS + 3);

/// What GCM and GMAC need of the key. Holds key material: lives in a [`Wiped`](crate::wiped::Wiped).
///
/// To hold one is to know that the CPU has AES-NI. Powers of the hash key stand in front of the round keys:
/// a short packet needs the low powers, a short key the first round keys, and both together are one run
/// of cache lines.
#[repr(C, align(16))]
pub(crate) struct GcmKey {
    /// H¹⁹ to H, the number of rounds, the round keys (the first with the salt in its first octets), nothing.
    blocks: [[u8; 16]; BLOCKS],
}

impl GcmKey {
    /// From key ‖ salt (RFC 4106 §8.1). `None`: the length is wrong, or the CPU lacks AES-NI, PCLMULQDQ
    /// or AVX2.
    pub fn new(bits: KeyBits, material: &[u8]) -> Option<Self> {
        let (key, salt) = material.split_last_chunk::<SALT>()?;
        let aes = EncryptKey::new(bits, key)?;
        let l = Aesni::detect()?;
        let mut blocks = [[0; 16]; BLOCKS];
        let (powers, rest) = blocks.split_first_chunk_mut::<POWERS>()?;
        let ([rounds, ..], round_keys) = rest.split_first_mut()?;
        *powers = ghash::powers(l, encrypt_zero(l, &aes));
        *rounds = aes.rounds() as u8;
        round_keys.iter_mut().zip(aes.keys()).for_each(|(to, from)| *to = *from);
        // whatever is encrypted starts with both
        round_keys.first_mut()?.iter_mut().zip(salt).for_each(|(to, from)| *to ^= *from);
        Some(Self { blocks })
    }

    /// 10, 12 or 14.
    #[inline(always)]
    fn rounds(&self) -> usize {
        usize::from(self.blocks[POWERS][0])
    }

    /// In order; the salt is in the first.
    #[inline(always)]
    fn round_keys(&self) -> &RoundKeys {
        const FIRST: usize = POWERS + 1;
        let (_, keys) = self.blocks.split_at(FIRST);
        keys.first_chunk().unwrap_or(&[[0; 16]; ROUND_KEYS])
    }

    /// Falling powers from H to the `exponent` on, a vector for each of a group and its length block. Lanes
    /// behind H¹ hold anything: to be multiplied by zero.
    #[inline(always)]
    fn powers(&self, exponent: usize) -> &[u8; WINDOW] {
        let first = POWERS.wrapping_sub(exponent).min(POWERS - 1);
        let window = self.blocks.as_flattened().get(16 * first..);
        window.and_then(<[u8]>::first_chunk).unwrap_or(&[0; WINDOW])
    }

    /// H to the `exponent` in every lane.
    #[inline(always)]
    fn power<L: Lanes>(&self, l: L, exponent: usize) -> L::V {
        l.splat_from(self.blocks.get(POWERS.wrapping_sub(exponent)).unwrap_or(&[0; 16]))
    }

    /// What a packet whose tail has at most `blocks` blocks reads of the key, under any key, and under one
    /// of more than 128 bits besides.
    #[inline(always)]
    fn needed(&self, blocks: usize) -> (&[u8], &[u8]) {
        const LAST: usize = POWERS + 1 + 11;
        let (all, longer) = self.blocks.split_at(LAST);
        let (_, all) = all.split_at(POWERS.saturating_sub(blocks));
        (all.as_flattened(), longer.as_flattened())
    }
}

/// Asks for what a packet of so many octets reads of the key in the schedule that starts here, and of the lines on
/// either side of the schedule's start.
#[inline]
pub(crate) fn prefetch_key(schedule: *const u8, octets: usize) {
    let powers = (octets.div_ceil(16) + 2).next_multiple_of(4).min(POWERS);
    let first = schedule.wrapping_add(16 * (POWERS - powers));
    batch::prefetch_far(schedule.wrapping_sub(LINE), 2 * LINE);
    batch::prefetch_far(first, 16 * (powers + 1 + 12));
}

/// The hash key before it is prepared (NIST SP 800-38D §7.1, step 1).
fn encrypt_zero(l: Aesni, key: &EncryptKey) -> u128 {
    let mut keys = key.keys().iter().map(|key| l.splat_from(key)).take(key.rounds() + 1);
    let whitening = keys.next().unwrap_or(l.zero());
    let last = keys.next_back().unwrap_or(l.zero());
    let state = keys.fold(whitening, |state, key| l.round(state, key));
    l.block(l.last_round(state, last))
}
