//! A follower continues in the next younger file.

use std::io;

use crate::journal::read::event::Event;
use crate::journal::read::follow::Follower;
use crate::journal::read::horizon::Readable;
use crate::journal::read::spans::{Next, split};

impl Follower {
    /// Moves on to the next file if the current one is finished. Returns whether to poll at once.
    pub(super) fn change_file(
        &mut self,
        readable: Readable,
        events: &mut Vec<Event>,
    ) -> io::Result<bool> {
        let Some(at) = &self.at else { return Ok(false) };
        let Some(next) = at.successor.find(&self.chain, &at.open)? else {
            return Ok(false);
        };
        let Some(open) = self.chain.open(next.link)? else {
            return Ok(false);
        };
        // After a rename by somebody else, `serve` writes to the old file until it opens the new
        // one. An empty live file may mean that `serve` has not yet opened it.
        if open.link.is_live && open.file.len()? == 0 {
            return Ok(false);
        }
        let file = at.open.file.as_ref();
        let now_readable = self.horizon.readable(file, at.open.link.id)?;
        if now_readable != readable {
            return Ok(true);
        }
        if now_readable.len() < file.len()? {
            // The journal has not published yet that the whole file is committed.
            return Ok(false);
        }
        let was = at.open.link.path.clone();
        let path = open.link.path.clone();
        // Before the rest is taken: an error would drop its rows, and they would not be read again.
        let entered = self.at(open, 0)?;
        let rest = readable.read(file, at.offset, usize::MAX)?;
        // Also if there is no rest: the file may have been emptied, and have grown to this length.
        if !self.is_in_place()? {
            return self.go_back();
        }
        self.take(&rest, &split(&rest, Next::Other), events)?;
        if !next.is_certain {
            self.miss();
        }
        if self.again.as_ref().map(|again| again.id) == self.file_id() {
            self.again = None;
        }
        events.push(Event::Continued {
            was,
            now: next.old_name,
            next: path,
        });
        self.enter(entered);
        Ok(true)
    }
}
