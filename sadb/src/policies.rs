//! The policy bank: two banks of SPD entries, of which one is active.
//!
//! Control writes the inactive bank ([`Region::stage_policies`]) and asks with `Verb::Policies`; the data plane checks
//! all of it ([`Region::staged`]) and makes it the active one ([`Region::activate`]). Control must not stage again
//! before it has the answer.
//!
//! Orderings: each bank is a seqlock (odd while control writes; fences as in `latch`). The Release store of the
//! active word pairs with its Acquire load: who sees a bank named sees it written.
use crate::codec::{self, Eye, Pen, checksum};
use crate::errors::Corrupt;
use crate::layout::{self, POLICY_ENTRY, bank};
use crate::policy::Policy;
use crate::region::Region;
use crate::sync::{Ordering, Peek, ReadWord, Word, fence};

/// Why policies could not be staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// More entries than the region was made for.
    #[error(
        "{have} policies, and the region has room for {room}: raise dataplane.policies and restart"
    )]
    TooMany {
        /// Entries given.
        have: usize,
        /// Entries that fit.
        room: u32,
    },
    /// Generation 0, too large, or the active one.
    #[error("policy generation {0} cannot be staged: it is 0, above 2^62, or active now")]
    BadGeneration(u64),
    /// A reader cannot stage.
    #[error("this region is mapped read-only")]
    ReadOnly,
}

/// Generations stay below this, so that a generation and a bank number fit into one word.
const GENERATIONS: u64 = 1 << 62;
/// Attempts before a reader gives up.
const ATTEMPTS: u32 = 1000;

/// What the active word says.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Active(u64);
impl Active {
    fn generation(self) -> u64 {
        self.0 >> 1
    }
    fn bank(self) -> usize {
        (self.0 & 1) as usize
    }
}

impl Region {
    /// Generation and entries of the active bank; generation 0 = none was activated yet.
    pub fn policies(&self) -> Result<(u64, Vec<Policy>), Corrupt> {
        let mut result = Ok((0, Vec::new()));
        for _ in 0..ATTEMPTS {
            let active = self.active();
            if active.generation() == 0 {
                return Ok((0, Vec::new()));
            }
            result = self.read_bank(active.bank()).and_then(|(generation, policies)| {
                let corrupt = Corrupt { what: "policy generation", index: 0, value: generation };
                (generation == active.generation()).then_some((generation, policies)).ok_or(corrupt)
            });
            // a failure counts only if the bank did not change sides meanwhile
            if result.is_ok() || self.active() == active {
                return result;
            }
        }
        result
    }

    /// Control: writes the inactive bank. Generations are control's to choose, from 1, never the active one.
    pub fn stage_policies(&self, generation: u64, policies: &[Policy]) -> Result<(), StageError> {
        let room = self.inner.layout.geometry.policies;
        if policies.len() > room as usize {
            return Err(StageError::TooMany { have: policies.len(), room });
        }
        let _one_writer = self.inner.writing.lock();
        let active = self.active();
        if !(1..GENERATIONS).contains(&generation) || generation == active.generation() {
            return Err(StageError::BadGeneration(generation));
        }
        let (start, len) = self.bank(active.bank() ^ 1);
        let words = self.inner.shared.writable().and_then(|words| words.get(start..start + len));
        write_bank(words.ok_or(StageError::ReadOnly)?, generation, policies);
        Ok(())
    }

    /// Data plane: the `count` entries that control staged as `generation`, every one checked.
    pub fn staged(&self, generation: u64, count: u32) -> Result<Vec<Policy>, Corrupt> {
        let (found, policies) = self.read_bank(self.active().bank() ^ 1)?;
        if found != generation {
            return Err(Corrupt { what: "policy generation", index: 0, value: found });
        }
        if policies.len() != count as usize {
            return Err(Corrupt { what: "policy count", index: 0, value: policies.len() as u64 });
        }
        Ok(policies)
    }

    /// Data plane: makes the staged bank of this `generation` the active one.
    pub fn activate(&self, generation: u64) -> Result<(), Corrupt> {
        let staged = self.active().bank() ^ 1;
        let (start, len) = self.bank(staged);
        let found = self.inner.shared.read(start, len).get(bank::GENERATION).map_or(0, Peek::peek);
        let corrupt = Corrupt { what: "policy generation", index: 0, value: found };
        let active = self.inner.shared.writable().and_then(|words| words.get(layout::POLICY));
        let active =
            active.filter(|_| found == generation && (1..GENERATIONS).contains(&generation));
        active.ok_or(corrupt)?.store(generation << 1 | staged as u64, Ordering::Release);
        Ok(())
    }

    fn active(&self) -> Active {
        Active(self.inner.shared.words().get(layout::POLICY).map_or(0, Peek::peek_acquire))
    }

    /// Where bank 0 or 1 stands: start and length.
    fn bank(&self, which: usize) -> (usize, usize) {
        let len = self.inner.layout.bank_words();
        (self.inner.layout.banks + which * len, len)
    }

    /// A bank's generation and entries. Copied first, then checked and decoded from the copy.
    fn read_bank(&self, which: usize) -> Result<(u64, Vec<Policy>), Corrupt> {
        let (start, len) = self.bank(which);
        let (generation, words) = copy_bank(self.inner.shared.read(start, len))?;
        let entries = words.chunks_exact(POLICY_ENTRY).zip(0..);
        let policies =
            entries.map(|(entry, index)| codec::decode_policy(&mut Eye::new(entry, index)));
        Ok((generation, policies.collect::<Result<_, _>>()?))
    }
}

fn copy_bank(words: &[ReadWord]) -> Result<(u64, Vec<u64>), Corrupt> {
    let corrupt = |what, value| Corrupt { what, index: 0, value };
    let short = corrupt("policy bank", words.len() as u64);
    let (head, entries) = words.split_first_chunk::<{ bank::WORDS }>().ok_or(short)?;
    let before = head[bank::SEQUENCE].peek_acquire();
    if before % 2 == 1 {
        return Err(corrupt("policy bank being written", before));
    }
    let [generation, count, sum] = [bank::GENERATION, bank::COUNT, bank::CHECKSUM]
        .map(|at| head.get(at).map_or(0, Peek::peek));
    let wanted = usize::try_from(count).ok().and_then(|count| count.checked_mul(POLICY_ENTRY));
    let entries =
        wanted.and_then(|len| entries.get(..len)).ok_or(corrupt("policy count", count))?;
    let copy: Vec<u64> = entries.iter().map(Peek::peek).collect();
    fence(Ordering::Acquire);
    if head[bank::SEQUENCE].peek() != before {
        return Err(corrupt("policy bank being written", before));
    }
    if bank_sum(generation, &copy) != sum {
        return Err(corrupt("policy checksum", sum));
    }
    Ok((generation, copy))
}

fn bank_sum(generation: u64, entries: &[u64]) -> u64 {
    checksum(&[generation, entries.len() as u64, checksum(entries)])
}

fn write_bank(words: &[Word], generation: u64, policies: &[Policy]) {
    let Some((head, entries)) = words.split_first_chunk::<{ bank::WORDS }>() else { return };
    let mut copy = vec![0; policies.len() * POLICY_ENTRY];
    for (policy, entry) in policies.iter().zip(copy.chunks_exact_mut(POLICY_ENTRY)) {
        codec::encode_policy(policy, &mut Pen::new(entry));
    }
    // odd already when a former control was killed here
    let odd = head[bank::SEQUENCE].load(Ordering::Relaxed) | 1;
    head[bank::SEQUENCE].store(odd, Ordering::Relaxed);
    fence(Ordering::Release);
    head[bank::GENERATION].store(generation, Ordering::Relaxed);
    head[bank::COUNT].store(policies.len() as u64, Ordering::Relaxed);
    head[bank::CHECKSUM].store(bank_sum(generation, &copy), Ordering::Relaxed);
    entries.iter().zip(copy).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
    head[bank::SEQUENCE].store(odd.wrapping_add(1), Ordering::Release);
}
