//! What the files say of a destination.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::{Clock as _, SystemClock};
use crate::command::forward::log::{ForwardedLog, bytes_behind};
use crate::command::forward::status::held::Held;
use crate::command::forward::status::window::WindowLeft;
use crate::forward::{
    DeadLetter, DeadLetters, NoCondition, NotBuried, Pending, Progress, SavedCondition, Settings,
    Verdict,
};

/// How long the notifications after a cursor are counted. A backlog may be as large as the disk.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of a destination.
pub(super) struct Known {
    pub(super) cursor: Cursor,
    pub(super) held: io::Result<Held>,
    /// What is left of the stream's duplicate window, or why that is not known. `None` if repeats
    /// are not dropped by a window, or if there is no cursor.
    pub(super) window: Option<Result<WindowLeft, &'static str>>,
    /// What `serve` saved of its condition; `None` if it saved nothing.
    pub(super) condition: Result<Option<SavedCondition>, NoCondition>,
    pub(super) dead_letters: Result<Dead, NotBuried>,
}

/// What is in its file of dead letters.
pub(super) struct Dead {
    pub(super) path: PathBuf,
    pub(super) count: usize,
    /// The newest one, unless its line is damaged.
    pub(super) last: Option<Verdict>,
}

/// What its cursor says.
pub(super) enum Cursor {
    /// It has none yet.
    New,
    Saved {
        progress: Box<Progress>,
        /// `None` if the place of the cursor is not in the log any more.
        backlog: Option<Backlog>,
    },
    /// Why the cursor or the log cannot be read.
    Unusable(String),
}

/// How much of the log is after a cursor.
pub(super) struct Backlog {
    pub(super) bytes: u64,
    pub(super) pending: Pending,
    /// The age of the oldest notification, or zero without one.
    pub(super) age: Duration,
}

impl Known {
    pub(super) fn of(log: &ForwardedLog, settings: &Settings, zone: &TimeZone) -> Self {
        let cursor = Cursor::of(log, settings, zone);
        let condition = log.condition(settings).load();
        let saved = condition.as_ref().ok().and_then(Option::as_ref);
        let window = saved.and_then(|saved| saved.duplicate_window);
        Self {
            held: cursor.held(log),
            window: settings
                .has_duplicate_window()
                .then(|| cursor.left_of(window))
                .flatten(),
            cursor,
            condition,
            dead_letters: Dead::of(&log.dead_letters(settings)),
        }
    }
}

impl Dead {
    fn of(file: &DeadLetters) -> Result<Self, NotBuried> {
        let lines = file.lines()?;
        let last = lines.last().and_then(|line| DeadLetter::of_line(line));
        Ok(Self {
            path: file.path().to_owned(),
            count: lines.len(),
            last: last.map(|letter| letter.verdict),
        })
    }
}

impl Cursor {
    fn of(log: &ForwardedLog, settings: &Settings, zone: &TimeZone) -> Self {
        // No lock is needed: a cursor is replaced as a whole, so it is read as it was at some time.
        let progress = match log.cursor(settings).load() {
            Ok(Some(progress)) => progress,
            Ok(None) => return Self::New,
            Err(error) => return Self::Unusable(error.to_string()),
        };
        match Backlog::of(log, settings, &progress, zone) {
            Ok(backlog) => Self::Saved {
                progress: Box::new(progress),
                backlog,
            },
            Err(error) => Self::Unusable(format!("cannot read the log: {error}")),
        }
    }

    /// How much of a duplicate window is left for the oldest notification that is not settled.
    fn left_of(&self, window: Option<Duration>) -> Option<Result<WindowLeft, &'static str>> {
        let backlog = match self {
            Self::New => return None,
            Self::Saved { backlog, .. } => backlog.as_ref(),
            Self::Unusable(_) => None,
        };
        let Some(window) = window else {
            return Some(Err(
                "serve has not learnt the duplicate window of the stream",
            ));
        };
        let left = backlog.and_then(|backlog| backlog.left_of(window));
        Some(left.ok_or("the age of the oldest notification is not known"))
    }

    fn held(&self, log: &ForwardedLog) -> io::Result<Held> {
        match self {
            // Nothing is kept for a destination without a cursor.
            Self::New => Ok(Held::default()),
            Self::Saved { progress, .. } => Held::of(log, progress.saved.trail.first()),
            // Which files it needs is not known, so `serve` keeps all of them.
            Self::Unusable(_) => Held::of(log, None),
        }
    }
}

impl Backlog {
    fn of(
        log: &ForwardedLog,
        settings: &Settings,
        progress: &Progress,
        zone: &TimeZone,
    ) -> io::Result<Option<Self>> {
        let chain = log.chain();
        let Some(bytes) = bytes_behind(&chain, progress)? else {
            return Ok(None);
        };
        let begun = SystemClock.instant();
        let goes_on = || SystemClock.instant().saturating_duration_since(begun) < COUNT_TIMEOUT;
        let saved = progress.saved.clone();
        let pending = Pending::count(chain, saved, settings, zone, goes_on)?;
        let age = pending.oldest.and_then(|oldest| {
            let now = Timestamp::try_from(SystemClock.now()).ok()?;
            // Negative after the clock was set back, which counts as none.
            Duration::try_from(now.duration_since(oldest)).ok()
        });
        Ok(Some(Self {
            bytes,
            pending,
            age: age.unwrap_or_default(),
        }))
    }

    fn left_of(&self, window: Duration) -> Option<WindowLeft> {
        let Pending {
            notifications,
            oldest,
            is_complete,
        } = self.pending;
        // Without a time, or if the count ended before the first notification.
        if oldest.is_none() && (notifications > 0 || !is_complete) {
            return None;
        }
        let now = Timestamp::try_from(SystemClock.now()).ok()?;
        WindowLeft::of(window, oldest, now)
    }
}
