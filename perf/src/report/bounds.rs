//! Reasons why targets are out of reach: written by hand, in `perf/bounds.md`.

/// The table of reasons.
#[derive(Clone, Debug, Default)]
pub struct Bounds(Vec<Row>);

#[derive(Clone, Debug)]
struct Row {
    key: [String; 4],
    reason: String,
}

impl Bounds {
    /// From the Markdown table: suite, against, size, direction, reason.
    pub fn parse(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|');
            let cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
            let [suite, against, size, direction, reason] = <[String; 5]>::try_from(cells).ok()?;
            let heading = suite == "suite" || suite.starts_with("---");
            (!heading).then_some(Row { key: [suite, against, size, direction], reason })
        });
        Self(rows.collect())
    }

    /// Why this target is missed, if anybody has said so.
    pub fn reason(&self, key: [&str; 4]) -> Option<&str> {
        let fits = |row: &&Row| {
            row.key.iter().zip(key).all(|(wanted, key)| wanted == "*" || wanted == key)
        };
        self.0.iter().find(fits).map(|row| row.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_fits_gives_the_reason() {
        let bounds = Bounds::parse(
            "# Why\n\n| suite | against | size | direction | reason |\n|---|---|---|---|---|\n\
             | A | ring | 64 | seal | one |\n| A | * | * | * | two |\n",
        );
        assert_eq!(bounds.reason(["A", "ring", "64", "seal"]), Some("one"));
        assert_eq!(bounds.reason(["A", "ring", "64", "open"]), Some("two"));
        assert_eq!(bounds.reason(["B", "ring", "64", "seal"]), None);
    }
}
