//! Who is in which lane. The longest chains start first, a lane whose chain has ended takes the next one,
//! and when none is left the lanes close ranks: mixed lengths take as long as all their blocks together, or
//! as the longest chain alone, whichever is more.
use arrayvec::ArrayVec;

use super::vector::{Block, Blocks, Span};
use crate::aes::EncryptKey;

/// The most chains in one call.
pub(in crate::aes) const CHAINS: usize = 64;
/// The most lanes of any width.
const MOST: usize = 16;
/// Blocks that a lane without a chain works on before it is asked again.
const IDLE: usize = 32;

/// One chain: `state = E(state ⊕ block)` for every block of one part after another.
pub(in crate::aes) trait Chained<'a> {
    /// Blocks that are only read, or that become the states.
    type Part: Blocks;
    /// Whether there is only one part.
    const WHOLE: bool;
    fn key(&self) -> &'a EncryptKey;
    /// What the first block is added to.
    fn state(&self) -> Block;
    /// Blocks of all parts that have not been taken.
    fn count(&self) -> usize;
    /// Takes the next part that is not empty.
    fn take(&mut self) -> Option<Self::Part>;
    /// What became of the last block.
    fn end(&mut self, state: Block);
}

/// How many vectors to use: those counts that there is a kernel for, and the cycles that each takes for one
/// block in every lane. Only their ratios matter.
pub(super) type Paces = &'static [(usize, usize)];

/// All chains of one call.
pub(super) struct Lanes<'j, 'a, J, const KEYS: usize> {
    jobs: &'j mut [J],
    /// Indices into `jobs`, the next one to start last.
    waiting: ArrayVec<u8, CHAINS>,
    /// Lanes with a chain; they are the first ones.
    active: usize,
    /// Blocks that every one of them has left.
    least: usize,
    /// Lanes whose keys are not those that they had when this was last zero, one bit for each.
    pub fresh: u32,
    pub keys: [&'a [Block; KEYS]; MOST],
    pub state: [Block; MOST],
    pub starts: [*mut Block; MOST],
    left: [usize; MOST],
    job: [u8; MOST],
    /// Whether all chains end together and none waits.
    even: bool,
}

/// Where lanes without a chain work.
pub(super) struct Idle([Block; IDLE]);

impl Idle {
    pub fn new() -> Self {
        Self([[0; 16]; IDLE])
    }
}

impl<'j, 'a, J: Chained<'a>, const KEYS: usize> Lanes<'j, 'a, J, KEYS> {
    /// No chain in any lane yet.
    #[inline(always)]
    pub fn new(jobs: &'j mut [J], keys: &'a [Block; KEYS]) -> Self {
        Self {
            jobs,
            waiting: ArrayVec::new(),
            active: 0,
            least: usize::MAX,
            fresh: 0,
            keys: [keys; MOST],
            state: [[0; 16]; MOST],
            starts: [core::ptr::null_mut(); MOST],
            left: [0; MOST],
            job: [0; MOST],
            even: false,
        }
    }

    /// A lane for each of at most 16 chains of one part, all of the same number of blocks.
    #[inline(always)]
    pub fn even(jobs: &'j mut [J], keys: &'a [Block; KEYS]) -> Self {
        let mut lanes = Self { even: true, ..Self::new(jobs, keys) };
        for (lane, job) in lanes.jobs.iter_mut().enumerate().take(MOST) {
            let (Some(keys), Some(part)) = (round_keys(job), job.take()) else { break };
            let Span { start, count } = part.span();
            (lanes.keys[lane], lanes.state[lane], lanes.starts[lane]) = (keys, job.state(), start);
            lanes.least = lanes.least.min(count);
            lanes.active = lane + 1;
        }
        lanes.fresh = (1 << lanes.active) - 1;
        lanes
    }

    /// Starts the longest chains, in as many lanes as is quickest.
    pub fn fill(&mut self, width: usize, paces: Paces) {
        let sizes = shortest_first(self.jobs);
        let lanes = quickest(&sizes, width, paces).min(MOST);
        self.waiting.extend(sizes.iter().map(|size| size.job()));
        while self.active < lanes && self.start(self.active) {
            self.least = self.least.min(self.left[self.active]);
            self.active += 1;
        }
    }

    pub fn active(&self) -> usize {
        self.active
    }

    /// How many blocks every one of the first `lanes` lanes can do. Those without a chain get something to
    /// work on, to which nothing else may point until then.
    #[inline(always)]
    pub fn blocks(&mut self, lanes: usize, idle: &mut Idle) -> usize {
        if lanes <= self.active {
            return self.least;
        }
        let span = idle.0.as_mut_slice().span();
        self.starts.iter_mut().take(lanes).skip(self.active).for_each(|to| *to = span.start);
        self.least.min(span.count)
    }

    /// All lanes have done `count` blocks: on to the next part, or the next chain, or close ranks.
    pub fn done(&mut self, count: usize) {
        if self.even {
            return self.all_done(count);
        }
        self.least = usize::MAX;
        for lane in (0..self.active).rev() {
            self.starts[lane] = self.starts[lane].wrapping_add(count);
            self.left[lane] -= count;
            if self.left[lane] == 0 && !self.next_part(lane) {
                self.jobs[usize::from(self.job[lane])].end(self.state[lane]);
                if !self.start(lane) {
                    self.close(lane);
                    continue;
                }
            }
            self.least = self.least.min(self.left[lane]);
        }
    }

    /// As [`done`](Self::done), where all chains end together.
    #[inline(always)]
    fn all_done(&mut self, count: usize) {
        self.starts
            .iter_mut()
            .take(self.active)
            .for_each(|start| *start = start.wrapping_add(count));
        self.least -= count;
        if self.least == 0 {
            self.jobs.iter_mut().zip(self.state).for_each(|(job, state)| job.end(state));
            self.active = 0;
        }
    }

    #[inline(always)]
    fn next_part(&mut self, lane: usize) -> bool {
        let part = self.jobs[usize::from(self.job[lane])].take();
        let Some(Span { start, count }) = part.map(Blocks::span) else { return false };
        (self.starts[lane], self.left[lane]) = (start, count);
        true
    }

    /// Starts the next chain in this lane. `false`: none waits.
    fn start(&mut self, lane: usize) -> bool {
        while let Some(index) = self.waiting.pop() {
            let job = &self.jobs[usize::from(index)];
            if let Some(keys) = round_keys(job) {
                (self.keys[lane], self.state[lane], self.job[lane]) = (keys, job.state(), index);
                self.fresh |= 1 << lane;
                if self.next_part(lane) {
                    return true;
                }
            }
        }
        false
    }

    /// The last lane's chain moves to this one.
    fn close(&mut self, lane: usize) {
        self.active -= 1;
        let last = self.active;
        self.keys[lane] = self.keys[last];
        self.state[lane] = self.state[last];
        self.starts[lane] = self.starts[last];
        self.left[lane] = self.left[last];
        self.job[lane] = self.job[last];
        self.fresh |= 1 << lane;
    }
}

pub(super) fn round_keys<'a, J: Chained<'a>, const KEYS: usize>(
    job: &J,
) -> Option<&'a [Block; KEYS]> {
    job.key().keys().first_chunk()
}

/// Whether all have the same number of blocks, and not none.
pub(super) fn one_length<'a, J: Chained<'a>>(jobs: &[J]) -> bool {
    let first = jobs.first().map_or(0, Chained::count);
    first > 0 && jobs.iter().all(|job| job.count() == first)
}

/// A chain's length in blocks, above its place among the jobs: one word to sort by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size(u32);

impl Size {
    fn new(count: usize, job: u8) -> Self {
        Self((count as u32) << 8 | u32::from(job))
    }

    fn count(self) -> usize {
        self.0 as usize >> 8
    }

    fn job(self) -> u8 {
        self.0 as u8
    }
}

fn shortest_first<'a, J: Chained<'a>>(jobs: &[J]) -> ArrayVec<Size, CHAINS> {
    let mut sizes = ArrayVec::new();
    for (job, index) in jobs.iter().zip(0..).take(CHAINS) {
        sizes.push(Size::new(job.count(), index));
    }
    if !sizes.is_sorted() {
        sizes.sort_unstable();
    }
    sizes
}

/// The number of lanes that has all done first: more lanes do more at once but each of them slower, and no
/// number of them makes the longest chain shorter.
fn quickest(sizes: &[Size], width: usize, paces: Paces) -> usize {
    let time = |&(vectors, cycles): &(usize, usize)| cycles * rounds(sizes, vectors * width);
    if sizes.len() <= width {
        return width;
    }
    paces.iter().min_by_key(|pace| time(pace)).map_or(width, |(vectors, _)| vectors * width)
}

/// Blocks that the busiest of so many lanes will have done, or a few fewer.
fn rounds(sizes: &[Size], lanes: usize) -> usize {
    let total: usize = sizes.iter().map(|size| size.count()).sum();
    // of the lanes · k + 1 longest, some lane gets k + 1
    let longest = sizes.iter().rev().step_by(lanes).zip(1..);
    let shared = longest.map(|(size, share)| size.count() * share).max().unwrap_or(0);
    shared.max(total.div_ceil(lanes))
}
