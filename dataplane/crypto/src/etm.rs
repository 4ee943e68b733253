//! Encrypt, then MAC: AES-CBC, AES-CTR or ENCR_NULL with an integrity algorithm, packets abreast.
//!
//! The kernels are those of the key's own tier; a group is all of one suite and tier, so its first packet
//! tells which.
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use arrayvec::ArrayVec;
use zeroize::{Zeroize, Zeroizing};

use crate::aes::{CbcJob, CtrJob, DecryptKey, EncryptKey};
use crate::backend::{Backend, Family};
use crate::batch::{BadIcv, Open, Seal};
use crate::key::BadKey;
use crate::layout::{self, Parts};
use crate::mac::{self, MacJob, MacKernel, MacKey};
use crate::schedule::{OpenSchedule, SealSchedule};
use crate::suite::{Integrity, KeyBits, Suite};

/// Packets encrypted, then authenticated, before the next ones.
const CHUNK: usize = 32;

/// Octets of CBC's IV.
const CBC_IV: usize = 16;
/// Octets of counter mode's IV (RFC 3686 §3.1).
const CTR_IV: usize = 8;

/// What sealing needs: cipher, IV source, MAC.
pub(crate) struct SealEtm {
    cipher: SealCipher,
    mac: MacKey,
}

#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
enum SealCipher {
    Cbc(EncryptKey, Ivs),
    Ctr(Ctr),
    Null,
}

/// What opening needs: cipher, MAC.
pub(crate) struct OpenEtm {
    cipher: OpenCipher,
    mac: MacKey,
}

#[allow(clippy::large_enum_variant, reason = "a context is one piece")]
enum OpenCipher {
    Cbc(DecryptKey),
    Ctr(Ctr),
    Null,
}

/// AES in counter mode, and the nonce that starts its counter blocks (RFC 3686 §4).
struct Ctr {
    key: EncryptKey,
    nonce: [u8; 4],
}

/// The kernels for `suite`. `None`: the backend lacks a part, portable runs it.
pub(crate) fn family(backend: &Backend, suite: Suite) -> Option<Family> {
    mac::kernel(backend, integrity(suite)?)?;
    match suite {
        Suite::Null(_) => Some(FAMILY),
        _ => backend.aes.map(|_| FAMILY),
    }
}

const FAMILY: Family = Family { seal, open };

/// The integrity algorithm of the suites that this driver runs.
fn integrity(suite: Suite) -> Option<Integrity> {
    match suite {
        Suite::AesCbc(_, integrity) | Suite::AesCtr(_, integrity) | Suite::Null(integrity) => {
            Some(integrity)
        }
        _ => None,
    }
}

impl SealEtm {
    /// For a suite that has a [`family`] on this backend; `None`: it has none.
    pub fn new(
        _backend: &Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Result<Option<Self>, BadKey> {
        let cipher = match suite {
            Suite::AesCbc(bits, _) => match EncryptKey::new(bits, encryption) {
                Some(key) => Some(SealCipher::Cbc(key, Ivs::new()?)),
                None => None,
            },
            Suite::AesCtr(bits, _) => Ctr::new(bits, encryption).map(SealCipher::Ctr),
            _ => Some(SealCipher::Null),
        };
        let mac = self::integrity(suite).and_then(|which| MacKey::new(which, integrity));
        Ok(cipher.zip(mac).map(|(cipher, mac)| Self { cipher, mac }))
    }
}

impl OpenEtm {
    /// For a suite that has a [`family`] on this backend; `None`: it has none.
    pub fn new(
        _backend: &Backend,
        suite: Suite,
        encryption: &[u8],
        integrity: &[u8],
    ) -> Option<Self> {
        let cipher = match suite {
            Suite::AesCbc(bits, _) => OpenCipher::Cbc(DecryptKey::new(bits, encryption)?),
            Suite::AesCtr(bits, _) => OpenCipher::Ctr(Ctr::new(bits, encryption)?),
            _ => OpenCipher::Null,
        };
        Some(Self { cipher, mac: MacKey::new(self::integrity(suite)?, integrity)? })
    }
}

impl Ctr {
    /// From key ‖ nonce (RFC 3686 §5.1).
    fn new(bits: KeyBits, material: &[u8]) -> Option<Self> {
        let (key, nonce) = material.split_last_chunk()?;
        Some(Self { key: EncryptKey::new(bits, key)?, nonce: *nonce })
    }

    fn job<'a>(&'a self, iv: &[u8], body: &'a mut [u8]) -> CtrJob<'a> {
        let octets = self.nonce.iter().chain(iv).chain(&[0, 0, 0, 1]);
        let mut counter_block = [0; 16];
        counter_block.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        CtrJob { key: &self.key, counter_block, body }
    }
}

/// Where a context's CBC IVs come from: its own number and the packet's, under a permutation that only this
/// process knows. No two IVs of the process are equal, and nobody can tell the next one (RFC 3602 §2.1, NIST
/// SP 800-38A Appendix C), as they could if the numbers were encrypted under the data key, or not at all.
/// One key for all contexts stays in the nearest cache; one for each would cost a small packet more than
/// its own encryption.
struct Ivs {
    key: &'static EncryptKey,
    context: u64,
}

impl Ivs {
    /// For one more context.
    fn new() -> Result<Self, BadKey> {
        static KEY: OnceLock<EncryptKey> = OnceLock::new();
        static CONTEXTS: AtomicU64 = AtomicU64::new(0);
        let key = match KEY.get() {
            Some(key) => key,
            None => {
                let drawn = Self::draw()?;
                KEY.get_or_init(|| drawn)
            }
        };
        // Relaxed: the number only has to be nobody else's
        Ok(Self { key, context: CONTEXTS.fetch_add(1, Ordering::Relaxed) })
    }

    /// From the operating system; kept by nobody else.
    fn draw() -> Result<EncryptKey, BadKey> {
        let mut key = Zeroizing::new([0; 16]);
        getrandom::fill(key.as_mut()).map_err(BadKey::Entropy)?;
        EncryptKey::new(KeyBits::B128, key.as_ref())
            .ok_or(BadKey::Entropy(getrandom::Error::UNSUPPORTED))
    }

    /// What the permutation makes the IV of.
    fn number(&self, sequence: u64) -> [u8; CBC_IV] {
        (u128::from(self.context) << 64 | u128::from(sequence)).to_be_bytes()
    }
}

fn seal(group: &mut [&mut Seal<'_>]) {
    if seal_group(group).is_none() {
        group.iter_mut().for_each(|item| item.packet.zeroize());
    }
}

/// `None`: some are not sealed.
fn seal_group(group: &mut [&mut Seal<'_>]) -> Option<()> {
    let (suite, tier) = group.first().map(|item| (item.key.suite(), item.key.tier()))?;
    let kernel = mac::kernel(tier, integrity(suite)?)?;
    for chunk in group.chunks_mut(CHUNK) {
        match suite {
            Suite::AesCbc(..) => cbc_encrypt(tier, chunk)?,
            Suite::AesCtr(..) => ctr_encrypt(tier, chunk)?,
            _ => (),
        }
        sign(kernel, chunk)?;
    }
    Some(())
}

fn sealing<'a>(item: &Seal<'a>) -> Option<&'a SealEtm> {
    match item.key.schedule() {
        SealSchedule::Etm(key) => Some(key),
        _ => None,
    }
}

fn cbc_encrypt(tier: &Backend, chunk: &mut [&mut Seal<'_>]) -> Option<()> {
    let kernels = tier.aes?;
    let mut ivs = ArrayVec::<_, CHUNK>::new();
    let mut permutation = None;
    for item in chunk.iter() {
        let SealCipher::Cbc(_, source) = &sealing(item)?.cipher else { return None };
        permutation = Some(source.key);
        ivs.push(source.number(item.sequence));
    }
    (kernels.blocks)(permutation?, &mut ivs);
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for (item, iv) in chunk.iter_mut().zip(ivs) {
        let SealCipher::Cbc(key, _) = &sealing(item)?.cipher else { return None };
        let parts = layout::parts(item.packet, CBC_IV, item.key.suite().icv_len())?;
        parts.iv.copy_from_slice(&iv);
        jobs.push(CbcJob { key, iv, body: parts.body });
    }
    (kernels.cbc_encrypt)(&mut jobs);
    Some(())
}

fn ctr_encrypt(tier: &Backend, chunk: &mut [&mut Seal<'_>]) -> Option<()> {
    let kernels = tier.aes?;
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk {
        let SealCipher::Ctr(ctr) = &sealing(item)?.cipher else { return None };
        let iv = item.key.iv_base() | item.sequence;
        let parts = layout::parts(item.packet, CTR_IV, item.key.suite().icv_len())?;
        parts.iv.copy_from_slice(&iv.to_be_bytes());
        jobs.push(ctr.job(parts.iv, parts.body));
    }
    (kernels.ctr)(&mut jobs);
    Some(())
}

fn sign(kernel: MacKernel, chunk: &mut [&mut Seal<'_>]) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    let mut icvs = ArrayVec::<&mut [u8], CHUNK>::new();
    for item in chunk {
        let key = &sealing(item)?.mac;
        let high = item.key.esn().then(|| layout::sequence_high(item.sequence));
        let (covered, icv) = layout::covered(item.packet, item.key.suite().icv_len())?;
        jobs.push(MacJob { key, covered, high, tag: [0; 32] });
        icvs.push(icv);
    }
    kernel(&mut jobs);
    for (icv, job) in icvs.iter_mut().zip(&jobs) {
        icv.copy_from_slice(job.tag.get(..icv.len())?);
    }
    Some(())
}

fn open(group: &mut [&mut Open<'_>]) {
    // whatever was not opened keeps the verdict that it came with: bad
    let _ = open_group(group);
}

/// Not one block is decrypted, and no padding looked at, before the packet's ICV has verified.
fn open_group(group: &mut [&mut Open<'_>]) -> Option<()> {
    let (suite, tier) = group.first().map(|item| (item.key.suite(), item.key.tier()))?;
    let kernel = mac::kernel(tier, integrity(suite)?)?;
    for chunk in group.chunks_mut(CHUNK) {
        verify(kernel, chunk)?;
        let decrypted = match suite {
            Suite::AesCbc(..) => cbc_decrypt(tier, chunk),
            Suite::AesCtr(..) => ctr_decrypt(tier, chunk),
            _ => Some(()),
        };
        if decrypted.is_none() {
            chunk.iter_mut().for_each(|item| item.verdict = Err(BadIcv));
        }
    }
    Some(())
}

fn opening<'a>(item: &Open<'a>) -> Option<&'a OpenEtm> {
    match item.key.schedule() {
        OpenSchedule::Etm(key) => Some(key),
        _ => None,
    }
}

/// Sets the verdicts, in constant time.
fn verify(kernel: MacKernel, chunk: &mut [&mut Open<'_>]) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    let mut rest = ArrayVec::<_, CHUNK>::new();
    for item in chunk {
        let key = &opening(item)?.mac;
        let high = item.key.esn().then(|| layout::sequence_high(item.sequence));
        let Open { key: sa, packet, verdict, .. } = &mut **item;
        let (covered, icv) = layout::covered(packet, sa.suite().icv_len())?;
        jobs.push(MacJob { key, covered, high, tag: [0; 32] });
        rest.push((icv, verdict));
    }
    kernel(&mut jobs);
    for ((icv, verdict), job) in rest.iter_mut().zip(&jobs) {
        if mac::same(job.tag.get(..icv.len())?, icv) {
            **verdict = Ok(());
        }
    }
    Some(())
}

fn cbc_decrypt(tier: &Backend, chunk: &mut [&mut Open<'_>]) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk.iter_mut().filter(|item| item.verdict.is_ok()) {
        let OpenCipher::Cbc(key) = &opening(item)?.cipher else { return None };
        let parts = layout::parts(item.packet, CBC_IV, item.key.suite().icv_len())?;
        jobs.push(CbcJob { key, iv: (&*parts.iv).try_into().ok()?, body: parts.body });
    }
    (tier.aes?.cbc_decrypt)(&mut jobs);
    Some(())
}

fn ctr_decrypt(tier: &Backend, chunk: &mut [&mut Open<'_>]) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk.iter_mut().filter(|item| item.verdict.is_ok()) {
        let OpenCipher::Ctr(ctr) = &opening(item)?.cipher else { return None };
        let Parts { iv, body, .. } =
            layout::parts(item.packet, CTR_IV, item.key.suite().icv_len())?;
        jobs.push(ctr.job(iv, body));
    }
    (tier.aes?.ctr)(&mut jobs);
    Some(())
}
