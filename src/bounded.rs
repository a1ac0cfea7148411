//! Reads complete files, bounded in size and time, because a path from a user may name a device or
//! a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The time limit for a pipe or a device. A regular file has none.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads all of a file of at most `bytes_max` bytes. A pipe, as in `<(command)`, must end within 10
/// s.
///
/// # Errors
/// The system's; [`io::ErrorKind::FileTooLarge`], [`io::ErrorKind::TimedOut`].
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_within(path, bytes_max, PIPE_TIMEOUT)
}

/// The same as text.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, bytes_max)?);
    text.map_err(|_invalid| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads to the end, which must be within `bytes_max` bytes.
///
/// # Errors
/// As [`read`], without the time limit.
pub(crate) fn read_all(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than the limit, so that a file of exactly that size is not rejected.
    from.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        return Ok(bytes);
    }
    Err(io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it has more than {bytes_max} bytes, the most that are read"),
    ))
}

fn read_within(path: &Path, bytes_max: u64, limit: Duration) -> io::Result<Vec<u8>> {
    // A regular file ends, so it needs neither a thread nor a time limit. `metadata` does not open
    // the file, so it cannot block on a pipe.
    if std::fs::metadata(path)?.is_file() {
        return read_all(File::open(path)?, bytes_max);
    }
    // Opening a pipe without a writer blocks, and so may each read. The thread cannot be stopped:
    // it ends with the pipe or with the process.
    let (sender, outcome) = mpsc::sync_channel(1);
    let owned = path.to_owned();
    let read =
        move || drop(sender.send(File::open(owned).and_then(|file| read_all(file, bytes_max))));
    thread::Builder::new()
        .name("read-pipe".to_owned())
        .spawn(read)?;
    match outcome.recv_timeout(limit) {
        Ok(read) => read,
        Err(RecvTimeoutError::Timeout) => {
            let why = format!(
                "it is a pipe or a device that did not end within {limit:?}; give a regular file"
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
        // The thread always sends before it ends, unless it panics.
        Err(RecvTimeoutError::Disconnected) => {
            Err(io::Error::other("the thread that read it ended early"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn fifo(dir: &tempfile::TempDir) -> std::path::PathBuf {
        let path = dir.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_a_larger_one_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert_eq!(
            read(&path, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(
            read(&dir.path().join("none"), 4).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(
            read_text(&path, 4).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn reads_of_an_endless_device_and_of_a_pipe_without_a_writer_end() {
        assert_eq!(
            read(Path::new("/dev/zero"), 1000).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        let dir = tempfile::tempdir().unwrap();
        // Nobody ever opens the pipe for writing, so a longer wait would change nothing.
        let late = read_within(&fifo(&dir), 1000, Duration::from_millis(50)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_pipe_that_ends_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(&dir);
        let writer = path.clone();
        let written = thread::spawn(move || {
            File::options()
                .write(true)
                .open(writer)
                .unwrap()
                .write_all(b"listen")
        });
        assert_eq!(read_text(&path, 1000).unwrap(), "listen");
        written.join().unwrap().unwrap();
    }
}
