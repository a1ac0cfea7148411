//! Saves the conditions of all forwarders of a process, apart from their work.
//!
//! It looks at what the forwarders publish anyway, so nothing is written where notifications are
//! sent, and the end of a forwarder by a panic is seen too. A file that cannot be written affects
//! nothing but `forward status`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::clock::Clock;
use crate::forward::condition_file::ConditionFile;
use crate::forward::source::Source;
use crate::forward::vitals::Vitals;

/// How often the conditions are compared with their files, which are written no more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The conditions of all forwarders, and their files.
pub(super) struct ConditionKeeper {
    kept: Vec<Kept>,
    clock: Arc<dyn Clock>,
}

struct Kept {
    vitals: Vitals,
    file: ConditionFile,
    /// Whether the last save failed, which is logged once.
    has_failed: bool,
}

impl ConditionKeeper {
    pub(super) fn new(source: &Source, all: &[Vitals]) -> Self {
        let kept = all.iter().map(|vitals| {
            let file = source.condition(&vitals.settings);
            // A file that cannot be used is replaced anyway.
            let before = file.load().ok().flatten();
            // The destination may be away for long, and the window matters most then.
            if let Some(window) = before.and_then(|saved| saved.duplicate_window)
                && vitals.settings.has_duplicate_window()
            {
                vitals.meters.note_former_duplicate_window(window);
            }
            Kept {
                file,
                vitals: vitals.clone(),
                has_failed: false,
            }
        });
        Self {
            kept: kept.collect(),
            clock: source.clock.clone(),
        }
    }

    /// Saves what has changed, until it is aborted.
    pub(super) async fn keep(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if !self.kept.iter().any(Kept::is_due) {
                continue;
            }
            let saved = spawn_blocking(move || {
                self.save();
                self
            });
            match saved.await {
                Ok(keeper) => self = keeper,
                // The panic is logged. The files are unlocked by now, so nobody takes what they
                // have for the present condition.
                Err(_panicked) => return,
            }
        }
    }

    /// Saves what has changed. May block on the disk.
    pub(super) fn save(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| kept.is_due()) {
            kept.save(self.clock.as_ref());
        }
    }
}

impl Kept {
    fn is_due(&self) -> bool {
        !self.file.has(&self.vitals.condition())
    }

    fn save(&mut self, clock: &dyn Clock) {
        let saved = self.file.save(self.vitals.condition(), clock);
        if let (Err(error), false) = (&saved, self.has_failed) {
            let (destination, path) = (self.vitals.name(), self.file.path().display());
            warn!(destination, %path, %error, "Cannot save the condition of a destination: \
                forward status does not show it. Forwarding goes on");
        }
        self.has_failed = saved.is_err();
    }
}
