//! The logs, open for appending recovered notifications.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::tz::TimeZone;

use crate::clock::{Clock as _, SystemClock};
use crate::command::logs::outcome::{FileOutcome, Tally, describe, has_identity};
use crate::command::logs::repair::missing_frames;
use crate::command::logs::review::{Judged, Judgement, Reading};
use crate::config::Config;
use crate::journal::{
    Duplicates, Entry, FileOptions, Format, Journal, Level, LogFiles, OpenError, Place, RECOVERED,
    Record, Settings, Stamps, SyncMode,
};
use crate::mns::Notification;
use crate::quarantine::Note;

/// The remark on a record whose message is the whole body, because the body could not be parsed.
const AS_RAW: &str = "body_as_message";

/// The logs, open for writing.
pub(super) struct OpenLogs {
    pub(super) journal: Journal,
    format: Format,
    stamps: Stamps,
}

impl OpenLogs {
    pub(super) fn open(config: &Config, port: u16, zone: TimeZone) -> anyhow::Result<Self> {
        let options = FileOptions {
            dir: config.log_dir.clone(),
            port,
            mode: config.log_mode,
        };
        options.demand_files()?;
        let files = LogFiles::open(options).map_err(|error| match error {
            OpenError::Locked { .. } => anyhow!(
                "serve writes to the logs of port {port}: stop it, run this again, and start it; \
                 MNS retries what arrives meanwhile"
            ),
            error @ (OpenError::Unwritable(_)
            | OpenError::NotAFile { .. }
            | OpenError::NotADirectory { .. }) => error.into(),
        })?;
        // Regardless of `logs.sync`: a file is removed from the quarantine once its record is
        // appended, so the record must be synced by then. A request that is stored twice must not
        // be appended twice.
        let settings = Settings {
            sync: SyncMode::Always,
            duplicates: Duplicates::Drop,
            ..config.journal.clone()
        };
        let started = Journal::start(files, settings, None);
        let (journal, recovered) = started
            .with_context(|| format!("cannot recover the logs in {}", config.log_dir.display()))?;
        if let Some(error) = missing_frames(recovered.replayed.missing) {
            writeln!(io::stderr(), "{error}")?;
        }
        Ok(Self {
            journal,
            format: config.server.format,
            stamps: Stamps::new(zone),
        })
    }

    /// Appends the notifications that pass, and removes each from the quarantine once it is on
    /// disk.
    pub(super) async fn take_all(
        &self,
        judged: Vec<Judged<'_>>,
        out: &mut impl Write,
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        for (capture, judgement) in judged {
            let outcome = match judgement {
                Judgement::Passes(notification, note, reading) => {
                    self.take(&notification, note, reading).await?
                }
                Judgement::Refused(rejection) => FileOutcome::Refused(rejection),
                Judgement::NotWhole => FileOutcome::NotWhole,
            };
            if matches!(outcome, FileOutcome::Recovered(_) | FileOutcome::Known(_)) {
                remove(&capture.path)
                    .with_context(|| format!("cannot remove {}", capture.path.display()))?;
            }
            tally.add(&capture.path, &outcome, out)?;
        }
        Ok(tally)
    }

    /// Appends a notification unless the log has it already. It is on disk when this returns.
    async fn take(
        &self,
        notification: &Notification<'_>,
        note: &Note,
        reading: Reading,
    ) -> anyhow::Result<FileOutcome> {
        let before = self.journal.duplicates();
        let appended = self
            .journal
            .append(self.entry(notification, note, reading))
            .await;
        appended
            .context("nothing more can be appended; everything reported as recovered is on disk")?;
        let shown = describe(notification);
        // Appends are made one after another here, so a change of the count is due to this one.
        let is_new = self.journal.duplicates() == before;
        Ok(if is_new {
            FileOutcome::Recovered(shown)
        } else {
            FileOutcome::Known(shown)
        })
    }

    /// Builds a record without an access line, because no request was answered.
    fn entry(&self, notification: &Notification<'_>, note: &Note, reading: Reading) -> Entry {
        let (reason, level) = match reading {
            Reading::Whole => (note.reason.clone(), Level::Info),
            Reading::Raw => (format!("{},{AS_RAW}", note.reason), Level::Warning),
        };
        let came = humantime::format_rfc3339_millis(note.came).to_string();
        let peer = note.peer.to_string();
        let mut attributes = notification.attributes().to_vec();
        attributes.extend([
            ("Reason", reason.as_bytes()),
            ("Came", came.as_bytes()),
            ("Peer", peer.as_bytes()),
        ]);
        let record = Record {
            stamp: &self.stamps.at(SystemClock.now()),
            level,
            place: Place::Recovered,
            title: Some(RECOVERED),
            attributes: &attributes,
            request: None,
        };
        let identity = has_identity(notification)
            .then(|| self.journal.identify(notification.identity(), None))
            .flatten();
        let mut entry = Entry {
            identity,
            ..Entry::default()
        };
        record.write(&mut entry.endpoint, self.format);
        entry
    }
}

/// Removes a file from the quarantine, unless a `serve` has removed it since it was read.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
