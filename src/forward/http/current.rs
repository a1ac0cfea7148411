//! What requests are made with at the moment: the files are read again while it is used, so that
//! one that is replaced counts without a restart.

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

/// What requests are made with at present.
pub(super) struct Current {
    files: Files,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    contents: Arc<Contents>,
    read: Instant,
    /// Why the present contents of the files are not used.
    problem: Option<InvalidFile>,
}

impl Current {
    /// Reads the files. It may wait for the disk.
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

    /// Returns what to make a request with. If the files have become invalid, their last valid
    /// contents remain in use, because somebody may be in the middle of replacing them.
    pub(super) async fn get(&self) -> Arc<Loaded> {
        // Held while the files are read: other requests wait for the result instead of reading too.
        let mut state = self.state.lock().await;
        if state.read.elapsed() >= READ_EVERY {
            let problem = self.read_again(&mut state).await.err();
            // Logged when the problem changes, not once a second.
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
            // After a failure too, so that invalid files are read no more often than valid ones.
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
        // If it panicked, the runtime has reported it.
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
