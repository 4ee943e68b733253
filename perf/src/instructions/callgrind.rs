//! Callgrind's output format (its manual, "Callgrind Format Specification"), as far as self costs need it.
use std::collections::{BTreeMap, HashMap};

/// Self costs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// By source file, inlined code under the file that it was written in.
    pub files: BTreeMap<String, u64>,
    /// By function, with what was inlined into it.
    pub functions: BTreeMap<String, u64>,
}

/// What callgrind wrote. `None`: there is no cost in it.
///
/// A line `fl=` names the file of a function, `fi=` and `fe=` those of code inlined into it; a name may be written
/// `(7) name` once and `(7)` from then on. The line after `calls=` is what the callee cost, and not a self cost.
pub fn costs(text: &str) -> Option<Costs> {
    let (mut file_names, mut function_names) = (HashMap::new(), HashMap::new());
    let (mut file, mut function, mut callee) = (String::new(), String::new(), false);
    let mut costs = Costs::default();
    for line in text.lines() {
        match line.split_once('=') {
            Some(("fl" | "fi" | "fe", name)) => file = full_name(&mut file_names, name),
            Some(("cfi" | "cfl", name)) => _ = full_name(&mut file_names, name),
            Some(("fn", name)) => function = full_name(&mut function_names, name),
            Some(("cfn", name)) => _ = full_name(&mut function_names, name),
            Some(("calls", _)) => callee = true,
            _ => {
                if let Some(cost) = cost(line)
                    && !core::mem::take(&mut callee)
                {
                    *costs.files.entry(file.clone()).or_default() += cost;
                    *costs.functions.entry(function.clone()).or_default() += cost;
                }
            }
        }
    }
    (!costs.files.is_empty()).then_some(costs)
}

fn full_name(names: &mut HashMap<String, String>, text: &str) -> String {
    match text.split_once(' ') {
        Some((id, name)) => {
            names.insert(id.to_owned(), name.to_owned());
            name.to_owned()
        }
        None => names.get(text).cloned().unwrap_or_else(|| text.to_owned()),
    }
}

/// `16 400`, `+3 400`, `-3 400` or `* 400`.
fn cost(line: &str) -> Option<u64> {
    let (position, cost) = line.split_once(' ')?;
    let is_position = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*');
    position.starts_with(is_position).then(|| cost.trim().parse().ok()).flatten()
}

/// What a source file belongs to: `dataplane::seal`, `crypto::aes`, `crate aes-gcm`, `core`.
pub fn group(path: &str) -> String {
    if let Some((_, rest)) = path.split_once("/registry/src/") {
        let package = rest.split('/').nth(1).unwrap_or(rest);
        let name = package.rsplit_once('-').map_or(package, |(name, _)| name);
        return format!("crate {name}");
    }
    if let Some((_, rest)) = path.split_once("/library/") {
        return rest.split('/').next().unwrap_or(rest).to_owned();
    }
    for (folder, name) in ROOMS {
        if let Some((_, module)) = path.split_once(folder) {
            let module = module.split(['/', '.']).next().unwrap_or(module);
            return format!("{name}::{module}");
        }
    }
    "other".into()
}

/// A function without what is between angle brackets, and without the compiler's hash: `xsk::twin::Twin::receive`.
pub fn short(function: &str) -> String {
    let (mut depth, mut short) = (0_usize, String::new());
    for c in function.chars() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => short.push(c),
            _ => {}
        }
    }
    let short = short.replace("::::", "::");
    let whole = short.trim_start_matches("::").split("::h").next().unwrap_or_default();
    if whole.is_empty() { function.into() } else { whole.into() }
}

/// Our crates; inner folders first.
const ROOMS: [(&str, &str); 6] = [
    ("dataplane/crypto/src/", "crypto"),
    ("dataplane/xsk/src/", "xsk"),
    ("dataplane/src/", "dataplane"),
    ("sadb/src/", "sadb"),
    ("wire/src/", "wire"),
    ("perf/src/", "perf"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_go_to_the_file_that_the_code_was_written_in() {
        let text = "\
events: Ir

fl=(1) /w/dataplane/src/seal.rs
fn=(1) flush
10 5
+2 7
fi=(2) /rustc/abc/library/core/src/slice/mod.rs
100 3
fe=(1)
* 1
cfn=(2) crypto::seal
calls=1 20
12 900

fl=(3) /w/dataplane/crypto/src/batch.rs
fn=(2)
20 900
totals: 916
";
        let Costs { files, functions } = costs(text).unwrap();
        assert_eq!(files["/w/dataplane/src/seal.rs"], 13);
        assert_eq!(files["/rustc/abc/library/core/src/slice/mod.rs"], 3);
        assert_eq!(files["/w/dataplane/crypto/src/batch.rs"], 900);
        assert_eq!((functions["flush"], functions["crypto::seal"]), (16, 900));
        assert_eq!(costs("events: Ir\n"), None);
    }

    #[test]
    fn functions_are_shown_without_generics() {
        for (name, wanted) in [
            ("dataplane::seal::flush", "dataplane::seal::flush"),
            ("<xsk::twin::Twin as xsk::Port>::receive", "receive"),
            ("aes_gcm::AesGcm<Aes, N>::seal", "aes_gcm::AesGcm::seal"),
            ("memcpy@@GLIBC_2.14", "memcpy@@GLIBC_2.14"),
        ] {
            assert_eq!(short(name), wanted);
        }
    }

    #[test]
    fn a_file_belongs_to_its_crate_and_module() {
        for (path, name) in [
            ("/w/dataplane/src/seal.rs", "dataplane::seal"),
            ("/w/dataplane/crypto/src/aes/gcm.rs", "crypto::aes"),
            ("dataplane/xsk/src/pool.rs", "xsk::pool"),
            (
                "/root/.cargo/registry/src/index.crates.io-1949/aes-gcm-0.11.1/src/lib.rs",
                "crate aes-gcm",
            ),
            ("/rustc/59807616/library/core/src/num/mod.rs", "core"),
            ("???", "other"),
        ] {
            assert_eq!(group(path), name);
        }
    }
}
