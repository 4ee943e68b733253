//! Who takes part: our backends and other libraries, made alike.
use super::BATCH;
use super::frames::{Frames, sequence};
use crate::rng::Rng;
use crypto::{Backend, BadKey, Integrity, Open, OpenKey, Seal, SealKey, Suite};
use rivals::{Algorithm, Cipher, Hash, Keys, Packet, Rival, Tier, tsc};

/// What one pass over all packets took, and on how many it succeeded.
#[derive(Clone, Debug)]
pub struct Pass {
    /// TSC cycles of its parts, which have the same number of packets; without the making of descriptors.
    pub laps: Vec<u64>,
    /// Packets sealed, or found genuine.
    pub good: usize,
}

/// Parts of a pass that are timed.
const LAPS: usize = 8;

/// Calls `work` for each batch.
fn timed<T>(jobs: &mut [T], mut work: impl FnMut(&mut [T])) -> Vec<u64> {
    let lap = (jobs.len() / LAPS).next_multiple_of(BATCH).max(BATCH);
    let mut laps = Vec::with_capacity(jobs.len() / lap + 1);
    let mut before = tsc::now();
    for jobs in jobs.chunks_mut(lap) {
        jobs.chunks_mut(BATCH).for_each(&mut work);
        let now = tsc::now();
        laps.push(now - before);
        before = now;
    }
    laps
}

/// One contender, with contexts of its own for every SA and direction.
pub struct Contender {
    /// The backend's name, or the library and its interface.
    pub name: String,
    side: Side,
}

enum Side {
    Ours { seal: Vec<SealKey>, open: Vec<OpenKey> },
    Rival { algorithm: Algorithm, salts: Vec<[u8; 4]>, rival: Box<dyn Rival> },
}

/// Key material of one SA.
struct Material {
    encryption: Vec<u8>,
    integrity: Vec<u8>,
}

impl Contender {
    /// Everybody who can run `suite`: the backends that have kernels of their own for it (slowest first), then the
    /// rivals.
    ///
    /// # Errors
    /// [`BadKey`]: the system has no randomness for IVs.
    pub fn all(
        suite: Suite,
        sas: usize,
        backends: &[&'static Backend],
        tiers: &[Tier],
    ) -> Result<Vec<Self>, BadKey> {
        let material: Vec<Material> = (0..sas).map(|sa| Material::new(suite, sa)).collect();
        let mut all = Vec::new();
        for backend in backends {
            let ours = Self::ours(suite, &material, backend)?;
            all.extend(ours.filter(|ours| all.iter().all(|other: &Self| other.name != ours.name)));
        }
        if let Some(algorithm) = algorithm(suite) {
            let split: Vec<_> = material.iter().map(|all| all.split(&algorithm)).collect();
            let keys: Vec<Keys> = split.iter().map(|(keys, _)| keys.clone()).collect();
            let salts: Vec<[u8; 4]> = split.iter().map(|(_, salt)| *salt).collect();
            for rival in rivals::all(algorithm, &keys, tiers) {
                let side = |rival| Side::Rival { algorithm, salts: salts.clone(), rival };
                all.push(Self { name: rival.name().to_owned(), side: side(rival) });
            }
        }
        Ok(all)
    }

    /// `None`: the backend leaves this suite to another.
    fn ours(
        suite: Suite,
        material: &[Material],
        backend: &'static Backend,
    ) -> Result<Option<Self>, BadKey> {
        let seal = |keys: &Material| {
            SealKey::on(backend, suite, &keys.encryption, &keys.integrity, false, 1)
        };
        let open =
            |keys: &Material| OpenKey::on(backend, suite, &keys.encryption, &keys.integrity, false);
        let seal = material.iter().map(seal).collect::<Result<Vec<_>, _>>()?;
        let open = material.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let own = seal.first().is_some_and(|key| key.backend() == backend.name);
        let side = Side::Ours { seal, open };
        Ok(own.then(|| Self { name: backend.name.to_owned(), side }))
    }

    /// Whether it is one of our backends.
    pub fn is_ours(&self) -> bool {
        matches!(self.side, Side::Ours { .. })
    }

    /// Seals every packet, in batches.
    pub fn seal(&mut self, frames: &mut Frames) -> Pass {
        match &mut self.side {
            Side::Ours { seal, .. } => seal_ours(seal, frames),
            Side::Rival { algorithm, salts, rival } => {
                run_rival(algorithm, salts, frames, |batch| rival.seal(batch))
            }
        }
    }

    /// Opens every packet, in batches.
    pub fn open(&mut self, frames: &mut Frames) -> Pass {
        match &mut self.side {
            Side::Ours { open, .. } => open_ours(open, frames),
            Side::Rival { algorithm, salts, rival } => {
                run_rival(algorithm, salts, frames, |batch| rival.open(batch))
            }
        }
    }
}

fn seal_ours(keys: &[SealKey], frames: &mut Frames) -> Pass {
    let jobs = frames.packets().zip(keys.iter().cycle()).enumerate();
    let mut jobs: Vec<Seal<'_>> = jobs
        .map(|(index, (packet, key))| Seal { key, sequence: sequence(index), packet })
        .collect();
    let mut good = jobs.len();
    let laps = timed(&mut jobs, |batch| good -= crypto::seal(batch));
    Pass { laps, good }
}

fn open_ours(keys: &[OpenKey], frames: &mut Frames) -> Pass {
    let jobs = frames.packets().zip(keys.iter().cycle()).enumerate();
    let mut jobs: Vec<Open<'_>> =
        jobs.map(|(index, (packet, key))| Open::new(key, sequence(index), packet)).collect();
    let laps = timed(&mut jobs, crypto::open);
    Pass { laps, good: jobs.iter().filter(|job| job.verdict.is_ok()).count() }
}

fn run_rival(
    algorithm: &Algorithm,
    salts: &[[u8; 4]],
    frames: &mut Frames,
    mut work: impl FnMut(&mut [Packet<'_>]) -> usize,
) -> Pass {
    let jobs = frames.packets().zip(salts.iter().zip(0..).cycle());
    let mut jobs: Vec<Packet<'_>> =
        jobs.filter_map(|(packet, (salt, sa))| Packet::new(algorithm, sa, *salt, packet)).collect();
    let mut good = 0;
    let laps = timed(&mut jobs, |batch| good += work(batch));
    Pass { laps, good }
}

impl Material {
    fn new(suite: Suite, sa: usize) -> Self {
        let mut rng = Rng::new(sa as u64 + 1);
        let mut octets = |len: usize| (0..len).map(|_| rng.draw() as u8).collect();
        Self { encryption: octets(suite.key_len()), integrity: octets(suite.integrity_key_len()) }
    }

    /// Cipher's key and salt apart, as the rivals take them.
    fn split(&self, algorithm: &Algorithm) -> (Keys, [u8; 4]) {
        let (cipher, salt) = self.encryption.split_at(algorithm.key_len as usize);
        let salt = salt.first_chunk().copied().unwrap_or_default();
        (Keys { cipher: cipher.to_vec(), mac: self.integrity.clone() }, salt)
    }
}

/// The suite in the rivals' terms, if they have it.
fn algorithm(suite: Suite) -> Option<Algorithm> {
    let (cipher, salt) = match suite {
        Suite::AesGcm(..) => (Cipher::AesGcm, 4),
        Suite::ChaCha20Poly1305 => (Cipher::ChaCha20Poly1305, 4),
        Suite::AesCtr(..) => (Cipher::AesCtr, 4),
        Suite::AesCbc(..) => (Cipher::AesCbc, 0),
        Suite::Null(_) => (Cipher::Null, 0),
        _ => return None,
    };
    let hash = match suite.integrity() {
        None => Hash::None,
        Some(Integrity::HmacMd5_96) => Hash::Md5,
        Some(Integrity::HmacSha1_96) => Hash::Sha1,
        Some(Integrity::HmacSha2_256_128) => Hash::Sha256,
        Some(Integrity::HmacSha2_384_192) => Hash::Sha384,
        Some(Integrity::HmacSha2_512_256) => Hash::Sha512,
        Some(_) => return None,
    };
    Some(Algorithm {
        cipher,
        hash,
        key_len: (suite.key_len() - salt) as u32,
        mac_key_len: suite.integrity_key_len() as u32,
        iv_len: suite.iv_len() as u32,
        icv_len: suite.icv_len() as u32,
    })
}
