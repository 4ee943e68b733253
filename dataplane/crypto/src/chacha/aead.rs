//! AEAD_CHACHA20_POLY1305 (RFC 8439 §2.8) over a group of packets, whatever the vector width.
//!
//! ChaCha20 is counted in blocks and not in packets: a lane takes any block of any packet, the one that
//! makes a packet's Poly1305 key among them, so small packets fill the lanes as well as large ones do.
//! Poly1305 has one packet in each lane, so it takes the packets in the order of their length.
use arrayvec::ArrayVec;
use subtle::ConstantTimeEq;
use zeroize::optimization_barrier;

use super::poly::{MESSAGES, Message, TAG, Tags};
use crate::batch::BadIcv;

/// Packets in one call: as many as the crate puts into a group.
pub(super) const GROUP: usize = 64;
/// Octets of a ChaCha20 block (RFC 8439 §2.3).
pub(super) const BLOCK: usize = 64;
/// Blocks computed at once, in one or in two vectors.
pub(super) const BLOCKS: usize = 16;

/// Blocks that wait before any is computed.
const WAITING: usize = 4 * BLOCKS;

/// One packet as RFC 8439 §2.8 sees it.
pub(super) struct Packet<'a> {
    pub key: &'a [u8; 32],
    pub nonce: [u32; 3],
    /// SPI and sequence number, zeros behind them: always one block of Poly1305.
    pub aad: [u8; 16],
    /// Octets of `aad` that count: 8, or 12 with ESN (RFC 7634 §2.1).
    pub aad_len: u64,
    pub body: &'a mut [u8],
    pub icv: &'a mut [u8; TAG],
    /// Where [`open`] says that the ICV is right.
    pub verdict: Option<&'a mut Result<(), BadIcv>>,
}

/// One block of key stream, and up to [`BLOCK`] octets to XOR it onto.
pub(super) struct Lane<'a> {
    pub key: &'a [u8; 32],
    /// Words 12 to 15 of the state: counter and nonce (RFC 8439 §2.3).
    pub input: [u32; 4],
    pub data: &'a mut [u8],
}

/// What a vector width brings along.
pub(super) struct Tier {
    /// XORs the key stream of all lanes onto their data.
    pub xor: fn(&mut [Lane<'_>; BLOCKS]),
    /// The Poly1305 tags of all messages.
    pub authenticate: fn(&[Message<'_>; MESSAGES]) -> Tags,
}

/// Encrypts every body and writes every ICV. Packets beyond [`GROUP`] are not looked at.
pub(super) fn seal(tier: &Tier, packets: &mut [Packet<'_>]) {
    let (mut keys, mut spare) = (OneTimeKeys::new(), Spare::new());
    {
        let mut lanes = Filling::new(tier);
        for (packet, key) in packets.iter_mut().zip(&mut keys.0) {
            lanes.push(packet.key, packet.input(0), key);
            packet.push_body(&mut lanes);
        }
        lanes.finish(&mut spare);
    }
    authenticate(tier, packets, &keys, |packet, tag| *packet.icv = *tag);
}

/// Checks every ICV, sets the verdict of the genuine packets, and decrypts their bodies. The others are left as
/// they arrived: nothing is decrypted before it was verified. That costs hardly a block more than the other
/// order, because key blocks share vectors with one another as well as with bodies.
pub(super) fn open(tier: &Tier, packets: &mut [Packet<'_>]) {
    let (mut keys, mut spare) = (OneTimeKeys::new(), Spare::new());
    {
        let mut lanes = Filling::new(tier);
        for (packet, key) in packets.iter().zip(&mut keys.0) {
            lanes.push(packet.key, packet.input(0), key);
        }
        lanes.finish(&mut spare);
    }
    authenticate(tier, packets, &keys, |packet, tag| {
        if let Some(verdict) = &mut packet.verdict
            && same(packet.icv, tag)
        {
            **verdict = Ok(());
        }
    });
    let mut spare = Spare::new();
    let mut lanes = Filling::new(tier);
    for packet in packets.iter_mut().filter(|packet| packet.is_genuine()) {
        packet.push_body(&mut lanes);
    }
    lanes.finish(&mut spare);
}

/// Computes every packet's tag and gives it to `done`.
fn authenticate(
    tier: &Tier,
    packets: &mut [Packet<'_>],
    keys: &OneTimeKeys,
    done: impl Fn(&mut Packet<'_>, &[u8; TAG]),
) {
    let mut order = ArrayVec::new();
    longest_first(packets, &mut order);
    let mut tags = [Tags::default(); GROUP / MESSAGES];
    tag(tier, packets, keys, &order, &mut tags);
    for (place, tag) in order.iter().zip(tags.as_flattened()) {
        if let Some(packet) = packets.get_mut(place.packet()) {
            done(packet, tag);
        }
    }
}

/// In constant time, and at once instead of octet by octet.
fn same(a: &[u8; TAG], b: &[u8; TAG]) -> bool {
    u128::from_ne_bytes(*a).ct_eq(&u128::from_ne_bytes(*b)).into()
}

/// The tags of the packets at `places`. All messages are laid out before the first is looked at, for the
/// reason that [`Filling`] gives.
fn tag(
    tier: &Tier,
    packets: &[Packet<'_>],
    keys: &OneTimeKeys,
    places: &[Place],
    tags: &mut [Tags; GROUP / MESSAGES],
) {
    let mut messages = ArrayVec::<Message<'_>, GROUP>::new();
    messages.extend(places.iter().filter_map(|place| {
        let (packet, key) = packets.get(place.packet()).zip(keys.0.get(place.packet()))?;
        Some(packet.message(key))
    }));
    // lanes left over repeat the last message
    while let Some(last) = messages.last().copied()
        && messages.len() % MESSAGES != 0
    {
        messages.push(last);
    }
    for (messages, tags) in messages.as_chunks().0.iter().zip(tags) {
        *tags = (tier.authenticate)(messages);
    }
}

/// A packet by its number, above it how many octets it lacks to the longest there could be: what sorts first is
/// longest. Packets of one length are in order as they come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(usize);

impl Place {
    const fn new(octets: usize, packet: usize) -> Self {
        Self((usize::MAX / GROUP - octets) * GROUP + packet)
    }

    const fn packet(self) -> usize {
        self.0 % GROUP
    }
}

/// The packets' places in descending order of their length, so that lanes end together.
fn longest_first(packets: &[Packet<'_>], order: &mut ArrayVec<Place, GROUP>) {
    order
        .extend(packets.iter().zip(0..GROUP).map(|(packet, at)| Place::new(packet.body.len(), at)));
    if !order.is_sorted() {
        order.sort_unstable();
    }
}

impl<'a> Packet<'a> {
    #[inline(always)]
    fn input(&self, counter: u32) -> [u32; 4] {
        let [a, b, c] = self.nonce;
        [counter, a, b, c]
    }

    /// Block 0 makes the Poly1305 key; the body starts with block 1 (RFC 8439 §2.8).
    #[inline(always)]
    fn push_body<'l>(&'l mut self, lanes: &mut Filling<'l>)
    where
        'a: 'l,
    {
        let [_, a, b, c] = self.input(0);
        for (counter, data) in (1..).zip(self.body.chunks_mut(BLOCK)) {
            lanes.push(self.key, [counter, a, b, c], data);
        }
    }

    fn is_genuine(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.is_ok())
    }

    #[inline(always)]
    fn message<'m>(&'m self, key: &'m [u8; 32]) -> Message<'m> {
        let lengths = [self.aad_len, self.body.len() as u64];
        Message { key, aad: &self.aad, lengths, body: self.body }
    }
}

/// Lanes being filled, enough for several vectors. A vector is loaded from what was stored piece by piece; if
/// that has not yet reached the cache, the load has to wait for it. The more lanes are filled before the
/// first is computed, the older are their stores.
struct Filling<'a> {
    tier: &'a Tier,
    lanes: ArrayVec<Lane<'a>, WAITING>,
}

impl<'a> Filling<'a> {
    fn new(tier: &'a Tier) -> Self {
        Self { tier, lanes: ArrayVec::new() }
    }

    #[inline(always)]
    fn push(&mut self, key: &'a [u8; 32], input: [u32; 4], data: &'a mut [u8]) {
        if self.lanes.try_push(Lane { key, input, data }).is_ok() && self.lanes.is_full() {
            compute(self.tier, &mut self.lanes);
            self.lanes.clear();
        }
    }

    /// Lanes left over get an octet each that nobody reads.
    fn finish(&mut self, spare: &'a mut Spare) {
        let rest = self.lanes.len().next_multiple_of(BLOCKS) - self.lanes.len();
        for octet in spare.0.iter_mut().take(rest) {
            let data = core::slice::from_mut(octet);
            self.lanes.push(Lane { key: &[0; 32], input: [0; 4], data });
        }
        compute(self.tier, &mut self.lanes);
    }
}

/// What lanes work on that have no packet's octets.
struct Spare([u8; BLOCKS]);

impl Spare {
    const fn new() -> Self {
        Self([0; BLOCKS])
    }
}

#[inline(never)]
fn compute(tier: &Tier, lanes: &mut [Lane<'_>]) {
    for lanes in lanes.as_chunks_mut().0 {
        (tier.xor)(lanes);
    }
}

/// One-time keys (RFC 8439 §2.6), one for each packet. Zeros at first: key stream XORed onto zeros is the
/// key stream. Wiped once for a whole group.
struct OneTimeKeys([[u8; 32]; GROUP]);

impl OneTimeKeys {
    fn new() -> Self {
        Self([[0; 32]; GROUP])
    }
}

impl Drop for OneTimeKeys {
    fn drop(&mut self) {
        self.0 = [[0; 32]; GROUP];
        optimization_barrier(&self.0);
    }
}
