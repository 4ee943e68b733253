//! Packets wherever they may lie: at any address, back to back, on the last octets of a page. What is beside them is
//! neither written nor read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use common::matrix::{Random, Sas, samples, suites};
use common::rooms::{Boxes, Buffer};
#[cfg(not(miri))]
use common::{matrix::unit, rooms::Pages};

const SAS: usize = if cfg!(miri) { 2 } else { 3 };

/// `count` packets with payloads of up to `longest` octets.
fn some(random: &mut Random, count: usize, longest: usize) -> Vec<(usize, usize)> {
    (0..count).map(|_| (random.below(SAS), random.below(longest + 1))).collect()
}

#[test]
fn the_first_packet_may_begin_at_any_address() {
    let shifts = if cfg!(miri) { &[1, 47][..] } else { &(0..64).collect::<Vec<_>>()[..] };
    for (seed, suite) in suites().enumerate() {
        let (sas, mut random) = (Sas::of(suite, SAS), Random::new(seed as u64));
        for shift in shifts {
            let wanted = some(&mut random, if cfg!(miri) { 5 } else { 17 }, 280);
            sas.check(&mut Buffer::shifted(*shift), &samples(&sas.reference, &wanted));
        }
    }
}

#[test]
fn a_packet_alone_may_begin_at_any_address() {
    for (seed, suite) in suites().enumerate() {
        let (sas, mut random) = (Sas::of(suite, SAS), Random::new(seed as u64));
        for shift in 0..if cfg!(miri) { 0 } else { 64 } {
            for longest in [40, 600, 1424] {
                let wanted = some(&mut random, 1, longest);
                sas.check(&mut Buffer::shifted(shift), &samples(&sas.reference, &wanted));
            }
        }
    }
}

#[test]
fn packets_may_be_whole_allocations() {
    for (seed, suite) in suites().enumerate() {
        let (sas, mut random) = (Sas::of(suite, SAS), Random::new(seed as u64));
        let longest = if cfg!(miri) { 90 } else { 1500 };
        for count in if cfg!(miri) { 2..3 } else { 1..40 } {
            let wanted = some(&mut random, count, longest);
            sas.check(&mut Boxes::default(), &samples(&sas.reference, &wanted));
        }
    }
}

/// Every short length, and some around the kernels' widths.
#[cfg(not(miri))]
#[test]
fn nothing_is_touched_on_the_pages_beside_a_packet() {
    let mut pages = Pages::new();
    for (seed, suite) in suites().enumerate() {
        let (sas, mut random) = (Sas::of(suite, SAS), Random::new(seed as u64));
        let long = [496, 511, 513, 767, 1008, 1024, 1025, 1424, 2047, 2049, 4064, 4096, 9000];
        let mut lengths: Vec<_> = (0..=288).step_by(unit(suite)).chain(long).collect();
        for at_end in [true, false] {
            pages.at_end = at_end;
            random.shuffle(&mut lengths);
            let wanted: Vec<_> = lengths.iter().map(|len| (random.below(SAS), *len)).collect();
            let mut rest = wanted.as_slice();
            while !rest.is_empty() {
                let count = (1 + random.below(Pages::MOST)).min(rest.len());
                let (now, later) = rest.split_at(count);
                sas.check(&mut pages, &samples(&sas.reference, now));
                rest = later;
            }
        }
    }
}
