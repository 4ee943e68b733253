//! ICVs by themselves, for a protocol that lays them out in its own way: AH (RFC 4302).
use core::fmt;

use arrayvec::ArrayVec;

use crate::backend::Backend;
use crate::batch::BadIcv;
use crate::key::{BadKey, bad_integrity};
use crate::layout;
use crate::mac;
#[cfg(target_arch = "x86_64")]
use crate::mac::{MacJob, MacKernel, MacKey};
use crate::portable::mac::Mac;
use crate::schedule::Place;
use crate::suite::{Integrity, Suite};
use crate::wiped::Wiped;

/// The longest ICV, in octets; [`Integrity::icv_len`] says which of them count.
pub const ICV_MAX: usize = 32;

/// Packets looked at together, as in [`seal`](crate::seal).
const CHUNK: usize = 64;

/// The integrity key of one SA, expanded, for both directions. Read-only, on cache lines of its own, wiped
/// when dropped.
pub struct AuthKey(Wiped<Authenticating>);

#[repr(align(64))]
struct Authenticating {
    backend: &'static Backend,
    integrity: Integrity,
    esn: bool,
    schedule: Schedule,
}

#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
enum Schedule {
    #[cfg(target_arch = "x86_64")]
    Fast(MacKey),
    /// Boxed, as it is larger.
    Portable(Box<Wiped<Mac>>),
}

/// One packet whose ICV to compute or to check.
///
/// The mutable fields of the headers and the ICV's own field count as zero (RFC 4302 §3.3.3.1): zero them in
/// the packet and put them back afterwards, rather than copy it.
pub struct Authenticate<'a> {
    /// The key of the packet's SA.
    pub key: &'a AuthKey,
    /// The packet's number, all 64 bits; with ESN its high half is covered behind the packet (RFC 4302
    /// §3.3.3.2.1).
    pub sequence: u64,
    /// What the ICV covers.
    pub covered: &'a [u8],
    /// The ICV: computed by [`authenticate`]; as it arrived, for [`verify`]. Octets past its length are
    /// neither read nor meant.
    pub icv: [u8; ICV_MAX],
    /// Set by [`verify`].
    pub verdict: Result<(), BadIcv>,
}

impl AuthKey {
    /// On the backend that [`start`](crate::start) chose, or else on the fastest one; `esn` means 64-bit sequence
    /// numbers.
    ///
    /// # Errors
    /// [`BadKey::IntegrityLength`]: the key has not the algorithm's length.
    pub fn new(integrity: Integrity, key: &[u8], esn: bool) -> Result<Self, BadKey> {
        Self::on(Place::chosen(Suite::Null(integrity)).backend, integrity, key, esn)
    }

    /// As [`AuthKey::new`], on a backend of the caller's choice.
    ///
    /// # Errors
    /// As [`AuthKey::new`].
    pub fn on(
        backend: &'static Backend,
        integrity: Integrity,
        key: &[u8],
        esn: bool,
    ) -> Result<Self, BadKey> {
        let bad = || bad_integrity(Suite::Null(integrity), key.len());
        if key.len() != integrity.key_len() {
            return Err(bad());
        }
        let make = || {
            let schedule = Schedule::new(backend, integrity, key).ok_or_else(bad)?;
            Ok(Authenticating { backend, integrity, esn, schedule })
        };
        Wiped::build(make).map(Self)
    }

    /// What this key authenticates with.
    pub fn integrity(&self) -> Integrity {
        self.0.integrity
    }

    /// The name of the backend that runs it.
    pub fn backend(&self) -> &'static str {
        match &self.0.schedule {
            Schedule::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Schedule::Fast(_) => self.0.backend.name,
        }
    }

    /// Packets are grouped by this.
    fn lane(&self) -> (u8, Integrity) {
        (self.0.backend.rank, self.0.integrity)
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({:?}, {}, esn: {}, ..)", self.0.integrity, self.backend(), self.0.esn)
    }
}

impl Schedule {
    #[cfg(target_arch = "x86_64")]
    fn new(backend: &Backend, integrity: Integrity, key: &[u8]) -> Option<Self> {
        match mac::kernel(backend, integrity) {
            Some(_) => MacKey::new(integrity, key).map(Self::Fast),
            None => Self::portable(integrity, key),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn new(_backend: &Backend, integrity: Integrity, key: &[u8]) -> Option<Self> {
        Self::portable(integrity, key)
    }

    fn portable(integrity: Integrity, key: &[u8]) -> Option<Self> {
        let made = Wiped::build(|| Mac::new(integrity, key)).ok()?;
        Some(Self::Portable(Box::new(made)))
    }
}

impl<'a> Authenticate<'a> {
    /// To compute an ICV, or, with the one that arrived, to check it.
    pub fn new(key: &'a AuthKey, sequence: u64, covered: &'a [u8], icv: &[u8]) -> Self {
        let mut room = [0; ICV_MAX];
        room.iter_mut().zip(icv).for_each(|(to, from)| *to = *from);
        Self { key, sequence, covered, icv: room, verdict: Err(BadIcv) }
    }

    fn high(&self) -> Option<[u8; 4]> {
        self.key.0.esn.then(|| layout::sequence_high(self.sequence))
    }

    fn icv_len(&self) -> usize {
        self.key.integrity().icv_len()
    }
}

/// Computes every packet's ICV. Packets are grouped by algorithm, not by SA, and keep their places.
///
/// ```
/// use crypto::{AuthKey, Authenticate, Integrity, authenticate, verify};
///
/// let key = AuthKey::new(Integrity::HmacSha2_256_128, &[7; 32], true)?;
/// // an AH packet, its mutable fields and its ICV field zero for as long as this takes
/// let mut packet = [0x45; 64];
/// packet[32..48].fill(0);
/// let mut batch = [Authenticate::new(&key, 1, &packet, &[])];
/// authenticate(&mut batch);
/// let icv = batch[0].icv;
/// packet[32..48].copy_from_slice(&icv[..16]);
///
/// // it arrives: the ICV is taken out and its field zeroed
/// let arrived: [u8; 16] = packet[32..48].try_into()?;
/// packet[32..48].fill(0);
/// let mut batch = [Authenticate::new(&key, 1, &packet, &arrived)];
/// verify(&mut batch);
/// assert_eq!(batch[0].verdict, Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn authenticate(batch: &mut [Authenticate<'_>]) {
    each_tag(batch, |item, tag| item.icv = *tag);
}

/// Checks every packet's ICV, in constant time, and sets its verdict, whatever it was before.
pub fn verify(batch: &mut [Authenticate<'_>]) {
    each_tag(batch, |item, tag| {
        let len = item.icv_len();
        let same = tag.get(..len).zip(item.icv.get(..len)).is_some_and(|(a, b)| mac::same(a, b));
        item.verdict = if same { Ok(()) } else { Err(BadIcv) };
    });
}

fn each_tag(
    batch: &mut [Authenticate<'_>],
    mut then: impl FnMut(&mut Authenticate<'_>, &[u8; ICV_MAX]),
) {
    for chunk in batch.chunks_mut(CHUNK) {
        let mut items: ArrayVec<_, CHUNK> = chunk.iter_mut().collect();
        items.sort_unstable_by_key(|item| item.key.lane());
        for group in items.chunk_by_mut(|a, b| a.key.lane() == b.key.lane()) {
            let tags = tags(group);
            group.iter_mut().zip(&tags).for_each(|(item, tag)| then(item, tag));
        }
    }
}

/// Of a group that is all of one algorithm and backend.
fn tags(group: &[&mut Authenticate<'_>]) -> ArrayVec<[u8; ICV_MAX], CHUNK> {
    #[cfg(target_arch = "x86_64")]
    if let Some(first) = group.first()
        && let Some(kernel) = mac::kernel(first.key.0.backend, first.key.integrity())
    {
        return in_lanes(kernel, group);
    }
    group.iter().map(|item| by_itself(item)).collect()
}

#[cfg(target_arch = "x86_64")]
fn in_lanes(kernel: MacKernel, group: &[&mut Authenticate<'_>]) -> ArrayVec<[u8; ICV_MAX], CHUNK> {
    let mut jobs: ArrayVec<_, CHUNK> = group.iter().filter_map(|item| job(item)).collect();
    kernel(&mut jobs);
    jobs.into_iter().map(|job| job.tag).collect()
}

#[cfg(target_arch = "x86_64")]
fn job<'a>(item: &Authenticate<'a>) -> Option<MacJob<'a>> {
    let (key, covered, high) = (item.key, item.covered, item.high());
    match &key.0.schedule {
        Schedule::Fast(key) => Some(MacJob { key, covered, high, tag: [0; ICV_MAX] }),
        Schedule::Portable(_) => None,
    }
}

fn by_itself(item: &Authenticate<'_>) -> [u8; ICV_MAX] {
    let mut tag = [0; ICV_MAX];
    #[allow(irrefutable_let_patterns, reason = "the other one is not on every CPU")]
    if let Schedule::Portable(mac) = &item.key.0.schedule {
        let high = item.high();
        let icv = mac.icv(item.covered, high.as_ref().map_or(&[], |high| high));
        tag.iter_mut().zip(icv).for_each(|(to, from)| *to = from);
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| ((at + seed) * 31 % 251) as u8).collect()
    }

    fn key(backend: &'static Backend, integrity: Integrity, seed: usize, esn: bool) -> AuthKey {
        AuthKey::on(backend, integrity, &octets(seed, integrity.key_len()), esn).unwrap()
    }

    fn icv(key: &AuthKey, sequence: u64, covered: &[u8]) -> [u8; ICV_MAX] {
        let mut one = [Authenticate::new(key, sequence, covered, &[])];
        authenticate(&mut one);
        one[0].icv
    }

    #[test]
    fn every_backend_computes_what_portable_computes_for_every_length() {
        let portable = Backend::available()[0];
        let step = if cfg!(miri) { 37 } else { 1 };
        let packets: Vec<_> = (0..300).step_by(step).map(|len| octets(len, len)).collect();
        let sequence = 0x0102_0304_0506;
        let choices = Integrity::ALL.into_iter().flat_map(|which| [(which, false), (which, true)]);
        for ((integrity, esn), backend) in
            choices.flat_map(|choice| Backend::available().iter().map(move |tier| (choice, tier)))
        {
            let (slow, fast) = (key(portable, integrity, 3, esn), key(backend, integrity, 3, esn));
            let item = |packet| Authenticate::new(&fast, sequence, packet, &[]);
            let mut batch: Vec<_> = packets.iter().map(|packet| item(packet)).collect();
            authenticate(&mut batch);
            let len = integrity.icv_len();
            for (item, packet) in batch.iter().zip(&packets) {
                let want = icv(&slow, sequence, packet);
                assert_eq!(item.icv[..len], want[..len], "{fast:?}, {} octets", packet.len());
            }
        }
    }

    #[test]
    fn algorithms_and_backends_may_be_mixed_and_one_wrong_octet_is_found() {
        let keys: Vec<_> = Integrity::ALL
            .into_iter()
            .flat_map(|integrity| {
                Backend::available().iter().map(move |backend| key(backend, integrity, 9, true))
            })
            .collect();
        let packet = octets(1, 100);
        for wrong in 0..33 {
            let icvs: Vec<_> = keys.iter().map(|key| icv(key, 7, &packet)).collect();
            let mut batch: Vec<_> = keys
                .iter()
                .zip(&icvs)
                .map(|(key, icv)| Authenticate::new(key, 7, &packet, icv))
                .collect();
            if wrong < ICV_MAX {
                batch.iter_mut().for_each(|item| item.icv[wrong] ^= 1);
            }
            verify(&mut batch);
            for item in &batch {
                let good = wrong >= item.key.integrity().icv_len();
                assert_eq!(item.verdict.is_ok(), good, "{:?}, octet {wrong}", item.key);
            }
        }
    }

    #[test]
    fn the_high_half_counts_with_esn_only() {
        let portable = Backend::available()[0];
        for esn in [false, true] {
            let key = key(portable, Integrity::HmacSha1_96, 1, esn);
            assert_eq!(icv(&key, 1, b"packet") == icv(&key, 1 | 1 << 32, b"packet"), !esn);
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let refused = AuthKey::new(Integrity::AesXcbc96, &[1; 17], false).unwrap_err();
        let suite = Suite::Null(Integrity::AesXcbc96);
        assert_eq!(refused, BadKey::IntegrityLength { suite, need: 16, have: 17 });
    }
}
