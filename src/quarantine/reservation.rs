//! The file that a request is to be kept in, reserved before the request is written.

use crate::quarantine::files::Provenance;

/// The file that a request is to be kept in. Its signature is marked until the request is dropped.
#[derive(Debug)]
pub struct Reserved {
    pub(super) number: u64,
    pub(super) provenance: Provenance,
    pub(super) mark: Option<Mark>,
}

/// Where a request is kept.
#[derive(Debug)]
pub enum Location {
    /// In a file of its own, once it is handed over.
    New(Reserved),
    /// The same request came before, and this is the number of its file.
    Known(u64),
}

/// The number of a signature, under a key that nobody knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(pub(super) u64);
