//! Checks the owner of the logs: a command that writes to them must run as the user who owns their
//! directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Refuses any other user: `serve` could not open files that the other user created.
pub(in crate::command) fn refuse_other_than_owner(dir: &Path) -> anyhow::Result<()> {
    let owner = match fs::metadata(dir) {
        Ok(found) => found.uid(),
        // The directory does not exist yet, so no file in it can have another owner.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at {}", dir.display()));
        }
    };
    let user = rustix::process::geteuid().as_raw();
    if user != owner {
        bail!(
            "{} belongs to the user {owner}, and this is {user}, whose files serve could not open: \
             run it with sudo -u '#{owner}'",
            dir.display()
        );
    }
    Ok(())
}
