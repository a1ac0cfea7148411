//! Metrics of the journal: its queue, its batches, its logs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::{CommitLogMeters, Journal, Log};
use crate::metrics::families::{Families, number};

pub(super) fn write(families: &mut Families<'_>, journal: &Journal) -> fmt::Result {
    write_queue(families, journal)?;
    write_batches(families, journal)?;
    write_logs(families, journal)?;
    write_commit_log(families, &journal.meters().commit_log)?;
    families.gauge(
        "journal_writable",
        "Whether entries handed to the journal are expected to reach the disk",
        u64::from(journal.health().is_writable()),
    )?;
    // Unknown until the writer has measured it; 0 would mean that the disk is full.
    if let Some(bytes) = journal.free_bytes() {
        families.gauge(
            "log_free_bytes",
            "Free space on the file system of the logs",
            bytes,
        )?;
    }
    families.counter(
        "journal_dropped_refusals",
        "Refusals that were not logged because there was no room",
        journal.refusals_dropped(),
    )?;
    families.counter(
        "stdout_dropped_lines",
        "Lines that were left out on stdout because nobody read it in time; the log files have all",
        journal.meters().lines_not_copied.load(Ordering::Relaxed),
    )
}

fn write_queue(families: &mut Families<'_>, journal: &Journal) -> fmt::Result {
    let (pushes, refusals) = (journal.waiting_pushes(), journal.waiting_refusals());
    families.gauges(
        "journal_queue_entries",
        "Entries that wait for the disk, including those being written",
        [
            ([("kind", "push")], number(pushes.entries)),
            ([("kind", "refusal")], number(refusals.entries)),
        ],
    )?;
    families.gauges(
        "journal_queue_bytes",
        "The bytes of these entries",
        [
            ([("kind", "push")], number(pushes.bytes)),
            ([("kind", "refusal")], number(refusals.bytes)),
        ],
    )
}

fn write_batches(families: &mut Families<'_>, journal: &Journal) -> fmt::Result {
    let meters = journal.meters();
    families.sizes(
        "journal_batch_entries",
        "Entries in each batch",
        &meters.batch_entries,
    )?;
    families.sizes(
        "journal_batch_bytes",
        "Bytes of each batch in both logs",
        &meters.batch_bytes,
    )?;
    families.durations(
        "journal_batch_seconds",
        "How long the disk took for each batch, including syncs",
        &meters.batch_time,
    )
}

fn write_logs(families: &mut Families<'_>, journal: &Journal) -> fmt::Result {
    let meters = journal.meters();
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    families.gauges(
        "log_bytes",
        "The length of the log that is written",
        [
            (
                [("log", Log::Access.name())],
                load(&meters.access_log_bytes),
            ),
            (
                [("log", Log::Endpoint.name())],
                load(&meters.endpoint_log_bytes),
            ),
        ],
    )?;
    families.counter(
        "log_rotations",
        "Logs that were rotated because they were full",
        load(&meters.rotations),
    )?;
    families.counter(
        "log_reopenings",
        "Logs that were reopened because somebody had moved them",
        load(&meters.reopenings),
    )?;
    families.counter(
        "log_deletions",
        "Files that were deleted because they were older than logs.keep",
        load(&meters.deletions),
    )?;
    families.gauge(
        "log_held_files",
        "Rotated endpoint logs older than logs.keep that a destination still needs",
        load(&meters.held_files),
    )?;
    families.counter(
        "duplicates",
        "Notifications that were on disk already when they arrived again",
        meters.duplicates.load(Ordering::Relaxed),
    )?;
    families.gauge(
        "remembered_notifications",
        "Notifications in the table that duplicates are recognised by",
        load(&meters.remembered),
    )
}

fn write_commit_log(families: &mut Families<'_>, meters: &CommitLogMeters) -> fmt::Result {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    families.gauge(
        "commit_log_bytes",
        "The length of the commit log; 0 if it does not exist, so that each commit syncs both logs",
        load(&meters.bytes),
    )?;
    families.gauge(
        "commit_log_used_bytes",
        "How much is used of the half of the commit log that is written",
        load(&meters.used_bytes),
    )?;
    families.counter(
        "commit_log_frames",
        "Frames that were written to the commit log",
        load(&meters.frames),
    )?;
    families.counter(
        "commit_log_frame_bytes",
        "Bytes of these frames, including padding",
        load(&meters.frame_bytes),
    )?;
    families.durations(
        "commit_log_checkpoint_seconds",
        "How long a checkpoint took: a sync of both logs, after which frames can be overwritten",
        &meters.checkpoint_time,
    )?;
    families.gauge(
        "commit_log_replayed_frames",
        "Frames that the start wrote to the logs again",
        load(&meters.replayed_frames),
    )?;
    families.gauge(
        "commit_log_missing_frames",
        "Frames that had been synced and that the start could not read",
        load(&meters.missing_frames),
    )
}
