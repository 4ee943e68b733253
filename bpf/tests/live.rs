//! The program on real interfaces: three namespaces `bpft-…`, a plaintext route through the gateway that the
//! kernel would gladly use, and a data plane that dies.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests: to fail is to panic
mod common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bpf::{AttachMode, Error, Limits, Mode, Program, Role, detach_all};
use common::{BpfFs, attempt, run};
use rustix::net::bind;
use rustix::net::sockopt::xdp_statistics;
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// lan 10.1.0.5 — 10.1.0.1 gw 192.0.2.1 — 192.0.2.2 wan, and behind wan 10.2.0.5 (protected) and 203.0.113.5.
struct Net {
    name: String,
}

const PROTECTED: &str = "10.2.0.5";
const ELSEWHERE: &str = "203.0.113.5";
const LAN: &str = "10.1.0.5";
const GATEWAY_INSIDE: &str = "10.1.0.1";
const GATEWAY_OUTSIDE: &str = "192.0.2.1";

impl Net {
    fn new() -> Self {
        common::need_root();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let net = Self { name: format!("bpft-{}-{number}", std::process::id()) };
        for place in ["lan", "gw", "wan"] {
            run(&format!("ip netns add {}", net.ns(place)));
            net.ip(place, "link set lo up");
        }
        net.wire_inside();
        net.wire_outside();
        net.ip("wan", "address add 10.2.0.5/32 dev lo");
        net.ip("wan", "address add 203.0.113.5/32 dev lo");
        run(&format!("ip netns exec {} sysctl -qw net.ipv4.ip_forward=1", net.ns("gw")));
        net
    }
    fn wire_inside(&self) {
        self.wire("lan", "lan0", "inside0");
        self.ip("lan", "address add 10.1.0.5/24 dev lan0");
        self.ip("gw", "address add 10.1.0.1/24 dev inside0");
        self.ip("lan", "route add default via 10.1.0.1");
    }
    fn wire_outside(&self) {
        self.wire("wan", "wan0", "outside0");
        self.ip("wan", "address add 192.0.2.2/24 dev wan0");
        self.ip("gw", "address add 192.0.2.1/24 dev outside0");
        self.ip("wan", "route add default via 192.0.2.1");
        self.ip("gw", "route add default via 192.0.2.2");
    }
    fn wire(&self, place: &str, far: &str, near: &str) {
        let (far_ns, gw) = (self.ns(place), self.ns("gw"));
        run(&format!("ip -n {gw} link add {near} type veth peer name {far} netns {far_ns}"));
        self.ip("gw", &format!("link set {near} up"));
        self.ip(place, &format!("link set {far} up"));
    }
    fn ns(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }
    fn ip(&self, place: &str, command: &str) -> String {
        run(&format!("ip -n {} {command}", self.ns(place)))
    }
    fn enter(&self, place: &str) {
        let file = File::open(format!("/run/netns/{}", self.ns(place))).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
    fn inside<T: Send>(&self, place: &str, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter(place);
                work()
            });
            inside.join().unwrap()
        })
    }
    fn ifindex(&self, name: &str) -> u32 {
        let text = self.ip("gw", &format!("-o link show dev {name}"));
        text.split(':').next().unwrap().trim().parse().unwrap()
    }
    /// Up to ten echo requests, until one is answered.
    fn reaches(&self, place: &str, from: Option<&str>, to: &str) -> bool {
        (0..10).any(|_| self.ping(place, "-c 1 -W 1", from, to).contains(" 1 received"))
    }
    /// Three echo requests, none of which may be answered.
    fn silent(&self, place: &str, from: Option<&str>, to: &str) -> bool {
        self.ping(place, "-c 3 -i 0.1 -W 1", from, to).contains(" 0 received")
    }
    fn ping(&self, place: &str, how: &str, from: Option<&str>, to: &str) -> String {
        let from = from.map(|address| format!("-I {address}")).unwrap_or_default();
        attempt(&format!("ip netns exec {} ping {how} {from} {to}", self.ns(place))).0
    }
    /// Echo requests that arrived in a namespace so far.
    fn echoes(&self, place: &str) -> u64 {
        let text = self.inside(place, || {
            // Threads have their own /proc/thread-self/net.
            std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap()
        });
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Icmp: "));
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let mut pairs = names.split(' ').zip(values.split(' '));
        pairs.find(|(name, _)| *name == "InEchos").unwrap().1.parse().unwrap()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in ["lan", "gw", "wan"] {
            let _ = attempt(&format!("ip netns delete {}", self.ns(place)));
        }
    }
}

fn policy(program: &Program) {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    program.set_locals(&[address(GATEWAY_INSIDE), address(GATEWAY_OUTSIDE)]).unwrap();
    program.set_protected_remote(&[(address("10.2.0.0"), 16)]).unwrap();
    program.set_protected_local(&[(address("10.1.0.0"), 16)]).unwrap();
}

/// A process that protects and then waits to be killed: this test program again, as `owner`.
fn owner(net: &Net, pins: &Path) -> Child {
    let mut child = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", net.ns("gw")))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_is_killed", "--ignored", "--nocapture"])
        .env("BPFT_PINS", pins)
        .env("BPFT_INSIDE", net.ifindex("inside0").to_string())
        .env("BPFT_OUTSIDE", net.ifindex("outside0").to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let ready = output.lines().map_while(Result::ok).any(|line| line.contains("protecting"));
    assert!(ready, "the owner ended before it was ready");
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "no test: the process that `owner` starts"]
fn process_that_is_killed() {
    let number = |name: &str| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let pins = std::env::var("BPFT_PINS").unwrap();
    let program = Program::load(Path::new(&pins), Limits::default()).unwrap();
    policy(&program);
    let inside = program.attach(number("BPFT_INSIDE"), Role::Inside, 0, Mode::Native).unwrap();
    let outside = program.attach(number("BPFT_OUTSIDE"), Role::Outside, 1, Mode::Native).unwrap();
    assert_eq!((inside, outside), (AttachMode::Native, AttachMode::Native));
    println!("protecting");
    std::io::stdin().lines().for_each(drop);
}

fn assert_closed(net: &Net) {
    let (lan, wan) = (net.echoes("lan"), net.echoes("wan"));
    assert!(net.silent("lan", None, PROTECTED), "plaintext left, and an answer entered");
    assert!(net.silent("wan", Some(PROTECTED), LAN), "plaintext entered, and an answer left");
    assert_eq!(net.echoes("wan"), wan, "plaintext left");
    assert_eq!(net.echoes("lan"), lan, "plaintext entered");
}

fn assert_open(net: &Net) {
    assert!(net.reaches("lan", None, PROTECTED));
    assert!(net.reaches("wan", Some(PROTECTED), LAN));
}

fn assert_the_rest_goes_on(net: &Net) {
    for (place, gateway) in [("lan", GATEWAY_INSIDE), ("wan", GATEWAY_OUTSIDE)] {
        net.ip(place, "neigh flush all"); // ARP anew
        net.ip("gw", "neigh flush all");
        assert!(net.reaches(place, None, gateway), "{place} does not reach the gateway");
        let listener = net.inside("gw", || TcpListener::bind((gateway, 0)).unwrap());
        let to = listener.local_addr().unwrap();
        net.inside(place, || TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap());
    }
    assert!(net.reaches("lan", None, ELSEWHERE), "what no policy covers is forwarded");
}

#[test]
fn a_killed_data_plane_leaves_protected_prefixes_closed_and_the_rest_alone() {
    let net = Net::new();
    let files = BpfFs::new();
    assert_open(&net);
    kill(owner(&net, &files.pins()));
    assert_closed(&net);
    assert_the_rest_goes_on(&net);

    // The next process finds it as it was left, and counts on.
    net.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        let dropped = |program: &Program| {
            let counters = program.counters().unwrap();
            counters.iter().find(|(name, _)| *name == "dropped_no_dataplane").unwrap().1
        };
        assert!(dropped(&program) >= 6, "two directions, three requests each");
        let indices = [net.ifindex("inside0"), net.ifindex("outside0")];
        for (index, role) in indices.into_iter().zip([Role::Inside, Role::Outside]) {
            assert_eq!(program.attached(index).unwrap(), Some(AttachMode::Native));
            let before = program_id(&net, index);
            program.attach(index, role, 0, Mode::Any).unwrap();
            assert_eq!(program_id(&net, index), before, "the same program stays where it is");
        }
        let mut carrying = program.interfaces().unwrap();
        carrying.sort_unstable();
        assert_eq!(carrying, indices);
    });
    assert_closed(&net);

    net.inside("gw", || detach_all(&files.pins()).unwrap());
    assert_open(&net);
    assert!(!files.pins().exists());
    net.inside("gw", || detach_all(&files.pins()).unwrap()); // nothing there is fine
}

/// As `ip` tells it, which is not libbpf.
fn program_id(net: &Net, index: u32) -> u32 {
    let links = net.ip("gw", "-j -d link");
    let at = links.split(&format!("\"ifindex\":{index},")).nth(1).unwrap();
    let at = at.split("\"prog\":{\"id\":").nth(1).unwrap();
    at.split([',', '}']).next().unwrap().parse().unwrap()
}

#[test]
fn frames_reach_the_socket_of_their_queue_and_only_what_is_ours() {
    let net = Net::new();
    let files = BpfFs::new();
    let index = net.ifindex("inside0");
    net.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        policy(&program);
        program.attach(index, Role::Inside, 5, Mode::Native).unwrap();
        let memory = vec![0; 8192];
        let socket = common::unbound_socket(&memory);
        bind(&socket, &SocketAddrXdp::new(SocketAddrXdpFlags::XDP_COPY, index, 0)).unwrap();
        program.set_socket(5, 0, socket.as_fd()).unwrap();
        // The socket has no room to offer, and the kernel says how many frames asked for it.
        let asked = || xdp_statistics(&socket).unwrap().rx_fill_ring_empty_descs.unwrap();
        assert!(net.reaches("lan", None, ELSEWHERE));
        assert_eq!(asked(), 0, "what passes does not come here");
        assert!(net.silent("lan", None, PROTECTED));
        assert_eq!(asked(), 3);
        let counters = program.counters().unwrap();
        let redirected = counters.iter().find(|(name, _)| *name == "redirected_inside").unwrap();
        assert_eq!(redirected.1, 3);
        // When the socket is gone, so is the way out.
        drop(socket);
        assert!(net.silent("lan", None, PROTECTED));
    });
}

#[test]
fn another_version_takes_over_in_place_and_keeps_the_policy() {
    let net = Net::new();
    let files = BpfFs::new();
    kill(owner(&net, &files.pins()));
    let index = net.ifindex("inside0");
    let before = program_id(&net, index);
    // Larger limits need new maps, and so another program, as a new version would.
    let limits = Limits { prefixes: 100_000, ..Limits::default() };
    net.inside("gw", || {
        let program = Program::load(&files.pins(), limits).unwrap();
        assert_closed(&net);
        program.attach(index, Role::Inside, 0, Mode::Any).unwrap();
        program.attach(net.ifindex("outside0"), Role::Outside, 1, Mode::Any).unwrap();
    });
    assert_ne!(program_id(&net, index), before);
    assert_closed(&net); // with the entries that were carried over
    assert_the_rest_goes_on(&net);
    net.inside("gw", || detach_all(&files.pins()).unwrap());
    assert_open(&net);
}

#[test]
fn one_data_plane_at_a_time() {
    let net = Net::new();
    let files = BpfFs::new();
    let owner = owner(&net, &files.pins());
    let second = net.inside("gw", || Program::load(&files.pins(), Limits::default()).err());
    assert!(matches!(second, Some(Error::InUse(_))), "{second:?}");
    let removal = net.inside("gw", || detach_all(&files.pins()));
    assert!(matches!(removal, Err(Error::InUse(_))), "{removal:?}");
    kill(owner);
    net.inside("gw", || Program::load(&files.pins(), Limits::default()).map(drop)).unwrap();
}

#[test]
fn somebody_elses_program_is_named_and_left_alone() {
    let net = Net::new();
    let (theirs, ours) = (BpfFs::new(), BpfFs::new());
    let (inside, outside) = (net.ifindex("inside0"), net.ifindex("outside0"));
    net.inside("gw", || {
        let other = Program::load(&theirs.pins(), Limits::default()).unwrap();
        other.attach(inside, Role::Inside, 0, Mode::Native).unwrap();
        other.attach(outside, Role::Inside, 0, Mode::Generic).unwrap();
        let program = Program::load(&ours.pins(), Limits::default()).unwrap();
        for index in [inside, outside] {
            let expected = program_id(&net, index);
            for refused in [
                program.attach(index, Role::Inside, 0, Mode::Any).map(drop),
                program.detach(index),
                program.attached(index).map(drop),
            ] {
                let error = refused.unwrap_err();
                assert!(matches!(&error, Error::Foreign { ifindex, id, name }
                    if *ifindex == index && *id == expected && name == "postern"));
                assert!(error.to_string().contains(&format!("id {expected}")), "{error}");
            }
            assert_eq!(program_id(&net, index), expected);
        }
        drop((other, program));
        detach_all(&ours.pins()).unwrap();
        program_id(&net, inside); // is still there
        detach_all(&theirs.pins()).unwrap();
        let program = Program::load(&ours.pins(), Limits::default()).unwrap();
        for index in [inside, outside] {
            assert_eq!(program.attached(index).unwrap(), None);
        }
    });
}

#[test]
fn an_interface_may_go_and_come_back() {
    let net = Net::new();
    let files = BpfFs::new();
    net.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        policy(&program);
        let mut last = 0;
        for round in 0..3 {
            let index = net.ifindex("inside0");
            assert_ne!(index, last, "round {round}: a new index");
            program.attach(index, Role::Inside, 0, Mode::Native).unwrap();
            program.attach(net.ifindex("outside0"), Role::Outside, 1, Mode::Native).unwrap();
            assert_closed(&net);
            net.ip("gw", "link delete inside0");
            assert_eq!(program.attached(index).unwrap(), None);
            let gone = program.attach(index, Role::Inside, 0, Mode::Any);
            assert!(matches!(gone, Err(Error::NoInterface(i)) if i == index), "{gone:?}");
            net.wire_inside();
            last = index;
        }
        assert_eq!(program.interfaces().unwrap(), [net.ifindex("outside0")]);
        let pins = std::fs::read_dir(files.pins()).unwrap();
        let names = pins.map(|pin| pin.unwrap().file_name().into_string().unwrap());
        assert!(names.filter(|name| name.starts_with("link_")).count() <= 2);
    });
}

#[test]
fn a_link_that_somebody_detached_is_seen_and_put_back() {
    let net = Net::new();
    let files = BpfFs::new();
    let index = net.ifindex("outside0");
    net.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        program.attach(index, Role::Outside, 0, Mode::Native).unwrap();
        let pin = files.pins().join(format!("link_{index}"));
        libbpf_rs::Link::open(&pin).unwrap().detach().unwrap();
        assert_eq!(program.attached(index).unwrap(), None);
        program.attach(index, Role::Outside, 0, Mode::Native).unwrap();
        assert_eq!(program.attached(index).unwrap(), Some(AttachMode::Native));
        // A link cannot be taken off by the way, as `ip link set dev outside0 xdp off` would.
        let (_, done) = attempt(&format!("ip -n {} link set dev outside0 xdp off", net.ns("gw")));
        assert!(!done);
        program.detach(index).unwrap();
        program.detach(index).unwrap();
        assert_eq!(program.attached(index).unwrap(), None);
        assert!(!pin.exists());
    });
}

#[test]
fn generic_mode_outlives_its_process_too_and_gives_way_to_native() {
    let net = Net::new();
    let files = BpfFs::new();
    let (inside, outside) = (net.ifindex("inside0"), net.ifindex("outside0"));
    let attach = |program: &Program, mode| {
        let one = program.attach(inside, Role::Inside, 0, mode).unwrap();
        let other = program.attach(outside, Role::Outside, 1, mode).unwrap();
        assert_eq!(one, other);
        one
    };
    net.inside("gw", || {
        let load = |limits| Program::load(&files.pins(), limits).unwrap();
        let program = load(Limits::default());
        policy(&program);
        assert_eq!(attach(&program, Mode::Generic), AttachMode::Generic);
        drop(program);
        assert_closed(&net);
        // Adopted as it is; then replaced by another version; then changed to native.
        assert_eq!(attach(&load(Limits::default()), Mode::Any), AttachMode::Generic);
        let before = program_id(&net, inside);
        let larger = load(Limits { peers: 100_000, ..Limits::default() });
        assert_eq!(attach(&larger, Mode::Any), AttachMode::Generic);
        assert_ne!(program_id(&net, inside), before);
        assert_closed(&net);
        assert_eq!(attach(&larger, Mode::Native), AttachMode::Native);
        assert_closed(&net);
        assert_eq!(attach(&larger, Mode::Generic), AttachMode::Generic);
        assert_closed(&net);
        drop(larger);
        detach_all(&files.pins()).unwrap();
    });
    assert_open(&net);
    assert_the_rest_goes_on(&net);
}

#[test]
fn pins_of_another_namespace_are_not_torn_out() {
    let (one, other) = (Net::new(), Net::new());
    let files = BpfFs::new();
    let index = one.ifindex("inside0");
    assert_eq!(index, other.ifindex("inside0"), "both namespaces count alike");
    one.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        program.attach(index, Role::Inside, 0, Mode::Native).unwrap();
    });
    other.inside("gw", || {
        let program = Program::load(&files.pins(), Limits::default()).unwrap();
        let refused = program.attach(index, Role::Inside, 0, Mode::Native);
        assert!(matches!(refused, Err(Error::Elsewhere { ifindex, .. }) if ifindex == index));
    });
    program_id(&one, index); // is still there
}

#[test]
fn pins_need_a_bpf_file_system() {
    common::need_root();
    let directory = tempfile::tempdir().unwrap();
    let refused =
        Program::load(&directory.path().join("postern"), Limits::default()).err().unwrap();
    assert!(matches!(refused, Error::Pin { .. }), "{refused:?}");
    assert!(refused.to_string().contains("mount -t bpf bpf /sys/fs/bpf"), "{refused}");
}
