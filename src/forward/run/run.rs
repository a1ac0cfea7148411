//! The loop of a forwarder: it starts what can be started, and takes what was done.
//!
//! It reads ahead by a chunk at most, keeps a window in flight, and moves its cursor over what is
//! settled. Whatever may wait for the disk is a job on another thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::forward::answers::Answers;
use crate::forward::backoff::Backoff;
use crate::forward::cursor::{CursorFile, Progress};
use crate::forward::dead_letters::DeadLetters;
use crate::forward::gate::Gate;
use crate::forward::meters::Meters;
use crate::forward::reader::{ReadRow, Reader};
use crate::forward::run::behind::Behind;
use crate::forward::run::step::{Done, Panicked, Step, joined};
use crate::forward::run::waiting::Backlog;
use crate::forward::source::Source;
use crate::forward::watermark::Watermark;
use crate::forward::window::{Limits, Window};
use crate::forward::{Delivered, Outgoing, Settings, Sink};
use crate::journal::{Hold, Position, Saved};

/// How long a stop waits for what is being sent. What is not acknowledged by then is sent again by
/// the next start.
const ANSWERS_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a stop waits for the cursor to be saved: as long as for the journal to close.
const SAVE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often a stop saves the cursor at most: a second time for what was acknowledged during the
/// first save. Not more often, because a save that fails would be repeated without a pause.
const LAST_SAVES: usize = 2;

/// The state of a forwarder.
pub(in crate::forward) struct Run<S> {
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) sink: Arc<S>,
    pub(super) meters: Arc<Meters>,
    pub(super) answers: Option<Arc<Answers>>,
    pub(super) gate: Arc<Gate>,
    /// Keeps the log from the saved place on.
    pub(super) hold: Arc<Hold>,
    /// `None` while a chunk is being read.
    pub(super) reader: Option<Box<Reader>>,
    pub(super) is_at_end: bool,
    pub(super) read_after: Option<Instant>,
    /// The number of the last chunk.
    pub(super) chunk: u64,
    /// The position of the reader after each chunk that is not passed.
    pub(super) behind: Behind,
    /// Rows that were read and not yet sent, with the number of their chunk.
    pub(super) queue: VecDeque<(ReadRow, u64)>,
    pub(super) watermark: Watermark<Place>,
    pub(super) window: Window,
    /// The number of the last notification that was sent.
    pub(super) sequence: u64,
    /// `None` while the cursor is being saved.
    pub(super) cursor: Option<CursorFile>,
    /// What is settled. A save takes the position from `base` and `place`.
    pub(super) progress: Progress,
    /// The position of the reader after the last chunk that is passed.
    pub(super) base: Saved,
    /// The place after the last passed row beyond `base`, if there is one.
    pub(super) place: Option<Position>,
    /// How far the cursor has moved since it was saved.
    pub(super) moved: Moved,
    /// Since when the progress that is being saved has been unsaved.
    pub(super) saving_since: Option<Instant>,
    pub(super) dead_letters: DeadLetters,
    /// What is being sent. Not a task for each: a task wakes a thread, and a burst of commits or
    /// of answers would be sent and taken in many small pieces.
    pub(super) sends: FuturesUnordered<BoxFuture<'static, Step>>,
    /// What was acknowledged since the waiting pushes were answered last.
    pub(super) acknowledged: Vec<(Arc<Outgoing>, Delivered)>,
    pub(super) jobs: JoinSet<Done>,
    pub(super) is_over: bool,
    /// When a failure was logged last.
    pub(super) reported: Option<Instant>,
    /// When the destination last acknowledged or, if later, when something was in flight again.
    pub(super) silent_since: Option<Instant>,
    pub(super) backlog: Backlog,
}

/// The place after a row, and the number of its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) chunk: u64,
}

/// How far the cursor has moved since it was saved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) is_moved: bool,
    /// Since when, set by the next turn of the loop.
    pub(super) since: Option<Instant>,
    pub(super) notifications: u64,
    pub(super) saved: Option<Instant>,
}

/// What a forwarder shares with others.
pub(in crate::forward) struct Shared {
    pub(in crate::forward) meters: Arc<Meters>,
    pub(in crate::forward) answers: Option<Arc<Answers>>,
    pub(in crate::forward) gate: Arc<Gate>,
    pub(in crate::forward) hold: Arc<Hold>,
}

/// Marks a forwarder as ended when it is dropped, also by a panic.
struct Ended(Arc<Gate>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Now, by the clock of the runtime.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<S: Sink> Run<S> {
    /// Makes the state of a new run, at the place of its cursor.
    pub(in crate::forward) fn new(
        source: &Source,
        settings: Settings,
        sink: S,
        (reader, cursor, progress): (Reader, CursorFile, Progress),
        shared: Shared,
    ) -> Self {
        let Shared {
            meters,
            answers,
            gate,
            hold,
        } = shared;
        meters.note_gap(progress.gap);
        let window = Window::new(Limits {
            notifications: settings.in_flight,
            bytes: settings.in_flight_bytes,
            give_up: settings.give_up,
            backoff: Backoff::of(&settings.destination),
        });
        Self {
            dead_letters: source.dead_letters(&settings),
            source: source.clone(),
            settings,
            sink: Arc::new(sink),
            meters,
            answers,
            gate,
            hold,
            reader: Some(Box::new(reader)),
            is_at_end: false,
            read_after: None,
            chunk: 0,
            behind: Behind::default(),
            queue: VecDeque::new(),
            watermark: Watermark::default(),
            window,
            // From what is passed, so that a repeat after a restart gets the same number.
            sequence: progress.counts.sequence,
            cursor: Some(cursor),
            base: progress.saved.clone(),
            place: None,
            progress,
            // Saved at once: what precedes a cursor that was loaded need not be kept.
            moved: Moved {
                is_moved: true,
                ..Moved::default()
            },
            saving_since: None,
            sends: FuturesUnordered::new(),
            acknowledged: Vec::new(),
            jobs: JoinSet::new(),
            is_over: false,
            reported: None,
            silent_since: None,
            backlog: Backlog::default(),
        }
    }

    /// Forwards until it is stopped, or until the destination refuses everything permanently.
    pub(in crate::forward) async fn until(mut self, stop: CancellationToken) {
        // Dropped however the loop ends, so that pushes no longer wait for it.
        let _ended = Ended(self.gate.clone());
        let mut mark = self.source.mark.clone();
        while !self.is_over {
            let due = self.begin_what_can_be();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = self.sends.next() => self.take(done),
                Some(done) = self.jobs.join_next() => self.take(joined(done)),
                // Before the end a read is due anyway, and each commit would wake the loop for
                // nothing.
                () = mark.changed(), if self.is_at_end => self.more_is_committed(),
                () = sleep_until(due.into()) => {}
            }
            // A burst of answers is published and saved once.
            while let Some(done) = self.next_done().now_or_never().flatten() {
                self.take(done);
            }
            self.answer();
            self.publish();
        }
        self.close().await;
    }

    /// Waits for the next step that is done. `None` if nothing is under way.
    async fn next_done(&mut self) -> Option<Step> {
        tokio::select! {
            Some(done) = self.sends.next() => Some(done),
            Some(done) = self.jobs.join_next() => Some(joined(done)),
            else => None,
        }
    }

    /// Starts what can be started. Returns when there is something to do at the latest.
    fn begin_what_can_be(&mut self) -> Instant {
        let now = now();
        self.send(now);
        while self.take_from_memory(now) {
            self.send(now);
        }
        self.read(now);
        self.measure(now);
        let save_due = self.save(now);
        let dues = [self.window.due(), self.read_after].into_iter().flatten();
        // What is due and was not begun waits for a job or for room. With its time the loop would
        // spin.
        let later = dues.filter(|due| *due > now);
        later.fold(save_due, Instant::min)
    }

    fn take(&mut self, done: Step) {
        match done {
            Ok(Done::Sent(ticket, Ok(delivered), took)) => self.delivered(ticket, delivered, took),
            Ok(Done::Sent(ticket, Err(failure), _)) => self.failed(ticket, &failure),
            Ok(Done::Read(reader, chunk)) => self.was_read(reader, chunk),
            Ok(Done::Saved(cursor, saved)) => self.was_saved(cursor, saved),
            Ok(Done::Measured(bytes)) => self.was_measured(bytes),
            Ok(Done::Buried(ticket, verdict, buried)) => self.buried(ticket, &verdict, buried),
            // The job has taken its ticket along, so nothing settles its row. The next start sends
            // it again.
            Err(Panicked(error)) => {
                let destination = &self.settings.name;
                error!(
                    destination,
                    error,
                    "A step of a forwarder panicked: it ends, and the \
                    next start goes on from its cursor"
                );
                self.is_over = true;
            }
        }
    }

    /// Takes what is done, as long as that is needed and something is under way.
    async fn take_while(&mut self, is_needed: impl Fn(&Self) -> bool) {
        while is_needed(self) {
            let Some(done) = self.next_done().await else {
                break;
            };
            self.take(done);
            self.answer();
        }
    }

    /// Takes the answers to what is being sent, saves the cursor, and closes the sink.
    async fn close(mut self) {
        let is_saving = |run: &Self| run.cursor.is_none();
        let answered = self.take_while(|run| run.window.is_sending() || is_saving(run));
        drop(timeout(ANSWERS_TIMEOUT, answered).await);
        let saved = async {
            // A save lacks what is settled after its beginning: another one follows, if needed.
            for _ in 0..LAST_SAVES {
                self.take_while(is_saving).await;
                self.save_now();
            }
            self.take_while(is_saving).await;
        };
        drop(timeout(SAVE_TIMEOUT, saved).await);
        self.publish();
        drop(timeout(ANSWERS_TIMEOUT, self.sink.close()).await);
    }
}
