//! Regular files, opened so that a FIFO or a device at their path cannot block a thread.
//!
//! Opening a FIFO waits for its other end, writing to one waits for its reader, and a device cannot
//! be synced. Somebody may have put either at the path of a log or a certificate, or behind a
//! symbolic link.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file, or creates one if `options` say so. Never waits for a peer.
///
/// # Errors
/// The disk's. [`io::ErrorKind::InvalidInput`] if `path` leads to something other than a regular
/// file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Checked before the file is opened too, because opening some devices has side effects.
    if let Ok(found) = fs::metadata(path) {
        demand_regular(&found)?;
    }
    let file = open_any(path, options)?;
    // Checked again, because the name may lead elsewhere by now.
    demand_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens whatever is there, without waiting for a peer.
///
/// # Errors
/// The disk's.
pub(crate) fn open_any(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without NONBLOCK, opening a FIFO waits for its other end. With NOCTTY, a terminal does not
    // become the controlling terminal of this process.
    // NONBLOCK stays set, and has no effect on reads and writes of a regular file.
    options
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
}

/// Opens a regular file for reading.
///
/// # Errors
/// Those of [`open`].
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// What is at `path`, if it exists and is not a regular file, as a phrase: "a FIFO".
pub(crate) fn not_regular(path: &Path) -> Option<&'static str> {
    fs::metadata(path).ok().and_then(|found| kind(&found))
}

/// Why `path` cannot be a regular file, as a phrase: "a FIFO". `None` if it can.
pub(crate) fn obstacle(path: &Path) -> Option<&'static str> {
    match fs::metadata(path) {
        Ok(found) => kind(&found),
        Err(_) => {
            let link = fs::symlink_metadata(path).ok()?;
            link.is_symlink()
                .then_some("a symbolic link that leads to no file")
        }
    }
}

/// The nearest existing path on the way to a directory, if it is not a directory, with a phrase: "a
/// device". Also `None` for a regular file, which somebody may have put there by mistake.
pub(crate) fn in_the_way(dir: &Path) -> Option<(&Path, &'static str)> {
    let (path, found) = dir
        .ancestors()
        .find_map(|path| Some((path, fs::metadata(path).ok()?)))?;
    kind(&found)
        .filter(|_| !found.is_dir())
        .map(|kind| (path, kind))
}

fn demand_regular(found: &Metadata) -> io::Result<()> {
    match kind(found) {
        None => Ok(()),
        Some(kind) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is {kind}, not a regular file"),
        )),
    }
}

/// `None` for a regular file.
fn kind(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a FIFO"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}
