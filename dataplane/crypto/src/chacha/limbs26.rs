//! Poly1305 with 32-bit multipliers: five limbs of 26 bits. One source for all widths; the file that calls
//! the macro has its lanes as `lanes`.

macro_rules! limbs26 {
    ($features:literal) => {
        use super::poly::{STEP, Steps, TAG, authenticate};
        use lanes::{Vector, Words, add, and, choose, down, mul, or, set, up, zero};

        /// A number not far above 2^130, of every lane.
        type Limbs = [Vector; 5];

        /// Bits of a limb.
        const LIMB: u64 = (1 << 26) - 1;
        /// Where bit 128 of a block lies in the top limb.
        const BIT128: u32 = 24;

        /// A power of r, and its upper four limbs times 5: what lies 2^130 up comes back as 5.
        #[derive(Clone, Copy)]
        struct Power {
            r: Limbs,
            s: [Vector; 4],
        }

        authenticate!($features);

        /// ((((sum + m0)·r + m1)·r + m2)·r + m3)·r, with the powers r⁴ to r. No sum of the 20 products
        /// reaches 2^61.
        #[inline]
        #[target_feature(enable = $features)]
        fn absorb(
            sum: Limbs,
            [w0, w1, w2, w3]: [Words; STEP],
            [b0, b1, b2, b3]: [Vector; STEP],
            [p4, p3, p2, p1]: &[Power; STEP],
        ) -> Limbs {
            let wide = add_product(zero(), split(w1, b1), p3);
            let wide = add_product(wide, split(w2, b2), p2);
            let wide = add_product(wide, split(w3, b3), p1);
            let first = add_limbs(split(w0, b0), sum);
            carry(add_product(wide, first, p4))
        }

        /// r⁴, r³, r² and r.
        #[inline]
        #[target_feature(enable = $features)]
        fn powers([low, high]: Words) -> [Power; STEP] {
            // clamped (RFC 8439 §2.5)
            let low = and(low, set(0x0fff_fffc_0fff_ffff));
            let high = and(high, set(0x0fff_fffc_0fff_fffc));
            let r = power(split([low, high], set(0)));
            let r2 = power(carry(add_product(zero(), r.r, &r)));
            let r3 = power(carry(add_product(zero(), r2.r, &r)));
            let r4 = power(carry(add_product(zero(), r2.r, &r2)));
            [r4, r3, r2, r]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn power(r: Limbs) -> Power {
            let [_, r1, r2, r3, r4] = r;
            Power { r, s: [five(r1), five(r2), five(r3), five(r4)] }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn five(limb: Vector) -> Vector {
            add(limb, up::<2>(limb))
        }

        /// The 128 bits of a block, and bit 128 as `bit` has it.
        #[inline]
        #[target_feature(enable = $features)]
        fn split([low, high]: Words, bit: Vector) -> Limbs {
            [
                and(low, set(LIMB)),
                and(down::<26>(low), set(LIMB)),
                and(or(down::<52>(low), up::<12>(high)), set(LIMB)),
                and(down::<14>(high), set(LIMB)),
                or(down::<40>(high), bit),
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add_limbs([a, b, c, d, e]: Limbs, [f, g, h, i, j]: Limbs) -> Limbs {
            [add(a, f), add(b, g), add(c, h), add(d, i), add(e, j)]
        }

        /// Schoolbook, a row for each limb of `a`.
        #[inline]
        #[target_feature(enable = $features)]
        fn add_product(sum: Limbs, [a0, a1, a2, a3, a4]: Limbs, power: &Power) -> Limbs {
            let ([r0, r1, r2, r3, r4], [s1, s2, s3, s4]) = (power.r, power.s);
            let sum = add_row(sum, a0, [r0, r1, r2, r3, r4]);
            let sum = add_row(sum, a1, [s4, r0, r1, r2, r3]);
            let sum = add_row(sum, a2, [s3, s4, r0, r1, r2]);
            let sum = add_row(sum, a3, [s2, s3, s4, r0, r1]);
            add_row(sum, a4, [s1, s2, s3, s4, r0])
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add_row(sum: Limbs, a: Vector, [r, s, t, u, v]: Limbs) -> Limbs {
            add_limbs(sum, [mul(a, r), mul(a, s), mul(a, t), mul(a, u), mul(a, v)])
        }

        /// Back to limbs of 26 bits, but that the second and the last may be a little above. Two chains
        /// run side by side.
        #[inline]
        #[target_feature(enable = $features)]
        fn carry([d0, d1, d2, d3, d4]: Limbs) -> Limbs {
            let (d1, d4) = (add(d1, down::<26>(d0)), add(d4, down::<26>(d3)));
            let (d0, d3) = (and(d0, set(LIMB)), and(d3, set(LIMB)));
            let (d2, d0) = (add(d2, down::<26>(d1)), add(d0, five(down::<26>(d4))));
            let (d1, d4) = (and(d1, set(LIMB)), and(d4, set(LIMB)));
            let (d3, d1) = (add(d3, down::<26>(d2)), add(d1, down::<26>(d0)));
            let (d2, d0) = (and(d2, set(LIMB)), and(d0, set(LIMB)));
            let d4 = add(d4, down::<26>(d3));
            [d0, d1, d2, and(d3, set(LIMB)), d4]
        }

        /// The sum modulo 2^130 − 5, its low 128 bits.
        #[inline]
        #[target_feature(enable = $features)]
        fn finish(sum: Limbs) -> Words {
            let h = around(around(sum));
            // h + 5 reaches 2^130 where h is not below 2^130 − 5
            let plus_five = [add(h[0], set(5)), h[1], h[2], h[3], h[4]];
            let [g0, g1, g2, g3, g4] = ripple(plus_five);
            let over = down::<26>(g4);
            let h0 = choose(over, h[0], g0);
            let h1 = choose(over, h[1], g1);
            let h2 = choose(over, h[2], g2);
            let h3 = choose(over, h[3], g3);
            let h4 = choose(over, h[4], g4);
            [
                or(or(h0, up::<26>(h1)), up::<52>(h2)),
                or(or(down::<12>(h2), up::<14>(h3)), up::<40>(h4)),
            ]
        }

        /// All limbs but the last in range.
        #[inline]
        #[target_feature(enable = $features)]
        fn ripple([d0, d1, d2, d3, d4]: Limbs) -> Limbs {
            let d1 = add(d1, down::<26>(d0));
            let d2 = add(d2, down::<26>(d1));
            let d3 = add(d3, down::<26>(d2));
            let d4 = add(d4, down::<26>(d3));
            let limb = set(LIMB);
            [and(d0, limb), and(d1, limb), and(d2, limb), and(d3, limb), d4]
        }

        /// Carried once around.
        #[inline]
        #[target_feature(enable = $features)]
        fn around(sum: Limbs) -> Limbs {
            let [d0, d1, d2, d3, d4] = ripple(sum);
            [add(d0, five(down::<26>(d4))), d1, d2, d3, and(d4, set(LIMB))]
        }
    };
}
pub(super) use limbs26;
