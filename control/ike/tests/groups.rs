//! What must not be taken as a public value (RFC 6989), and where the MODP primes come from.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{Counting, Given};
use ike::algorithm::{BadPublic, Group};
use proptest::prelude::*;

const MODP: [(Group, usize, u32); 7] = [
    (Group::Modp1024, 1024, 129_093),
    (Group::Modp1536, 1536, 741_804),
    (Group::Modp2048, 2048, 124_476),
    (Group::Modp3072, 3072, 1_690_314),
    (Group::Modp4096, 4096, 240_904),
    (Group::Modp6144, 6144, 929_484),
    (Group::Modp8192, 8192, 4_743_158),
];

/// A natural number in 32-bit words, the least significant first: just enough for Machin's formula.
#[derive(Clone)]
struct Natural(Vec<u32>);

impl Natural {
    /// 2^`bits`.
    fn power_of_two(bits: usize) -> Self {
        let mut words = vec![0; bits / 32 + 2];
        words[bits / 32] = 1 << (bits % 32);
        Self(words)
    }

    fn over(&self, divisor: u32) -> Self {
        let mut rest = 0_u64;
        let mut quotient = self.clone();
        for word in quotient.0.iter_mut().rev() {
            let value = rest << 32 | u64::from(*word);
            *word = (value / u64::from(divisor)) as u32;
            rest = value % u64::from(divisor);
        }
        quotient
    }

    fn times(&self, factor: u32) -> Self {
        let mut carry = 0_u64;
        let mut product = self.clone();
        for word in &mut product.0 {
            let value = u64::from(*word) * u64::from(factor) + carry;
            (*word, carry) = (value as u32, value >> 32);
        }
        product
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0_u64;
        let mut sum = self.clone();
        for (word, other) in sum.0.iter_mut().zip(&other.0) {
            let value = u64::from(*word) + u64::from(*other) + carry;
            (*word, carry) = (value as u32, value >> 32);
        }
        sum
    }

    fn minus(&self, other: &Self) -> Self {
        let mut borrow = 0_i64;
        let mut difference = self.clone();
        for (word, other) in difference.0.iter_mut().zip(&other.0) {
            let value = i64::from(*word) - i64::from(*other) - borrow;
            (*word, borrow) = (value as u32, i64::from(value < 0));
        }
        difference
    }

    fn is_zero(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// arctan(1/x) in units of 1/self.
    fn arctan_of_one_over(&self, x: u32) -> Self {
        let mut term = self.over(x);
        let mut sum = term.clone();
        for step in 1_u32.. {
            term = term.over(x * x);
            if term.is_zero() {
                break;
            }
            let part = term.over(2 * step + 1);
            sum = if step % 2 == 1 { sum.minus(&part) } else { sum.plus(&part) };
        }
        sum
    }

    /// Its lowest `bits`, whole words, most significant octet first.
    fn octets(&self, bits: usize) -> Vec<u8> {
        let words = &self.0[..bits / 32];
        words.iter().rev().flat_map(|word| word.to_be_bytes()).collect()
    }
}

/// p = 2^n - 2^(n-64) - 1 + 2^64 · (floor(2^(n-130) · π) + k), worked out from π by Machin's formula.
fn prime(bits: usize, k: u32) -> Vec<u8> {
    const GUARD: usize = 64;
    // π / 4 in units that are four times as small: so π in units of 2^(130 - n - GUARD)
    let unit = Natural::power_of_two(bits - 130 + 2 + GUARD);
    let pi = unit.arctan_of_one_over(5).times(4).minus(&unit.arctan_of_one_over(239));
    let floor = Natural(pi.0[GUARD / 32..].to_vec());
    // the one that is taken from 2^64 · (…) leaves ones in the lowest 64 bits
    let k = Natural([vec![k - 1], vec![0; floor.0.len() - 1]].concat());
    let middle = floor.plus(&k).octets(bits - 128);
    [&[0xff; 8], &middle[..], &[0xff; 8]].concat()
}

/// One less.
fn before(number: &[u8]) -> Vec<u8> {
    let mut number = number.to_vec();
    *number.last_mut().expect("not empty") -= 1;
    number
}

fn small(value: u8, len: usize) -> Vec<u8> {
    [vec![0; len - 1], vec![value]].concat()
}

#[test]
fn a5_modp_groups_take_what_lies_between_one_and_p_minus_one() {
    // and so the primes are those of the formula, for p - 2 is taken and p - 1 is not
    for (group, bits, k) in MODP {
        let (secret, _) = group.generate(&mut Counting::default());
        let (p, len) = (prime(bits, k), bits / 8);
        for (value, what) in [
            (small(0, len), "0"),
            (small(1, len), "1"),
            (before(&p), "p-1"),
            (p.clone(), "p"),
            (vec![0xff; len], "2^n-1"),
            (Vec::new(), "no octets"),
            (small(2, len - 1), "an octet too few"),
            (small(2, len + 1), "an octet too many"),
        ] {
            assert_eq!(secret.agree(&value), Err(BadPublic), "{group}: {what}");
        }
        assert!(secret.agree(&small(2, len)).is_ok(), "{group}: 2");
        let low = secret.agree(&before(&before(&p))).expect("p-2");
        assert_eq!(low.len(), len, "{group}: the secret has the prime's length");
    }
}

#[test]
fn a5_ecp_groups_refuse_lengths_infinity_and_what_is_off_the_curve() {
    for (group, len) in [(Group::Ecp256, 64), (Group::Ecp384, 96), (Group::Ecp521, 132)] {
        let (secret, public) = group.generate(&mut Counting::default());
        assert!(secret.agree(&public).is_ok());
        let mut off = public.clone();
        off[len - 1] ^= 1;
        let compressed = [&[2], &public[..len / 2]].concat();
        let with_prefix = [&[4], &public[..]].concat();
        for bad in [
            Vec::new(),
            vec![0],
            vec![0; len],
            vec![0xff; len],
            public[..len - 1].to_vec(),
            public[..len / 2].to_vec(),
            [&public[..], &[0]].concat(),
            off,
            compressed,
            with_prefix,
        ] {
            assert_eq!(secret.agree(&bad), Err(BadPublic), "{group}: {} octets", bad.len());
        }
    }
}

#[test]
fn a5_curve25519_refuses_lengths_and_a_shared_secret_of_zeros() {
    let (secret, public) = Group::Curve25519.generate(&mut Counting::default());
    assert!(secret.agree(&public).is_ok());
    let one = [&[1], &[0; 31][..]].concat();
    for bad in [vec![], vec![9; 31], vec![9; 33], vec![0; 32], one] {
        assert_eq!(secret.agree(&bad), Err(BadPublic), "{} octets", bad.len());
    }
}

#[test]
fn a_source_that_always_says_the_same_neither_hangs_nor_gives_a_weak_scalar() {
    struct Always(u8);
    impl ike::Random for Always {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }
    for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521, Group::Curve25519, Group::Modp2048] {
        for octet in [0, 0xff] {
            let (secret, public) = group.generate(&mut Always(octet));
            assert!(secret.agree(&public).is_ok(), "{group}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_is_sent_as_a_public_value_panics(
        value in prop::collection::vec(any::<u8>(), 0..300), which in 0..5_usize, full: bool,
    ) {
        let groups = [Group::Ecp256, Group::Ecp384, Group::Ecp521, Group::Curve25519, Group::Modp2048];
        let group = groups[which];
        let (secret, _) = group.generate(&mut Given(small(7, match group {
            Group::Ecp384 => 48,
            Group::Ecp521 => 66,
            Group::Modp2048 => 40,
            _ => 32,
        })));
        let mut value = value;
        if full {
            value.resize(group.public_len(), 0x5a);
        }
        if let Ok(shared) = secret.agree(&value) {
            prop_assert!(shared.expose().iter().any(|octet| *octet != 0));
        }
    }
}
