//! Short packets, several abreast: one alone would wait for itself most of the time.
use super::super::abreast::{self, Beside, Keys, unrolled};
use super::super::ctr;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::batch::prefetch;
use super::stream::{Job, ToOpen, ToSeal, icv_is, tag, write_icv};
use super::tail::{self, Tail};
use crate::batch::BadIcv;

/// The shape that packets of a run share: known once, it costs each packet nothing.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Octets up to the ICV.
    len: usize,
    /// The length block.
    lengths: u128,
}

impl Shape {
    #[inline(always)]
    fn of<Outcome>(job: &Job<'_, Outcome>) -> Self {
        Self { len: job.octets.len(), lengths: job.lengths() }
    }

    #[inline(always)]
    fn fits<Outcome>(self, job: &Job<'_, Outcome>) -> bool {
        self.len == job.octets.len() && self.lengths == job.lengths()
    }
}

/// Seals packets of up to one group, `Q` vectors each, `P` at a time, each time while the ones before are
/// hashed. `P` · `Q` is at most 8, unless `P` is 1.
#[inline(always)]
pub(super) fn seal<L: Lanes, const P: usize, const Q: usize>(l: L, jobs: &mut [ToSeal<'_>]) {
    match shape(jobs) {
        Some(shape) if P > 1 => seal_run::<L, P, Q>(l, Some(shape), jobs),
        _ => seal_run::<L, P, Q>(l, None, jobs),
    }
}

/// The one that all have.
#[inline(always)]
fn shape<Outcome>(jobs: &[Job<'_, Outcome>]) -> Option<Shape> {
    let shape = jobs.first().map(Shape::of)?;
    jobs.iter().all(|job| shape.fits(job)).then_some(shape)
}

#[inline(always)]
fn seal_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToSeal<'_>],
) {
    let (groups, rest) = jobs.as_chunks_mut::<P>();
    if let Some((mut done, mut behind)) = groups.split_first_mut() {
        let mut counters = encrypt::<L, P, Q>(l, shape, done, &mut ());
        while let Some((next, others)) = behind.split_first_mut() {
            if let Some(jobs) = others.first() {
                prefetch_all(jobs);
            }
            let mut hashing = Hashing::<L, (), P, Q>::new(l, shape, done);
            let counters_of_next = encrypt::<L, P, Q>(l, shape, next, &mut hashing);
            let tags = hashing.tags(l, counters);
            write_icvs(done, tags);
            (done, behind, counters) = (next, others, counters_of_next);
        }
        let tags = Hashing::<L, (), P, Q>::new(l, shape, done).alone().tags(l, counters);
        write_icvs(done, tags);
    }
    if P > 1 {
        for job in rest {
            let job = core::array::from_mut(job);
            let counters = encrypt::<L, 1, Q>(l, shape, job, &mut ());
            let tags = Hashing::<L, (), 1, Q>::new(l, shape, job).alone().tags(l, counters);
            write_icvs(job, tags);
        }
    }
}

#[inline(always)]
fn prefetch_all<Outcome, const P: usize>(jobs: &[Job<'_, Outcome>; P]) {
    unrolled!(I < P => {
        prefetch(&jobs[I]);
    });
}

#[inline(always)]
fn write_icvs<const P: usize>(jobs: &mut [ToSeal<'_>; P], tags: [u128; P]) {
    unrolled!(I < P => {
        write_icv(jobs[I].icv, tags[I]);
    });
}

/// Opens packets of up to one group, `Q` vectors each, `P` at a time. Only what is good is written.
#[inline(always)]
pub(super) fn open<L: Lanes, const P: usize, const Q: usize>(l: L, jobs: &mut [ToOpen<'_>]) {
    match shape(jobs) {
        Some(shape) if P > 1 => open_run::<L, P, Q>(l, Some(shape), jobs),
        _ => open_run::<L, P, Q>(l, None, jobs),
    }
}

#[inline(always)]
fn open_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToOpen<'_>],
) {
    let (mut groups, rest) = jobs.as_chunks_mut::<P>();
    while let Some((group, others)) = groups.split_first_mut() {
        if let Some(jobs) = others.first() {
            prefetch_all(jobs);
        }
        open_group::<L, P, Q>(l, shape, group);
        groups = others;
    }
    if P > 1 {
        for job in rest {
            open_group::<L, 1, Q>(l, shape, core::array::from_mut(job));
        }
    }
}

#[inline(always)]
fn open_group<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToOpen<'_>; P],
) {
    let mut hashing = Hashing::<L, _, P, Q>::new(l, shape, jobs);
    let mut texts = encrypted::<L, _, P, Q>(l, jobs, &mut hashing);
    let mut counters = [l.zero(); P];
    unrolled!(I < P => {
        counters[I] = finish::<L, _, Q>(l, shape, &jobs[I], &mut texts[I]);
    });
    let tags = hashing.tags(l, counters);
    unrolled!(I < P => {
        let job = &mut jobs[I];
        let good = icv_is(job.icv, tags[I]);
        if good {
            write::<L, _, Q>(l, shape, job, texts[I]);
        }
        *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
    });
}

/// Encrypts `P` packets, and returns their E(J0).
#[inline(always)]
fn encrypt<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToSeal<'_>; P],
    beside: &mut impl Beside<L>,
) -> [L::V; P] {
    let mut texts = encrypted::<L, _, P, Q>(l, jobs, beside);
    let mut counters = [l.zero(); P];
    unrolled!(I < P => {
        counters[I] = finish::<L, _, Q>(l, shape, &jobs[I], &mut texts[I]);
        write::<L, _, Q>(l, shape, &mut jobs[I], texts[I]);
    });
    counters
}

/// Counter blocks of `P` packets from their beginning, encrypted up to the last round.
#[inline(always)]
pub(super) fn encrypted<L: Lanes, Outcome, const P: usize, const Q: usize>(
    l: L,
    jobs: &[Job<'_, Outcome>; P],
    beside: &mut impl Beside<L>,
) -> [[L::V; Q]; P] {
    let mut states = [[l.zero(); Q]; P];
    let mut keys = [jobs[0].key.round_keys(); P];
    unrolled!(I < P => {
        states[I] = ctr::blocks(l, jobs[I].base(l), 1);
        keys[I] = jobs[I].key.round_keys();
    });
    abreast::rounds(l, keys, jobs[0].key.rounds(), &mut states, beside);
    states
}

/// The last round: `states` become the packet's other text. Returns E(J0) in lane 0.
#[inline(always)]
fn finish<L: Lanes, Outcome, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    job: &Job<'_, Outcome>,
    states: &mut [L::V; Q],
) -> L::V {
    let last_key = job.key.round_keys().last(l, job.key.rounds());
    let mut counter = l.zero();
    let octets = octets(shape, job);
    unrolled!(I < Q => {
        let text = tail::read::<L, Q>(l, octets, I);
        states[I] = l.last_round(states[I], l.xor(last_key, text));
        if I == 0 {
            counter = l.xor(states[I], text);
            states[I] = l.with_first(states[I], l.at_lane(job.first, 0));
        }
    });
    counter
}

#[inline(always)]
fn write<L: Lanes, Outcome, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    job: &mut Job<'_, Outcome>,
    texts: [L::V; Q],
) {
    let octets = match shape {
        Some(shape) => job.octets.get_mut(..shape.len).unwrap_or_default(),
        None => &mut *job.octets,
    };
    unrolled!(I < Q => {
        tail::write::<L, Q>(l, octets, I, texts[I]);
    });
}

/// The packet up to its ICV. With a shape its length is the run's: what follows from it is computed once.
#[inline(always)]
fn octets<'j, Outcome>(shape: Option<Shape>, job: &'j Job<'_, Outcome>) -> &'j [u8] {
    match shape {
        Some(shape) => job.octets.get(..shape.len).unwrap_or_default(),
        None => job.octets,
    }
}

/// The ciphertext of `P` packets, to be hashed where it lies.
struct Hashing<'h, 'a, L: Lanes, Outcome, const P: usize, const Q: usize> {
    l: L,
    shape: Option<Shape>,
    jobs: &'h [Job<'a, Outcome>; P],
    sums: [Sums<L>; P],
}

impl<'h, 'a, L: Lanes, Outcome, const P: usize, const Q: usize> Hashing<'h, 'a, L, Outcome, P, Q> {
    #[inline(always)]
    fn new(l: L, shape: Option<Shape>, jobs: &'h [Job<'a, Outcome>; P]) -> Self {
        Self { l, shape, jobs, sums: [Sums::new(l); P] }
    }

    /// All that [`Beside::step`] does.
    #[inline(always)]
    fn alone(mut self) -> Self {
        unrolled!(I < 8 => {
            self.step(self.l, I);
        });
        self
    }

    /// Their tags. All reductions abreast: one is a chain of a dozen instructions that each wait for the
    /// one before.
    #[inline(always)]
    fn tags(mut self, l: L, counters: [L::V; P]) -> [u128; P] {
        if P * Q == 9 {
            self.add(8);
        }
        let mut tags = [0; P];
        unrolled!(I < P => {
            self.tail(I).add_lengths(l, &mut self.sums[I]);
        });
        unrolled!(I < P => {
            tags[I] = tag(l, self.sums[I].reduce(l), counters[I]);
        });
        tags
    }

    /// Vector `i` of those of all packets.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn add(&mut self, i: usize) {
        let (p, q) = (i / Q, i % Q);
        let text = tail::read::<L, Q>(self.l, octets(self.shape, &self.jobs[p]), q);
        self.tail(p).add::<Q>(self.l, &mut self.sums[p], q, text);
        self.sums[p].fence(self.l);
    }

    /// Of packet `p`.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn tail(&self, p: usize) -> Tail<'a, L> {
        let job = &self.jobs[p];
        let Shape { len, lengths } = self.shape.unwrap_or_else(|| Shape::of(job));
        Tail { key: job.key, len, hash: self.l.at_lane(job.instead, 0), lengths }
    }
}

impl<L: Lanes, Outcome, const P: usize, const Q: usize> Beside<L>
    for Hashing<'_, '_, L, Outcome, P, Q>
{
    #[inline(always)]
    fn step(&mut self, _: L, round: usize) {
        if round < P * Q {
            self.add(round);
        }
    }
}
