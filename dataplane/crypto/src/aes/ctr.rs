//! AES in counter mode: the counter blocks that all modes on it share, and the mode alone (RFC 3686).
use super::CtrJob;
use super::abreast::{self, Beside, Keys, Loaded, for_vectors, unrolled};
use super::lanes::Lanes;

/// Octets of the counter blocks that one group of vectors needs at most.
pub(super) const GROUP: usize = 320;
/// Counters in [`TABLE`]: those of the longest Ethernet frame.
const COUNTED: usize = 640;

/// Counters from 1 on as they stand in a block, big endian in its last four octets. Every packet starts at
/// 1, so the few lines that are used stay in the cache, groups start where lines do, and one exclusive or
/// makes the block: no addition, no shuffle.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static TABLE: Table = {
    let mut octets = [0; 16 * COUNTED + GROUP];
    let mut i = 0;
    while i < octets.len() / 16 {
        octets[16 * i + 14] = ((i + 1) >> 8) as u8;
        octets[16 * i + 15] = (i + 1) as u8;
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
    let known = if first <= COUNTED { TABLE.0.get(16 * first.wrapping_sub(1)..) } else { None };
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
fn add_counters<L: Lanes, const Q: usize>(l: L, base: L::V, counters: &[u8; GROUP]) -> [L::V; Q] {
    let mut blocks = [base; Q];
    unrolled!(I < Q => {
        blocks[I] = l.xor(base, l.load(counters.get(I * L::OCTETS..).unwrap_or(&[])));
    });
    blocks
}

/// A cipher's key stream: the key, and the nonce that its counters go with.
#[derive(Clone, Copy)]
pub(super) struct Stream<L: Lanes, K: Keys<L>> {
    pub keys: K,
    /// Rounds of the key's length.
    pub rounds: usize,
    /// The whitened nonce in every lane.
    pub base: L::V,
}

impl<L: Lanes, K: Keys<L>> Stream<L, K> {
    /// Counter blocks from `counter` on, encrypted up to the last round, other work between the rounds.
    #[inline(always)]
    pub fn encrypted<const Q: usize>(
        self,
        l: L,
        counter: usize,
        beside: &mut impl Beside<L>,
    ) -> [L::V; Q] {
        let mut states = [blocks(l, self.base, counter)];
        abreast::rounds::<L, K, 1, Q>(l, [self.keys], self.rounds, &mut states, beside);
        let [state] = states;
        state
    }

    /// The last round: `texts` under the key stream that `states` become.
    #[inline(always)]
    pub fn finish<const Q: usize>(self, l: L, states: [L::V; Q], texts: [L::V; Q]) -> [L::V; Q] {
        last_round(l, self.keys.last(l, self.rounds), states, texts)
    }
}

/// The last round of `states`, under `key`, and what comes of `texts`.
#[inline(always)]
pub(super) fn last_round<L: Lanes, const Q: usize>(
    l: L,
    key: L::V,
    states: [L::V; Q],
    mut texts: [L::V; Q],
) -> [L::V; Q] {
    unrolled!(I < Q => {
        texts[I] = l.last_round(states[I], l.xor(key, texts[I]));
    });
    texts
}

/// `Q` vectors from `octets` on, zeros behind the last octet.
#[inline(always)]
pub(super) fn load<L: Lanes, const Q: usize>(l: L, octets: &[u8]) -> [L::V; Q] {
    let mut texts = [l.zero(); Q];
    unrolled!(I < Q => {
        texts[I] = l.load(octets.get(I * L::OCTETS..).unwrap_or(&[]));
    });
    texts
}

/// As [`load`], the other way.
#[inline(always)]
pub(super) fn store<L: Lanes, const Q: usize>(l: L, octets: &mut [u8], texts: [L::V; Q]) {
    unrolled!(I < Q => {
        l.store(octets.get_mut(I * L::OCTETS..).unwrap_or(&mut []), texts[I]);
    });
}

/// Encrypts or decrypts every job's body in place: counter mode is its own inverse.
#[inline(always)]
pub(super) fn in_place<L: Lanes, const N: usize>(l: L, jobs: &mut [CtrJob<'_>]) {
    for job in jobs {
        let loaded = Loaded::new(l, job.key.keys(), job.key.rounds());
        let block = u128::from_be_bytes(job.counter_block);
        let nonce = l.splat((block >> 32 << 32).swap_bytes());
        let base = l.xor(nonce, (&loaded).key(l, 0));
        let stream = Stream { keys: &loaded, rounds: job.key.rounds(), base };
        let mut counter = block as u32 as usize;
        for octets in job.body.chunks_mut(N * L::OCTETS) {
            for_vectors!(octets.len().div_ceil(L::OCTETS), N, Q => {
                let state = stream.encrypted::<Q>(l, counter, &mut ());
                in_place_under(l, stream, state, octets);
            });
            counter += N * L::LANES;
        }
    }
}

/// The last round of `Q` vectors, the last of them perhaps partly filled.
#[inline(always)]
fn in_place_under<L: Lanes, const Q: usize>(
    l: L,
    stream: Stream<L, &Loaded<L>>,
    states: [L::V; Q],
    octets: &mut [u8],
) {
    let texts = stream.finish(l, states, load(l, octets));
    store(l, octets, texts);
}
