//! What can go wrong, and what to do about it.

/// In progress.
#[derive(Debug, thiserror::Error)]
pub enum Error {}
