//! `perf bench instructions`.
use super::{Common, suite};
use clap::Args;
use crypto::Suite;
use perf::instructions::compare::differences;
use perf::instructions::{self, Line, Results, Scenario};
use perf::traffic::Mix;
use perf::world::Way;
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Instructions {
    /// What POSTERN_CRYPTO is set to: valgrind knows neither AVX-512 nor VAES
    #[arg(long, default_value = "aesni")]
    backend: String,
    /// An older result of this bench: says what has changed since
    #[arg(long)]
    against: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub struct Walk {
    #[arg(value_enum)]
    way: Way,
    #[arg(value_parser = suite)]
    suite: Suite,
    mix: Mix,
    sas: u32,
}

impl Instructions {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let before = self.against.as_deref().map(read).transpose()?;
        let scenarios = instructions::scenarios(self.common.smoke);
        let results = instructions::run(&self.backend, &scenarios, self.common.before(), progress)?;
        let compared = before.map(|before| differences(&before, &results));
        if let Some(compared) = compared.as_ref().filter(|_| self.common.json) {
            eprintln!("{compared}");
        }
        self.common.say(&results, || match &compared {
            Some(compared) => format!("{}\n\n{compared}", results.table()),
            None => results.table(),
        })
    }
}

impl Walk {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let Self { way, suite, mix, sas } = *self;
        println!("{}", instructions::walk(&Scenario { way, suite, mix, sas })?);
        Ok(())
    }
}

fn read(path: &Path) -> Result<Results, String> {
    let unreadable = |why: &dyn Error| format!("cannot read {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|why| unreadable(&why))?;
    serde_json::from_str(&text).map_err(|why| unreadable(&why))
}

fn progress(done: usize, all: usize, line: &Line) {
    let Line { suite, direction, size, sas, instructions_per_packet, .. } = line;
    eprintln!(
        "{done} of {all}: {suite} {direction} {size} octets, {sas} SAs: {instructions_per_packet}"
    );
}
