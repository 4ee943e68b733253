//! Poly1305 in eight lanes of 64 bits with the 52-bit multipliers of AVX-512 IFMA: limbs of 44, 44 and 42
//! bits. The high half of a product is 52 bits up, 8 more than a limb, and is shifted back when carrying.
use core::arch::x86_64::*;

use super::lanes8::{self as lanes, Words, add, and, choose, down, or, set, up, zero};
use super::poly::{STEP, Steps, TAG, authenticate};

/// A number below 2^130 + 2^60 or so, of eight lanes.
type Limbs = [__m512i; 3];

/// Bits of the lower limbs, and of the top one.
const LOW: u64 = (1 << 44) - 1;
const TOP: u64 = (1 << 42) - 1;

/// Where bit 128 of a block lies in the top limb.
const BIT128: u32 = 40;

/// A power of r, and its upper limbs times 20: 2^132, three limbs up, is 4·2^130 = 4·5.
#[derive(Clone, Copy)]
struct Power {
    r: Limbs,
    s1: __m512i,
    s2: __m512i,
}

/// Sums of products: their low 52 bits, and what is above.
struct Wide {
    low: Limbs,
    high: Limbs,
}

authenticate!("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512ifma");

/// (((sum + m0)·r + m1)·r + m2)·r + m3)·r, with the powers r⁴ to r.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512ifma")]
fn absorb(
    sum: Limbs,
    words: [Words; STEP],
    bits: [__m512i; STEP],
    powers: &[Power; STEP],
) -> Limbs {
    let [w0, w1, w2, w3] = words;
    let [b0, b1, b2, b3] = bits;
    let [p4, p3, p2, p1] = powers;
    let mut wide = Wide::zero();
    wide.add_product(split(w1, b1), p3);
    wide.add_product(split(w2, b2), p2);
    wide.add_product(split(w3, b3), p1);
    let [m0, m1, m2] = split(w0, b0);
    wide.add_product([add(m0, sum[0]), add(m1, sum[1]), add(m2, sum[2])], p4);
    wide.carry()
}

/// r⁴, r³, r² and r.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512ifma")]
fn powers([low, high]: Words) -> [Power; STEP] {
    // clamped (RFC 8439 §2.5)
    let low = and(low, set(0x0fff_fffc_0fff_ffff));
    let high = and(high, set(0x0fff_fffc_0fff_fffc));
    let r = split([low, high], set(0));
    let r = Power::new(r);
    let r2 = Power::new(product(r.r, &r));
    let r3 = Power::new(product(r2.r, &r));
    let r4 = Power::new(product(r2.r, &r2));
    [r4, r3, r2, r]
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512ifma")]
fn product(a: Limbs, b: &Power) -> Limbs {
    let mut wide = Wide::zero();
    wide.add_product(a, b);
    wide.carry()
}

/// The 128 bits of a block, and bit 128 as `bit` has it.
#[inline]
#[target_feature(enable = "avx512f")]
fn split([low, high]: Words, bit: __m512i) -> Limbs {
    let middle = or(down::<44>(low), up::<20>(high));
    [and(low, set(LOW)), and(middle, set(LOW)), or(down::<24>(high), bit)]
}

impl Power {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(r: Limbs) -> Self {
        let zero = set(0);
        let twenty = |limb| _mm512_madd52lo_epu64(zero, limb, set(20));
        Self { r, s1: twenty(r[1]), s2: twenty(r[2]) }
    }
}

impl Wide {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { low: zero(), high: zero() }
    }

    /// Schoolbook, what lies above 2^132 folded back by `s1` and `s2`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_product(&mut self, a: Limbs, p: &Power) {
        let rows = [[p.r[0], p.s2, p.s1], [p.r[1], p.r[0], p.s2], [p.r[2], p.r[1], p.r[0]]];
        let [l0, l1, l2] = &mut self.low;
        let [h0, h1, h2] = &mut self.high;
        for (low, high, row) in [(l0, h0, rows[0]), (l1, h1, rows[1]), (l2, h2, rows[2])] {
            *low = _mm512_madd52lo_epu64(*low, a[0], row[0]);
            *high = _mm512_madd52hi_epu64(*high, a[0], row[0]);
            *low = _mm512_madd52lo_epu64(*low, a[1], row[1]);
            *high = _mm512_madd52hi_epu64(*high, a[1], row[1]);
            *low = _mm512_madd52lo_epu64(*low, a[2], row[2]);
            *high = _mm512_madd52hi_epu64(*high, a[2], row[2]);
        }
    }

    /// Back to limbs of which the first and the last are in range and the middle one a few bits more.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn carry(&self) -> Limbs {
        let [d0, d1, d2] = self.low;
        let [h0, h1, h2] = self.high;
        let d1 = add(d1, up::<8>(h0));
        let d2 = add(d2, up::<8>(h1));
        let d1 = add(d1, down::<44>(d0));
        let d2 = add(d2, down::<44>(d1));
        // h2 is 2^(88+52) = 2^10·2^130 up
        let over = add(down::<42>(d2), up::<10>(h2));
        let five = add(over, up::<2>(over));
        let d0 = add(and(d0, set(LOW)), five);
        let d1 = add(and(d1, set(LOW)), down::<44>(d0));
        [and(d0, set(LOW)), d1, and(d2, set(TOP))]
    }
}

/// The sum modulo 2^130 − 5, its low 128 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn finish(sum: Limbs) -> Words {
    let [h0, h1, h2] = reduced(reduced(sum));
    // h + 5 reaches 2^130 where h is not below 2^130 − 5
    let g0 = add(h0, set(5));
    let g1 = add(h1, down::<44>(g0));
    let g2 = add(h2, down::<44>(g1));
    let over = down::<42>(g2);
    let h0 = choose(over, h0, and(g0, set(LOW)));
    let h1 = choose(over, h1, and(g1, set(LOW)));
    let h2 = choose(over, h2, and(g2, set(TOP)));
    [or(h0, up::<44>(h1)), or(down::<20>(h1), up::<24>(h2))]
}

/// Carried once around: all limbs in range, but that the last carry may have left 2^130 and a little.
#[inline]
#[target_feature(enable = "avx512f")]
fn reduced([d0, d1, d2]: Limbs) -> Limbs {
    let d1 = add(d1, down::<44>(d0));
    let d2 = add(d2, down::<44>(d1));
    let over = down::<42>(d2);
    let d0 = add(and(d0, set(LOW)), add(over, up::<2>(over)));
    [d0, and(d1, set(LOW)), and(d2, set(TOP))]
}
