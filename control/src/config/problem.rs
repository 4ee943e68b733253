//! What is wrong with a file: where, which text, why, and what to do about it. All problems of a file are
//! collected, so that the operator mends them in one go.
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

/// Problems shown for one file; a file with more is somebody's other file.
const SHOWN: usize = 100;

/// A place in a file. Both numbers count from 1; columns are characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The offending text, shortened, with anything like a key taken out.
    pub text: String,
    /// What is wrong with it; what to do.
    pub message: String,
}

impl Problem {
    /// As one line, when it is no more than a warning.
    pub fn warning(&self, file: &str) -> String {
        let Self { place, text, message } = self;
        format!("{file}:{place}: warning: '{text}': {message}")
    }
}

/// Collects problems while a file is read.
#[derive(Debug, Default)]
pub struct Problems {
    all: RefCell<Vec<Problem>>,
    /// Where secrets stand, whose text nobody may see.
    secrets: RefCell<BTreeSet<Place>>,
}

impl Problems {
    /// Adds one. `text` is made safe to show here, so no caller can leak a key by it.
    pub fn tell(&self, place: Place, text: &str, message: impl Into<String>) {
        let problem =
            Problem { place, text: presentable(text), message: without_keys(&message.into()) };
        let mut all = self.all.borrow_mut();
        if !all.contains(&problem) {
            all.push(problem);
        }
    }
    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.all.borrow().is_empty()
    }
    /// What stands at this place is a secret.
    pub fn keep_secret(&self, place: Place) {
        self.secrets.borrow_mut().insert(place);
    }
    /// Whether a secret stands at this place.
    pub fn is_secret(&self, place: Place) -> bool {
        self.secrets.borrow().contains(&place)
    }
    /// The problems in the order of the file.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.all.into_inner();
        problems.sort();
        problems
    }
    /// The problems in the order of the file, or `()` when there are none.
    pub fn into_result(self, file: &str) -> Result<(), Faulty> {
        let problems = self.into_sorted();
        if problems.is_empty() { Ok(()) } else { Err(Faulty { file: file.to_owned(), problems }) }
    }
}

/// A configuration that cannot be used, with every reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Faulty {
    /// The file as the operator named it.
    pub file: String,
    /// Never empty; in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Faulty {
    /// One line for each problem: `file:line:column: 'text': what is wrong; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN).enumerate() {
            let Problem { place, text, message } = problem;
            let (line_end, file) = (if i == 0 { "" } else { "\n" }, &self.file);
            write!(f, "{line_end}{file}:{place}: '{text}': {message}")?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more problems", self.file),
        }
    }
}

/// `text` on one line, at most 48 characters, without control characters and without anything like a key.
pub fn presentable(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let shown = without_keys(shown.trim());
    match shown.char_indices().nth(48) {
        Some((at, _)) => format!("{}…", shown.get(..at).unwrap_or_default()),
        None => shown,
    }
}

/// `text` with every run of 16 hexadecimal digits or more hidden: it may be a key in the wrong place.
fn without_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for run in text.as_bytes().chunk_by(|a, b| a.is_ascii_hexdigit() == b.is_ascii_hexdigit()) {
        let hex = run.first().is_some_and(u8::is_ascii_hexdigit);
        if hex && run.len() >= 16 {
            shown.push_str(&format!("({} hex digits)", run.len()));
        } else {
            // Cut only where an ASCII digit meets something else, so never inside a character.
            shown.push_str(std::str::from_utf8(run).unwrap_or("?"));
        }
    }
    shown
}

/// The nearest of `known` to `text`, if it is near enough to be meant.
pub fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = (text.chars().count() / 3).max(2);
    let folded = text.to_lowercase().replace('-', "_");
    let distance = |name: &str| strsim::damerau_levenshtein(&folded, &name.to_lowercase());
    let (near, name) = known.iter().map(|name| (distance(name), *name)).min()?;
    (near <= far && near < name.chars().count().max(1)).then_some(name)
}

/// `; did you mean "remote_ts"?`, or the list of what is known.
pub fn suggestion(text: &str, known: &[&str]) -> String {
    match nearest(text, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_wrong_place_is_not_shown() {
        assert_eq!(presentable("0011223344556677"), "(16 hex digits)");
        assert_eq!(presentable("x=00112233445566778899 tail"), "x=(20 hex digits) tail");
        assert_eq!(presentable("0x1001"), "0x1001");
        assert_eq!(presentable("a\tb\u{1b}[0m"), "a b [0m");
        assert_eq!(presentable(&"z".repeat(60)), format!("{}…", "z".repeat(48)));
    }

    #[test]
    fn a_suggestion_is_near_or_a_list() {
        assert_eq!(
            suggestion("remote-ts", &["local_ts", "remote_ts"]),
            "did you mean \"remote_ts\"?"
        );
        assert_eq!(suggestion("zzz", &["local_ts", "esn"]), "known here: local_ts, esn");
    }
}
