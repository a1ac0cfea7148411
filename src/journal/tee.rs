//! The copy of the access lines, for stdout.

use std::io;
use std::time::{Duration, Instant};

use crate::journal::chores::later;

/// For how long lines are held back: handed over with each commit they cost a lone sender a fifth
/// of the CPU of its push, and nobody who reads stdout sees the difference.
const HELD_BACK_MAX: Duration = Duration::from_millis(5);
/// Lines are handed over once they have this many bytes, however busy the writer is. Larger batches
/// go alone.
const HELD_BACK_BYTES_MAX: usize = 64 * 1024;

/// Hands the lines of several batches over at once: each time wakes the thread behind it, and the
/// next commit waits for that.
pub(super) struct Tee {
    /// Must not block. `None` where nobody wants a copy.
    out: Option<Box<dyn io::Write + Send>>,
    held_back: Vec<u8>,
    /// When they are handed over; `None` if there are none.
    due: Option<Instant>,
}

impl Tee {
    pub(super) fn new(out: Option<Box<dyn io::Write + Send>>) -> Self {
        Self {
            out,
            held_back: Vec::new(),
            due: None,
        }
    }

    /// Takes the lines of a batch that was committed.
    pub(super) fn add(&mut self, lines: &[u8], now: Instant) {
        if self.out.is_none() || lines.is_empty() {
            return;
        }
        if self.held_back.len().saturating_add(lines.len()) > HELD_BACK_BYTES_MAX {
            self.hand_over();
        }
        self.held_back.extend_from_slice(lines);
        self.due = self.due.or_else(|| Some(later(now, HELD_BACK_MAX)));
    }

    /// When lines are to be handed over, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what was held back.
    pub(super) fn hand_over(&mut self) {
        if let Some(out) = &mut self.out
            && !self.held_back.is_empty()
        {
            // Lossy by contract: what is behind it counts what it drops.
            drop(out.write_all(&self.held_back));
            self.held_back.clear();
        }
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Writes {
        fn sizes(&self) -> Vec<usize> {
            self.0.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    impl io::Write for Writes {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(lines.to_vec());
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_handed_over_once_in_order_and_before_they_are_too_many() {
        let (writes, now) = (Writes::default(), Instant::now());
        let mut tee = Tee::new(Some(Box::new(writes.clone())));
        tee.add(b"one\n", now);
        tee.add(b"two\n", now);
        assert!(writes.sizes().is_empty());
        assert_eq!(tee.due(), Some(now + HELD_BACK_MAX));
        tee.hand_over();
        tee.hand_over();
        assert_eq!(tee.due(), None);
        assert_eq!(*writes.0.lock().unwrap(), [b"one\ntwo\n".to_vec()]);
        tee.add(&[b'a'; HELD_BACK_BYTES_MAX], now);
        tee.add(b"b", now);
        tee.add(&[b'c'; HELD_BACK_BYTES_MAX + 1], now);
        tee.hand_over();
        assert_eq!(
            writes.sizes(),
            [8, HELD_BACK_BYTES_MAX, 1, HELD_BACK_BYTES_MAX + 1]
        );
    }
}
