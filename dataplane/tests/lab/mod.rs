//! Namespaces, processes and the part of control, for `runtime.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sadb::link::{Doorbell, connect_control};
use sadb::sa::{DontFragment, Dscp, Lifetime, spi_for};
use sadb::setup::{Geometry, Idle};
use sadb::{
    Control, Direction, Encap, Event, Interface, InterfaceStatus, Name, Policy, Refusal, Region,
    Request, Requirement, Role, Sa, SaKeys, Setup, Suite, Verb, Verdict,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wire::selector::{AddressRange, PortRange, Selector};

/// Long enough for a loaded machine; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`; fails with `what` when it takes too long.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    A,
    B,
}

/// Five namespaces and what lies between them. Removed when dropped.
pub struct Lab {
    tag: String,
    pub dir: tempfile::TempDir,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root: network namespaces, XDP, TUN"
        );
        let tag = format!("pdpt-{name}-{}", std::process::id());
        let lab = Self { tag, dir: tempfile::tempdir().unwrap() };
        for role in ["la", "ga", "ob", "gb", "lb"] {
            let ns = lab.ns(role);
            sh(&format!("ip netns add {ns}; ip -n {ns} link set lo up"));
        }
        lab.setup();
        lab
    }

    fn setup(&self) {
        let [la, ga, ob, gb, lb] = ["la", "ga", "ob", "gb", "lb"].map(|role| self.ns(role));
        sh(&format!(
            "ip -n {ob} link add br0 type bridge mcast_snooping 0; ip -n {ob} link set br0 up
             ip netns exec {ob} sysctl -qw net.ipv6.conf.br0.disable_ipv6=1
             ip -n {gb} link add wan0 type veth peer name wb netns {ob}
             ip -n {ob} link set wb up master br0; ip -n {gb} link set wan0 up
             ip -n {gb} addr add 192.0.2.2/24 dev wan0
             ip -n {gb} addr add 2001:db8::2/64 dev wan0 nodad
             ip -n {la} link add eth0 type veth peer name lan0 netns {ga}
             ip -n {lb} link add eth0 type veth peer name lan0 netns {gb}"
        ));
        self.make_wan_a();
        for (host, gate, n) in [(&la, &ga, 1), (&lb, &gb, 2)] {
            sh(&format!(
                "ip -n {host} link set eth0 up; ip -n {gate} link set lan0 up
                 ip -n {host} addr add 10.{n}.0.2/24 dev eth0
                 ip -n {host} addr add fd0{n}::2/64 dev eth0 nodad
                 ip -n {gate} addr add 10.{n}.0.1/24 dev lan0
                 ip -n {gate} addr add fd0{n}::1/64 dev lan0 nodad
                 ip -n {host} route add default via 10.{n}.0.1
                 ip -n {host} route add default via fd0{n}::1
                 ip netns exec {gate} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
            ));
        }
        // Without the data plane the kernels would carry it in the clear: that is what must not happen.
        sh(&format!(
            "ip -n {gb} route add 10.1.0.0/16 via 192.0.2.1; ip -n {gb} route add fd01::/48 via 2001:db8::1"
        ));
    }

    pub fn make_wan_a(&self) {
        let [ga, ob] = ["ga", "ob"].map(|role| self.ns(role));
        sh(&format!(
            "ip -n {ga} link add wan0 type veth peer name wa netns {ob}
             ip -n {ob} link set wa up master br0; ip -n {ga} link set wan0 up
             ip -n {ga} addr add 192.0.2.1/24 dev wan0
             ip -n {ga} addr add 2001:db8::1/64 dev wan0 nodad
             ip -n {ga} route add 10.2.0.0/16 via 192.0.2.2
             ip -n {ga} route add fd02::/48 via 2001:db8::2"
        ));
    }

    pub fn delete_wan_a(&self) {
        sh(&format!("ip -n {} link del wan0", self.ns("ga")));
    }

    pub fn down_up(&self, role: &str, link: &str) {
        let ns = self.ns(role);
        sh(&format!(
            "ip -n {ns} link set {link} down; ip -n {ns} link set {link} up
             ip -n {ns} route add 10.2.0.0/16 via 192.0.2.2
             ip -n {ns} addr replace 2001:db8::1/64 dev {link} nodad
             ip -n {ns} route replace fd02::/48 via 2001:db8::2"
        ));
    }

    pub fn ns(&self, role: &str) -> String {
        format!("{}-{role}", self.tag)
    }

    /// Names of the same links with two queues each way.
    pub fn two_queues(&self) {
        for (gate, host, n) in [("ga", "la", 1), ("gb", "lb", 2)] {
            let [gate, host] = [gate, host].map(|role| self.ns(role));
            sh(&format!(
                "ip -n {gate} link del lan0
                 ip -n {host} link add eth0 numtxqueues 2 numrxqueues 2 type veth peer name lan0 numtxqueues 2 numrxqueues 2 netns {gate}
                 ip netns exec {gate} ethtool -L lan0 rx 2 tx 2; ip netns exec {host} ethtool -L eth0 rx 2 tx 2
                 ip -n {host} link set eth0 up; ip -n {gate} link set lan0 up
                 ip -n {host} addr add 10.{n}.0.2/24 dev eth0; ip -n {gate} addr add 10.{n}.0.1/24 dev lan0
                 ip -n {host} addr add fd0{n}::2/64 dev eth0 nodad; ip -n {gate} addr add fd0{n}::1/64 dev lan0 nodad
                 ip -n {host} route add default via 10.{n}.0.1; ip -n {host} route add default via fd0{n}::1"
            ));
        }
        for (gate, port, n) in [("ga", "wa", 1), ("gb", "wb", 2)] {
            let [gate, ob] = [self.ns(gate), self.ns("ob")];
            let other = 3 - n;
            sh(&format!(
                "ip -n {gate} link del wan0
                 ip -n {gate} link add wan0 numtxqueues 2 numrxqueues 2 type veth peer name {port} numtxqueues 2 numrxqueues 2 netns {ob}
                 ip netns exec {gate} ethtool -L wan0 rx 2 tx 2; ip netns exec {ob} ethtool -L {port} rx 2 tx 2
                 ip -n {ob} link set {port} up master br0; ip -n {gate} link set wan0 up
                 ip -n {gate} addr add 192.0.2.{n}/24 dev wan0; ip -n {gate} addr add 2001:db8::{n}/64 dev wan0 nodad
                 ip -n {gate} route add 10.{other}.0.0/16 via 192.0.2.{other}
                 ip -n {gate} route add fd0{other}::/48 via 2001:db8::{other}"
            ));
        }
    }

    /// Moves the gateways' outer addresses and routes to VLAN 100 on wan0, or to VLAN 100 in `service` VLAN 7.
    /// Returns the filter for its frames.
    pub fn wan_over_vlans(&self, service: Option<&str>) -> &'static str {
        for (gate, n) in [("ga", 1), ("gb", 2)] {
            let (gate, other) = (self.ns(gate), 3 - n);
            let below = match service {
                None => "wan0",
                Some(protocol) => {
                    sh(&format!(
                        "ip -n {gate} link add link wan0 name wan0.7 type vlan protocol {protocol} id 7
                         ip -n {gate} link set wan0.7 up"
                    ));
                    "wan0.7"
                }
            };
            sh(&format!(
                "ip -n {gate} addr flush dev wan0 scope global
                 ip -n {gate} link add link {below} name out type vlan id 100; ip -n {gate} link set out up
                 ip -n {gate} addr add 192.0.2.{n}/24 dev out; ip -n {gate} addr add 2001:db8::{n}/64 dev out nodad
                 ip -n {gate} route replace 10.{other}.0.0/16 via 192.0.2.{other}
                 ip -n {gate} route replace fd0{other}::/48 via 2001:db8::{other}"
            ));
        }
        if service.is_some() { "vlan 7 and vlan 100" } else { "vlan 100" }
    }

    /// Moves the addresses between gw-b and lan-b to VLAN 5.
    pub fn lan_b_over_a_vlan(&self) {
        for (role, link, host) in [("lb", "eth0", 2), ("gb", "lan0", 1)] {
            let ns = self.ns(role);
            sh(&format!(
                "ip -n {ns} addr flush dev {link} scope global
                 ip -n {ns} link add link {link} name in type vlan id 5; ip -n {ns} link set in up
                 ip -n {ns} addr add 10.2.0.{host}/24 dev in; ip -n {ns} addr add fd02::{host}/64 dev in nodad"
            ));
        }
        let lb = self.ns("lb");
        sh(&format!(
            "ip -n {lb} route replace default via 10.2.0.1; ip -n {lb} route replace default via fd02::1"
        ));
    }

    /// The path MTU that a host has learned.
    pub fn path_mtu(&self, from: &str, to: &str) -> u32 {
        let said = sh(&format!("ip -n {} route get {to}", self.ns(from)));
        let mtu = said.split("mtu ").nth(1).and_then(|rest| rest.split(' ').next());
        mtu.unwrap_or_else(|| panic!("no MTU was learned: {said}")).parse().unwrap()
    }

    /// One UDP datagram from a socket of the gateway's own.
    pub fn udp(&self, role: &str, from: &str, to: &str) {
        let [from, to] = [from, to].map(str::to_owned);
        let send = move || {
            let socket = std::net::UdpSocket::bind(from).unwrap();
            socket.send_to(b"hello", to).unwrap();
        };
        self.thread(role, send).join().unwrap();
    }

    pub fn gateway(&self, side: Side) -> Gateway {
        let mut gateway = Gateway::new(self, side);
        gateway.spawn();
        gateway.connect();
        gateway
    }

    pub fn gateways(&self) -> [Gateway; 2] {
        [self.gateway(Side::A), self.gateway(Side::B)]
    }

    /// One echo gets through, at the latest after a while: neighbours must be found first.
    pub fn ping(&self, from: &str, to: &str) {
        eventually(&format!("{from} pings {to}"), || self.try_ping(from, to));
    }

    pub fn try_ping(&self, from: &str, to: &str) -> bool {
        let ns = self.ns(from);
        let mut ping = Command::new("ip");
        ping.args(["netns", "exec", &ns, "ping", "-n", "-c1", "-W1", to]);
        ping.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Echoes every few milliseconds until stopped.
    pub fn load(&self, from: &str, to: &str) -> Load {
        let ns = self.ns(from);
        let mut ping = Command::new("ip");
        ping.args(["netns", "exec", &ns, "ping", "-n", "-q", "-i0.003", "-s600", to]);
        Load(ping.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// `octets` each way over one connection, compared.
    pub fn tcp(&self, client: &str, server: &str, to: &str, octets: usize) {
        let data: Vec<u8> = (0..octets).map(|n| (n * 7 + n / 251) as u8).collect();
        let (listens, listening) = std::sync::mpsc::channel();
        let (address, expected) = (to.to_owned(), data.clone());
        let server = self.thread(server, move || {
            let listener = TcpListener::bind(address).unwrap();
            listens.send(()).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard).unwrap();
            assert!(heard == expected, "octets changed on the way");
            stream.write_all(&heard).unwrap();
        });
        listening.recv().unwrap();
        let address = to.to_owned();
        let client = self.thread(client, move || {
            let address = address.parse().unwrap();
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&data).unwrap();
            let mut back = vec![0; data.len()];
            stream.read_exact(&mut back).unwrap();
            assert!(back == data, "octets changed on the way back");
        });
        client.join().unwrap();
        server.join().unwrap();
    }

    fn thread(
        &self,
        role: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> std::thread::JoinHandle<()> {
        let ns = File::open(format!("/run/netns/{}", self.ns(role))).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(ns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            run();
        })
    }

    /// Our table, both families.
    pub fn routes(&self, role: &str) -> String {
        let ns = self.ns(role);
        sh(&format!(
            "ip -n {ns} -4 route show table 4500 2>/dev/null || true; ip -n {ns} -6 route show table 4500 2>/dev/null || true"
        ))
    }

    pub fn links(&self, role: &str) -> String {
        sh(&format!("ip -n {} -o link", self.ns(role)))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for role in ["la", "ga", "ob", "gb", "lb"] {
            let _ = Command::new("ip").args(["netns", "del", &self.ns(role)]).status();
        }
    }
}

/// A ping in the background.
pub struct Load(Child);

impl Load {
    /// Sent and received.
    pub fn stop(mut self) -> (u64, u64) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.wait().unwrap();
        let line = text.lines().find(|line| line.contains("packets transmitted")).unwrap();
        let mut numbers =
            line.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

/// tcpdump on the wire between the gateways.
pub struct Sniffer {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Sniffer {
    pub fn start(lab: &Lab, filter: &str) -> Self {
        let ns = lab.ns("ob");
        // wb carries what comes from gw-b and what the bridge sends to it. (On br0 itself frames that are only passed
        // on are not seen; on gw-a and gw-b, AF_XDP is below the tap.)
        let mut child = Command::new("ip")
            .args(["netns", "exec", &ns, "tcpdump", "-nlU", "--immediate-mode", "-B", "32768"])
            .args(["-i", "wb", &format!("udp dst port 9 or ({filter})")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump is installed");
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "tcpdump did not start");
        }
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, seen) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(line));
        });
        std::thread::spawn(move || _ = std::io::copy(&mut errors, &mut std::io::sink()));
        Self { child, lines, reader }
    }

    /// Waits until it has seen what was sent so far. (Not where the wire has VLANs.)
    pub fn catches_up(&self, lab: &Lab) {
        eventually("tcpdump has seen what was sent", || {
            lab.udp("ga", "192.0.2.1:9", "192.0.2.2:9");
            self.lines.lock().unwrap().iter().any(|line| Self::is_mark(line))
        });
    }

    fn is_mark(line: &str) -> bool {
        line.contains("> 192.0.2.2.9: UDP")
    }

    /// What it saw.
    pub fn stop(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        let mut lines = core::mem::take(&mut *self.lines.lock().unwrap());
        // An interrupted tcpdump ends its output with an empty line.
        lines.retain(|line| !line.is_empty() && !Self::is_mark(line));
        lines
    }
}

/// `… ESP(spi=0x…,seq=0x1f), length …`
pub fn sequence_number(line: &str) -> u64 {
    let text = line.split("seq=0x").nth(1).and_then(|rest| rest.split(')').next());
    u64::from_str_radix(text.unwrap_or_else(|| panic!("{line}")), 16).unwrap()
}

/// A data plane process, and this test in the part of its control.
pub struct Gateway {
    side: Side,
    ns: String,
    dir: PathBuf,
    pin: PathBuf,
    setup: Setup,
    child: Option<Child>,
    control: Option<(Region, Control, Doorbell)>,
    kept: Vec<Event>,
    next: u64,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl Gateway {
    pub fn new(lab: &Lab, side: Side) -> Self {
        let role = if side == Side::A { "ga" } else { "gb" };
        let dir = lab.dir.path().join(role);
        std::fs::create_dir_all(&dir).unwrap();
        let pin = PathBuf::from("/sys/fs/bpf").join(lab.ns(role));
        let interface = |n, role| Interface {
            name: name(n),
            role,
            require: Requirement::Any,
            complete_checksums: true,
        };
        let setup = Setup {
            geometry: Geometry { sa_slots: 64, ..Geometry::default() },
            interfaces: vec![interface("lan0", Role::Inside), interface("wan0", Role::Outside)],
            cores: vec![0],
            idle: Idle::Adaptive,
            frames: 4096,
            frame_size: 2048,
            tun: name("postern0"),
            reassembly_slots: 64,
            reassembly_ms: 1000,
        };
        Self {
            side,
            ns: lab.ns(role),
            dir,
            pin,
            setup,
            child: None,
            control: None,
            kept: vec![],
            next: 1,
        }
    }

    /// Two workers on two queues.
    pub fn two_workers(&mut self) {
        self.setup.cores = vec![0, 1];
    }

    pub fn require_zero_copy(&mut self) {
        self.setup.interfaces[1].require = Requirement::ZeroCopy;
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.ns));
        command.arg(env!("CARGO_BIN_EXE_postern-dataplane"));
        command.arg("--run-dir").arg(&self.dir).arg("--pin").arg(&self.pin);
        command.args(["--log", "debug"]);
        command
    }

    pub fn side(&self) -> Side {
        self.side
    }

    /// Starts the process; waits until it listens.
    pub fn spawn(&mut self) {
        let log = File::options().append(true).create(true).open(self.dir.join("log")).unwrap();
        let _ = std::fs::remove_file(self.socket());
        self.child = Some(self.command().stderr(log).spawn().unwrap());
        eventually("the data plane listens", || self.listens() || self.ended());
    }

    /// The socket stands in its directory before anybody may connect: flag 0x10000 says that one may.
    fn listens(&self) -> bool {
        let pid = self.child.as_ref().map_or(0, Child::id);
        let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
        let path = self.socket().display().to_string();
        let accepts = |line: &str| line.split_whitespace().nth(3) == Some("00010000");
        sockets.lines().any(|line| line.ends_with(&path) && accepts(line))
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("dataplane.sock")
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn try_connect(&mut self) {
        let existing = self.control.take().map(|(region, ..)| region);
        let setup = self.setup.clone();
        let (region, bell) =
            connect_control(&self.socket(), existing, || Region::create(&setup)).unwrap();
        let control = region.control().expect("nobody else has control's end");
        self.control = Some((region, control, bell));
    }

    /// Connects and waits until the data plane carries packets.
    pub fn connect(&mut self) {
        self.try_connect();
        assert_eq!(self.ask(Verb::Ping), Ok(()), "{}", self.log());
    }

    /// As if control had been killed: the socket closes, the memory goes.
    pub fn drop_control(&mut self) {
        self.control = None;
    }

    pub fn region(&self) -> &Region {
        &self.control.as_ref().unwrap().0
    }

    pub fn interface(&self, which: &str) -> InterfaceStatus {
        let all = self.region().interfaces();
        *all.iter().find(|status| status.name.as_str() == which).unwrap()
    }

    /// Sends a request and waits for its answer; other events are kept.
    pub fn ask(&mut self, verb: Verb) -> Result<(), Refusal> {
        let id = self.next;
        self.next += 1;
        let (_, control, bell) = self.control.as_mut().unwrap();
        control.push(Request { id, verb }).unwrap();
        bell.ring().unwrap();
        let done = self
            .event(|event| matches!(event, Event::Done { id: answered, .. } if *answered == id));
        let Event::Done { result, .. } = done else { unreachable!() };
        result
    }

    /// Waits for an event.
    pub fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.kept.iter().position(&wanted) {
                return self.kept.remove(at);
            }
            let (_, control, bell) = self.control.as_mut().unwrap();
            let _ = bell.drain();
            match control.pop().unwrap() {
                Some(event) => self.kept.push(event),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            let late = Instant::now() > end || self.ended();
            assert!(!late, "no such event; the data plane said:\n{}", self.log());
        }
    }

    pub fn add(&mut self, sa: &Sa) -> Result<(), Refusal> {
        self.ask(Verb::Add { sa: Box::new(*sa), keys: keys(sa.spi) })
    }

    /// Everything in IPv4 that is not ours, into the tunnel.
    pub fn full_tunnel(&mut self) {
        let mut policy = policies(self.side)[0];
        let all = |octet| std::net::IpAddr::from([octet; 4]);
        policy.selector.remote = AddressRange::new(all(0), all(255)).unwrap();
        self.policies(&[policy]);
    }

    pub fn policies(&mut self, policies: &[Policy]) {
        let generation = self.region().policies().unwrap().0 + 1;
        self.region().stage_policies(generation, policies).unwrap();
        let count = policies.len() as u32;
        assert_eq!(self.ask(Verb::Policies { generation, count }), Ok(()), "{}", self.log());
    }

    /// One tunnel, both families inside, IPv4 outside.
    pub fn install(&mut self, side: Side) {
        for sa in sas(side) {
            assert_eq!(self.add(&sa), Ok(()), "{}", self.log());
        }
        self.policies(&policies(side));
    }

    /// Of the outbound SA: the highest number handed out.
    pub fn sequence(&self) -> u64 {
        self.region().sa(sas(self.side)[1].slot).unwrap().sequence
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        let frames = self.setup.frames;
        let all = format!("home={frames} frames={frames}");
        assert!(self.log().contains(&all), "every frame came home:\n{}", self.log());
    }

    /// Waits until it ends by itself, with an error; returns what it said.
    pub fn wait_for_end(&mut self) -> String {
        eventually("the data plane gives up", || self.ended());
        assert!(!self.child.take().unwrap().wait().unwrap().success());
        self.log()
    }

    pub fn second_instance_ends(&self) -> bool {
        !self.command().stderr(Stdio::null()).status().unwrap().success()
    }

    pub fn detach(&self) -> bool {
        self.command().arg("--detach").stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- {:?} said:\n{}", self.side, self.log());
        }
        let _ = self.command().arg("--detach").stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.pin);
    }
}

fn keys(spi: u32) -> SaKeys {
    // Both ends of an SA derive the same key from its SPI; no two SAs share one.
    let octets = (0..36u32).map(|n| (spi.wrapping_mul(31) + n * 7) as u8 ^ (spi >> 12) as u8);
    SaKeys { encryption: octets.collect(), integrity: vec![] }
}

/// Inbound and outbound, as seen from `side`.
pub fn sas(side: Side) -> [Sa; 2] {
    let (ours, theirs) = if side == Side::A { (1, 2) } else { (2, 1) };
    let address = |n: u8| std::net::IpAddr::from([192, 0, 2, n]);
    let spi = |of: u32| spi_for(0, 0x100 * of).unwrap();
    let sa = |direction, slot, spi, epoch| Sa {
        name: name("lab/net"),
        slot,
        spi,
        tunnel: 0,
        direction,
        encap: Encap::Raw,
        suite: Suite { encryption: 20, key_bits: 256, integrity: 0 },
        local: address(ours),
        remote: address(theirs),
        esn: true,
        replay_window: 1024,
        dont_fragment: DontFragment::Copy,
        dscp: Dscp::Out,
        ecn: true,
        iv_epoch: epoch,
        lifetime: Lifetime::default(),
        initial_sequence: 0,
        digest: [0; 16],
    };
    [
        sa(Direction::Inbound, 0, spi(u32::from(ours)), u32::from(theirs)),
        sa(Direction::Outbound, 1, spi(u32::from(theirs)), u32::from(ours)),
    ]
}

/// 10.1/16 and fd01::/48 to 10.2/16 and fd02::/48, as seen from `side`.
pub fn policies(side: Side) -> [Policy; 2] {
    let range = |first: &str, last: &str| {
        AddressRange::new(first.parse().unwrap(), last.parse().unwrap()).unwrap()
    };
    let v4 = |n| range(&format!("10.{n}.0.0"), &format!("10.{n}.255.255"));
    let v6 = |n| range(&format!("fd0{n}::"), &format!("fd0{n}:0:0:ffff:ffff:ffff:ffff:ffff"));
    let (ours, theirs) = if side == Side::A { (1, 2) } else { (2, 1) };
    [(v4(ours), v4(theirs)), (v6(ours), v6(theirs))].map(|(local, remote)| Policy {
        name: name("lab/net"),
        selector: Selector {
            local,
            remote,
            protocol: (0, 255),
            local_port: PortRange::ANY,
            remote_port: PortRange::ANY,
        },
        verdict: Verdict::Protect { tunnel: 0 },
    })
}
