//! The two sides' exclusive ends.
use crate::errors::{Bad, Corrupt, PeerLied, PushError};
use crate::message::{Event, Refusal, Request};
use crate::sa::{Sa, SaKeys};
use core::borrow::Borrow;

/// Control's ends: requests down, events up.
#[derive(Debug)]
pub struct Control {}
impl Control {
    /// Writes a request. Ring the doorbell afterwards.
    pub fn push(&mut self, _request: impl Borrow<Request>) -> Result<(), PushError> {
        todo!()
    }
    /// Takes the oldest event. `Ok(None)` = none waits. A malformed event is skipped and reported as `Err`.
    pub fn pop(&mut self) -> Result<Option<Event>, EventError> {
        todo!()
    }
}

/// Why an event could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The ring itself cannot be trusted.
    #[error(transparent)]
    PeerLied(#[from] PeerLied),
    /// One entry is malformed; it was consumed.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The data plane's ends: requests, events, records and keys.
#[derive(Debug)]
pub struct DataPlane {}
impl DataPlane {
    /// Takes the oldest request, and wipes its slot. `Ok(None)` = none waits.
    pub fn pop(&mut self) -> Result<Option<Request>, Bad> {
        todo!()
    }
    /// Writes an event. Ring the doorbell afterwards.
    pub fn push(&mut self, _event: impl Borrow<Event>) -> Result<(), PushError> {
        todo!()
    }
    /// Writes a record, its keys, its first sequence number and an empty window. Refuses a slot that is taken or
    /// whose former SA's handles still live in this process.
    pub fn install(&mut self, _sa: &Sa, _keys: &SaKeys) -> Result<(), Refusal> {
        todo!()
    }
    /// Rewrites the record in `sa.slot`; same SPI and direction, sequence, window and keys stay.
    pub fn update(&mut self, _sa: &Sa) -> Result<(), Refusal> {
        todo!()
    }
    /// Empties the record and wipes its keys. Handles stay harmless.
    pub fn retire(&mut self, _slot: u32) -> Result<(), Refusal> {
        todo!()
    }
    /// After a restart: every SA found, with its keys. Damaged ones come as `Err` and are retired.
    pub fn adopt(&mut self) -> impl Iterator<Item = Result<(Sa, SaKeys), Corrupt>> + '_ {
        core::iter::empty()
    }
}
