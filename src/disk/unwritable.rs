//! Why a file or a directory cannot be used, with the command that fixes it.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::fix_command;

/// A file or a directory cannot be created or written. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {cause}; {fix}", path.display())]
pub struct Unwritable {
    /// The operation.
    pub doing: &'static str,
    /// The path.
    pub path: PathBuf,
    /// How to fix it, as the end of a sentence.
    pub fix: String,
    /// The error of the system.
    pub cause: io::Error,
}

impl Unwritable {
    /// The operation `doing` on `path` failed for a `cause` that concerns the directory `dir`.
    pub(crate) fn new(doing: &'static str, path: &Path, dir: &Path, cause: io::Error) -> Self {
        Self {
            doing,
            path: path.to_owned(),
            fix: fix_command(dir, &cause),
            cause,
        }
    }
}
