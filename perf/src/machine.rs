//! Where and from what a result comes: without it a figure says nothing.
use crate::figures::rounded;
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// CPU features that crypto backends choose by.
const FEATURES: [&str; 15] = [
    "aes",
    "pclmulqdq",
    "avx2",
    "bmi2",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512dq",
    "avx512ifma",
    "avx512vbmi",
    "avx512_bitalg",
    "gfni",
    "vaes",
    "vpclmulqdq",
    "sha_ni",
];

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel names the CPU.
    pub cpu: String,
    /// CPUs online.
    pub cpus: usize,
    /// What /proc/cpuinfo says at the start; a boosting CPU runs at another frequency.
    pub mhz_reported: Option<f64>,
    /// How fast the time stamp counter runs: a constant, not the core's frequency. Cycles in results are its cycles.
    #[serde(default)]
    pub tsc_mhz: Option<f64>,
    /// Of the instruction sets that matter here, those it has.
    pub features: Vec<String>,
    /// Octets of the data caches as the kernel reports them for CPU 0, by level.
    pub caches: Vec<String>,
    /// The kernel's release.
    pub kernel: String,
}

/// The code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// `git rev-parse HEAD` where the program was started.
    pub commit: String,
    /// Whether tracked files differ from that commit.
    pub modified: bool,
    /// Whether the program was built with optimisation and without debug assertions.
    pub release: bool,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
        let has = |feature: &&str| flags.split(' ').any(|flag| flag == *feature);

        Self {
            cpu: field("model name").unwrap_or_else(|| "unknown".into()),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            mhz_reported: field("cpu MHz").and_then(|mhz| mhz.parse().ok()),
            tsc_mhz: Some(rounded(tsc_hertz() / 1e6, 1)),
            features: FEATURES.into_iter().filter(has).map(str::to_owned).collect(),
            caches: (0..5).filter_map(cache).collect(),
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
        }
    }
}

impl Source {
    /// The tree in which the program was started.
    pub fn here() -> Self {
        let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
        Self {
            commit: git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into()),
            modified: changes.is_none_or(|changes| !changes.is_empty()),
            release: !cfg!(debug_assertions),
        }
    }
}

/// How fast the time stamp counter runs, in Hz; counted once.
pub fn tsc_hertz() -> f64 {
    static HERTZ: OnceLock<f64> = OnceLock::new();
    *HERTZ.get_or_init(rivals::tsc::hertz)
}

/// Nanoseconds of a TSC cycle.
pub fn ns_per_cycle() -> f64 {
    1e9 / tsc_hertz()
}

/// The three load averages.
pub fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Now, in UTC, as RFC 3339 writes it.
pub fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, seconds) = (since / 86_400, since % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar (H. Hinnant's algorithm).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

fn cache(index: usize) -> Option<String> {
    let of = |what: &str| {
        let text = read(&format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}"));
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let kind = of("type").filter(|kind| kind != "Instruction")?;
    Some(format!("L{} {kind} {}", of("level")?, of("size")?))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_through_leap_years() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_819, (2027, 1, 1)),
        ] {
            assert_eq!(civil(days), date);
        }
    }
}
