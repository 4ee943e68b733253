//! A gateway of one worker between two ports in memory, with as many tunnels as wanted.
//!
//! Every tunnel has a peer, a host behind it, a policy entry and an SA in each direction. All SAs have the same key
//! material, each its own context built from it: what the walk touches is as many contexts as there are SAs, and the
//! generator needs only one to play all peers.
use crate::rng::Rng;
use crate::stages;
use crate::traffic::{self, ESP_AT, Mix, mac};
use core::net::{IpAddr, Ipv4Addr};
use crypto::{BadKey, Seal, SealKey, Suite};
use dataplane::{
    Config, Fib, InterfaceInfo, LocalAddresses, Neighbour, NoPlace, PortRole, Route, RouteKind,
    Shared, Spd, Tables, Worker,
};
use rivals::tsc;
use sadb::sa::{DontFragment, Dscp, Lifetime, spi_for};
use sadb::setup::{Geometry, Idle};
use sadb::{
    Direction, DropReason, Encap, Interface, Name, Policy, Refusal, RegionError, Requirement, Role,
    Sa, SaKeys, Setup, Verdict, clock,
};
use std::sync::Arc;
use wire::selector::{AddressRange, PortRange, Selector};
use xsk::{Pool, Port, RingSizes, Twin, Umem, UmemError, Wire};

/// Packets that arrive at a port in one turn: what the worker takes from it.
pub const BATCH: usize = 64;
/// Entries of each ring. Frames circulate through them, so this bounds how much packet memory is hot.
pub const RING: u32 = 256;
/// Frames of the UMEM.
const FRAMES: u32 = 2048;
/// Ports: the inside first.
const INSIDE: usize = 0;
const OUTSIDE: usize = 1;
/// The most tunnels a region has slots for, two SAs each.
pub const MOST_SAS: u32 = (1 << 19) - 1;

/// Which way packets go through the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Plaintext in, ESP out.
    Encrypt,
    /// ESP in, plaintext out.
    Decrypt,
    /// A batch each way in every turn.
    Both,
}

impl Way {
    /// As it stands on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Both => "both",
        }
    }
}

/// Why there is no gateway to measure, or why what it did is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The region could not be made.
    #[error("no region for {0} tunnels: {1}")]
    Region(u32, RegionError),
    /// A name is longer than a region's.
    #[error("{0:?} cannot be a name in the region")]
    Name(&'static str),
    /// Somebody else has the data plane's end.
    #[error("the region's data plane end is taken")]
    Taken,
    /// An SA was not accepted.
    #[error("SA {0} was refused: {1:?}")]
    Sa(u32, Refusal),
    /// The generator's key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The worker.
    #[error(transparent)]
    Worker(#[from] NoPlace),
    /// Packet memory.
    #[error(transparent)]
    Umem(#[from] UmemError),
    /// Packets that the generator could not build.
    #[error("the generator made a packet that cannot be: {0:?}")]
    Packet(wire::Malformed),
    /// Packets that the peers' key did not take.
    #[error("{0} packets of the generator could not be sealed")]
    Unsealed(usize),
    /// Packets went missing: what was measured was not the walk.
    #[error("{given} packets went in and {came} came out in one turn; dropped so far: {drops}")]
    Lost {
        /// Packets offered.
        given: usize,
        /// Packets that left.
        came: usize,
        /// Drop reasons and their counts.
        drops: String,
    },
}

/// Frames for one round, made beforehand. Kept from round to round so that nothing is allocated anew.
#[derive(Debug, Default)]
pub struct Load {
    inside: Vec<Vec<u8>>,
    outside: Vec<Vec<u8>>,
    /// Octets of the inner IP packets, by turn.
    octets: Vec<u64>,
    turns: usize,
}

/// What one turn did.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// TSC cycles from just before the worker's turn to just after it.
    pub cycles: u64,
    /// Packets that came out.
    pub packets: usize,
    /// Octets of their inner IP packets.
    pub octets: u64,
}

/// The gateway, its two wires, and the peers.
pub struct World {
    shared: Arc<Shared>,
    worker: Worker,
    lan: Wire,
    wan: Wire,
    suite: Suite,
    peers: SealKey,
    /// By tunnel: the last number its peer used.
    numbers: Vec<u32>,
    next: u32,
    rng: Rng,
}

impl World {
    /// A gateway with `sas` tunnels. `tell` hears how many are installed, now and then.
    ///
    /// # Errors
    /// [`Fault`]: the machine or the parameters do not allow it.
    pub fn new(suite: Suite, sas: u32, mut tell: impl FnMut(u32)) -> Result<Self, Fault> {
        let setup = setup(sas)?;
        let region = sadb::Region::create(&setup).map_err(|why| Fault::Region(sas, why))?;
        let shared = Arc::new(Shared::new(region.clone(), &setup));
        let keys = keys(suite);
        let mut records = region.data_plane().ok_or(Fault::Taken)?;
        for tunnel in 0..sas {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let sa = record(suite, tunnel, direction)?;
                let refused = |why| Fault::Sa(sa.slot, why);
                records.install(&sa, &keys).map_err(refused)?;
                shared.sad.add(&sa, &keys, &region).map_err(refused)?;
            }
            if tunnel % 1000 == 999 {
                tell(tunnel + 1);
            }
        }
        shared.tables.store(Arc::new(tables(sas)?));
        let umem = Umem::new(FRAMES, 2048)?;
        let (inside, lan) = Twin::pair(umem, RingSizes::all(RING));
        let (outside, wan) = Twin::pair(umem, RingSizes::all(RING));
        let ports: Vec<(PortRole, Box<dyn Port>)> =
            vec![(PortRole::Inside, Box::new(inside)), (PortRole::Outside, Box::new(outside))];
        let mut worker =
            Worker::new(0, ports, Pool::new(umem), Arc::clone(&shared), Config::default())?;
        worker.turn(clock::now()); // fills the fill rings
        let peers = SealKey::new(suite, &keys.encryption, &keys.integrity, false, 1)?;
        let numbers = vec![0; sas as usize];
        Ok(Self { shared, worker, lan, wan, suite, peers, numbers, next: 0, rng: Rng::new(1) })
    }

    /// The name of the crypto backend that runs the suite.
    pub fn backend(&self) -> &'static str {
        self.peers.backend()
    }

    /// How many tunnels there are.
    pub fn sas(&self) -> usize {
        self.numbers.len()
    }

    /// Makes the frames of `turns` turns: tunnels round robin, each packet of a peer under a fresh number.
    ///
    /// # Errors
    /// [`Fault::Packet`].
    pub fn prepare(
        &mut self,
        load: &mut Load,
        way: Way,
        mix: Mix,
        turns: usize,
    ) -> Result<(), Fault> {
        let count = turns * BATCH;
        load.turns = turns;
        load.octets.clear();
        load.octets.resize(turns, 0);
        if way == Way::Decrypt {
            load.inside.clear();
        } else {
            let lengths = mix.lengths(count, &mut self.rng);
            self.plain(&mut load.inside, &lengths);
            add(&mut load.octets, &lengths);
        }
        if way == Way::Encrypt {
            load.outside.clear();
        } else {
            let lengths = mix.lengths(count, &mut self.rng);
            self.sealed(&mut load.outside, &lengths)?;
            add(&mut load.octets, &lengths);
        }
        Ok(())
    }

    fn tunnel(&mut self) -> u32 {
        let tunnel = self.next;
        self.next = (tunnel + 1) % self.numbers.len().max(1) as u32;
        tunnel
    }

    fn plain(&mut self, out: &mut Vec<Vec<u8>>, lengths: &[u16]) {
        out.resize_with(lengths.len(), Vec::new);
        for (frame, &len) in out.iter_mut().zip(lengths) {
            let tunnel = self.tunnel();
            traffic::plain(frame, tunnel, len);
        }
    }

    fn sealed(&mut self, out: &mut Vec<Vec<u8>>, lengths: &[u16]) -> Result<(), Fault> {
        out.resize_with(lengths.len(), Vec::new);
        let mut sequences = Vec::with_capacity(lengths.len());
        for (frame, &len) in out.iter_mut().zip(lengths) {
            let tunnel = self.tunnel();
            let header =
                wire::esp::Header { spi: inbound_spi(tunnel)?, sequence: self.number(tunnel) };
            sequences.push(header.sequence);
            traffic::to_seal(frame, tunnel, len, self.suite, header).map_err(Fault::Packet)?;
        }
        let jobs = out.iter_mut().zip(&sequences);
        let mut jobs: Vec<Seal<'_>> = jobs
            .filter_map(|(frame, &sequence)| {
                let packet = frame.get_mut(ESP_AT..)?;
                Some(Seal { key: &self.peers, sequence: sequence.into(), packet })
            })
            .collect();
        match crypto::seal(&mut jobs) {
            0 => Ok(()),
            refused => Err(Fault::Unsealed(refused)),
        }
    }

    fn number(&mut self, tunnel: u32) -> u32 {
        let number = self.numbers.get_mut(tunnel as usize);
        number.map_or(0, |number| {
            *number += 1;
            *number
        })
    }

    /// Runs turn `turn` of `load`. Only the worker's turn, its look at the clock included, is measured: frames are
    /// injected before and taken off the wires after it.
    ///
    /// # Errors
    /// [`Fault::Lost`] when not every packet came out on the other side.
    pub fn turn(&mut self, load: &Load, turn: usize) -> Result<Span, Fault> {
        self.turn_with(load, turn, |worker| _ = worker.turn(clock::now()))
    }

    /// The same, through a function that makes the worker take its turn.
    ///
    /// # Errors
    /// As [`World::turn`].
    pub fn turn_with(
        &mut self,
        load: &Load,
        turn: usize,
        take: impl FnOnce(&mut Worker),
    ) -> Result<Span, Fault> {
        let batch = turn * BATCH..(turn + 1) * BATCH;
        let inside = load.inside.get(batch.clone()).unwrap_or_default();
        let outside = load.outside.get(batch).unwrap_or_default();
        inside.iter().for_each(|frame| _ = self.lan.inject(frame));
        outside.iter().for_each(|frame| _ = self.wan.inject(frame));
        stages::start();
        let start = tsc::now();
        take(&mut self.worker);
        let cycles = tsc::now() - start;
        let sealed = drain(&mut self.wan);
        let opened = drain(&mut self.lan);
        if (sealed, opened) != (inside.len(), outside.len()) {
            let (given, came) = (inside.len() + outside.len(), sealed + opened);
            return Err(Fault::Lost { given, came, drops: self.drops() });
        }
        let octets = load.octets.get(turn).copied().unwrap_or_default();
        Ok(Span { cycles, packets: sealed + opened, octets })
    }

    /// Turns that `load` has frames for.
    pub fn turns(load: &Load) -> usize {
        load.turns
    }

    fn drops(&self) -> String {
        let drops = self.shared.region.total_counters().drops;
        let named = drops.iter().enumerate().filter(|(_, count)| **count > 0);
        let named = named.filter_map(|(index, count)| {
            Some(format!("{} {count}", DropReason::from_index(index)?.name()))
        });
        let all: Vec<String> = named.collect();
        if all.is_empty() { "none".into() } else { all.join(", ") }
    }
}

fn add(octets: &mut [u64], lengths: &[u16]) {
    for (sum, turn) in octets.iter_mut().zip(lengths.chunks(BATCH)) {
        *sum += turn.iter().map(|&len| u64::from(len)).sum::<u64>();
    }
}

/// Takes everything off a wire without copying it.
fn drain(wire: &mut Wire) -> usize {
    core::iter::from_fn(|| wire.sent(|_| ())).count()
}

fn name(text: &'static str) -> Result<Name, Fault> {
    Name::new(text).ok_or(Fault::Name(text))
}

/// A region with room for `sas` tunnels.
///
/// # Errors
/// [`Fault::Name`], which cannot happen.
pub fn setup(sas: u32) -> Result<Setup, Fault> {
    let interface = |text, role| -> Result<_, Fault> {
        let name = name(text)?;
        Ok(Interface { name, role, require: Requirement::Any, complete_checksums: true })
    };
    let sa_slots = sas.saturating_mul(2);
    Ok(Setup {
        geometry: Geometry { sa_slots, policies: sas, ..Geometry::default() },
        interfaces: vec![interface("lan", Role::Inside)?, interface("wan", Role::Outside)?],
        cores: vec![0],
        idle: Idle::Spin,
        frames: FRAMES,
        frame_size: 2048,
        tun: name("postern0")?,
        reassembly_slots: 64,
        reassembly_ms: 2000,
    })
}

/// Material for `suite`; in use nowhere else.
pub fn keys(suite: Suite) -> SaKeys {
    let octets = |len: usize, from: u8| (0..len).map(|n| from.wrapping_add(n as u8)).collect();
    SaKeys {
        encryption: octets(suite.key_len(), 1),
        integrity: octets(suite.integrity_key_len(), 101),
    }
}

fn inbound_spi(tunnel: u32) -> Result<u32, Fault> {
    spi_for(tunnel * 2, tunnel).ok_or(Fault::Sa(tunnel * 2, Refusal::BadSlot))
}

/// The SA of a tunnel: inbound in the even slots, outbound in the odd ones.
///
/// # Errors
/// [`Fault::Sa`]: the tunnel has no SPI.
pub fn record(suite: Suite, tunnel: u32, direction: Direction) -> Result<Sa, Fault> {
    let (slot, spi) = match direction {
        Direction::Inbound => (tunnel * 2, inbound_spi(tunnel)?),
        Direction::Outbound => (tunnel * 2 + 1, 0x1000 + tunnel),
    };
    Ok(Sa {
        name: name("perf")?,
        slot,
        spi,
        tunnel,
        direction,
        encap: Encap::Raw,
        suite: registered(suite),
        local: traffic::GATEWAY.into(),
        remote: traffic::peer(tunnel).into(),
        esn: false,
        replay_window: 1024,
        dont_fragment: DontFragment::Copy,
        dscp: Dscp::Out,
        ecn: true,
        iv_epoch: 1,
        lifetime: Lifetime::default(),
        initial_sequence: 0,
        digest: [0; 16],
    })
}

/// The suite in IANA's numbers.
fn registered(suite: Suite) -> sadb::Suite {
    let (encryption, key_bits, integrity) = suite.registered();
    sadb::Suite { encryption: encryption.0, key_bits, integrity: integrity.0 }
}

/// One entry for each tunnel: the near network to the one host behind the peer.
///
/// # Errors
/// [`Fault::Name`], which cannot happen.
pub fn policies(sas: u32) -> Result<Vec<Policy>, Fault> {
    let near = (Ipv4Addr::new(10, 1, 0, 0), Ipv4Addr::new(10, 1, 255, 255));
    let range = |(first, last): (Ipv4Addr, Ipv4Addr)| AddressRange::new(first.into(), last.into());
    let name = name("perf")?;
    let entry = |tunnel| {
        let far = traffic::far_host(tunnel);
        let (local, remote) = (range(near)?, range((far, far))?);
        let selector = Selector {
            local,
            remote,
            protocol: (0, u8::MAX),
            local_port: PortRange::ANY,
            remote_port: PortRange::ANY,
        };
        Some(Policy { name, selector, verdict: Verdict::Protect { tunnel } })
    };
    Ok((0..sas).filter_map(entry).collect())
}

/// Policy, routes and neighbours for `sas` tunnels.
///
/// # Errors
/// [`Fault::Name`], which cannot happen.
pub fn tables(sas: u32) -> Result<Tables, Fault> {
    let interfaces = vec![
        link(INSIDE, 7, 1, Role::Inside, Ipv4Addr::new(10, 1, 0, 1))?,
        link(OUTSIDE, 9, 2, Role::Outside, traffic::GATEWAY)?,
    ];
    let routes = [
        route(Ipv4Addr::new(10, 1, 0, 0), 16, None, 7),
        route(Ipv4Addr::UNSPECIFIED, 0, Some(traffic::ROUTER), 9),
    ];
    let neighbours = [
        Neighbour { ifindex: 7, address: traffic::NEAR_HOST.into(), mac: mac(3) },
        Neighbour { ifindex: 9, address: traffic::ROUTER.into(), mac: mac(4) },
    ];
    let own = interfaces.iter().flat_map(|info| info.addresses.clone());
    let locals = LocalAddresses::new(own, []);
    let fib = Fib::new(&routes, &neighbours, &interfaces);
    Ok(Tables { spd: Spd::new(&policies(sas)?), fib, locals, interfaces, generation: 1 })
}

fn link(
    port: usize,
    ifindex: u32,
    own: u8,
    role: Role,
    address: Ipv4Addr,
) -> Result<InterfaceInfo, Fault> {
    Ok(InterfaceInfo {
        port,
        ifindex,
        mac: mac(own),
        mtu: 1500,
        role,
        name: name(if role == Role::Inside { "lan" } else { "wan" })?,
        up: true,
        complete_checksums: true,
        addresses: vec![address.into()],
        vlans: Vec::new(),
        driver: None,
    })
}

fn route(to: Ipv4Addr, prefix_len: u8, gateway: Option<Ipv4Addr>, ifindex: u32) -> Route {
    let kind = RouteKind::Via { gateway: gateway.map(IpAddr::V4), ifindex };
    Route { destination: to.into(), prefix_len, metric: 0, kind, mtu: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM: Suite = Suite::AesGcm(crypto::KeyBits::B128, crypto::Icv::I16);

    #[test]
    fn every_packet_goes_through_in_every_suite_and_both_ways() {
        for suite in Suite::all() {
            let mut world = World::new(suite, 3, |_| ()).unwrap();
            let mut load = Load::default();
            for mix in [Mix::Fixed(traffic::SMALLEST), Mix::Fixed(traffic::LARGEST), Mix::Imix] {
                for (way, packets) in [(Way::Encrypt, 64), (Way::Decrypt, 64), (Way::Both, 128)] {
                    world.prepare(&mut load, way, mix, 2).unwrap();
                    for turn in 0..2 {
                        let span = world.turn(&load, turn).unwrap();
                        assert_eq!(span.packets, packets, "{suite} {way:?} {mix}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_opened_is_what_the_peer_sealed() {
        let mut world = World::new(GCM, 2, |_| ()).unwrap();
        let mut load = Load::default();
        world.prepare(&mut load, Way::Decrypt, Mix::Fixed(100), 1).unwrap();
        world.wan.inject(&load.outside[1]);
        world.worker.turn(clock::now());
        let came = world.lan.take().unwrap();
        let mut sent = Vec::new();
        traffic::plain(&mut sent, 1, 100);
        assert_eq!(came.len(), sent.len());
        assert_eq!(
            came[..14],
            [mac(3), mac(1)].concat()[..12].iter().copied().chain([8, 0]).collect::<Vec<u8>>()
        );
        assert_eq!(came[14 + 28..], sent[14 + 28..], "the payload");
    }

    #[test]
    fn a_packet_that_goes_missing_is_a_fault_with_its_reason() {
        let mut world = World::new(GCM, 2, |_| ()).unwrap();
        let mut load = Load::default();
        world.prepare(&mut load, Way::Decrypt, Mix::Fixed(64), 1).unwrap();
        world.turn(&load, 0).unwrap();
        let again = world.turn(&load, 0).unwrap_err().to_string();
        assert!(again.contains("replay_duplicate 64"), "{again}");
    }
}
