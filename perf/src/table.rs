//! Tables on a terminal.
use comfy_table::{CellAlignment, Row, Table, presets};

/// Columns from number `figures` on are aligned to the right.
pub fn of<R: Into<Row>>(
    header: &[&str],
    rows: impl IntoIterator<Item = R>,
    figures: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(figures) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A target's last column.
pub const fn met(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// The line below a table of targets.
pub fn tally(met: impl Iterator<Item = bool>) -> String {
    let all: Vec<bool> = met.collect();
    format!("{} of {} targets met", all.iter().filter(|met| **met).count(), all.len())
}
