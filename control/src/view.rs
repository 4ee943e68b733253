//! What people and programs see of the region: one set of types for the CLI's JSON, its tables and the API.
use crate::config::suites::SuiteName;
use crate::driver::LinkState;
use crate::plan::direction_name;
use sadb::{
    Counter, CounterSnapshot, DropReason, Encap, Region, Role, SaState, SaStatus, Side, Verdict,
    XdpMode,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::selector::{AddressRange, PortRange, Selector};

/// Of the JSON that is made here. Fields may be added under one number; a change of meaning raises it.
pub const VERSION: u32 = 1;
/// A process that said nothing for so long is called not responding.
const SILENT: Duration = Duration::from_secs(2);

/// Whether a process lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Heard of within the last two seconds.
    pub alive: bool,
    /// Seconds since it was last heard of; `null` = never.
    pub last_seen: Option<f64>,
    /// Its process id.
    pub pid: Option<u32>,
}

/// The overview.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// postern-control.
    pub control: Process,
    /// postern-dataplane.
    pub dataplane: Process,
    /// What control says of its link; `null` when read from shared memory.
    pub link: Option<Link>,
    /// One for each child.
    pub tunnels: Vec<Tunnel>,
    /// What control says of IKE; `null` when it does not answer, or nothing is negotiated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ike: Option<crate::keying::view::IkeView>,
    /// How many of them use algorithms that nobody should use any more.
    #[serde(default)]
    pub legacy: usize,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
    /// What packets are encrypted with; `null` when no data plane has said.
    #[serde(default)]
    pub crypto: Option<Crypto>,
    /// Workers that may run: one per configured core. Fewer do when an interface has fewer queues.
    pub workers: usize,
    /// SA records in use.
    pub sas: usize,
    /// SA records there are.
    pub sa_slots: u32,
    /// Policy entries.
    pub policies: usize,
    /// Packets sealed and opened.
    pub sealed: u64,
    /// Packets opened.
    pub opened: u64,
    /// Packets dropped for any reason.
    pub dropped: u64,
}

/// The data plane's crypto backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct Crypto {
    /// Its name.
    pub backend: String,
    /// Its kernels that failed their self-test at start; slower ones run in their stead.
    pub fallbacks: Vec<String>,
}

/// [`LinkState`] as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Link {
    /// Whether a data plane is attached.
    pub attached: bool,
    /// What went wrong last.
    pub problem: Option<String>,
    /// What waits for a restart of the data plane.
    pub restart: Vec<String>,
    /// What keeps IKE from being spoken.
    #[serde(default)]
    pub ike: Option<String>,
}

/// A tunnel on one line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tunnel {
    /// `connection/child`.
    pub name: String,
    /// `up`, `expired`, `no inbound SA` or `no outbound SA`.
    pub state: String,
    /// Ours.
    pub local: String,
    /// The peer's.
    pub remote: String,
    /// The transforms.
    pub suite: String,
    /// One of them is an algorithm that nobody should use any more.
    #[serde(default)]
    pub legacy: bool,
    /// Packets and octets from the peer.
    pub packets_in: u64,
    /// Octets from the peer.
    pub bytes_in: u64,
    /// Seconds since the last packet from the peer; `null` = none yet.
    pub last_in: Option<u64>,
    /// Packets to the peer.
    pub packets_out: u64,
    /// Octets to the peer.
    pub bytes_out: u64,
    /// Seconds since the last packet to the peer; `null` = none yet.
    pub last_out: Option<u64>,
}

/// An SA in full, without keys.
#[derive(Debug, Serialize, Deserialize)]
pub struct SaView {
    /// `connection/child`.
    pub name: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Its Security Parameters Index.
    pub spi: u32,
    /// Its record.
    pub slot: u32,
    /// The tunnel's number.
    pub tunnel: u32,
    /// `live` or `expired`.
    pub state: String,
    /// Ours.
    pub local: String,
    /// The peer's.
    pub remote: String,
    /// `esp` or `udp 4500→4500`.
    pub encap: String,
    /// The transforms.
    pub suite: String,
    /// One of them is an algorithm that nobody should use any more.
    #[serde(default)]
    pub legacy: bool,
    /// 64-bit sequence numbers.
    pub esn: bool,
    /// In packets; 0 = off or outbound.
    pub replay_window: u32,
    /// Last sent (reserved) or highest received.
    pub sequence: u64,
    /// Packets carried.
    pub packets: u64,
    /// Octets carried.
    pub bytes: u64,
    /// Seconds since it was installed.
    pub age: u64,
    /// Seconds since its last packet; `null` = none yet.
    pub last_used: Option<u64>,
    /// Packets left of the window.
    pub replay_late: u64,
    /// Packets seen before.
    pub replay_duplicate: u64,
    /// Packets with a wrong ICV.
    pub bad_icv: u64,
}

/// A policy entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its place; the first that matches decides.
    pub order: usize,
    /// As in the file.
    pub name: String,
    /// `protect`, `bypass` or `discard`.
    pub action: String,
    /// Only for `protect`.
    pub tunnel: Option<u32>,
    /// Addresses on our side.
    pub local: String,
    /// Addresses on the far side.
    pub remote: String,
    /// Upper-layer protocol.
    pub protocol: String,
    /// Ports on our side.
    pub local_port: String,
    /// Ports on the far side.
    pub remote_port: String,
}

/// All counters, since the region was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counters {
    /// [`VERSION`].
    pub version: u32,
    /// Packets that ended here, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Everything else.
    pub counters: BTreeMap<String, u64>,
    /// What each name means.
    pub help: BTreeMap<String, String>,
    /// The same for each worker.
    pub workers: Vec<WorkerCounters>,
}

/// One worker's counters; zeros are left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerCounters {
    /// Number of the worker.
    pub worker: usize,
    /// By name.
    pub drops: BTreeMap<String, u64>,
    /// By name.
    pub counters: BTreeMap<String, u64>,
}

/// An interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct Interface {
    /// The kernel's name.
    pub name: String,
    /// `inside` or `outside`.
    pub role: String,
    /// The link is up, as the data plane says while it lives.
    pub up: bool,
    /// The data plane is silent: whether the link is up is not known, and nothing is bound.
    #[serde(default)]
    pub stale: bool,
    /// `down`, `generic`, `copy` or `zerocopy`.
    pub mode: String,
    /// Queues bound.
    pub queues: u32,
    /// Octets.
    pub mtu: u32,
    /// Kernel driver.
    pub driver: Option<String>,
    /// Frames the kernel dropped.
    pub rx_dropped: u64,
    /// Frames dropped because we were slow.
    pub rx_ring_full: u64,
    /// Times the kernel found no frame to fill.
    pub fill_ring_empty: u64,
    /// Descriptors of ours that the kernel refused.
    pub tx_invalid: u64,
    /// How often it was bound anew.
    pub rebinds: u64,
}

/// Every SA.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sas {
    /// [`VERSION`].
    pub version: u32,
    /// By slot.
    pub sas: Vec<SaView>,
}

/// The SPD.
#[derive(Debug, Serialize, Deserialize)]
pub struct Policies {
    /// [`VERSION`].
    pub version: u32,
    /// In order.
    pub policies: Vec<PolicyView>,
}

/// Every interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct Interfaces {
    /// [`VERSION`].
    pub version: u32,
    /// In the configuration's order.
    pub interfaces: Vec<Interface>,
}

fn process(region: &Region, side: Side) -> Process {
    let age = region.heartbeat_age(side);
    Process {
        alive: age.is_some_and(|age| age < SILENT),
        last_seen: age.map(|age| (age.as_secs_f64() * 10.0).round() / 10.0),
        pid: region.pid(side),
    }
}

/// The overview. `link` is known to control only.
pub fn status(region: &Region, link: Option<LinkState>) -> Status {
    let mut dataplane = process(region, Side::DataPlane);
    // Control sees at once when the other end of the link is gone.
    dataplane.alive &= link.as_ref().is_none_or(|link| link.attached);
    let sas: Vec<_> = region.sas().collect();
    let total = region.total_counters();
    let counter =
        |counter: Counter| total.counters.get(counter as usize).copied().unwrap_or_default();
    let tunnels = tunnels(&sas);
    Status {
        version: VERSION,
        control: process(region, Side::Control),
        link: link.map(|LinkState { attached, problem, restart, ike }| Link {
            attached,
            problem,
            restart,
            ike,
        }),
        legacy: tunnels.iter().filter(|tunnel| tunnel.legacy).count(),
        tunnels,
        ike: None,
        interfaces: of_interfaces(region, dataplane.alive),
        dataplane,
        crypto: crypto(region),
        workers: region.workers(),
        sas: sas.len(),
        sa_slots: region.setup().map_or(0, |setup| setup.geometry.sa_slots),
        policies: region.policies().map_or(0, |(_, policies)| policies.len()),
        sealed: counter(Counter::Sealed),
        opened: counter(Counter::Opened),
        dropped: total.drops.iter().sum(),
    }
}

fn crypto(region: &Region) -> Option<Crypto> {
    let status = region.crypto().ok()??;
    let fallbacks = status.fallbacks.iter().map(ToString::to_string).collect();
    Some(Crypto { backend: status.backend.to_string(), fallbacks })
}

fn ago(seconds: u64) -> Option<u64> {
    (seconds != 0).then(|| sadb::clock::seconds().saturating_sub(seconds))
}

fn tunnels(sas: &[SaStatus]) -> Vec<Tunnel> {
    let mut names: Vec<_> = sas.iter().map(|status| status.sa.name).collect();
    names.sort_by_key(sadb::Name::to_string);
    names.dedup();
    names.into_iter().filter_map(|name| tunnel(name, sas)).collect()
}

fn tunnel(name: sadb::Name, sas: &[SaStatus]) -> Option<Tunnel> {
    let of =
        |direction| sas.iter().filter(move |s| s.sa.name == name && s.sa.direction == direction);
    let (inbound, outbound) = (of(sadb::Direction::Inbound), of(sadb::Direction::Outbound));
    let first = sas.iter().find(|status| status.sa.name == name)?.sa;
    let state = match (inbound.clone().next(), outbound.clone().next()) {
        (None, _) => "no inbound SA",
        (_, None) => "no outbound SA",
        _ if inbound.clone().all(expired) || outbound.clone().all(expired) => "expired",
        _ => "up",
    };
    Some(Tunnel {
        name: name.to_string(),
        state: state.to_owned(),
        local: first.local.to_string(),
        remote: first.remote.to_string(),
        suite: SuiteName::name_of(first.suite),
        legacy: is_legacy(first.suite),
        packets_in: inbound.clone().map(|status| status.packets).sum(),
        bytes_in: inbound.clone().map(|status| status.bytes).sum(),
        last_in: inbound.map(|status| status.last_used).max().and_then(ago),
        packets_out: outbound.clone().map(|status| status.packets).sum(),
        bytes_out: outbound.clone().map(|status| status.bytes).sum(),
        last_out: outbound.map(|status| status.last_used).max().and_then(ago),
    })
}

fn is_legacy(suite: sadb::Suite) -> bool {
    SuiteName::of(suite).is_some_and(SuiteName::legacy)
}

fn expired(status: &SaStatus) -> bool {
    status.state == SaState::Expired
}

/// Every SA, by slot.
pub fn sas(region: &Region) -> Sas {
    Sas { version: VERSION, sas: region.sas().map(|status| sa(&status)).collect() }
}

fn sa(status: &SaStatus) -> SaView {
    let sa = &status.sa;
    SaView {
        name: sa.name.to_string(),
        direction: direction_name(sa.direction).to_owned(),
        spi: sa.spi,
        slot: sa.slot,
        tunnel: sa.tunnel,
        state: if expired(status) { "expired" } else { "live" }.to_owned(),
        local: sa.local.to_string(),
        remote: sa.remote.to_string(),
        encap: match sa.encap {
            Encap::Raw => "esp".to_owned(),
            Encap::Udp { local, remote } => format!("udp {local}→{remote}"),
        },
        suite: SuiteName::name_of(sa.suite),
        legacy: is_legacy(sa.suite),
        esn: sa.esn,
        replay_window: sa.replay_window,
        sequence: status.sequence,
        packets: status.packets,
        bytes: status.bytes,
        age: sadb::clock::seconds().saturating_sub(status.installed),
        last_used: ago(status.last_used),
        replay_late: status.replay_late,
        replay_duplicate: status.replay_duplicate,
        bad_icv: status.bad_icv,
    }
}

/// The SPD in order.
///
/// # Errors
/// When the active bank is damaged.
pub fn policies(region: &Region) -> Result<Policies, sadb::Corrupt> {
    let (_, policies) = region.policies()?;
    let view = |(order, policy): (usize, &sadb::Policy)| {
        let Selector { local, remote, protocol, local_port, remote_port } = policy.selector;
        let (action, tunnel) = match policy.verdict {
            Verdict::Protect { tunnel } => ("protect", Some(tunnel)),
            Verdict::Bypass => ("bypass", None),
            Verdict::Discard => ("discard", None),
        };
        PolicyView {
            order: order + 1,
            name: policy.name.to_string(),
            action: action.to_owned(),
            tunnel,
            local: range(&local),
            remote: range(&remote),
            protocol: match protocol {
                (0, 255) => "any".to_owned(),
                (first, last) if first == last => wire::iana::IpProtocol(first).to_string(),
                (first, last) => format!("{first}-{last}"),
            },
            local_port: ports(local_port),
            remote_port: ports(remote_port),
        }
    };
    Ok(Policies { version: VERSION, policies: policies.iter().enumerate().map(view).collect() })
}

/// As a prefix if it is one, else as an address or a range.
fn range(range: &AddressRange) -> String {
    let bits = |address| match address {
        std::net::IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        std::net::IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((first, width), (last, _)) = (bits(range.first()), bits(range.last()));
    let common = (first ^ last).leading_zeros().min(width);
    let below =
        u128::MAX.checked_shr(common).unwrap_or(0) & !u128::MAX.checked_shr(width).unwrap_or(0);
    match (first & below, last & below) {
        _ if first == last => range.first().to_string(),
        (0, ones) if ones == below => format!("{}/{common}", range.first()),
        _ => format!("{}-{}", range.first(), range.last()),
    }
}

fn ports(range: PortRange) -> String {
    match range {
        PortRange::ANY => "any".to_owned(),
        PortRange::OPAQUE => "opaque".to_owned(),
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    }
}

/// All counters with their meaning.
pub fn counters(region: &Region) -> Counters {
    let total = region.total_counters();
    let workers = (0..region.workers()).filter_map(|worker| {
        let snapshot = region.worker_counters(worker)?;
        let (mut drops, mut counters) = named(&snapshot);
        drops.retain(|_, value| *value != 0);
        counters.retain(|_, value| *value != 0);
        Some(WorkerCounters { worker, drops, counters })
    });
    let help = |name: &str, help: &str| (name.to_owned(), help.trim().to_owned());
    let drop_help = DropReason::ALL.iter().map(|reason| help(reason.name(), reason.help()));
    let counter_help = Counter::ALL.iter().map(|counter| help(counter.name(), counter.help()));
    let (drops, counters) = named(&total);
    let help = drop_help.chain(counter_help).collect();
    Counters { version: VERSION, drops, counters, help, workers: workers.collect() }
}

fn named(snapshot: &CounterSnapshot) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let drops =
        DropReason::ALL.iter().zip(snapshot.drops).map(|(reason, n)| (reason.name().to_owned(), n));
    let counters =
        Counter::ALL.iter().zip(snapshot.counters).map(|(c, n)| (c.name().to_owned(), n));
    (drops.collect(), counters.collect())
}

/// Interfaces as the data plane has them. `link` is known to control only.
pub fn interfaces(region: &Region, link: Option<&LinkState>) -> Interfaces {
    let alive = process(region, Side::DataPlane).alive && link.is_none_or(|link| link.attached);
    Interfaces { version: VERSION, interfaces: of_interfaces(region, alive) }
}

/// What a data plane that died said last is no longer so.
fn of_interfaces(region: &Region, alive: bool) -> Vec<Interface> {
    let view = |status: sadb::InterfaceStatus| Interface {
        name: status.name.to_string(),
        role: if status.role == Role::Inside { "inside" } else { "outside" }.to_owned(),
        up: alive && status.up,
        stale: !alive,
        mode: match status.mode {
            _ if !alive => "down",
            XdpMode::Down => "down",
            XdpMode::Generic => "generic",
            XdpMode::Copy => "copy",
            XdpMode::ZeroCopy => "zerocopy",
        }
        .to_owned(),
        queues: if alive { status.queues } else { 0 },
        mtu: status.mtu,
        driver: status.driver.map(|driver| driver.to_string()),
        rx_dropped: status.rx_dropped,
        rx_ring_full: status.rx_ring_full,
        fill_ring_empty: status.fill_ring_empty,
        tx_invalid: status.tx_invalid,
        rebinds: status.rebinds,
    };
    region.interfaces().into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region {
        let name = |text| sadb::Name::new(text).unwrap();
        let wan = sadb::Interface {
            name: name("wan0"),
            role: Role::Outside,
            require: sadb::Requirement::Any,
            complete_checksums: true,
        };
        let setup = sadb::Setup {
            geometry: sadb::setup::Geometry::default(),
            interfaces: vec![wan],
            cores: vec![0],
            idle: sadb::setup::Idle::Adaptive,
            frames: 1024,
            frame_size: 2048,
            tun: name("postern0"),
            reassembly_slots: 4,
            reassembly_ms: 1000,
        };
        let region = Region::on_heap(&setup).unwrap();
        let status = sadb::InterfaceStatus {
            name: wan.name,
            role: wan.role,
            ifindex: 7,
            mode: XdpMode::ZeroCopy,
            queues: 4,
            mtu: 1500,
            driver: sadb::Name::new("ice"),
            up: true,
            rx_dropped: 3,
            rx_ring_full: 0,
            fill_ring_empty: 0,
            tx_invalid: 0,
            rebinds: 0,
        };
        assert!(region.set_interface(0, &status));
        region
    }

    #[test]
    fn the_crypto_backend_is_shown_with_the_kernels_that_it_does_without() {
        let region = region();
        let shown = |region: &Region| crate::table::status(&status(region, None));
        assert!(!shown(&region).contains("crypto"), "nobody has said");
        let name = |text| sadb::Name::new(text).unwrap();
        let backend = name("vaes");
        region.set_crypto(&sadb::CryptoStatus { backend, fallbacks: vec![] });
        assert!(shown(&region).contains("\ncrypto: vaes\n"), "{}", shown(&region));
        let fallbacks = vec![name("AES-GCM"), name("HMAC-SHA-1")];
        region.set_crypto(&sadb::CryptoStatus { backend, fallbacks });
        let want = "\ncrypto: vaes; FAILED the self-test, so portable code runs, slower: AES-GCM, HMAC-SHA-1\n";
        assert!(shown(&region).contains(want), "{}", shown(&region));
        let json = serde_json::to_value(status(&region, None)).unwrap();
        assert_eq!(json["crypto"]["backend"], "vaes");
        assert_eq!(json["crypto"]["fallbacks"][1], "HMAC-SHA-1");
    }

    #[test]
    fn what_a_silent_data_plane_said_of_its_interfaces_is_not_shown_as_now() {
        let region = region();
        let attached = |attached| LinkState { attached, ..LinkState::default() };
        let state = |all: Vec<Interface>| {
            let wan = all.into_iter().next().unwrap();
            assert_eq!((wan.driver.as_deref(), wan.mtu, wan.rx_dropped), (Some("ice"), 1500, 3));
            let shown = crate::table::interfaces(std::slice::from_ref(&wan));
            assert_eq!(shown.contains("unknown"), wan.stale, "{shown}");
            (wan.up, wan.mode, wan.queues)
        };
        let (now, down) = ((true, "zerocopy".to_owned(), 4), (false, "down".to_owned(), 0));

        // Never a heartbeat: as after a crash, when the last is too old.
        assert!(!status(&region, None).dataplane.alive);
        assert_eq!(state(status(&region, None).interfaces), down);
        assert_eq!(state(interfaces(&region, None).interfaces), down);

        region.heartbeat(Side::DataPlane);
        assert!(status(&region, None).dataplane.alive);
        assert_eq!(state(status(&region, None).interfaces), now);
        assert_eq!(state(interfaces(&region, Some(&attached(true))).interfaces), now);

        // It hung up a moment ago.
        assert_eq!(state(interfaces(&region, Some(&attached(false))).interfaces), down);
        assert_eq!(state(status(&region, Some(attached(false))).interfaces), down);
    }

    #[test]
    fn a_range_is_shown_as_the_prefix_it_is() {
        for (first, last, shown) in [
            ("10.1.0.0", "10.1.255.255", "10.1.0.0/16"),
            ("10.1.0.1", "10.1.0.1", "10.1.0.1"),
            ("10.1.0.1", "10.1.0.2", "10.1.0.1-10.1.0.2"),
            ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("fd01::", "fd01::ffff:ffff:ffff:ffff", "fd01::/64"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.1-10.0.0.3"),
        ] {
            let of = AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap();
            assert_eq!(range(&of), shown);
        }
    }
}
