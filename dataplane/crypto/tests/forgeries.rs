//! What a forger sends, on every tier: found at every octet, left as it arrived, and no harm to the rest of its batch.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use common::body;
use common::matrix::{CHUNK, Random, Sample, Sas, sample, suites};
use crypto::{BadIcv, Open, Suite};

const SAS: usize = if cfg!(miri) { 2 } else { 3 };

/// A packet as it arrives, and what is to become of it.
struct Arrival<'s> {
    sample: &'s Sample,
    sequence: u64,
    octets: Vec<u8>,
    genuine: bool,
}

impl<'s> Arrival<'s> {
    fn genuine(sample: &'s Sample) -> Self {
        let (sequence, octets) = (sample.sequence, sample.sealed.clone());
        Self { sample, sequence, octets, genuine: true }
    }

    /// Its number is read from the header, however forged, as on the packet path.
    fn forged(sample: &'s Sample, octets: Vec<u8>) -> Self {
        let low = octets.get(4..8).map_or(0, |low| u32::from_be_bytes(low.try_into().unwrap()));
        let sequence = sample.sequence >> 32 << 32 | u64::from(low);
        Self { sample, sequence, octets, genuine: false }
    }

    fn with_wrong_octet(sample: &'s Sample, at: usize) -> Self {
        let mut octets = sample.sealed.clone();
        octets[at] ^= 1 << ((at + octets.len()) % 8);
        Self::forged(sample, octets)
    }
}

/// Opens all of it on every tier, in batches of `size`.
fn arrive(sas: &Sas, arrivals: &[Arrival<'_>], size: usize) {
    for (keys, batch) in
        sas.tiers.iter().flat_map(|keys| arrivals.chunks(size).map(move |batch| (keys, batch)))
    {
        let mut packets: Vec<_> = batch.iter().map(|arrival| arrival.octets.clone()).collect();
        let items = batch.iter().zip(&mut packets);
        let mut opened: Vec<_> = items
            .map(|(arrival, packet)| {
                let key = &keys[arrival.sample.sa].open;
                // a verdict from before must not be believed
                Open { key, sequence: arrival.sequence, packet, verdict: Ok(()) }
            })
            .collect();
        crypto::open(&mut opened);
        let verdicts: Vec<_> = opened.iter().map(|item| item.verdict).collect();
        for ((at, arrival), verdict) in batch.iter().enumerate().zip(verdicts) {
            judge(&keys[arrival.sample.sa].open, arrival, verdict, &packets[at])
                .unwrap_or_else(|why| panic!("{why}, packet {at} of {}", batch.len()));
        }
    }
}

fn judge(
    key: &crypto::OpenKey,
    arrival: &Arrival<'_>,
    verdict: Result<(), BadIcv>,
    packet: &[u8],
) -> Result<(), String> {
    let (suite, sample) = (key.suite(), arrival.sample);
    let what = || {
        let pairs = arrival.octets.iter().zip(&sample.sealed);
        let wrong = pairs.enumerate().find(|(_, (now, before))| now != before);
        let (len, wrong) = (arrival.octets.len(), wrong.map(|(at, _)| at));
        format!("{key:?}, {len} of {} octets, wrong at {wrong:?}", sample.sealed.len())
    };
    if verdict.is_ok() != arrival.genuine {
        return Err(format!("{}: {verdict:?}", what()));
    }
    if !arrival.genuine && packet != arrival.octets {
        return Err(format!("{}: refused, and the packet changed", what()));
    }
    if arrival.genuine && body(suite, packet) != body(suite, &sample.unsealed) {
        return Err(format!("{}: not what was sealed", what()));
    }
    Ok(())
}

/// Octets of the payload, in packets to forge.
fn lengths() -> &'static [usize] {
    if cfg!(miri) { &[32] } else { &[0, 1, 16, 63, 64, 160, 512, 1424] }
}

/// Where a forger may change a packet: header, IV and ICV, the payload's ends, and some of its middle.
fn places(suite: Suite, len: usize) -> Vec<usize> {
    let front = 8 + suite.iv_len();
    let back = len - suite.icv_len();
    let near = |at: &usize| {
        let edge = at.is_multiple_of(64) || (*at + 1).is_multiple_of(64);
        edge || *at < front + 33 || *at + 33 >= back
    };
    (0..len).filter(near).step_by(if cfg!(miri) { 9 } else { 1 }).collect()
}

#[test]
fn a_wrong_bit_in_any_octet_is_found_between_packets_that_open() {
    for suite in suites() {
        let sas = Sas::of(suite, SAS);
        for len in lengths() {
            let sent: Vec<_> =
                (0..SAS).map(|sa| sample(&sas.reference, sa, 77 + sa, *len)).collect();
            let places = places(suite, sent[0].sealed.len());
            // the neighbours of a forgery are forged elsewhere, or genuine
            let arrivals: Vec<_> = places
                .iter()
                .enumerate()
                .flat_map(|(number, at)| {
                    let forged = Arrival::with_wrong_octet(&sent[number % SAS], *at);
                    let genuine = (number % 3 == 0).then(|| Arrival::genuine(&sent[number % SAS]));
                    [Some(forged), genuine].into_iter().flatten()
                })
                .collect();
            arrive(&sas, &arrivals, CHUNK);
        }
    }
}

#[test]
fn every_bit_of_an_icv_counts_in_a_packet_alone() {
    for suite in suites() {
        let sas = Sas::of(suite, SAS);
        let sent = sample(&sas.reference, 1, 77, 48);
        let icv = sent.sealed.len() - suite.icv_len()..sent.sealed.len();
        let bits = icv.flat_map(|at| (0..8).map(move |bit| (at, bit)));
        let forged = bits.step_by(if cfg!(miri) { 31 } else { 1 }).map(|(at, bit)| {
            let mut octets = sent.sealed.clone();
            octets[at] ^= 1 << bit;
            Arrival::forged(&sent, octets)
        });
        arrive(&sas, &forged.collect::<Vec<_>>(), 1);
    }
}

#[test]
fn what_was_cut_short_or_grew_does_not_open() {
    for suite in suites() {
        let sas = Sas::of(suite, SAS);
        let sent = sample(&sas.reference, 1, 77, 96);
        let step = if cfg!(miri) { 17 } else { 1 };
        let cut = (0..sent.sealed.len()).step_by(step).map(|len| sent.sealed[..len].to_vec());
        let headless =
            (1..sent.sealed.len()).step_by(step).map(|from| sent.sealed[from..].to_vec());
        let grown = (1..40).step_by(step).map(|more| [&sent.sealed[..], &vec![0; more]].concat());
        // the ICV stays at the end, and the payload before it loses or gains
        let (covered, icv) = sent.sealed.split_at(sent.sealed.len() - suite.icv_len());
        let inside = (8 + suite.iv_len()..covered.len())
            .step_by(step)
            .map(|len| [&covered[..len], icv].concat());
        let padded = (1..40).step_by(step).map(|more| [covered, &vec![0; more][..], icv].concat());
        let forged = cut.chain(headless).chain(grown).chain(inside).chain(padded);
        let arrivals: Vec<_> = forged
            .flat_map(|octets| [Arrival::forged(&sent, octets), Arrival::genuine(&sent)])
            .collect();
        arrive(&sas, &arrivals, CHUNK);
    }
}

#[test]
fn the_number_and_the_sa_are_covered() {
    for suite in suites() {
        let sas = Sas::of(suite, SAS);
        // SA 1 has extended numbers
        let sent = sample(&sas.reference, 1, 77, 96);
        let later = Arrival {
            sequence: sent.sequence ^ 1 << 32,
            genuine: false,
            ..Arrival::genuine(&sent)
        };
        let other = Sample { sa: 0, sequence: 77, unsealed: Vec::new(), sealed: Vec::new() };
        let stranger = Arrival::forged(&other, sent.sealed.clone());
        arrive(&sas, &[Arrival::genuine(&sent), later, stranger, Arrival::genuine(&sent)], CHUNK);
    }
}

#[test]
fn any_of_a_batch_may_be_forged() {
    for (seed, suite) in suites().enumerate() {
        let (sas, mut random) = (Sas::of(suite, SAS), Random::new(seed as u64));
        let (counts, longest) = if cfg!(miri) { (3..4, 80) } else { (1..40, 700) };
        for count in counts {
            let sent: Vec<_> = (0..count)
                .map(|at| sample(&sas.reference, random.below(SAS), 1 + at, random.below(longest)))
                .collect();
            let often = 1 + random.below(6);
            let arrivals: Vec<_> = sent
                .iter()
                .map(|sent| match random.below(often) {
                    0 => Arrival::with_wrong_octet(sent, random.below(sent.sealed.len())),
                    _ => Arrival::genuine(sent),
                })
                .collect();
            arrive(&sas, &arrivals, CHUNK);
        }
    }
}
