//! The mirror: a thread that follows the kernel's links, addresses, routes and neighbours and says what they mean
//! for packets. So FRR, systemd-networkd and `ip route` just work.
//!
//! It dumps first, then follows. Changes are gathered for a few milliseconds before a new [`View`] is made. When the
//! kernel lost notifications (ENOBUFS), or changed something that it does not tell (IPv4 routes of a link that went
//! down), everything is read again. The route tables other than main are not looked at: what
//! [`crate::routes`] puts into its own table never comes back as a next hop.
//!
//! Neighbours are the kernel's business too. When a packet waits for one, the kernel is told that the entry is in use
//! (`RTM_NEWNEIGH` with `NTF_USE`: what `ip neigh add … use` sends) and asks by ARP or ND; the answer comes back as a
//! notification. Since the kernel does not see our packets, entries in use would go stale unnoticed: gateways and
//! neighbours that were asked for are used again at intervals, so that a changed address is found.
use crate::bell::Bell;
use crate::fib::{Fib, RouteKind};
use crate::kernel::{Effect, Kernel, Link};
use crate::netlink::{self, Message, Netlink, NetlinkError};
use crate::tables::{InterfaceInfo, LocalAddresses, Tags, Vlan};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use crossbeam_queue::ArrayQueue;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Rt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sadb::{Interface, Name, Role};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// Changes within this time make one view.
const GATHER: Duration = Duration::from_millis(5);
/// A full re-read happens at most this often.
const RESYNC_GAP: Duration = Duration::from_millis(250);
/// How often neighbours in use are confirmed.
const CONFIRM: Duration = Duration::from_secs(20);
/// Neighbours remembered as in use; beyond this the oldest by order goes.
const IN_USE: usize = 4096;

/// What the kernel's tables mean for packets, at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// Routes and neighbours, ready for lookup.
    pub fib: Fib,
    /// One per interface of the setup, in its order.
    pub interfaces: Vec<InterfaceInfo>,
    /// The gateway's addresses.
    pub locals: LocalAddresses,
    /// Destinations behind inside interfaces: kernel traffic to them stays out of tunnels.
    pub inside: BTreeSet<(IpAddr, u8)>,
    /// The TUN device: its number, and whether it is up. `None`: it is gone.
    pub tun: Option<(u32, bool)>,
}

/// The thread's handle.
pub struct Mirror {
    views: Receiver<View>,
    asks: Arc<ArrayQueue<(u32, IpAddr)>>,
    bell: Bell,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    /// Starts following. `news` rings when there is a new view.
    pub fn start(
        interfaces: Vec<Interface>,
        tun: String,
        news: Bell,
    ) -> Result<Self, NetlinkError> {
        let (sender, views) = channel();
        let asks = Arc::new(ArrayQueue::new(256));
        let bell = Bell::new().map_err(|errno| NetlinkError::Socket { what: "eventfd", errno })?;
        let stop = Arc::new(AtomicBool::new(false));
        let names = Names { interfaces, tun };
        let mut follower = Follower::new(names, Arc::clone(&asks), bell.clone())?;
        let ended = Arc::clone(&stop);
        let run = move || follower.run(&sender, &news, &ended);
        let thread = std::thread::Builder::new().name("mirror".into()).spawn(run);
        let thread = thread.map_err(|error| NetlinkError::Socket {
            what: "start a thread",
            errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::AGAIN),
        })?;
        Ok(Self { views, asks, bell, stop, thread: Some(thread) })
    }

    /// The latest view that has not been taken yet.
    pub fn take(&self) -> Option<View> {
        self.views.try_iter().last()
    }

    /// Waits for the next view, e.g. the first.
    pub fn wait(&self, at_most: Duration) -> Option<View> {
        let first = self.views.recv_timeout(at_most).ok()?;
        Some(self.take().unwrap_or(first))
    }

    /// Whether the thread runs. It ends by itself only by a bug.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets the kernel resolve a neighbour. Lossy when asked too often: the packet's sender asks again.
    pub fn resolve(&self, ifindex: u32, address: IpAddr) {
        if self.asks.push((ifindex, address)).is_ok() {
            self.bell.ring();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Names {
    interfaces: Vec<Interface>,
    tun: String,
}

struct Follower {
    names: Names,
    asks: Arc<ArrayQueue<(u32, IpAddr)>>,
    bell: Bell,
    netlink: Netlink,
    kernel: Kernel,
    /// What is being read anew, with the dumps that are still to come and the one that runs.
    loading: Option<(Kernel, VecDeque<Rt>, u32)>,
    resync_at: Option<Instant>,
    publish_at: Option<Instant>,
    gather: Duration,
    confirm_at: Instant,
    in_use: BTreeSet<(u32, IpAddr)>,
}

impl Follower {
    fn new(
        names: Names,
        asks: Arc<ArrayQueue<(u32, IpAddr)>>,
        bell: Bell,
    ) -> Result<Self, NetlinkError> {
        let groups = netlink::GROUP_LINK
            | netlink::GROUP_NEIGHBOUR
            | netlink::GROUP_IPV4_ADDRESS
            | netlink::GROUP_IPV6_ADDRESS
            | netlink::GROUP_IPV4_ROUTE
            | netlink::GROUP_IPV6_ROUTE;
        let now = Instant::now();
        Ok(Self {
            names,
            asks,
            bell,
            netlink: Netlink::open(groups)?,
            kernel: Kernel::default(),
            loading: None,
            resync_at: Some(now),
            publish_at: None,
            gather: GATHER,
            confirm_at: now + CONFIRM,
            in_use: BTreeSet::new(),
        })
    }

    fn run(&mut self, views: &Sender<View>, news: &Bell, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let due = [self.resync_at, self.publish_at, Some(self.confirm_at)];
            self.wait(due.into_iter().flatten().min());
            self.bell.answer();
            if let Err(error) = self.step(views, news) {
                tracing::warn!(%error, "mirror of the kernel's tables");
                self.loading = None;
                self.resync_at = Some(Instant::now() + RESYNC_GAP);
            }
        }
    }

    fn wait(&self, until: Option<Instant>) {
        let left = until.map_or(CONFIRM, |at| at.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds =
            [PollFd::new(&self.netlink, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&timeout)); // EINTR: the loop comes round
    }

    fn step(&mut self, views: &Sender<View>, news: &Bell) -> Result<(), NetlinkError> {
        loop {
            let messages = self.netlink.receive(false)?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                self.take_in(message)?;
            }
        }
        let now = Instant::now();
        while let Some((ifindex, address)) = self.asks.pop() {
            self.remember(ifindex, address);
            self.use_neighbour(ifindex, address)?;
        }
        if self.loading.is_none() && self.resync_at.is_some_and(|at| at <= now) {
            self.resync_at = None;
            self.load()?;
        }
        if self.confirm_at <= now {
            self.confirm_at = now + CONFIRM;
            self.confirm()?;
        }
        if self.publish_at.is_some_and(|at| at <= now) {
            self.publish_at = None;
            self.publish(now, views, news);
        }
        Ok(())
    }

    fn take_in(&mut self, message: Message) -> Result<(), NetlinkError> {
        let running = self.loading.as_ref().map(|(.., sequence)| *sequence);
        match message {
            Message::Entry { flags, inner, .. } => self.entry(&inner, flags),
            Message::Done { sequence, consistent } if running == Some(sequence) => {
                if !consistent {
                    tracing::debug!("a table changed while it was read; all are read again");
                    return self.load();
                }
                self.next_dump()?;
            }
            Message::Answer { sequence, errno: Some(errno) } if running == Some(sequence) => {
                // E.g. a kernel without IPv6: that table stays empty.
                tracing::debug!(%errno, "a table cannot be read");
                self.next_dump()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, inner: &Rt, flags: u16) {
        if let Some((fresh, ..)) = &mut self.loading {
            if fresh.apply(inner, flags) == Effect::Resync {
                self.resync_at.get_or_insert(Instant::now() + RESYNC_GAP);
            }
            return;
        }
        match self.kernel.apply(inner, flags) {
            Effect::None => {}
            Effect::Changed => self.changed(),
            Effect::Resync => {
                self.changed();
                self.resync_at.get_or_insert(Instant::now() + RESYNC_GAP / 10);
            }
        }
    }

    fn changed(&mut self) {
        self.publish_at.get_or_insert(Instant::now() + self.gather);
    }

    fn load(&mut self) -> Result<(), NetlinkError> {
        let mut dumps =
            VecDeque::from([Rt::GetLink(Default::default()), Rt::GetAddress(Default::default())]);
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut route = RouteMessage::default();
            route.header.address_family = family;
            let mut neighbour = NeighbourMessage::default();
            neighbour.header.family = family;
            dumps.extend([Rt::GetRoute(route), Rt::GetNeighbour(neighbour)]);
        }
        self.loading = Some((Kernel::default(), dumps, 0));
        self.next_dump()
    }

    fn next_dump(&mut self) -> Result<(), NetlinkError> {
        let Some((fresh, dumps, sequence)) = &mut self.loading else { return Ok(()) };
        if let Some(dump) = dumps.pop_front() {
            *sequence = self.netlink.send(dump, NLM_F_DUMP)?;
            return Ok(());
        }
        self.kernel = core::mem::take(fresh);
        self.loading = None;
        self.changed();
        Ok(())
    }

    fn publish(&mut self, now: Instant, views: &Sender<View>, news: &Bell) {
        let view = self.names.view(&self.kernel);
        self.in_use.retain(|(on, _)| view.interfaces.iter().any(|port| port.carries(*on)));
        for route in self.kernel.routes() {
            if let RouteKind::Via { gateway: Some(gateway), ifindex } = route.kind
                && view.interfaces.iter().any(|port| port.carries(ifindex))
                && self.in_use.len() < IN_USE
            {
                self.in_use.insert((ifindex, gateway));
            }
        }
        // A large table takes long to lay out: then changes are gathered longer, so that most time is left.
        self.gather = GATHER.max(now.elapsed() * 8);
        if views.send(view).is_ok() {
            news.ring();
        }
    }

    fn remember(&mut self, ifindex: u32, address: IpAddr) {
        if self.in_use.len() >= IN_USE {
            self.in_use.pop_first();
        }
        self.in_use.insert((ifindex, address));
    }

    fn confirm(&mut self) -> Result<(), NetlinkError> {
        let stale: Vec<_> = self.in_use.iter().copied().collect();
        for (ifindex, address) in stale {
            if self.kernel.is_stale(ifindex, address) {
                self.use_neighbour(ifindex, address)?;
            }
        }
        Ok(())
    }

    fn use_neighbour(&mut self, ifindex: u32, address: IpAddr) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = ifindex;
        message.header.flags = NeighbourFlags::Use;
        let (family, to) = match address {
            IpAddr::V4(to) => (AddressFamily::Inet, NeighbourAddress::Inet(to)),
            IpAddr::V6(to) => (AddressFamily::Inet6, NeighbourAddress::Inet6(to)),
        };
        message.header.family = family;
        message.attributes.push(NeighbourAttribute::Destination(to));
        // Not waited for: a refusal (the link just went) comes back as an answer that nobody expects.
        self.netlink.send(Rt::NewNeighbour(message), NLM_F_CREATE).map(drop)
    }
}

impl Names {
    fn view(&self, kernel: &Kernel) -> View {
        let interfaces: Vec<_> = self
            .interfaces
            .iter()
            .enumerate()
            .map(|(port, interface)| info(port, interface, kernel))
            .collect();
        let routes: Vec<_> = kernel.routes().collect();
        let neighbours: Vec<_> = kernel.neighbours().collect();
        let behind_inside = |ifindex| {
            let mut ports = interfaces.iter();
            ports.any(|port| port.carries(ifindex) && port.role == Role::Inside)
        };
        let inside = routes.iter().filter(|route| {
            let RouteKind::Via { ifindex, .. } = route.kind else { return false };
            route.prefix_len > 0 && behind_inside(ifindex) && !link_local(route.destination)
        });
        View {
            inside: inside.map(|route| (route.destination, route.prefix_len)).collect(),
            fib: Fib::new(&routes, &neighbours, &interfaces),
            locals: LocalAddresses::new(kernel.locals(), broadcasts(kernel, &interfaces)),
            tun: kernel.link(&self.tun).map(|(ifindex, link)| (ifindex, link.up)),
            interfaces,
        }
    }
}

fn info(port: usize, interface: &Interface, kernel: &Kernel) -> InterfaceInfo {
    let link = kernel.link(interface.name.as_str());
    let ifindex = link.map_or(0, |(ifindex, _)| ifindex);
    let mtu = link.map_or(0, |(_, link)| u16::try_from(link.mtu).unwrap_or(u16::MAX));
    InterfaceInfo {
        port,
        ifindex,
        mac: link.map(|(_, link)| link.mac).unwrap_or_default(),
        mtu,
        role: interface.role,
        name: interface.name,
        up: link.is_some_and(|(_, link)| link.up),
        complete_checksums: interface.complete_checksums,
        addresses: addresses(kernel, ifindex),
        vlans: vlans(kernel, ifindex, mtu),
        driver: link.and_then(|(_, link)| driver(link)),
    }
}

fn addresses(kernel: &Kernel, ifindex: u32) -> Vec<IpAddr> {
    kernel.addresses_on(ifindex).map(|(address, _)| address).collect()
}

/// Those that are up. A route over one that is down leads nowhere.
fn vlans(kernel: &Kernel, port: u32, port_mtu: u16) -> Vec<Vlan> {
    let up = kernel.vlans_on(port).filter(|(_, link, _)| link.up);
    let vlan = |(ifindex, link, tags): (u32, &Link, Tags)| Vlan {
        ifindex,
        mac: link.mac,
        mtu: vlan_mtu(u16::try_from(link.mtu).unwrap_or(u16::MAX), port_mtu, tags),
        tags,
        addresses: addresses(kernel, ifindex),
    };
    up.map(vlan).collect()
}

/// Every driver takes a frame with one tag more than its MTU says (`VLAN_HLEN`, linux/if_vlan.h). The second tag of
/// our frames must fit below the port's MTU: many drivers, veth among them, drop what is longer.
fn vlan_mtu(own: u16, port: u16, tags: Tags) -> u16 {
    match tags {
        Tags::One(_) => own,
        Tags::Two { .. } => own.min(port.saturating_sub(4)),
    }
}

/// The name of the driver behind a real device, or of the kind of a virtual link. `/sys/bus`, unlike `/sys/class/net`,
/// is the same in every network namespace.
fn driver(link: &Link) -> Option<Name> {
    if let Some((bus, name)) = &link.device
        && let Ok(driver) = std::fs::read_link(format!("/sys/bus/{bus}/devices/{name}/driver"))
    {
        return Name::new(driver.file_name()?.to_str()?);
    }
    Name::new(link.kind.as_deref()?)
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
    }
}

/// The directed broadcast address of each IPv4 network on our ports and their VLANs that has one (RFC 3021: not /31 and /32).
fn broadcasts<'k>(
    kernel: &'k Kernel,
    interfaces: &'k [InterfaceInfo],
) -> impl Iterator<Item = IpAddr> + 'k {
    let ports = interfaces.iter().filter(|port| port.ifindex != 0);
    let links = ports.flat_map(|port| {
        core::iter::once(port.ifindex).chain(port.vlans.iter().map(|vlan| vlan.ifindex))
    });
    links.flat_map(|link| kernel.addresses_on(link)).filter_map(|(address, len)| {
        let IpAddr::V4(address) = address else { return None };
        let hosts = u32::MAX.checked_shr(u32::from(len)).filter(|_| len < 31)?;
        Some(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | hosts)))
    })
}
