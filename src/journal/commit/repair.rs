//! The logs are completed from the commit log without a journal, and what that would do is said
//! without a change.

use std::io;

use crate::disk::{Disk, Open};
use crate::journal::commit::length::COMMIT_LOG_BYTES_MIN;
use crate::journal::commit::replay::{self, Left};
use crate::journal::commit::segment::Segment;
use crate::journal::{LogFiles, Names, Recovered};

/// What the commit log of a port has that its logs may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uncovered {
    /// Frames that a start writes to the logs again.
    pub frames: u64,
    /// Frames that had been synced and cannot be read.
    pub missing: u64,
}

/// Completes the logs from the commit log, as a start does, and overwrites the commit log with
/// zeros. All that is in the logs is durable then, and the next start has nothing to do.
///
/// # Errors
/// The files cannot be read, cut, written or synced. The commit log then still has its frames.
pub fn repair(mut files: LogFiles) -> io::Result<Recovered> {
    let (recovered, left) = replay::recover(&mut files)?;
    if let Some(Left { file, found }) = left {
        if file.len()? < COMMIT_LOG_BYTES_MIN {
            // Somebody made it shorter than any serve does: it may have no room for a frame.
            files.discard_commit_log()?;
        } else {
            // The checkpoint comes first: until it is durable the frames must stay.
            Segment::begin(file, &found)?.erase()?;
        }
    }
    Ok(recovered)
}

/// Says what the logs of a port may lack; changes nothing and takes no lock. Beside a process that
/// writes to the logs the answer means nothing.
///
/// # Errors
/// The commit log is there and cannot be read.
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
