//! What was asked of the whole walk, as data: TSC cycles per packet, at most.
use super::Outcome;
use crate::figures::rounded;
use crate::traffic::Mix;
use crate::world::Way;
use serde::{Deserialize, Serialize};

/// The suite that the targets are about.
pub const SUITE: &str = "ENCR_AES_GCM_16_128";

/// Encrypting: octets of the inner packet, tunnels, cycles.
const ENCRYPT: [(u16, u32, f64); 5] = [
    (64, 1, 250.0),
    (1420, 1, 950.0),
    (64, 1000, 400.0),
    (64, 10_000, 600.0),
    (64, 100_000, 700.0),
];

/// Decrypting may cost so much more than encrypting, with the same packets and tunnels.
const DECRYPT: f64 = 1.1;

/// Sizes and tunnels that targets are about.
pub const fn sizes() -> [Mix; 2] {
    [Mix::Fixed(64), Mix::Fixed(1420)]
}

/// See [`sizes`].
pub const SAS: [u32; 4] = [1, 1000, 10_000, 100_000];

/// A target beside what came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The suite.
    pub suite: String,
    /// Encrypt or decrypt.
    pub direction: String,
    /// Octets of the inner packet.
    pub size: String,
    /// Tunnels.
    pub sas: u32,
    /// Median TSC cycles per packet.
    pub cycles: f64,
    /// No more was asked for.
    pub target: f64,
    /// Whether it is no more.
    pub met: bool,
}

/// Every target that `outcomes` have the figures for.
pub fn judge(outcomes: &[Outcome]) -> Vec<Judged> {
    let encrypt = ENCRYPT.iter().filter_map(|&(size, sas, target)| {
        judged(find(outcomes, Way::Encrypt, Mix::Fixed(size), sas)?, target)
    });
    let decrypt = outcomes.iter().filter_map(|outcome| {
        let case = outcome.case;
        let encrypt = find(outcomes, Way::Encrypt, case.mix, case.sas)?;
        let target = encrypt.figures.cycles_per_packet.median * DECRYPT;
        find(outcomes, Way::Decrypt, case.mix, case.sas)
            .filter(|found| core::ptr::eq(*found, outcome))
            .and_then(|found| judged(found, rounded(target, 1)))
    });
    encrypt.chain(decrypt).collect()
}

fn find(outcomes: &[Outcome], way: Way, mix: Mix, sas: u32) -> Option<&Outcome> {
    outcomes.iter().find(|outcome| {
        let case = outcome.case;
        (case.way, case.mix, case.sas) == (way, mix, sas) && case.suite.name() == SUITE
    })
}

fn judged(outcome: &Outcome, target: f64) -> Option<Judged> {
    let (case, cycles) = (outcome.case, outcome.figures.cycles_per_packet.median);
    Some(Judged {
        suite: case.suite.name(),
        direction: case.way.name().into(),
        size: case.mix.to_string(),
        sas: case.sas,
        cycles: rounded(cycles, 1),
        target,
        met: cycles <= target,
    })
}
