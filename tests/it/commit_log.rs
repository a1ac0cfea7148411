//! The commit log on a disk that loses data and fails: what a start replays, and when a frame may
//! be overwritten.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mns_endpoint::journal::{Entry, Journal, JournalError, Log, Recovered, Settings, SyncMode};
use strum::IntoEnumIterator as _;

use crate::support::{Disk, FaultyDisk, TurnedClock, eventually};

const PAGE: usize = 4096;
/// The first page of each half contains the frame that begins its life.
const HALF: usize = 16 * PAGE;
const NAME: &str = ".commit_log.80";

fn settings() -> Settings {
    Settings {
        commit_log_bytes: Some(2 * HALF as u64),
        ..Settings::default()
    }
}

fn start(storage: &FaultyDisk) -> (Journal, Recovered) {
    Journal::start(storage.open(), settings(), None).unwrap()
}

fn entry(name: &str) -> Entry {
    Entry {
        endpoint: format!("[{name}]\n\n").into_bytes(),
        access: format!("{name}\n").into_bytes(),
        ..Entry::default()
    }
}

/// A disk with a commit log in use: the next frame is the second of its half.
async fn used() -> (FaultyDisk, Journal) {
    let storage = FaultyDisk::new();
    let (journal, _) = start(&storage);
    eventually("there is a commit log", || {
        let length = storage.with(|disk| disk.named(NAME).map(|file| file.durable.len()));
        (length == Some(2 * HALF)).then_some(())
    });
    journal.append(entry("first")).await.unwrap();
    journal.close().await.unwrap();
    let storage = restarted(&storage);
    let (journal, recovered) = start(&storage);
    assert_eq!(recovered, Recovered::default(), "after a clean stop");
    (storage, journal)
}

fn restarted(storage: &FaultyDisk) -> FaultyDisk {
    FaultyDisk::as_it_is(storage.with(|disk| disk.after_kill()))
}

/// The disk after a power cut in which everything unsynced was lost.
fn after_power_cut(storage: &FaultyDisk) -> FaultyDisk {
    let left = restarted(storage);
    left.with(|disk| {
        for file in &mut disk.files {
            file.live.clone_from(&file.durable);
        }
    });
    left
}

fn text(disk: &mut Disk, log: Log) -> String {
    String::from_utf8(disk.named(log.name()).unwrap().live.clone()).unwrap()
}

fn assert_texts(storage: &FaultyDisk, endpoint: &str, access: &str) {
    storage.with(|disk| {
        assert_eq!(text(disk, Log::Endpoint), endpoint);
        assert_eq!(text(disk, Log::Access), access);
    });
}

/// The offset of the frame with these bytes.
fn frame_with(disk: &Disk, bytes: &[u8]) -> usize {
    let log = &disk.named(NAME).unwrap().live;
    let at = log.windows(bytes.len()).position(|found| found == bytes);
    at.expect("no frame has them") / PAGE * PAGE
}

#[tokio::test]
async fn one_sync_commits_and_a_start_writes_what_the_logs_lack() {
    let (storage, journal) = used().await;
    let before = storage.with(|disk| disk.syncs);
    journal.append(entry("a")).await.unwrap();
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.syncs, before, "of the logs");
        let lacks = Log::iter().all(|log| !disk.named(log.name()).unwrap().is_durable());
        assert!(lacks, "the logs are synced later");
    });
    let storage = after_power_cut(&storage);
    assert_texts(&storage, "[first]\n\n", "first\n");
    let (_journal, recovered) = start(&storage);
    assert_eq!(
        (recovered.replayed.frames, recovered.replayed.appended),
        (2, 0)
    );
    assert_texts(&storage, "[first]\n\n[a]\n\n[b]\n\n", "first\na\nb\n");
    storage.with(|disk| {
        let is_durable = Log::iter().all(|log| disk.named(log.name()).unwrap().is_durable());
        assert!(is_durable, "before anything is served");
    });
    // Replayed records stay in the logs.
    let (_journal, recovered) = start(&after_power_cut(&storage));
    assert_eq!(recovered, Recovered::default());
}

#[tokio::test]
async fn a_damaged_frame_affects_no_other_and_is_reported() {
    let (storage, journal) = used().await;
    for name in ["a", "b", "c"] {
        journal.append(entry(name)).await.unwrap();
    }
    let storage = after_power_cut(&storage);
    storage.with(|disk| {
        let at = frame_with(disk, b"[b]\n\n");
        disk.named_mut(NAME).live[at + 90] ^= 1;
    });
    let (_journal, recovered) = start(&storage);
    assert_eq!(
        (recovered.replayed.frames, recovered.replayed.missing),
        (2, 1)
    );
    // Its offset is now beyond the end of the log.
    assert_eq!(recovered.replayed.appended, 2);
    assert_texts(&storage, "[first]\n\n[a]\n\n[c]\n\n", "first\na\nc\n");
}

#[tokio::test]
async fn bytes_that_are_in_the_cache_and_not_on_the_disk_are_written_again() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    // The logs cannot be synced, the commit log can. Nothing is truncated, because it was
    // acknowledged.
    storage.with(|disk| disk.fail_sync_of_logs = true);
    let reopened = entry("b");
    storage.with(|disk| disk.rename("access_log", "access_log.moved"));
    assert_eq!(
        journal.append(reopened).await.unwrap_err(),
        JournalError::Failed
    );
    drop(journal);
    let storage = restarted(&storage);
    storage.with(|disk| disk.rename("access_log.moved", "access_log"));
    assert_texts(&storage, "[first]\n\n[a]\n\n", "first\na\n");
    let (_journal, recovered) = start(&storage);
    assert_eq!(recovered.replayed.frames, 1);
    // The system considers those bytes written. Only what is written again is on the disk.
    assert_texts(
        &after_power_cut(&storage),
        "[first]\n\n[a]\n\n",
        "first\na\n",
    );
}

#[tokio::test]
async fn records_after_the_last_frame_stay_and_frames_never_overwrite_them() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    let storage = after_power_cut(&storage);
    // An older version ran in the meantime.
    storage.with(|disk| {
        disk.append_durably("endpoint_log", b"[of another]\n\n");
        disk.append_durably("access_log", b"of another\n");
    });
    let (_journal, recovered) = start(&storage);
    assert_eq!(
        (recovered.replayed.frames, recovered.replayed.appended),
        (1, 2)
    );
    assert_texts(
        &storage,
        "[first]\n\n[of another]\n\n[a]\n\n",
        "first\nof another\na\n",
    );
}

#[tokio::test]
async fn a_frame_is_not_written_after_a_torn_record_that_ends_at_its_offset() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    let storage = after_power_cut(&storage);
    storage.with(|disk| {
        disk.make("endpoint_log", b"[torn...]");
        disk.make("access_log", b"torn..");
        assert_eq!(b"[torn...]".len(), b"[first]\n\n".len());
    });
    let (_journal, recovered) = start(&storage);
    assert_eq!(recovered.replayed.appended, 2);
    assert_eq!(recovered.torn.len(), 2);
    assert_texts(&storage, "[a]\n\n", "a\n");
}

#[tokio::test]
async fn holes_of_zeros_are_filled_where_they_are() {
    let (storage, journal) = used().await;
    for name in ["aaaa", "bbbb", "cccc"] {
        journal.append(entry(name)).await.unwrap();
    }
    let storage = restarted(&storage);
    storage.with(|disk| {
        let log = &mut disk.named_mut("endpoint_log").live;
        log[12..22].fill(0);
        log.truncate(28);
    });
    let (_journal, recovered) = start(&storage);
    assert_eq!(
        (recovered.replayed.frames, recovered.replayed.appended),
        (3, 0)
    );
    assert_texts(
        &storage,
        "[first]\n\n[aaaa]\n\n[bbbb]\n\n[cccc]\n\n",
        "first\naaaa\nbbbb\ncccc\n",
    );
}

#[tokio::test]
async fn halves_are_used_in_turn_for_ever_and_only_what_is_not_covered_is_replayed() {
    let (storage, journal) = used().await;
    let mut names = vec!["first".to_owned()];
    for number in 0..100 {
        let name = format!("{number:03}");
        journal.append(entry(&name)).await.unwrap();
        names.push(name);
    }
    let storage = after_power_cut(&storage);
    let (_journal, recovered) = start(&storage);
    let frames = recovered.replayed.frames;
    assert!((1..32).contains(&frames), "{frames} frames");
    assert_eq!(
        (recovered.replayed.appended, recovered.replayed.missing),
        (0, 0)
    );
    let endpoint: String = names.iter().map(|name| format!("[{name}]\n\n")).collect();
    assert_texts(&storage, &endpoint, &(names.join("\n") + "\n"));
}

#[tokio::test]
async fn a_half_is_reused_after_the_logs_were_synced_whatever_a_power_cut_tears() {
    // One page is for the frame that begins the half, one for a checkpoint.
    const BATCHES: usize = HALF / PAGE - 2;
    for calls in 0.. {
        let (storage, journal) = used().await;
        // The sync that begins when the first half is full takes until the second one is full too,
        // so no frame says that the logs have those of the first, which are overwritten next.
        storage.with(|disk| disk.stalled_logs = true);
        for number in 0..2 * BATCHES {
            journal
                .append(entry(&format!("{number:02}")))
                .await
                .unwrap();
        }
        storage.with(|disk| {
            disk.stalled_logs = false;
            disk.calls_left = Some(calls);
        });
        let is_whole = journal.append(entry("last")).await.is_ok();
        for seed in 0..8 {
            let left = FaultyDisk::as_it_is(storage.with(|disk| disk.after_power_cut(seed)));
            let (_journal, recovered) = start(&left);
            assert_eq!(recovered.replayed.missing, 0, "after {calls} calls");
            let text = left.text();
            let records = text.split_inclusive("\n\n");
            let committed = 1 + 2 * BATCHES + usize::from(is_whole);
            assert!(records.count() >= committed, "after {calls} calls: {text}");
        }
        if is_whole {
            return;
        }
    }
}

#[tokio::test]
async fn a_clean_stop_leaves_nothing_of_a_message_in_the_commit_log() {
    let (storage, journal) = used().await;
    for number in 0..40 {
        journal
            .append(entry(&format!("secret {number}")))
            .await
            .unwrap();
    }
    let has_secrets = |storage: &FaultyDisk| {
        let log = storage.with(|disk| disk.named(NAME).unwrap().live.clone());
        log.windows(6).any(|bytes| bytes == b"secret")
    };
    assert!(has_secrets(&storage));
    journal.close().await.unwrap();
    assert!(!has_secrets(&storage));
}

#[tokio::test]
async fn a_push_that_a_full_disk_refused_has_no_frame() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.room = Some(2));
    assert_eq!(
        journal.append(entry("b")).await.unwrap_err(),
        JournalError::Refused
    );
    storage.with(|disk| disk.room = None);
    // The sync of the next frame would make that of the refused push durable too.
    journal.append(entry("c")).await.unwrap();
    let storage = after_power_cut(&storage);
    let (_journal, recovered) = start(&storage);
    assert_eq!(recovered.replayed.frames, 2);
    assert_texts(&storage, "[first]\n\n[a]\n\n[c]\n\n", "first\na\nc\n");
}

#[tokio::test]
async fn without_a_commit_log_a_refused_push_does_not_come_back() {
    let storage = FaultyDisk::new();
    let (journal, _) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    // Its record is written and synced; its access line has no room.
    let refused = entry("refused");
    storage.with(|disk| disk.room = Some(refused.endpoint.len()));
    assert_eq!(
        journal.append(refused).await.unwrap_err(),
        JournalError::Refused
    );
    assert_texts(&after_power_cut(&storage), "", "");
}

#[tokio::test]
async fn the_logs_are_durable_before_a_commit_log_that_cannot_be_written_is_removed() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.fail_write_in_place = true);
    assert_eq!(
        journal.append(entry("b")).await.unwrap_err(),
        JournalError::Refused
    );
    let storage = after_power_cut(&storage);
    assert!(storage.with(|disk| disk.named(NAME).is_none()));
    let (_journal, _) = start(&storage);
    assert_texts(&storage, "[first]\n\n[a]\n\n", "first\na\n");
}

#[tokio::test]
async fn what_has_no_frame_is_durable_before_the_first_frame() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    // There is no room for a commit log yet.
    storage.with(|disk| disk.free = Some(0));
    // With this mode a push is acknowledged without a sync, and a later sync of the commit log must
    // make it durable.
    let settings = Settings {
        sync: SyncMode::Interval(Duration::from_secs(3600)),
        ..settings()
    };
    let (journal, _) = Journal::start_by(clock.clone(), storage.open(), settings, None).unwrap();
    journal.append(entry("a")).await.unwrap();
    let is_durable = |disk: &mut Disk| Log::iter().all(|log| !disk.file(log).durable.is_empty());
    assert!(!storage.with(is_durable), "nothing is synced yet");
    storage.with(|disk| disk.free = None);
    // The file is there before the commit log is in use.
    let is_used = || {
        let bytes = &journal.meters().commit_log.bytes;
        bytes.load(Ordering::Relaxed) > 0
    };
    clock
        .turn_until(is_used, || journal.health().is_stuck())
        .await;
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| {
        frame_with(disk, b"[b]\n\n");
        assert!(is_durable(disk), "the sync of the frame would not cover it");
    });
}

#[tokio::test]
async fn a_missing_commit_log_is_noticed_before_the_next_receipt() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.delete(NAME));
    journal.append(entry("b")).await.unwrap();
    // After a power cut the file that the process had open does not exist any more.
    // Both logs have it, or the commit log that was created in the meantime.
    let storage = after_power_cut(&storage);
    let (_journal, _) = start(&storage);
    assert_texts(&storage, "[first]\n\n[a]\n\n[b]\n\n", "first\na\nb\n");
}

#[tokio::test]
async fn a_commit_log_that_was_cut_is_noticed_before_the_next_receipt() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.cut(NAME, 0, false));
    journal.append(entry("b")).await.unwrap();
    // Both logs have it, or the commit log that was created in the meantime.
    let storage = after_power_cut(&storage);
    let (_journal, _) = start(&storage);
    assert_texts(&storage, "[first]\n\n[a]\n\n[b]\n\n", "first\na\nb\n");
}

/// The errors that this process logs, line by line.
static ERRORS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Errors;

impl io::Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ERRORS.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for the error about a failed sync with this cause.
fn error_of(cause: &str) -> String {
    eventually("the error is logged", || {
        let errors = String::from_utf8(ERRORS.lock().unwrap().clone()).unwrap();
        let line = errors.lines().find(|line| line.contains(cause));
        line.map(str::to_owned)
    })
}

#[tokio::test]
async fn a_failed_sync_says_whether_the_next_start_completes_the_logs() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_ansi(false)
        .with_writer(|| Errors)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let fail = |storage: &FaultyDisk, sync_error| {
        storage.with(|disk| {
            disk.fail_sync_of_logs = true;
            disk.sync_error = sync_error;
        });
    };
    // The logs are synced before a moved one is followed.
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    fail(&storage, " while the commit log is there");
    storage.with(|disk| disk.rename("access_log", "access_log.moved"));
    journal.append(entry("b")).await.unwrap_err();
    let error = error_of("while the commit log is there");
    assert!(
        error.contains("completes the logs from the commit log"),
        "{error}"
    );
    // They are synced before a removed commit log is replaced.
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    fail(&storage, " after somebody removed the commit log");
    storage.with(|disk| disk.delete(NAME));
    journal.append(entry("b")).await.unwrap_err();
    let error = error_of("after somebody removed the commit log");
    assert!(error.contains("no commit log"), "{error}");
    // They are synced before a new commit log is used.
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    storage.with(|disk| disk.free = Some(0));
    let settings = Settings {
        sync: SyncMode::Interval(Duration::from_secs(3600)),
        ..settings()
    };
    let (journal, _) = Journal::start_by(clock.clone(), storage.open(), settings, None).unwrap();
    journal.append(entry("a")).await.unwrap();
    fail(&storage, " before the first commit log");
    storage.with(|disk| disk.free = None);
    clock
        .turn_until(|| journal.check_room().is_err(), || false)
        .await;
    let error = error_of("before the first commit log");
    assert!(error.contains("no commit log"), "{error}");
}

#[tokio::test]
async fn if_the_commit_log_is_off_a_start_completes_the_logs_and_removes_it() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    let storage = after_power_cut(&storage);
    let without = Settings::default();
    let (journal, recovered) = Journal::start(storage.open(), without, None).unwrap();
    assert_eq!(recovered.replayed.frames, 1);
    journal.append(entry("b")).await.unwrap();
    assert_texts(&storage, "[first]\n\n[a]\n\n[b]\n\n", "first\na\nb\n");
    assert!(storage.with(|disk| disk.named(NAME).is_none()));
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_a_frame_syncs_both_logs() {
    let (storage, journal) = used().await;
    journal.append(entry("a")).await.unwrap();
    let long = "x".repeat(HALF / 2);
    journal.append(entry(&long)).await.unwrap();
    journal.append(entry("b")).await.unwrap();
    let storage = after_power_cut(&storage);
    let (_journal, recovered) = start(&storage);
    assert_eq!(recovered.replayed.frames, 1, "the one behind it");
    assert_texts(
        &storage,
        &format!("[first]\n\n[a]\n\n[{long}]\n\n[b]\n\n"),
        &format!("first\na\n{long}\nb\n"),
    );
}

#[test]
fn a_commit_log_whose_first_frame_is_torn_lacks_nothing() {
    // The first frame has no bytes and is synced before the next one is written.
    for (torn, missing) in [(1, 0), (2, 1)] {
        let storage = FaultyDisk::new();
        let mut log = vec![0; 2 * HALF];
        log[HALF..HALF + torn * PAGE].fill(0xaa);
        storage.with(|disk| disk.make_exactly(NAME, &log));
        let (_journal, recovered) = start(&storage);
        assert_eq!(recovered.replayed.missing, missing, "{torn} blocks");
    }
}
