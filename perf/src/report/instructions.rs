//! The section of `perf bench instructions`.
use super::markdown::{cells, origin, table};
use crate::instructions::Results;

/// Totals, and the heaviest functions.
pub fn section(name: &str, results: &Results) -> String {
    let header = cells(&[
        "suite",
        "backend",
        "direction",
        "SAs",
        "octets",
        "instructions",
        "most of them in",
    ]);
    let rows = results.cases.iter().map(|line| {
        vec![
            line.suite.clone(),
            line.backend.clone(),
            line.direction.clone(),
            line.sas.to_string(),
            line.size.clone(),
            format!("{:.0}", line.instructions_per_packet),
            line.heaviest(),
        ]
    });
    format!(
        "### Instructions per packet\n\n{}Counted by callgrind ({}), which knows neither AVX-512 nor VAES.\n\n{}",
        origin(name, &results.head),
        results.valgrind,
        table(&header, rows),
    )
}
