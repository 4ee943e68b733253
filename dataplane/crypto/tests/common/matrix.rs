//! SAs of every suite on every tier, packets that `portable` has sealed for them, and what a tier must make of those.
use crypto::{Backend, BadIcv, Integrity, Open, Seal, Suite};

use super::rooms::Room;
use super::{Pair, body, iv, noise, open_one, pair_on, seal_one, unsealed};

/// Packets that a kernel gets at once, at most.
pub const CHUNK: usize = 64;

pub fn portable() -> &'static Backend {
    Backend::named("portable").unwrap()
}

/// What tiers are held against: the definition. Miri would be in its bit-sliced AES for hours, so there the plainest
/// tier stands in for it.
fn reference() -> &'static Backend {
    if cfg!(miri) { tiers().next().unwrap() } else { portable() }
}

/// The tiers that are claims about `portable`.
pub fn tiers() -> impl Iterator<Item = &'static Backend> + Clone {
    Backend::available().iter().copied().filter(|tier| tier.name != "portable")
}

/// As few as need every kernel there is: Miri takes seconds for each. Of those of AVX-512 it can run the ones for
/// CBC and the hashes of 32-bit words.
const SOME: &[&str] = if cfg!(target_feature = "avx512f") { MIRI.split_at(7).1 } else { &MIRI };
const MIRI: [&str; 10] = [
    "ENCR_AES_GCM_16_128",
    "ENCR_AES_GCM_8_256",
    "ENCR_NULL_AUTH_AES_GMAC_192",
    "ENCR_AES_CCM_12_192",
    "ENCR_CHACHA20_POLY1305",
    "ENCR_AES_CTR_192/AUTH_AES_XCBC_96",
    "ENCR_NULL/AUTH_HMAC_SHA2_512_256",
    "ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96",
    "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128",
    "ENCR_NULL/AUTH_HMAC_MD5_96",
];

/// Those that every tier has kernels for; under Miri [`SOME`] of them.
pub fn suites() -> impl Iterator<Item = Suite> + Clone {
    let old = |suite: &Suite| matches!(suite, Suite::Legacy(..) | Suite::Null(Integrity::KeyedMd5));
    Suite::all().filter(move |suite| !old(suite) && (!cfg!(miri) || SOME.contains(&&*suite.name())))
}

/// What the packets' payload fills multiples of, in octets.
pub fn unit(suite: Suite) -> usize {
    if matches!(suite, Suite::AesCbc(..)) { 16 } else { 1 }
}

/// Numbers that depend on `seed` alone (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.below(2); // neighbouring seeds begin alike
        }
        random
    }

    /// Less than `bound`, which is well below 2³².
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % bound
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len()).for_each(|at| items.swap(at, self.below(at + 1)));
    }
}

/// SAs of one suite with a key each; every other one with ESN.
pub fn sas(tier: &'static Backend, suite: Suite, count: usize) -> Vec<Pair> {
    let sa = |number: usize| pair_on(tier, suite, number % 2 == 1, 1000 + 2 * number as u64);
    (0..count).map(sa).collect()
}

/// The same SAs on `portable` and on every tier.
pub struct Sas {
    pub reference: Vec<Pair>,
    pub tiers: Vec<Vec<Pair>>,
}

impl Sas {
    pub fn of(suite: Suite, count: usize) -> Self {
        Self::new(|tier| sas(tier, suite, count))
    }

    pub fn new(sas: impl Fn(&'static Backend) -> Vec<Pair>) -> Self {
        Self { reference: sas(reference()), tiers: tiers().map(sas).collect() }
    }

    /// Every tier with these packets.
    pub fn check(&self, room: &mut impl Room, samples: &[Sample]) {
        self.tiers.iter().for_each(|sas| check(room, sas, &self.reference, samples));
    }
}

/// A packet of one of the SAs: as a caller lays it out, and as `portable` seals it.
pub struct Sample {
    pub sa: usize,
    pub sequence: u64,
    pub unsealed: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// The payload is `len` octets, rounded up to what the suite takes.
pub fn sample(reference: &[Pair], sa: usize, number: usize, len: usize) -> Sample {
    let key = &reference[sa].seal;
    let suite = key.suite();
    // with something in the high half where there is one
    let high = if key.sequence_limit() > u64::from(u32::MAX) { 0x17 << 32 } else { 0 };
    let sequence = high | number as u64;
    let plain = noise(number as u64, len.next_multiple_of(unit(suite)));
    let unsealed = unsealed(suite, sequence, &plain);
    let mut sealed = unsealed.clone();
    assert_eq!(seal_one(key, sequence, &mut sealed), 0);
    Sample { sa, sequence, unsealed, sealed }
}

/// A batch of packets: (SA, octets of payload) of each.
pub fn samples(reference: &[Pair], wanted: &[(usize, usize)]) -> Vec<Sample> {
    let numbered = wanted.iter().enumerate();
    numbered.map(|(number, (sa, len))| sample(reference, *sa, 1 + number, *len)).collect()
}

pub fn seal_in(room: &mut impl Room, sas: &[Pair], samples: &[Sample]) {
    let items = samples.iter().zip(room.packets());
    let mut batch: Vec<_> = items
        .map(|(s, packet)| Seal { key: &sas[s.sa].seal, sequence: s.sequence, packet })
        .collect();
    assert_eq!(crypto::seal(&mut batch), 0);
}

pub fn open_in(room: &mut impl Room, sas: &[Pair], samples: &[Sample]) -> Vec<Result<(), BadIcv>> {
    let items = samples.iter().zip(room.packets());
    let mut batch: Vec<_> =
        items.map(|(s, packet)| Open::new(&sas[s.sa].open, s.sequence, packet)).collect();
    crypto::open(&mut batch);
    batch.iter().map(|item| item.verdict).collect()
}

/// What a tier seals is what `portable` seals, or at least opens; what `portable` seals, the tier opens; and nothing
/// but the packets changes.
pub fn check(room: &mut impl Room, sas: &[Pair], reference: &[Pair], samples: &[Sample]) {
    let what = |s: &Sample| {
        let (key, len) = (&sas[s.sa].seal, s.unsealed.len());
        format!("{key:?}, number {:#x}, {len} octets, batch of {}", s.sequence, samples.len())
    };
    room.lay(samples.iter().map(|s| s.unsealed.as_slice()));
    seal_in(room, sas, samples);
    assert!(room.is_clean(), "{}: written beside a packet", what(&samples[0]));
    for (s, packet) in samples.iter().zip(room.packets()) {
        is_sealed(&reference[s.sa], s, packet).unwrap_or_else(|why| panic!("{}: {why}", what(s)));
    }
    room.lay(samples.iter().map(|s| s.sealed.as_slice()));
    let verdicts = open_in(room, sas, samples);
    assert!(room.is_clean(), "{}: written beside a packet", what(&samples[0]));
    for ((s, packet), verdict) in samples.iter().zip(room.packets()).zip(verdicts) {
        assert_eq!(verdict, Ok(()), "{}", what(s));
        is_opened(sas[s.sa].open.suite(), s, packet)
            .unwrap_or_else(|why| panic!("{}: {why}", what(s)));
    }
}

fn is_sealed(reference: &Pair, s: &Sample, packet: &[u8]) -> Result<(), &'static str> {
    let suite = reference.seal.suite();
    if !matches!(suite, Suite::AesCbc(..)) {
        return (packet == s.sealed).then_some(()).ok_or("sealed otherwise");
    }
    // its IV is nobody's but this context's
    let mut opened = packet.to_vec();
    open_one(&reference.open, s.sequence, &mut opened).map_err(|_| "portable does not open it")?;
    let same = body(suite, &opened) == body(suite, &s.unsealed) && opened[..8] == s.unsealed[..8];
    let fresh = iv(suite, packet) != iv(suite, &s.unsealed);
    (same && fresh).then_some(()).ok_or("portable opens it to something else")
}

fn is_opened(suite: Suite, s: &Sample, packet: &[u8]) -> Result<(), &'static str> {
    let (front, back) = (8 + suite.iv_len(), packet.len() - suite.icv_len());
    if body(suite, packet) != body(suite, &s.unsealed) {
        return Err("opened to something else");
    }
    let rest = packet[..front] == s.sealed[..front] && packet[back..] == s.sealed[back..];
    rest.then_some(()).ok_or("header, IV or ICV changed")
}
