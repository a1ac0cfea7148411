//! `--ack`: reads the positions that a consumer acknowledges on stdin, one on each line.

use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::command::logs::source::say;
use crate::command::logs::stop::Stop;
use crate::journal::Position;

/// The most acknowledgements that may be queued.
const WAITING_MAX: usize = 1024;

/// Positions that the consumer has acknowledged.
pub(super) struct Acknowledged {
    positions: Receiver<Position>,
    is_over: Arc<AtomicBool>,
}

impl Acknowledged {
    /// Starts a thread that reads stdin. The thread ends with stdin or with the process. The end of
    /// stdin also asks the command to stop, because the consumer has left.
    pub(super) fn of_stdin(stop: &Arc<Stop>) -> Self {
        let (sender, positions) = mpsc::sync_channel(WAITING_MAX);
        let is_over = Arc::new(AtomicBool::new(false));
        let (stop, over) = (stop.clone(), is_over.clone());
        // Not joined, because a read of stdin cannot be interrupted.
        thread::spawn(move || {
            for line in stdin().lines() {
                let Ok(line) = line else { break };
                match line.trim().parse() {
                    Ok(position) if sender.send(position).is_ok() => {}
                    Ok(_) => break,
                    Err(error) => say(&format!("stdin: {}: {error}", line.trim())),
                }
            }
            // Release, paired with the Acquire in `is_over`: whoever reads `true` also finds every
            // position that was sent before.
            over.store(true, Ordering::Release);
            stop.ask();
        });
        Self { positions, is_over }
    }

    /// The next acknowledged position, if one has arrived.
    pub(super) fn next(&self) -> Option<Position> {
        self.positions.try_recv().ok()
    }

    /// Whether stdin has ended, so that no further position arrives.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}
