//! AES-CCM in ESP (RFC 4309): the MAC in lanes across packets, counter mode along each.
use arrayvec::ArrayVec;
use zeroize::Zeroize;

use super::cbc::chain::Chain;
use super::cbc::lanes::CHAINS;
use super::cbc::vector::Block;
use super::{CtrJob, EncryptKey, Kernels};
use crate::backend::Family;
use crate::batch::{Open, Seal};
use crate::layout::{self, HEADER, Parts};
use crate::mac;
use crate::schedule::{OpenSchedule, SealSchedule};
use crate::suite::KeyBits;

/// For every tier: the chains and the counter mode are the key's own tier's.
pub(super) const FAMILY: Family = Family { seal, open };

const IV: usize = 8;
/// Packets at a time: each takes two chains, one for the MAC and one for what masks it.
const CHUNK: usize = CHAINS / 2;

/// What CCM needs of the key.
#[repr(C, align(16))]
pub(crate) struct CcmKey {
    cipher: EncryptKey,
    salt: [u8; 3],
}

impl CcmKey {
    /// From key ‖ salt (RFC 4309 §7.1). `None`: the length is wrong, or the CPU has no AES-NI.
    pub fn new(bits: KeyBits, material: &[u8]) -> Option<Self> {
        let (key, salt) = material.split_last_chunk()?;
        Some(Self { cipher: EncryptKey::new(bits, key)?, salt: *salt })
    }

    /// A_`counter` (RFC 3610 §2.3): four octets of counter, so L is 4.
    fn counter_block(&self, iv: &[u8], counter: u32) -> Block {
        self.block(3, iv, counter)
    }

    /// `flags` ‖ salt ‖ IV ‖ `last`.
    fn block(&self, flags: u8, iv: &[u8], last: u32) -> Block {
        let octets = [flags].into_iter().chain(self.salt).chain(iv.iter().copied());
        let mut block = [0; 16];
        block.iter_mut().zip(octets.chain(last.to_be_bytes())).for_each(|(to, from)| *to = from);
        block
    }
}

/// One packet, either way.
struct Packet<'a> {
    key: &'a CcmKey,
    /// SPI ‖ sequence number, with ESN all 64 bits of it (RFC 4309 §5).
    associated: ArrayVec<u8, { HEADER + 4 }>,
    iv: [u8; IV],
    body: &'a mut [u8],
    icv: &'a mut [u8],
}

impl<'a> Packet<'a> {
    fn new(
        key: &'a CcmKey,
        packet: &'a mut [u8],
        icv_len: usize,
        high: Option<[u8; 4]>,
        iv: Option<u64>,
    ) -> Option<Self> {
        let parts = layout::parts(packet, IV, icv_len)?;
        let Parts { header, iv: explicit, body, icv } = parts;
        if let Some(iv) = iv {
            explicit.copy_from_slice(&iv.to_be_bytes());
        }
        let (spi, low) = header.split_at(4);
        let high = high.as_ref().map_or(&[][..], |high| high);
        let associated = spi.iter().chain(high).chain(low).copied().collect();
        Some(Self { key, associated, iv: (&*explicit).try_into().ok()?, body, icv })
    }

    fn job(&mut self) -> CtrJob<'_> {
        let counter_block = self.key.counter_block(&self.iv, 1);
        CtrJob { key: &self.key.cipher, counter_block, body: self.body }
    }
}

/// The blocks of a packet that lie in no packet (RFC 3610 §2.2).
struct Extra {
    /// B_0, then the associated data with its length before it: at most 14 octets, so one block.
    head: [Block; 2],
    /// The body's end, zeros behind it. Used if the body is not whole blocks.
    tail: Block,
    /// A_0, which encrypted masks the tag.
    mask: Block,
}

impl Extra {
    fn new(packet: &Packet<'_>) -> Self {
        // flags: associated data, the tag's length, L − 1
        let flags = 0x40 | ((packet.icv.len() as u8).saturating_sub(2) / 2) << 3 | 3;
        let first = packet.key.block(flags, &packet.iv, packet.body.len() as u32);
        let length = (packet.associated.len() as u16).to_be_bytes();
        let associated = length.iter().chain(&packet.associated);
        let mut second = [0; 16];
        second.iter_mut().zip(associated).for_each(|(to, from)| *to = *from);
        let mut tail = [0; 16];
        let rest = packet.body.as_chunks::<16>().1;
        tail.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mask = packet.key.counter_block(&packet.iv, 0);
        Self { head: [first, second], tail, mask }
    }
}

/// The whole tag of every packet, whose bodies are plaintext.
fn tags(kernels: &Kernels, packets: &[Packet<'_>]) -> ArrayVec<Block, CHUNK> {
    let extra: ArrayVec<_, CHUNK> = packets.iter().map(Extra::new).collect();
    let mut chains = ArrayVec::<_, CHAINS>::new();
    for (packet, extra) in packets.iter().zip(&extra) {
        let key = &packet.key.cipher;
        let (body, rest) = packet.body.as_chunks();
        let tail = if rest.is_empty() { &[] } else { core::slice::from_ref(&extra.tail) };
        chains.push(Chain { key, state: [0; 16], parts: [&extra.head, body, tail] });
    }
    for (packet, extra) in packets.iter().zip(&extra) {
        let mask = core::slice::from_ref(&extra.mask);
        chains.push(Chain { key: &packet.key.cipher, state: [0; 16], parts: [mask, &[], &[]] });
    }
    (kernels.chains)(&mut chains);
    let (tags, masks) = chains.split_at(packets.len());
    let pairs = tags.iter().zip(masks);
    pairs.map(|(tag, mask)| add(tag.state, &mask.state)).collect()
}

fn add(mut to: Block, from: &Block) -> Block {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
    to
}

fn seal(group: &mut [&mut Seal<'_>]) {
    for chunk in group.chunks_mut(CHUNK) {
        if seal_chunk(chunk).is_none() {
            chunk.iter_mut().for_each(|item| item.packet.zeroize());
        }
    }
}

fn seal_chunk(chunk: &mut [&mut Seal<'_>]) -> Option<()> {
    let kernels = chunk.first()?.key.tier().aes?;
    let mut packets: ArrayVec<_, CHUNK> = chunk.iter_mut().map(to_seal).collect::<Option<_>>()?;
    let tags = tags(kernels, &packets);
    for (packet, tag) in packets.iter_mut().zip(&tags) {
        packet.icv.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
    }
    (kernels.ctr)(&mut packets.iter_mut().map(Packet::job).collect::<ArrayVec<_, CHUNK>>());
    Some(())
}

fn to_seal<'p>(item: &'p mut &mut Seal<'_>) -> Option<Packet<'p>> {
    let key = item.key;
    let SealSchedule::Ccm(ccm) = key.schedule() else { return None };
    let high = key.esn().then(|| layout::sequence_high(item.sequence));
    let iv = key.iv_base() | item.sequence;
    Packet::new(ccm, item.packet, key.suite().icv_len(), high, Some(iv))
}

fn open(group: &mut [&mut Open<'_>]) {
    for chunk in group.chunks_mut(CHUNK) {
        let verdicts = open_chunk(chunk).unwrap_or_default();
        for (item, good) in chunk.iter_mut().zip(verdicts) {
            if good {
                item.verdict = Ok(());
            }
        }
    }
}

/// The MAC is over the plaintext, so all are decrypted first; those that do not verify are encrypted again,
/// and are as they arrived before anybody can look.
fn open_chunk(chunk: &mut [&mut Open<'_>]) -> Option<ArrayVec<bool, CHUNK>> {
    let kernels = chunk.first()?.key.tier().aes?;
    let mut packets: ArrayVec<_, CHUNK> = chunk.iter_mut().map(to_open).collect::<Option<_>>()?;
    (kernels.ctr)(&mut packets.iter_mut().map(Packet::job).collect::<ArrayVec<_, CHUNK>>());
    let tags = tags(kernels, &packets);
    let pairs = packets.iter().zip(&tags);
    let verdicts: ArrayVec<_, CHUNK> = pairs.map(|(packet, tag)| verifies(packet, tag)).collect();
    let bad = packets.iter_mut().zip(&verdicts).filter(|(_, good)| !**good);
    (kernels.ctr)(&mut bad.map(|(packet, _)| packet.job()).collect::<ArrayVec<_, CHUNK>>());
    Some(verdicts)
}

/// In constant time.
fn verifies(packet: &Packet<'_>, tag: &Block) -> bool {
    tag.get(..packet.icv.len()).is_some_and(|tag| mac::same(tag, packet.icv))
}

fn to_open<'p>(item: &'p mut &mut Open<'_>) -> Option<Packet<'p>> {
    let key = item.key;
    let OpenSchedule::Ccm(ccm) = key.schedule() else { return None };
    let high = key.esn().then(|| layout::sequence_high(item.sequence));
    Packet::new(ccm, item.packet, key.suite().icv_len(), high, None)
}
