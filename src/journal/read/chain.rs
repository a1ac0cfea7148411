//! The files of an endpoint log in order of age. Finds the file of a position, and the file before
//! or after another one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, FileId, Open};
use crate::journal::read::horizon::Horizon;
use crate::journal::read::position::Position;
use crate::journal::{Log, Names, Numbering};

/// How many times a directory is listed at most, if it changes each time while it is listed.
const LISTS_MAX: usize = 10;

/// Used as the number of a file whose name has no number.
const NO_NUMBER: u64 = u64::MAX;

/// The endpoint log of one port: the live file and the rotated ones.
#[derive(Clone)]
pub struct Chain {
    pub(super) disk: Arc<dyn Disk>,
    names: Names,
    numbering: Numbering,
}

/// A file of a chain at the time when the chain was listed.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub path: PathBuf,
    pub id: FileId,
    /// The number in the name; for the live file, the number that it will get when it is rotated.
    pub number: u64,
    pub is_live: bool,
}

/// A file of a chain, open for reading. Renaming it does not change which file is read.
pub(super) struct OpenLink {
    pub link: Link,
    pub file: Box<dyn DiskFile>,
}

/// The result of locating a position.
pub(super) enum Located {
    /// The position is in this file.
    In(OpenLink),
    /// The position is in no file: its file was deleted or compressed, or the bytes before the
    /// position were cut off.
    Gone,
}

impl Chain {
    /// Creates the chain of a port.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, names: Names, numbering: Numbering) -> Self {
        Self {
            disk,
            names,
            numbering,
        }
    }

    /// The path of the live file.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.names.live(Log::Endpoint)
    }

    /// The current name of the file that has a position. `None` if the position is gone.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn file_name(&self, position: &Position) -> io::Result<Option<String>> {
        let Located::In(open) = self.locate(position)? else {
            return Ok(None);
        };
        let name = open.link.path.file_name();
        Ok(name.map(|name| name.to_string_lossy().into_owned()))
    }

    /// The file that has a position. `None` if the position is gone.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn file_of(&self, position: &Position) -> io::Result<Option<FileId>> {
        match self.locate(position)? {
            Located::In(open) => Ok(Some(open.link.id)),
            Located::Gone => Ok(None),
        }
    }

    /// The number of bytes after a position, up to the horizon: the end of the log or of the last
    /// commit. `None` if the position is gone.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn bytes_after(&self, position: &Position, horizon: &Horizon) -> io::Result<Option<u64>> {
        let Located::In(at) = self.locate(position)? else {
            return Ok(None);
        };
        let rest = horizon.readable(at.file.as_ref(), at.link.id)?.len();
        let mut bytes = rest.saturating_sub(position.offset());
        let links = self.links()?.into_iter();
        for link in links.skip_while(|link| link.id != at.link.id).skip(1) {
            let id = link.id;
            if let Some(open) = self.open(link)? {
                let len = horizon.readable(open.file.as_ref(), id)?.len();
                bytes = bytes.saturating_add(len);
            }
        }
        Ok(Some(bytes))
    }

    /// Moved, copied or compressed files, each with the reason why none of its records is read.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn left_out(&self) -> io::Result<Vec<(PathBuf, &'static str)>> {
        self.names.others(self.disk.as_ref(), Log::Endpoint)
    }

    /// Uncompressed files whose names have no number: the log may have been moved or copied there.
    pub(super) fn unnumbered(&self) -> io::Result<Vec<PathBuf>> {
        let paths = self.left_out()?.into_iter().map(|(path, _why)| path);
        let is_packed = |path: &PathBuf| path.to_str().is_some_and(Names::is_packed);
        Ok(paths.filter(|path| !is_packed(path)).collect())
    }

    /// The identity of the live file. `None` if it does not exist now.
    pub(super) fn live_id(&self) -> io::Result<Option<FileId>> {
        match self.disk.identity(&self.live()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// All files, oldest first. A file that is renamed meanwhile occurs once.
    pub(super) fn links(&self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        for _ in 0..LISTS_MAX {
            let live = self.live_id()?;
            links = self.list(live)?;
            // A rotation while listing would hide the file that was live.
            if self.live_id()? == live {
                break;
            }
        }
        Ok(links)
    }

    fn list(&self, live: Option<FileId>) -> io::Result<Vec<Link>> {
        let disk = self.disk.as_ref();
        let mut numbers = self.names.rotated_numbers(disk, Log::Endpoint)?;
        let next = match self.numbering {
            Numbering::Ascending => self.names.next_number(disk, Log::Endpoint)?,
            Numbering::Descending => {
                numbers.reverse();
                0
            }
        };
        let mut links = Vec::new();
        for number in numbers {
            let path = self.names.rotated(Log::Endpoint, number);
            // Skip a file that was deleted after the directory had been listed.
            let Ok(id) = disk.identity(&path) else {
                continue;
            };
            links.push(Link {
                path,
                id,
                number,
                is_live: false,
            });
        }
        if let Some(id) = live {
            // A file that was renamed while listing is among the rotated files as well.
            links.retain(|link| link.id != id);
            links.push(Link {
                path: self.live(),
                id,
                number: next,
                is_live: true,
            });
        }
        Ok(links)
    }

    /// Opens a file. Returns `None` if its name now belongs to another file or to none, or if it is
    /// not a regular file.
    pub(super) fn open(&self, link: Link) -> io::Result<Option<OpenLink>> {
        let file = match self.disk.open(&link.path, Open::Read) {
            Err(error) if is_no_file(&error) => return Ok(None),
            file => file?,
        };
        // The name may belong to another file by now.
        let is_it = file.identity()? == link.id;
        Ok(is_it.then_some(OpenLink { link, file }))
    }

    /// Whether the file at `path` is a copy of the beginning of one of `links`, or of `left`, the
    /// file that a follower has finished. A file that cannot be read counts as different.
    pub(super) fn is_beginning(
        &self,
        path: &Path,
        left: &OpenLink,
        links: &[Link],
    ) -> io::Result<bool> {
        let opened = match self.disk.open(path, Open::Read) {
            // The file was deleted or is not a regular file, so it has no rows.
            Err(error) if is_no_file(&error) => return Ok(true),
            opened => opened,
        };
        let end = opened.and_then(|file| Position::of(file.as_ref(), NO_NUMBER, file.len()?));
        let Ok(end) = end else { return Ok(false) };
        if end.is_in(left.file.as_ref())? {
            return Ok(true);
        }
        for link in links {
            if let Some(open) = self.open(link.clone())?
                && end.is_in(open.file.as_ref())?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds the file of a position. Tries the file with the same number first, then all others.
    pub(super) fn locate(&self, position: &Position) -> io::Result<Located> {
        let mut links = self.links()?;
        links.reverse();
        // The sort is stable, so the other files stay in order of age, youngest first.
        links.sort_by_key(|link| link.number != position.number());
        if position.offset() == 0 {
            // No bytes before the position identify the file, so only its number does.
            links.retain(|link| link.number == position.number());
        } else {
            links.extend(self.renamed()?);
        }
        for link in links {
            if let Some(open) = self.open(link)?
                && position.is_in(open.file.as_ref())?
            {
                return Ok(Located::In(open));
            }
        }
        Ok(Located::Gone)
    }

    /// Files whose names have no number: somebody may have moved or copied the log there.
    fn renamed(&self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        for path in self.unnumbered()? {
            if let Ok(id) = self.disk.identity(&path) {
                links.push(Link {
                    path,
                    id,
                    number: NO_NUMBER,
                    is_live: false,
                });
            }
        }
        Ok(links)
    }

    /// Whether `second` is the number of the file directly after `first`.
    pub(super) fn is_next(&self, first: u64, second: u64) -> bool {
        match self.numbering {
            Numbering::Ascending => first.checked_add(1) == Some(second),
            Numbering::Descending => second.checked_add(1) == Some(first),
        }
    }

    /// Whether `first` is the number of an older file than `second`.
    pub(super) fn is_older(&self, first: u64, second: u64) -> bool {
        match self.numbering {
            Numbering::Ascending => first < second,
            Numbering::Descending => first > second,
        }
    }

    /// Whether, by their numbers, `second` may follow `first`. The numbers of logrotate change at
    /// each rotation, so with them any file may follow.
    pub(super) fn may_follow(&self, first: &Link, second: &Link) -> bool {
        match self.numbering {
            Numbering::Ascending => {
                first.number == NO_NUMBER || !self.is_older(second.number, first.number)
            }
            Numbering::Descending => true,
        }
    }
}

/// Whether the error says that no regular file is there.
fn is_no_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
    )
}
