//! `perf bench pipeline`.
use super::{Common, pin, positive, suite};
use clap::Args;
use crypto::Suite;
use perf::pipeline::results::Results;
use perf::pipeline::{self, Plan, Progress, targets};
use perf::stages;
use perf::traffic::Mix;
use perf::world::{MOST_SAS, Way};
use std::error::Error;

#[derive(Args)]
pub struct Pipeline {
    /// Exactly what the targets are about
    #[arg(long)]
    quick: bool,
    /// Says cycles by stage; only in a program built with --features stages, and then always
    #[arg(long)]
    stages: bool,
    /// Ways through the gateway
    #[arg(long, value_enum, value_delimiter = ',', default_value = "encrypt,decrypt,both")]
    direction: Vec<Way>,
    /// Octets of the inner IP packets, or IMIX (64, 576 and 1420 octets, 7:4:1)
    #[arg(long, value_delimiter = ',', default_value = "64,128,256,512,1024,1420,IMIX")]
    sizes: Vec<Mix>,
    /// Tunnels, used round robin; each has an SA both ways
    #[arg(long, value_delimiter = ',', default_value = "1,1000,10000,100000",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SAS)))]
    sas: Vec<u32>,
    /// Suites by their names in a configuration, for example ENCR_AES_GCM_16_256
    #[arg(long, value_delimiter = ',', default_value = "ENCR_AES_GCM_16_128", value_parser = suite)]
    suite: Vec<Suite>,
    /// Rounds: in each, every case runs once
    #[arg(long, default_value_t = 15, value_parser = positive)]
    rounds: usize,
    /// Packets of a case in a round, each way
    #[arg(long, default_value_t = 8192, value_parser = positive)]
    packets: usize,
    /// CPU to run on; the last one by default
    #[arg(long)]
    core: Option<usize>,
    #[command(flatten)]
    common: Common,
}

impl Pipeline {
    fn plan(&self) -> Plan {
        let plan = Plan {
            ways: self.direction.clone(),
            mixes: self.sizes.clone(),
            sas: self.sas.clone(),
            suites: self.suite.clone(),
            rounds: self.rounds,
            turns: pipeline::turns_of(self.packets),
            warm_turns: 16,
        };
        let plan = match self.quick {
            true => Plan {
                ways: vec![Way::Encrypt, Way::Decrypt],
                mixes: targets::sizes().into(),
                sas: targets::SAS.into(),
                ..plan
            },
            false => plan,
        };
        match self.common.smoke {
            true => Plan { sas: vec![1, 100], rounds: 1, turns: 2, warm_turns: 1, ..plan },
            false => plan,
        }
    }

    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        if self.stages && !stages::counted() {
            return Err("this program counts no stages: build it with --features stages".into());
        }
        let core = pin(self.core)?;
        let plan = self.plan();
        let before = self.common.before();
        let outcomes = pipeline::run(&plan, progress)?;
        let results = Results::new(&plan, before, core, &outcomes);
        self.common.say(&results, || results.table())
    }
}

fn progress(news: Progress) {
    match news {
        Progress::Installed(done, all) if done % 10_000 == 0 => {
            eprintln!("{done} of {all} tunnels installed");
        }
        Progress::Installed(..) => {}
        Progress::Round(done, all) => eprintln!("round {done} of {all} done"),
    }
}
