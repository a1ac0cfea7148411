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
    /// If the task ends before it is stopped, as of a destination that is gone, the log is kept
    /// for the next start.
    _hold: Arc<Hold>,
}

/// How a forwarder is tied to those who answer pushes, and to the journal.
pub struct Gateway {
    /// What requests ask before their body is read.
    pub gate: Arc<Gate>,
    /// Keeps the log from the saved cursor on.
    pub hold: Hold,
    /// The pushes that wait for its acknowledgements, if they do.
    pub answers: Option<Arc<Answers>>,
}

/// Why a forwarder cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its cursor says nothing that can be trusted.
    #[error("{0}: stop serve, and put it elsewhere with forward reset")]
    Cursor(#[from] CursorError),
    /// The disk's.
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
    /// Starts one. A new cursor is on disk when this returns, so that nothing that is committed
    /// from now on is before it. It may wait for the disk.
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
        let start = match (&loaded, settings.start) {
            (Some(progress), _) => Start::Saved(progress.saved.clone()),
            (None, StartAt::Oldest) => Start::Oldest,
            (None, StartAt::Now) => Start::Newest,
        };
        let is_new = loaded.is_none();
        let mut progress = loaded.unwrap_or_default();
        let mut reader = Reader::new(source, start, settings.clone());
        if is_new {
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

    /// Whether pushes may come as far as it goes.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// What it has done.
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
        if let Err(error) = self.task.await {
            error!(destination = self.settings.name, %error, "A forwarder ended early");
        }
    }
}
