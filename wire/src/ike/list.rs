//! Lists of equal structures: proposals, transforms, selectors and the like.

use core::fmt;

use super::{Malformed, Out};

/// One entry of a [`List`].
pub trait Element<'a>: Copy {
    /// The first entry of `octets`, and what follows it. `None` is one that is to be passed over.
    ///
    /// # Errors
    /// What is wrong with the entry.
    fn take(octets: &'a [u8]) -> Result<(Option<Self>, &'a [u8]), Malformed>;
    /// Appends the entry; `last` when none follows.
    fn emit(&self, last: bool, out: &mut Out);
}

/// Entries that are still octets, all of them checked, or values that are to be written. Which of them
/// nobody can tell: lists are equal when their entries are.
#[derive(Clone, Copy)]
pub struct List<'a, T>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Octets(&'a [u8]),
    Values(&'a [T]),
}

impl<'a, T: Element<'a>> List<'a, T> {
    /// Checks that `octets` are entries and nothing else, and returns how many there are, passed-over ones
    /// included.
    pub(super) fn parse(
        octets: &'a [u8],
        (what, most): (&'static str, usize),
    ) -> Result<(Self, usize), Malformed> {
        let (mut rest, mut count) = (octets, 0);
        while !rest.is_empty() {
            if count == most {
                return Err(Malformed::TooMany { what, most });
            }
            (_, rest) = T::take(rest)?;
            count += 1;
        }
        Ok((Self(Source::Octets(octets)), count))
    }

    /// The entries in order.
    pub fn iter(&self) -> Iter<'a, T> {
        Iter(self.0)
    }
    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn emit(&self, out: &mut Out) {
        let mut entries = self.iter().peekable();
        while let Some(entry) = entries.next() {
            entry.emit(entries.peek().is_none(), out);
        }
    }
}

/// The iterator of a [`List`].
#[derive(Clone)]
pub struct Iter<'a, T>(Source<'a, T>);

impl<'a, T: Element<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Source::Values(values) => {
                let (first, rest) = values.split_first()?;
                *values = rest;
                Some(*first)
            }
            // All entries were checked when the list was made, so the error here is the end.
            Source::Octets(octets) => loop {
                let (entry, rest) = T::take(octets).ok()?;
                *octets = rest;
                if entry.is_some() {
                    return entry;
                }
            },
        }
    }
}

impl<'a, T: Element<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> From<&'a [T]> for List<'a, T> {
    fn from(values: &'a [T]) -> Self {
        Self(Source::Values(values))
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for List<'a, T> {
    fn from(values: &'a [T; N]) -> Self {
        Self(Source::Values(values))
    }
}

impl<'a, T: Element<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Element<'a> + Eq> Eq for List<'a, T> {}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
