//! Repairs the logs from the commit log without a running journal, or reports what that would do.

use std::io;

use crate::disk::{Disk, Open};
use crate::journal::commit::length::COMMIT_LOG_BYTES_MIN;
use crate::journal::commit::replay::{self, Left};
use crate::journal::commit::segment::Segment;
use crate::journal::{LogFiles, Names, Recovered};

/// What the commit log of a port contains that its logs may lack, counted in frames: the copies of
/// batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uncovered {
    /// Frames that a start would replay.
    pub frames: u64,
    /// Frames that had been synced and cannot be read.
    pub missing: u64,
}

/// Completes the logs from the commit log, as a start does, and overwrites the commit log with
/// zeros. Afterwards everything in the logs is durable, and the next start has nothing to replay.
///
/// # Errors
/// The files cannot be read, truncated, written or synced. The commit log then still has its
/// frames.
pub fn repair(mut files: LogFiles) -> io::Result<Recovered> {
    let (recovered, left) = replay::recover(&mut files)?;
    if let Some(Left { file, found }) = left {
        if file.len()? < COMMIT_LOG_BYTES_MIN {
            // Somebody truncated the commit log: `serve` never creates so short a file, and a frame
            // may not fit into it.
            files.discard_commit_log()?;
        } else {
            // `begin` makes a checkpoint durable. Only then may the frames be erased.
            Segment::begin(file, &found)?.erase()?;
        }
    }
    Ok(recovered)
}

/// Reports what the logs of a port may lack. Changes nothing and takes no lock, so the answer is
/// meaningless while a process writes to the logs.
///
/// # Errors
/// The commit log exists and cannot be read.
pub fn uncovered(disk: &dyn Disk, names: &Names) -> io::Result<Uncovered> {
    let file = match disk.open(&names.commit_log(), Open::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Uncovered::default()),
        file => file?,
    };
    let found = replay::scan(file.as_ref())?;
    Ok(Uncovered {
        frames: found.count(),
        missing: found.missing,
    })
}
