//! The copy of written lines for stdout.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::journal::chores::later;
use crate::journal::{Entry, Meters};

/// How long lines are buffered. With a single sender, handing them over with each commit took a
/// fifth of this process's CPU time for a push. No reader of stdout notices the delay.
const HELD_BACK_MAX: Duration = Duration::from_millis(5);
/// Lines are handed over before the buffer would exceed this many bytes, however busy the writer
/// is. A larger batch is handed over alone.
const HELD_BACK_BYTES_MAX: usize = 64 * 1024;

/// Which lines are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The lines of the access log.
    AccessLines,
    /// One line of JSON for each accepted notification.
    Messages,
}

/// Copies lines to stdout. It hands over the lines of several batches at once, because each
/// hand-over wakes the thread that prints them and delays the next commit.
pub struct Tee {
    copied: Copied,
    /// `None` if no copy is wanted.
    out: Option<Box<dyn io::Write + Send>>,
    held_back: Vec<u8>,
    /// When the buffer must be handed over. `None` while it is empty.
    due: Option<Instant>,
}

impl Tee {
    /// `out` must not block. A write that fails is not retried: its lines are counted and dropped.
    #[must_use]
    pub fn new(copied: Copied, out: Box<dyn io::Write + Send>) -> Self {
        Self {
            copied,
            out: Some(out),
            held_back: Vec::new(),
            due: None,
        }
    }

    /// Copies nothing.
    pub(super) fn none() -> Self {
        Self {
            copied: Copied::AccessLines,
            out: None,
            held_back: Vec::new(),
            due: None,
        }
    }

    /// Buffers the lines of a committed batch.
    pub(super) fn add(&mut self, batch: &Entry, meters: &Meters, now: Instant) {
        if self.out.is_none() {
            return;
        }
        let lines = match self.copied {
            Copied::AccessLines => &batch.access,
            Copied::Messages => &batch.message,
        };
        if lines.is_empty() {
            return;
        }
        // Check before the lines are added, so that a hand-over exceeds the limit only if a single
        // batch does.
        if self.held_back.len().saturating_add(lines.len()) > HELD_BACK_BYTES_MAX {
            self.hand_over(meters);
        }
        self.held_back.extend_from_slice(lines);
        // The time counts from the oldest line, so that later batches do not postpone the
        // hand-over.
        self.due = self.due.or_else(|| Some(later(now, HELD_BACK_MAX)));
    }

    /// When the buffered lines must be handed over, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over the buffered lines.
    pub(super) fn hand_over(&mut self, meters: &Meters) {
        let Some(out) = &mut self.out else { return };
        if self.held_back.is_empty() {
            return;
        }
        self.due = None;
        if out.write_all(&self.held_back).is_err() {
            let lines = self.held_back.iter().filter(|byte| **byte == b'\n').count();
            meters
                .lines_not_copied
                .fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.held_back.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<Vec<u8>>>>, Arc<AtomicBool>);

    impl Writes {
        fn sizes(&self) -> Vec<usize> {
            self.0.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    impl io::Write for Writes {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            if self.1.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.0.lock().unwrap().push(lines.to_vec());
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(access: &[u8]) -> Entry {
        Entry {
            access: access.to_vec(),
            ..Entry::default()
        }
    }

    #[test]
    fn lines_that_stdout_refuses_are_counted_and_dropped() {
        let (writes, meters, now) = (Writes::default(), Meters::new(), Instant::now());
        let mut tee = Tee::new(Copied::AccessLines, Box::new(writes.clone()));
        let lost = || meters.lines_not_copied.load(Ordering::Relaxed);
        writes.1.store(true, Ordering::Relaxed);
        tee.add(&lines(b"one\ntwo\n"), &meters, now);
        tee.add(&lines(b"three\n"), &meters, now);
        tee.hand_over(&meters);
        assert_eq!((lost(), writes.sizes()), (3, vec![]));
        writes.1.store(false, Ordering::Relaxed);
        tee.add(&lines(b"four\n"), &meters, now);
        tee.hand_over(&meters);
        assert_eq!((lost(), writes.sizes()), (3, vec![5]));
    }

    #[test]
    fn lines_are_handed_over_once_in_order_and_before_the_buffer_overflows() {
        let (writes, meters, now) = (Writes::default(), Meters::new(), Instant::now());
        let mut tee = Tee::new(Copied::AccessLines, Box::new(writes.clone()));
        tee.add(&lines(b"one\n"), &meters, now);
        tee.add(&lines(b"two\n"), &meters, now);
        assert!(writes.sizes().is_empty());
        assert_eq!(tee.due(), Some(now + HELD_BACK_MAX));
        tee.hand_over(&meters);
        tee.hand_over(&meters);
        assert_eq!(tee.due(), None);
        assert_eq!(*writes.0.lock().unwrap(), [b"one\ntwo\n".to_vec()]);
        tee.add(&lines(&[b'a'; HELD_BACK_BYTES_MAX]), &meters, now);
        tee.add(&lines(b"b"), &meters, now);
        tee.add(&lines(&[b'c'; HELD_BACK_BYTES_MAX + 1]), &meters, now);
        tee.hand_over(&meters);
        assert_eq!(
            writes.sizes(),
            [8, HELD_BACK_BYTES_MAX, 1, HELD_BACK_BYTES_MAX + 1]
        );
    }
}
