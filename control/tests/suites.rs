//! Two tables say what suites there are: control's, which names them and their keys, and the crate `crypto`'s, which
//! runs them. They must say the same, in IANA's numbers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use control::config::suites::SuiteName;
use wire::iana::{EncryptionId, IntegrityId};

/// What crypto makes of the numbers that control sends.
fn run_as(suite: SuiteName) -> crypto::Suite {
    let sadb::Suite { encryption, key_bits, integrity } = suite.suite();
    crypto::Suite::negotiate(EncryptionId(encryption), key_bits, IntegrityId(integrity))
        .unwrap_or_else(|unsupported| panic!("{suite}: {unsupported}"))
}

#[test]
fn whatever_a_file_can_name_is_run_with_keys_of_the_same_sizes_and_by_the_same_rules() {
    let mut count = 0;
    for suite in SuiteName::all() {
        let run = run_as(suite);
        assert_eq!(run.to_string(), suite.to_string());
        assert_eq!(run.key_len(), suite.key_octets() + suite.cipher.salt, "{suite}");
        let integrity = suite.integrity.map_or(0, |integrity| integrity.key);
        assert_eq!(run.integrity_key_len(), integrity, "{suite}");
        assert_eq!(run.counter_mode(), suite.cipher.counter_mode(), "{suite}");
        assert_eq!(run.legacy(), suite.legacy(), "{suite}");
        count += 1;
    }
    assert!(count > 60, "only {count} suites");
}

#[test]
fn whatever_is_run_has_a_name_in_a_file() {
    for run in crypto::Suite::all() {
        let name = run.to_string();
        let suite: SuiteName = name.parse().unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(run_as(suite), run);
        let (encryption, key_bits, integrity) = run.registered();
        let numbers = sadb::Suite { encryption: encryption.0, key_bits, integrity: integrity.0 };
        assert_eq!((suite.suite(), SuiteName::name_of(numbers)), (numbers, name));
    }
}

#[test]
fn numbers_that_are_not_run_have_no_name() {
    for encryption in 0..64 {
        for integrity in 0..32 {
            for key_bits in [0, 8, 32, 40, 64, 100, 128, 192, 256, 384, 2048, u16::MAX] {
                let numbers = sadb::Suite { encryption, key_bits, integrity };
                let named = SuiteName::of(numbers);
                let (cipher, mac) = (EncryptionId(encryption), IntegrityId(integrity));
                let run = crypto::Suite::negotiate(cipher, key_bits, mac);
                assert_eq!(named.map(|it| it.to_string()), run.ok().map(|it| it.to_string()));
            }
        }
    }
}
