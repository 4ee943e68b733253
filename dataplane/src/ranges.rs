//! Disjoint address ranges, built once and searched node by node: the shape under both the routes and the policy
//! index. A snapshot is never changed, so its tree is full and needs no pointers.
use core::net::IpAddr;

/// An address as a number.
pub(crate) trait Address: Copy + Ord {
    const LOWEST: Self;
    fn successor(self) -> Option<Self>;
    /// The last address of the prefix that starts here.
    fn last_of(self, prefix_len: u8) -> Self;
    /// The first address of the prefix around this one.
    fn first_of(self, prefix_len: u8) -> Self;
}

macro_rules! address {
    ($($int:ty),*) => { $(impl Address for $int {
        const LOWEST: Self = 0;
        fn successor(self) -> Option<Self> {
            self.checked_add(1)
        }
        fn last_of(self, prefix_len: u8) -> Self {
            self | <$int>::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0)
        }
        fn first_of(self, prefix_len: u8) -> Self {
            self & !<$int>::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0)
        }
    })* };
}
address!(u32, u128);

/// An address of either family as a number, to pick the table of its family.
pub(crate) enum Number {
    V4(u32),
    V6(u128),
}
impl From<IpAddr> for Number {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6(v6.to_bits()),
        }
    }
}

/// A value for every address: piece `i` reaches from `starts[i]` to just before `starts[i + 1]`.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<A, T> {
    starts: Vec<A>,
    values: Vec<T>,
    /// Over `starts`, the root first: of every [`NODE`] starts of a level the first stands in the level above. So a
    /// search looks at one or two cache lines of each level, and takes no branch that could be foretold wrongly.
    levels: Vec<Vec<[A; NODE]>>,
}

/// Starts that are looked at together.
const NODE: usize = 16;

/// How many of a node's starts are not after `address`. Counted in four columns: so it is done in vectors.
#[inline]
fn not_after<A: Address>(node: &[A; NODE], address: A) -> u32 {
    let mut columns = [0; 4];
    for row in node.as_chunks::<4>().0 {
        for (count, &start) in columns.iter_mut().zip(row) {
            *count += u32::from(start <= address);
        }
    }
    columns.iter().sum()
}

/// `starts` in nodes, and the first of each, level upon level. What is missing in the last node is its last start.
fn levels<A: Address>(starts: &[A]) -> Vec<Vec<[A; NODE]>> {
    let mut below = starts.to_vec();
    let mut levels = Vec::new();
    loop {
        let node = |starts: &[A]| {
            core::array::from_fn(|at| {
                starts.get(at).or(starts.last()).copied().unwrap_or(A::LOWEST)
            })
        };
        let nodes: Vec<[A; NODE]> = below.chunks(NODE).map(node).collect();
        below = nodes.iter().map(|[first, ..]| *first).collect();
        levels.insert(0, nodes);
        if below.len() <= 1 {
            return levels;
        }
    }
}

impl<A: Address, T: Clone> Ranges<A, T> {
    /// Everything has this value.
    pub fn all(value: T) -> Self {
        Self::new(vec![A::LOWEST], vec![value])
    }

    fn new(starts: Vec<A>, values: Vec<T>) -> Self {
        let levels = levels(&starts);
        Self { starts, values, levels }
    }

    #[inline]
    pub fn lookup(&self, address: A) -> Option<&T> {
        // In a level's last node, what is missing counts as well when the last start does: hence the two `min`s.
        let mut at = 0;
        for level in &self.levels {
            let node = at.min(level.len().checked_sub(1)?);
            at = node * NODE + not_after(level.get(node)?, address).checked_sub(1)? as usize;
        }
        self.values.get(at.min(self.values.len().checked_sub(1)?))
    }

    /// From `start` on, until something else is said. Starts must not go down.
    fn say(&mut self, start: A, value: T) {
        match (self.starts.last(), self.values.last_mut()) {
            (Some(&last), Some(slot)) if last == start => *slot = value,
            _ => {
                self.starts.push(start);
                self.values.push(value);
            }
        }
    }

    /// Longest prefix match, laid flat. Of equal prefixes the later one counts.
    pub fn from_prefixes(default: T, prefixes: impl Iterator<Item = (A, u8, T)>) -> Self {
        let mut sorted: Vec<(A, u8, T)> =
            prefixes.map(|(first, len, value)| (first.first_of(len), len, value)).collect();
        sorted.sort_by_key(|&(first, len, _)| (first, len)); // stable: keeps the order of equals
        let mut flat = Self::all(default.clone());
        let mut open: Vec<(A, T)> = Vec::new();
        for (first, len, value) in sorted {
            flat.close_before(&mut open, Some(first), &default);
            flat.say(first, value.clone());
            open.push((first.last_of(len), value));
        }
        flat.close_before(&mut open, None, &default);
        Self::new(flat.starts, flat.values)
    }

    /// Ends the prefixes that end before `next`: behind each the one around it goes on.
    fn close_before(&mut self, open: &mut Vec<(A, T)>, next: Option<A>, default: &T) {
        while let Some(&(last, _)) = open.last() {
            if next.is_some_and(|next| last >= next) {
                return;
            }
            open.pop();
            let Some(after) = last.successor() else { continue };
            let around = open.last().map_or(default, |(_, value)| value).clone();
            self.say(after, around);
        }
    }

    /// Pieces cut at every boundary of the given ranges, each with what `value` makes of its first address.
    pub fn cut(ranges: impl Iterator<Item = (A, A)>, mut value: impl FnMut(A) -> T) -> Self {
        let mut starts = vec![A::LOWEST];
        for (first, last) in ranges {
            starts.push(first);
            starts.extend(last.successor());
        }
        starts.sort_unstable();
        starts.dedup();
        let values = starts.iter().map(|&start| value(start)).collect();
        Self::new(starts, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn flat_prefixes_find_the_longest_match(
            prefixes in proptest::collection::vec((any::<u8>(), 0u8..=32, any::<u16>()), 0..24),
            probes in proptest::collection::vec(any::<u32>(), 64),
        ) {
            // few distinct addresses, so that prefixes nest and repeat
            let prefixes: Vec<(u32, u8, u16)> =
                prefixes.into_iter().map(|(a, len, v)| (u32::from(a) << 24 | u32::from(a), len, v)).collect();
            let flat = Ranges::from_prefixes(None, prefixes.iter().map(|&(a, l, v)| (a, l, Some(v))));
            let near = prefixes.iter().flat_map(|&(a, len, _)| {
                let (first, last) = (a.first_of(len), a.last_of(len));
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            for probe in near.chain(probes) {
                let slow = prefixes.iter()
                    .filter(|&&(a, len, _)| a.first_of(len) <= probe && probe <= a.last_of(len))
                    .max_by_key(|&&(_, len, _)| len) // the last of equals
                    .map(|&(_, _, v)| v);
                prop_assert_eq!(flat.lookup(probe).copied().flatten(), slow, "{:#x}", probe);
            }
        }
    }

    #[test]
    fn prefix_bounds_hold_at_both_ends_of_the_family() {
        assert_eq!(0u32.last_of(0), u32::MAX);
        assert_eq!(u32::MAX.first_of(0), 0);
        assert_eq!(5u32.last_of(32), 5);
        assert_eq!(5u128.last_of(128), 5);
        assert_eq!(u128::MAX.first_of(64), u128::MAX << 64);
    }
}
