//! Unix seconds, and how they are written.
use der::DateTime;
use std::time::Duration;

/// `2026-11-21T07:45:00Z`.
pub fn text(unix: u64) -> String {
    match DateTime::from_unix_duration(Duration::from_secs(unix)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{unix} seconds after 1970"),
    }
}
