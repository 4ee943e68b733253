//! Short packets, several abreast: one alone would wait for itself most of the time.
use super::super::abreast::{self, Beside, Keys, unrolled};
use super::super::ctr;
use super::super::ghash::Sums;
use super::super::lanes::Lanes;
use super::batch::{Run, prefetch};
use super::stream::{Item, Job, ToOpen, ToSeal, icv_is, write_icv};
use super::tags::Tags;
use super::tail::{self, Tail};
use crate::batch::{BadIcv, Open, Seal};

/// What follows from the shape of a packet. Where all of a run have one shape, it is the first one's, and costs the
/// others nothing.
#[derive(Clone, Copy)]
struct Known {
    /// Octets up to the ICV.
    len: usize,
    /// The length block.
    lengths: u128,
}

impl Known {
    #[inline(always)]
    fn of<Outcome>(job: &Job<'_, Outcome>) -> Self {
        Self { len: job.octets.len(), lengths: job.lengths() }
    }

    /// Of a run in which all packets have one shape.
    #[inline(always)]
    fn of_run<I: Item>(run: &mut Run<'_, '_, I>) -> Option<Self> {
        run.shape?;
        Some(Self::of(&run.items.first_mut()?.job(run.icv_len)?))
    }

    /// The run's, or the job's own.
    #[inline(always)]
    fn or_of<Outcome>(known: Option<Self>, job: &Job<'_, Outcome>) -> Self {
        known.unwrap_or_else(|| Self::of(job))
    }
}

/// Seals packets of up to one group, `Q` vectors each, `P` at a time, each time while the ones before are
/// hashed and the tags of those before them are made. `P` · `Q` is at most 8, unless `P` is 1. `None`: one is no such
/// packet.
#[inline(always)]
pub(super) fn seal<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    mut run: Run<'_, '_, Seal<'_>>,
) -> Option<()> {
    match Known::of_run(&mut run) {
        Some(known) if P > 1 => seal_run::<L, P, Q>(l, Some(known), run),
        _ => seal_run::<L, P, Q>(l, None, run),
    }
}

#[inline(always)]
fn seal_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    known: Option<Known>,
    run: Run<'_, '_, Seal<'_>>,
) -> Option<()> {
    let rounds = run.rounds()?;
    let (groups, rest) = run.items.as_chunks_mut::<P>();
    if let Some((first, mut behind)) = groups.split_first_mut() {
        let jobs = jobs(first, run.icv_len)?;
        let mut sealed = encrypt::<L, P, Q>(l, known, rounds, jobs, &mut ())?;
        let (mut tags, mut icvs) = (Tags::none(l), [const { None }; P]);
        while let Some((next, others)) = behind.split_first_mut() {
            if let Some(items) = others.first() {
                prefetch_all::<L, _, P, Q>(items, rounds);
            }
            let (counters, next_icvs) = (sealed.counters, sealed.icvs);
            let mut beside = (Hashing::new(l, sealed.heads, sealed.texts), tags);
            let jobs = self::jobs(next, run.icv_len)?;
            sealed = encrypt::<L, P, Q>(l, known, rounds, jobs, &mut beside)?;
            write_icvs(l, icvs, beside.1.finish());
            tags = Tags::new(beside.0.finish(l), counters);
            (icvs, behind) = (next_icvs, others);
        }
        write_icvs(l, icvs, tags.alone(l));
        sealed.finish_alone(l);
    }
    if P > 1 {
        for item in rest {
            let jobs = jobs(core::array::from_mut(item), run.icv_len)?;
            encrypt::<L, 1, Q>(l, known, rounds, jobs, &mut ())?.finish_alone(l);
        }
    }
    Some(())
}

/// As many as there are, or none. Arrays of options, here and below, and loops that are unrolled: what is moved as a
/// whole goes through memory.
type Several<T, const P: usize> = [Option<T>; P];

#[inline(always)]
fn jobs<'r, I: Item, const P: usize>(
    items: &'r mut [&mut I; P],
    icv_len: usize,
) -> Option<Several<Job<'r, I::Outcome<'r>>, P>> {
    let mut items = items.iter_mut();
    let mut jobs = [const { None }; P];
    unrolled!(I < P => {
        jobs[I] = Some(items.next()?.job(icv_len)?);
    });
    Some(jobs)
}

#[inline(always)]
fn prefetch_all<L: Lanes, I: Item, const P: usize, const Q: usize>(
    items: &[&mut I; P],
    rounds: usize,
) {
    unrolled!(I < P => {
        prefetch::<L, _>(&*items[I], Q, rounds);
    });
}

#[inline(always)]
fn write_icvs<L: Lanes, const P: usize>(l: L, mut icvs: Several<&mut [u8], P>, tags: [L::V; P]) {
    unrolled!(I < P => {
        if let Some(icv) = icvs[I].take() {
            write_icv(l, icv, tags[I]);
        }
    });
}

/// Opens packets of up to one group, `Q` vectors each, `P` at a time, and makes the tags of the ones before. Only what
/// is good is written. `None`: one is no such packet.
#[inline(always)]
pub(super) fn open<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    mut run: Run<'_, '_, Open<'_>>,
) -> Option<()> {
    match Known::of_run(&mut run) {
        Some(known) if P > 1 => open_run::<L, P, Q>(l, Some(known), run),
        _ => open_run::<L, P, Q>(l, None, run),
    }
}

#[inline(always)]
fn open_run<L: Lanes, const P: usize, const Q: usize>(
    l: L,
    known: Option<Known>,
    run: Run<'_, '_, Open<'_>>,
) -> Option<()> {
    let rounds = run.rounds()?;
    let (mut groups, rest) = run.items.as_chunks_mut::<P>();
    let mut waiting = None;
    while let Some((group, others)) = groups.split_first_mut() {
        if let Some(items) = others.first() {
            prefetch_all::<L, _, P, Q>(items, rounds);
        }
        let jobs = jobs(group, run.icv_len)?;
        waiting = Some(decrypt::<L, P, Q>(l, known, rounds, jobs, waiting)?);
        groups = others;
    }
    if let Some(opened) = waiting {
        opened.judge_alone(l, known)?;
    }
    if P > 1 {
        for item in rest {
            let jobs = jobs(core::array::from_mut(item), run.icv_len)?;
            decrypt::<L, 1, Q>(l, known, rounds, jobs, None)?.judge_alone(l, known)?;
        }
    }
    Some(())
}

/// Decrypts `P` packets, and judges those that wait.
#[inline(always)]
fn decrypt<'a, L: Lanes, const P: usize, const Q: usize>(
    l: L,
    known: Option<Known>,
    rounds: usize,
    mut jobs: Several<ToOpen<'a>, P>,
    waiting: Option<Opened<'_, L, P, Q>>,
) -> Option<Opened<'a, L, P, Q>> {
    let mut texts = [[l.zero(); Q]; P];
    unrolled!(I < P => {
        texts[I] = tail::read::<L, Q>(l, cut(known, jobs[I].as_mut()?)?);
    });
    let tags = match &waiting {
        Some(waiting) => Tags::new(waiting.sums, waiting.counters),
        None => Tags::none(l),
    };
    let mut beside = (Hashing::new(l, heads(known, &jobs), texts), tags);
    let states = encrypted::<L, _, P, Q>(l, &jobs, rounds, &mut beside)?;
    let (hashing, tags) = beside;
    let mut opened = Opened { jobs, texts, sums: hashing.finish(l), counters: [l.zero(); P] };
    unrolled!(I < P => {
        let job = opened.jobs[I].as_ref()?;
        (opened.texts[I], opened.counters[I]) = finish(l, job, rounds, states[I], texts[I]);
    });
    if let Some(waiting) = waiting {
        waiting.judge(l, known, tags.finish())?;
    }
    Some(opened)
}

/// `P` packets that nobody has vouched for yet.
struct Opened<'a, L: Lanes, const P: usize, const Q: usize> {
    jobs: Several<ToOpen<'a>, P>,
    /// Decrypted.
    texts: [[L::V; Q]; P],
    sums: [Sums<L>; P],
    /// E(J0), in lane 0.
    counters: [L::V; P],
}

impl<L: Lanes, const P: usize, const Q: usize> Opened<'_, L, P, Q> {
    /// Where no AES is at hand.
    #[inline(always)]
    fn judge_alone(self, l: L, known: Option<Known>) -> Option<()> {
        let tags = Tags::new(self.sums, self.counters).alone(l);
        self.judge(l, known, tags)
    }

    /// Sets the verdicts.
    #[inline(always)]
    fn judge(mut self, l: L, known: Option<Known>, tags: [L::V; P]) -> Option<()> {
        unrolled!(I < P => {
            let mut job = self.jobs[I].take()?;
            let good = icv_is(l, job.icv, tags[I]);
            if good {
                tail::write::<L, Q>(l, cut(known, &mut job)?, self.texts[I]);
            }
            *job.outcome = if good { Ok(()) } else { Err(BadIcv) };
        });
        Some(())
    }
}

/// What the cipher makes of `P` packets.
struct Sealed<'a, L: Lanes, const P: usize, const Q: usize> {
    /// Ciphertext, zeros behind the last octet.
    texts: [[L::V; Q]; P],
    /// E(J0), in lane 0.
    counters: [L::V; P],
    heads: Several<Head<'a>, P>,
    icvs: Several<&'a mut [u8], P>,
}

impl<L: Lanes, const P: usize, const Q: usize> Sealed<'_, L, P, Q> {
    /// Writes the ICVs, where no AES is at hand.
    #[inline(always)]
    fn finish_alone(self, l: L) {
        let sums = Hashing::new(l, self.heads, self.texts).alone().finish(l);
        write_icvs(l, self.icvs, Tags::new(sums, self.counters).alone(l));
    }
}

/// Encrypts `P` packets.
#[inline(always)]
fn encrypt<'a, L: Lanes, const P: usize, const Q: usize>(
    l: L,
    known: Option<Known>,
    rounds: usize,
    mut jobs: Several<ToSeal<'a>, P>,
    beside: &mut impl Beside<L>,
) -> Option<Sealed<'a, L, P, Q>> {
    let mut texts = encrypted::<L, _, P, Q>(l, &jobs, rounds, beside)?;
    let (heads, mut icvs) = (heads(known, &jobs), [const { None }; P]);
    let mut counters = [l.zero(); P];
    unrolled!(I < P => {
        let job = jobs[I].as_mut()?;
        let plain = tail::read::<L, Q>(l, cut(known, job)?);
        let (sealed, counter) = finish(l, job, rounds, texts[I], plain);
        let octets = cut(known, job)?;
        tail::write::<L, Q>(l, octets, sealed);
        texts[I] = tail::cut::<L, Q>(l, octets.len(), sealed);
        counters[I] = counter;
        icvs[I] = jobs[I].take().map(|job| job.icv);
    });
    Some(Sealed { texts, counters, heads, icvs })
}

/// Counter blocks of `P` packets from their beginning, encrypted up to the last round.
#[inline(always)]
fn encrypted<L: Lanes, Outcome, const P: usize, const Q: usize>(
    l: L,
    jobs: &Several<Job<'_, Outcome>, P>,
    rounds: usize,
    beside: &mut impl Beside<L>,
) -> Option<[[L::V; Q]; P]> {
    let mut states = [[l.zero(); Q]; P];
    let mut keys = [jobs.first()?.as_ref()?.key.round_keys(); P];
    unrolled!(I < P => {
        let job = jobs[I].as_ref()?;
        states[I] = ctr::blocks(l, job.base(l), 1);
        keys[I] = job.key.round_keys();
    });
    abreast::rounds(l, keys, rounds, &mut states, beside);
    Some(states)
}

/// The last round of `states`, what comes of `texts`, and E(J0) in lane 0.
#[inline(always)]
fn finish<L: Lanes, Outcome, const Q: usize>(
    l: L,
    job: &Job<'_, Outcome>,
    rounds: usize,
    states: [L::V; Q],
    texts: [L::V; Q],
) -> ([L::V; Q], L::V) {
    let last_key = job.key.round_keys().last(l, rounds);
    let mut other = ctr::last_round(l, last_key, states, texts);
    let counter = l.xor(other[0], texts[0]);
    other[0] = l.with_first(other[0], l.at_lane(job.first, 0));
    (other, counter)
}

/// The packet up to its ICV. What follows from a known length is computed once.
#[inline(always)]
fn cut<'j, Outcome>(known: Option<Known>, job: &'j mut Job<'_, Outcome>) -> Option<&'j mut [u8]> {
    match known {
        Some(known) => job.octets.get_mut(..known.len),
        None => Some(job.octets),
    }
}

/// What a packet's hash begins with and ends with.
#[derive(Clone, Copy)]
struct Head<'a> {
    tail: Tail<'a>,
    /// What to add to block 0.
    instead: u128,
}

#[inline(always)]
fn heads<'a, Outcome, const P: usize>(
    known: Option<Known>,
    jobs: &Several<Job<'a, Outcome>, P>,
) -> Several<Head<'a>, P> {
    let mut heads = [None; P];
    unrolled!(I < P => {
        if let Some(job) = &jobs[I] {
            let Known { len, lengths } = Known::or_of(known, job);
            heads[I] = Some(Head { tail: Tail { key: job.key, len, lengths }, instead: job.instead });
        }
    });
    heads
}

/// The ciphertext of `P` packets, to be hashed.
struct Hashing<'a, L: Lanes, const P: usize, const Q: usize> {
    l: L,
    heads: Several<Head<'a>, P>,
    texts: [[L::V; Q]; P],
    sums: [Sums<L>; P],
}

impl<'a, L: Lanes, const P: usize, const Q: usize> Hashing<'a, L, P, Q> {
    #[inline(always)]
    fn new(l: L, heads: Several<Head<'a>, P>, texts: [[L::V; Q]; P]) -> Self {
        Self { l, heads, texts, sums: [Sums::new(l); P] }
    }

    /// All that [`Beside::step`] does.
    #[inline(always)]
    fn alone(mut self) -> Self {
        unrolled!(I < 8 => {
            self.step(self.l, I);
        });
        self
    }

    /// The sums, whole.
    #[inline(always)]
    fn finish(mut self, l: L) -> [Sums<L>; P] {
        if P * Q == 9 {
            self.add(8);
        }
        unrolled!(I < P => {
            if let Some(head) = self.heads[I] {
                head.tail.add_lengths(l, &mut self.sums[I]);
            }
        });
        self.sums
    }

    /// Vector `i` of those of all packets.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a constant where it is inlined")]
    fn add(&mut self, i: usize) {
        let (p, q) = (i / Q, i % Q);
        let Some(Head { tail, instead }) = self.heads[p] else { return };
        let before = self.l.at_lane(instead, 0);
        tail.add::<L, Q>(self.l, &mut self.sums[p], q, self.texts[p][q], before);
        self.sums[p].fence(self.l);
    }
}

impl<L: Lanes, const P: usize, const Q: usize> Beside<L> for Hashing<'_, L, P, Q> {
    #[inline(always)]
    fn step(&mut self, _: L, round: usize) {
        if round < P * Q {
            self.add(round);
        }
    }
}
