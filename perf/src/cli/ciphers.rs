//! `perf bench crypto`.
use super::{Common, pin, positive, suite};
use clap::Args;
use crypto::{Backend, Suite};
use perf::ciphers::plan::{Plan, Scenario, Size};
use perf::ciphers::results::Results;
use perf::ciphers::run::{self, Case, Progress};
use perf::ciphers::targets;
use perf::figures::median_ratio;
use rivals::Tier;
use std::error::Error;

/// What the rivals have too.
const COMPARED: &str = "ENCR_AES_GCM_16_128,ENCR_AES_GCM_16_192,ENCR_AES_GCM_16_256,ENCR_CHACHA20_POLY1305,\
ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96,ENCR_AES_CBC_128/AUTH_HMAC_SHA2_256_128,\
ENCR_AES_CBC_256/AUTH_HMAC_SHA2_256_128,ENCR_AES_CBC_256/AUTH_HMAC_SHA2_384_192,\
ENCR_AES_CBC_256/AUTH_HMAC_SHA2_512_256,ENCR_AES_CTR_128/AUTH_HMAC_SHA1_96,ENCR_NULL/AUTH_HMAC_SHA1_96,\
ENCR_NULL/AUTH_HMAC_SHA2_256_128";

#[derive(Args)]
pub struct Crypto {
    /// Exactly what the table of targets is about: a few minutes
    #[arg(long)]
    quick: bool,
    /// Suites by their names in a configuration, or "all"; by default those that rivals have too
    #[arg(long, value_delimiter = ',')]
    suite: Vec<String>,
    /// Frames and SAs; by default all
    #[arg(long, value_enum, value_delimiter = ',')]
    scenario: Vec<Scenario>,
    /// Octets of payload and trailer, rounded up to the cipher's block, or IMIX (64, 576 and 1420 octets, 7:4:1); by
    /// default 64, 128, 256, 512, 1024, 1420, 9000 and IMIX
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<Size>,
    /// Our backends beside portable; by default all that this CPU runs
    #[arg(long, value_delimiter = ',', value_parser = backend)]
    backend: Vec<&'static Backend>,
    /// Which of its codes libipsec-mb runs: auto, sse, avx, avx2 or avx512, with :gfni-off or :shani-off behind it
    /// (avx512:gfni-off does without VAES)
    #[arg(long, value_delimiter = ',', default_value = "auto")]
    rival_tier: Vec<Tier>,
    /// Ours alone
    #[arg(long)]
    no_rivals: bool,
    /// Rounds: in each, every contender of a case runs once
    #[arg(long, default_value_t = 41, value_parser = positive)]
    rounds: usize,
    /// CPU to run on; the last one by default
    #[arg(long)]
    core: Option<usize>,
    #[command(flatten)]
    common: Common,
}

const SIZES: [Size; 8] = [
    Size::Fixed(64),
    Size::Fixed(128),
    Size::Fixed(256),
    Size::Fixed(512),
    Size::Fixed(1024),
    Size::Fixed(1420),
    Size::Fixed(9000),
    Size::Imix,
];

/// What was asked for, or else this.
fn given<T: Clone>(asked: &[T], default: &[T]) -> Vec<T> {
    if asked.is_empty() { default.to_vec() } else { asked.to_vec() }
}

fn backend(name: &str) -> Result<&'static Backend, String> {
    let here = || Backend::available().iter().map(|tier| tier.name).collect::<Vec<_>>().join(", ");
    Backend::named(name).ok_or_else(|| format!("this CPU runs {}", here()))
}

impl Crypto {
    fn plan(&self) -> Result<Plan, String> {
        Ok(Plan {
            suites: self.suites()?,
            scenarios: given(&self.scenario, self.scenarios()),
            sizes: given(&self.sizes, self.sizes()),
            backends: self.backends(),
            tiers: self.rival_tier.clone(),
            rivals: !self.no_rivals,
            rounds: if self.common.smoke { 1 } else { self.rounds },
        })
    }

    fn scenarios(&self) -> &[Scenario] {
        match (self.common.smoke, self.quick) {
            (true, _) => &[Scenario::Hot, Scenario::ManySas],
            (false, true) => &[Scenario::ManySas],
            (false, false) => &[Scenario::Hot, Scenario::OneSa, Scenario::ManySas],
        }
    }

    fn sizes(&self) -> &[Size] {
        match (self.common.smoke, self.quick) {
            (true, _) => &[Size::Fixed(64), Size::Imix],
            (false, true) => &targets::SIZES,
            (false, false) => &SIZES,
        }
    }

    /// A name of the default lists that this build does not run is passed over; one that was asked for is not.
    fn suites(&self) -> Result<Vec<Suite>, String> {
        let known =
            |names: &mut dyn Iterator<Item = &str>| names.filter_map(Suite::from_name).collect();
        match self.suite.as_slice() {
            [] if self.quick => Ok(known(&mut targets::SUITES.into_iter())),
            [] => Ok(known(&mut COMPARED.split(','))),
            [all] if all == "all" => Ok(Suite::all().collect()),
            names => names.iter().map(|name| suite(name)).collect(),
        }
    }

    /// `portable` is there in any case: it is what the others are verified against.
    fn backends(&self) -> Vec<&'static Backend> {
        let wanted = |tier: &&&'static Backend| {
            self.backend.is_empty()
                || tier.name == "portable"
                || self.backend.iter().any(|wanted| wanted.name == tier.name)
        };
        Backend::available().iter().filter(wanted).copied().collect()
    }

    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let core = pin(self.core)?;
        let plan = self.plan()?;
        let before = self.common.before();
        let cases = run::run(&plan, progress)?;
        let results = Results::new(&plan, before, core, &cases);
        self.common.say(&results, || results.table())
    }
}

fn progress(news: Progress) {
    match news {
        Progress::Verified(suite, names) => {
            eprintln!("{suite}: {} agree with one another", names.join(", "));
        }
        Progress::Done(done, all, cases) => {
            eprintln!(
                "{done} of {all}: {}",
                cases.iter().map(summary).collect::<Vec<_>>().join("; ")
            );
        }
    }
}

/// Ours, and who comes next.
fn summary(case: &Case) -> String {
    let head =
        format!("{} {} {} {}", case.suite, case.scenario.name(), case.size, case.direction.name());
    let Some(ours) = case.times.iter().rfind(|times| times.ours) else { return head };
    let rivals = case.times.iter().filter(|times| !times.ours);
    let ratios = rivals.map(|times| (median_ratio(&times.cycles, &ours.cycles), &times.name));
    match ratios.min_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((ratio, name)) => format!("{head}: {name} takes {ratio:.2} × {}", ours.name),
        None => head,
    }
}
