//! Finds the file that follows a finished one, and whether there may have been another file between
//! the two.
//!
//! The number of a file is the one in its name or, for the live file, the one that its rotation
//! will give it. A file without a number is a copy, or somebody moved it.

use std::io;
use std::path::PathBuf;

use crate::disk::FileId;
use crate::journal::read::chain::{Chain, Link, OpenLink};

/// The files that existed when a follower opened its file, so that it recognises those that were
/// created later.
pub(super) struct Successor {
    /// The files that are older than the opened file.
    older: Vec<FileId>,
    /// The files without a number.
    unnumbered: Vec<PathBuf>,
}

/// The next file to read.
pub(super) struct NextFile {
    pub link: Link,
    /// The name of the previous file, if it is known.
    pub old_name: Option<PathBuf>,
    /// Whether it is certain that no file was between the previous file and this one.
    pub is_certain: bool,
}

impl Successor {
    /// Records the files that exist now.
    pub(super) fn of(chain: &Chain, link: &Link) -> io::Result<Self> {
        let links = chain.links()?;
        // If the file is not listed, it is a copy or was moved away, and only the live file can
        // follow it.
        let older = links
            .iter()
            .take_while(|other| other.id != link.id && !other.is_live);
        Ok(Self {
            older: older.map(|link| link.id).collect(),
            unnumbered: chain.unnumbered()?,
        })
    }

    /// Whether a file without a number exists that is not in `unnumbered` and may have rows that no
    /// other file has. Somebody may have moved the log to that file, or copied the log there and
    /// then truncated it. A mere copy does not count, because it is a prefix of a file that still
    /// exists. `left`, the file that the follower has finished, does not count if it was renamed.
    fn has_strangers(&self, chain: &Chain, left: &OpenLink, links: &[Link]) -> io::Result<bool> {
        for path in chain.unnumbered()? {
            if !self.unnumbered.contains(&path) && !chain.is_beginning(&path, left, links)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Replaces `unnumbered` with the files without a number that existed when the progress of a
    /// follower was saved.
    pub(super) fn saved(&mut self, unnumbered: Vec<PathBuf>) {
        self.unnumbered = unnumbered;
    }

    pub(super) fn unnumbered(&self) -> &[PathBuf] {
        &self.unnumbered
    }

    /// The file that follows `left`. `None` as long as `left` is the live file.
    pub(super) fn find(&self, chain: &Chain, left: &OpenLink) -> io::Result<Option<NextFile>> {
        let link = &left.link;
        match chain.live_id()? {
            Some(live) if live != link.id => {}
            // Between two steps of a rotation there is no live file.
            Some(_) | None => return Ok(None),
        }
        let links = chain.links()?;
        let Some(place) = links.iter().position(|other| other.id == link.id) else {
            return self.after_one_without_number(chain, left, links);
        };
        let has_strangers = self.has_strangers(chain, left, &links)?;
        let old = links.get(place).cloned();
        let next = links.into_iter().nth(place.saturating_add(1));
        Ok(next.zip(old).map(|(next, old)| NextFile {
            is_certain: !has_strangers && chain.is_next(old.number, next.number),
            link: next,
            old_name: Some(old.path),
        }))
    }

    /// Finds the next file after one that was deleted or compressed, or whose name has no number.
    fn after_one_without_number(
        &self,
        chain: &Chain,
        left: &OpenLink,
        links: Vec<Link>,
    ) -> io::Result<Option<NextFile>> {
        let link = &left.link;
        let has_strangers = self.has_strangers(chain, left, &links)?;
        let younger =
            |other: &Link| !self.older.contains(&other.id) && chain.may_follow(link, other);
        let Some(next) = links.into_iter().find(younger) else {
            return Ok(None);
        };
        // A live file that was moved away never gets the number that a rotation would have given
        // it. If the next file has that number, no file was between the two, except perhaps one
        // whose name has no number.
        let is_certain = chain.is_next(link.number, next.number)
            || (link.is_live && link.number == next.number && !has_strangers);
        Ok(Some(NextFile {
            link: next,
            old_name: None,
            is_certain,
        }))
    }
}
