//! What the loop of a forwarder waits for: an answer, a chunk, or something that is saved.

use std::io;
use std::time::Duration;

use tokio::task::JoinError;

use crate::disk::NotReplaced;
use crate::forward::cursor::CursorFile;
use crate::forward::dead_letters::NotBuried;
use crate::forward::letter::Verdict;
use crate::forward::reader::{Chunk, Reader};
use crate::forward::watermark::Ticket;
use crate::forward::{Delivered, Failure};

/// What was done.
pub(super) enum Done {
    Sent(Ticket, Result<Delivered, Failure>, Duration),
    Read(Box<Reader>, io::Result<Chunk>),
    Saved(CursorFile, Result<(), NotReplaced>),
    Buried(Ticket, Verdict, Result<(), NotBuried>),
    Measured(io::Result<Option<u64>>),
}

/// What a job or an attempt to send has become, or why it panicked.
pub(super) type Step = Result<Done, Panicked>;

/// A panic of a job or of an attempt to send.
#[derive(Debug)]
pub(super) struct Panicked(pub(super) String);

/// The outcome of a job.
pub(super) fn joined(job: Result<Done, JoinError>) -> Step {
    job.map_err(|error| Panicked(error.to_string()))
}
