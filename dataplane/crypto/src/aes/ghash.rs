//! GHASH (NIST SP 800-38D §6.4), many blocks to one reduction.
//!
//! All in the bit-reflected domain: a block's octets reversed, its bits then run from the polynomial's
//! lowest coefficient, off by one bit. The key absorbs that bit (it is multiplied by x once, when it is
//! expanded), and a carry-less product needs no shift.
use super::abreast::Beside;
use super::lanes::Lanes;

/// Powers of the hash key that a [`GcmKey`](super::GcmKey) holds: as many as the longest tail has blocks, the
/// length block included.
pub(super) const POWERS: usize = 19;

/// Products that wait for their reduction, in every lane.
#[derive(Clone, Copy)]
pub(super) struct Sums<L: Lanes> {
    low: L::V,
    middle: L::V,
    high: L::V,
}

impl<L: Lanes> Sums<L> {
    /// Of nothing.
    #[inline(always)]
    pub fn new(l: L) -> Self {
        Self { low: l.zero(), middle: l.zero(), high: l.zero() }
    }

    /// Adds `blocks`, lane by lane times `powers`.
    #[inline(always)]
    pub fn add(&mut self, l: L, blocks: L::V, powers: L::V) {
        self.low = l.xor(self.low, l.clmul::<0x00>(blocks, powers));
        self.high = l.xor(self.high, l.clmul::<0x11>(blocks, powers));
        let cross = l.clmul::<0x01>(blocks, powers);
        self.middle = l.xor3(self.middle, cross, l.clmul::<0x10>(blocks, powers));
    }

    /// The sum of all lanes, reduced, in lane 0.
    #[inline(always)]
    pub fn reduce(self, l: L) -> L::V {
        l.fold(self.reduce_lanes(l))
    }

    /// The sums of each lane, reduced.
    #[inline(always)]
    pub fn reduce_lanes(mut self, l: L) -> L::V {
        self.reduce_low(l);
        self.reduce_middle(l);
        self.high
    }

    /// Only `block`, which is reduced.
    #[inline(always)]
    pub fn reduced(l: L, block: L::V) -> Self {
        Self { high: block, ..Self::new(l) }
    }

    /// The first half of the reduction.
    #[inline(always)]
    fn reduce_low(&mut self, l: L) {
        let low = l.clmul::<0x10>(self.low, l.polynomial());
        self.middle = l.xor3(self.middle, l.swap_halves(self.low), low);
    }

    /// The second half.
    #[inline(always)]
    fn reduce_middle(&mut self, l: L) {
        let middle = l.clmul::<0x10>(self.middle, l.polynomial());
        self.high = l.xor3(self.high, l.swap_halves(self.middle), middle);
    }

    /// See [`Lanes::fence`].
    #[inline(always)]
    pub fn fence(&mut self, l: L) {
        l.fence(&mut self.low);
        l.fence(&mut self.middle);
        l.fence(&mut self.high);
    }
}

/// A reduction beside AES, a part of it in some of the first rounds. It is a chain of instructions that each wait for the
/// one before, and a CPU has only so many instructions under way: in one piece the chain would end with all of them
/// waiting for it.
#[derive(Clone, Copy)]
pub(super) struct Reduction<L: Lanes>(Sums<L>);

impl<L: Lanes> Reduction<L> {
    /// The round from which on the lanes are reduced.
    pub const DONE: usize = 4;

    /// Of `sums`.
    #[inline(always)]
    pub fn new(sums: Sums<L>) -> Self {
        Self(sums)
    }

    /// Each lane, reduced.
    #[inline(always)]
    pub fn lanes(&self) -> L::V {
        self.0.high
    }
}

impl<L: Lanes> Beside<L> for Reduction<L> {
    #[inline(always)]
    fn step(&mut self, l: L, round: usize) {
        match round {
            0 => self.0.reduce_low(l),
            2 => self.0.reduce_middle(l),
            _ => return,
        }
        self.0.fence(l);
    }
}

/// H¹⁹ to H, from the cipher's encryption of zero.
#[inline(always)]
pub(super) fn powers<L: Lanes>(l: L, encrypted_zero: u128) -> [[u8; 16]; POWERS] {
    let h = l.at_lane(times_x(encrypted_zero.swap_bytes()), 0);
    let mut power = h;
    let mut powers = [[0; 16]; POWERS];
    for octets in powers.iter_mut().rev() {
        *octets = l.block(power).to_le_bytes();
        power = product(l, power, h);
    }
    powers
}

/// a · b, of lane 0.
#[inline(always)]
pub(super) fn product<L: Lanes>(l: L, a: L::V, b: L::V) -> L::V {
    let mut sums = Sums::new(l);
    sums.add(l, a, b);
    sums.reduce(l)
}

/// h · x, without a branch on the key.
const fn times_x(h: u128) -> u128 {
    let carry = (h >> 127).wrapping_neg();
    (h << 1) ^ (carry & 0xc200_0000_0000_0000_0000_0000_0000_0001)
}

/// The length block (NIST SP 800-38D §7.1): octets of associated data and of ciphertext, in bits.
#[inline(always)]
pub(super) const fn lengths(associated: usize, text: usize) -> u128 {
    ((associated as u128 * 8) << 64) | (text as u128 * 8)
}
