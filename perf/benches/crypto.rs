//! Sealing and opening batches of 32 in every suite: one context, and 1024 in turn.
//!
//! As on the walk the packets lie in frames of 2048 octets, at octet 306; 1024 frames in turn. Sizes are payload with
//! trailer, rounded up to the suite's block.
#![allow(missing_docs, reason = "criterion's macros make items without them")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run should stop"
)]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::{Open, OpenKey, Seal, SealKey, Suite};
use perf::world::keys;
use std::time::{Duration, Instant};

const SIZES: [usize; 6] = [64, 128, 256, 512, 1024, 1420];
const BATCH: usize = 32;
const FRAMES: usize = 1024;
const FRAME: usize = 2048;
const AT: usize = 306;

/// What the frames look like before they are worked on.
struct Frames {
    octets: Vec<u8>,
    len: usize,
}

impl Frames {
    /// Headers with number 1; the octets behind them do not matter.
    fn new(suite: Suite, size: usize) -> Self {
        let payload = size.next_multiple_of(suite.block());
        let len = wire::esp::HEADER + suite.iv_len() + payload + suite.icv_len();
        let mut octets = vec![0; FRAMES * FRAME];
        let header = wire::esp::Header { spi: 0x1000, sequence: 1 }.emit();
        for frame in octets.chunks_mut(FRAME) {
            frame[AT..AT + header.len()].copy_from_slice(&header);
        }
        Self { octets, len }
    }

    /// Batch `number`, round and round.
    fn batch(&mut self, number: usize) -> impl Iterator<Item = &mut [u8]> {
        let from = number * BATCH % FRAMES * FRAME;
        let frames = self.octets[from..from + BATCH * FRAME].chunks_mut(FRAME);
        frames.map(|frame| &mut frame[AT..AT + self.len])
    }
}

fn seal_batch<'a>(keys: &'a [SealKey], frames: &'a mut Frames, number: usize) -> Vec<Seal<'a>> {
    let keys = keys.iter().cycle().skip(number * BATCH % keys.len());
    let pairs = keys.zip(frames.batch(number));
    pairs.map(|(key, packet)| Seal { key, sequence: 1, packet }).collect()
}

/// Puts `done` back into the batch: what was opened is no ciphertext any more.
fn open_batch<'a>(
    keys: &'a [OpenKey],
    frames: &'a mut Frames,
    done: &Frames,
    number: usize,
) -> Vec<Open<'a>> {
    let from = number * BATCH % FRAMES * FRAME;
    let span = from..from + BATCH * FRAME;
    frames.octets[span.clone()].copy_from_slice(&done.octets[span]);
    let keys = keys.iter().cycle().skip(number * BATCH % keys.len());
    keys.zip(frames.batch(number)).map(|(key, packet)| Open::new(key, 1, packet)).collect()
}

/// Times `work` on one batch after another; making the batch is not in the time.
fn timed(rounds: u64, mut work: impl FnMut(usize) -> Duration) -> Duration {
    (0..rounds as usize).map(&mut work).sum()
}

fn suites(c: &mut Criterion) {
    for suite in Suite::all() {
        let material = keys(suite);
        let (encryption, integrity) = (&material.encryption, &material.integrity);
        for sas in [1, FRAMES] {
            let seal_key = |_| SealKey::new(suite, encryption, integrity, false, 1).unwrap();
            let open_key = |_| OpenKey::new(suite, encryption, integrity, false).unwrap();
            let seal_keys: Vec<_> = (0..sas).map(seal_key).collect();
            let open_keys: Vec<_> = (0..sas).map(open_key).collect();
            seal(c, suite, &seal_keys);
            open(c, suite, &seal_keys, &open_keys);
        }
    }
}

fn seal(c: &mut Criterion, suite: Suite, keys: &[SealKey]) {
    let mut group = c.benchmark_group(format!("seal/{suite}"));
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let mut frames = Frames::new(suite, size);
        group.bench_function(BenchmarkId::new(format!("{} SAs", keys.len()), size), |b| {
            b.iter_custom(|rounds| {
                timed(rounds, |number| {
                    let mut jobs = seal_batch(keys, &mut frames, number);
                    let start = Instant::now();
                    let refused = crypto::seal(&mut jobs);
                    let took = start.elapsed();
                    assert_eq!(refused, 0);
                    took
                })
            });
        });
    }
}

fn open(c: &mut Criterion, suite: Suite, seal_keys: &[SealKey], keys: &[OpenKey]) {
    let mut group = c.benchmark_group(format!("open/{suite}"));
    group.throughput(Throughput::Elements(BATCH as u64));
    for size in SIZES {
        let (mut done, mut frames) = (Frames::new(suite, size), Frames::new(suite, size));
        for number in 0..FRAMES / BATCH {
            assert_eq!(crypto::seal(&mut seal_batch(seal_keys, &mut done, number)), 0);
        }
        group.bench_function(BenchmarkId::new(format!("{} SAs", keys.len()), size), |b| {
            b.iter_custom(|rounds| {
                timed(rounds, |number| {
                    let mut jobs = open_batch(keys, &mut frames, &done, number);
                    let start = Instant::now();
                    crypto::open(&mut jobs);
                    let took = start.elapsed();
                    assert!(jobs.iter().all(|job| job.verdict.is_ok()));
                    took
                })
            });
        });
    }
}

criterion_group! {
    name = benches;
    // 456 benches: half a second each
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = suites
}
criterion_main!(benches);
