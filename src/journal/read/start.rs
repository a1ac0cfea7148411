//! Finds where a follower starts, and where it continues if what it has read is no longer in the
//! log.

use std::io;

use crate::journal::read::chain::{Link, Located};
use crate::journal::read::event::Start;
use crate::journal::read::follow::Follower;
use crate::journal::read::position::Position;
use crate::journal::read::trail::Trail;

impl Follower {
    /// Goes to the starting position if the follower has no position yet. Afterwards the follower
    /// returns every row that is written from now on.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn go_to_start(&mut self) -> io::Result<()> {
        if self.at.is_none() {
            self.begin()?;
        }
        Ok(())
    }

    /// Goes to the starting position. Returns whether there is a file to read.
    pub(super) fn begin(&mut self) -> io::Result<bool> {
        let start = self.start.clone();
        let delivered = match &start {
            Some(Start::Saved(saved)) => saved.delivered,
            Some(Start::Oldest | Start::Newest) | None => None,
        };
        // Before there is a position: after an error the next poll would go on from it, and mark no
        // possible repeats.
        let located = delivered
            .map(|place| self.chain.locate(&place))
            .transpose()?;
        let is_begun = match start {
            Some(Start::Saved(saved)) if !saved.trail.is_empty() => {
                self.trail = Trail::saved(&saved.trail);
                self.last_time = saved.time;
                let is_found = self.find_again()?;
                if let (Some(at), Some(unnumbered)) = (&mut self.at, saved.unnumbered) {
                    at.successor.saved(unnumbered);
                }
                is_found
            }
            Some(Start::Newest) => self.begin_at_end()?,
            Some(Start::Oldest | Start::Saved(_)) | None => {
                let oldest = self.chain.links()?.into_iter().next();
                self.enter_beginning(oldest)?
            }
        };
        if let (true, Some(delivered), Some(Located::In(open))) = (is_begun, delivered, located) {
            self.mark_until(&open.link, delivered.offset());
        }
        if is_begun {
            self.start = None;
        }
        Ok(is_begun)
    }

    /// Goes back to the newest position whose preceding bytes are unchanged.
    pub(super) fn go_back(&mut self) -> io::Result<bool> {
        self.before = None;
        self.find_again()
    }

    /// Goes to the newest position of the trail that is still in the log. If there is no such
    /// position, goes to the beginning of the oldest file that may be unread.
    fn find_again(&mut self) -> io::Result<bool> {
        let left = self.file_id();
        let newest = self.trail.newest();
        for place in self.trail.places() {
            let Located::In(open) = self.chain.locate(&place)? else {
                continue;
            };
            let link = open.link.clone();
            // Before the trail is shortened: after an error the follower is still where it was, and
            // a shortened trail would not show that the bytes before it have changed.
            let at = self.at(open, place.offset())?;
            if left.is_some_and(|left| left != link.id) {
                // Somebody copied the file and truncated the original. Rows that were written
                // between the two steps are lost.
                self.miss();
            }
            if let Some(newest) = newest.filter(|newest| *newest != place) {
                let is_same = newest.number() == place.number();
                self.mark_until(&link, if is_same { newest.offset() } else { u64::MAX });
            }
            self.trail.go_back(&place);
            self.enter(at);
            return Ok(true);
        }
        self.miss();
        let links = self.chain.links()?;
        let is_unread = |link: &Link| {
            newest.is_none_or(|newest| !self.chain.is_older(link.number, newest.number()))
        };
        let next = links.iter().find(|link| is_unread(link)).or(links.first());
        let next = next.cloned();
        self.enter_beginning(next)
    }

    fn enter_beginning(&mut self, link: Option<Link>) -> io::Result<bool> {
        let Some(open) = link
            .map(|link| self.chain.open(link))
            .transpose()?
            .flatten()
        else {
            return Ok(false);
        };
        let at = self.at(open, 0)?;
        self.enter(at);
        Ok(true)
    }

    fn begin_at_end(&mut self) -> io::Result<bool> {
        let live = self.chain.links()?.into_iter().next_back();
        let Some(open) = live
            .map(|link| self.chain.open(link))
            .transpose()?
            .flatten()
        else {
            return Ok(false);
        };
        let readable = self.readable(&open)?;
        let end = readable.last_row_end(open.file.as_ref())?;
        let place = Position::of(open.file.as_ref(), open.link.number, end)?;
        let at = self.at(open, end)?;
        // Record this position: without one to compare with, a truncation that happens before the
        // follower has read its first row would go unnoticed.
        self.trail.advance(0, place);
        self.enter(at);
        Ok(true)
    }
}
