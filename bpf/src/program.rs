//! The loaded program.
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{MapHandle, Object, ProgramInput, ProgramMut};

use crate::attach::{self, Attached};
use crate::error::Error;
use crate::maps::{self, Layout, Map, address_key, prefix_key};
use crate::skeleton::{OpenPosternSkel, PosternSkel, PosternSkelBuilder};
use crate::{AttachMode, COUNTERS, Limits, Mode, QUEUES, Role, SLOTS, Verdict};

/// IANA's port for IKE and ESP behind NAT (RFC 3948).
const DEFAULT_ENCAP_PORT: u16 = 4500;

/// The loaded program and its maps. Dropping it leaves everything in place: see [`crate::detach_all`].
pub struct Program {
    pin_dir: PathBuf,
    object: &'static Object,
    maps: Maps,
    /// Ids of maps by which a program is known to be ours, from before this one was loaded too.
    ours: Vec<u32>,
    /// Held for as long as this lives.
    lock: File,
}

struct Maps {
    interfaces: Map,
    xsks: Map,
    locals: Map,
    peers: Map,
    protected_remote: Map,
    protected_local: Map,
    encap_ports: Map,
    counters: Map,
}

/// Pinned maps that no longer fit, in the order of [`Layout::all`].
type Replaced = [Option<MapHandle>; 8];

/// Adopts what is pinned, before the program is loaded.
fn adopt(open: &mut OpenPosternSkel<'_>, limits: Limits, dir: &Path) -> Result<Replaced, Error> {
    let [interfaces, xsks, locals, peers, remote, local, ports, counters] = Layout::all(limits);
    let maps = &mut open.maps;
    Ok([
        interfaces.adopt(&mut maps.interfaces, dir)?,
        xsks.adopt(&mut maps.xsks, dir)?,
        locals.adopt(&mut maps.locals, dir)?,
        peers.adopt(&mut maps.peers, dir)?,
        remote.adopt(&mut maps.protected_remote, dir)?,
        local.adopt(&mut maps.protected_local, dir)?,
        ports.adopt(&mut maps.encap_ports, dir)?,
        counters.adopt(&mut maps.counters, dir)?,
    ])
}

impl Maps {
    fn of(skeleton: &PosternSkel<'_>, limits: Limits) -> Result<Self, Error> {
        let [interfaces, xsks, locals, peers, remote, local, ports, counters] = Layout::all(limits);
        let maps = &skeleton.maps;
        Ok(Self {
            interfaces: Map::new(interfaces, &maps.interfaces)?,
            xsks: Map::new(xsks, &maps.xsks)?,
            locals: Map::new(locals, &maps.locals)?,
            peers: Map::new(peers, &maps.peers)?,
            protected_remote: Map::new(remote, &maps.protected_remote)?,
            protected_local: Map::new(local, &maps.protected_local)?,
            encap_ports: Map::new(ports, &maps.encap_ports)?,
            counters: Map::new(counters, &maps.counters)?,
        })
    }

    fn all(&mut self) -> [&mut Map; 8] {
        [
            &mut self.interfaces,
            &mut self.xsks,
            &mut self.locals,
            &mut self.peers,
            &mut self.protected_remote,
            &mut self.protected_local,
            &mut self.encap_ports,
            &mut self.counters,
        ]
    }

    /// Pins what is new, and says which maps are in use.
    fn establish(&mut self, replaced: Replaced, dir: &Path) -> Result<Vec<u32>, Error> {
        let fresh = !self.encap_ports.layout.pin(dir).exists();
        let mut ids = Vec::new();
        for (map, old) in self.all().into_iter().zip(replaced) {
            map.establish(old, dir)?;
            ids.push(map.id()?);
        }
        if fresh {
            self.encap_ports.put(&DEFAULT_ENCAP_PORT.to_be_bytes(), &[1])?;
        }
        Ok(ids)
    }
}

impl Program {
    /// Loads the program; adopts maps that an earlier process pinned under `pin_dir` (a directory on a BPF file
    /// system, made if it is not there). Nothing is attached yet. Refused while another process has them loaded.
    pub fn load(pin_dir: &Path, limits: Limits) -> Result<Self, Error> {
        let fault = |source| Error::Pin { path: pin_dir.into(), source };
        fs::create_dir_all(pin_dir).map_err(fault)?;
        let lock = crate::lock(pin_dir)?;
        let mut ours = crate::pinned_ids(pin_dir)?;
        // Loaded once and for the life of the process, as the program is used until its end.
        let storage = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = PosternSkelBuilder::default().open(storage).map_err(Error::Load)?;
        let replaced = adopt(&mut open, limits, pin_dir)?;
        let skeleton: &'static PosternSkel<'_> =
            Box::leak(Box::new(open.load().map_err(Error::Load)?));
        let mut maps = Maps::of(skeleton, limits)?;
        ours.extend(maps.establish(replaced, pin_dir)?);
        Ok(Self { pin_dir: pin_dir.into(), object: skeleton.object(), maps, ours, lock })
    }

    fn program(&self) -> Result<ProgramMut<'_>, Error> {
        let missing = || Error::Load(libbpf_rs::Error::from_raw_os_error(2));
        self.object.progs_mut().next().ok_or_else(missing)
    }

    /// Attaches to an interface, or adopts what an earlier process attached there, and sees to it that it is this
    /// program: replaced in one step if it is another version. `slot` is the interface's place in the map of
    /// sockets. Changing between native and generic takes the program off for a moment; `Mode::Any` never does.
    ///
    /// # Errors
    /// [`Error::Foreign`] if somebody else's program is there; [`Error::NotNative`] if the driver cannot and
    /// `mode` insists; [`Error::NoInterface`].
    pub fn attach(
        &self,
        ifindex: u32,
        role: Role,
        slot: u32,
        mode: Mode,
    ) -> Result<AttachMode, Error> {
        if slot >= SLOTS {
            return Err(Error::Place { slot, queue: 0 });
        }
        let found = self.ours_on(ifindex)?;
        self.sweep()?;
        self.configure(ifindex, role, slot)?;
        let program = self.program()?;
        match found {
            None => attach::begin(&program, &self.pin_dir, ifindex, mode),
            Some(found) if allows(mode, found.mode) => {
                self.renew(&program, ifindex, found)?;
                Ok(found.mode)
            }
            Some(found) => {
                attach::end(&self.lock, &self.pin_dir, ifindex, Some(found))?;
                attach::begin(&program, &self.pin_dir, ifindex, mode)
            }
        }
    }

    fn renew(&self, program: &ProgramMut<'_>, ifindex: u32, found: Attached) -> Result<(), Error> {
        let id = libbpf_rs::Program::id_from_fd(program.as_fd()).map_err(Error::Load)?;
        let pair = attach::program(id).zip(attach::program(found.id));
        if pair.is_some_and(|(new, old)| attach::same(&new, &old)) {
            return Ok(());
        }
        attach::renew(program, &self.pin_dir, ifindex, found.mode)
    }

    /// Gives an interface its role and slot, without attaching: [`Self::attach`] does this first.
    pub fn configure(&self, ifindex: u32, role: Role, slot: u32) -> Result<(), Error> {
        let mut value = [0; 8];
        let (first, second) = value.split_at_mut(4);
        first.copy_from_slice(&(role as u32).to_ne_bytes());
        second.copy_from_slice(&slot.to_ne_bytes());
        self.maps.interfaces.put(&ifindex.to_ne_bytes(), &value)
    }

    /// Interfaces come and go, and each time with a new index: forgets those that carry nothing.
    fn sweep(&self) -> Result<(), Error> {
        for ifindex in maps::numbers(&self.maps.interfaces.handle) {
            if attach::unless_gone(attach::query(self.lock.as_fd(), ifindex))?.is_none() {
                attach::clear_defunct(&attach::link_pin(&self.pin_dir, ifindex))?;
                self.maps.interfaces.remove(&ifindex.to_ne_bytes())?;
            }
        }
        Ok(())
    }

    /// Takes the program off one interface, which is then unprotected. Nothing there is fine.
    pub fn detach(&self, ifindex: u32) -> Result<(), Error> {
        let found = attach::unless_gone(self.ours_on(ifindex))?;
        attach::end(&self.lock, &self.pin_dir, ifindex, found)?;
        self.maps.interfaces.remove(&ifindex.to_ne_bytes())
    }

    /// Whether our program is on the interface now, and how; `None` if nothing is, or the interface is gone.
    /// Worth asking now and then: an administrator may have taken it off.
    ///
    /// # Errors
    /// [`Error::Foreign`] if somebody else's program is there.
    pub fn attached(&self, ifindex: u32) -> Result<Option<AttachMode>, Error> {
        Ok(attach::unless_gone(self.ours_on(ifindex))?.map(|found| found.mode))
    }

    /// The interfaces that carry our program: some may have been left by an earlier process that had others.
    pub fn interfaces(&self) -> Result<Vec<u32>, Error> {
        let mut carrying = Vec::new();
        for ifindex in maps::numbers(&self.maps.interfaces.handle) {
            if self.attached(ifindex)?.is_some() {
                carrying.push(ifindex);
            }
        }
        Ok(carrying)
    }

    fn ours_on(&self, ifindex: u32) -> Result<Option<Attached>, Error> {
        attach::ours_on(&self.lock, ifindex, &self.ours)
    }

    /// Frames of (slot, queue) go to this AF_XDP socket from now on. The socket must have its rings and UMEM.
    pub fn set_socket(&self, slot: u32, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let key = place(slot, queue)?;
        self.maps.xsks.put(&key.to_ne_bytes(), &socket.as_raw_fd().to_ne_bytes())
    }

    /// No socket any more: what is ours is dropped.
    pub fn clear_socket(&self, slot: u32, queue: u32) -> Result<(), Error> {
        self.maps.xsks.remove(&place(slot, queue)?.to_ne_bytes())
    }

    /// Our own addresses, all of them, whether of tunnels or not.
    pub fn set_locals(&self, addresses: &[IpAddr]) -> Result<(), Error> {
        self.maps.locals.replace(&keys(addresses))
    }

    /// Outer addresses of known peers: whose UDP fragments the data plane reassembles.
    pub fn set_peers(&self, addresses: &[IpAddr]) -> Result<(), Error> {
        self.maps.peers.replace(&keys(addresses))
    }

    /// Prefixes behind peers that some policy protects. Host bits are ignored.
    pub fn set_protected_remote(&self, prefixes: &[(IpAddr, u8)]) -> Result<(), Error> {
        self.maps.protected_remote.replace(&prefix_keys(prefixes)?)
    }

    /// Prefixes behind us that some policy protects. Host bits are ignored.
    pub fn set_protected_local(&self, prefixes: &[(IpAddr, u8)]) -> Result<(), Error> {
        self.maps.protected_local.replace(&prefix_keys(prefixes)?)
    }

    /// UDP ports on which ESP may arrive (RFC 3948), at most [`crate::ENCAP_PORTS`]; 4500 unless set.
    pub fn set_udp_encap_ports(&self, ports: &[u16]) -> Result<(), Error> {
        let keys: Vec<_> = ports.iter().map(|port| port.to_be_bytes()).collect();
        self.maps.encap_ports.replace(&keys)
    }

    /// Every way a frame can end here, by name, summed over the CPUs. They count on over restarts.
    pub fn counters(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        let numbered = COUNTERS.iter().zip(0_u32..);
        numbered
            .map(|(name, key)| Ok((*name, self.maps.counters.sum(&key.to_ne_bytes())?)))
            .collect()
    }

    /// Asks the kernel what the program does with a frame of an interface and queue, without sending it anywhere.
    /// It is counted as if it had come. The kernel refuses frames shorter than an Ethernet header.
    pub fn judge(&self, ifindex: u32, queue: u32, frame: &[u8]) -> Result<Verdict, Error> {
        let octets = frame.len();
        let fault = |source| Error::Trial { octets, ifindex, queue, source };
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let fields = [0, u32::try_from(octets).unwrap_or(u32::MAX), 0, ifindex, queue, 0];
        let mut context: Vec<u8> = fields.iter().flat_map(|field| field.to_ne_bytes()).collect();
        let run = self.program()?.test_run(ProgramInput {
            context_in: Some(&mut context),
            data_in: Some(frame),
            ..Default::default()
        });
        match run.map_err(fault)?.return_value {
            libbpf_rs::libbpf_sys::XDP_PASS => Ok(Verdict::Pass),
            libbpf_rs::libbpf_sys::XDP_REDIRECT => Ok(Verdict::Redirect),
            _ => Ok(Verdict::Drop),
        }
    }
}

fn allows(asked: Mode, found: AttachMode) -> bool {
    match asked {
        Mode::Any => true,
        Mode::Native => found == AttachMode::Native,
        Mode::Generic => found == AttachMode::Generic,
    }
}

fn place(slot: u32, queue: u32) -> Result<u32, Error> {
    if slot >= SLOTS || queue >= QUEUES {
        return Err(Error::Place { slot, queue });
    }
    Ok(slot * QUEUES + queue)
}

fn keys(addresses: &[IpAddr]) -> Vec<[u8; 20]> {
    addresses.iter().map(|address| address_key(*address)).collect()
}

fn prefix_keys(prefixes: &[(IpAddr, u8)]) -> Result<Vec<[u8; 24]>, Error> {
    prefixes.iter().map(|(address, length)| prefix_key(*address, *length)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Program>();
    }

    #[test]
    fn places_stay_inside_the_map_of_sockets() {
        assert_eq!(place(0, 0).unwrap(), 0);
        assert_eq!(place(SLOTS - 1, QUEUES - 1).unwrap(), SLOTS * QUEUES - 1);
        for (slot, queue) in [(SLOTS, 0), (0, QUEUES), (u32::MAX, u32::MAX)] {
            assert!(matches!(place(slot, queue), Err(Error::Place { .. })));
        }
    }
}
