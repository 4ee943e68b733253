//! From nothing to packets: the order in which everything is made, and the order in which it ends.
//!
//! Fail closed is the order's reason. What policy protects is in the XDP program's maps before the program is attached;
//! the program is attached before a socket is bound; and nothing of it is taken away at the end: the pinned program
//! goes on dropping what it would have sent to us, until the next start or `--detach`.
use crate::bell::Bell;
use crate::keeper::{Keeper, Parts};
use crate::mirror::Mirror;
use crate::netlink::NetlinkError;
use crate::ports::{self, PortError, Ports};
use crate::report::{self, PinError};
use crate::routes::{self, KernelRoutes};
use crate::seat::{self, Seat};
use crate::tables::Shared;
use crate::tun::{self, TunError, TunPort};
use crate::worker::{Config, NoPlace, PortRole, Worker};
use bpf::{Limits, Program};
use core::time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sadb::link::{Accepted, ControlLink, LinkError, Listener};
use sadb::{Name, Region, Role, Setup};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use xsk::{Pool, Port, Umem, UmemError};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the socket lies.
    pub run_dir: PathBuf,
    /// Where program, maps and links are pinned.
    pub pin: PathBuf,
}

/// Why the data plane does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No place for the pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The directory for the socket.
    #[error("{path}: {source}")]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The handshake with control.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The region control gave us.
    #[error("control's region cannot be used: {0}")]
    Region(String),
    /// The kernel's tables.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel did not list its tables in time.
    #[error("the kernel did not list links and routes within {0:?}")]
    NoView(Duration),
    /// Frames.
    #[error(transparent)]
    Umem(#[from] UmemError),
    /// The XDP program.
    #[error(transparent)]
    Bpf(#[from] bpf::Error),
    /// The TUN device.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// An interface.
    #[error("interface {0}: {1}")]
    Interface(Name, PortError),
    /// A worker's counters.
    #[error(transparent)]
    Worker(#[from] NoPlace),
    /// The environment asks for a crypto backend that is not there.
    #[error(transparent)]
    Crypto(#[from] crypto::NoSuchBackend),
    /// A small thing the system refused.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
    /// A worker or the mirror ended by itself, which it never should.
    #[error(
        "a thread ended unexpectedly; what policy protects is dropped until the data plane runs again"
    )]
    ThreadEnded,
}

impl From<Errno> for StartError {
    fn from(errno: Errno) -> Self {
        Self::System("eventfd", errno.into())
    }
}

/// The kernel has this long to list its tables; a million routes take a few seconds.
const FIRST_VIEW: Duration = Duration::from_secs(60);

/// Runs until `stop` is set.
///
/// # Errors
/// Whatever keeps packets from being carried.
pub fn run(options: &Options, stop: &AtomicBool) -> Result<(), StartError> {
    let tested = choose_crypto()?;
    report::raise_memlock();
    report::bpf_file_system(&options.pin)?;
    let failed = |source| StartError::RunDir { path: options.run_dir.clone(), source };
    std::fs::create_dir_all(&options.run_dir).map_err(failed)?;
    let listener = Listener::bind(&options.run_dir.join("dataplane.sock"))?;
    tracing::info!(run_dir = %options.run_dir.display(), "waiting for control");
    let Some(control) = wait_for_control(&listener, stop)? else { return Ok(()) };
    tracing::info!(pid = control.pid, "control is connected");
    if let Some(status) = crypto_status(tested) {
        control.region.set_crypto(&status);
    }
    let (mut keeper, crew) = build(options, listener, control)?;
    let (umem, frames) = (crew.umem, crew.setup.frames);
    let workers = crew.start(&mut keeper)?;
    tracing::info!(workers = workers.handles.len(), "carrying packets");
    keeper.run(stop, || !workers.handles.iter().any(JoinHandle::is_finished));
    let ended = !stop.load(Ordering::Acquire);
    workers.end();
    drop(keeper); // with ports that no worker took
    // In copy mode all of them; in zero-copy mode those that a device may still write to rest for a while.
    tracing::info!(home = umem.spare(), frames, "frames came home");
    tracing::info!("stopped; the XDP program stays and drops what policy protects (fail closed)");
    if ended { Err(StartError::ThreadEnded) } else { Ok(()) }
}

/// Takes the XDP program off, and routes, rules and the TUN device away.
///
/// # Errors
/// What could not be removed; the rest is.
pub fn detach(options: &Options, tun: &str) -> Result<(), StartError> {
    let program = bpf::detach_all(&options.pin);
    if let Err(error @ bpf::Error::InUse(_)) = program {
        return Err(error.into()); // it would lose its routes and go on
    }
    routes::remove_all(tun)?;
    Ok(program?)
}

/// The tier of packet crypto, tested before any key is built.
fn choose_crypto() -> Result<&'static crypto::SelfTest, StartError> {
    let wanted = std::env::var_os(crypto::VARIABLE).filter(|name| !name.is_empty());
    let wanted = wanted.map(|name| name.to_string_lossy().into_owned());
    let tested = crypto::start(wanted.as_deref())?;
    tracing::info!(backend = tested.backend.name, "packet crypto is tested");
    for kernel in tested.fallbacks.names() {
        tracing::error!(
            kernel,
            "this kernel disagrees with portable code, which runs in its stead, slower: please report it \
             with the CPU's model"
        );
    }
    Ok(tested)
}

/// `None`: a name that no status could show, and there is none such.
fn crypto_status(tested: &crypto::SelfTest) -> Option<sadb::CryptoStatus> {
    Some(sadb::CryptoStatus {
        backend: Name::new(tested.backend.name)?,
        fallbacks: tested.fallbacks.names().filter_map(Name::new).collect(),
    })
}

fn wait_for_control(
    listener: &Listener,
    stop: &AtomicBool,
) -> Result<Option<ControlLink>, StartError> {
    let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while !stop.load(Ordering::Acquire) {
        match listener.accept(None) {
            Ok(Some(Accepted::Control(link))) => return Ok(Some(link)),
            Ok(Some(Accepted::Reader)) => continue,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a connection was turned down"),
        }
        let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&pause));
    }
    Ok(None)
}

/// What the workers are made of, before they run.
struct Crew {
    setup: Setup,
    umem: &'static Umem,
    shared: Arc<Shared>,
    seats: Vec<Arc<Seat>>,
    tuns: Vec<TunPort>,
}

/// The workers' threads.
struct Workers {
    handles: Vec<JoinHandle<()>>,
    seats: Vec<Arc<Seat>>,
}

fn build(
    options: &Options,
    listener: Listener,
    control: ControlLink,
) -> Result<(Keeper, Crew), StartError> {
    let region = control.region.clone();
    let setup = region.setup().map_err(|error| StartError::Region(error.to_string()))?;
    let setup = as_many_workers_as_queues(setup);
    let bell = Bell::new()?;
    let tun = setup.tun.as_str();
    let mirror = Mirror::start(setup.interfaces.clone(), tun.into(), bell.clone())?;
    let view = mirror.wait(FIRST_VIEW).ok_or(StartError::NoView(FIRST_VIEW))?;
    let umem = Umem::with_large(setup.frames, setup.frame_size, large_frames(&setup))?;
    let program = Program::load(&options.pin, Limits::default())?;
    let outside = view.interfaces.iter().filter(|i| i.role == Role::Outside && i.mtu > 0);
    let mtu = tun_mtu(outside.map(|i| i.mtu).min(), setup.frame_size);
    let tuns = tun::open(tun, mtu, setup.cores.len())?;
    let tun_index = link_index(tun)?;
    routes::set_up(tun_index)?;
    let routes = KernelRoutes::adopt(tun_index)?;
    let requests = end_of_the_rings(&region)?;
    let shared = Arc::new(Shared::new(region, &setup));
    let seats = setup.cores.iter().map(|_| Ok(Arc::new(Seat::new()?)));
    let seats = seats.collect::<Result<Vec<_>, StartError>>()?;
    let ports = Ports::new(program, umem, setup.frames, &setup.interfaces, setup.cores.len());
    let crew = Crew { setup, umem, shared: Arc::clone(&shared), seats: seats.clone(), tuns };
    let control = Some(control);
    let parts =
        Parts { shared, requests, ports, seats, mirror, view, routes, listener, control, bell };
    Ok((Keeper::new(parts), crew))
}

impl Crew {
    fn start(self, keeper: &mut Keeper) -> Result<Workers, StartError> {
        let adopted = keeper.adopt();
        if adopted > 0 {
            tracing::info!(sas = adopted, "SAs live on, with their numbers and windows");
        }
        let mut rows = keeper.open().map_err(|(name, error)| StartError::Interface(name, error))?;
        let mut handles = Vec::new();
        let seats = self.seats.clone();
        for (index, tun) in self.tuns.into_iter().enumerate() {
            // Row by row, the next worker's port: every row has one for each.
            let interfaces = self.setup.interfaces.iter().zip(&mut rows);
            let ports = interfaces.filter(|(_, row)| !row.is_empty()).map(|(interface, row)| {
                let role = match interface.role {
                    Role::Inside => PortRole::Inside,
                    Role::Outside => PortRole::Outside,
                };
                (role, row.remove(0))
            });
            let tun: Box<dyn Port> = Box::new(tun);
            let ports = ports.chain([(PortRole::Kernel, tun)]).collect();
            let config = config(&self.setup, seats.clone());
            let pool = Pool::new(self.umem);
            let worker = Worker::new(index, ports, pool, Arc::clone(&self.shared), config)?;
            let core = self.setup.cores.get(index).copied().unwrap_or_default();
            let Some(seat) = seats.get(index).cloned() else { continue };
            let handle = seat::start(index, core, self.setup.idle, worker, seat);
            handles.push(handle.map_err(|error| StartError::System("start a worker", error))?);
        }
        Ok(Workers { handles, seats })
    }
}

impl Workers {
    /// Each ends after its turn; its sockets close when it drops them.
    fn end(self) {
        self.seats.iter().for_each(|seat| seat.stop());
        for handle in self.handles {
            if handle.join().is_err() {
                tracing::error!(
                    "a worker panicked: this is a bug, please report it with the lines above"
                );
            }
        }
    }
}

/// Frames for outer packets that arrive in pieces and fit no ordinary frame: 4 MiB at most, for all workers together.
fn large_frames(setup: &Setup) -> u32 {
    setup.reassembly_slots.div_ceil(2).min(64)
}

fn config(setup: &Setup, seats: Vec<Arc<Seat>>) -> Config {
    Config {
        reassembly_slots: usize::try_from(setup.reassembly_slots).unwrap_or(usize::MAX),
        reassembly_timeout: Duration::from_millis(u64::from(setup.reassembly_ms)),
        wake: Some(Box::new(move |worker| {
            if let Some(seat) = seats.get(worker) {
                seat.wake();
            }
        })),
    }
}

fn end_of_the_rings(region: &Region) -> Result<sadb::DataPlane, StartError> {
    let taken = || StartError::Region("its data plane end is taken by this process already".into());
    region.data_plane().ok_or_else(taken)
}

/// A worker needs a queue of its own on every interface, to send by as well as to receive.
fn as_many_workers_as_queues(mut setup: Setup) -> Setup {
    for interface in &setup.interfaces {
        // An interface that is away is bound when it comes; it is asked for its queues then.
        let Ok(ifindex) = link_index(interface.name.as_str()) else { continue };
        let have = ports::queues(interface.name.as_str(), ifindex);
        let wanted = setup.cores.len();
        if wanted > have as usize {
            tracing::warn!(
                name = %interface.name, queues = have, cores = wanted,
                "fewer queues than cores: {have} workers run. More with `ethtool -L {} combined {wanted}`",
                interface.name
            );
            setup.cores.truncate(have as usize);
        }
    }
    setup
}

/// So that the kernel's packets fit into the tunnel whole: the outside MTU less the most that ESP in UDP over IPv6
/// adds (40 + 8 + 8 + 16 + 2 + 15 + 32 octets), never below IPv6's least (RFC 8200 §5), never above a frame.
fn tun_mtu(outside: Option<u16>, frame_size: u32) -> u16 {
    let frame = u16::try_from(frame_size.saturating_sub(512)).unwrap_or(u16::MAX);
    outside.unwrap_or(1500).saturating_sub(121).min(frame).max(1280)
}

fn link_index(name: &str) -> Result<u32, StartError> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None);
    socket
        .and_then(|socket| rustix::net::netdevice::name_to_index(socket, name))
        .map_err(|errno| StartError::System("find the link", errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_that_can_fall_back_can_be_shown() {
        let tested = crypto::start(None).unwrap();
        let status = crypto_status(tested).unwrap();
        assert_eq!(status.backend.as_str(), tested.backend.name);
        assert_eq!(status.fallbacks.len(), tested.fallbacks.names().count());
        assert!(crypto::Fallbacks::ALL.names().all(|name| Name::new(name).is_some()));
    }

    #[test]
    fn the_tun_leaves_room_for_the_outer_headers_and_never_undercuts_ipv6() {
        for (outside, frame_size, mtu) in [
            (Some(1500), 2048, 1379),
            (Some(1280), 2048, 1280),
            (Some(9000), 2048, 1536),
            (None, 4096, 1379),
        ] {
            assert_eq!(tun_mtu(outside, frame_size), mtu, "{outside:?}");
        }
    }
}
