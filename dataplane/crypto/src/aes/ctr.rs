//! AES in counter mode: the counter blocks that all modes on it share, and the mode alone (RFC 3686).
use super::lanes::Lanes;

/// Octets of the counter blocks that one group of vectors needs at most.
pub(super) const GROUP: usize = 320;
/// Counters in [`TABLE`]: those of the longest Ethernet frame.
const COUNTED: usize = 640;

/// Counters as they stand in a block, big endian in its last four octets. Every packet starts at 1, so the
/// few lines that are used stay in the cache, and one exclusive or makes the block: no addition, no shuffle.
static TABLE: Table = {
    let mut octets = [0; 16 * COUNTED + GROUP];
    let mut i = 0;
    while i < octets.len() / 16 {
        octets[16 * i + 14] = (i >> 8) as u8;
        octets[16 * i + 15] = i as u8;
        i += 1;
    }
    Table(octets)
};

#[repr(align(64))]
struct Table([u8; 16 * COUNTED + GROUP]);

/// Counters for packets longer than the table.
#[cold]
#[inline(never)]
fn count(first: usize) -> [u8; GROUP] {
    let mut octets = [0; GROUP];
    for (i, block) in octets.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        // 2³² blocks are 64 GiB: no packet
        *block = u128::from((first + i) as u32).to_be_bytes();
    }
    octets
}

/// `Q` vectors of counter blocks from counter `first` on. `base`: the nonce, whitened, in every lane.
#[inline(always)]
pub(super) fn blocks<L: Lanes, const Q: usize>(l: L, base: L::V, first: usize) -> [L::V; Q] {
    let counted;
    let known = if first < COUNTED { TABLE.0.get(16 * first..) } else { None };
    let counters = match known.and_then(|octets| octets.first_chunk()) {
        Some(counters) => counters,
        None => {
            counted = count(first);
            &counted
        }
    };
    add_counters(l, base, counters)
}

#[inline(always)]
fn add_counters<L: Lanes, const Q: usize>(
    l: L,
    base: L::V,
    counters: &[u8; GROUP],
) -> [L::V; Q] {
    let mut blocks = [base; Q];
    for (block, counter) in blocks.iter_mut().zip(counters.chunks_exact(L::OCTETS)) {
        *block = l.xor(base, l.load(counter));
    }
    blocks
}
