//! A packet as the stream that AES and GHASH run over: all but its ICV, in blocks from the ESP header on.
use zeroize::Zeroize;

use super::super::abreast::{Keys, Loaded};
use super::super::ctr::Stream;
use super::super::ghash;
use super::super::lanes::Lanes;
use super::GcmKey;
use crate::batch::{BadIcv, Open, Seal};
use crate::layout::{self, HEADER};
use crate::schedule::{OpenSchedule, SealSchedule};

/// Octets of a block.
pub(super) const BLOCK: usize = 16;

/// A packet of the batch.
pub(super) trait Item {
    /// Where its outcome goes.
    type Outcome<'a>
    where
        Self: 'a;

    /// From the ESP header to the ICV.
    fn packet(&self) -> &[u8];
    /// Whether the SA has ESN.
    fn esn(&self) -> bool;
    /// `None`: no key for these kernels.
    fn key(&self) -> Option<&GcmKey>;
    /// What to do with it. `None`: no packet for these kernels.
    fn job(&mut self, icv_len: usize) -> Option<Job<'_, Self::Outcome<'_>>>;
    /// Wipes a packet among which one was not for these kernels.
    fn give_up(&mut self);
}

impl Item for Seal<'_> {
    type Outcome<'a>
        = ()
    where
        Self: 'a;

    #[inline(always)]
    fn packet(&self) -> &[u8] {
        self.packet
    }

    #[inline(always)]
    fn esn(&self) -> bool {
        self.key.esn()
    }

    #[inline(always)]
    fn key(&self) -> Option<&GcmKey> {
        match self.key.schedule() {
            SealSchedule::Gcm(key) => Some(key),
            _ => None,
        }
    }

    /// The IV is the packet's number in its epoch, not what stands in the packet.
    #[inline(always)]
    fn job(&mut self, icv_len: usize) -> Option<ToSeal<'_>> {
        let SealSchedule::Gcm(key) = self.key.schedule() else { return None };
        let (octets, icv) = layout::covered(self.packet, icv_len)?;
        let header = block_0(octets)? as u64;
        let iv = (self.key.iv_base() | self.sequence).to_be();
        let extended = self.key.esn().then_some(self.sequence);
        Some(Job::new(key, [header, iv], extended, octets, icv, ()))
    }

    fn give_up(&mut self) {
        self.packet.zeroize();
    }
}

impl Item for Open<'_> {
    type Outcome<'a>
        = &'a mut Result<(), BadIcv>
    where
        Self: 'a;

    #[inline(always)]
    fn packet(&self) -> &[u8] {
        self.packet
    }

    #[inline(always)]
    fn esn(&self) -> bool {
        self.key.esn()
    }

    #[inline(always)]
    fn key(&self) -> Option<&GcmKey> {
        match self.key.schedule() {
            OpenSchedule::Gcm(key) => Some(key),
            _ => None,
        }
    }

    /// The IV stands in the packet.
    #[inline(always)]
    fn job(&mut self, icv_len: usize) -> Option<ToOpen<'_>> {
        let OpenSchedule::Gcm(key) = self.key.schedule() else { return None };
        let (octets, icv) = layout::covered(self.packet, icv_len)?;
        let first = block_0(octets)?;
        let halves = [first as u64, (first >> 64) as u64];
        let extended = self.key.esn().then_some(self.sequence);
        Some(Job::new(key, halves, extended, octets, icv, &mut self.verdict))
    }

    fn give_up(&mut self) {
        self.verdict = Err(BadIcv);
        self.packet.zeroize();
    }
}

/// A packet to work on, and where its outcome goes. Blocks are numbers whose octets in memory are those of
/// the block.
pub(super) struct Job<'a, Outcome> {
    pub key: &'a GcmKey,
    /// The explicit IV where it stands in a counter block (RFC 4106 §4); the key has the salt.
    nonce: u128,
    /// Block 0: header and explicit IV as they have to stand in the packet.
    pub first: u128,
    /// What to add to block 0 before it is hashed, so that the associated data is hashed in its place;
    /// octets reversed.
    pub instead: u128,
    /// Octets of associated data.
    pub associated: usize,
    /// Header ‖ IV ‖ payload with trailer: at least one block.
    pub octets: &'a mut [u8],
    pub icv: &'a mut [u8],
    pub outcome: Outcome,
}

/// A packet to seal.
pub(super) type ToSeal<'a> = Job<'a, ()>;
/// A packet to open, with its verdict.
pub(super) type ToOpen<'a> = Job<'a, &'a mut Result<(), BadIcv>>;

impl<'a, Outcome> Job<'a, Outcome> {
    /// `extended`: the whole number, where the SA has ESN.
    #[inline(always)]
    fn new(
        key: &'a GcmKey,
        [header, iv]: [u64; 2],
        extended: Option<u64>,
        octets: &'a mut [u8],
        icv: &'a mut [u8],
        outcome: Outcome,
    ) -> Self {
        let nonce = u128::from(iv) << 32;
        let first = u128::from(header) | u128::from(iv) << 64;
        // without ESN the header is the associated data, and differs from block 0 by the IV alone
        let (instead, associated) = match extended {
            None => (u128::from(iv.swap_bytes()), HEADER),
            Some(number) => ((first ^ with_esn(header, number)).swap_bytes(), HEADER + 4),
        };
        Self { key, nonce, first, instead, associated, octets, icv, outcome }
    }

    /// The whitened nonce in every lane, salt and all.
    #[inline(always)]
    pub fn base<L: Lanes>(&self, l: L) -> L::V {
        let whitening = self.key.round_keys().key(l, 0);
        l.xor(l.splat_from(&self.nonce.to_le_bytes()), whitening)
    }

    /// The key stream; `keys` are its round keys.
    #[inline(always)]
    pub fn stream<'k, L: Lanes>(
        &self,
        l: L,
        keys: &'k Loaded<L>,
        rounds: usize,
    ) -> Stream<L, &'k Loaded<L>> {
        Stream { keys, rounds, base: self.base(l) }
    }

    /// The length block.
    #[inline(always)]
    pub fn lengths(&self) -> u128 {
        ghash::lengths(self.associated, self.octets.len().saturating_sub(BLOCK))
    }

    /// Writes the explicit IV where it belongs.
    #[inline(always)]
    pub fn write_iv(&mut self) {
        if let Some(block) = self.octets.first_chunk_mut::<BLOCK>() {
            *block = self.first.to_le_bytes();
        }
    }
}

#[inline(always)]
fn block_0(octets: &[u8]) -> Option<u128> {
    octets.first_chunk().copied().map(u128::from_le_bytes)
}

/// SPI ‖ sequence number, all 64 bits of it (RFC 4106 §5): 12 octets.
#[inline(always)]
pub(super) fn with_esn(header: u64, number: u64) -> u128 {
    let [spi, low] = [header as u32, (header >> 32) as u32];
    let high = ((number >> 32) as u32).to_be();
    u128::from(spi) | u128::from(high) << 32 | u128::from(low) << 64
}

/// Writes the first octets of the tag in lane 0, as many as the ICV has: 16, 12 or 8.
#[inline(always)]
pub(super) fn write_icv<L: Lanes>(l: L, icv: &mut [u8], tag: L::V) {
    if let Ok(whole) = <&mut [u8; 16]>::try_from(&mut *icv) {
        *whole = l.block(tag).to_le_bytes();
    } else {
        icv.iter_mut().zip(l.block(tag).to_le_bytes()).for_each(|(to, from)| *to = from);
    }
}

/// Whether the ICV is the first octets of the tag in lane 0, in time that depends on its length alone.
#[inline(always)]
pub(super) fn icv_is<L: Lanes>(l: L, icv: &[u8], tag: L::V) -> bool {
    let tag = l.block(tag);
    let mut given = [0; 16];
    if let Ok(whole) = <&[u8; 16]>::try_from(icv) {
        given = *whole;
    } else {
        given.iter_mut().zip(icv).for_each(|(to, from)| *to = *from);
    }
    let unused = 128_u32.saturating_sub(8 * icv.len() as u32);
    let differences = (u128::from_le_bytes(given) ^ tag) & u128::MAX.unbounded_shr(unused);
    core::hint::black_box(differences) == 0
}
