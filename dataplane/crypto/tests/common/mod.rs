//! What the tests share: keys, packets as a caller lays them out, and the vectors.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]
pub mod matrix;
pub mod rooms;

use crypto::{Backend, BadIcv, Open, OpenKey, Seal, SealKey, Suite};

pub const EPOCH: u32 = 0x00a1_b2c3;
pub const SPI: [u8; 4] = [0xc0, 0xff, 0xee, 0x01];

/// Octets that look random and depend on `seed` alone (xorshift).
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Both ends of an SA.
pub struct Pair {
    pub seal: SealKey,
    pub open: OpenKey,
}

pub fn pair(suite: Suite, esn: bool, seed: u64) -> Pair {
    let encryption = noise(seed, suite.key_len());
    let integrity = noise(seed + 1, suite.integrity_key_len());
    Pair {
        seal: SealKey::new(suite, &encryption, &integrity, esn, EPOCH).unwrap(),
        open: OpenKey::new(suite, &encryption, &integrity, esn).unwrap(),
    }
}

/// As [`pair`], on a tier of the caller's choice: one seed makes the same keys on all of them.
pub fn pair_on(backend: &'static Backend, suite: Suite, esn: bool, seed: u64) -> Pair {
    let encryption = noise(seed, suite.key_len());
    let integrity = noise(seed + 1, suite.integrity_key_len());
    Pair {
        seal: SealKey::on(backend, suite, &encryption, &integrity, esn, EPOCH).unwrap(),
        open: OpenKey::on(backend, suite, &encryption, &integrity, esn).unwrap(),
    }
}

/// An inner packet of `len` octets with its trailer (RFC 4303 §2.4).
pub fn payload(suite: Suite, seed: u64, len: usize) -> Vec<u8> {
    let mut payload = noise(seed, len);
    let pad = (suite.block() - (len + 2) % suite.block()) % suite.block();
    payload.extend((1..=pad).map(|octet| octet as u8));
    payload.extend([pad as u8, 4]);
    payload
}

/// A packet as it is before [`crypto::seal`]; the rooms for IV and ICV hold rubbish.
pub fn unsealed(suite: Suite, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut packet = SPI.to_vec();
    packet.extend((sequence as u32).to_be_bytes());
    packet.extend(vec![0x55; suite.iv_len()]);
    packet.extend(payload);
    packet.extend(vec![0xaa; suite.icv_len()]);
    packet
}

/// Payload and trailer of an opened packet.
pub fn body(suite: Suite, packet: &[u8]) -> &[u8] {
    &packet[8 + suite.iv_len()..packet.len() - suite.icv_len()]
}

pub fn iv(suite: Suite, packet: &[u8]) -> &[u8] {
    &packet[8..8 + suite.iv_len()]
}

pub fn seal_one(key: &SealKey, sequence: u64, packet: &mut [u8]) -> usize {
    crypto::seal(&mut [Seal { key, sequence, packet }])
}

pub fn open_one(key: &OpenKey, sequence: u64, packet: &mut [u8]) -> Result<(), BadIcv> {
    let mut batch = [Open::new(key, sequence, packet)];
    crypto::open(&mut batch);
    batch[0].verdict
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// One packet of `vectors/esp.txt`, which `vectors/esp.py` made with another implementation.
pub struct Vector {
    pub suite: Suite,
    pub esn: bool,
    pub sequence: u64,
    pub epoch: Vec<u8>,
    pub key: Vec<u8>,
    pub integrity_key: Vec<u8>,
    pub payload: Vec<u8>,
    pub packet: Vec<u8>,
}

impl Vector {
    pub fn open_key_on(&self, backend: &'static Backend) -> OpenKey {
        OpenKey::on(backend, self.suite, &self.key, &self.integrity_key, self.esn).unwrap()
    }

    pub fn seal_key_on(&self, backend: &'static Backend) -> SealKey {
        let (key, mac) = (&self.key, &self.integrity_key);
        let epoch = self.epoch.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet));
        SealKey::on(backend, self.suite, key, mac, self.esn, epoch).unwrap()
    }
}

/// Every vector with every backend of this CPU.
pub fn vectors_and_backends() -> impl Iterator<Item = (Vector, &'static Backend)> {
    let each = |backend: &&'static Backend| {
        let backend = *backend;
        vectors().into_iter().map(move |vector| (vector, backend))
    };
    Backend::available().iter().flat_map(each)
}

pub fn vectors() -> Vec<Vector> {
    include_str!("../vectors/esp.txt").split("\n\n").skip(1).map(vector).collect()
}

fn vector(lines: &str) -> Vector {
    let field = |name: &str| {
        let line = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" ="));
        line.unwrap_or_else(|| panic!("no {name} in {lines}")).trim()
    };
    Vector {
        suite: Suite::from_name(field("suite")).unwrap(),
        esn: field("esn") == "1",
        sequence: field("sequence").parse().unwrap(),
        epoch: hex(field("epoch")),
        key: hex(field("key")),
        integrity_key: hex(field("integrity_key")),
        payload: hex(field("payload")),
        packet: hex(field("packet")),
    }
}
