//! How far a file may be read, and the only way to read one.
//!
//! Another process than `serve` cannot know what is committed: it reads what is there. In `serve`
//! itself a horizon ends at the high-water mark of the commits, so that nothing is handed on that a
//! failed sync may still take back.

use std::io;

use crate::disk::{DiskFile, FileId, read_exact_at};
use crate::journal::read::spans::{Next, boundaries, split};

/// How much of a file's end is looked at first to find the end of its last row; doubled until that
/// is found.
const WINDOW_BYTES: usize = 64 * 1024;

/// How far files may be read.
pub enum Horizon {
    /// To the end that they have: beside a `serve`, or without one.
    FileEnd,
    /// To the end of the last batch that was acknowledged, as the journal publishes it: for a file
    /// how many of its bytes are committed, and `u64::MAX` for one that is no longer written.
    Committed(Box<dyn Fn(FileId) -> u64 + Send>),
}

/// So many bytes of a file may be read. Made by a [`Horizon`], so nothing beyond it is ever read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readable(u64);

impl Horizon {
    pub(super) fn readable(&self, file: &dyn DiskFile, id: FileId) -> io::Result<Readable> {
        // The mark first: it is never beyond what is in the file.
        let committed = match self {
            Self::FileEnd => u64::MAX,
            Self::Committed(mark) => mark(id),
        };
        Ok(Readable(file.len()?.min(committed)))
    }
}

impl Readable {
    pub(super) fn len(self) -> u64 {
        self.0
    }

    /// Whether reading from `from` on for so many bytes ends at the horizon.
    pub(super) fn ends_within(self, from: u64, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        from.saturating_add(bytes) >= self.0
    }

    /// Reads from `from` on, so many bytes at most; fewer if the horizon is nearer, or if somebody
    /// cuts the file meanwhile.
    pub(super) fn read(
        self,
        file: &dyn DiskFile,
        from: u64,
        bytes_max: usize,
    ) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.0.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(bytes_max)];
        match read_exact_at(file, &mut bytes, from) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            read => read.map(|()| bytes),
        }
    }

    /// Where the last whole row ends: what is behind it may still be being written.
    pub(super) fn last_row_end(self, file: &dyn DiskFile) -> io::Result<u64> {
        let mut window = WINDOW_BYTES;
        loop {
            let start = self.0.saturating_sub(length(window));
            let bytes = self.read(file, start, window)?;
            let first = boundaries(&bytes, start == 0).first().copied();
            let end = first.and_then(|first| {
                let end = split(bytes.get(first..)?, Next::Unknown).end;
                (end > 0).then(|| first.saturating_add(end))
            });
            match end {
                Some(end) => return Ok(start.saturating_add(length(end))),
                None if start == 0 => return Ok(0),
                None => window = window.saturating_mul(2),
            }
        }
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
