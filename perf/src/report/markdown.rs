//! Pieces of the page.
use super::Bounds;
use crate::result::Head;

/// A table; columns behind the first are aligned to the right.
pub fn table(header: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> =
        (0..header.len()).map(|column| if column == 0 { "---" } else { "--:" }.into()).collect();
    let mut text = line(header) + &line(&rule);
    for row in rows {
        text += &line(&row);
    }
    text + "\n"
}

/// Words as cells.
pub fn cells(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a section's figures hang on.
pub fn origin(name: &str, head: &Head) -> String {
    let modified = if head.source.modified { ", modified" } else { "" };
    let note = head.note.as_ref().map(|note| format!(" {note}")).unwrap_or_default();
    format!(
        "`{}`, {}, commit {}{modified}, load {} before and {} after; `perf/results/{name}`.{note}\n\n",
        head.command,
        head.date,
        short(&head.source.commit),
        head.load_before,
        head.load_after,
    )
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// The machine.
pub fn machine(head: &Head) -> String {
    let machine = &head.machine;
    let tsc = machine.tsc_mhz.map(|mhz| format!("{mhz:.0} MHz")).unwrap_or_default();
    format!(
        "{} CPUs, TSC {tsc}, caches {}, Linux {}. Of the features that matter here it has {}.\n\n",
        machine.cpus,
        machine.caches.join(", "),
        machine.kernel,
        machine.features.join(", "),
    )
}

/// As part of a file's name.
pub fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = text.chars().map(plain).collect();
    words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// The reasons for what was missed, numbered as they are referred to.
#[derive(Default)]
pub struct Notes(Vec<String>);

impl Notes {
    /// The mark behind a figure that missed its target.
    pub fn mark(&mut self, bounds: &Bounds, key: [&str; 4]) -> String {
        let reason = bounds.reason(key).unwrap_or("No reason is given yet.").to_owned();
        let at = self.0.iter().position(|known| *known == reason).unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        });
        format!("missed ({})", at + 1)
    }

    /// The list below the table.
    pub fn list(&self) -> String {
        let items = self.0.iter().zip(1..).map(|(reason, number)| format!("{number}. {reason}\n"));
        let list: String = items.collect();
        if list.is_empty() { list } else { format!("Missed:\n\n{list}\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_has_one_number() {
        let bounds = Bounds::parse("| A | * | * | * | slow |\n");
        let mut notes = Notes::default();
        assert_eq!(notes.mark(&bounds, ["A", "x", "64", "seal"]), "missed (1)");
        assert_eq!(notes.mark(&bounds, ["B", "x", "64", "seal"]), "missed (2)");
        assert_eq!(notes.mark(&bounds, ["A", "y", "64", "open"]), "missed (1)");
        assert_eq!(notes.list(), "Missed:\n\n1. slow\n2. No reason is given yet.\n\n");
    }

    #[test]
    fn a_slug_is_words_in_lower_case() {
        assert_eq!(
            slug("ENCR_AES_CBC_128/AUTH_HMAC_SHA1_96"),
            "encr-aes-cbc-128-auth-hmac-sha1-96"
        );
        assert_eq!(slug("Intel(R) Xeon(R) CPU @ 2.50GHz"), "intel-r-xeon-r-cpu-2-50ghz");
    }
}
