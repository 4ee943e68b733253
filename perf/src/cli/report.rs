//! `perf report`.
use clap::Args;
use perf::report::{self, Bounds, Collection};
use std::error::Error;
use std::path::PathBuf;

#[derive(Args)]
pub struct Report {
    /// Where the results are
    #[arg(long, default_value = "perf/results")]
    results: PathBuf,
    /// Why targets are out of reach, by hand
    #[arg(long, default_value = "perf/bounds.md")]
    bounds: PathBuf,
    /// The folder that performance.md and its pictures go into
    #[arg(long, default_value = "docs")]
    into: PathBuf,
    /// Writes nothing, and fails when what is there is not what the results render to
    #[arg(long)]
    check: bool,
}

impl Report {
    pub fn run(&self) -> Result<(), Box<dyn Error>> {
        let unreadable = |why| format!("cannot read {}: {why}", self.bounds.display());
        let bounds = std::fs::read_to_string(&self.bounds).map_err(unreadable)?;
        let rendered = Collection::read(&self.results)?.render(&Bounds::parse(&bounds));
        match self.check {
            true => report::check(&self.into, &rendered)?,
            false => report::write(&self.into, &rendered)?,
        }
        Ok(())
    }
}
