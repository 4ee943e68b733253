//! Policy and routes: few entries and many, asked for in no order.
#![allow(missing_docs, reason = "criterion's macros make items without them")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot run should stop"
)]
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataplane::spd::Flow;
use dataplane::{Fib, InterfaceInfo, Neighbour, Route, RouteKind, Spd};
use perf::rng::Rng;
use perf::traffic::{NEAR_HOST, ROUTER, far_host, mac};
use perf::world::{policies, tables};
use std::net::{IpAddr, Ipv4Addr};

const ENTRIES: [u32; 2] = [10, 1000];
/// Questions, asked in turn.
const ASKED: usize = 4096;

fn hosts(entries: u32) -> Vec<IpAddr> {
    let mut rng = Rng::new(7);
    (0..ASKED).map(|_| far_host(rng.below(entries as usize) as u32).into()).collect()
}

fn spd(c: &mut Criterion) {
    let mut group = c.benchmark_group("spd");
    group.throughput(Throughput::Elements(1));
    for entries in ENTRIES {
        let spd = Spd::new(&policies(entries).unwrap());
        let ports = Some((4000, 5000));
        let flow = |remote| Flow { local: NEAR_HOST.into(), remote, protocol: 17, ports };
        let flows: Vec<Flow> = hosts(entries).into_iter().map(flow).collect();
        let mut flow = flows.iter().cycle();
        group.bench_function(BenchmarkId::new("lookup", entries), |b| {
            b.iter(|| spd.lookup(flow.next().unwrap()).unwrap());
        });
        let stranger = Flow { remote: ROUTER.into(), ..flows[0] };
        group.bench_function(BenchmarkId::new("lookup, none matches", entries), |b| {
            b.iter(|| spd.lookup(std::hint::black_box(&stranger)));
        });
        group.bench_function(BenchmarkId::new("admits", entries), |b| {
            b.iter(|| spd.admits(0, std::hint::black_box(&flows[0])));
        });
    }
}

fn fib(c: &mut Criterion) {
    let mut group = c.benchmark_group("fib");
    group.throughput(Throughput::Elements(1));
    let interfaces: Vec<InterfaceInfo> = tables(1).unwrap().interfaces;
    let router = Neighbour { ifindex: 9, address: ROUTER.into(), mac: mac(4) };
    for entries in [10, 1000, 100_000] {
        let kind = RouteKind::Via { gateway: Some(ROUTER.into()), ifindex: 9 };
        let route = |destination: Ipv4Addr, prefix_len| Route {
            destination: destination.into(),
            prefix_len,
            metric: 0,
            kind,
            mtu: None,
        };
        let mut routes: Vec<Route> = (0..entries).map(|n| route(far_host(n), 32)).collect();
        routes.push(route(Ipv4Addr::UNSPECIFIED, 0));
        let fib = Fib::new(&routes, &[router], &interfaces);
        let hosts = hosts(entries);
        let mut host = hosts.iter().cycle();
        group.bench_function(BenchmarkId::new("lookup", entries), |b| {
            b.iter(|| fib.lookup(*host.next().unwrap()));
        });
    }
}

criterion_group!(benches, spd, fib);
criterion_main!(benches);
