//! `postern.yaml`: read, checked as a whole, and compiled into what the data plane is told.
pub mod compile;
mod credentials;
pub mod de;
pub mod file;
pub mod negotiated;
pub mod node;
pub mod problem;
pub mod proposals;
mod setup;
pub mod suites;
pub mod text;
mod tunnel;

pub use compile::{Config, SaPlan, Tunnel};
pub use negotiated::{Negotiated, Standing};
pub use problem::{Faulty, Place, Problem};

use problem::Problems;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads and compiles the file at `path`. Key files named in it are looked for beside it.
///
/// # Errors
/// Every fault of the file, or one that says why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Faulty> {
    let name = path.display().to_string();
    let source = source(path, &name)?;
    parse(&source, &name, path.parent().unwrap_or(Path::new("")))
}

/// Compiles `source`; `name` is what messages call it, `base` is where relative paths of key files begin.
///
/// # Errors
/// Every fault of the text.
pub fn parse(source: &str, name: &str, base: &Path) -> Result<Config, Faulty> {
    let problems = Problems::default();
    let file = node::read(source, &problems).and_then(|node| {
        let file = de::read::<file::File>(&node, &problems)?;
        compile::compile(&file, &problems, base)
    });
    problems.into_result(name)?;
    // Nothing without a problem: whatever refuses a file also says why.
    file.ok_or_else(|| unreadable(name, Place { line: 1, column: 1 }, "the file cannot be used"))
}

/// The JSON Schema of the file, as text that ends in a newline.
pub fn schema() -> String {
    let schema = schemars::schema_for!(file::File);
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}

/// The file's text, wiped when dropped. At most one octet more than is allowed is read.
///
/// # Errors
/// Why it cannot be read, or where it stops being UTF-8.
pub fn source(path: &Path, name: &str) -> Result<Zeroizing<String>, Faulty> {
    let start = Place { line: 1, column: 1 };
    let mut octets = Zeroizing::new(Vec::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(node::SIZE_LIMIT as u64 + 1).read_to_end(&mut octets))
        .map_err(|error| {
            unreadable(name, start, &format!("cannot be read: {error}; is the path right?"))
        })?;
    match std::str::from_utf8(&octets) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let good = octets.get(..error.valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|&&octet| octet == b'\n').count() as u32 + 1;
            let column = good.iter().rev().take_while(|&&octet| octet != b'\n').count() as u32 + 1;
            Err(unreadable(name, Place { line, column }, "not UTF-8; save the file as UTF-8"))
        }
    }
}

fn unreadable(name: &str, place: Place, message: &str) -> Faulty {
    let problem = Problem { place, text: String::new(), message: message.to_owned() };
    Faulty { file: name.to_owned(), problems: vec![problem] }
}
