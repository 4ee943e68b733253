//! A network namespace of this thread's own, veth pairs in it, and the redirecting XDP program.
//!
//! The namespace has no name and lives in the test's thread: when the thread ends, even by a panic,
//! the kernel removes the namespace and the interfaces in it.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libbpf_rs::{Link, MapCore, MapFlags, Object, ObjectBuilder};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The EtherType that the program redirects.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Runs `test` in a network namespace of its own.
pub fn alone(test: impl FnOnce() + Send) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes network namespaces and AF_XDP sockets: run it as root"
    );
    std::thread::scope(|scope| {
        let joined = scope.spawn(|| {
            // SAFETY: only the network namespace changes, of this thread alone; no descriptor
            // table or memory is unshared.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare(CLONE_NEWNET)");
            test();
        });
        joined.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs `ip` in this thread's namespace.
pub fn ip(line: &str) {
    let output = Command::new("ip").args(line.split_whitespace()).output();
    let output = output.expect("`ip` (Debian package iproute2) is needed");
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two interfaces with a wire between them, each redirecting to the sockets put into its map.
pub struct Veth {
    pub near: Interface,
    pub far: Interface,
}

impl Veth {
    /// Interfaces `xskt<name>n` and `xskt<name>f` with `queues` queues, up.
    pub fn new(name: &str, queues: u32) -> Self {
        let (near, far) = (format!("xskt{name}n"), format!("xskt{name}f"));
        let q = format!("numrxqueues {queues} numtxqueues {queues}");
        ip(&format!("link add {near} {q} type veth peer name {far} {q}"));
        for end in [&near, &far] {
            ip(&format!("link set {end} up addrgenmode none"));
        }
        Self { near: Interface::new(near), far: Interface::new(far) }
    }
}

pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    object: Object,
    _link: Link,
}

impl Interface {
    fn new(name: String) -> Self {
        let ifindex = ifindex(&name);
        let open = ObjectBuilder::default().open_memory(program()).expect("open the BPF object");
        let object = open.load().expect("load the BPF object");
        let redirect = object.progs_mut().next().expect("one program");
        let link = redirect.attach_xdp(ifindex as i32).expect("attach the XDP program");
        Self { name, ifindex, object, _link: link }
    }

    /// Packets of `queue` go to this socket from now on.
    pub fn feed(&self, queue: u32, socket: BorrowedFd<'_>) {
        let sockets = self.object.maps().next().expect("one map");
        let fd = socket.as_fd().as_raw_fd().to_ne_bytes();
        sockets.update(&queue.to_ne_bytes(), &fd, MapFlags::ANY).expect("put into the XSKMAP");
    }
}

/// The thread's own view: `/sys` shows the namespace it was mounted in, `ip` the right one.
fn ifindex(name: &str) -> u32 {
    let output = Command::new("ip").args(["-o", "link", "show", name]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(':').next().and_then(|n| n.parse().ok()).expect("an interface index")
}

/// The compiled program: clang runs once for all tests.
fn program() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let object = folder.path().join("redirect.bpf.o");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/veth/redirect.bpf.c");
        let multiarch = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let mut clang = Command::new("clang");
        clang.args(["-O2", "-g", "-Wall", "-target", "bpf", "-idirafter", &multiarch, "-c"]);
        let status = clang.arg(source).arg("-o").arg(&object).status();
        assert!(status.expect("clang is needed").success(), "redirect.bpf.c does not compile");
        fs::read(object).expect("the compiled object")
    })
}

/// A frame of the tests' EtherType: `n`, then octets that follow from it, `len` in all.
pub fn packet(n: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    packet.extend(ETHERTYPE);
    packet.extend(n.to_be_bytes());
    packet.extend((packet.len()..len).map(|at| (at as u32).wrapping_mul(31).wrapping_add(n) as u8));
    packet
}

/// Lengths from the shortest to the longest that Ethernet with MTU 1500 carries.
pub const fn length(n: u32) -> usize {
    18 + (n as usize * 37) % (1514 - 18 + 1)
}

/// Calls `step` until it says true. A minute without that is a failure, not a wait.
pub fn until(what: &str, mut step: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !step() {
        assert!(Instant::now() < patience, "waited a minute in vain: {what}");
        std::thread::yield_now();
    }
}
