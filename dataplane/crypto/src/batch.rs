//! The batch API: many packets of many SAs in one call, each processed where it lies.
use arrayvec::ArrayVec;
use zeroize::Zeroize;

use crate::key::{Lane, OpenKey, SealKey};
use crate::layout;

/// Packets looked at together. Enough for 16 lanes of a few families; small enough for the stack.
const CHUNK: usize = 64;

/// One packet to seal.
pub struct Seal<'a> {
    /// The outbound key of the packet's SA.
    pub key: &'a SealKey,
    /// The packet's number, all 64 bits; the header holds its low 32. Never used twice with one key.
    pub sequence: u64,
    /// ESP header (already written) ‖ room for the IV ‖ payload with trailer ‖ room for the ICV.
    pub packet: &'a mut [u8],
}

/// One packet to open.
pub struct Open<'a> {
    /// The inbound key of the packet's SA.
    pub key: &'a OpenKey,
    /// The packet's number, all 64 bits, its high half inferred (RFC 4303 Appendix A2.2).
    pub sequence: u64,
    /// The packet as it arrived, from the ESP header to the last octet of the ICV.
    pub packet: &'a mut [u8],
    /// Set by [`open`], whatever it was before.
    pub verdict: Result<(), BadIcv>,
}

impl<'a> Open<'a> {
    /// A packet that nobody has vouched for yet.
    pub fn new(key: &'a OpenKey, sequence: u64, packet: &'a mut [u8]) -> Self {
        Self { key, sequence, packet, verdict: Err(BadIcv) }
    }
}

/// The packet is not what the peer's key sealed under this number: corrupt, forged, or too short or
/// ragged to be whole ([`Suite::accepts`](crate::Suite::accepts) tells those apart beforehand).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet's ICV does not verify")]
pub struct BadIcv;

/// Seals every packet in place: writes the IV, encrypts payload and trailer, writes the ICV.
/// Packets are grouped by suite, not by SA, and keep their places in `batch`.
///
/// Returns how many packets were refused: no room for IV and ICV, payload not whole blocks
/// ([`Suite::accepts`](crate::Suite::accepts)), a number above [`SealKey::sequence_limit`], or a header
/// that carries another number. All octets of those are zero afterwards, the SPI (which can then be no SA's)
/// among them: a packet that cannot be sealed cannot leave in the clear either.
pub fn seal(batch: &mut [Seal<'_>]) -> usize {
    batch.chunks_mut(CHUNK).map(seal_chunk).sum()
}

fn seal_chunk(chunk: &mut [Seal<'_>]) -> usize {
    let Some(first) = chunk.first().map(|item| item.key) else { return 0 };
    if chunk.iter().all(|item| item.key.lane() == first.lane() && item.is_sound()) {
        first.kernel()(&mut places(chunk));
        return 0;
    }
    let mut fit = ArrayVec::<_, CHUNK>::new();
    let mut refused = 0;
    for item in chunk {
        if item.is_sound() {
            fit.push(item);
        } else {
            item.packet.zeroize();
            refused += 1;
        }
    }
    by_lane(
        &mut fit,
        |item| item.key.lane(),
        |group| {
            if let Some(kernel) = group.first().map(|item| item.key.kernel()) {
                kernel(group);
            }
        },
    );
    refused
}

/// Where each of at most [`CHUNK`] packets is found.
#[inline(always)]
fn places<T>(chunk: &mut [T]) -> ArrayVec<&mut T, CHUNK> {
    let mut places = ArrayVec::new();
    for item in chunk.iter_mut().take(CHUNK) {
        places.push(item);
    }
    places
}

/// Calls `run` once for each lane. Packets of one lane stand together afterwards, in any order: what is moved is
/// where they are found, not they.
fn by_lane<T>(mut rest: &mut [T], lane_of: impl Fn(&T) -> Lane, mut run: impl FnMut(&mut [T])) {
    while let Some(lane) = rest.first().map(&lane_of) {
        let mut same = 0;
        for at in 0..rest.len() {
            if rest.get(at).is_some_and(|item| lane_of(item) == lane) {
                rest.swap(same, at);
                same += 1;
            }
        }
        let (group, others) = rest.split_at_mut(same);
        run(group);
        rest = others;
    }
}

/// Verifies and decrypts every packet in place, and sets its verdict. Payload and trailer of a good
/// packet stand where its ciphertext stood. A bad one is found as it arrived: no octet of its plaintext is to be
/// seen once this returns. With a MAC of its own the ICV is checked before anything is decrypted, and
/// all comparisons take constant time. Packets are grouped as in [`seal`].
pub fn open(batch: &mut [Open<'_>]) {
    batch.chunks_mut(CHUNK).for_each(open_chunk);
}

fn open_chunk(chunk: &mut [Open<'_>]) {
    let Some(first) = chunk.first().map(|item| item.key) else { return };
    chunk.iter_mut().for_each(|item| item.verdict = Err(BadIcv));
    if chunk.iter().all(|item| item.key.lane() == first.lane() && item.is_sound()) {
        return first.kernel()(&mut places(chunk));
    }
    let mut fit: ArrayVec<_, CHUNK> = chunk.iter_mut().filter(|item| item.is_sound()).collect();
    by_lane(
        &mut fit,
        |item| item.key.lane(),
        |group| {
            if let Some(kernel) = group.first().map(|item| item.key.kernel()) {
                kernel(group);
            }
        },
    );
}

impl Seal<'_> {
    #[inline(always)]
    fn is_sound(&self) -> bool {
        self.key.shape().accepts(self.packet.len())
            && self.sequence <= self.key.sequence_limit()
            && carries(self.packet, self.sequence)
    }
}

impl Open<'_> {
    /// The number that the replay window will remember must be the one that the ICV covers.
    #[inline(always)]
    fn is_sound(&self) -> bool {
        self.key.shape().accepts(self.packet.len()) && carries(self.packet, self.sequence)
    }
}

/// Whether the header holds the low half of `sequence`.
fn carries(packet: &[u8], sequence: u64) -> bool {
    layout::sequence_low(packet).is_some_and(|low| u64::from(low) == sequence & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::backend::{Family, PORTABLE};
    use crate::schedule::Place;
    use crate::suite::Suite;

    thread_local!(static CALLS: RefCell<Vec<(Suite, usize)>> = const { RefCell::new(Vec::new()) });

    /// Kernels that only note which groups they were called with.
    const NOTING: Place = Place {
        backend: &PORTABLE,
        family: Family {
            seal: |group| note(group.iter().map(|item| item.key.suite())),
            open: |group| note(group.iter().map(|item| item.key.suite())),
        },
        fast: false,
    };

    /// In the suites' order: a chunk's groups come in the order of their first packets.
    fn called() -> Vec<(Suite, usize)> {
        let mut calls = CALLS.take();
        calls.sort();
        calls
    }

    /// So many that three packets of each are one chunk.
    fn some() -> impl Iterator<Item = Suite> + Clone {
        Suite::all().step_by(9)
    }

    fn note(suites: impl Iterator<Item = Suite>) {
        let suites: Vec<_> = suites.collect();
        assert!(suites.iter().all(|suite| *suite == suites[0]), "mixed: {suites:?}");
        CALLS.with_borrow_mut(|calls| calls.push((suites[0], suites.len())));
    }

    /// Three packets of every suite, one suite after another, three times over.
    fn with_mixed_batch(check: impl Fn(&mut [Vec<u8>], &[SealKey], &[OpenKey])) {
        let counting = |len| (1..=u8::try_from(len).unwrap()).collect::<Vec<_>>();
        let material =
            |suite: Suite| (counting(suite.key_len()), counting(suite.integrity_key_len()));
        let key = |suite| {
            let (key, mac) = material(suite);
            SealKey::at(NOTING, suite, &key, &mac, false, 0).unwrap()
        };
        let open_key = |suite| {
            let (key, mac) = material(suite);
            OpenKey::at(NOTING, suite, &key, &mac, false).unwrap()
        };
        let empty = |suite: Suite| vec![0; layout::HEADER + suite.iv_len() + suite.icv_len()];
        let mut packets: Vec<_> = (0..3).flat_map(|_| some().map(empty)).collect();
        let keys: Vec<_> = some().map(key).collect();
        let open_keys: Vec<_> = some().map(open_key).collect();
        check(&mut packets, &keys, &open_keys);
    }

    #[test]
    fn a_kernel_is_called_once_for_all_packets_of_its_suite() {
        let mut every_suite_at_once: Vec<_> = some().map(|suite| (suite, 3)).collect();
        every_suite_at_once.sort();
        with_mixed_batch(|packets, keys, open_keys| {
            let pairs = packets.iter_mut().zip(keys.iter().cycle());
            let mut batch: Vec<_> =
                pairs.map(|(packet, key)| Seal { key, sequence: 0, packet }).collect();
            assert_eq!(seal(&mut batch), 0);
            assert_eq!(called(), every_suite_at_once);
            let pairs = packets.iter_mut().zip(open_keys.iter().cycle());
            let mut batch: Vec<_> = pairs.map(|(packet, key)| Open::new(key, 0, packet)).collect();
            open(&mut batch);
            assert_eq!(called(), every_suite_at_once);
            assert!(batch.iter().all(|item| item.verdict.is_err()), "nobody vouched for these");
        });
    }
}
