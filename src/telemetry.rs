//! The diagnostic log: what the program tells about itself, on stderr and on demand in a daily file.
//!
//! `RUST_LOG` sets what is told, `info` by default. Notifications are data and never go this way.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

/// How long a writer may take to get rid of what waits, when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(1200);
/// Lines of the diagnostic log that may wait for stderr or the disk; more are dropped.
const LINES_MAX: usize = 10_000;
/// Access lines that may wait for stdout, in writes of a batch or a few, of 256 KiB at most; more are dropped and counted.
const STDOUT_WRITES_MAX: usize = 128;

/// Flushes what waits when dropped, for a bounded time: a reader that has stopped must not keep the process.
#[derive(Debug)]
pub(crate) struct Writers(Vec<WorkerGuard>);

impl Drop for Writers {
    fn drop(&mut self) {
        let guards = std::mem::take(&mut self.0);
        within(FLUSH_TIMEOUT, move || drop(guards));
    }
}

/// Does `work` on a thread of its own and waits for it, but no longer than `limit`.
pub(crate) fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let spawned = std::thread::Builder::new().spawn(move || {
        work();
        // Nobody waits any more where this took too long.
        done.send(()).ok()
    });
    if spawned.is_ok() {
        waiting.recv_timeout(limit).ok();
    }
}

/// Starts the diagnostic log. `daily_dir` also puts it in `diagnostics.DATE` there.
///
/// Neither stderr nor the file is ever waited for: a stranger can make a warning, and a reader that has
/// stopped must not stop us.
pub(crate) fn start(daily_dir: Option<&Path>) -> Result<Writers, InitError> {
    let lossy = || NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX);
    let (stderr, guard) = lossy().finish(std::io::stderr());
    let mut writers = vec![guard];
    let writer = match daily_dir {
        None => BoxMakeWriter::new(stderr),
        Some(dir) => {
            let daily = RollingFileAppender::builder().rotation(Rotation::DAILY).filename_prefix("diagnostics");
            let (file, guard) = lossy().finish(daily.build(dir)?);
            writers.push(guard);
            BoxMakeWriter::new(stderr.and(file))
        }
    };
    subscribe(writer);
    Ok(Writers(writers))
}

fn subscribe<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(writer: W) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false);
    // A second start in one process, as in tests, keeps the first.
    drop(format.with_writer(writer).try_init());
}

/// Stdout for access lines: a thread of its own writes them, and nobody waits for it.
pub(crate) fn lossy_stdout() -> (NonBlocking, Writers) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(STDOUT_WRITES_MAX);
    let (stdout, guard) = builder.finish(std::io::stdout());
    (stdout, Writers(vec![guard]))
}
