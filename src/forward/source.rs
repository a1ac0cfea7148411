//! What a forwarder reads, and what it needs for that.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::forward::condition_file::ConditionFile;
use crate::forward::cursor::CursorFile;
use crate::forward::dead_letters::DeadLetters;
use crate::forward::settings::Settings;
use crate::journal::{Chain, HighWaterMark, LogTail, Names, Numbering};

/// The files of the log that is forwarded, and how to read them.
#[derive(Clone)]
pub struct Source {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The files of the port.
    pub names: Names,
    /// What the numbers of rotated files say of their age.
    pub numbering: Numbering,
    /// Permissions of new files, before the umask.
    pub mode: u32,
    /// How far the log is committed.
    pub mark: HighWaterMark,
    /// What was committed last, in memory.
    pub tail: Arc<LogTail>,
    /// The zone of the times in the log.
    pub zone: TimeZone,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl Source {
    /// The files of the log.
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain::new(self.disk.clone(), self.names.clone(), self.numbering)
    }

    /// The cursor of a destination.
    #[must_use]
    pub fn cursor(&self, settings: &Settings) -> CursorFile {
        let destination = settings.destination.identity();
        let disk = self.disk.clone();
        CursorFile::new(disk, &self.names, &settings.name, destination, self.mode)
    }

    /// The condition of a destination.
    #[must_use]
    pub fn condition(&self, settings: &Settings) -> ConditionFile {
        let destination = settings.destination.identity();
        let disk = self.disk.clone();
        let path = self.names.condition(&settings.name);
        ConditionFile::new(disk, path, destination, self.mode)
    }

    /// The dead letters of a destination.
    #[must_use]
    pub fn dead_letters(&self, settings: &Settings) -> DeadLetters {
        let path = self.names.dead_letters(&settings.name);
        let bytes_max = settings.dead_letters_bytes_max;
        DeadLetters::new(self.disk.clone(), path, self.mode, bytes_max)
    }
}
