//! The ways found lately: most packets go where the one before went. Forgotten when the tables change.
use crate::forward::Via;
use crate::ranges::Number;
use core::net::IpAddr;

/// Destinations remembered; more share a place.
const PLACES: usize = 256;

pub(crate) struct Hops {
    generation: u64,
    places: Box<[Option<(IpAddr, Via)>]>,
}

impl Hops {
    pub fn new() -> Self {
        Self { generation: 0, places: vec![None; PLACES].into() }
    }

    /// To be called before a turn's first look.
    pub fn keep_for(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.places.fill(None);
        }
    }

    #[inline]
    pub fn recall(&self, destination: IpAddr) -> Option<&Via> {
        let (address, via) = self.places.get(place(destination))?.as_ref()?;
        (*address == destination).then_some(via)
    }

    pub fn remember(&mut self, destination: IpAddr, via: Via) {
        if let Some(slot) = self.places.get_mut(place(destination)) {
            *slot = Some((destination, via));
        }
    }
}

/// Fibonacci hashing: the high bits of a product with 2^64 over the golden ratio.
#[inline]
fn place(address: IpAddr) -> usize {
    let number = match address.into() {
        Number::V4(number) => number.into(),
        Number::V6(number) => (number ^ number >> 64) as u64,
    };
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_remembered_until_the_tables_change() {
        let mut hops = Hops::new();
        let via = |interface| {
            let next = [10, 0, 0, 1].into();
            Via { interface, vlan: None, next, mac: None, mtu: 1500 }
        };
        let to = |n: u32| IpAddr::from(n.to_be_bytes());
        hops.keep_for(7);
        for n in 0..1000 {
            hops.remember(to(n), via(n as usize));
        }
        let kept = (0..1000).filter_map(|n| Some((n, hops.recall(to(n))?.interface)));
        let kept: Vec<_> = kept.collect();
        assert!(kept.len() > PLACES / 2 && kept.iter().all(|&(n, found)| n as usize == found));
        hops.keep_for(7);
        assert!(hops.recall(to(999)).is_some());
        hops.keep_for(8);
        assert!((0..1000).all(|n| hops.recall(to(n)).is_none()));
    }
}
