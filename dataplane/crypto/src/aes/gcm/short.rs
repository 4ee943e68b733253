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

    /// The run's, or the job's own.
    #[inline(always)]
    fn or_of<Outcome>(shared: Option<Self>, job: &Job<'_, Outcome>) -> Self {
        shared.unwrap_or_else(|| Self::of(job))
    }
}

/// The one that all have.
#[inline(always)]
fn shared<Outcome>(jobs: &[Job<'_, Outcome>]) -> Option<Shape> {
    let shape = jobs.first().map(Shape::of)?;
    jobs.iter().all(|job| shape.fits(job)).then_some(shape)
}

/// Seals packets of up to one group, `Q` vectors each, `P` at a time, each time while the ones before are
/// hashed. `P` · `Q` is at most 8, unless `P` is 1.
#[inline(always)]
pub(super) fn seal<L: Lanes, const P: usize, const Q: usize>(l: L, jobs: &mut [ToSeal<'_>]) {
    match shared(jobs) {
        Some(shape) if P > 1 => seal_run::<L, P, Q>(l, Some(shape), jobs),
        _ => seal_run::<L, P, Q>(l, None, jobs),
    };
}

/// `None`: a packet does not have the shape. That cannot be.
#[inline(always)]
fn seal_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToSeal<'_>],
) -> Option<()> {
    let rounds = jobs.first()?.key.rounds();
    let (groups, rest) = jobs.as_chunks_mut::<P>();
    if let Some((mut done, mut behind)) = groups.split_first_mut() {
        let mut sealed = encrypt::<L, P, Q>(l, shape, done, &mut ())?;
        while let Some((next, others)) = behind.split_first_mut() {
            if let Some(jobs) = others.first() {
                prefetch_all::<L, _, P, Q>(jobs, rounds);
            }
            let mut hashing = Hashing::new(l, shape, done, sealed.texts);
            let sealed_next = encrypt::<L, P, Q>(l, shape, next, &mut hashing)?;
            let tags = hashing.tags(l, sealed.counters);
            write_icvs(done, tags);
            (done, behind, sealed) = (next, others, sealed_next);
        }
        let tags = Hashing::new(l, shape, done, sealed.texts).alone().tags(l, sealed.counters);
        write_icvs(done, tags);
    }
    if P > 1 {
        for job in rest {
            let job = core::array::from_mut(job);
            let sealed = encrypt::<L, 1, Q>(l, shape, job, &mut ())?;
            let tags = Hashing::new(l, shape, job, sealed.texts).alone().tags(l, sealed.counters);
            write_icvs(job, tags);
        }
    }
    Some(())
}

#[inline(always)]
fn prefetch_all<L: Lanes, Outcome, const P: usize, const Q: usize>(
    jobs: &[Job<'_, Outcome>; P],
    rounds: usize,
) {
    unrolled!(I < P => {
        prefetch::<L, _>(&jobs[I], Q, rounds);
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
    match shared(jobs) {
        Some(shape) if P > 1 => open_run::<L, P, Q>(l, Some(shape), jobs),
        _ => open_run::<L, P, Q>(l, None, jobs),
    };
}

/// As [`seal_run`].
#[inline(always)]
fn open_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToOpen<'_>],
) -> Option<()> {
    let rounds = jobs.first()?.key.rounds();
    let (mut groups, rest) = jobs.as_chunks_mut::<P>();
    while let Some((group, others)) = groups.split_first_mut() {
        if let Some(jobs) = others.first() {
            prefetch_all::<L, _, P, Q>(jobs, rounds);
        }
        open_group::<L, P, Q>(l, shape, group)?;
        groups = others;
    }
    if P > 1 {
        for job in rest {
            open_group::<L, 1, Q>(l, shape, core::array::from_mut(job))?;
        }
    }
    Some(())
}

#[inline(always)]
fn open_group<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToOpen<'_>; P],
) -> Option<()> {
    let mut texts = [[l.zero(); Q]; P];
    unrolled!(I < P => {
        texts[I] = tail::read::<L, Q>(l, cut(shape, &mut jobs[I])?);
    });
    let mut hashing = Hashing::new(l, shape, jobs, texts);
    let states = encrypted::<L, _, P, Q>(l, jobs, &mut hashing);
    let (mut opened, mut counters) = (texts, [l.zero(); P]);
    unrolled!(I < P => {
        (opened[I], counters[I]) = finish(l, &jobs[I], states[I], texts[I]);
    });
    let tags = hashing.tags(l, counters);
    unrolled!(I < P => {
        let job = &mut jobs[I];
        let good = icv_is(job.icv, tags[I]);
        if good {
            tail::write::<L, Q>(l, cut(shape, job)?, opened[I]);
        }
        *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
    });
    Some(())
}

/// What the cipher makes of `P` packets.
struct Sealed<L: Lanes, const P: usize, const Q: usize> {
    /// Ciphertext, zeros behind the last octet.
    texts: [[L::V; Q]; P],
    /// E(J0), in lane 0.
    counters: [L::V; P],
}

/// Encrypts `P` packets.
#[inline(always)]
fn encrypt<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    shape: Option<Shape>,
    jobs: &mut [ToSeal<'_>; P],
    beside: &mut impl Beside<L>,
) -> Option<Sealed<L, P, Q>> {
    let states = encrypted::<L, _, P, Q>(l, jobs, beside);
    let mut sealed = Sealed { texts: states, counters: [l.zero(); P] };
    unrolled!(I < P => {
        let job = &mut jobs[I];
        let texts = tail::read::<L, Q>(l, cut(shape, job)?);
        let (texts, counter) = finish(l, job, states[I], texts);
        let octets = cut(shape, job)?;
        tail::write::<L, Q>(l, octets, texts);
        sealed.texts[I] = tail::cut::<L, Q>(l, octets.len(), texts);
        sealed.counters[I] = counter;
    });
    Some(sealed)
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

/// The last round of `states`, what comes of `texts`, and E(J0) in lane 0.
#[inline(always)]
fn finish<L: Lanes, Outcome, const Q: usize>(
    l: L,
    job: &Job<'_, Outcome>,
    states: [L::V; Q],
    texts: [L::V; Q],
) -> ([L::V; Q], L::V) {
    let last_key = job.key.round_keys().last(l, job.key.rounds());
    let mut other = ctr::last_round(l, last_key, states, texts);
    let counter = l.xor(other[0], texts[0]);
    other[0] = l.with_first(other[0], l.at_lane(job.first, 0));
    (other, counter)
}

/// The packet up to its ICV. With a shape its length is the run's: what follows from it is computed once.
#[inline(always)]
fn cut<'j, Outcome>(shape: Option<Shape>, job: &'j mut Job<'_, Outcome>) -> Option<&'j mut [u8]> {
    match shape {
        Some(shape) => job.octets.get_mut(..shape.len),
        None => Some(job.octets),
    }
}

/// The ciphertext of `P` packets, to be hashed.
struct Hashing<'h, 'a, L: Lanes, Outcome, const P: usize, const Q: usize> {
    l: L,
    shape: Option<Shape>,
    jobs: &'h [Job<'a, Outcome>; P],
    texts: [[L::V; Q]; P],
    sums: [Sums<L>; P],
}

impl<'h, 'a, L: Lanes, Outcome, const P: usize, const Q: usize> Hashing<'h, 'a, L, Outcome, P, Q> {
    #[inline(always)]
    fn new(
        l: L,
        shape: Option<Shape>,
        jobs: &'h [Job<'a, Outcome>; P],
        texts: [[L::V; Q]; P],
    ) -> Self {
        Self { l, shape, jobs, texts, sums: [Sums::new(l); P] }
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
        self.tail(p).add::<Q>(self.l, &mut self.sums[p], q, self.texts[p][q]);
        self.sums[p].fence(self.l);
    }

    /// Of packet `p`.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn tail(&self, p: usize) -> Tail<'a, L> {
        let job = &self.jobs[p];
        let Shape { len, lengths } = Shape::or_of(self.shape, job);
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
