//! The file for a refused request, reserved before the request is written.

use crate::quarantine::files::Provenance;

/// A reserved file for a request. The request's signature is remembered until the request is
/// dropped.
#[derive(Debug)]
pub struct Reserved {
    pub(super) number: u64,
    pub(super) provenance: Provenance,
    pub(super) mark: Option<Mark>,
}

/// The place of a saved request.
#[derive(Debug)]
pub enum Location {
    /// In a new file, once it is queued.
    New(Reserved),
    /// The same request arrived before. This is the number of its file.
    Known(u64),
}

/// The hash of a signature with a secret key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(pub(super) u64);
