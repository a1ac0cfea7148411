//! The diagnostic log: what the program reports about itself, on stderr and, if configured, in a
//! daily file.
//!
//! `RUST_LOG` sets what is logged, `info` by default. Notifications are data and are never logged
//! here.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

use crate::clock::{Clock, SystemClock};
use crate::disk::regular;
use crate::journal::{DIAGNOSTICS, Format};

/// How long a writer may take to flush its queue when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(1200);
/// Lines of the diagnostic log that may wait for stderr or the disk. Any more are dropped.
const LINES_MAX: usize = 10_000;
/// Writes that may wait for stdout, each with the access lines of one or a few batches and at most
/// 256 KiB. Any more are dropped and counted.
const STDOUT_WRITES_MAX: usize = 128;
/// The NATS client calls each failed connect an error, also one that is meant to fail. What matters
/// of that is logged with its consequence.
const QUIET: &str = "async_nats=off";

/// Flushes the queues when dropped, for a limited time: a stalled reader must not keep the process
/// from ending.
#[derive(Debug)]
pub(crate) struct Writers(Vec<WorkerGuard>);

impl Drop for Writers {
    fn drop(&mut self) {
        let guards = std::mem::take(&mut self.0);
        within(FLUSH_TIMEOUT, move || drop(guards));
    }
}

/// Runs `work` on another thread and waits for it, but no longer than `limit`.
pub(crate) fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let spawned = std::thread::Builder::new().spawn(move || {
        work();
        // Fails if it took too long and nobody waits any more.
        done.send(()).ok()
    });
    if spawned.is_ok() {
        waiting.recv_timeout(limit).ok();
    }
}

/// The diagnostic log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {} for the diagnostic log: {cause}; make it writable, move away what is \
    there, or set logs.diagnostics = false", path.display())]
pub(crate) struct TelemetryError {
    path: PathBuf,
    cause: io::Error,
}

/// Starts the diagnostic log in one of its formats. `daily` also writes it to `diagnostics.DATE` in
/// that directory, in files with those permissions.
///
/// Nothing ever waits for stderr or the file: strangers can cause warnings, and a stalled reader
/// must not stop the program.
pub(crate) fn start(
    format: Format,
    daily: Option<(&PathBuf, u32)>,
) -> Result<Writers, TelemetryError> {
    let lossy = || {
        NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES_MAX)
    };
    let (stderr, guard) = lossy().finish(io::stderr());
    let mut writers = vec![guard];
    let writer = match daily {
        None => BoxMakeWriter::new(stderr),
        Some((dir, mode)) => {
            let (file, guard) =
                lossy().finish(DailyFile::open(dir.clone(), mode, Arc::new(SystemClock))?);
            writers.push(guard);
            BoxMakeWriter::new(stderr.and(file))
        }
    };
    subscribe(format, writer);
    Ok(Writers(writers))
}

/// `diagnostics.YYYY-MM-DD`, a new file each day (UTC). The journal deletes old ones according to
/// `logs.keep`.
struct DailyFile {
    dir: PathBuf,
    mode: u32,
    clock: Arc<dyn Clock>,
    day: Date,
    file: File,
}

impl DailyFile {
    fn open(dir: PathBuf, mode: u32, clock: Arc<dyn Clock>) -> Result<Self, TelemetryError> {
        let day = today(clock.as_ref());
        let path = path(&dir, day);
        let file = open(&path, mode).map_err(|cause| TelemetryError { path, cause })?;
        Ok(Self {
            dir,
            mode,
            clock,
            day,
            file,
        })
    }
}

impl Write for DailyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let today = today(self.clock.as_ref());
        // If the next file cannot be opened, the old one gets the line, and the next line retries.
        if today != self.day
            && let Ok(file) = open(&path(&self.dir, today), self.mode)
        {
            (self.day, self.file) = (today, file);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn today(clock: &dyn Clock) -> Date {
    // A wrong clock, past the year 9999, must not stop the log.
    let now = Timestamp::try_from(clock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
    now.to_zoned_datetime(TimeZone::UTC).date()
}

fn path(dir: &Path, day: Date) -> PathBuf {
    dir.join(format!("{DIAGNOSTICS}.{day}"))
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    // Appends, because two serves may share the directory, and the name contains no port.
    regular::open(path, File::options().append(true).create(true).mode(mode))
}

fn subscribe<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(format: Format, writer: W) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let filter = match QUIET.parse() {
        // Somebody who names the client in `RUST_LOG` wants its lines.
        Ok(quiet) if !filter.to_string().contains("async_nats") => filter.add_directive(quiet),
        Ok(_) | Err(_) => filter,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Collectors and files would store the escape sequences of colors.
        .with_ansi(false)
        .with_target(false)
        .with_writer(writer);
    // A second start in one process, as in tests, keeps the first subscriber.
    drop(match format {
        Format::Text => subscriber.try_init(),
        Format::Json => subscriber.json().flatten_event(true).try_init(),
    });
}

/// Stdout for access lines. Another thread writes them, and nobody waits for it.
pub(crate) fn lossy_stdout() -> (NonBlocking, Writers) {
    let builder = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(STDOUT_WRITES_MAX);
    let (stdout, guard) = builder.finish(io::stdout());
    (stdout, Writers(vec![guard]))
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::*;

    struct Hours(AtomicU64);

    impl Clock for Hours {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn each_day_has_a_file_with_the_permissions_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hours(AtomicU64::new(23)));
        let mut log = DailyFile::open(dir.path().to_owned(), 0o600, clock.clone()).unwrap();
        log.write_all(b"one\n").unwrap();
        clock.0.store(24, Ordering::Relaxed);
        log.write_all(b"two\n").unwrap();
        // A directory at the path of the next file cannot be written: the lines stay in the old
        // file.
        fs::create_dir(dir.path().join("diagnostics.1970-01-03")).unwrap();
        clock.0.store(48, Ordering::Relaxed);
        log.write_all(b"three\n").unwrap();
        for (day, text) in [("1970-01-01", "one\n"), ("1970-01-02", "two\nthree\n")] {
            let path = dir.path().join(format!("diagnostics.{day}"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600,
                "{day}"
            );
        }
        let error = DailyFile::open(dir.path().to_owned(), 0o600, clock)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("diagnostics.1970-01-03") && error.contains("a directory"),
            "{error}"
        );
    }
}
