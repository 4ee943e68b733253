//! What the region costs a packet: the anti-replay window, and numbers.
#![allow(missing_docs, reason = "criterion's macros make items without them")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run should stop"
)]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crypto::Suite;
use perf::world::{keys, record, setup};
use sadb::{Direction, Region, SequenceHandle, WindowHandle};
use std::hint::black_box;

const SUITE: Suite = Suite::AesGcm(crypto::KeyBits::B128, crypto::Icv::I16);

const BATCH: u64 = 32;

/// A region with `sas` SAs of `direction`. The data plane's end may go: handles stay.
fn region(sas: u32, direction: Direction, window: u32) -> Region {
    let region = Region::create(&setup(sas).unwrap()).unwrap();
    let mut records = region.data_plane().unwrap();
    for tunnel in 0..sas {
        let mut sa = record(SUITE, tunnel, direction).unwrap();
        sa.replay_window = window;
        sa.esn = true;
        records.install(&sa, &keys(SUITE)).unwrap();
    }
    drop(records);
    region
}

fn windows(sas: u32, width: u32) -> Vec<WindowHandle> {
    let region = region(sas, Direction::Inbound, width);
    (0..sas).map(|tunnel| region.inbound(tunnel * 2).unwrap()).collect()
}

fn senders(sas: u32) -> Vec<SequenceHandle> {
    let region = region(sas, Direction::Outbound, 1024);
    (0..sas).map(|tunnel| region.outbound(tunnel * 2 + 1).unwrap()).collect()
}

/// Packets in order: infer, check, commit, as the walk does.
fn window(c: &mut Criterion) {
    let mut group = c.benchmark_group("window/infer+check+commit");
    group.throughput(Throughput::Elements(1));
    for width in [64, 1024] {
        for sas in [1, 1024] {
            let windows = windows(sas, width);
            let mut numbers = vec![0_u64; windows.len()];
            let mut at = 0;
            let id = BenchmarkId::new(format!("{sas} SAs"), width);
            group.bench_function(id, |b| {
                b.iter(|| {
                    numbers[at] += 1;
                    let (window, number) = (&windows[at], black_box(numbers[at]));
                    at = (at + 1) % windows.len();
                    let sequence = window.infer(number as u32, true);
                    window.check(sequence).and_then(|()| window.commit(sequence)).unwrap();
                });
            });
        }
    }
}

/// A packet that was here before.
fn duplicate(c: &mut Criterion) {
    let windows = windows(1, 1024);
    windows[0].commit(1).unwrap();
    c.bench_function("window/duplicate", |b| b.iter(|| windows[0].check(black_box(1))));
}

/// One reservation for each SA and batch, and one by one.
fn sequence(c: &mut Criterion) {
    let mut group = c.benchmark_group("sequence/reserve");
    for (sas, n) in [(1, 1), (1, BATCH), (1024, 1)] {
        let senders = senders(sas);
        let mut at = 0;
        group.throughput(Throughput::Elements(n));
        group.bench_function(BenchmarkId::new(format!("{sas} SAs"), n), |b| {
            b.iter(|| {
                at = (at + 1) % senders.len();
                senders[at].reserve(black_box(n as u32), u64::MAX)
            });
        });
    }
}

fn account(c: &mut Criterion) {
    let senders = senders(1);
    c.bench_function("account", |b| b.iter(|| senders[0].account(black_box(BATCH), 64 * BATCH, 1)));
}

criterion_group!(benches, window, duplicate, sequence, account);
criterion_main!(benches);
