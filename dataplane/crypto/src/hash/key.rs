//! HMAC keys (RFC 2104 §2): both padded keys are hashed ahead, so that a packet pays for its own octets only.
use ::md5::Md5;
use ::sha1::Sha1;
use ::sha2::{Digest, Sha256, Sha384, Sha512};

use crate::mac::MacKey;
use crate::suite::Integrity;

/// The states for a key of any length. `None`: no HMAC.
pub(super) fn states(which: Integrity, key: &[u8]) -> Option<MacKey> {
    Some(match which {
        Integrity::HmacMd5_96 => hmac32(block::<Md5, 64>(key), md5),
        Integrity::HmacSha1_96 => hmac32(block::<Sha1, 64>(key), sha1),
        Integrity::HmacSha2_256_128 => hmac32(block::<Sha256, 64>(key), sha256),
        Integrity::HmacSha2_384_192 => hmac64(block::<Sha384, 128>(key), sha384),
        Integrity::HmacSha2_512_256 => hmac64(block::<Sha512, 128>(key), sha512),
        Integrity::AesXcbc96 | Integrity::AesCmac96 | Integrity::KeyedMd5 => return None,
    })
}

/// The key, or its digest if it is longer than a block, with zeros behind it.
fn block<D: Digest, const N: usize>(key: &[u8]) -> [u8; N] {
    let digest;
    let key = if key.len() > N {
        digest = D::digest(key);
        digest.as_slice()
    } else {
        key
    };
    let mut block = [0; N];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

fn hmac32(key: [u8; 64], hash: fn([u8; 64]) -> [u32; 8]) -> MacKey {
    let state = |with| octets(hash(padded(key, with)).map(u32::to_ne_bytes));
    MacKey::Hmac32 { inner: state(0x36), outer: state(0x5c) }
}

fn hmac64(key: [u8; 128], hash: fn([u8; 128]) -> [u64; 8]) -> MacKey {
    let state = |with| octets(hash(padded(key, with)).map(u64::to_ne_bytes));
    MacKey::Hmac64 { inner: state(0x36), outer: state(0x5c) }
}

/// As the vectors load them.
fn octets<const WORD: usize, const S: usize>(words: [[u8; WORD]; 8]) -> [[u8; 16]; S] {
    let mut state = [[0; 16]; S];
    let octets = state.as_flattened_mut().iter_mut();
    octets.zip(words.as_flattened()).for_each(|(to, from)| *to = *from);
    state
}

fn padded<const N: usize>(key: [u8; N], with: u8) -> [u8; N] {
    key.map(|octet| octet ^ with)
}

fn md5(block: [u8; 64]) -> [u32; 8] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]; // RFC 1321 §3.3
    ::md5::block_api::compress(&mut state, &[block]);
    let [a, b, c, d] = state;
    [a, b, c, d, 0, 0, 0, 0]
}

fn sha1(block: [u8; 64]) -> [u32; 8] {
    // FIPS 180-4 §5.3.1
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    ::sha1::block_api::compress(&mut state, &[block]);
    let [a, b, c, d, e] = state;
    [a, b, c, d, e, 0, 0, 0]
}

#[rustfmt::skip]
fn sha256(block: [u8; 64]) -> [u32; 8] {
    // FIPS 180-4 §5.3.3
    let mut state = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
        0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ];
    ::sha2::block_api::compress256(&mut state, &[block]);
    state
}

#[rustfmt::skip]
fn sha384(block: [u8; 128]) -> [u64; 8] {
    // FIPS 180-4 §5.3.4
    let mut state = [
        0xcbbb_9d5d_c105_9ed8, 0x629a_292a_367c_d507, 0x9159_015a_3070_dd17, 0x152f_ecd8_f70e_5939,
        0x6733_2667_ffc0_0b31, 0x8eb4_4a87_6858_1511, 0xdb0c_2e0d_64f9_8fa7, 0x47b5_481d_befa_4fa4,
    ];
    ::sha2::block_api::compress512(&mut state, &[block]);
    state
}

#[rustfmt::skip]
fn sha512(block: [u8; 128]) -> [u64; 8] {
    // FIPS 180-4 §5.3.5
    let mut state = [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
    ];
    ::sha2::block_api::compress512(&mut state, &[block]);
    state
}
