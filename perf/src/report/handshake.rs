//! The section of `perf bench handshake`.
use super::markdown::{origin, table};
use crate::handshake::results::{Results, Titled};

/// What was measured in memory.
pub fn section(name: &str, results: &Results) -> String {
    let tables = [
        results.rate_table(),
        results.memory_table(),
        results.storm_table(),
        results.operation_table(),
    ];
    let head = format!("### IKEv2 handshakes\n\n{}", origin(name, &results.head));
    head + &results.head.measured + "\n\n" + &tables.map(titled).concat()
}

/// What ran beside charon.
pub fn rivals(name: &str, results: &Results) -> String {
    let Some(rivalry) = &results.side_by_side else { return String::new() };
    format!(
        "### IKEv2 beside charon\n\n{}{}\n\ncharon is {}; {} handshakes a round, {} at a time.\n\n{}",
        origin(name, &results.head),
        rivalry.differs,
        rivalry.charon,
        rivalry.handshakes,
        rivalry.abreast,
        titled(results.rival_table()),
    )
}

fn titled((title, header, rows): Titled) -> String {
    match rows.is_empty() {
        true => String::new(),
        false => format!("{title}:\n\n{}", table(&header, rows)),
    }
}
