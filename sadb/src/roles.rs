//! The two sides' exclusive ends: who may write what is said by who holds which value.
use crate::clock;
use crate::codec::{self, Eye, Pen, checksum};
use crate::errors::{Bad, Corrupt, PeerLied, PushError};
use crate::layout::{self, EVENT, KEY_RECORD, REQUEST, hot};
use crate::memory::{Memory, Part};
use crate::message::{Event, Refusal, Request};
use crate::region::Inner;
use crate::ring::{Consumer, PopError, Producer};
use crate::sa::{Direction, Sa, SaKeys};
use crate::slots;
use crate::sync::{Ordering, Word};
use crate::window::Window;
use crate::{latch, layout::Layout};
use core::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use zeroize::Zeroizing;

const REQUEST_RING: &str = "request";
const EVENT_RING: &str = "event";

fn request_lines(layout: &Layout) -> (usize, usize, usize) {
    (layout::secret::REQUESTS, layout::secret::WORDS, layout.ring_entries())
}
fn event_lines(layout: &Layout) -> (usize, usize, usize) {
    (layout::EVENTS, layout.events, layout.ring_entries())
}

/// A role of this process, given back when dropped.
#[derive(Debug)]
struct Taken {
    inner: Arc<Inner>,
    flag: fn(&Inner) -> &AtomicBool,
}
impl Taken {
    fn new(inner: &Arc<Inner>, flag: fn(&Inner) -> &AtomicBool) -> Option<Self> {
        (!flag(inner).swap(true, Ordering::AcqRel)).then(|| Self { inner: Arc::clone(inner), flag })
    }
}
impl Drop for Taken {
    fn drop(&mut self) {
        (self.flag)(&self.inner).store(false, Ordering::Release);
    }
}

/// Control's ends: requests down, events up.
#[derive(Debug)]
pub struct Control {
    requests: Producer<REQUEST>,
    events: Consumer<EVENT>,
    _role: Taken,
}

impl Control {
    pub(crate) fn new(inner: &Arc<Inner>) -> Option<Self> {
        let role = Taken::new(inner, |inner| &inner.control_taken)?;
        let (lines, slots, capacity) = request_lines(&inner.layout);
        let requests = Producer::new(REQUEST_RING, inner.secret.as_ref()?, lines, slots, capacity)?;
        let (lines, slots, capacity) = event_lines(&inner.layout);
        let events = Consumer::new(EVENT_RING, &inner.shared, lines, slots, capacity)?;
        Some(Self { requests, events, _role: role })
    }

    /// Writes a request, by value or by reference. Ring the doorbell afterwards.
    pub fn push(&mut self, request: impl Borrow<Request>) -> Result<(), PushError> {
        let mut words = Zeroizing::new([0; REQUEST]);
        codec::encode_request(request.borrow(), &mut Pen::new(words.as_mut_slice()))
            .map_err(|codec::KeyError| PushError::TooLong("request's key"))?;
        self.requests.push(&words)
    }

    /// Takes the oldest event; `Ok(None)` = none waits. A malformed event is consumed and reported.
    pub fn pop(&mut self) -> Result<Option<Event>, EventError> {
        let damaged = |value| Corrupt { what: "event checksum", index: 0, value };
        match self.events.pop() {
            Ok(None) => Ok(None),
            Ok(Some(words)) => Ok(Some(codec::decode_event(&mut Eye::new(words.as_slice(), 0))?)),
            Err(PopError::PeerLied(lied)) => Err(lied.into()),
            Err(PopError::Damaged { first }) => Err(damaged(first).into()),
        }
    }
}

/// Why an event could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The ring itself cannot be trusted: drop the link.
    #[error(transparent)]
    PeerLied(#[from] PeerLied),
    /// One entry is malformed; it was consumed.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The data plane's ends: requests, events, records and keys.
#[derive(Debug)]
pub struct DataPlane {
    requests: Consumer<REQUEST>,
    events: Producer<EVENT>,
    records: Part<[Word]>,
    keys: Part<[Word]>,
    /// Inbound SPIs in use: they are looked up without an address (RFC 4301 §4.1), so each may appear once.
    inbound_spis: HashMap<u32, u32>,
    role: Taken,
}

/// How often `install` helps the epoch along before it says that a slot is taken.
const PATIENCE: u32 = 10_000;

impl DataPlane {
    pub(crate) fn new(inner: &Arc<Inner>) -> Option<Self> {
        let role = Taken::new(inner, |inner| &inner.data_plane_taken)?;
        let (layout, secret): (_, &Arc<Memory>) = (&inner.layout, inner.secret.as_ref()?);
        let slots_there = layout.geometry.sa_slots;
        let (lines, slots, capacity) = request_lines(layout);
        let requests = Consumer::new(REQUEST_RING, secret, lines, slots, capacity)?;
        let (lines, slots, capacity) = event_lines(layout);
        let events = Producer::new(EVENT_RING, &inner.shared, lines, slots, capacity)?;
        let records = inner.shared.part(layout.records, layout.hot - layout.records)?;
        let keys = secret.part(layout.keys, layout.secret_words - layout.keys)?;
        let living = (0..slots_there).filter_map(|slot| inner.record(slot).ok().flatten());
        let inbound = living.filter(|(sa, _)| sa.direction == Direction::Inbound);
        let inbound_spis = inbound.map(|(sa, _)| (sa.spi, sa.slot)).collect();
        Some(Self { requests, events, records, keys, inbound_spis, role })
    }

    /// Takes the oldest request; its slot was wiped. `Ok(None)` = none waits.
    pub fn pop(&mut self) -> Result<Option<Request>, Bad> {
        match self.requests.pop() {
            Ok(None) => Ok(None),
            Ok(Some(words)) => codec::decode_request(&mut Eye::new(words.as_slice(), 0))
                .map(Some)
                .map_err(|(id, refusal, source)| Bad::Request { id, refusal, source }),
            Err(PopError::PeerLied(lied)) => Err(lied.into()),
            Err(PopError::Damaged { first }) => Err(Bad::Request {
                id: first,
                refusal: Refusal::UnknownVerb,
                source: Corrupt { what: "request checksum", index: 0, value: first },
            }),
        }
    }

    /// Writes an event, by value or by reference. Ring the doorbell afterwards.
    pub fn push(&mut self, event: impl Borrow<Event>) -> Result<(), PushError> {
        let mut words = [0; EVENT];
        codec::encode_event(event.borrow(), &mut Pen::new(&mut words));
        self.events.push(&words)
    }

    /// Writes an SA: keys, first number and window, and last the record that makes it visible. A process killed in
    /// between leaves an empty slot.
    ///
    /// Refuses a slot that is taken, or on which a former SA's handles still live in this process: a straggler must
    /// not draw numbers from the new SA under the old key. Handles that only wait for the epoch ([`crate::slots`])
    /// are waited for.
    pub fn install(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), Refusal> {
        sa.validate(&self.inner().layout.geometry)?;
        let index = self.inner().layout.slot(sa.slot).ok_or(Refusal::BadSlot)?;
        if !matches!(self.inner().record(sa.slot), Ok(None)) || !self.quiet(index) {
            return Err(Refusal::SlotTaken);
        }
        if sa.direction == Direction::Inbound && self.inbound_spis.contains_key(&sa.spi) {
            return Err(Refusal::SpiInUse);
        }
        self.write_keys(index, sa, keys)?;
        self.reset(index, sa).ok_or(Refusal::BadSlot)?;
        self.write_record(index, Some((sa, clock::seconds())));
        if sa.direction == Direction::Inbound {
            self.inbound_spis.insert(sa.spi, sa.slot);
        }
        Ok(())
    }

    /// Rewrites the record in `sa.slot`. SPI, direction, suite, ESN and window must be as they were; number, window and
    /// keys stay.
    pub fn update(&mut self, sa: &Sa) -> Result<(), Refusal> {
        sa.validate(&self.inner().layout.geometry)?;
        let index = self.inner().layout.slot(sa.slot).ok_or(Refusal::BadSlot)?;
        let (old, installed) =
            self.inner().record(sa.slot).ok().flatten().ok_or(Refusal::NoSuchSa)?;
        let fixed = |sa: &Sa| (sa.spi, sa.direction);
        if fixed(&old) != fixed(sa) {
            return Err(Refusal::NoSuchSa);
        }
        if (old.suite, old.iv_epoch) != (sa.suite, sa.iv_epoch) {
            return Err(Refusal::UnknownSuite);
        }
        if (old.esn, old.replay_window) != (sa.esn, sa.replay_window) {
            return Err(Refusal::BadWindow);
        }
        self.write_record(index, Some((sa, installed)));
        Ok(())
    }

    /// Empties the record and wipes its keys, also when they are damaged. Handles stay harmless.
    pub fn retire(&mut self, slot: u32) -> Result<(), Refusal> {
        let index = self.inner().layout.slot(slot).ok_or(Refusal::BadSlot)?;
        if let Ok(None) = self.inner().record(slot) {
            return Err(Refusal::NoSuchSa);
        }
        self.clear(slot, index);
        Ok(())
    }

    /// After a restart: every SA found, with its keys. A damaged one comes as `Err`, and its slot is emptied; keys
    /// without a record (of an SA whose installation was cut short) are wiped.
    pub fn adopt(&mut self) -> impl Iterator<Item = Result<(Sa, SaKeys), Corrupt>> + '_ {
        (0..self.inner().layout.geometry.sa_slots)
            .filter_map(|slot| self.adopt_one(slot).transpose())
    }

    fn adopt_one(&mut self, slot: u32) -> Result<Option<(Sa, SaKeys)>, Corrupt> {
        let Some(index) = self.inner().layout.slot(slot) else { return Ok(None) };
        let found = match self.inner().record(slot) {
            Ok(None) => {
                self.wipe_keys(index);
                return Ok(None);
            }
            Ok(Some((sa, _))) => self.read_keys(index, &sa).map(|keys| (sa, keys)),
            Err(corrupt) => Err(corrupt),
        };
        let checked =
            found.and_then(|(sa, keys)| match sa.validate(&self.inner().layout.geometry) {
                Ok(()) => Ok((sa, keys)),
                Err(refusal) => Err(Corrupt { what: "SA", index: slot, value: refusal as u64 }),
            });
        if checked.is_err() {
            self.clear(slot, index);
        }
        checked.map(Some)
    }

    fn inner(&self) -> &Inner {
        &self.role.inner
    }

    /// Whether no handle on the slot lives in this process; waits a little for the epoch.
    fn quiet(&self, index: usize) -> bool {
        let living = || {
            self.inner()
                .handles
                .get(index)
                .is_none_or(|handles| handles.load(Ordering::Acquire) > 0)
        };
        for _ in 0..PATIENCE {
            if !living() {
                return true;
            }
            slots::collect();
            std::thread::yield_now();
        }
        !living()
    }

    fn clear(&mut self, slot: u32, index: usize) {
        self.inbound_spis.retain(|_, user| *user != slot);
        self.write_record(index, None);
        self.wipe_keys(index);
    }

    fn write_record(&self, index: usize, record: Option<(&Sa, u64)>) {
        let mut words = [0; layout::RECORD_PAYLOAD];
        if let Some((sa, installed)) = record {
            let mut pen = Pen::new(&mut words);
            codec::encode_sa(sa, &mut pen);
            pen.put(installed);
        }
        let start = index * layout::RECORD;
        if let Some(latch) = self.records.get(start..start + layout::RECORD) {
            latch::write(latch, &words);
        }
    }

    /// Numbers, totals and window of a new SA. `None` when the region has no such place.
    fn reset(&self, index: usize, sa: &Sa) -> Option<()> {
        let (inner, layout) = (self.inner(), &self.inner().layout);
        let part: Part<[Word; hot::WORDS]> = inner.shared.array(layout.hot + index * hot::WORDS)?;
        let hot: &[Word; hot::WORDS] = &part;
        hot.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        hot[hot::NUMBER].store(sa.initial_sequence, Ordering::Relaxed);
        if sa.direction == Direction::Inbound {
            let start = layout.windows + index * layout.window_stride;
            let words = inner.shared.part(start, layout::window_words(sa.replay_window))?;
            let window =
                Window { highest: &hot[hot::NUMBER], words: &words, width: sa.replay_window };
            window.reset(sa.initial_sequence);
        }
        Some(())
    }

    fn key_words(&self, index: usize) -> &[Word] {
        let start = index * KEY_RECORD;
        self.keys.get(start..start + KEY_RECORD).unwrap_or_default()
    }

    fn write_keys(&self, index: usize, sa: &Sa, keys: &SaKeys) -> Result<(), Refusal> {
        let mut words = Zeroizing::new([0; KEY_RECORD]);
        let mut pen = Pen::new(words.as_mut_slice());
        pen.put(owner(sa));
        codec::encode_keys(keys, &mut pen).map_err(|codec::KeyError| Refusal::BadKeyLength)?;
        let sum = key_sum(&words);
        if let Some(last) = words.last_mut() {
            *last = sum;
        }
        for (to, word) in self.key_words(index).iter().zip(*words) {
            to.store(word, Ordering::Relaxed);
        }
        Ok(())
    }

    fn read_keys(&self, index: usize, sa: &Sa) -> Result<SaKeys, Corrupt> {
        let mut words = Zeroizing::new([0; KEY_RECORD]);
        for (to, word) in words.iter_mut().zip(self.key_words(index)) {
            *to = word.load(Ordering::Relaxed);
        }
        let mut eye = Eye::new(words.as_slice(), sa.slot);
        // what stands there may be key octets: say nothing of them
        let corrupt = eye.corrupt("key record", 0u64);
        if words.last() != Some(&key_sum(&words)) || eye.take()? != owner(sa) {
            return Err(corrupt);
        }
        codec::decode_keys(&mut eye)
    }

    fn wipe_keys(&self, index: usize) {
        // Release, so that no wipe is put off behind whatever frees the slot for others
        self.key_words(index).iter().for_each(|word| word.store(0, Ordering::Release));
    }
}

/// Which SA a key record belongs to.
fn owner(sa: &Sa) -> u64 {
    u64::from(sa.spi) | u64::from(sa.slot) << 32
}

fn key_sum(words: &[u64; KEY_RECORD]) -> u64 {
    checksum(words.split_last().map_or(&[], |(_, words)| words))
}
