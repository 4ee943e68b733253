//! Values as words, and words as values. Encoding cannot fail; decoding checks everything, because the other process
//! (or a bit that fell over) may have written anything.
mod message;
mod policy;
mod sa;
mod setup;
mod status;

pub(crate) use message::{decode_event, decode_request, encode_event, encode_request};
pub(crate) use policy::{decode_policy, encode_policy};
pub(crate) use sa::{KeyError, decode_keys, decode_sa, encode_keys, encode_sa};
pub(crate) use setup::{decode_setup, encode_setup};
pub(crate) use status::{decode_crypto, decode_interface, encode_crypto, encode_interface};

use crate::errors::Corrupt;
use crate::sa::Name;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A quick mixture of all words (FNV-1a, eight octets at a time, folded). Against accidents, not against forgers: who
/// can write the region can also write its checksums.
pub(crate) fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        let sum = (sum ^ word).wrapping_mul(0x100_0000_01b3);
        sum ^ sum >> 29
    })
}

/// Writes words one after the other.
pub(crate) struct Pen<'a>(core::slice::IterMut<'a, u64>);

impl<'a> Pen<'a> {
    pub(crate) fn new(words: &'a mut [u64]) -> Self {
        Self(words.iter_mut())
    }
    /// The next word. Sizes are asserted in `layout`; a word that finds no room would be a fault of this crate.
    pub(crate) fn put(&mut self, word: u64) {
        let room = self.0.next();
        debug_assert!(room.is_some(), "the record is larger than its layout");
        if let Some(room) = room {
            *room = word;
        }
    }
    fn put_name(&mut self, name: &Name) {
        name.0.as_chunks::<8>().0.iter().for_each(|&chunk| self.put(u64::from_le_bytes(chunk)));
    }
    /// Two words; the family travels in the record's tags.
    fn put_address(&mut self, address: IpAddr) {
        let number = match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        self.put(number as u64);
        self.put((number >> 64) as u64);
    }
}

/// Reads words one after the other, and knows for the error message whose they are.
pub(crate) struct Eye<'a> {
    words: core::slice::Iter<'a, u64>,
    index: u32,
}

impl<'a> Eye<'a> {
    pub(crate) fn new(words: &'a [u64], index: u32) -> Self {
        Self { words: words.iter(), index }
    }
    /// "`what` number `index` is damaged, this is what stands there".
    pub(crate) fn corrupt(&self, what: &'static str, value: impl Into<u64>) -> Corrupt {
        Corrupt { what, index: self.index, value: value.into() }
    }
    /// The next word.
    pub(crate) fn take(&mut self) -> Result<u64, Corrupt> {
        self.words.next().copied().ok_or(self.corrupt("record length", 0u64))
    }
    fn take_name(&mut self, what: &'static str) -> Result<Name, Corrupt> {
        let mut octets = [0; 48];
        for chunk in octets.as_chunks_mut::<8>().0 {
            *chunk = self.take()?.to_le_bytes();
        }
        let bad = self.corrupt(what, octets.first().copied().unwrap_or_default());
        let name = Name(octets);
        // what `Name::new` would not have made was not written by us
        let text =
            core::str::from_utf8(octets.split(|&octet| octet == 0).next().unwrap_or_default());
        text.ok().and_then(Name::new).filter(|&made| made == name).ok_or(bad)
    }
    fn take_address(&mut self, what: &'static str, family: u8) -> Result<IpAddr, Corrupt> {
        let (low, high) = (self.take()?, self.take()?);
        match family {
            4 if high == 0 => u32::try_from(low)
                .map(|bits| Ipv4Addr::from_bits(bits).into())
                .map_err(|_| self.corrupt(what, low)),
            6 => Ok(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()),
            other => Err(self.corrupt(what, other)),
        }
    }
    fn bool(&self, what: &'static str, value: u8) -> Result<bool, Corrupt> {
        match value {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.corrupt(what, other)),
        }
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}
fn join32(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
fn split32(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}
fn join16([a, b, c, d]: [u16; 4]) -> u64 {
    u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48
}
fn split16(word: u64) -> [u16; 4] {
    [word as u16, (word >> 16) as u16, (word >> 32) as u16, (word >> 48) as u16]
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_we_would_not_have_made_is_damaged() {
        for octets in [&b"\0"[..], b"ok\0x", b"tab\t", b"\xff\xfe", &[b'x'; 48]] {
            let mut words = [0u64; 6];
            let mut padded = [0u8; 48];
            padded[..octets.len()].copy_from_slice(octets);
            Pen::new(&mut words).put_name(&Name(padded));
            assert!(Eye::new(&words, 3).take_name("name").is_err(), "{octets:?}");
        }
    }

    #[test]
    fn an_ipv4_address_with_more_than_32_bits_is_damaged() {
        for (low, high, family) in [(1 << 32, 0, 4), (0, 1, 4), (0, 0, 5)] {
            assert!(Eye::new(&[low, high], 0).take_address("address", family).is_err());
        }
        assert_eq!(Eye::new(&[1, 0], 0).take_address("address", 6).unwrap().to_string(), "::1");
    }

    #[test]
    fn a_record_cut_short_is_damaged() {
        assert_eq!(Eye::new(&[], 5).take().unwrap_err().index, 5);
    }

    #[test]
    fn a_checksum_sees_one_bit_and_the_order() {
        assert_ne!(checksum(&[1, 2]), checksum(&[2, 1]));
        assert_ne!(checksum(&[0]), checksum(&[1 << 63]));
        assert_ne!(checksum(&[0]), 0);
    }
}
