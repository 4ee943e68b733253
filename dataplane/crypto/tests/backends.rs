//! Every tier of kernels against the portable definition: every length, and batches of every shape.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use common::matrix::{CHUNK, Random, Sample, Sas, check, portable, sample, samples, suites, tiers};
use common::matrix::{sas, unit};
use common::rooms::Buffer;
use common::{Pair, pair_on};
use crypto::{Icv, Integrity, KeyBits, Suite};

const SAS: usize = 4;

#[test]
fn every_tier_has_kernels_for_every_suite_that_is_not_of_old() {
    for tier in tiers() {
        for suite in Suite::all() {
            let Pair { seal, open } = pair_on(tier, suite, false, 1);
            let fast = suites().any(|known| known == suite);
            let runs = if fast { tier.name } else { "portable" };
            assert_eq!((seal.backend(), open.backend()), (runs, runs), "{suite}");
        }
    }
}

/// Every length once, in batches of 1 to 64 packets, long and short ones of four SAs mixed.
fn every_length_of(suites: impl Iterator<Item = Suite>) {
    for (seed, suite) in suites.enumerate() {
        let sas = Sas::of(suite, SAS);
        let mut random = Random::new(seed as u64);
        let longest = if cfg!(miri) { 300 } else { 2100 };
        let units = 0..=longest / unit(suite);
        let mut lengths: Vec<_> = units.map(|units| units * unit(suite)).chain([9000]).collect();
        random.shuffle(&mut lengths);
        lengths.truncate(if cfg!(miri) { 20 } else { usize::MAX });
        let mut wanted = lengths
            .iter()
            .enumerate()
            .map(|(number, len)| sample(&sas.reference, random.below(SAS), 1 + number, *len));
        let mut sizes = (1..=CHUNK).rev().cycle();
        loop {
            let batch: Vec<_> = wanted.by_ref().take(sizes.next().unwrap()).collect();
            if batch.is_empty() {
                break;
            }
            sas.check(&mut Buffer::default(), &batch);
        }
    }
}

#[test]
fn every_length_of_gcm_and_gmac() {
    every_length_of(suites().filter(|s| matches!(s, Suite::AesGcm(..) | Suite::AesGmac(_))));
}

#[test]
fn every_length_of_ccm_and_chacha20_poly1305() {
    every_length_of(suites().filter(|s| matches!(s, Suite::AesCcm(..) | Suite::ChaCha20Poly1305)));
}

#[test]
fn every_length_of_ctr() {
    every_length_of(suites().filter(|s| matches!(s, Suite::AesCtr(..))));
}

#[test]
fn every_length_of_cbc_and_null() {
    every_length_of(suites().filter(|s| matches!(s, Suite::AesCbc(..) | Suite::Null(_))));
}

/// Up to 64 packets of one suite and one length, and of one suite and lengths on both sides of the kernels' widths.
#[test]
fn every_number_of_packets() {
    const SOME: [usize; 16] = [0, 1, 15, 16, 17, 31, 33, 48, 63, 64, 65, 127, 129, 240, 256, 272];
    let counts = if cfg!(miri) { &[1, 5, 16][..] } else { &(1..=CHUNK).collect::<Vec<_>>()[..] };
    for (seed, suite) in suites().enumerate() {
        let sas = Sas::of(suite, SAS);
        let mut random = Random::new(seed as u64);
        for count in counts {
            let len = random.pick(&SOME);
            let same: Vec<_> = (0..*count).map(|_| (random.below(SAS), len)).collect();
            let mixed: Vec<_> =
                (0..*count).map(|_| (random.below(SAS), random.pick(&SOME))).collect();
            for wanted in [same, mixed] {
                let batch = samples(&sas.reference, &wanted);
                sas.check(&mut Buffer::default(), &batch);
            }
        }
    }
}

#[test]
fn as_many_sas_as_packets() {
    for suite in suites() {
        let sas = Sas::of(suite, CHUNK);
        let wanted: Vec<_> = (0..CHUNK).map(|sa| (sa, 40 + sa * 29 % 64)).collect();
        sas.check(&mut Buffer::default(), &samples(&sas.reference, &wanted));
    }
}

/// SAs of all suites one after another, [`SAS`] of each, and each with a tier of its own choice.
fn all_suites(tier: impl Fn(usize) -> &'static crypto::Backend) -> Vec<Pair> {
    suites().enumerate().flat_map(|(at, suite)| sas(tier(at), suite, SAS)).collect()
}

/// What is in a batch, drawn at random.
fn drawn(random: &mut Random, all: usize) -> Vec<(usize, usize)> {
    let most = if random.below(8) == 0 { 200 } else { CHUNK };
    let count = 1 + random.below(most);
    let some: Vec<_> = (0..random.pick(&[1, 2, 3, 8, 300])).map(|_| random.below(all)).collect();
    let lengths = random.below(6);
    let base = random.below(1500);
    let mut len = || match lengths {
        0 => base,
        1 => base + random.below(70),
        2 => random.pick(&[64, 1424]),
        3 => random.below(100),
        4 => random.pick(&[0, 1, 20, 44, 300, 2100, 9000]),
        _ => random.below(2100),
    };
    let lens: Vec<_> = (0..count).map(|_| len()).collect();
    lens.into_iter().map(|len| (random.pick(&some), len)).collect()
}

#[test]
fn batches_at_random() {
    let all = Sas::new(|tier| all_suites(|_| tier));
    for seed in 0..if cfg!(miri) { 2 } else { 1500 } {
        let wanted = drawn(&mut Random::new(seed), all.reference.len());
        println!("seed {seed}: {wanted:?}"); // shown where it fails
        all.check(&mut Buffer::default(), &samples(&all.reference, &wanted));
    }
}

#[test]
fn batches_at_random_with_the_tiers_mixed() {
    let reference = all_suites(|_| portable());
    let mixed: Vec<_> = tiers().chain([portable()]).collect();
    let sas = |shift: usize| all_suites(|at| mixed[(at + shift) % mixed.len()]);
    for shift in 0..mixed.len() {
        let sas = sas(shift);
        for seed in (1000..1050).map(|seed| seed + 100 * shift as u64) {
            let wanted = drawn(&mut Random::new(seed), reference.len());
            println!("seed {seed}: {wanted:?}");
            check(&mut Buffer::default(), &sas, &reference, &samples(&reference, &wanted));
        }
    }
}

/// Batches at the edges, as (SA, octets), `suite` being where its SAs begin and `other` where another's do.
fn edges(suite: usize, other: usize) -> Vec<Vec<(usize, usize)>> {
    let each = |sa: fn(usize) -> usize, len: fn(usize) -> usize, count| -> Vec<_> {
        (0..count).map(|at| (suite + sa(at), len(at))).collect()
    };
    let two = |len: fn(usize) -> usize| -> Vec<_> {
        (0..CHUNK).map(|at| ([suite, other][at % 2] + at / 2 % SAS, len(at))).collect()
    };
    vec![
        each(|_| 0, |_| 0, CHUNK), // nothing but headers
        each(|_| 0, |at| if at == 0 { 9000 } else { 0 }, CHUNK), // one lane works on alone
        each(|_| 0, |at| if at == 63 { 9000 } else { 16 }, CHUNK),
        each(|at| at % SAS, |at| at, CHUNK), // longer and longer
        each(|at| at % SAS, |at| 64 * (63 - at), CHUNK), // shorter and shorter
        each(|at| at % SAS, |at| [64, 1424][at % 2], CHUNK),
        each(|at| at % SAS, |_| 1424, CHUNK + 1), // a group of one behind a full one
        each(|at| at % SAS, |at| 100 + at, 2 * CHUNK + 3),
        each(|at| at / 32, |at| 1424 - at, CHUNK), // without ESN, then with it
        two(|_| 128),
        two(|at| [1424, 0][at % 2]),
        two(|at| at * 37 % 300),
    ]
}

#[test]
fn batches_at_the_edges() {
    let all = Sas::new(|tier| all_suites(|_| tier));
    let place = |wanted| SAS * suites().position(|suite| suite == wanted).unwrap();
    let sha1 = |bits| Suite::AesCbc(bits, Integrity::HmacSha1_96);
    let others = [
        Suite::AesGcm(KeyBits::B128, Icv::I16),
        Suite::AesGcm(KeyBits::B256, Icv::I8),
        sha1(KeyBits::B192),
        Suite::ChaCha20Poly1305,
    ];
    for (at, suite) in suites().enumerate() {
        for wanted in edges(place(suite), place(others[at % others.len()])) {
            all.check(&mut Buffer::default(), &samples(&all.reference, &wanted));
        }
    }
}

#[test]
fn a_difference_would_be_seen() {
    // another key on the tier: what is sealed differs, what is opened fails
    for suite in suites() {
        let Some(tier) = tiers().last() else { return };
        let reference = [pair_on(portable(), suite, false, 1)];
        let other = [pair_on(tier, suite, false, 2)];
        let batch: [Sample; 1] = [sample(&reference, 0, 1, 64)];
        let seen = std::panic::catch_unwind(|| {
            check(&mut Buffer::default(), &other, &reference, &batch);
        });
        assert!(seen.is_err(), "{suite}");
    }
}
