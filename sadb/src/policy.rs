//! The Security Policy Database as control writes it (RFC 4301 §4.4.1).
use crate::sa::Name;
use wire::selector::Selector;

/// What happens to traffic that an entry covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Through this tunnel's SAs, or not at all.
    Protect {
        /// [`crate::Sa::tunnel`] of the SAs.
        tunnel: u32,
    },
    /// In the clear.
    Bypass,
    /// Nowhere.
    Discard,
}

/// One entry. Entries are searched in order, the first that matches decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For people.
    pub name: Name,
    /// What it covers.
    pub selector: Selector,
    /// What happens to it.
    pub verdict: Verdict,
}
