//! The secrets and certificates that requests use now. Their files are read again while requests
//! are sent, so that a replaced file counts without a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::forward::http::files::{Contents, Files, InvalidFile};
use crate::forward::http::loaded::Loaded;

/// How old the contents of the files may be when a request uses them.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The secrets and certificates that requests use now.
pub(super) struct Current {
    files: Files,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    contents: Arc<Contents>,
    read: Instant,
    /// Why the contents that the files have now are not used.
    problem: Option<InvalidFile>,
}

impl Current {
    /// Reads the files. May block on the disk.
    ///
    /// # Errors
    /// [`InvalidFile`]
    pub(super) fn new(files: Files) -> Result<Self, InvalidFile> {
        let contents = files.read()?;
        let loaded = Loaded::new(&files, &contents)?;
        Ok(Self {
            files,
            state: Mutex::new(State {
                loaded: Arc::new(loaded),
                contents: Arc::new(contents),
                read: Instant::now(),
                problem: None,
            }),
        })
    }

    /// Returns what a request needs. If the files have become invalid, their last valid contents
    /// stay in use, because somebody may be in the middle of replacing them.
    pub(super) async fn get(&self) -> Arc<Loaded> {
        // Hold the lock while the files are read: other requests then wait for the result instead
        // of reading too.
        let mut state = self.state.lock().await;
        if state.read.elapsed() >= READ_EVERY {
            let problem = self.read_again(&mut state).await.err();
            // Log the problem when it changes, and not once a second.
            if let Some(new) = &problem
                && state.problem != problem
            {
                let (destination, problem) = (&self.files.destination, new.to_string());
                warn!(
                    destination,
                    problem,
                    "A file of a destination cannot be used any more: \
                    what it held before counts"
                );
            }
            // Store the time after a failure too, so that invalid files are read no more often than
            // valid ones.
            (state.problem, state.read) = (problem, Instant::now());
        }
        state.loaded.clone()
    }

    async fn read_again(&self, state: &mut State) -> Result<(), InvalidFile> {
        let (files, before) = (self.files.clone(), state.contents.clone());
        let read = spawn_blocking(move || {
            let contents = files.read()?;
            // A new client would start without the idle connections of the old one.
            if contents == *before {
                return Ok(None);
            }
            let loaded = Loaded::new(&files, &contents)?;
            Ok(Some((Arc::new(loaded), Arc::new(contents))))
        });
        // If the reading panicked, the runtime has reported it.
        if let Some(read) = read.await.unwrap_or(Ok(None))? {
            (state.loaded, state.contents) = read;
            let destination = &self.files.destination;
            info!(
                destination,
                "A file of a destination was replaced: what it holds now counts"
            );
        }
        Ok(())
    }
}
