//! A process chooses its tier once, before the first key.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod common;

use common::pair;
use crypto::{AuthKey, Backend, Integrity, Suite};

#[test]
fn the_first_choice_holds_and_keys_run_on_it() {
    assert!(crypto::start(Some("abacus")).is_err());
    assert!(crypto::started().is_none(), "a refusal chooses nothing");
    let tested = crypto::start(Some("portable")).unwrap();
    assert_eq!((tested.backend.name, tested.fallbacks.is_empty()), ("portable", true));
    for suite in Suite::all() {
        let both = pair(suite, false, 1);
        assert_eq!((both.seal.backend(), both.open.backend()), ("portable", "portable"));
    }
    for integrity in Integrity::ALL {
        let key = AuthKey::new(integrity, &vec![7; integrity.key_len()], false).unwrap();
        assert_eq!(key.backend(), "portable", "{integrity:?}");
    }
    let again = crypto::start(Some(Backend::best().name)).unwrap();
    assert_eq!(again.backend.name, "portable", "it is too late to choose");
}

#[test]
fn every_tier_that_is_listed_can_be_named() {
    for tier in Backend::available() {
        assert_eq!(Backend::named(tier.name).unwrap().name, tier.name);
    }
    assert!(Backend::named("").is_none());
}
