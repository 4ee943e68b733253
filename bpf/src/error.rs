//! What can go wrong, and what to do about it.
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Why the program could not be loaded, attached or told something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the program or its maps.
    #[error(
        "the kernel refused the XDP program: {0}. It needs root (CAP_BPF, CAP_NET_ADMIN) and Linux 5.10 or later"
    )]
    Load(#[source] libbpf_rs::Error),
    /// A pin could not be made, opened or removed.
    #[error("{path}: {source}. Pins must lie on a BPF file system: mount -t bpf bpf /sys/fs/bpf")]
    Pin {
        /// The pin, or the directory of pins.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another living process works with these pins.
    #[error("{0} is in use by another data plane: stop that one, or choose another pin directory")]
    InUse(PathBuf),
    /// The pins belong to an interface of another network namespace.
    #[error(
        "{path} holds an attachment to interface {ifindex} of another network namespace: \
         choose another pin directory for this one"
    )]
    Elsewhere {
        /// The link's pin.
        path: PathBuf,
        /// The interface index both namespaces use.
        ifindex: u32,
    },
    /// Somebody else's XDP program is on the interface.
    #[error(
        "interface {ifindex} carries another XDP program, id {id} \"{name}\": remove it \
         (`ip link set dev IF xdp off`, or `bpftool link` and `bpftool link detach id N`), \
         or leave this interface to it"
    )]
    Foreign {
        /// The interface.
        ifindex: u32,
        /// The other program's id, as `bpftool prog show id` takes it.
        id: u32,
        /// The other program's name, empty if it went meanwhile.
        name: String,
    },
    /// The interface cannot run the program in its driver.
    #[error(
        "interface {ifindex} has no native XDP: {reason}. Lower its MTU or queues if the driver asks for that, or require `any`"
    )]
    NotNative {
        /// The interface.
        ifindex: u32,
        /// What the kernel or driver said.
        reason: String,
    },
    /// Attaching, updating or detaching failed.
    #[error("cannot {what} the XDP program on interface {ifindex}: {source}")]
    Attach {
        /// `attach`, `update`, `detach`, `query`.
        what: &'static str,
        /// The interface.
        ifindex: u32,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
    /// There is no such interface (any more).
    #[error("there is no interface {0} in this network namespace")]
    NoInterface(u32),
    /// A slot or queue that has no place in the map of sockets.
    #[error(
        "slot {slot}, queue {queue}: there are {} slots with {} queues each",
        crate::SLOTS,
        crate::QUEUES
    )]
    Place {
        /// The interface's slot.
        slot: u32,
        /// Its receive queue.
        queue: u32,
    },
    /// More entries than the map was made for.
    #[error("{wanted} entries for {map}, which holds {limit}: raise the limit and start again")]
    Full {
        /// The map.
        map: &'static str,
        /// Entries asked for.
        wanted: usize,
        /// Entries it may hold.
        limit: usize,
    },
    /// A prefix longer than an address.
    #[error("{0}/{1} is longer than the address")]
    PrefixLength(IpAddr, u8),
    /// Reading or writing a map failed.
    #[error("map {map}: {source}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
    /// A trial run was refused.
    #[error("a trial run of {octets} octets on interface {ifindex}, queue {queue}: {source}")]
    Trial {
        /// The frame's length.
        octets: usize,
        /// The interface that it is said to come from.
        ifindex: u32,
        /// The receive queue that it is said to come from.
        queue: u32,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
}
