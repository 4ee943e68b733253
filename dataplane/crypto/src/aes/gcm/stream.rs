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

impl<'a> ToSeal<'a> {
    /// The IV is the packet's number in its epoch, not what stands in the packet. `None`: not a packet for
    /// these kernels; it is wiped, so that it cannot leave in the clear.
    #[inline(always)]
    pub fn of_seal(item: &'a mut Seal<'_>, icv_len: usize) -> Option<Self> {
        let SealSchedule::Gcm(key) = item.key.schedule() else {
            item.packet.zeroize();
            return None;
        };
        let (octets, icv) = layout::covered(item.packet, icv_len)?;
        let header = block_0(octets)? as u64;
        let iv = (item.key.iv_base() | item.sequence).to_be();
        let extended = item.key.esn().then_some(item.sequence);
        Some(Self::new(key, [header, iv], extended, octets, icv, ()))
    }
}

impl<'a> ToOpen<'a> {
    /// The IV stands in the packet. `None`: not a packet for these kernels.
    #[inline(always)]
    pub fn of_open(item: &'a mut Open<'_>, icv_len: usize) -> Option<Self> {
        let OpenSchedule::Gcm(key) = item.key.schedule() else { return None };
        let (octets, icv) = layout::covered(item.packet, icv_len)?;
        let first = block_0(octets)?;
        let halves = [first as u64, (first >> 64) as u64];
        let extended = item.key.esn().then_some(item.sequence);
        Some(Self::new(key, halves, extended, octets, icv, &mut item.verdict))
    }
}

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

/// The tag: the hash, encrypted with E(J0) (NIST SP 800-38D §7.1, step 6).
#[inline(always)]
pub(super) fn tag<L: Lanes>(l: L, hash: L::V, encrypted_counter: L::V) -> u128 {
    l.block(l.xor(l.reverse(hash), encrypted_counter))
}

/// Writes the tag's first octets, as many as the ICV has: 16, 12 or 8.
#[inline(always)]
pub(super) fn write_icv(icv: &mut [u8], tag: u128) {
    let tag = tag.to_le_bytes();
    if let Ok(whole) = <&mut [u8; 16]>::try_from(&mut *icv) {
        *whole = tag;
    } else {
        icv.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
    }
}

/// Whether the ICV is the tag's first octets, in time that depends on its length alone.
#[inline(always)]
pub(super) fn icv_is(icv: &[u8], tag: u128) -> bool {
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
