//! A room for key material of which nothing is left, not even in the gaps between its fields.
#![allow(unsafe_code, reason = "wiping the gaps means writing octets that belong to no field")]
use core::mem::MaybeUninit;
use core::ops::Deref;

use zeroize::{Zeroize, zeroize_stack};

/// Octets of stack that building a schedule may have written: several copies of the largest.
const STACK: usize = 16 * 1024;

/// A value whose every octet is zeroed after it was dropped. The fields of a schedule wipe themselves, but
/// an enum is as large as its largest variant, and what lies in the gaps is a copy of whatever the stack
/// held when the key was built: perhaps another key.
#[repr(transparent)]
pub(crate) struct Wiped<T>(MaybeUninit<T>);

impl<T> Wiped<T> {
    /// What `make` makes. The stack that it worked on is wiped behind it, as far as anyone can who does
    /// not control the compiler.
    pub fn build<E>(make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let made = Self::run(make);
        zeroize_stack::<STACK>();
        made
    }

    /// Never inlined: its frame has to lie in the stack that [`Wiped::build`] wipes.
    #[inline(never)]
    fn run<E>(make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        make().map(|value| Self(MaybeUninit::new(value)))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `run` is the only way to make one, and it writes the value; nothing ends the value
        // before `drop`, after which nobody can hold `self`. Test: `a_dropped_value_leaves_zeros`.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: as above, the value is whole; and `drop` runs once, so it is dropped once. Its octets
        // are overwritten below as those of a `MaybeUninit`, which may be anything.
        unsafe { self.0.assume_init_drop() };
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made<T>(value: T) -> Wiped<T> {
        Wiped::build(|| Ok::<_, ()>(value)).unwrap()
    }

    #[test]
    fn a_dropped_value_leaves_zeros() {
        let mut room = MaybeUninit::new(made([0x5a_u64; 4]));
        // SAFETY: the value was written on the line above and is not used again.
        unsafe { room.assume_init_drop() };
        // SAFETY: `Wiped` is laid out as 32 octets without gaps, all written by its drop.
        let octets = unsafe { room.as_ptr().cast::<[u8; 32]>().read() };
        assert_eq!(octets, [0; 32]);
    }

    #[test]
    fn the_value_itself_is_dropped_once() {
        let counted = std::rc::Rc::new(());
        let wiped = made(counted.clone());
        assert_eq!(std::rc::Rc::strong_count(&wiped), 2);
        drop(wiped);
        assert_eq!(std::rc::Rc::strong_count(&counted), 1);
    }
}
