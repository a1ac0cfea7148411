//! How far followers in the process that writes may read: never past what is committed.

use std::time::Duration;

use mns_endpoint::disk::Disk as _;
use mns_endpoint::disk::FileId;
use mns_endpoint::journal::{Entry, Journal, JournalError, Log, Names, Settings};

use crate::support::FaultyDisk;

fn entry(name: &str) -> Entry {
    Entry {
        endpoint: format!("[{name}]\n\n").into_bytes(),
        access: format!("{name}\n").into_bytes(),
        ..Entry::default()
    }
}

/// Which file the endpoint log is at this moment.
fn live(storage: &FaultyDisk) -> FileId {
    let names = Names {
        dir: "/logs".into(),
        port: 80,
    };
    storage.identity(&names.live(Log::Endpoint)).unwrap()
}

#[tokio::test]
async fn what_is_written_and_not_committed_is_beyond_the_mark() {
    let storage = FaultyDisk::new();
    let (journal, _) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    let mut mark = journal.high_water_mark();
    let file = live(&storage);
    assert_eq!(mark.of(file), 0);
    journal.append(entry("a")).await.unwrap();
    mark.changed().await;
    assert_eq!(mark.of(file), 5);
    storage.with(|disk| disk.stalled = true);
    let waiting = journal.append(entry("b"));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err() && mark.of(file) == 5);
    storage.with(|disk| disk.stalled = false);
    waiting.await.unwrap();
    // Before the receipt: whoever has it finds the entry.
    assert_eq!(mark.of(file), 10);
}

#[tokio::test]
async fn what_a_failed_sync_takes_back_never_was_below_the_mark() {
    let storage = FaultyDisk::new();
    let (journal, _) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    let mark = journal.high_water_mark();
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.fail_sync = true);
    let refused = journal.append(entry("b")).await.unwrap_err();
    assert!(matches!(refused, JournalError::Failed));
    assert_eq!(mark.of(live(&storage)), 5);
}

#[tokio::test]
async fn of_a_file_that_was_left_all_is_committed_and_of_the_next_what_is() {
    let storage = FaultyDisk::new();
    let settings = Settings {
        rotate_bytes: Some(12),
        ..Settings::default()
    };
    let (journal, _) = Journal::start(storage.open(), settings, None).unwrap();
    let mark = journal.high_water_mark();
    let old = live(&storage);
    for name in ["a", "b", "c"] {
        journal.append(entry(name)).await.unwrap();
    }
    let new = live(&storage);
    assert_ne!(new, old);
    assert_eq!((mark.of(old), mark.of(new)), (u64::MAX, 5));
}
