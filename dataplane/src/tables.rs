//! What every worker reads: published whole, replaced whole, never changed in place.
use crate::fib::{Fib, Mac};
use crate::handoff::Inbox;
use crate::notice::Notice;
use crate::ranges::Number;
use crate::sad::Sad;
use crate::spd::Spd;
use arc_swap::ArcSwap;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam_queue::ArrayQueue;
use sadb::{Name, Region, Role, Setup};
use wire::ethernet::VlanTag;

/// Notices that may wait for the keeper.
const NOTICES: usize = 1024;

/// Everything that the workers and the keeper have in common.
pub struct Shared {
    /// Records, counters, rings: what the other process sees.
    pub region: Region,
    /// The SAs, with their keys.
    pub sad: Sad,
    /// Policy and the mirror of the kernel's tables. Store a new one to change anything.
    pub tables: ArcSwap<Tables>,
    /// From the workers to the keeper.
    pub notices: ArrayQueue<Notice>,
    /// Packets on their way to the worker that owns their SA: one inbox per worker.
    pub(crate) inboxes: Vec<Inbox>,
    notices_lost: AtomicU64,
}

impl Shared {
    /// For as many workers as `setup` names cores, at least one.
    pub fn new(region: Region, setup: &Setup) -> Self {
        Self {
            sad: Sad::new(setup.geometry.sa_slots),
            region,
            tables: ArcSwap::default(),
            notices: ArrayQueue::new(NOTICES),
            inboxes: setup.cores.iter().map(|_| Inbox::new()).collect(),
            notices_lost: AtomicU64::new(0),
        }
    }

    /// Says something to the keeper, or counts that it could not.
    pub fn tell(&self, notice: Notice) {
        if self.notices.push(notice).is_err() {
            self.notices_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notices that found the queue full.
    pub fn notices_lost(&self) -> u64 {
        self.notices_lost.load(Ordering::Relaxed)
    }

    /// Frames that are between two workers now.
    pub fn in_handoff(&self) -> usize {
        self.inboxes.iter().map(Inbox::len).sum()
    }
}

/// A snapshot of policy, routes, neighbours and links.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Ordered policy (RFC 4301 §4.4.1).
    pub spd: Spd,
    /// Routes and neighbours.
    pub fib: Fib,
    /// The gateway's own addresses.
    pub locals: LocalAddresses,
    /// One per port of `Setup`, in its order.
    pub interfaces: Vec<InterfaceInfo>,
    /// Higher with every change: what waits or was remembered is looked up again.
    pub generation: u64,
}

/// One of our ports, as the kernel describes its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Index of the port; equals the index of this entry.
    pub port: usize,
    /// As the kernel numbers links; 0 while it is gone.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Largest IP packet, octets.
    pub mtu: u16,
    /// Inside or outside.
    pub role: Role,
    /// As configured.
    pub name: Name,
    /// Administratively up, with carrier.
    pub up: bool,
    /// Arriving plaintext may carry partial TCP and UDP checksums.
    pub complete_checksums: bool,
    /// The gateway's addresses on this link: sources for ICMP errors.
    pub addresses: Vec<IpAddr>,
    /// The VLANs on this link that are up.
    pub vlans: Vec<Vlan>,
    /// The kernel's driver, where it is known.
    pub driver: Option<Name>,
}

/// A VLAN on one of our ports, or a VLAN in such a VLAN: a link of its own to routes and neighbours, with the port's
/// role and rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// As the kernel numbers links.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Largest IP packet, octets.
    pub mtu: u16,
    /// What its frames carry.
    pub tags: Tags,
    /// The gateway's addresses on it.
    pub addresses: Vec<IpAddr>,
}

/// The tags of a VLAN's frames (IEEE 802.1Q, 802.1ad). More than two are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// A VLAN on the port.
    One(VlanTag),
    /// A VLAN in a VLAN.
    Two {
        /// First in the frame.
        outer: VlanTag,
        /// Next to the packet.
        inner: VlanTag,
    },
}

impl InterfaceInfo {
    /// Whether this link of the kernel's is the port or one of its VLANs.
    pub fn carries(&self, ifindex: u32) -> bool {
        self.ifindex == ifindex || self.vlan_place(ifindex).is_some()
    }

    /// The kernel's number of the port's own link, or of a VLAN on it.
    pub fn link_number(&self, vlan: Option<u16>) -> Option<u32> {
        match vlan {
            None => Some(self.ifindex),
            Some(place) => self.vlans.get(usize::from(place)).map(|vlan| vlan.ifindex),
        }
    }

    /// Where in [`InterfaceInfo::vlans`] the link with this number stands.
    pub fn vlan_place(&self, ifindex: u32) -> Option<u16> {
        let place = self.vlans.iter().position(|vlan| vlan.ifindex == ifindex)?;
        u16::try_from(place).ok()
    }

    /// The gateway's addresses on the port's own link, or on a VLAN on it.
    pub fn addresses_on(&self, vlan: Option<u16>) -> &[IpAddr] {
        match vlan {
            None => &self.addresses,
            Some(place) => {
                self.vlans.get(usize::from(place)).map_or(&[], |vlan| vlan.addresses.as_slice())
            }
        }
    }

    /// The gateway's addresses on the port: those of its own link first.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let vlans = self.vlans.iter().flat_map(|vlan| &vlan.addresses);
        self.addresses.iter().chain(vlans).copied()
    }
}

/// The gateway's own addresses, on any link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    unicast: Addresses,
    broadcast: Addresses,
}

impl LocalAddresses {
    /// `broadcast`: the directed broadcast addresses of the gateway's links, which are never forwarded to.
    pub fn new(
        unicast: impl IntoIterator<Item = IpAddr>,
        broadcast: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        Self { unicast: unicast.into_iter().collect(), broadcast: broadcast.into_iter().collect() }
    }

    /// Whether this is the gateway itself.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.unicast.contains(address)
    }

    /// Whether this is the broadcast address of one of the gateway's networks.
    #[inline]
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        self.broadcast.contains(address)
    }

    /// The unicast addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.unicast.iter()
    }
}

/// A few addresses, sorted: every packet asks, and they are too few for a hash to pay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Addresses {
    v4: Vec<u32>,
    v6: Vec<u128>,
}

impl Addresses {
    #[inline]
    fn contains(&self, address: IpAddr) -> bool {
        match address.into() {
            Number::V4(number) => self.v4.binary_search(&number).is_ok(),
            Number::V6(number) => self.v6.binary_search(&number).is_ok(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let v4 = self.v4.iter().map(|&number| IpAddr::V4(number.into()));
        v4.chain(self.v6.iter().map(|&number| IpAddr::V6(number.into())))
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut all = Self::default();
        for address in addresses {
            match address.into() {
                Number::V4(number) => all.v4.push(number),
                Number::V6(number) => all.v6.push(number),
            }
        }
        all.v4.sort_unstable();
        all.v4.dedup();
        all.v6.sort_unstable();
        all.v6.dedup();
        all
    }
}
