//! Key material as a type: it does not print, is not copied by accident, and is wiped when it ends.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Octets that only the two peers may know.
#[derive(Clone, Default)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Takes the octets over; their memory is wiped with the key.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets. Named so that a search finds every place where a key is looked at.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// In octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no octets, as SK_ai and SK_ar of an AEAD.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Zeroizing<Vec<u8>>> for Key {
    fn from(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }
}

impl From<&[u8]> for Key {
    fn from(octets: &[u8]) -> Self {
        Self::new(octets.to_vec())
    }
}

/// In time that depends on the lengths alone.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} octets)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", Key::new(vec![0x42; 3])), "Key(3 octets)");
    }
}
