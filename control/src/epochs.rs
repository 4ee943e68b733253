//! IV epochs for manual keys with counter-mode ciphers. An IV is 24 bits of epoch and 40 bits of packet number; a key
//! that stands in a file outlives every process, so each fresh installation of it takes an epoch that was never
//! used with it. The epoch is on disk, synced, before the SA exists.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Epochs have 24 bits.
const LAST: u32 = (1 << 24) - 1;

/// SHA-256 of a key.
pub type KeyDigest = [u8; 32];

/// Why an epoch cannot be had. The SA must then not be installed.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The file cannot be read or written.
    #[error(
        "{path}: {source}; without this file IVs could repeat, so SAs with manual counter-mode keys are not installed. \
         Make the state directory writable"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else wrote into it.
    #[error(
        "{path}:{line}: not a line of ours; if the epochs are lost, change all manual counter-mode keys and then \
         remove the file"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// 2^24 epochs were used.
    #[error("all epochs of this key are used up; change the key")]
    UsedUp,
    /// The kernel gave no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

/// The file of epochs.
#[derive(Debug)]
pub struct Epochs {
    path: PathBuf,
}

impl Epochs {
    /// Keeps `iv-epochs` in `directory`. Nothing is read or written yet.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join("iv-epochs") }
    }

    /// One new epoch for each key, on disk before this returns. A key seen for the first time starts at random, so
    /// that a lost file does not mean the same epochs again.
    ///
    /// # Errors
    /// [`EpochError`]; then no epoch was given out.
    pub fn take(&self, keys: &[KeyDigest]) -> Result<Vec<u32>, EpochError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut last = self.read()?;
        let mut epochs = Vec::with_capacity(keys.len());
        for key in keys {
            let epoch = match last.get(key) {
                Some(&(LAST..)) => return Err(EpochError::UsedUp),
                Some(&epoch) => epoch + 1,
                None => getrandom::u32().map_err(EpochError::Random)? & (LAST >> 1),
            };
            last.insert(*key, epoch);
            epochs.push(epoch);
        }
        self.write(&last).map_err(|source| self.file(source))?;
        Ok(epochs)
    }

    fn file(&self, source: io::Error) -> EpochError {
        EpochError::File { path: self.path.clone(), source }
    }

    fn read(&self) -> Result<BTreeMap<KeyDigest, u32>, EpochError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(self.file(source)),
        };
        let line = |(number, line): (usize, &str)| {
            let damaged = || EpochError::Damaged { path: self.path.clone(), line: number + 1 };
            parse(line).ok_or_else(damaged)
        };
        text.lines().enumerate().map(line).collect()
    }

    /// A new file in place of the old one: whoever crashes here leaves one of the two, whole.
    fn write(&self, last: &BTreeMap<KeyDigest, u32>) -> io::Result<()> {
        let mut text = String::new();
        for (key, epoch) in last {
            for octet in key {
                let _ = write!(text, "{octet:02x}");
            }
            let _ = writeln!(text, " {epoch}");
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

fn parse(line: &str) -> Option<(KeyDigest, u32)> {
    let (hex, epoch) = line.split_once(' ')?;
    let mut key = KeyDigest::default();
    if hex.len() != key.len() * 2 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (octet, pair) in key.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    epoch.parse().ok().filter(|&epoch| epoch <= LAST).map(|epoch| (key, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyDigest = [7; 32];

    #[test]
    fn no_epoch_is_given_twice_over_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 {
            let epochs = Epochs::new(directory.path()).take(&[KEY, KEY]).unwrap();
            assert!(epochs.iter().all(|&epoch| epoch <= LAST && seen.insert(epoch)));
        }
        let other = Epochs::new(directory.path()).take(&[[8; 32]]).unwrap();
        assert!(other[0] <= LAST >> 1);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        std::fs::write(&state, "a file where the directory should be").unwrap();
        let error = Epochs::new(&state).take(&[KEY]).unwrap_err();
        assert!(matches!(error, EpochError::File { .. }), "{error}");
        assert!(error.to_string().contains("state directory"));
    }

    #[test]
    fn a_file_that_cannot_be_renamed_into_place_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        // A directory of that name: the rename fails after everything else went well.
        std::fs::create_dir(directory.path().join("iv-epochs")).unwrap();
        assert!(Epochs::new(directory.path()).take(&[KEY]).is_err());
    }

    #[test]
    fn a_damaged_file_or_a_used_up_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("iv-epochs");
        for bad in ["x\n", "00 1\n", &format!("{} 16777216\n", "07".repeat(32)), "\u{e9}\n"] {
            std::fs::write(&file, bad).unwrap();
            let error = Epochs::new(directory.path()).take(&[KEY]).unwrap_err();
            assert!(matches!(error, EpochError::Damaged { line: 1, .. }), "{bad}: {error}");
        }
        std::fs::write(&file, format!("{} {LAST}\n", "07".repeat(32))).unwrap();
        assert!(matches!(Epochs::new(directory.path()).take(&[KEY]), Err(EpochError::UsedUp)));
    }
}
