//! What octets mean: checked views and emitters for every format that Postern reads or writes, and the
//! IANA registries. No I/O, no clock, no `unsafe`, no allocation in a view.
pub mod selector;
