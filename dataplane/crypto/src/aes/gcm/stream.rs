//! A packet as the stream that AES and GHASH run over: all but its ICV, in blocks from the ESP header on.
use zeroize::Zeroize;

use super::super::ghash;
use super::super::abreast::Loaded;
use super::super::ctr::Stream;
use super::super::lanes::Lanes;
use super::GcmKey;
use crate::batch::{BadIcv, Open, Seal};
use crate::layout;
use crate::schedule::{OpenSchedule, SealSchedule};

/// Octets of a block.
pub(super) const BLOCK: usize = 16;

/// A packet to work on, and where its outcome goes.
pub(super) struct Job<'a, Outcome> {
    pub key: &'a GcmKey,
    /// Header and explicit IV, their octets in memory order.
    header: u64,
    pub iv: u64,
    /// The first block of associated data, and its octets.
    pub associated: (u128, usize),
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
        let associated = associated_data(header, item.sequence, item.key.esn());
        Some(Self { key, header, iv, associated, octets, icv, outcome: () })
    }
}

impl<'a> ToOpen<'a> {
    /// The IV stands in the packet. `None`: not a packet for these kernels.
    #[inline(always)]
    pub fn of_open(item: &'a mut Open<'_>, icv_len: usize) -> Option<Self> {
        let OpenSchedule::Gcm(key) = item.key.schedule() else { return None };
        let (octets, icv) = layout::covered(item.packet, icv_len)?;
        let first = block_0(octets)?;
        let (header, iv) = (first as u64, (first >> 64) as u64);
        let associated = associated_data(header, item.sequence, item.key.esn());
        Some(Self { key, header, iv, associated, octets, icv, outcome: &mut item.verdict })
    }
}

impl<Outcome> Job<'_, Outcome> {
    /// The whitened nonce in every lane.
    #[inline(always)]
    pub fn base<L: Lanes>(&self, l: L) -> L::V {
        self.key.base(l, self.iv)
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

    /// Writes the explicit IV where it belongs.
    #[inline(always)]
    pub fn write_iv(&mut self) {
        if let Some(block) = self.octets.first_chunk_mut::<BLOCK>() {
            *block = (u128::from(self.header) | u128::from(self.iv) << 64).to_le_bytes();
        }
    }
}

/// What the hash of a job starts from, and what block 0 becomes.
pub(super) struct Start<L: Lanes> {
    /// Block 0: header and IV as they have to stand in the packet.
    pub first: L::V,
    /// What to add to block 0 before it is hashed, so that the associated data is hashed in its place.
    pub hash: L::V,
    /// The length block.
    pub lengths: u128,
}

impl<L: Lanes> Start<L> {
    #[inline(always)]
    pub fn of<Outcome>(l: L, job: &Job<'_, Outcome>) -> Self {
        let (associated, associated_len) = job.associated;
        let first = u128::from(job.header) | u128::from(job.iv) << 64;
        Self {
            first: l.at_lane(first, 0),
            hash: l.at_lane((first ^ associated).swap_bytes(), 0),
            lengths: ghash::lengths(associated_len, job.octets.len().saturating_sub(BLOCK)),
        }
    }
}

#[inline(always)]
fn block_0(octets: &[u8]) -> Option<u128> {
    octets.first_chunk().copied().map(u128::from_le_bytes)
}

/// The tag: the hash, encrypted with E(J0) (NIST SP 800-38D §7.1, step 6).
#[inline(always)]
pub(super) fn tag<L: Lanes>(l: L, hash: L::V, encrypted_counter: L::V) -> u128 {
    l.block(l.xor(l.reverse(hash), encrypted_counter))
}

/// SPI ‖ sequence number, all 64 bits of it with ESN (RFC 4106 §5): one block, and its octets.
#[inline(always)]
fn associated_data(header: u64, sequence: u64, esn: bool) -> (u128, usize) {
    if !esn {
        return (u128::from(header), 8);
    }
    let [spi, low] = [header as u32, (header >> 32) as u32];
    let high = ((sequence >> 32) as u32).to_be();
    (u128::from(spi) | u128::from(high) << 32 | u128::from(low) << 64, 12)
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
