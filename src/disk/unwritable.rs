//! Why a file or a directory cannot be used, with the command that mends it.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::fix_command;

/// A file or a directory cannot be made or written. The message says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {cause}; {fix}", path.display())]
pub struct Unwritable {
    /// What was tried.
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What mends it, as the end of a sentence.
    pub fix: String,
    /// What the system said.
    pub cause: io::Error,
}

impl Unwritable {
    /// `doing` something with `path` failed for a `cause` that is a matter of the directory `dir`.
    pub(crate) fn new(doing: &'static str, path: &Path, dir: &Path, cause: io::Error) -> Self {
        Self {
            doing,
            path: path.to_owned(),
            fix: fix_command(dir, &cause),
            cause,
        }
    }
}
