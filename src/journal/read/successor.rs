//! Which file follows one that is no longer written, and whether another one may have been between
//! them.

use std::io;
use std::path::PathBuf;

use crate::disk::FileId;
use crate::journal::read::chain::{Chain, Link, OpenLink};

/// What was there when a file was opened, to tell what came later.
pub(super) struct Successor {
    /// The files that are older than it.
    older: Vec<FileId>,
    /// Names without a number.
    unnumbered: Vec<PathBuf>,
}

/// The file that follows.
pub(super) struct NextFile {
    pub link: Link,
    /// The name of the file before it, if that is known.
    pub old_name: Option<PathBuf>,
    /// Whether no file was between them.
    pub is_certain: bool,
}

impl Successor {
    /// What is there now.
    pub(super) fn of(chain: &Chain, link: &Link) -> io::Result<Self> {
        let links = chain.links()?;
        // One that is not among them is a copy, or was moved away: only the live one follows it.
        let older = links
            .iter()
            .take_while(|other| other.id != link.id && !other.is_live);
        Ok(Self {
            older: older.map(|link| link.id).collect(),
            unnumbered: chain.unnumbered()?,
        })
    }

    /// Whether a file has come since under a name without a number that may have rows which no
    /// other file has: it was moved there, or copied before somebody cut it. A mere copy is the
    /// beginning of a file that is still there, and so is the one that was `left` itself.
    fn has_strangers(&self, chain: &Chain, left: &OpenLink, links: &[Link]) -> io::Result<bool> {
        for path in chain.unnumbered()? {
            if !self.unnumbered.contains(&path) && !chain.is_beginning(&path, left, links)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was there when a consumer saved its state.
    pub(super) fn saved(&mut self, unnumbered: Vec<PathBuf>) {
        self.unnumbered = unnumbered;
    }

    pub(super) fn unnumbered(&self) -> &[PathBuf] {
        &self.unnumbered
    }

    /// The file that follows `left`; `None` while that is the one that is written.
    pub(super) fn find(&self, chain: &Chain, left: &OpenLink) -> io::Result<Option<NextFile>> {
        let link = &left.link;
        match chain.live_id()? {
            Some(live) if live != link.id => {}
            // Between two steps of a rotation there is none.
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

    /// The file was deleted or packed, or has a name without a number.
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
        // If it never got its number the next file has it, unless another one in between was moved
        // to a name as well.
        let is_certain = chain.is_next(link.number, next.number)
            || (link.is_live && link.number == next.number && !has_strangers);
        Ok(Some(NextFile {
            link: next,
            old_name: None,
            is_certain,
        }))
    }
}
