//! The exchanges (RFC 7296 §1.2–1.4), one file for each side of each.
pub(crate) mod answer;
pub(crate) mod answer_child;
pub(crate) mod answer_ike;
pub(crate) mod ask_child;
pub(crate) mod ask_ike;
pub(crate) mod asking;
pub(crate) mod call;
pub(crate) mod choose_child;
pub(crate) mod draft;
pub(crate) mod identify;
pub(crate) mod inform;
pub(crate) mod judge;
pub(crate) mod prove;
pub(crate) mod session;
