//! A file filled with zeros once, so that overwriting it later changes no metadata.

use std::io;
use std::path::PathBuf;

use crate::disk::{Latched, Open, parent, sync_dir};

/// Zeros are written in chunks of this size.
const PIECE_BYTES: usize = 1024 * 1024;

/// A file to create.
pub(crate) struct Blank {
    pub disk: Latched,
    /// Its path.
    pub path: PathBuf,
    /// The path under which it is written first, in the same directory.
    pub draft: PathBuf,
    /// Its permissions, before the umask.
    pub mode: u32,
    /// Its length, in bytes.
    pub bytes: u64,
}

impl Blank {
    /// Creates the file, durable under its path. Bypasses the latch: a failed sync here says
    /// nothing about acknowledged records.
    pub(crate) fn make(&self) -> io::Result<()> {
        let disk = self.disk.unlatched();
        let made = self.write().and_then(|()| {
            disk.rename(&self.draft, &self.path)?;
            sync_dir(disk, parent(&self.path))
        });
        // The draft takes space, and a full disk may be why this failed.
        made.inspect_err(|_| drop(disk.remove(&self.draft)))
    }

    fn write(&self) -> io::Result<()> {
        let mode = self.mode;
        let disk = self.disk.unlatched();
        let mut file = disk.open(&self.draft, Open::Draft { mode })?;
        // Written, not only allocated: the first write to a block that was merely allocated changes
        // metadata.
        let zeros = vec![0; PIECE_BYTES];
        let mut place = 0_u64;
        while place < self.bytes {
            let left = self.bytes.saturating_sub(place);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = zeros.get(..left).unwrap_or(&zeros);
            file.write_at(piece, place)?;
            place = place.saturating_add(u64::try_from(piece.len()).map_err(io::Error::other)?);
        }
        // Before the rename, so that after a crash the path never leads to a part of the file.
        file.sync()
    }
}
