//! The positions of the reader after the chunks that the cursor has not passed.

use std::collections::VecDeque;

use crate::journal::Saved;

/// How many chunks have a position of their own. One notification may stay open for a day, and a
/// chunk of the newest rows is read a hundred times a second.
const CHUNKS_MAX: usize = 256;

/// The positions of the reader, oldest first, each with the number of its chunk.
#[derive(Debug, Default)]
pub(super) struct Behind {
    chunks: VecDeque<(u64, Saved)>,
}

impl Behind {
    /// Adds the position after the next chunk.
    pub(super) fn push(&mut self, chunk: u64, position: Saved) {
        self.chunks.push_back((chunk, position));
        if self.chunks.len() > CHUNKS_MAX {
            self.thin();
        }
    }

    /// Removes what is before a chunk. Returns the last position that was removed: the cursor is
    /// saved with it.
    pub(super) fn pass(&mut self, chunk: u64) -> Option<Saved> {
        let passed = self.chunks.partition_point(|(number, _)| *number < chunk);
        let last = self.chunks.drain(..passed).next_back();
        last.map(|(_, position)| position)
    }

    /// The newest position.
    pub(super) fn last(&self) -> Option<&Saved> {
        self.chunks.back().map(|(_, position)| position)
    }

    /// The newest position, to be moved over what has no rows.
    pub(super) fn last_mut(&mut self) -> Option<&mut Saved> {
        self.chunks.back_mut().map(|(_, position)| position)
    }

    /// Removes all, and returns the newest position.
    pub(super) fn take_last(&mut self) -> Option<Saved> {
        let last = self.chunks.pop_back();
        self.chunks.clear();
        last.map(|(_, position)| position)
    }

    /// Forgets every second position, so that there are fewer the older they are. A cursor that
    /// stops there is saved with an earlier position of the reader; its own place stays exact.
    fn thin(&mut self) {
        let newest = self.chunks.back().map(|(number, _)| *number);
        let mut is_kept = false;
        self.chunks.retain(|(number, _)| {
            is_kept = !is_kept;
            is_kept || Some(*number) == newest
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A position that differs from those after other chunks.
    fn after(chunk: u64) -> Saved {
        Saved {
            unnumbered: Some(vec![PathBuf::from(chunk.to_string())]),
            ..Saved::default()
        }
    }

    fn chunk(position: &Saved) -> u64 {
        let name = &position.unnumbered.as_ref().unwrap()[0];
        name.to_str().unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_passed_leaves_the_position_after_it() {
        let mut behind = Behind::default();
        (1..=5).for_each(|number| behind.push(number, after(number)));
        assert!(behind.pass(1).is_none());
        assert_eq!(behind.pass(4).as_ref().map(chunk), Some(3));
        assert!(behind.pass(4).is_none());
        assert_eq!(behind.last().map(chunk), Some(5));
        assert_eq!(behind.take_last().as_ref().map(chunk), Some(5));
        assert!(behind.last().is_none() && behind.pass(9).is_none());
    }

    #[test]
    fn however_many_chunks_are_open_the_newest_position_is_there_and_never_a_later_one() {
        let mut behind = Behind::default();
        for number in 1..=100_000 {
            behind.push(number, after(number));
            assert!(behind.chunks.len() <= CHUNKS_MAX);
            assert_eq!(behind.last().map(chunk), Some(number));
        }
        let passed = behind.pass(99_990).as_ref().map(chunk).unwrap();
        assert!((99_900..99_990).contains(&passed), "{passed}");
    }
}
