//! RC5-32/16 (RFC 2040): words of 32 bits, 16 rounds. The crate `rc5` fixes the key's length when it is
//! compiled, and ESP takes any from 5 to 255 octets; the tests hold this one against it.
use zeroize::{Zeroize, ZeroizeOnDrop};

const ROUNDS: usize = 16;
/// Words of the expanded key (RFC 2040 §3.2).
const TABLE: usize = 2 * (ROUNDS + 1);
/// Octets of a word.
const WORD: usize = 4;
/// Words of the longest key.
const KEY_WORDS: usize = 256 / WORD;

/// The expanded key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Rc5([u32; TABLE]);

impl Rc5 {
    /// `None`: not 1 to 255 octets.
    pub fn new(key: &[u8]) -> Option<Self> {
        let mut words = zeroize::Zeroizing::new([0_u32; KEY_WORDS]);
        let count = key.len().div_ceil(WORD);
        let used = words.get_mut(..count).filter(|_| (1..=255).contains(&key.len()))?;
        for (word, octets) in used.iter_mut().zip(key.chunks(WORD)) {
            *word = octets.iter().rev().fold(0, |word, octet| word << 8 | u32::from(*octet));
        }
        let mut rc5 = Self(core::array::from_fn(|i| {
            0x9e37_79b9_u32.wrapping_mul(i as u32).wrapping_add(0xb7e1_5163)
        }));
        rc5.mix(used);
        Some(rc5)
    }

    /// RFC 2040 §3.4: three times through the longer of the two arrays.
    fn mix(&mut self, key: &mut [u32]) {
        let (mut a, mut b) = (0_u32, 0_u32);
        let (mut at, mut of_key) = (0, 0);
        for _ in 0..3 * TABLE.max(key.len()) {
            let (Some(s), Some(l)) = (self.0.get_mut(at), key.get_mut(of_key)) else { return };
            a = s.wrapping_add(a).wrapping_add(b).rotate_left(3);
            *s = a;
            let sum = a.wrapping_add(b);
            b = l.wrapping_add(sum).rotate_left(sum % 32);
            *l = b;
            (at, of_key) = ((at + 1) % TABLE, (of_key + 1) % key.len());
        }
    }

    /// RFC 2040 §3.5.
    pub fn encrypt(&self, block: &mut [u8; 8]) {
        let (pairs, _) = self.0.as_chunks::<2>();
        let (mut a, mut b) = split(block);
        for (round, [s, t]) in pairs.iter().enumerate() {
            if round > 0 {
                a = (a ^ b).rotate_left(b % 32);
            }
            a = a.wrapping_add(*s);
            if round > 0 {
                b = (b ^ a).rotate_left(a % 32);
            }
            b = b.wrapping_add(*t);
        }
        *block = join(a, b);
    }

    /// RFC 2040 §3.6.
    pub fn decrypt(&self, block: &mut [u8; 8]) {
        let (pairs, _) = self.0.as_chunks::<2>();
        let (mut a, mut b) = split(block);
        for (round, [s, t]) in pairs.iter().enumerate().rev() {
            b = b.wrapping_sub(*t);
            if round > 0 {
                b = b.rotate_right(a % 32) ^ a;
            }
            a = a.wrapping_sub(*s);
            if round > 0 {
                a = a.rotate_right(b % 32) ^ b;
            }
        }
        *block = join(a, b);
    }
}

fn split(block: &[u8; 8]) -> (u32, u32) {
    let both = u64::from_le_bytes(*block);
    (both as u32, (both >> 32) as u32)
}

fn join(a: u32, b: u32) -> [u8; 8] {
    (u64::from(b) << 32 | u64::from(a)).to_le_bytes()
}
