//! Keys do not print, do not linger, and may be used by every worker at once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use std::mem::{MaybeUninit, size_of};
use std::ptr;

use common::{noise, pair};
use crypto::{OpenKey, SealKey, Suite};

#[test]
fn contexts_stand_on_cache_lines_of_their_own() {
    assert_eq!(align_of::<SealKey>(), 64);
    assert_eq!(align_of::<OpenKey>(), 64);
    println!("SealKey {}, OpenKey {} octets", size_of::<SealKey>(), size_of::<OpenKey>());
}

#[test]
fn workers_may_share_them() {
    fn shared<T: Send + Sync>() {}
    shared::<SealKey>();
    shared::<OpenKey>();
}

#[test]
fn debug_tells_the_suite_and_no_secret() {
    for suite in Suite::all() {
        let both = pair(suite, true, 3);
        let name = suite.name();
        let seal = format!("SealKey({name}, {}, esn: true, ..)", both.seal.backend());
        assert_eq!(format!("{:?}", both.seal), seal);
        let open = format!("OpenKey({name}, {}, esn: true, ..)", both.open.backend());
        assert_eq!(format!("{:?}", both.open), open);
    }
}

/// The octets of `room`. Those that nothing has written are zero: the room was made of zeros.
fn octets<T>(room: &MaybeUninit<T>) -> Vec<u8> {
    let start = ptr::from_ref(room).cast::<u8>();
    let read = |at| {
        // SAFETY: `at` is below the size of `room`, so the pointer stays inside it.
        let octet = unsafe { start.add(at) };
        // SAFETY: `octet` points into `room`, which is borrowed, and any octet is a `u8`.
        unsafe { octet.read_volatile() }
    };
    (0..size_of::<T>()).map(read).collect()
}

/// Builds a `T` in a room of zeros, drops it there, and gives the octets of before and after.
fn before_and_after<T>(value: T) -> (Vec<u8>, Vec<u8>) {
    let mut room = Box::<T>::new_zeroed();
    room.write(value);
    let before = octets(&room);
    // SAFETY: the value was written two lines up and is not used again.
    unsafe { room.assume_init_drop() };
    (before, octets(&room))
}

/// Windows of 16 octets that look like key material: hardly an octet twice.
fn looks_secret(window: &[u8]) -> bool {
    let mut sorted = window.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() >= 13
}

fn survivors((before, after): &(Vec<u8>, Vec<u8>)) -> (usize, usize) {
    let windows = || before.windows(16).enumerate().filter(|(_, window)| looks_secret(window));
    let kept = windows().filter(|(at, window)| after[*at..*at + 16] == **window).count();
    (windows().count(), kept)
}

#[test]
#[cfg_attr(miri, ignore = "reads the padding of a dropped value")]
fn nothing_of_a_key_outlives_it() {
    for suite in Suite::all() {
        let both = pair(suite, true, 3);
        if both.seal.backend() == "portable" {
            continue; // it lies in a box, wiped as a whole: the tests of `wiped` look there
        }
        let (seal, open) = (before_and_after(both.seal), before_and_after(both.open));
        for (which, dropped) in [("seal", &seal), ("open", &open)] {
            let (secret, kept) = survivors(dropped);
            assert!(secret > 0, "{suite}, {which}: the test looks at the wrong octets");
            assert_eq!(kept, 0, "{suite}, {which}: {kept} of {secret} windows survive");
        }
        if suite.counter_mode() {
            let salt_len = if matches!(suite, Suite::AesCcm(..)) { 3 } else { 4 };
            let material = noise(3, suite.key_len());
            let (key, salt) = material.split_at(suite.key_len() - salt_len);
            // GCM has it in the first round key
            let merged: Vec<_> = salt.iter().zip(key).map(|(salt, key)| salt ^ key).collect();
            let in_key = matches!(suite, Suite::AesGcm(..) | Suite::AesGmac(_));
            let stored = if in_key { &merged } else { salt };
            let holds = |room: &[u8], what| room.windows(salt_len).any(|window| window == what);
            assert!(holds(&open.0, stored), "{suite}: the test looks for the wrong octets");
            let survives = holds(&open.1, salt) || holds(&open.1, &merged);
            assert!(!survives, "{suite}: the salt survives");
        }
    }
}
