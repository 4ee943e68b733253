//! The AES key schedule (FIPS 197 §5.2), expanded by the CPU's own AES instructions: no table that an
//! index made of key octets could betray.
#![allow(unsafe_code, reason = "instructions that only some CPUs have")]
use core::arch::x86_64::*;

use crate::suite::KeyBits;

/// Round keys of the longest key.
pub(super) const ROUND_KEYS: usize = 15;
/// Round keys in the order of use; those that a shorter key has not are zero.
pub(crate) type RoundKeys = [[u8; 16]; ROUND_KEYS];
/// Words of the longest schedule (FIPS 197 §5.2: four for each round, and four before the first).
const WORDS: usize = 4 * ROUND_KEYS;

/// Round keys of the cipher. Holds key material: lives in a [`Wiped`](crate::wiped::Wiped).
///
/// To hold one is to know that the CPU has AES-NI.
#[repr(C, align(16))]
#[derive(Clone)]
pub(crate) struct EncryptKey {
    keys: RoundKeys,
    rounds: u8,
}

/// Round keys of the equivalent inverse cipher (FIPS 197 §5.3.5), in the order in which it adds them.
/// Otherwise as [`EncryptKey`].
#[repr(C, align(16))]
#[derive(Clone)]
pub(crate) struct DecryptKey {
    keys: RoundKeys,
    rounds: u8,
}

impl EncryptKey {
    /// The schedule of `key`. `None`: its length is not `bits`, or the CPU has no AES-NI.
    pub fn new(bits: KeyBits, key: &[u8]) -> Option<Self> {
        let fits = key.len() == bits.octets() && is_x86_feature_detected!("aes");
        // SAFETY: the CPU has AES-NI, as just asked.
        fits.then(|| unsafe { expand(key) })
    }

    /// The round keys in order, the one that whitens first. Those past [`rounds`](Self::rounds) are zero.
    pub fn keys(&self) -> &RoundKeys {
        &self.keys
    }

    /// 10, 12 or 14, after the key's length.
    pub fn rounds(&self) -> usize {
        usize::from(self.rounds)
    }
}

impl DecryptKey {
    /// The inverse schedule of `key`. `None`: its length is not `bits`, or the CPU has no AES-NI.
    pub fn new(bits: KeyBits, key: &[u8]) -> Option<Self> {
        let forward = EncryptKey::new(bits, key)?;
        // SAFETY: the CPU has AES-NI: there is an `EncryptKey`.
        Some(unsafe { invert(&forward) })
    }

    /// As [`EncryptKey::keys`], of the inverse cipher.
    pub fn keys(&self) -> &RoundKeys {
        &self.keys
    }

    /// As [`EncryptKey::rounds`].
    pub fn rounds(&self) -> usize {
        usize::from(self.rounds)
    }
}

/// KEYEXPANSION (FIPS 197 §5.2), word by word. Branches depend on the key's length alone.
#[target_feature(enable = "aes")]
#[allow(
    clippy::indexing_slicing,
    reason = "bounds follow from the key's length, which was checked"
)]
fn expand(key: &[u8]) -> EncryptKey {
    let of_key = key.len() / 4;
    let rounds = of_key + 6;
    let mut words = [0_u32; WORDS];
    for (word, octets) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*octets);
    }
    let mut rcon = 1_u8;
    for i in of_key..4 * (rounds + 1) {
        let mut last = words[i - 1];
        if i % of_key == 0 {
            // ROTWORD: little-endian words turn the other way
            last = substitute(last.rotate_right(8)) ^ u32::from(rcon);
            rcon = double(rcon);
        } else if of_key > 6 && i % of_key == 4 {
            last = substitute(last);
        }
        words[i] = words[i - of_key] ^ last;
    }
    EncryptKey { keys: round_keys(&words), rounds: rounds as u8 }
}

/// SUBWORD: a last round without key on four equal columns, where SHIFTROWS changes nothing.
#[target_feature(enable = "aes")]
fn substitute(word: u32) -> u32 {
    let columns = _mm_set1_epi32(word.cast_signed());
    _mm_cvtsi128_si32(_mm_aesenclast_si128(columns, _mm_setzero_si128())).cast_unsigned()
}

/// XTIMES (FIPS 197 §4.2), of a public constant.
const fn double(rcon: u8) -> u8 {
    (rcon << 1) ^ if rcon & 0x80 == 0 { 0 } else { 0x1b }
}

fn round_keys(words: &[u32; WORDS]) -> RoundKeys {
    let mut keys = [[0; 16]; ROUND_KEYS];
    for (octets, word) in keys.as_flattened_mut().as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *octets = word.to_le_bytes();
    }
    keys
}

/// KEYEXPANSIONEIC (FIPS 197 §5.3.5): back to front, INVMIXCOLUMNS on all but the outermost two.
#[target_feature(enable = "aes")]
fn invert(forward: &EncryptKey) -> DecryptKey {
    let rounds = forward.rounds();
    let mut inverse = DecryptKey { keys: [[0; 16]; ROUND_KEYS], rounds: forward.rounds };
    let backwards = forward.keys.iter().take(rounds + 1).rev();
    for (round, (to, from)) in inverse.keys.iter_mut().zip(backwards).enumerate() {
        *to = if round == 0 || round == rounds { *from } else { inverse_mix(*from) };
    }
    inverse
}

#[target_feature(enable = "aes")]
fn inverse_mix(key: [u8; 16]) -> [u8; 16] {
    let mixed = _mm_aesimc_si128(_mm_set_epi64x(half(key, 8), half(key, 0)));
    let mut out = [0; 16];
    let (low, high) = out.split_at_mut(8);
    low.copy_from_slice(&_mm_cvtsi128_si64(mixed).to_le_bytes());
    high.copy_from_slice(&_mm_cvtsi128_si64(_mm_unpackhi_epi64(mixed, mixed)).to_le_bytes());
    out
}

/// Octets `at..at + 8`.
fn half(key: [u8; 16], at: usize) -> i64 {
    let mut octets = [0; 8];
    octets.iter_mut().zip(key.iter().skip(at)).for_each(|(to, from)| *to = *from);
    i64::from_le_bytes(octets)
}
