//! Octets into views, views into octets, and sums over them.
#![allow(missing_docs, reason = "criterion's macros make items without them")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run should stop"
)]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataplane::packet::Summary;
use perf::traffic::{self, ESP_AT};
use std::hint::black_box;
use wire::esp::{self, Esp, Trailer};
use wire::ethernet::Ethernet;
use wire::iana::IpProtocol;
use wire::ip::Packet;
use wire::{checksum, ipv4};

fn frame(len: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    traffic::plain(&mut frame, 1, len);
    frame
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    let frame = frame(64);
    group.bench_function("ethernet", |b| b.iter(|| Ethernet::parse(black_box(&frame)).is_ok()));
    let packet = &frame[14..];
    group.bench_function("ipv4+udp", |b| {
        b.iter(|| Packet::parse(black_box(packet)).unwrap().ports());
    });
    group.bench_function("summary", |b| b.iter(|| Summary::of(black_box(packet)).unwrap()));
    let mut sealed = Vec::new();
    let header = esp::Header { spi: 0x1000, sequence: 1 };
    traffic::to_seal(
        &mut sealed,
        1,
        64,
        crypto::Suite::AesGcm(crypto::KeyBits::B128, crypto::Icv::I16),
        header,
    )
    .unwrap();
    let packet = &sealed[ESP_AT..];
    group.bench_function("esp", |b| b.iter(|| Esp::parse(black_box(packet)).unwrap().spi()));
    for pad in [2_usize, 254] {
        let mut text = vec![0; 64 + pad + esp::TRAILER];
        esp::emit_trailer(&mut text[64..], IpProtocol::IPV4).unwrap();
        group.bench_function(BenchmarkId::new("esp trailer, padding", pad), |b| {
            b.iter(|| Trailer::parse(black_box(&text)).unwrap());
        });
    }
}

fn emit(c: &mut Criterion) {
    let mut group = c.benchmark_group("emit");
    let repr = ipv4::Repr {
        src: traffic::GATEWAY,
        dst: traffic::peer(1),
        protocol: IpProtocol::ESP,
        ttl: 64,
        tos: 0,
        id: 1,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: 100,
    };
    group.bench_function("ipv4", |b| {
        let mut out = [0; ipv4::HEADER];
        b.iter(|| black_box(&repr).emit(black_box(&mut out)));
    });
    let mut packet = frame(64)[14..].to_vec();
    group.bench_function("ipv4 set_ttl", |b| {
        b.iter(|| ipv4::set_ttl(black_box(&mut packet), 63).unwrap());
    });
}

fn sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for len in [20_u16, 64, 576, 1420] {
        let octets: Vec<u8> = (0..len).map(|n| n as u8).collect();
        group.throughput(Throughput::Bytes(len.into()));
        group.bench_function(BenchmarkId::new("sum", len), |b| {
            b.iter(|| checksum::checksum(black_box(&octets)));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("update", |b| {
        b.iter(|| checksum::update(black_box(0x1234), black_box(1), black_box(2)));
    });
    // what every plain packet pays on a port whose neighbour leaves checksums to hardware
    for len in [64, 1420] {
        let mut packet = frame(len)[14..].to_vec();
        group.bench_function(BenchmarkId::new("complete, nothing to do", len), |b| {
            b.iter(|| checksum::complete(black_box(&mut packet)));
        });
    }
}

criterion_group!(benches, parse, emit, sums);
criterion_main!(benches);
