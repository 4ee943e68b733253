//! Taking fields from the front of octets, and appending them.

use alloc::vec::Vec;

use super::{Malformed, TooLong};

/// The first `N` octets, and the rest.
pub(super) fn take<const N: usize>(octets: &[u8]) -> Result<(&[u8; N], &[u8]), Malformed> {
    octets.split_first_chunk().ok_or(Malformed::Truncated { need: N, have: octets.len() })
}

/// All octets, when there are `N`.
pub(super) fn exactly<const N: usize>(octets: &[u8]) -> Result<[u8; N], Malformed> {
    let bad = Malformed::BadSize { least: N, most: N, have: octets.len() };
    octets.try_into().map_err(|_| bad)
}

/// The first `said` octets of a structure that states its own length, and what follows it. The length
/// covers at least the `least` octets of its fixed part.
pub(super) fn split_stated(
    octets: &[u8],
    said: u16,
    least: usize,
) -> Result<(&[u8], &[u8]), Malformed> {
    let (said, have) = (usize::from(said), octets.len());
    if said < least {
        return Err(Malformed::BadLength { said, have: least });
    }
    octets.split_at_checked(said).ok_or(Malformed::BadLength { said, have })
}

/// `octets`, when there is at least one.
pub(super) fn not_empty(octets: &[u8]) -> Result<&[u8], Malformed> {
    if octets.is_empty() { Err(Malformed::Empty) } else { Ok(octets) }
}

/// What payloads are written to: octets, and whether everything so far fitted its field.
#[derive(Clone, Debug, Default)]
pub struct Out {
    octets: Vec<u8>,
    overflow: bool,
}

impl Out {
    /// How many octets there are.
    pub fn position(&self) -> usize {
        self.octets.len()
    }
    /// Appends octets as they are.
    pub fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }
    /// Appends zeros.
    pub fn put_zeros(&mut self, count: usize) {
        self.octets.resize(self.octets.len().saturating_add(count), 0);
    }
    /// Appends one octet that counts something.
    pub fn put_count(&mut self, count: usize) {
        let octet = u8::try_from(count).unwrap_or_else(|_| {
            self.overflow = true;
            u8::MAX
        });
        self.octets.push(octet);
    }
    /// Writes, into the two octets at `at`, how many there are from `start` to the end.
    pub fn patch_length(&mut self, at: usize, start: usize) {
        let length = u16::try_from(self.octets.len().saturating_sub(start)).unwrap_or_else(|_| {
            self.overflow = true;
            u16::MAX
        });
        self.patch(at, &length.to_be_bytes());
    }
    /// Overwrites octets that are there.
    pub fn patch(&mut self, at: usize, octets: &[u8]) {
        let field = self.octets.get_mut(at..).and_then(|rest| rest.get_mut(..octets.len()));
        match field {
            Some(field) => field.copy_from_slice(octets),
            None => self.overflow = true,
        }
    }
    /// The octets so far.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
    /// All octets.
    ///
    /// # Errors
    /// [`TooLong`]: some length or count did not fit its field.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.overflow { Err(TooLong) } else { Ok(self.octets) }
    }
}
