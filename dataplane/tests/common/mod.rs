//! Two gateways in memory: no NIC, no clock, no namespaces. What one port sends, a test carries to the other.
#![allow(dead_code)] // each test binary uses its part

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use crossbeam_queue::ArrayQueue;
use dataplane::{
    Config, Fib, InterfaceInfo, LocalAddresses, Neighbour, Notice, PortRole, Route, RouteKind,
    Shared, Spd, Tables, Worker,
};
use sadb::setup::Idle;
use sadb::{
    Counter, DataPlane, Direction, DropReason, Encap, Interface, Name, Policy, Region, Requirement,
    Role, Sa, SaKeys, Setup, Verdict,
};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use wire::iana::IpProtocol;
use wire::selector::{AddressRange, PortRange, Selector};
use wire::{checksum, esp, ipv4, ipv6, udp};
use xsk::{Frame, Pool, Port, RingSizes, Statistics, Twin, Umem, Wire};

pub const INSIDE: usize = 0;
pub const OUTSIDE: usize = 1;
pub const KERNEL: usize = 2;
/// Frames of one gateway.
pub const FRAMES: u32 = 512;
/// Large frames of one gateway.
pub const LARGE: u32 = 2;
const RING: u32 = 64;
/// The tunnel of every test SA.
pub const TUNNEL: u32 = 3;

pub const PORT_MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Which of the two gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    A,
    B,
}

impl End {
    pub fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }
    fn number(self) -> u8 {
        if self == Self::A { 1 } else { 2 }
    }
    /// Its outer address.
    pub fn outer(self, v6: bool) -> IpAddr {
        let n = self.number();
        if v6 { ip(&format!("2001:db8::{n}")) } else { ip(&format!("192.0.2.{n}")) }
    }
    /// A host behind it.
    pub fn host(self, v6: bool) -> IpAddr {
        let n = self.number();
        if v6 { ip(&format!("fd0{n}::5")) } else { ip(&format!("10.{n}.0.5")) }
    }
    /// Its own address on the inside link.
    pub fn inside(self, v6: bool) -> IpAddr {
        let n = self.number();
        if v6 { ip(&format!("fd0{n}::1")) } else { ip(&format!("10.{n}.0.1")) }
    }
    fn net(self, v6: bool) -> AddressRange {
        let n = self.number();
        let (first, last) = if v6 {
            (format!("fd0{n}::"), format!("fd0{n}::ffff:ffff:ffff:ffff"))
        } else {
            (format!("10.{n}.0.0"), format!("10.{n}.255.255"))
        };
        AddressRange::new(ip(&first), ip(&last)).unwrap()
    }
}

pub fn setup(workers: u16) -> Setup {
    let interface = |name, role| Interface {
        name: Name::new(name).unwrap(),
        role,
        require: Requirement::Any,
        complete_checksums: true,
    };
    Setup {
        geometry: sadb::setup::Geometry {
            sa_slots: 64,
            policies: 64,
            window_max: 1024,
            ring_entries: 16,
        },
        interfaces: vec![interface("lan0", Role::Inside), interface("wan0", Role::Outside)],
        cores: (0..workers).collect(),
        idle: Idle::Adaptive,
        frames: FRAMES,
        frame_size: 2048,
        tun: Name::new("postern0").unwrap(),
        reassembly_slots: 4,
        reassembly_ms: 1000,
    }
}

/// One worker of a gateway with its three wires.
pub struct Bench {
    pub worker: Worker,
    pub wires: [Wire; 3],
    /// Large frames that went to the kernel.
    pub large: Arc<ArrayQueue<Vec<u8>>>,
}

/// The port to the kernel takes frames of any size, as a TUN device does; a twin knows those of its UMEM only.
struct Tun {
    twin: Twin,
    large: Arc<ArrayQueue<Vec<u8>>>,
}

impl Port for Tun {
    fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        self.twin.receive(into, max)
    }
    fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        let large: Vec<Frame> = frames.extract_if(.., |frame| frame.is_large()).collect();
        large.iter().for_each(|frame| self.large.push(frame.to_vec()).unwrap());
        large.len() + self.twin.transmit(frames)
    }
    fn recycle(&mut self, pool: &mut Pool) {
        self.twin.recycle(pool);
    }
    fn wake(&mut self) {}
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn in_flight(&self) -> usize {
        self.twin.in_flight()
    }
    fn statistics(&self) -> Statistics {
        self.twin.statistics()
    }
}

pub struct Gateway {
    pub end: End,
    pub shared: Arc<Shared>,
    pub dp: DataPlane,
    pub benches: Vec<Bench>,
    pub umem: &'static Umem,
    pub now: Duration,
}

impl Gateway {
    pub fn new(end: End) -> Self {
        Self::with(end, 1, FRAMES, 2048)
    }

    pub fn with(end: End, workers: u16, frames: u32, frame_size: u32) -> Self {
        let setup = setup(workers);
        let region = Region::on_heap(&setup).unwrap();
        let dp = region.data_plane().unwrap();
        let shared = Arc::new(Shared::new(region, &setup));
        let umem = Umem::with_large(frames, frame_size, LARGE).unwrap();
        let benches = (0..workers.into()).map(|index| bench(index, umem, &shared)).collect();
        let mut gateway = Self { end, shared, dp, benches, umem, now: sadb::clock::now() };
        gateway.tables(|_| {});
        gateway.turn(); // gives the ports frames to receive into
        gateway
    }

    /// Replaces the tables: the usual ones, changed by `change`.
    pub fn tables(&self, change: impl FnOnce(&mut World)) {
        let mut world = World::usual(self.end);
        change(&mut world);
        let generation = self.shared.tables.load().generation + 1;
        self.shared.tables.store(Arc::new(world.tables(generation)));
    }

    pub fn install(&mut self, sa: &Sa, keys: &SaKeys) {
        self.shared.sad.check(sa, keys).unwrap();
        self.dp.install(sa, keys).unwrap();
        self.shared.sad.add(sa, keys, &self.shared.region).unwrap();
    }

    pub fn turn(&mut self) -> bool {
        let now = self.now;
        let moved =
            self.benches.iter_mut().fold(false, |moved, bench| bench.worker.turn(now) | moved);
        self.conserved();
        moved
    }

    pub fn wire(&mut self, port: usize) -> &mut Wire {
        &mut self.benches[0].wires[port]
    }

    /// One packet in by `port` and one turn; what comes out, by port.
    pub fn feed(&mut self, port: usize, packet: &[u8]) -> [Vec<Vec<u8>>; 3] {
        assert!(self.wire(port).inject(packet), "the ring has room");
        self.turn();
        [INSIDE, OUTSIDE, KERNEL].map(|port| self.drain(port))
    }

    /// As [`Gateway::feed`], when exactly one packet comes out, by `to`.
    pub fn pass(&mut self, from: usize, packet: &[u8], to: usize) -> Vec<u8> {
        let before = self.drops();
        let out = self.feed(from, packet);
        let [count, rest] = [out[to].len(), out.iter().map(Vec::len).sum::<usize>()];
        assert_eq!((count, rest), (1, 1), "dropped: {:?}", diff(&before, &self.drops()));
        out[to][0].clone()
    }

    /// As [`Gateway::feed`], when nothing but errors of ours may come out; the one reason it was dropped for.
    pub fn loses(&mut self, port: usize, packet: &[u8]) -> DropReason {
        let before = self.drops();
        let out = self.feed(port, packet);
        let lost = diff(&before, &self.drops());
        assert_eq!(lost.len(), 1, "{lost:?}, out: {out:?}");
        lost[0].0
    }

    pub fn drain(&mut self, port: usize) -> Vec<Vec<u8>> {
        let of = |bench: &mut Bench| {
            let mut all: Vec<_> = core::iter::from_fn(|| bench.wires[port].take()).collect();
            if port == KERNEL {
                all.extend(core::iter::from_fn(|| bench.large.pop()));
            }
            all
        };
        self.benches.iter_mut().flat_map(of).collect()
    }

    pub fn drops(&self) -> Vec<(DropReason, u64)> {
        let counters = self.shared.region.total_counters();
        DropReason::ALL.iter().map(|&why| (why, counters.drops[why as usize])).collect()
    }

    pub fn dropped(&self, why: DropReason) -> u64 {
        self.shared.region.total_counters().drops[why as usize]
    }

    pub fn counted(&self, what: Counter) -> u64 {
        self.shared.region.total_counters().counters[what as usize]
    }

    pub fn notices(&self) -> Vec<Notice> {
        core::iter::from_fn(|| self.shared.notices.pop()).collect()
    }

    /// Every frame there is, is in one place.
    pub fn conserved(&self) {
        let held: usize = self.benches.iter().map(|bench| bench.worker.conserve()).sum();
        let large = self.umem.large().unwrap();
        let all = held + self.shared.in_handoff() + self.umem.spare() + large.spare();
        let census = (self.umem.census(), large.census());
        assert_eq!(all, self.umem.frames() + large.frames(), "lost or doubled: {census:?}");
    }
}

fn diff(before: &[(DropReason, u64)], after: &[(DropReason, u64)]) -> Vec<(DropReason, u64)> {
    let grown = before.iter().zip(after).filter(|(before, after)| before.1 != after.1);
    grown.map(|(before, after)| (after.0, after.1 - before.1)).collect()
}

fn bench(index: usize, umem: &'static Umem, shared: &Arc<Shared>) -> Bench {
    let sizes = RingSizes::all(RING);
    let mut pairs = [INSIDE, OUTSIDE, KERNEL].map(|_| Some(Twin::pair(umem, sizes)));
    let roles = [PortRole::Inside, PortRole::Outside, PortRole::Kernel];
    let large = Arc::new(ArrayQueue::new(64));
    let mut ports: Vec<(PortRole, Box<dyn Port>)> = Vec::new();
    let wires = [INSIDE, OUTSIDE, KERNEL].map(|port| {
        let (twin, wire) = pairs[port].take().unwrap();
        let tun = |twin| Tun { twin, large: Arc::clone(&large) };
        ports
            .push((roles[port], if port == KERNEL { Box::new(tun(twin)) } else { Box::new(twin) }));
        wire
    });
    let config =
        Config { reassembly_slots: 4, reassembly_timeout: Duration::from_secs(1), wake: None };
    let worker =
        Worker::new(index, ports, Pool::keeping(umem, 64), Arc::clone(shared), config).unwrap();
    Bench { worker, wires, large }
}

/// What the kernel and control would say.
pub struct World {
    pub policies: Vec<Policy>,
    pub routes: Vec<Route>,
    pub neighbours: Vec<Neighbour>,
    pub interfaces: Vec<InterfaceInfo>,
    pub locals: Vec<IpAddr>,
    pub broadcasts: Vec<IpAddr>,
}

impl World {
    /// Inside net on port 0, everything else by a neighbour on port 1, all traffic between the nets protected.
    pub fn usual(end: End) -> Self {
        let interface = |port: usize, role, addresses: [IpAddr; 2]| InterfaceInfo {
            port,
            ifindex: port as u32 + 10,
            mac: PORT_MACS[port],
            mtu: 1500,
            role,
            name: Name::new("eth").unwrap(),
            up: true,
            complete_checksums: true,
            addresses: addresses.to_vec(),
            vlans: Vec::new(),
            driver: None,
        };
        let inside = [end.inside(false), end.inside(true)];
        let outside = [end.outer(false), end.outer(true)];
        let route = |to: IpAddr, prefix_len, gateway, port: usize| Route {
            destination: to,
            prefix_len,
            metric: 0,
            kind: RouteKind::Via { gateway, ifindex: port as u32 + 10 },
            mtu: None,
        };
        let other = end.other();
        let hosts = [false, true].map(|v6| (INSIDE, end.host(v6), HOST_MAC));
        let peers = [false, true].map(|v6| (OUTSIDE, other.outer(v6), PEER_MAC));
        let neighbour = |(port, address, mac): (usize, IpAddr, [u8; 6])| Neighbour {
            ifindex: port as u32 + 10,
            address,
            mac,
        };
        Self {
            policies: [false, true].map(|v6| protect(end.net(v6), other.net(v6), TUNNEL)).to_vec(),
            routes: vec![
                route(end.host(false), 16, None, INSIDE),
                route(end.host(true), 64, None, INSIDE),
                route(ip("0.0.0.0"), 0, Some(other.outer(false)), OUTSIDE),
                route(ip("::"), 0, Some(other.outer(true)), OUTSIDE),
            ],
            neighbours: hosts.into_iter().chain(peers).map(neighbour).collect(),
            interfaces: vec![
                interface(INSIDE, Role::Inside, inside),
                interface(OUTSIDE, Role::Outside, outside),
            ],
            locals: inside.into_iter().chain(outside).collect(),
            broadcasts: vec![ip(&format!("10.{}.255.255", end.number()))],
        }
    }

    pub fn mtu(&mut self, port: usize, mtu: u16) {
        self.interfaces[port].mtu = mtu;
    }

    fn tables(&self, generation: u64) -> Tables {
        Tables {
            spd: Spd::new(&self.policies),
            fib: Fib::new(&self.routes, &self.neighbours, &self.interfaces),
            locals: LocalAddresses::new(
                self.locals.iter().copied(),
                self.broadcasts.iter().copied(),
            ),
            interfaces: self.interfaces.clone(),
            generation,
        }
    }
}

pub fn selector(local: AddressRange, remote: AddressRange) -> Selector {
    let (local_port, remote_port) = (PortRange::ANY, PortRange::ANY);
    Selector { local, remote, protocol: (0, 255), local_port, remote_port }
}

pub fn protect(local: AddressRange, remote: AddressRange, tunnel: u32) -> Policy {
    policy(selector(local, remote), Verdict::Protect { tunnel })
}

pub fn policy(selector: Selector, verdict: Verdict) -> Policy {
    Policy { name: Name::new("test").unwrap(), selector, verdict }
}

/// What the two ends agree on.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    pub suite: crypto::Suite,
    pub outer_v6: bool,
    pub udp: bool,
    pub esn: bool,
}

impl Agreement {
    pub const GCM: crypto::Suite = crypto::Suite::AesGcm(crypto::KeyBits::B128, crypto::Icv::I16);
    /// CBC with the oldest of the HMACs.
    pub const CBC: crypto::Suite =
        crypto::Suite::AesCbc(crypto::KeyBits::B128, crypto::Integrity::HmacSha1_96);
    /// Integrity alone, with the longest ICV.
    pub const NULL: crypto::Suite = crypto::Suite::Null(crypto::Integrity::HmacSha2_512_256);

    pub fn usual() -> Self {
        Self { suite: Self::GCM, outer_v6: false, udp: false, esn: true }
    }

    pub fn encap(&self) -> Encap {
        if self.udp { Encap::Udp { local: 4500, remote: 4500 } } else { Encap::Raw }
    }

    pub fn keys(&self, from: End) -> SaKeys {
        let fill = |len: usize| (0..len).map(|n| n as u8 ^ from.number() << 4).collect();
        SaKeys {
            encryption: fill(self.suite.key_len()),
            integrity: fill(self.suite.integrity_key_len()),
        }
    }

    /// SPIs carry the slot at the receiver, as ours do.
    pub fn spi(from: End) -> u32 {
        sadb::sa::spi_for(if from == End::A { 7 } else { 8 }, 0xabc).unwrap()
    }

    /// The SA from `from` to the other end, as `at` installs it.
    pub fn sa(&self, from: End, at: End) -> Sa {
        let direction = if from == at { Direction::Outbound } else { Direction::Inbound };
        let (slot, epoch) = if from == End::A { (7, 0x0a) } else { (8, 0x0b) };
        Sa {
            name: Name::new("site/net").unwrap(),
            slot,
            spi: Self::spi(from),
            tunnel: TUNNEL,
            direction,
            encap: self.encap(),
            suite: numbers(self.suite),
            local: at.outer(self.outer_v6),
            remote: at.other().outer(self.outer_v6),
            esn: self.esn,
            replay_window: if direction == Direction::Inbound { 64 } else { 0 },
            dont_fragment: Default::default(),
            dscp: Default::default(),
            ecn: true,
            iv_epoch: epoch,
            lifetime: Default::default(),
            initial_sequence: 0,
            digest: [0; 16],
        }
    }

    /// Both SAs at one end, each changed by `change`.
    pub fn install(&self, gateway: &mut Gateway, change: impl Fn(&mut Sa)) {
        for from in [gateway.end.other(), gateway.end] {
            let mut sa = self.sa(from, gateway.end);
            change(&mut sa);
            gateway.install(&sa, &self.keys(from));
        }
    }

    /// A gateway at `end` with both SAs.
    pub fn gateway(&self, end: End) -> Gateway {
        let mut gateway = Gateway::new(end);
        self.install(&mut gateway, |_| {});
        gateway
    }
}

/// As IANA numbers it.
pub fn numbers(suite: crypto::Suite) -> sadb::Suite {
    let (encryption, key_bits, integrity) = suite.registered();
    sadb::Suite { encryption: encryption.0, key_bits, integrity: integrity.0 }
}

/// The far end of a tunnel without a gateway: seals what no honest gateway would.
pub struct Peer {
    pub agreement: Agreement,
    pub from: End,
    key: crypto::SealKey,
}

impl Peer {
    pub fn new(agreement: Agreement, from: End) -> Self {
        let keys = agreement.keys(from);
        let key = crypto::SealKey::new(
            agreement.suite,
            &keys.encryption,
            &keys.integrity,
            agreement.esn,
            0x0c,
        );
        Self { agreement, from, key: key.unwrap() }
    }

    /// A whole frame that carries `inner` with a right trailer.
    pub fn frame(&self, sequence: u64, inner: &[u8]) -> Vec<u8> {
        let next = if inner[0] >> 4 == 4 { IpProtocol::IPV4 } else { IpProtocol::IPV6 };
        let mut body = inner.to_vec();
        let len = body.len();
        body.resize(len + esp::pad_len(len, self.agreement.suite.block()) + esp::TRAILER, 0);
        esp::emit_trailer(&mut body[len..], next).unwrap();
        ethernet(&self.outer(&self.esp(sequence, &body), 0))
    }

    /// An ESP packet around `body`, trailer included.
    pub fn esp(&self, sequence: u64, body: &[u8]) -> Vec<u8> {
        let suite = self.agreement.suite;
        let spi = Agreement::spi(self.from);
        let mut packet = esp::Header { spi, sequence: sequence as u32 }.emit().to_vec();
        packet.resize(packet.len() + suite.iv_len(), 0);
        packet.extend_from_slice(body);
        packet.resize(packet.len() + suite.icv_len(), 0);
        let refused =
            crypto::seal(&mut [crypto::Seal { key: &self.key, sequence, packet: &mut packet }]);
        assert_eq!(refused, 0, "the body is whole blocks");
        packet
    }

    /// The IP packet (and UDP datagram) around an ESP packet.
    pub fn outer(&self, esp: &[u8], tos: u8) -> Vec<u8> {
        let v6 = self.agreement.outer_v6;
        let (source, destination) = (self.from.outer(v6), self.from.other().outer(v6));
        if self.agreement.udp {
            let datagram = udp_datagram(source, destination, 4500, 4500, esp);
            ip_packet(source, destination, IpProtocol::UDP, tos, 64, &datagram)
        } else {
            ip_packet(source, destination, IpProtocol::ESP, tos, 64, esp)
        }
    }
}

/// A link header as the far side writes it; nobody looks at the addresses.
pub fn ethernet(packet: &[u8]) -> Vec<u8> {
    let ethertype =
        if packet.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
    [&PORT_MACS[0][..], &HOST_MAC, &ethertype, packet].concat()
}

pub fn ip_packet(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    tos: u8,
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => four(src, dst, protocol, tos, ttl, payload),
        (IpAddr::V6(src), IpAddr::V6(dst)) => six(src, dst, protocol, tos, ttl, payload),
        _ => panic!("two families in one packet"),
    }
}

fn four(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: IpProtocol,
    tos: u8,
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = [0; 20];
    ipv4::Repr {
        src,
        dst,
        protocol,
        ttl,
        tos,
        id: 0x1234,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: payload.len() as u16,
    }
    .emit(&mut header);
    [&header, payload].concat()
}

fn six(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    protocol: IpProtocol,
    tos: u8,
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = [0; 40];
    ipv6::Repr {
        src,
        dst,
        next_header: protocol,
        hop_limit: ttl,
        traffic_class: tos,
        flow_label: 0xbeef,
        payload_len: payload.len() as u16,
    }
    .emit(&mut header);
    [&header, payload].concat()
}

pub fn udp_datagram(
    source: IpAddr,
    destination: IpAddr,
    from: u16,
    to: u16,
    payload: &[u8],
) -> Vec<u8> {
    let header = udp::Header {
        source: from,
        destination: to,
        payload_len: payload.len() as u16,
        checksum: 0,
    };
    let mut datagram = [&header.emit(), payload].concat();
    let sum = udp::checksum(source, destination, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// A UDP packet of `len` octets of payload from a host behind `from` to one behind the other end.
pub fn udp_packet(from: End, v6: bool, len: usize) -> Vec<u8> {
    udp_between(from.host(v6), from.other().host(v6), 1000, 2000, len)
}

pub fn udp_between(source: IpAddr, destination: IpAddr, from: u16, to: u16, len: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let datagram = udp_datagram(source, destination, from, to, &payload);
    ip_packet(source, destination, IpProtocol::UDP, 0, 64, &datagram)
}

/// Sets DF in an IPv4 packet.
pub fn dont_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    ipv4::set_dont_fragment(&mut packet, true).unwrap();
    packet
}

/// As a router forwards it: one hop less.
pub fn forwarded(mut packet: Vec<u8>, hops: u8) -> Vec<u8> {
    for _ in 0..hops {
        if packet[0] >> 4 == 4 {
            ipv4::decrement_ttl(&mut packet).unwrap();
        } else {
            ipv6::decrement_hop_limit(&mut packet).unwrap();
        }
    }
    packet
}

/// An IPv4 packet cut at `cuts` (octets of payload, multiples of eight).
pub fn cut_v4(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let bounds: Vec<usize> =
        core::iter::once(0).chain(cuts.iter().copied()).chain([payload.len()]).collect();
    let piece = |pair: &[usize]| {
        fragment_v4(header, pair[0], &payload[pair[0]..pair[1]], pair[1] < payload.len())
    };
    bounds.windows(2).map(piece).collect()
}

pub fn fragment_v4(header: &[u8], offset: usize, payload: &[u8], more: bool) -> Vec<u8> {
    let mut packet = [header, payload].concat();
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[6..8].copy_from_slice(&((offset / 8) as u16 | u16::from(more) << 13).to_be_bytes());
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// An IPv6 packet without extension headers cut at `cuts`.
pub fn cut_v6(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(40);
    let bounds: Vec<usize> =
        core::iter::once(0).chain(cuts.iter().copied()).chain([payload.len()]).collect();
    let piece = |pair: &[usize]| {
        let more = u16::from(pair[1] < payload.len());
        let place = (pair[0] as u16 | more).to_be_bytes();
        let fragment = [header[6], 0, place[0], place[1], 0xca, 0xfe, 0, 1];
        let mut out = [header, &fragment, &payload[pair[0]..pair[1]]].concat();
        out[6] = 44;
        let len = (out.len() - 40) as u16;
        out[4..6].copy_from_slice(&len.to_be_bytes());
        out
    };
    bounds.windows(2).map(piece).collect()
}

/// The IP packet in a frame.
pub fn below(frame: &[u8]) -> &[u8] {
    &frame[14..]
}
