//! Vectors from files, and randomness that is not random.
#![allow(dead_code, reason = "each test uses its part")]

use ike::{Key, Random};
use std::collections::BTreeMap;

/// One block of `key = value` lines.
pub struct Block(BTreeMap<String, String>);

/// The blocks of a file in tests/vectors; `#` begins a comment, empty lines stand between blocks.
pub fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    let pair = |line: &&str| {
        let (key, value) = line.split_once(" =").expect("key = value");
        (key.to_owned(), value.trim().to_owned())
    };
    blocks.map(|block| Block(block.iter().map(pair).collect())).collect()
}

impl Block {
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_else(|| panic!("no {key}"))
    }

    pub fn octets(&self, key: &str) -> Vec<u8> {
        let hex = self.text(key);
        assert_eq!(hex.len() % 2, 0, "{key}");
        let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        (0..hex.len()).step_by(2).map(octet).collect()
    }

    pub fn key(&self, key: &str) -> Key {
        Key::new(self.octets(key))
    }

    pub fn number(&self, key: &str) -> u64 {
        u64::from_be_bytes(self.octets(key).try_into().expect("8 octets"))
    }
}

/// Gives what it was given.
pub struct Given(pub Vec<u8>);

impl Random for Given {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

/// Counts, and scrambles what it counted: the same for everybody who asks, but never the same twice.
#[derive(Default)]
pub struct Counting(u64);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 += 1;
            let scrambled = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            chunk.iter_mut().zip(scrambled).for_each(|(to, from)| *to = from);
        }
    }
}
