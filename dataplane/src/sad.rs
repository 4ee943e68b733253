//! The SAD (RFC 4301 §4.4.2) in memory: found by SPI slot with one load and one compare, read by workers without
//! a lock, written by the keeper alone.
use crate::notice::Notice;
use crate::sa::{Inbound, Life, Outbound};
use arc_swap::ArcSwap;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use crypto::{BadKey, OpenKey, SealKey, Suite};
use sadb::prefetch::prefetch;
use sadb::sa::slot_of;
use sadb::slots::Guard;
use sadb::{Direction, Encap, Refusal, Region, Sa, SaKeys, Slots, Totals};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::iana::{EncryptionId, IntegrityId};

/// UDP port of ESP-in-UDP when nobody says otherwise (RFC 3948 §2.1).
pub const ENCAP_PORT: u16 = 4500;

/// All SAs, both directions, and which one each tunnel sends by.
pub struct Sad {
    inbound: Slots<Inbound>,
    outbound: Slots<Outbound>,
    /// By tunnel: outbound slot plus one; 0 = none.
    current: Box<[AtomicU32]>,
    fixed: ArcSwap<Fixed>,
    /// What the keeper installed, in order. Workers never look here.
    book: Mutex<Book>,
}

/// SPIs that do not name their slot, and the UDP ports of ours that carry ESP: both few.
#[derive(Clone, Debug, Default)]
struct Fixed {
    slots: HashMap<u32, u32>,
    encap_ports: Vec<u16>,
}

/// Everything is found by a key: one more SA costs the same, however many there are.
#[derive(Debug, Default)]
struct Book {
    installed: u64,
    entries: HashMap<u32, Entry>,
    /// By tunnel: its outbound SAs' slots, oldest first.
    senders: HashMap<u32, BTreeMap<u64, u32>>,
    /// Inbound SPIs and their slots.
    spis: HashMap<u32, u32>,
    /// UDP ports of ours that carry ESP, and for how many inbound SAs.
    ports: BTreeMap<u16, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sa: Sa,
    /// Later SAs of a tunnel have higher numbers.
    order: u64,
}

impl Book {
    fn enter(&mut self, entry: Entry) {
        let Sa { slot, spi, tunnel, .. } = entry.sa;
        self.entries.insert(slot, entry);
        if entry.sa.direction == Direction::Outbound {
            self.senders.entry(tunnel).or_default().insert(entry.order, slot);
            return;
        }
        self.spis.insert(spi, slot);
        if let Encap::Udp { local, .. } = entry.sa.encap {
            *self.ports.entry(local).or_default() += 1;
        }
    }

    fn leave(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.entries.remove(&slot)?;
        let Sa { spi, tunnel, .. } = entry.sa;
        if entry.sa.direction == Direction::Outbound {
            let senders = self.senders.get_mut(&tunnel)?;
            senders.remove(&entry.order);
            if senders.is_empty() {
                self.senders.remove(&tunnel);
            }
            return Some(entry);
        }
        self.spis.remove(&spi);
        if let Encap::Udp { local, .. } = entry.sa.encap {
            let count = self.ports.get_mut(&local)?;
            *count -= 1;
            if *count == 0 {
                self.ports.remove(&local);
            }
        }
        Some(entry)
    }
}

enum Key {
    Seal(SealKey),
    Open(OpenKey),
}

impl Sad {
    /// Room for `slots` SAs, and as many tunnels.
    pub fn new(slots: u32) -> Self {
        let len = slots as usize;
        Self {
            inbound: Slots::new(len),
            outbound: Slots::new(len),
            current: (0..len).map(|_| AtomicU32::new(0)).collect(),
            fixed: ArcSwap::default(),
            book: Mutex::default(),
        }
    }

    /// Whether [`Sad::add`] would take it, without changing anything: ask before the region's record is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, sa: &Sa, keys: &SaKeys) -> Result<(), Refusal> {
        self.admissible(&self.book(), sa)?;
        key(sa, keys).map(|_| ())
    }

    /// Publishes an SA whose record stands in the region. An outbound one becomes its tunnel's sender at once.
    ///
    /// # Errors
    /// As [`Sad::check`]; [`Refusal::NoSuchSa`] when the region has no such record.
    pub fn add(&self, sa: &Sa, keys: &SaKeys, region: &Region) -> Result<(), Refusal> {
        let mut book = self.book();
        self.admissible(&book, sa)?;
        self.publish(sa, key(sa, keys)?, region)?;
        book.installed += 1;
        let order = book.installed;
        book.enter(Entry { sa: *sa, order });
        self.reindex(&book, sa);
        self.elect(&book, sa.tunnel);
        Ok(())
    }

    /// Changes lifetimes, peer address, encapsulation, DF, DSCP and ECN. Sequence, window and key stay.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSa`] unless slot, SPI, direction and tunnel are those of an installed SA.
    pub fn update(&self, sa: &Sa) -> Result<(), Refusal> {
        let mut book = self.book();
        let entry = *book.entries.get(&sa.slot).ok_or(Refusal::NoSuchSa)?;
        let same = |sa: &Sa| (sa.spi, sa.direction, sa.tunnel, sa.suite, sa.esn);
        if same(&entry.sa) != same(sa) {
            return Err(Refusal::NoSuchSa);
        }
        addresses(sa)?;
        let guard = self.inbound.pin();
        let index = sa.slot as usize;
        if let Some(old) = self.outbound.get(&guard, index) {
            let new = Outbound::new(sa, Arc::clone(&old.key), old.numbers.clone());
            self.outbound.publish(index, new);
        } else if let Some(old) = self.inbound.get(&guard, index) {
            let new = Inbound::new(sa, Arc::clone(&old.key), old.window.clone());
            self.inbound.publish(index, new);
        }
        book.leave(sa.slot);
        book.enter(Entry { sa: *sa, order: entry.order });
        self.reindex(&book, sa);
        Ok(())
    }

    /// Retires the SA with this SPI in this slot. Batches that hold it finish with it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSa`] when another SPI, or none, is there.
    pub fn delete(&self, slot: u32, spi: u32) -> Result<(), Refusal> {
        let mut book = self.book();
        let found = book.entries.get(&slot).filter(|entry| entry.sa.spi == spi).copied();
        let entry = found.ok_or(Refusal::NoSuchSa)?;
        book.leave(slot);
        self.elect(&book, entry.sa.tunnel); // nobody finds it by its tunnel any more, then by its slot
        self.outbound.retire(slot as usize);
        self.inbound.retire(slot as usize);
        self.reindex(&book, &entry.sa);
        Ok(())
    }

    /// Retires every SA; returns their slots.
    pub fn flush(&self) -> Vec<u32> {
        let all: Vec<(u32, u32)> =
            self.book().entries.values().map(|e| (e.sa.slot, e.sa.spi)).collect();
        all.into_iter()
            .filter(|&(slot, spi)| self.delete(slot, spi).is_ok())
            .map(|(slot, _)| slot)
            .collect()
    }

    /// The SAs installed, in no order.
    pub fn installed(&self) -> Vec<Sa> {
        self.book().entries.values().map(|entry| entry.sa).collect()
    }

    /// UDP ports of ours that carry ESP: 4500 and what the SAs name.
    pub fn encap_ports(&self) -> Vec<u16> {
        self.fixed.load().encap_ports.clone()
    }

    /// Lifetimes in seconds of SAs that carry nothing, so that no worker looks at them. `now`: CLOCK_MONOTONIC.
    pub fn tick(&self, now: Duration, mut tell: impl FnMut(Notice)) {
        let (book, guard) = (self.book(), self.inbound.pin());
        for Entry { sa, .. } in book.entries.values() {
            let index = sa.slot as usize;
            let sealing = self.outbound.get(&guard, index).map(|sa| &sa.numbers as &dyn Life);
            let opening = self.inbound.get(&guard, index).map(|sa| &sa.window as &dyn Life);
            let life = sealing.or(opening);
            let news = life.and_then(|life| life.news(&sa.lifetime, Totals::default(), now));
            if let Some(hard) = news {
                tell(Notice::Expire { slot: sa.slot, spi: sa.spi, hard });
            }
        }
    }

    /// Enters the epoch: what is looked up through the result stays as long as it.
    pub fn pin(&self) -> Pinned<'_> {
        Pinned { sad: self, fixed: self.fixed.load(), guard: self.inbound.pin() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admissible(&self, book: &Book, sa: &Sa) -> Result<(), Refusal> {
        let inside = |number: u32| (number as usize) < self.current.len();
        if !inside(sa.slot) {
            return Err(Refusal::BadSlot);
        }
        if book.entries.contains_key(&sa.slot) {
            return Err(Refusal::SlotTaken);
        }
        if !inside(sa.tunnel) {
            return Err(Refusal::UnknownTunnel);
        }
        if sa.spi < 256 {
            return Err(Refusal::ReservedSpi); // RFC 4303 §2.1
        }
        // An inbound SPI alone must name its SA (RFC 4301 §4.1); an outbound one is the peer's affair.
        if sa.direction == Direction::Inbound && book.spis.contains_key(&sa.spi) {
            return Err(Refusal::SpiInUse);
        }
        addresses(sa)?;
        window(sa)
    }

    fn publish(&self, sa: &Sa, key: Key, region: &Region) -> Result<(), Refusal> {
        let index = sa.slot as usize;
        let published = match key {
            Key::Seal(key) => {
                let numbers = region.outbound(sa.slot).ok_or(Refusal::NoSuchSa)?;
                self.outbound.publish(index, Outbound::new(sa, Arc::new(key), numbers))
            }
            Key::Open(key) => {
                let window = region.inbound(sa.slot).ok_or(Refusal::NoSuchSa)?;
                self.inbound.publish(index, Inbound::new(sa, Arc::new(key), window))
            }
        };
        published.then_some(()).ok_or(Refusal::BadSlot)
    }

    /// The newest outbound SA of the tunnel sends.
    fn elect(&self, book: &Book, tunnel: u32) {
        let newest = book.senders.get(&tunnel).and_then(BTreeMap::last_key_value);
        if let Some(current) = self.current.get(tunnel as usize) {
            // Release, paired with the Acquire in `outbound_of`: the SA was published before.
            current.store(newest.map_or(0, |(_, slot)| slot + 1), Ordering::Release);
        }
    }

    /// After `sa` came, changed or went. Most SAs are found by their SPI and ask for no port of their own: for those
    /// nothing is published.
    fn reindex(&self, book: &Book, sa: &Sa) {
        let fixed = self.fixed.load();
        let slot = book.spis.get(&sa.spi).copied().filter(|&slot| slot_of(sa.spi) != Some(slot));
        let extra = book.ports.keys().copied().filter(|&port| port != ENCAP_PORT);
        let encap_ports: Vec<u16> = [ENCAP_PORT].into_iter().chain(extra).collect();
        let moved = sa.direction == Direction::Inbound && fixed.slots.get(&sa.spi).copied() != slot;
        if !moved && fixed.encap_ports == encap_ports {
            return;
        }
        let mut slots = fixed.slots.clone();
        match slot.filter(|_| moved) {
            Some(slot) => _ = slots.insert(sa.spi, slot),
            None if moved => _ = slots.remove(&sa.spi),
            None => {}
        }
        self.fixed.store(Arc::new(Fixed { slots, encap_ports }));
    }
}

/// Calls between two steps of [`Pinned::bring_sender`].
const STEP: usize = 4;
/// Calls after the last packet.
pub(crate) const STEPS: usize = 2 * STEP;

/// The SAD under an epoch guard: for one batch.
pub struct Pinned<'s> {
    sad: &'s Sad,
    fixed: arc_swap::Guard<Arc<Fixed>>,
    guard: Guard,
}

impl Pinned<'_> {
    /// The SA that this SPI names. Ours carry their slot: one load, one compare.
    #[inline]
    pub fn inbound(&self, spi: u32) -> Option<&Inbound> {
        let named = slot_of(spi).and_then(|slot| self.opens(slot, spi));
        named.or_else(|| self.opens(*self.fixed.slots.get(&spi)?, spi))
    }

    #[inline]
    fn opens(&self, slot: u32, spi: u32) -> Option<&Inbound> {
        self.sad.inbound.get(&self.guard, slot as usize).filter(|sa| sa.spi == spi)
    }

    /// The SA by which this tunnel sends now.
    #[inline]
    pub fn outbound_of(&self, tunnel: u32) -> Option<&Outbound> {
        let current = self.sad.current.get(tunnel as usize)?.load(Ordering::Acquire);
        self.sad.outbound.get(&self.guard, current.checked_sub(1)? as usize)
    }

    /// Brings the SAs by which these tunnels send, step by step: to be called with `at` rising by one from 0 to
    /// [`STEPS`] beyond the last. Each step reads what the one before asked for [`STEP`] calls ago, so that there was
    /// time for it to come.
    #[inline(never)]
    pub(crate) fn bring_sender(&self, tunnels: &[u32], at: usize) {
        let before = |steps: usize| tunnels.get(at.checked_sub(steps * STEP)?);
        let current = |tunnel: &u32| self.sad.current.get(*tunnel as usize);
        if let Some(current) = before(0).and_then(current) {
            prefetch(current);
        }
        if let Some(current) = before(1).and_then(current) {
            self.sad.outbound.prefetch(current.load(Ordering::Relaxed).wrapping_sub(1) as usize);
        }
        if let Some(sa) = before(2).and_then(|&tunnel| self.outbound_of(tunnel)) {
            prefetch(sa);
        }
    }

    /// As [`Pinned::bring_sender`], for the SAs that these packets (SPI, sequence number) name, and their windows.
    #[inline(never)]
    pub(crate) fn bring_receiver(&self, packets: &[(u32, u32)], at: usize) {
        let before = |steps: usize| packets.get(at.checked_sub(steps * STEP)?);
        let sa = |&(spi, _): &(u32, u32)| self.sad.inbound.get(&self.guard, slot_of(spi)? as usize);
        if let Some(slot) = before(0).and_then(|&(spi, _)| slot_of(spi)) {
            self.sad.inbound.prefetch(slot as usize);
        }
        if let Some(sa) = before(1).and_then(sa) {
            prefetch(sa);
        }
        if let Some((&(_, low), sa)) = before(2).and_then(|packet| Some((packet, sa(packet)?))) {
            sa.window.prefetch(low);
        }
    }

    /// Whether ESP in UDP may arrive at this port of ours.
    pub fn is_encap_port(&self, port: u16) -> bool {
        port == ENCAP_PORT || self.fixed.encap_ports.contains(&port)
    }
}

fn key(sa: &Sa, keys: &SaKeys) -> Result<Key, Refusal> {
    let sadb::Suite { encryption, key_bits, integrity } = sa.suite;
    let suite = Suite::negotiate(EncryptionId(encryption), key_bits, IntegrityId(integrity))
        .map_err(|_| Refusal::UnknownSuite)?;
    let built = match sa.direction {
        Direction::Outbound => {
            SealKey::new(suite, &keys.encryption, &keys.integrity, sa.esn, sa.iv_epoch)
                .map(Key::Seal)
        }
        Direction::Inbound => {
            OpenKey::new(suite, &keys.encryption, &keys.integrity, sa.esn).map(Key::Open)
        }
    };
    let key = built.map_err(|why| match why {
        BadKey::Weak(_) => Refusal::WeakKey,
        BadKey::Epoch(_) | BadKey::Entropy(_) => Refusal::BadSequence,
        BadKey::EncryptionLength { .. } | BadKey::IntegrityLength { .. } => Refusal::BadKeyLength,
    })?;
    match &key {
        Key::Seal(key) if sa.initial_sequence > key.sequence_limit() => Err(Refusal::BadSequence),
        _ => Ok(key),
    }
}

fn addresses(sa: &Sa) -> Result<(), Refusal> {
    let odd = |address: IpAddr| address.is_unspecified() || address.is_multicast();
    let fine = sa.local.is_ipv4() == sa.remote.is_ipv4()
        && sa.local != sa.remote
        && !odd(sa.local)
        && !odd(sa.remote);
    fine.then_some(()).ok_or(Refusal::BadAddresses)
}

/// RFC 4303 §3.4.3: at least 32; and extended numbers need a window to be inferred from.
fn window(sa: &Sa) -> Result<(), Refusal> {
    let fine = match (sa.direction, sa.replay_window) {
        (Direction::Outbound, _) => true,
        (Direction::Inbound, 0) => !sa.esn,
        (Direction::Inbound, width) => (32..=65536).contains(&width) && width.is_power_of_two(),
    };
    fine.then_some(()).ok_or(Refusal::BadWindow)
}
