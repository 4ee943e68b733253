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

/// Packets encrypted, then authenticated, before the next ones: a whole group. Fewer at a time would stay in the
/// nearest cache, but fill fewer lanes when their lengths are mixed, and that costs more.
const CHUNK: usize = 64;

/// Packets that fill every lane if they are of one length.
const LANES: usize = 16;
/// Octets of packets from which on [`CHUNK`] of them are more than the nearest cache holds.
const LONG: usize = 512;

/// How many packets of such lengths to encrypt before the first is authenticated.
fn at_once(mut lengths: impl Iterator<Item = usize>) -> usize {
    let first = lengths.next().unwrap_or(0);
    if first > LONG && lengths.all(|len| len == first) { LANES } else { CHUNK }
}

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
    let at_once = at_once(group.iter().map(|item| item.packet.len()));
    let icv_len = suite.icv_len();
    for chunk in group.chunks_mut(at_once) {
        match suite {
            Suite::AesCbc(..) => cbc_encrypt(tier, chunk, icv_len)?,
            Suite::AesCtr(..) => ctr_encrypt(tier, chunk, icv_len)?,
            _ => (),
        }
        sign(kernel, chunk, icv_len)?;
    }
    Some(())
}

fn sealing<'a>(item: &Seal<'a>) -> Option<&'a SealEtm> {
    match item.key.schedule() {
        SealSchedule::Etm(key) => Some(key),
        _ => None,
    }
}

fn cbc_encrypt(tier: &Backend, chunk: &mut [&mut Seal<'_>], icv_len: usize) -> Option<()> {
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
    for (item, iv) in chunk.iter_mut().zip(&ivs) {
        let SealCipher::Cbc(key, _) = &sealing(item)?.cipher else { return None };
        let parts = layout::parts(item.packet, CBC_IV, icv_len)?;
        parts.iv.copy_from_slice(iv);
        jobs.push(CbcJob { key, iv: *iv, body: parts.body });
    }
    (kernels.cbc_encrypt)(&mut jobs);
    Some(())
}

fn ctr_encrypt(tier: &Backend, chunk: &mut [&mut Seal<'_>], icv_len: usize) -> Option<()> {
    let kernels = tier.aes?;
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk {
        let SealCipher::Ctr(ctr) = &sealing(item)?.cipher else { return None };
        let iv = item.key.iv_base() | item.sequence;
        let parts = layout::parts(item.packet, CTR_IV, icv_len)?;
        parts.iv.copy_from_slice(&iv.to_be_bytes());
        jobs.push(ctr.job(parts.iv, parts.body));
    }
    (kernels.ctr)(&mut jobs);
    Some(())
}

fn sign(kernel: MacKernel, chunk: &mut [&mut Seal<'_>], icv_len: usize) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    let mut icvs = ArrayVec::<&mut [u8], CHUNK>::new();
    for item in chunk {
        let key = &sealing(item)?.mac;
        let high = item.key.esn().then(|| layout::sequence_high(item.sequence));
        let (covered, icv) = layout::covered(item.packet, icv_len)?;
        jobs.push(MacJob { key, covered, high, tag: [0; 32] });
        icvs.push(icv);
    }
    kernel(&mut jobs);
    for (icv, job) in icvs.iter_mut().zip(&jobs) {
        mac::put(icv, &job.tag);
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
    let at_once = at_once(group.iter().map(|item| item.packet.len()));
    let icv_len = suite.icv_len();
    for chunk in group.chunks_mut(at_once) {
        verify(kernel, chunk, icv_len)?;
        let decrypted = match suite {
            Suite::AesCbc(..) => cbc_decrypt(tier, chunk, icv_len),
            Suite::AesCtr(..) => ctr_decrypt(tier, chunk, icv_len),
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
fn verify(kernel: MacKernel, chunk: &mut [&mut Open<'_>], icv_len: usize) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    let mut rest = ArrayVec::<_, CHUNK>::new();
    for item in chunk {
        let key = &opening(item)?.mac;
        let high = item.key.esn().then(|| layout::sequence_high(item.sequence));
        let Open { packet, verdict, .. } = &mut **item;
        let (covered, icv) = layout::covered(packet, icv_len)?;
        jobs.push(MacJob { key, covered, high, tag: [0; 32] });
        rest.push((icv, verdict));
    }
    kernel(&mut jobs);
    for ((icv, verdict), job) in rest.iter_mut().zip(&jobs) {
        if mac::same(job.tag.get(..icv_len)?, icv) {
            **verdict = Ok(());
        }
    }
    Some(())
}

fn cbc_decrypt(tier: &Backend, chunk: &mut [&mut Open<'_>], icv_len: usize) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk.iter_mut().filter(|item| item.verdict.is_ok()) {
        let OpenCipher::Cbc(key) = &opening(item)?.cipher else { return None };
        let parts = layout::parts(item.packet, CBC_IV, icv_len)?;
        jobs.push(CbcJob { key, iv: (&*parts.iv).try_into().ok()?, body: parts.body });
    }
    (tier.aes?.cbc_decrypt)(&mut jobs);
    Some(())
}

fn ctr_decrypt(tier: &Backend, chunk: &mut [&mut Open<'_>], icv_len: usize) -> Option<()> {
    let mut jobs = ArrayVec::<_, CHUNK>::new();
    for item in chunk.iter_mut().filter(|item| item.verdict.is_ok()) {
        let OpenCipher::Ctr(ctr) = &opening(item)?.cipher else { return None };
        let Parts { iv, body, .. } = layout::parts(item.packet, CTR_IV, icv_len)?;
        jobs.push(ctr.job(iv, body));
    }
    (tier.aes?.ctr)(&mut jobs);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{OpenKey, SealKey};
    use crate::suite::Icv;

    fn octets(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| (((at + 1) * (seed + 3) * 7919) >> 4) as u8).collect()
    }

    /// Of this driver, and CCM, which is built likewise.
    fn suites() -> Vec<Suite> {
        let macs = [
            Integrity::HmacSha1_96,
            Integrity::HmacSha2_256_128,
            Integrity::HmacSha2_512_256,
            Integrity::AesXcbc96,
            Integrity::AesCmac96,
        ];
        let with = |mac| {
            [Suite::Null(mac), Suite::AesCbc(KeyBits::B128, mac), Suite::AesCtr(KeyBits::B256, mac)]
        };
        let ccm = Icv::ALL.map(|icv| Suite::AesCcm(KeyBits::B192, icv));
        macs.into_iter().flat_map(with).chain(ccm).collect()
    }

    fn keys(backend: &'static Backend, suite: Suite, seed: usize) -> (SealKey, OpenKey) {
        let (key, mac) = (octets(seed, suite.key_len()), octets(seed, suite.integrity_key_len()));
        let esn = seed.is_multiple_of(2);
        let open = OpenKey::on(backend, suite, &key, &mac, esn).unwrap();
        (SealKey::on(backend, suite, &key, &mac, esn, 1).unwrap(), open)
    }

    const NUMBER: u64 = 0x12;

    /// As it is before it is sealed, its body of `len` octets rounded up to the suite's blocks.
    fn packet(suite: Suite, len: usize) -> Vec<u8> {
        let body = octets(len, len.next_multiple_of(suite.block()));
        let (iv, icv) = (vec![0; suite.iv_len()], vec![0; suite.icv_len()]);
        [&[1, 2, 3, 4, 0, 0, 0, NUMBER as u8][..], &iv, &body, &icv].concat()
    }

    fn seal_all(keys: &[(SealKey, OpenKey)], packets: &mut [Vec<u8>]) {
        let mut batch: Vec<_> = (packets.iter_mut().zip(keys.iter().cycle()))
            .map(|(packet, (key, _))| Seal { key, sequence: NUMBER, packet })
            .collect();
        assert_eq!(crate::seal(&mut batch), 0);
    }

    fn open_all(keys: &[(SealKey, OpenKey)], packets: &mut [Vec<u8>]) -> Vec<bool> {
        let mut batch: Vec<_> = (packets.iter_mut().zip(keys.iter().cycle()))
            .map(|(packet, (_, key))| Open::new(key, NUMBER, packet))
            .collect();
        crate::open(&mut batch);
        batch.iter().map(|item| item.verdict.is_ok()).collect()
    }

    #[test]
    fn what_one_backend_seals_the_other_opens() {
        let step = if cfg!(miri) { 53 } else { 7 };
        let lengths: Vec<_> = (0..if cfg!(miri) { 200 } else { 2100 }).step_by(step).collect();
        let (portable, best) = (Backend::available()[0], Backend::available());
        for suite in suites() {
            for (backend, count) in best.iter().flat_map(|tier| [(tier, 1), (tier, 5), (tier, 64)])
            {
                let keyed =
                    |tier| (0..count).map(|seed| keys(tier, suite, seed)).collect::<Vec<_>>();
                let (ours, theirs) = (keyed(*backend), keyed(portable));
                let plain: Vec<_> = lengths.iter().map(|len| packet(suite, *len)).collect();
                let body = |packet: &Vec<u8>| {
                    packet[8 + suite.iv_len()..packet.len() - suite.icv_len()].to_vec()
                };
                for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
                    let mut packets = plain.clone();
                    seal_all(from, &mut packets);
                    assert!(open_all(to, &mut packets).iter().all(|good| *good), "{suite}");
                    for (opened, plain) in packets.iter().zip(&plain) {
                        assert_eq!(body(opened), body(plain), "{suite} on {}", backend.name);
                    }
                }
            }
        }
    }

    #[test]
    fn a_forgery_in_any_octet_is_found_and_left_as_it_arrived() {
        for (suite, backend) in suites()
            .into_iter()
            .flat_map(|suite| Backend::available().iter().map(move |tier| (suite, tier)))
        {
            let keys = [keys(backend, suite, 0)];
            let mut good = vec![packet(suite, if cfg!(miri) { 4 } else { 48 })];
            seal_all(&keys, &mut good);
            // every octet but the sequence number's, which the batch itself looks at; and one good packet
            let places = (0..good[0].len()).filter(|at| !(4..8).contains(at));
            let forged = |at: usize| {
                let mut packet = good[0].clone();
                packet[at] ^= 0x80;
                packet
            };
            let mut packets: Vec<_> = places.map(forged).chain([good[0].clone()]).collect();
            let arrived = packets.clone();
            let verdicts = open_all(&keys, &mut packets);
            let (last, others) = verdicts.split_last().unwrap();
            assert!(*last && others.iter().all(|good| !good), "{suite} on {}", backend.name);
            assert_eq!(packets[..others.len()], arrived[..others.len()], "{suite}");
        }
    }

    #[test]
    fn no_two_contexts_share_an_iv_and_none_is_the_number_itself() {
        let suite = Suite::AesCbc(KeyBits::B128, Integrity::HmacSha1_96);
        let keys: Vec<_> = (0..64).map(|_| keys(Backend::best(), suite, 1)).collect();
        let mut packets = vec![packet(suite, 16); 64];
        seal_all(&keys, &mut packets);
        let ivs: std::collections::HashSet<_> =
            packets.iter().map(|packet| packet[8..24].to_vec()).collect();
        assert_eq!(ivs.len(), 64);
        assert!(ivs.iter().all(|iv| iv[..8] != [0; 8]));
    }
}
