//! A BPF file system of one's own, so that tests meet neither each other nor the machine's pins.
#![allow(dead_code)] // each test program uses its part
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::net::sockopt::{
    set_xdp_rx_ring_size, set_xdp_umem_completion_ring_size, set_xdp_umem_fill_ring_size,
    set_xdp_umem_reg,
};
use rustix::net::xdp::{XdpUmemReg, XdpUmemRegFlags};
use rustix::net::{AddressFamily, SocketType, socket};

pub mod frame;

/// Runs a command to its end; what it printed, or a panic that says what failed.
pub fn run(command: &str) -> String {
    let (output, success) = attempt(command);
    assert!(success, "`{command}` failed: {output}");
    output
}

/// The same, for commands that may fail.
pub fn attempt(command: &str) -> (String, bool) {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("`{command}` does not start: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

/// These tests load programs into the kernel. They do not skip themselves: without root they fail.
pub fn need_root() {
    assert_eq!(run("id -u").trim(), "0", "this test loads an XDP program: run it as root");
}

/// A BPF file system on a temporary directory, gone when dropped, and all pins with it.
pub struct BpfFs(tempfile::TempDir);

impl BpfFs {
    pub fn new() -> Self {
        need_root();
        let directory = tempfile::Builder::new().prefix("bpft-").tempdir().unwrap();
        run(&format!("mount -t bpf bpf {}", directory.path().display()));
        Self(directory)
    }
    pub fn pins(&self) -> PathBuf {
        self.0.path().join("postern")
    }
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = attempt(&format!("umount -l {}", self.0.path().display()));
    }
}

/// An AF_XDP socket with rings and UMEM (a page of `memory`), bound to nothing: enough for the map to take it. Its fill
/// ring stays empty, so that no frame is ever written.
pub fn unbound_socket(memory: &[u8]) -> OwnedFd {
    let socket = socket(AddressFamily::XDP, SocketType::RAW, None).unwrap();
    let start = memory.as_ptr().addr().next_multiple_of(4096);
    let umem = XdpUmemReg {
        addr: start as u64,
        len: 4096,
        chunk_size: 4096,
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    set_xdp_umem_reg(&socket, umem).unwrap();
    set_xdp_umem_fill_ring_size(&socket, 2).unwrap();
    set_xdp_umem_completion_ring_size(&socket, 2).unwrap();
    set_xdp_rx_ring_size(&socket, 2).unwrap();
    socket
}
