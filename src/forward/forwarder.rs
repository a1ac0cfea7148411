//! A forwarder: the task that hands the notifications of one destination on.

use std::io;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::forward::answers::Answers;
use crate::forward::cursor::CursorError;
use crate::forward::gate::Gate;
use crate::forward::meters::Meters;
use crate::forward::reader::Reader;
use crate::forward::run::{Run, Shared};
use crate::forward::source::Source;
use crate::forward::{Settings, Sink, StartAt};
use crate::journal::{Hold, Start};

/// A running forwarder.
pub struct Forwarder {
    settings: Settings,
    meters: Arc<Meters>,
    gate: Arc<Gate>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Keeps the log for the next start if the task ends early, for example because the destination
    /// answered 410.
    _hold: Arc<Hold>,
}

/// What connects a forwarder with the handlers of pushes and with the journal.
pub struct Gateway {
    /// Checked by each push before its body is read.
    pub gate: Arc<Gate>,
    /// Keeps the log from the saved cursor on.
    pub hold: Hold,
    /// The pushes that wait for its acknowledgements. `None` with `ack = "journal"`.
    pub answers: Option<Arc<Answers>>,
}

/// Why a forwarder cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its cursor cannot be used.
    #[error("{0}: stop serve, and put it elsewhere with forward reset")]
    Cursor(#[from] CursorError),
    /// An I/O error.
    #[error("cannot find the end of the log, or save it: {0}")]
    Disk(io::Error),
}

impl StartError {
    /// Its key, for a page.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Cursor(CursorError::Unreadable { .. }) => "cursor_unreadable",
            Self::Cursor(CursorError::Broken(_)) => "cursor_broken",
            Self::Cursor(CursorError::Version { .. }) => "cursor_version",
            Self::Cursor(CursorError::OtherDestination { .. }) => "cursor_of_another",
            Self::Disk(_) => "disk",
        }
    }
}

impl Forwarder {
    /// Starts a forwarder. A new cursor is on disk when this returns, so that everything committed
    /// later is forwarded, even after a kill. May block on the disk.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start<S: Sink>(
        source: &Source,
        settings: Settings,
        sink: S,
        Gateway {
            gate,
            hold,
            answers,
        }: Gateway,
    ) -> Result<Self, StartError> {
        let mut cursor = source.cursor(&settings);
        let loaded = cursor.load()?;
        // `start` applies to a new destination. A restart continues at its cursor.
        let start = match (&loaded, settings.start) {
            (Some(progress), _) => Start::Saved(progress.saved.clone()),
            (None, StartAt::Oldest) => Start::Oldest,
            (None, StartAt::Now) => Start::Newest,
        };
        let is_new = loaded.is_none();
        let mut progress = loaded.unwrap_or_default();
        let mut reader = Reader::new(source, start, settings.clone());
        if is_new {
            // The end of the log is looked up now and not at the first read, because what is
            // committed in between must be forwarded. The oldest record needs no position.
            if settings.start == StartAt::Now {
                reader.begin().map_err(StartError::Disk)?;
            }
            progress.saved = reader.place();
            let saved = cursor.save(&progress);
            saved.map_err(|failed| StartError::Disk(failed.cause))?;
        }
        let hold = Arc::new(hold);
        let (meters, stop) = (Arc::new(Meters::default()), CancellationToken::new());
        let run = Run::new(
            source,
            settings.clone(),
            sink,
            (reader, cursor, progress),
            Shared {
                meters: meters.clone(),
                answers,
                gate: gate.clone(),
                hold: hold.clone(),
            },
        );
        let task = tokio::spawn(run.until(stop.clone()));
        Ok(Self {
            settings,
            meters,
            gate,
            stop,
            task,
            _hold: hold,
        })
    }

    /// The destination.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether pushes are accepted while they depend on this destination.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Its counters and its state.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Ends as a kill does: nothing is waited for or saved.
    #[cfg(test)]
    pub(in crate::forward) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// Waits for what is being sent, for a bounded time, saves the cursor and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        // Nothing aborts the task outside of tests, so this is a panic.
        if let Err(error) = self.task.await {
            error!(destination = self.settings.name, %error, "A forwarder ended early");
        }
    }
}
