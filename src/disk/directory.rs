//! Directories: the one that holds a name, and how its names are made durable.

use std::io;
use std::path::Path;

use crate::disk::{Disk, Open};

/// Makes the names in a directory durable.
///
/// # Errors
/// The disk's.
pub fn sync_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.open(dir, Open::Directory)?.sync()
}

/// The directory that holds a name.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
