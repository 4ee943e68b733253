//! Which tier this process runs, and whether its kernels may be trusted: before the first key is built, each seals and
//! opens a batch against `portable`. One that disagrees is not used, and `status` says so.
use core::fmt;
use std::sync::OnceLock;

use crate::backend::Backend;
use crate::batch::{self, Open, Seal};
use crate::key::{OpenKey, SealKey};
use crate::layout::HEADER;
use crate::schedule::Place;
use crate::suite::{Integrity, Suite};

/// The environment variable that names the tier, for experiments.
pub const VARIABLE: &str = "POSTERN_CRYPTO";

/// The tier that this process runs, tested.
#[derive(Debug)]
pub struct SelfTest {
    /// The tier.
    pub backend: &'static Backend,
    /// Those of its kernels that disagreed with the portable ones, which run in their stead.
    pub fallbacks: Fallbacks,
}

/// Kernels that are not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks(u16);

/// A tier that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}={wanted}: this CPU and this build have {}", names())]
pub struct NoSuchBackend {
    wanted: String,
}

fn names() -> String {
    Backend::available().iter().map(|tier| tier.name).collect::<Vec<_>>().join(", ")
}

static STARTED: OnceLock<SelfTest> = OnceLock::new();

/// Chooses the tier for the rest of the process's life, and tests it, some 20 ms: `wanted` is what
/// [`VARIABLE`] says, if anything; else it is the fastest. To be called once, before the first key is built;
/// later calls get the first one's result.
///
/// # Errors
/// [`NoSuchBackend`]: no tier is called so, or this CPU cannot run it.
pub fn start(wanted: Option<&str>) -> Result<&'static SelfTest, NoSuchBackend> {
    let backend = match wanted {
        Some(name) => {
            Backend::named(name).ok_or_else(|| NoSuchBackend { wanted: name.to_owned() })?
        }
        None => Backend::best(),
    };
    Ok(STARTED.get_or_init(|| SelfTest::of(backend)))
}

/// What [`start`] chose; `None` where nobody called it.
pub fn started() -> Option<&'static SelfTest> {
    STARTED.get()
}

/// What is tested and falls back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Gcm,
    Gmac,
    Ccm,
    ChaCha,
    Ctr,
    Cbc,
    Mac(Integrity),
}

impl Kernel {
    const CIPHERS: [Self; 6] =
        [Self::Gcm, Self::Gmac, Self::Ccm, Self::ChaCha, Self::Ctr, Self::Cbc];

    fn all() -> impl Iterator<Item = Self> {
        Self::CIPHERS.into_iter().chain(Integrity::ALL.into_iter().map(Self::Mac))
    }

    fn bit(self) -> u16 {
        Self::all().position(|known| known == self).map_or(0, |at| 1 << at)
    }

    /// As it is called in `status`.
    fn name(self) -> &'static str {
        match self {
            Self::Gcm => "AES-GCM",
            Self::Gmac => "AES-GMAC",
            Self::Ccm => "AES-CCM",
            Self::ChaCha => "ChaCha20-Poly1305",
            Self::Ctr => "AES-CTR",
            Self::Cbc => "AES-CBC",
            Self::Mac(integrity) => match integrity {
                Integrity::HmacSha1_96 => "HMAC-SHA-1",
                Integrity::HmacSha2_256_128 => "HMAC-SHA-256",
                Integrity::HmacSha2_384_192 => "HMAC-SHA-384",
                Integrity::HmacSha2_512_256 => "HMAC-SHA-512",
                Integrity::HmacMd5_96 => "HMAC-MD5",
                Integrity::AesXcbc96 => "AES-XCBC",
                Integrity::AesCmac96 => "AES-CMAC",
                Integrity::KeyedMd5 => "keyed MD5",
            },
        }
    }

    /// The one that a suite's failure is blamed on: the cipher's, but for ENCR_NULL.
    fn of(suite: Suite) -> Option<Self> {
        Some(match suite {
            Suite::AesGcm(..) => Self::Gcm,
            Suite::AesGmac(_) => Self::Gmac,
            Suite::AesCcm(..) => Self::Ccm,
            Suite::ChaCha20Poly1305 => Self::ChaCha,
            Suite::AesCtr(..) => Self::Ctr,
            Suite::AesCbc(..) => Self::Cbc,
            Suite::Null(integrity) => Self::Mac(integrity),
            Suite::Legacy(..) => return None,
        })
    }
}

impl Fallbacks {
    /// Every kernel there is.
    pub const ALL: Self = Self(u16::MAX);

    /// None of them: all is well.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What they are called.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Kernel::all().filter(move |kernel| self.0 & kernel.bit() != 0).map(Kernel::name)
    }

    /// Whether the suite needs one of them.
    fn touch(self, suite: Suite) -> bool {
        let parts = [Kernel::of(suite), suite.integrity().map(Kernel::Mac)];
        parts.into_iter().flatten().any(|kernel| self.0 & kernel.bit() != 0)
    }

    fn add(&mut self, kernel: Kernel) {
        self.0 |= kernel.bit();
    }
}

impl fmt::Display for Fallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

impl SelfTest {
    /// Every kernel of `backend` against the portable one. Integrity alone comes first, so that its faults are not
    /// blamed on the ciphers.
    pub fn of(backend: &'static Backend) -> Self {
        let mut test = Self { backend, fallbacks: Fallbacks::default() };
        let alone = |suite: &Suite| matches!(suite, Suite::Null(_));
        let rest = Suite::all().filter(|suite| !alone(suite));
        for suite in Suite::all().filter(alone).chain(rest) {
            let place = test.place(suite);
            if place.fast
                && !agrees(place, suite)
                && let Some(kernel) = Kernel::of(suite)
            {
                test.fallbacks.add(kernel);
            }
        }
        test
    }

    /// Where keys of this suite run.
    pub(crate) fn place(&self, suite: Suite) -> Place {
        if self.fallbacks.touch(suite) { Place::PORTABLE } else { Place::of(self.backend, suite) }
    }
}

/// SAs in a batch.
const SAS: u8 = 3;
/// Octets of payload, each with and without ESN: none, less than a block of anything, both sides of the
/// widths of the kernels, and the length of a full frame. In no order: a batch is not sorted.
const LENGTHS: [usize; 22] = [
    64, 0, 1408, 16, 48, 512, 32, 80, 1024, 112, 128, 96, 240, 256, 176, 272, 496, 144, 768, 320,
    192, 1424,
];
/// Packets in a call, in turn.
const SHAPES: [usize; 5] = [1, 7, 2, 19, 15];

/// Both ends of an SA.
struct Pair {
    seal: SealKey,
    open: OpenKey,
}

/// A packet, and whose it is.
#[derive(Clone)]
struct Packet {
    sa: usize,
    number: u64,
    octets: Vec<u8>,
}

/// Whether the kernels of `place` do as the portable ones do: what the first seal, the second open, and the other
/// way about, and nobody opens a forgery.
fn agrees(place: Place, suite: Suite) -> bool {
    let (Some(ours), Some(theirs)) = (pairs(place, suite), pairs(Place::PORTABLE, suite)) else {
        return false;
    };
    let plain = packets(suite);
    let mut sealed = plain.clone();
    seal(&ours, &mut sealed);
    sealed.iter().zip(&plain).all(|(now, before)| ivs_follow(suite, &ours, now, before))
        && opens(&theirs, &sealed, &plain)
        && {
            let mut sealed = plain.clone();
            seal(&theirs, &mut sealed);
            opens(&ours, &sealed, &plain)
        }
}

fn pairs(place: Place, suite: Suite) -> Option<Vec<Pair>> {
    let key = |sa: u8, len: usize| -> Vec<u8> {
        (0..len)
            .map(|at| (at as u8).wrapping_mul(31).wrapping_add(sa.wrapping_mul(37)).wrapping_add(7))
            .collect()
    };
    let pair = |sa| {
        let (encryption, integrity) =
            (key(sa, suite.key_len()), key(sa + SAS, suite.integrity_key_len()));
        let esn = sa != 1;
        Some(Pair {
            seal: SealKey::at(place, suite, &encryption, &integrity, esn, 0xa1_b2c3).ok()?,
            open: OpenKey::at(place, suite, &encryption, &integrity, esn).ok()?,
        })
    };
    (0..SAS).map(pair).collect()
}

/// Before they are sealed; every second one belongs to the first SA.
fn packets(suite: Suite) -> Vec<Packet> {
    let packet = |(at, len): (usize, usize)| {
        let number = 0x0102_0304 + at as u64;
        let total = HEADER + suite.iv_len() + len + suite.icv_len();
        let mut octets: Vec<u8> = (0..total).map(|n| (n * 7 + at) as u8).collect();
        let low = number as u32;
        octets.iter_mut().skip(4).zip(low.to_be_bytes()).for_each(|(to, from)| *to = from);
        Packet { sa: if at.is_multiple_of(2) { 0 } else { 1 + at / 2 % 2 }, number, octets }
    };
    LENGTHS.into_iter().chain(LENGTHS).enumerate().map(packet).collect()
}

fn seal(pairs: &[Pair], packets: &mut [Packet]) {
    let items = packets.iter_mut().filter_map(|packet| {
        let key = &pairs.get(packet.sa)?.seal;
        Some(Seal { key, sequence: packet.number, packet: &mut packet.octets })
    });
    let mut items: Vec<_> = items.collect();
    in_shapes(&mut items, |items| {
        batch::seal(items);
    });
}

/// Whether every packet opens to what it was before it was sealed, but for every fifth, which is forged and must
/// stay as it is.
fn opens(pairs: &[Pair], sealed: &[Packet], plain: &[Packet]) -> bool {
    let mut arrived = sealed.to_vec();
    let forged = |at: usize| at % 5 == 3;
    for (at, packet) in arrived.iter_mut().enumerate().filter(|(at, _)| forged(*at)) {
        let last = packet.octets.len() - 1 - at % 8;
        packet.octets.iter_mut().skip(last).take(1).for_each(|octet| *octet ^= 1 << (at % 8));
    }
    let before = arrived.clone();
    let items = arrived.iter_mut().filter_map(|packet| {
        let key = &pairs.get(packet.sa)?.open;
        Some(Open::new(key, packet.number, &mut packet.octets))
    });
    let mut items: Vec<_> = items.collect();
    in_shapes(&mut items, batch::open);
    let verdicts: Vec<_> = items.iter().map(|item| item.verdict.is_ok()).collect();
    let suite = pairs.first().map(|pair| pair.seal.suite());
    let body =
        |packet: &Packet| suite.and_then(|suite| body(suite, &packet.octets).map(<[u8]>::to_vec));
    let after = arrived.iter().zip(&before).zip(plain).zip(verdicts);
    after.enumerate().all(|(at, (((now, before), plain), opened))| match forged(at) {
        true => !opened && now.octets == before.octets,
        false => opened && body(now) == body(plain),
    })
}

fn in_shapes<T>(mut items: &mut [T], mut run: impl FnMut(&mut [T])) {
    let mut shapes = SHAPES.into_iter().cycle();
    while !items.is_empty() {
        let shape = shapes.next().unwrap_or(1).min(items.len());
        let (now, rest) = items.split_at_mut(shape);
        run(now);
        items = rest;
    }
}

fn body(suite: Suite, octets: &[u8]) -> Option<&[u8]> {
    octets.get(HEADER + suite.iv_len()..octets.len().checked_sub(suite.icv_len())?)
}

/// Whether a counter mode's IV is the epoch and the number, which is what keeps it unique; whether any other is not
/// what stood there.
fn ivs_follow(suite: Suite, pairs: &[Pair], sealed: &Packet, plain: &Packet) -> bool {
    let iv =
        |packet: &Packet| packet.octets.get(HEADER..HEADER + suite.iv_len()).map(<[u8]>::to_vec);
    if !suite.counter_mode() {
        return suite.iv_len() == 0 || iv(sealed) != iv(plain);
    }
    let base = pairs.get(sealed.sa).map(|pair| pair.seal.iv_base());
    base.map(|base| (base | sealed.number).to_be_bytes().to_vec()) == iv(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Family;
    use crate::suite::KeyBits;

    /// A tier with one family.
    const fn lying(family: Family) -> Backend {
        Backend { name: "lying", rank: 99, aes: None, hash: None, chacha: Some(family) }
    }

    #[test]
    fn every_kernel_of_every_tier_agrees_with_portable() {
        for tier in Backend::available() {
            let test = SelfTest::of(tier);
            assert!(test.fallbacks.is_empty(), "{}: {}", tier.name, test.fallbacks);
        }
    }

    #[test]
    fn portable_agrees_with_itself() {
        for suite in Suite::all() {
            assert!(agrees(Place::PORTABLE, suite), "{suite}");
        }
    }

    #[test]
    fn a_kernel_that_does_nothing_is_found_out() {
        static IDLE: Backend = lying(Family { seal: |_| (), open: |_| () });
        let test = SelfTest::of(&IDLE);
        assert_eq!(test.fallbacks.names().collect::<Vec<_>>(), ["ChaCha20-Poly1305"]);
        assert!(!test.place(Suite::ChaCha20Poly1305).fast);
    }

    #[test]
    fn every_lie_in_a_portable_kernel_is_found_out() {
        fn honest_seal(group: &mut [&mut Seal<'_>]) {
            (Place::PORTABLE.family.seal)(group);
        }
        fn honest_open(group: &mut [&mut Open<'_>]) {
            (Place::PORTABLE.family.open)(group);
        }
        let lies = [
            Family {
                // the last packet of a full group is forgotten
                seal: |group| honest_seal(group.split_last_mut().map_or(&mut [], |(_, rest)| rest)),
                open: honest_open,
            },
            Family {
                // one octet, of long packets only
                seal: |group| {
                    honest_seal(group);
                    let long = group.iter_mut().filter(|item| item.packet.len() > 1400);
                    long.for_each(|item| item.packet[700] ^= 1);
                },
                open: honest_open,
            },
            Family {
                // nothing is ever refused
                seal: honest_seal,
                open: |group| {
                    honest_open(group);
                    group.iter_mut().for_each(|item| item.verdict = Ok(()));
                },
            },
            Family {
                // a forgery is wiped
                seal: honest_seal,
                open: |group| {
                    honest_open(group);
                    let bad = group.iter_mut().filter(|item| item.verdict.is_err());
                    bad.for_each(|item| item.packet.fill(0));
                },
            },
        ];
        let suite = Suite::AesCbc(KeyBits::B128, Integrity::HmacSha2_256_128);
        for (at, family) in lies.into_iter().enumerate() {
            assert!(!agrees(Place { family, ..Place::PORTABLE }, suite), "lie {at}");
        }
    }

    #[test]
    fn what_falls_back_takes_every_suite_that_needs_it_along_and_no_other() {
        let mut fallbacks = Fallbacks::default();
        fallbacks.add(Kernel::Mac(Integrity::HmacSha1_96));
        fallbacks.add(Kernel::Gmac);
        for suite in Suite::all() {
            let sha1 = suite.integrity() == Some(Integrity::HmacSha1_96);
            assert_eq!(
                fallbacks.touch(suite),
                sha1 || matches!(suite, Suite::AesGmac(_)),
                "{suite}"
            );
        }
        assert_eq!(fallbacks.to_string(), "AES-GMAC, HMAC-SHA-1");
        assert!(Kernel::all().map(Kernel::bit).sum::<u16>().count_ones() == 14, "a bit each");
    }

    #[test]
    fn a_tier_that_is_not_there_is_refused_and_the_ones_that_are_named() {
        let why = start(Some("fastest")).unwrap_err().to_string();
        assert!(why.starts_with("POSTERN_CRYPTO=fastest: "), "{why}");
        assert!(Backend::available().iter().all(|tier| why.contains(tier.name)), "{why}");
    }
}
