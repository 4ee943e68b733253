//! ChaCha20-Poly1305 in ESP (RFC 7634), in vectors across the packets of a group.
//!
//! | tier | ChaCha20 | Poly1305 |
//! |---|---|---|
//! | AVX2 | 8 blocks | 4 packets, limbs of 26 bits |
//! | AVX-512 | 16 blocks | 8 packets, limbs of 26 bits |
//! | AVX-512 with IFMA | 16 blocks | 8 packets, limbs of 44 bits |
mod aead;
mod lanes4;
mod lanes8;
mod limbs26;
mod narrow;
mod poly;
mod poly_avx2;
mod poly_avx512;
mod poly_ifma;
mod rounds;
#[cfg(test)]
mod tests;
mod tiers;
mod wide;
mod xor16;
mod xor8;

use arrayvec::ArrayVec;
use zeroize::Zeroize;

use self::aead::{GROUP, Packet, Tier};
use self::poly::TAG;
use crate::batch::{Open, Seal};
use crate::layout::{self, HEADER, Parts};
use crate::schedule::{OpenSchedule, SealSchedule};

pub(crate) use tiers::{AVX2, AVX512, IFMA};

/// Octets of the explicit IV (RFC 7634 §2).
const IV: usize = 8;

/// Key and salt. Holds key material: lives in a [`Wiped`](crate::wiped::Wiped).
#[repr(C, align(16))]
pub(crate) struct Key {
    key: [u8; 32],
    salt: [u8; 4],
}

impl Key {
    /// From key ‖ salt (RFC 7634 §2). `None`: the length is wrong.
    pub fn new(material: &[u8]) -> Option<Self> {
        let (key, salt) = material.split_last_chunk()?;
        Some(Self { key: key.try_into().ok()?, salt: *salt })
    }

    /// Salt and explicit IV, as words of ChaCha20's state (RFC 8439 §2.3).
    fn nonce(&self, iv: [u8; IV]) -> [u32; 3] {
        let iv = u64::from_le_bytes(iv);
        [u32::from_le_bytes(self.salt), iv as u32, (iv >> 32) as u32]
    }
}

fn seal(tier: &Tier, group: &mut [&mut Seal<'_>]) {
    let mut packets = ArrayVec::<Packet<'_>, GROUP>::new();
    for item in group.iter_mut().take(GROUP) {
        if let Some(packet) = to_seal(item) {
            packets.push(packet);
        }
    }
    aead::seal(tier, &mut packets);
}

fn open(tier: &Tier, group: &mut [&mut Open<'_>]) {
    let mut packets = ArrayVec::<Packet<'_>, GROUP>::new();
    for item in group.iter_mut().take(GROUP) {
        if let Some(packet) = to_open(item) {
            packets.push(packet);
        }
    }
    aead::open(tier, &mut packets);
}

/// Writes the explicit IV. A packet that this cannot seal must not leave in the clear.
#[inline(always)]
fn to_seal<'p>(item: &'p mut Seal<'_>) -> Option<Packet<'p>> {
    if item.packet.len() < HEADER + IV + TAG {
        item.packet.zeroize();
    }
    let SealSchedule::ChaCha(key) = item.key.schedule() else {
        item.packet.zeroize();
        return None;
    };
    let Parts { header, iv, body, icv } = layout::parts(item.packet, IV, TAG)?;
    let number = (item.key.iv_base() | item.sequence).to_be_bytes();
    iv.copy_from_slice(&number);
    let (aad, aad_len) = associated_data(header, item.sequence, item.key.esn());
    let nonce = key.nonce(number);
    Some(Packet {
        key: &key.key,
        nonce,
        aad,
        aad_len,
        body,
        icv: icv.try_into().ok()?,
        verdict: None,
    })
}

#[inline(always)]
fn to_open<'p>(item: &'p mut Open<'_>) -> Option<Packet<'p>> {
    let OpenSchedule::ChaCha(key) = item.key.schedule() else { return None };
    let Parts { header, iv, body, icv } = layout::parts(item.packet, IV, TAG)?;
    let (aad, aad_len) = associated_data(header, item.sequence, item.key.esn());
    let nonce = key.nonce((&*iv).try_into().ok()?);
    let (icv, verdict) = (icv.try_into().ok()?, Some(&mut item.verdict));
    Some(Packet { key: &key.key, nonce, aad, aad_len, body, icv, verdict })
}

/// SPI ‖ sequence number, all 64 bits of it with ESN (RFC 7634 §2.1), padded with zeros to a block of
/// Poly1305; and its octets without the padding.
#[inline(always)]
fn associated_data(header: &[u8; HEADER], sequence: u64, esn: bool) -> ([u8; 16], u64) {
    let [a, b, c, d, e, f, g, h] = *header;
    let [i, j, k, l] = layout::sequence_high(sequence);
    if esn {
        ([a, b, c, d, i, j, k, l, e, f, g, h, 0, 0, 0, 0], 12)
    } else {
        ([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0], 8)
    }
}
