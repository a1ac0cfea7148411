//! The writer's periodic work, once a second, busy or idle: it measures free space and deletes old
//! files.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::clock::Clock;
use crate::journal::Settings;
use crate::journal::health::Space;
use crate::journal::logs::{Logs, Retention};
use crate::journal::shared::Shared;

/// How often to measure free space and to check the names of the files.
const CHORES_EVERY: Duration = Duration::from_secs(1);
/// How often to look for old files, unless `logs.keep` is shorter.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

pub(super) struct Chores {
    low_water_bytes: u64,
    due: Instant,
    /// `None` keeps rotated files for ever.
    retention: Option<Retention>,
    prune_due: Instant,
}

impl Chores {
    /// Creates the schedule. All work is due immediately.
    pub(super) fn new(settings: &Settings, logs: &Logs, clock: &dyn Clock) -> Self {
        let now = clock.instant();
        let retention = settings
            .keep
            .map(|keep| Retention::new(keep, logs.newest_rotated(), clock.now(), now));
        Self {
            low_water_bytes: settings.low_water_bytes,
            due: now,
            retention,
            prune_due: now,
        }
    }

    /// When the next work is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Schedules the next round of work for a second after `now`.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.due = later(now, CHORES_EVERY);
    }

    pub(super) fn look_at_the_space(&self, logs: &Logs, shared: &Shared) {
        // If the free space cannot be measured, the last value stays in force.
        let Ok(free) = logs.free_bytes() else {
            return;
        };
        let low_water = self.low_water_bytes;
        match shared.vitals.measure(free, low_water) {
            // Log only a change, because this runs every second.
            (Space::Enough, Space::Low | Space::Scarce) => warn!(
                free,
                low_water,
                "Free space is below logs.low_water: refusals are logged without details, and \
                    health checks are answered 503"
            ),
            (Space::Low | Space::Scarce, Space::Enough) => {
                info!(free, low_water, "Free space is above logs.low_water again")
            }
            (Space::Enough, Space::Enough)
            | (Space::Low | Space::Scarce, Space::Low | Space::Scarce) => {}
        }
    }

    pub(super) fn prune(&mut self, logs: &Logs, shared: &Shared, clock: &dyn Clock) {
        let Some(retention) = &mut self.retention else {
            return;
        };
        let (now, wall) = (clock.instant(), clock.now());
        if let Some(jump) = retention.look(wall, now) {
            warn!(
                ?jump,
                "The clock jumped: if no verified push has confirmed the time yet, old logs are \
                 kept until a push confirms it, or until the clock has not jumped for an hour (or \
                 for logs.keep, if that is shorter)"
            );
        }
        if let Some(date) = shared.confirmed_time()
            && retention.confirm(date, wall, now)
        {
            // The time of day is proven for the first time. Check for old files at once: while the
            // time was unproven, files may have been kept for too long.
            self.prune_due = now;
        }
        if self.prune_due > now {
            return;
        }
        // Set the next time before anything is deleted, so that an error is not repeated each
        // second.
        self.prune_due = later(now, retention.every(PRUNE_EVERY));
        if let Some(before) = retention.before(wall, now) {
            logs.prune(before, &shared.holds);
        }
    }
}

/// The time `span` after `now`, or `now` itself if the sum overflows.
pub(super) fn later(now: Instant, span: Duration) -> Instant {
    now.checked_add(span).unwrap_or(now)
}
