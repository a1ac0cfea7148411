//! The age at which a rotated file is deleted. Shared by the deletion and by the command that shows
//! which old files are kept.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::disk::Disk;

/// Files that were last written before this time are older than `keep`, if it is `time` now. `None`
/// if there is no such time.
#[must_use]
pub fn old_before(time: SystemTime, keep: Duration) -> Option<SystemTime> {
    time.checked_sub(keep)
}

/// Whether a file was last written before a time. A file whose time cannot be read counts as new,
/// so that it is kept.
#[must_use]
pub fn is_old(disk: &dyn Disk, path: &Path, before: SystemTime) -> bool {
    disk.modified(path)
        .is_some_and(|modified| modified < before)
}
