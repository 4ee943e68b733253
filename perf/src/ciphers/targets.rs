//! What was asked for, as data. A target is a ratio: how many times as long a rival takes.
use super::plan::{Scenario, Size};
use super::run::{Case, Times};
use crate::figures::median_ratio;
use serde::{Deserialize, Serialize};

/// Whom a target is about.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// The contender of this name (with another tier's name behind it, if only that ran).
    One(&'static str),
    /// The fastest Rust crate.
    BestCrate,
}

impl Against {
    const fn words(self) -> &'static str {
        match self {
            Self::One(name) => name,
            Self::BestCrate => "the best crate",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Target {
    suites: &'static [&'static str],
    against: Against,
    /// At 64, 512, 1420 (1424 where the cipher has blocks) octets, and IMIX.
    floors: [f64; 4],
}

/// Sizes that targets are about.
pub const SIZES: [Size; 4] = [Size::Fixed(64), Size::Fixed(512), Size::Fixed(1420), Size::Imix];

const GCM_128: &str = "ENCR_AES_GCM_16_128";
const GCM_256: &str = "ENCR_AES_GCM_16_256";
const CBC_SHA1: &str = "ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96";
const CBC_SHA256: &str = "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128";
const CBC_SHA512: &str = "ENCR_AES_CBC_256/AUTH_HMAC_SHA2_512_256";
const CHACHA: &str = "ENCR_CHACHA20_POLY1305";

/// The crates among the rivals.
const CRATES: [&str; 4] = ["ring", "aws-lc-rs", "aws-lc-sys", "RustCrypto"];

const TARGETS: [Target; 7] = [
    Target {
        suites: &[GCM_128],
        against: Against::One("libipsec-mb direct"),
        floors: [2.4, 1.35, 1.25, 1.5],
    },
    Target { suites: &[GCM_128], against: Against::One("ring"), floors: [4.0, 1.8, 1.45, 1.9] },
    Target {
        suites: &[GCM_256],
        against: Against::One("libipsec-mb direct"),
        floors: [2.2, 1.25, 1.2, 1.35],
    },
    Target {
        suites: &[CBC_SHA1],
        against: Against::One("libipsec-mb job"),
        floors: [1.8, 1.3, 1.15, 1.4],
    },
    Target {
        suites: &[CBC_SHA256],
        against: Against::One("libipsec-mb job"),
        floors: [1.7, 1.3, 1.1, 1.3],
    },
    Target {
        suites: &[CBC_SHA1, CBC_SHA256, CBC_SHA512],
        against: Against::BestCrate,
        floors: [3.0; 4],
    },
    Target {
        suites: &[CHACHA],
        against: Against::One("libipsec-mb job"),
        floors: [2.4, 1.4, 1.1, 1.5],
    },
];

/// Suites that targets are about, in the order of the table.
pub const SUITES: [&str; 6] = [GCM_128, GCM_256, CBC_SHA1, CBC_SHA256, CBC_SHA512, CHACHA];

/// A target beside what came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The suite.
    pub suite: String,
    /// Seal or open.
    pub direction: String,
    /// The size.
    pub size: String,
    /// The backend of ours.
    pub backend: String,
    /// Whom the target is about.
    pub against: String,
    /// The rival that was measured: of several crates the fastest.
    pub rival: String,
    /// Median over the rounds of the rival's time by ours.
    pub ratio: f64,
    /// At least so much was asked for.
    pub target: f64,
    /// Whether it is that much.
    pub met: bool,
}

/// Every target that `cases` have the figures for.
pub fn judge(cases: &[Case]) -> Vec<Judged> {
    let each = |target: &Target| {
        let target = *target;
        let suites = target.suites.iter();
        suites.flat_map(move |suite| of_suite(&target, suite, cases)).collect::<Vec<_>>()
    };
    TARGETS.iter().flat_map(each).collect()
}

fn of_suite(target: &Target, suite: &str, cases: &[Case]) -> Vec<Judged> {
    let of = |case: &&Case| case.suite.name() == *suite && case.scenario == Scenario::ManySas;
    let mut judged = Vec::new();
    for case in cases.iter().filter(of) {
        let floor = SIZES.iter().zip(target.floors).find(|(size, _)| **size == case.size);
        if let Some((_, floor)) = floor {
            judged.extend(one(target.against, floor, case));
        }
    }
    judged
}

fn one(against: Against, target: f64, case: &Case) -> Option<Judged> {
    let ours = case.times.iter().rfind(|times| times.ours)?;
    let rivals = case.times.iter().filter(|times| !times.ours && is_meant(against, &times.name));
    let ratio = |times: &Times| (median_ratio(&times.cycles, &ours.cycles), times.name.clone());
    let (ratio, rival) = match against {
        Against::One(_) => rivals.map(ratio).next()?,
        Against::BestCrate => rivals.map(ratio).min_by(|a, b| a.0.total_cmp(&b.0))?,
    };
    Some(Judged {
        suite: case.suite.name(),
        direction: case.direction.name().into(),
        size: case.size.to_string(),
        backend: ours.name.clone(),
        against: against.words().into(),
        rival,
        ratio,
        target,
        met: ratio >= target,
    })
}

fn is_meant(against: Against, name: &str) -> bool {
    match against {
        Against::One(wanted) => name.starts_with(wanted),
        Against::BestCrate => CRATES.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::Direction;
    use super::*;

    fn case(suite: &str, size: Size, times: &[(&str, bool, f64)]) -> Case {
        let times = times.iter().map(|(name, ours, cycles)| Times {
            name: (*name).into(),
            ours: *ours,
            cycles: vec![*cycles; 3],
        });
        Case {
            suite: crypto::Suite::from_name(suite).unwrap(),
            scenario: Scenario::ManySas,
            size,
            direction: Direction::Seal,
            frames: 1024,
            mean_payload: 64.0,
            times: times.collect(),
        }
    }

    #[test]
    fn the_last_of_our_backends_is_held_against_the_rival_that_the_row_names() {
        let times = [
            ("portable", true, 500.0),
            ("vaes", true, 100.0),
            ("libipsec-mb direct", false, 230.0),
            ("libipsec-mb job", false, 900.0),
            ("ring", false, 410.0),
        ];
        let judged = judge(&[case(GCM_128, Size::Fixed(64), &times)]);
        let seen: Vec<_> =
            judged.iter().map(|row| (&*row.rival, row.ratio, row.target, row.met)).collect();
        assert_eq!(seen, [("libipsec-mb direct", 2.3, 2.4, false), ("ring", 4.1, 4.0, true)]);
    }

    #[test]
    fn the_best_crate_is_the_fastest_one_and_no_c_library() {
        let times = [
            ("vaes", true, 100.0),
            ("libipsec-mb job", false, 150.0),
            ("RustCrypto", false, 500.0),
            ("aws-lc-sys", false, 400.0),
            ("OpenSSL", false, 200.0),
        ];
        let judged = judge(&[case(CBC_SHA512, Size::Imix, &times)]);
        let seen: Vec<_> = judged.iter().map(|row| (&*row.rival, row.ratio)).collect();
        assert_eq!(seen, [("aws-lc-sys", 4.0)]);
    }

    #[test]
    fn sizes_without_a_target_are_not_judged() {
        let times = [("vaes", true, 1.0), ("ring", false, 9.0)];
        assert!(judge(&[case(GCM_128, Size::Fixed(128), &times)]).is_empty());
    }
}
