//! Directories: the parent of a path, and how names become durable.

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

/// The directory that contains a path.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        // The parent of a bare file name is the empty path, which cannot be opened.
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
