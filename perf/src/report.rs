//! `docs/performance.md`: rendered from the result files, and from nothing else.
use crate::ciphers::results::Results as Ciphers;
use crate::handshake::results::Results as Handshake;
use crate::instructions::Results as Instructions;
use crate::pipeline::results::Results as Pipeline;
use crate::result::{Head, SCHEMA};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod bounds;
mod ciphers;
mod handshake;
mod instructions;
mod markdown;
mod pipeline;
mod svg;

pub use bounds::Bounds;

/// The newest results of one machine.
#[derive(Default)]
struct Machine {
    /// By the codes of libipsec-mb that took part.
    ciphers: BTreeMap<String, (String, Ciphers)>,
    /// Without stages, and with them.
    pipeline: BTreeMap<bool, (String, Pipeline)>,
    instructions: Option<(String, Instructions)>,
    /// In memory, and beside charon.
    handshake: BTreeMap<bool, (String, Handshake)>,
}

/// All result files, by machine.
#[derive(Default)]
pub struct Collection(BTreeMap<String, Machine>);

/// Files by their path in the folder of the documentation.
pub type Rendered = BTreeMap<PathBuf, String>;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A file or folder.
    #[error("cannot use {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Not a result of ours.
    #[error("{0} is no result of perf: {1}")]
    Json(PathBuf, serde_json::Error),
    /// The documentation is not what the results say.
    #[error("{0} is not what the results render to: run `perf report`")]
    Stale(PathBuf),
}

impl Collection {
    /// Of every `*.json` in `folder`; those of another schema, and of builds without optimisation, are passed over.
    ///
    /// # Errors
    /// [`Failed`]: unreadable.
    pub fn read(folder: &Path) -> Result<Self, Failed> {
        let mut paths: Vec<PathBuf> = entries(folder)?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        let mut all = Self::default();
        for path in paths {
            let text =
                std::fs::read_to_string(&path).map_err(|why| Failed::File(path.clone(), why))?;
            all.add(&path, &text).map_err(|why| Failed::Json(path.clone(), why))?;
        }
        Ok(all)
    }

    fn add(&mut self, path: &Path, text: &str) -> serde_json::Result<()> {
        #[derive(serde::Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Ok(());
        }
        let head: Head = serde_json::from_str(text)?;
        if !head.source.release {
            return Ok(());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let machine = self.0.entry(head.machine.cpu.clone()).or_default();
        match head.bench.as_str() {
            "crypto" => {
                let new: Ciphers = parsed(text)?;
                let place = machine.ciphers.entry(new.parameters.rival_tiers.join(", "));
                keep(place.or_insert_with(|| (name.clone(), new.clone())), name, new);
            }
            "pipeline" => {
                let new: Pipeline = parsed(text)?;
                let place = machine.pipeline.entry(new.parameters.stages);
                keep(place.or_insert_with(|| (name.clone(), new.clone())), name, new);
            }
            "instructions" => {
                let new: Instructions = parsed(text)?;
                let place = &mut machine.instructions;
                keep(place.get_or_insert_with(|| (name.clone(), new.clone())), name, new);
            }
            "handshake" => {
                let new: Handshake = parsed(text)?;
                let place = machine.handshake.entry(new.side_by_side.is_some());
                keep(place.or_insert_with(|| (name.clone(), new.clone())), name, new);
            }
            _ => {}
        }
        Ok(())
    }

    /// The page and its pictures.
    pub fn render(&self, bounds: &Bounds) -> Rendered {
        let mut files = Rendered::new();
        let mut page = String::from(INTRODUCTION);
        if self.0.is_empty() {
            page += "\nThere are no results yet.\n";
        }
        for (cpu, machine) in &self.0 {
            page += &machine.render(cpu, bounds, &mut files);
        }
        files.insert("performance.md".into(), page);
        files
    }
}

const INTRODUCTION: &str = "\
# Performance

Rendered by `perf report` from `perf/results/`: edit nothing here. [perf/README.md](../perf/README.md) says what is
measured and how. Cycles are those of the time stamp counter. Only figures of one run compare; a ratio is the median over
rounds in which the contenders took turns.
";

/// Where a result has a head.
trait Headed {
    fn head(&self) -> &Head;
}

impl Headed for Ciphers {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Headed for Pipeline {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Headed for Instructions {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl Headed for Handshake {
    fn head(&self) -> &Head {
        &self.head
    }
}

/// Keeps the newer one.
fn keep<R: Headed>(place: &mut (String, R), name: String, new: R) {
    if new.head().date >= place.1.head().date {
        *place = (name, new);
    }
}

fn parsed<R: DeserializeOwned>(text: &str) -> serde_json::Result<R> {
    serde_json::from_str(text)
}

impl Machine {
    fn render(&self, cpu: &str, bounds: &Bounds, files: &mut Rendered) -> String {
        let slug = markdown::slug(cpu);
        let mut text = format!("\n## {cpu}\n\n");
        let heads = self.ciphers.values().map(|(_, result)| &result.head);
        let heads = heads.chain(self.pipeline.values().map(|(_, result)| &result.head));
        let heads = heads.chain(self.instructions.iter().map(|(_, result)| &result.head));
        let heads = heads.chain(self.handshake.values().map(|(_, result)| &result.head));
        if let Some(head) = heads.max_by_key(|head| &head.date) {
            text += &markdown::machine(head);
        }
        for (tiers, (name, result)) in &self.ciphers {
            text += &ciphers::section(tiers, name, result, bounds, &slug, files);
        }
        for (stages, (name, result)) in &self.pipeline {
            text += &match stages {
                false => pipeline::section(name, result, bounds, &slug, files),
                true => pipeline::stages(name, result, &slug, files),
            };
        }
        if let Some((name, result)) = &self.instructions {
            text += &instructions::section(name, result);
        }
        for (rivals, (name, result)) in &self.handshake {
            text += &match rivals {
                false => handshake::section(name, result),
                true => handshake::rivals(name, result),
            };
        }
        text
    }
}

/// Writes the page and its pictures below `folder`, and removes pictures that are no longer rendered.
///
/// # Errors
/// [`Failed::File`].
pub fn write(folder: &Path, rendered: &Rendered) -> Result<(), Failed> {
    for (path, text) in rendered {
        let path = folder.join(path);
        let file = |why| Failed::File(path.clone(), why);
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(file)?;
        std::fs::write(&path, text).map_err(file)?;
    }
    for picture in pictures(folder)? {
        if !rendered.contains_key(&picture) {
            let path = folder.join(&picture);
            std::fs::remove_file(&path).map_err(|why| Failed::File(path.clone(), why))?;
        }
    }
    Ok(())
}

/// Whether what is in `folder` is what was rendered.
///
/// # Errors
/// [`Failed::Stale`] names the first file that is not.
pub fn check(folder: &Path, rendered: &Rendered) -> Result<(), Failed> {
    for (path, text) in rendered {
        if std::fs::read_to_string(folder.join(path)).ok().as_ref() != Some(text) {
            return Err(Failed::Stale(folder.join(path)));
        }
    }
    let left_over = pictures(folder)?.into_iter().find(|path| !rendered.contains_key(path));
    left_over.map_or(Ok(()), |path| Err(Failed::Stale(folder.join(path))))
}

/// Pictures of ours that are there.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let images = folder.join(IMAGES);
    if !images.exists() {
        return Ok(Vec::new());
    }
    let names = entries(&images)?;
    let ours = names.iter().filter_map(|path| path.file_name()).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(".svg")
    });
    Ok(ours.map(|name| Path::new(IMAGES).join(name)).collect())
}

/// Folder of pictures, and how our names begin there.
const IMAGES: &str = "img";
const PREFIX: &str = "perf-";

/// Adds a picture and says how the page refers to it.
fn picture(files: &mut Rendered, name: &str, title: &str, svg: String) -> String {
    let path = format!("{IMAGES}/{PREFIX}{name}.svg");
    files.insert(path.clone().into(), svg);
    format!("![{title}]({path})\n\n")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let failed = |why| Failed::File(folder.into(), why);
    let all = std::fs::read_dir(folder).map_err(failed)?;
    all.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}
