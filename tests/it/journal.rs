//! The journal on a failing disk: what it promises, and when it refuses to.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mns_endpoint::clock::{Clock as _, SystemClock};
use mns_endpoint::journal::{
    self, Duplicates, Entry, Head, Health, Journal, JournalError, Limits, Log, REFUSAL_COOLDOWN,
    STALL_LIMIT, Settings, Space, SyncMode, Tee, Waits,
};

use crate::support::{Disk, FaultyDisk, LOOK_AGAIN, TurnedClock, eventually};

fn start(storage: &FaultyDisk) -> Journal {
    start_with(storage, Limits::default())
}

fn start_with(storage: &FaultyDisk, limits: Limits) -> Journal {
    start_set(
        storage,
        Settings {
            limits,
            ..Settings::default()
        },
    )
}

fn start_set(storage: &FaultyDisk, settings: Settings) -> Journal {
    Journal::start(storage.open(), settings, None).unwrap().0
}

fn entry(name: &str) -> Entry {
    Entry {
        endpoint: format!("[{name}]\n\n").into_bytes(),
        access: format!("{name}\n").into_bytes(),
        ..Entry::default()
    }
}

/// Waits until the disk is in the wanted state: the writer is another thread.
async fn until(storage: &FaultyDisk, wanted: impl Fn(&mut Disk) -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !storage.with(|disk| wanted(disk)) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await
    .expect("the disk never got there");
}

fn start_by(clock: &Arc<TurnedClock>, storage: &FaultyDisk, settings: Settings) -> Journal {
    Journal::start_by(clock.clone(), storage.open(), settings, None)
        .unwrap()
        .0
}

#[tokio::test]
async fn a_receipt_comes_after_both_files_are_synced() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.endpoint().durable, b"[a]\n\n");
        assert_eq!(disk.access().durable, b"a\n");
    });
    storage.with(|disk| disk.stalled = true);
    let waiting = journal.append(entry("b"));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err(), "a receipt before the sync");
    storage.with(|disk| {
        assert_eq!(
            disk.access().live,
            b"a\n",
            "a line before its record is on disk"
        )
    });
    storage.with(|disk| disk.stalled = false);
    waiting.await.unwrap();
}

#[tokio::test]
async fn what_arrives_during_a_sync_is_one_batch() {
    let storage = FaultyDisk::new();
    let journal = Arc::new(start(&storage));
    storage.with(|disk| disk.stalled = true);
    let (syncs, appends) = storage.with(|disk| (disk.syncs, disk.appends));
    let first = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(entry("first")).await }
    });
    until(&storage, |disk| disk.appends > appends).await;
    let rest: Vec<_> = (0..100)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(entry(&number.to_string())).await })
        })
        .collect();
    // Everything is queued once each task has run until it waits.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    storage.with(|disk| disk.stalled = false);
    first.await.unwrap().unwrap();
    for append in rest {
        append.await.unwrap().unwrap();
    }
    assert_eq!(
        storage.with(|disk| disk.syncs),
        syncs + 4,
        "two files, two batches"
    );
}

/// How often the writer checks its disk.
const CHORES_EVERY: Duration = Duration::from_secs(1);
/// How long refusals are gathered.
const REFUSALS_WINDOW: Duration = Duration::from_millis(5);

#[tokio::test]
async fn refusals_that_come_one_by_one_are_written_together() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    // Several attempts, for a busy machine.
    let mut fewest = usize::MAX;
    for _ in 0..20 {
        let appends = storage.with(|disk| disk.appends);
        let begun = Instant::now();
        for number in 0..10 {
            journal.offer(entry("refused"));
            while begun.elapsed() < REFUSALS_WINDOW / 20 * number {}
        }
        until(&storage, |_| journal.waiting_refusals().entries == 0).await;
        fewest = fewest.min(storage.with(|disk| disk.appends) - appends);
    }
    assert_eq!(fewest, 2, "one for each file");
}

#[tokio::test]
async fn no_push_waits_while_refusals_are_gathered() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    // Several attempts, for a busy machine.
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        journal.offer(entry("refused"));
        // The writer has taken it and waits for more.
        let taken = Instant::now();
        while taken.elapsed() < REFUSALS_WINDOW / 5 {}
        let begun = Instant::now();
        journal.append(entry("push")).await.unwrap();
        shortest = shortest.min(begun.elapsed());
    }
    assert!(shortest < REFUSALS_WINDOW / 5, "{shortest:?}");
    assert!(
        storage.text().starts_with("[refused]\n\n[push]\n\n"),
        "in the order in which they came"
    );
}

/// Stores what is written to it, as stdout would show it.
#[derive(Clone, Default)]
struct Copied(Arc<Mutex<Vec<u8>>>);

impl Copied {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Copied {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn stdout_shows_what_was_committed_once_nothing_waits_and_at_the_close() {
    let (storage, copied) = (FaultyDisk::new(), Copied::default());
    let started = Journal::start(
        storage.open(),
        Settings::default(),
        Some(Tee::new(
            journal::Copied::AccessLines,
            Box::new(copied.clone()),
        )),
    );
    let journal = Arc::new(started.unwrap().0);
    journal.append(entry("a")).await.unwrap();
    eventually("nothing waits", || (copied.text() == "a\n").then_some(()));
    storage.with(|disk| disk.room = Some(3));
    assert_eq!(
        journal.append(entry("refused")).await.unwrap_err(),
        JournalError::Refused
    );
    storage.with(|disk| (disk.room, disk.stalled) = (None, true));
    let appends = storage.with(|disk| disk.appends);
    let last = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(entry("b")).await }
    });
    until(&storage, |disk| disk.appends > appends).await;
    assert_eq!(copied.text(), "a\n", "what is not committed");
    // The request to close waits while that is committed, so the writer is never idle.
    let closing = tokio::spawn(async move { journal.close().await });
    tokio::task::yield_now().await;
    storage.with(|disk| disk.stalled = false);
    last.await.unwrap().unwrap();
    closing.await.unwrap().unwrap();
    assert_eq!(copied.text(), "a\nb\n");
}

/// How long 100 commits take, one after the other.
async fn a_hundred(journal: &Journal) -> Duration {
    let begun = Instant::now();
    for number in 0..100 {
        journal.append(entry(&number.to_string())).await.unwrap();
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_small_commit_waits_for_more_while_several_connections_send() {
    const WINDOW: Duration = Duration::from_micros(800);
    let storage = FaultyDisk::new();
    let journal = Arc::new(start(&storage));
    // Several attempts, for a busy machine.
    let mut alone = Duration::MAX;
    for _ in 0..10 {
        alone = alone.min(a_hundred(&journal).await);
    }
    assert!(alone < WINDOW * 100, "{alone:?}");
    // Others arrive while the first is committed.
    let mut crowd = Duration::MAX;
    for _ in 0..50 {
        crowd = crowd.min(first_and_others(&journal, &storage, 16).await);
    }
    assert!(crowd < WINDOW, "16 wait for nobody: {crowd:?}");
    let few = first_and_others(&journal, &storage, 15).await;
    assert!(few >= WINDOW, "{few:?}");
    let spaced = a_hundred(&journal).await;
    assert!(spaced >= WINDOW * 100, "{spaced:?}");
}

/// How long it takes to commit `others` that arrived during a commit, from the end of that commit.
async fn first_and_others(journal: &Arc<Journal>, storage: &FaultyDisk, others: usize) -> Duration {
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let append = || {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(entry("one")).await })
    };
    let first = append();
    until(storage, |disk| disk.appends > appends).await;
    let others: Vec<_> = (0..others).map(|_| append()).collect();
    while journal.waiting_pushes().entries < others.len() + 1 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    storage.with(|disk| disk.stalled = false);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_refused_write_is_rolled_back_and_the_journal_recovers_when_there_is_room() {
    for room in 0..8 {
        let storage = FaultyDisk::new();
        let journal = start(&storage);
        journal.append(entry("a")).await.unwrap();
        storage.with(|disk| disk.room = Some(room));
        assert_eq!(
            journal.append(entry("bb")).await.err(),
            Some(JournalError::Refused),
            "room for {room} bytes"
        );
        assert!(!journal.health().is_writable());
        storage.with(|disk| {
            assert_eq!(
                (disk.endpoint().live.clone(), disk.access().live.clone()),
                (b"[a]\n\n".to_vec(), b"a\n".to_vec())
            );
            disk.room = None;
        });
        journal.append(entry("c")).await.unwrap();
        assert_eq!(storage.text(), "[a]\n\n[c]\n\n");
    }
}

#[tokio::test]
async fn a_length_that_cannot_be_read_costs_nothing_that_was_acknowledged() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| disk.fail_len = true);
    assert_eq!(
        journal.append(entry("c")).await.err(),
        Some(JournalError::Refused)
    );
    journal.append(entry("d")).await.unwrap();
    assert_eq!(storage.text(), "[a]\n\n[b]\n\n[d]\n\n");
}

#[tokio::test]
async fn a_refused_write_is_reported_for_five_seconds_and_then_another_is_attempted() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    let journal = start_by(&clock, &storage, Settings::default());
    assert!(journal.health().is_writable());
    storage.with(|disk| disk.room = Some(0));
    let started = clock.instant();
    assert_eq!(
        journal.append(entry("a")).await.err(),
        Some(JournalError::Refused)
    );
    assert!(!journal.health().is_writable());
    // No push arrives in the meantime, as if a load balancer had removed the endpoint.
    let is_writable = || journal.health().is_writable();
    clock
        .turn_until(is_writable, || journal.health().is_stuck())
        .await;
    let told_for = clock.instant() - started;
    assert!(
        told_for >= REFUSAL_COOLDOWN && told_for < REFUSAL_COOLDOWN * 2,
        "{told_for:?}"
    );
}

#[tokio::test]
async fn a_commit_that_hangs_in_the_disk_is_reported() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    let journal = Arc::new(start_by(&clock, &storage, Settings::default()));
    storage.with(|disk| disk.stalled = true);
    let (appends, started) = (storage.with(|disk| disk.appends), clock.instant());
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(entry("a")).await }
    });
    until(&storage, |disk| disk.appends > appends).await;
    clock
        .turn_until(|| !journal.health().is_writable(), || false)
        .await;
    let hung_for = clock.instant() - started;
    assert!(
        hung_for >= STALL_LIMIT && hung_for < STALL_LIMIT * 2,
        "{hung_for:?}"
    );
    assert_eq!(journal.health(), Health::Stalled(Space::Enough));
    assert_eq!(
        journal.check_room(),
        Err(JournalError::Full),
        "what would only wait"
    );
    storage.with(|disk| disk.stalled = false);
    waiting.await.unwrap().unwrap();
    until(&storage, |_| journal.health().is_writable()).await;
}

#[tokio::test]
async fn an_idle_journal_that_hangs_in_the_disk_is_reported() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    let journal = start_by(&clock, &storage, Settings::default());
    journal.append(entry("a")).await.unwrap();
    // By itself it syncs the old file and switches to a new one.
    storage.with(|disk| {
        disk.stalled = true;
        disk.free = Some(0);
        disk.rename("endpoint_log", "old");
    });
    clock.turn(CHORES_EVERY);
    // It measures the space first.
    until(&storage, |_| journal.health().space() < Space::Enough).await;
    let hung_for = clock
        .turn_until(|| !journal.health().is_writable(), || false)
        .await;
    assert!(hung_for < STALL_LIMIT * 2, "{hung_for:?}");
    storage.with(|disk| disk.stalled = false);
    until(&storage, |_| journal.health().is_writable()).await;
    journal.append(entry("b")).await.unwrap();
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_promised_and_no_sync_is_tried_again() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.fail_sync = true);
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
    tokio::time::timeout(Duration::from_secs(5), journal.failed())
        .await
        .unwrap();
    let syncs = storage.with(|disk| {
        disk.fail_sync = false;
        disk.syncs
    });
    assert_eq!(
        journal.append(entry("c")).await.err(),
        Some(JournalError::Failed)
    );
    assert!(!journal.health().is_writable());
    assert_eq!(journal.close().await, Err(JournalError::Failed));
    assert_eq!(storage.with(|disk| disk.syncs), syncs);
    // Records of pushes that were answered 503 are in neither file.
    storage.with(|disk| {
        assert_eq!(
            (disk.endpoint().live.clone(), disk.access().live.clone()),
            (b"[a]\n\n".to_vec(), b"a\n".to_vec())
        )
    });
}

#[tokio::test]
async fn a_writer_that_panics_is_a_permanent_failure() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    storage.with(|disk| disk.panics = true);
    assert_eq!(
        journal.append(entry("a")).await.err(),
        Some(JournalError::Failed)
    );
    tokio::time::timeout(Duration::from_secs(5), journal.failed())
        .await
        .unwrap();
    assert!(!journal.health().is_writable());
    assert_eq!(journal.close().await, Err(JournalError::Failed));
}

#[tokio::test]
async fn a_write_that_cannot_be_rolled_back_is_a_permanent_failure() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    storage.with(|disk| {
        disk.room = Some(3);
        disk.fail_truncate = true;
    });
    assert_eq!(
        journal.append(entry("a")).await.err(),
        Some(JournalError::Failed)
    );
    storage.with(|disk| disk.room = None);
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
}

#[tokio::test]
async fn a_queued_record_survives_its_requester() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let given_up =
        tokio::time::timeout(Duration::from_millis(50), journal.append(entry("a"))).await;
    assert!(given_up.is_err());
    until(&storage, |disk| disk.appends > appends).await;
    storage.with(|disk| disk.stalled = false);
    journal.close().await.unwrap();
    assert_eq!(
        storage.with(|disk| disk.endpoint().durable.clone()),
        b"[a]\n\n"
    );
}

#[tokio::test]
async fn the_queue_is_bounded_by_count_and_bytes_and_refusals_have_separate_room() {
    let storage = FaultyDisk::new();
    let limits = Limits {
        entries_max: 4,
        bytes_max: 1000,
        refused_bytes_max: 1000,
        batch_bytes: 1,
    };
    let journal = Arc::new(start_with(&storage, limits));
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let spawn = |name: &'static str| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(entry(name)).await })
    };
    let held = spawn("held");
    until(&storage, |disk| disk.appends > appends).await;
    let large = Entry {
        endpoint: vec![b'x'; 1001],
        access: Vec::new(),
        ..Entry::default()
    };
    assert_eq!(journal.append(large).await.err(), Some(JournalError::Full));
    let queued: Vec<_> = ["1", "2", "3"].into_iter().map(spawn).collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        journal.append(entry("one too many")).await.err(),
        Some(JournalError::Full)
    );
    for number in 0..5 {
        journal.offer(entry(&format!("refusal {number}")));
    }
    assert_eq!(
        journal.refusals_dropped(),
        1,
        "as many refusals as pushes have room"
    );
    let bytes = |names: &[&str]| {
        names
            .iter()
            .map(|name| entry(name).endpoint.len() + entry(name).access.len())
            .sum()
    };
    assert_eq!(
        journal.waiting_pushes(),
        Waits {
            entries: 4,
            bytes: bytes(&["held", "1", "2", "3"])
        }
    );
    let refusals = Waits {
        entries: 4,
        bytes: bytes(&["refusal 0", "refusal 1", "refusal 2", "refusal 3"]),
    };
    assert_eq!(journal.waiting_refusals(), refusals);
    storage.with(|disk| disk.stalled = false);
    held.await.unwrap().unwrap();
    for append in queued {
        append.await.unwrap().unwrap();
    }
    journal.close().await.unwrap();
    let none = Waits {
        entries: 0,
        bytes: 0,
    };
    assert_eq!(
        (journal.waiting_pushes(), journal.waiting_refusals()),
        (none, none)
    );
    let batches = journal.meters().batch_entries.counted();
    assert_eq!(
        (batches.sum, batches.buckets[0]),
        (8, (Some(1), 8)),
        "a batch of one byte has one entry"
    );
    let text = storage.text();
    assert!(
        text.ends_with("[3]\n\n[refusal 0]\n\n[refusal 1]\n\n[refusal 2]\n\n[refusal 3]\n\n"),
        "{text}"
    );
    assert!(matches!(
        journal.append(entry("late")).await,
        Err(JournalError::Failed)
    ));
}

#[tokio::test]
async fn a_flood_of_refusals_turns_no_push_away() {
    let storage = FaultyDisk::new();
    let limits = Limits {
        entries_max: 4,
        bytes_max: 1000,
        refused_bytes_max: 1000,
        batch_bytes: 1,
    };
    let journal = Arc::new(start_with(&storage, limits));
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let spawn = |name: &'static str| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(entry(name)).await })
    };
    let held = spawn("held");
    until(&storage, |disk| disk.appends > appends).await;
    for _ in 0..100 {
        journal.offer(entry("flood"));
    }
    assert_eq!(journal.refusals_dropped(), 96);
    let pushes: Vec<_> = ["1", "2", "3"].into_iter().map(spawn).collect();
    tokio::task::yield_now().await;
    storage.with(|disk| disk.stalled = false);
    held.await.unwrap().unwrap();
    for push in pushes {
        push.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_refusals_are_synced_without_a_push_among_them() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    for _ in 0..16 {
        journal.offer(Entry {
            endpoint: vec![b'x'; 128 * 1024],
            access: Vec::new(),
            ..Entry::default()
        });
    }
    until(&storage, |disk| {
        disk.endpoint().durable.len() >= 1024 * 1024
    })
    .await;
}

#[tokio::test]
async fn refusals_do_not_wait_for_the_disk_and_the_close_writes_them() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    let syncs = storage.with(|disk| disk.syncs);
    journal.offer(entry("refused"));
    until(&storage, |disk| !disk.access().live.is_empty()).await;
    assert_eq!(storage.with(|disk| disk.syncs), syncs);
    journal.close().await.unwrap();
    assert_eq!(
        storage.with(|disk| disk.access().durable.clone()),
        b"refused\n"
    );
}

#[test]
fn existing_records_are_synced_at_the_start_before_they_count() {
    let storage = FaultyDisk::new();
    storage.with(|disk| {
        disk.endpoint().live = b"[a]\n\n[b]\nto".to_vec();
        disk.access().live = b"a\nb".to_vec();
    });
    let (_journal, recovered) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    assert_eq!(recovered.torn.len(), 2);
    storage.with(|disk| {
        assert_eq!(disk.endpoint().durable, b"[a]\n\n");
        assert_eq!(disk.access().durable, b"a\n");
        assert_eq!(disk.aside(), b"[b]\ntob");
    });
}

#[test]
fn each_file_is_really_synced_by_the_real_storage() {
    use mns_endpoint::disk::{Disk as _, Open, RealDisk};
    use mns_endpoint::journal::{FileOptions, LogFiles};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    // A pipe accepts writes but has no disk: the kernel fails to sync it and reports that.
    for (pipe, other) in [
        ("endpoint_log.1", "access_log.1"),
        ("access_log.1", "endpoint_log.1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        mknodat(
            CWD,
            dir.path().join(pipe),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let options = FileOptions {
            dir: dir.path().to_owned(),
            port: 1,
            mode: 0o640,
        };
        let files = LogFiles::open(options).unwrap();
        let open = |name: &str| {
            let how = Open::AppendToAny { mode: 0o640 };
            RealDisk.open(&dir.path().join(name), how).unwrap()
        };
        let mut file = open(pipe);
        file.append(b"x").unwrap();
        assert_eq!(
            file.sync().unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{pipe}"
        );
        open(other).sync().unwrap();
        // So no journal starts on it.
        assert!(Journal::start(files, Settings::default(), None).is_err());
    }
}

#[tokio::test]
async fn a_file_is_rotated_before_it_grows_too_large() {
    let storage = FaultyDisk::new();
    let journal = start_set(
        &storage,
        Settings {
            rotate_bytes: Some(12),
            ..Settings::default()
        },
    );
    for name in ["a", "b", "c", "d", "e"] {
        journal.append(entry(name)).await.unwrap();
    }
    storage.with(|disk| {
        let text =
            |name: &str| String::from_utf8(disk.named(name).unwrap().durable.clone()).unwrap();
        assert_eq!(text("endpoint_log.1"), "[a]\n\n[b]\n\n");
        assert_eq!(text("endpoint_log.2"), "[c]\n\n[d]\n\n");
        assert_eq!(text("endpoint_log"), "[e]\n\n");
        assert_eq!(
            text("access_log"),
            "a\nb\nc\nd\ne\n",
            "each file by its own size"
        );
    });
}

#[tokio::test]
async fn a_record_larger_than_the_limit_of_a_file_gets_a_file_to_itself() {
    let storage = FaultyDisk::new();
    let journal = start_set(
        &storage,
        Settings {
            rotate_bytes: Some(1),
            ..Settings::default()
        },
    );
    journal.append(entry("a")).await.unwrap();
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.named("endpoint_log.1").unwrap().live, b"[a]\n\n");
        assert_eq!(disk.named("endpoint_log").unwrap().live, b"[b]\n\n");
        assert_eq!(
            disk.names
                .keys()
                .filter(|name| !name.starts_with('.'))
                .count(),
            4
        );
    });
}

#[tokio::test]
async fn refusals_are_synced_before_their_file_is_rotated() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.offer(entry("a"));
    until(&storage, |disk| !disk.access().live.is_empty()).await;
    storage.with(|disk| disk.rename("endpoint_log", "old"));
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.named("old").unwrap().durable, b"[a]\n\n");
        assert_eq!(disk.named("endpoint_log").unwrap().durable, b"[b]\n\n");
    });
}

#[tokio::test]
async fn the_old_file_stays_in_use_while_no_new_one_can_be_opened() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        disk.rename("endpoint_log", "old");
        disk.fail_open = true;
    });
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.named("old").unwrap().durable, b"[a]\n\n[b]\n\n");
        disk.fail_open = false;
    });
    // The retry is due after a second; a signal does not wait for that.
    journal.reopen();
    journal.append(entry("c")).await.unwrap();
    storage.with(|disk| assert_eq!(disk.named("endpoint_log").unwrap().durable, b"[c]\n\n"));
}

#[tokio::test]
async fn nothing_is_promised_in_a_deleted_file_while_no_new_one_can_be_opened() {
    for log in [Log::Endpoint, Log::Access] {
        let storage = FaultyDisk::new();
        let journal = start(&storage);
        journal.append(entry("a")).await.unwrap();
        storage.with(|disk| {
            disk.delete(log.name());
            disk.fail_open_of = Some(log);
        });
        // At the first attempt, and while the next one is delayed.
        for _ in 0..3 {
            assert_eq!(
                journal.append(entry("b")).await.err(),
                Some(JournalError::Refused),
                "{log:?}"
            );
        }
        assert!(!journal.health().is_writable());
        storage.with(|disk| disk.fail_open_of = None);
        journal.reopen();
        journal.append(entry("c")).await.unwrap();
        storage.with(|disk| assert!(disk.named(log.name()).unwrap().durable.ends_with(b"\n")));
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_reopened_does_not_delay_the_other() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        disk.rename("endpoint_log", "old");
        disk.fail_open_of = Some(Log::Endpoint);
    });
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| disk.rename("access_log", "old access"));
    journal.append(entry("c")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.named("access_log").unwrap().durable, b"c\n");
        assert_eq!(disk.named("old").unwrap().durable, b"[a]\n\n[b]\n\n[c]\n\n");
    });
}

#[tokio::test]
async fn a_new_file_is_never_cut_back_to_the_length_of_the_old_one() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        disk.rename("endpoint_log", "old");
        // Another process of ours has created it in the meantime and acknowledged its content.
        disk.make("endpoint_log", b"[x]\n\n[y]\n\n[z]\n\n");
        disk.fail_sync_names = true;
    });
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
    storage.with(|disk| {
        assert_eq!(
            disk.named("endpoint_log").unwrap().live,
            b"[x]\n\n[y]\n\n[z]\n\n"
        )
    });
}

#[tokio::test]
async fn an_idle_journal_lets_go_of_a_renamed_file() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    let journal = start_by(&clock, &storage, Settings::default());
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.rename("access_log", "old"));
    clock.turn(CHORES_EVERY);
    until(&storage, |disk| disk.named("access_log").is_some()).await;
    assert!(journal.health().is_writable());
}

#[tokio::test]
async fn a_new_file_whose_name_is_not_durable_is_a_permanent_failure() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        disk.rename("endpoint_log", "old");
        disk.fail_sync_names = true;
    });
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
}

#[tokio::test]
async fn a_file_that_somebody_truncated_is_measured_again_and_a_torn_end_removed() {
    for (len, left) in [
        (0, ""),
        (5, "[a]\n\n"),
        (7, "[a]\n\n"),
        (10, "[a]\n\n[b]\n\n"),
    ] {
        let storage = FaultyDisk::new();
        let journal = start(&storage);
        journal.append(entry("a")).await.unwrap();
        journal.append(entry("b")).await.unwrap();
        storage.with(|disk| disk.cut("endpoint_log", len, false));
        journal.append(entry("c")).await.unwrap();
        assert_eq!(storage.text(), format!("{left}[c]\n\n"), "cut to {len}");
        // A write that is refused later is rolled back to there, without zeros.
        storage.with(|disk| disk.room = Some(3));
        assert_eq!(
            journal.append(entry("d")).await.err(),
            Some(JournalError::Refused)
        );
        assert_eq!(storage.text(), format!("{left}[c]\n\n"), "cut to {len}");
    }
}

#[tokio::test]
async fn after_a_failed_sync_the_files_end_where_they_were_last_synced() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    journal.offer(entry("refused"));
    until(&storage, |disk| disk.access().live.ends_with(b"refused\n")).await;
    storage.with(|disk| disk.fail_sync = true);
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
    storage.with(|disk| {
        assert_eq!(
            (disk.endpoint().live.clone(), disk.access().live.clone()),
            (b"[a]\n\n".to_vec(), b"a\n".to_vec())
        );
    });
}

#[tokio::test]
async fn a_file_that_cannot_be_cut_after_a_failed_sync_is_suspect() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| (disk.fail_sync, disk.fail_truncate) = (true, true));
    assert_eq!(
        journal.append(entry("b")).await.err(),
        Some(JournalError::Failed)
    );
    let left = storage.with(|disk| disk.after_kill());
    assert!(
        left.named("endpoint_log").is_none()
            && left
                .names
                .keys()
                .any(|name| name.starts_with("endpoint_log.80.suspect"))
    );
    assert_eq!(
        left.named("access_log").unwrap().live,
        b"a\n",
        "nothing had been written to this one"
    );
    let again = FaultyDisk::on(left);
    start(&again).append(entry("c")).await.unwrap();
    assert_eq!(again.text(), "[c]\n\n");
}

#[tokio::test]
async fn a_start_succeeds_without_room_to_save_a_torn_end() {
    let storage = FaultyDisk::new();
    storage.with(|disk| {
        disk.endpoint().live = b"[a]\n\n[b]\nto".to_vec();
        disk.room = Some(0);
    });
    let (_journal, recovered) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    assert!(!recovered.torn[0].is_kept);
    assert_eq!(storage.text(), "[a]\n\n");
}

#[tokio::test]
async fn low_space_is_reported_and_pushes_are_still_written() {
    let (storage, clock) = (FaultyDisk::new(), Arc::<TurnedClock>::default());
    storage.with(|disk| disk.free = Some(99));
    let journal = start_by(
        &clock,
        &storage,
        Settings {
            low_water_bytes: 100,
            ..Settings::default()
        },
    );
    assert!(
        journal.health().space() < Space::Enough,
        "known from the start on"
    );
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.free = Some(100));
    clock.turn(CHORES_EVERY);
    eventually("there is enough space again", || {
        (journal.health().space() == Space::Enough).then_some(())
    });
    storage.with(|disk| disk.free = Some(0));
    clock.turn(CHORES_EVERY);
    eventually("space is low without any traffic", || {
        (journal.health().space() < Space::Enough).then_some(())
    });
    assert!(journal.health().is_writable());
}

#[tokio::test]
async fn with_an_interval_a_receipt_comes_first_and_the_sync_within_the_interval() {
    let span = Duration::from_millis(200);
    let storage = FaultyDisk::new();
    let journal = start_set(
        &storage,
        Settings {
            sync: SyncMode::Interval(span),
            ..Settings::default()
        },
    );
    let written = Instant::now();
    journal.append(entry("a")).await.unwrap();
    let early = storage.with(|disk| disk.access().durable.is_empty());
    assert!(
        early || written.elapsed() >= span,
        "synced before the interval was over"
    );
    until(&storage, |disk| {
        disk.endpoint().durable == b"[a]\n\n" && disk.access().durable == b"a\n"
    })
    .await;
    assert!(written.elapsed() >= span);
    let syncs = storage.with(|disk| disk.syncs);
    // Also under steady load, although no wait ever times out then.
    while storage.with(|disk| disk.syncs) == syncs {
        journal.append(entry("b")).await.unwrap();
        assert!(written.elapsed() < Duration::from_secs(10));
    }
    // Acknowledged records stay even if their sync fails.
    journal.append(entry("c")).await.unwrap();
    storage.with(|disk| disk.fail_sync = true);
    tokio::time::timeout(Duration::from_secs(5), journal.failed())
        .await
        .unwrap();
    assert!(storage.text().ends_with("[c]\n\n"));
}

#[tokio::test]
async fn with_os_nothing_is_synced_before_the_close() {
    let storage = FaultyDisk::new();
    let journal = start_set(
        &storage,
        Settings {
            sync: SyncMode::Os,
            ..Settings::default()
        },
    );
    let syncs = storage.with(|disk| disk.syncs);
    for _ in 0..100 {
        journal.append(entry("a")).await.unwrap();
    }
    assert_eq!(storage.with(|disk| disk.syncs), syncs);
    journal.close().await.unwrap();
    storage.with(|disk| assert_eq!(disk.access().durable.len(), 200));
}

#[tokio::test]
async fn a_close_ends_the_thread_whatever_was_queued_before() {
    let storage = FaultyDisk::new();
    let limits = Limits {
        entries_max: 1,
        ..Limits::default()
    };
    let journal = start_with(&storage, limits);
    for _ in 0..100 {
        journal.reopen();
    }
    tokio::time::timeout(Duration::from_secs(10), journal.close())
        .await
        .unwrap()
        .unwrap();
    assert!(!journal.health().is_writable());
}

/// The outcome of a notification, as a real one is logged.
fn notification(journal: &Journal, id: &str) -> Entry {
    let head = "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!";
    let endpoint = format!("{head}\n{:<30}: {id}\n\n", "MessageId");
    let place = |part| head.find(part).unwrap();
    let head = Head {
        place: place("receive.rs"),
        title: place("Notify"),
    };
    let identity = journal.identify([b"", b"", b"", id.as_bytes()], Some(head));
    Entry {
        endpoint: endpoint.into_bytes(),
        access: format!("{id}\n").into_bytes(),
        identity,
        ..Entry::default()
    }
}

/// The outcomes of all notifications, in order.
fn told(text: &str) -> Vec<String> {
    let records = text.split_terminator("\n\n").map(|record| {
        let what = if record.contains("[receive.rs:6] [1] Notify Message Duplicate!") {
            "again"
        } else {
            "first"
        };
        assert!(
            what == "again" || record.contains("[receive.rs:2] [1] Notify Message Succeed!"),
            "{record}"
        );
        format!("{what} {}", record.rsplit(": ").next().unwrap())
    });
    records.collect()
}

#[tokio::test]
async fn a_copy_that_arrives_while_the_first_is_written_is_a_duplicate_in_this_batch_or_the_next() {
    let storage = FaultyDisk::new();
    let journal = Arc::new(start(&storage));
    storage.with(|disk| disk.stalled = true);
    let spawn = |id: &'static str| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(notification(&journal, id)).await.map(drop) })
    };
    let appends = storage.with(|disk| disk.appends);
    let first = spawn("a");
    until(&storage, |disk| disk.appends > appends).await;
    // "a" is in the batch that is being synced, "b" is twice in the next.
    let rest = ["a", "b", "b"].map(spawn);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(
        !first.is_finished() && rest.iter().all(|copy| !copy.is_finished()),
        "acknowledged before anything is durable"
    );
    storage.with(|disk| disk.stalled = false);
    first.await.unwrap().unwrap();
    for copy in rest {
        copy.await.unwrap().unwrap();
    }
    assert_eq!(
        told(&storage.text()),
        ["first a", "again a", "first b", "again b"]
    );
    assert_eq!(journal.duplicates(), 2);
}

#[tokio::test]
async fn a_push_that_did_not_become_durable_is_not_a_duplicate_when_it_is_repeated() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    storage.with(|disk| disk.room = Some(10));
    assert!(journal.append(notification(&journal, "a")).await.is_err());
    storage.with(|disk| disk.room = None);
    journal.append(notification(&journal, "a")).await.unwrap();
    assert_eq!(told(&storage.text()), ["first a"]);
    // A duplicate that was not written is not counted either.
    storage.with(|disk| disk.room = Some(10));
    assert!(journal.append(notification(&journal, "a")).await.is_err());
    assert_eq!(journal.duplicates(), 0);
}

#[tokio::test]
async fn a_dropped_duplicate_leaves_only_its_access_line_and_off_marks_none() {
    for (duplicates, expected) in [
        (Duplicates::Drop, vec!["first a"]),
        (Duplicates::Off, vec!["first a", "first a"]),
    ] {
        let storage = FaultyDisk::new();
        let journal = start_set(
            &storage,
            Settings {
                duplicates,
                ..Settings::default()
            },
        );
        for _ in 0..2 {
            journal.append(notification(&journal, "a")).await.unwrap();
        }
        assert_eq!(told(&storage.text()), expected);
        storage.with(|disk| assert_eq!(disk.access().durable, b"a\na\n"));
    }
}

#[tokio::test]
async fn a_start_knows_all_files_and_reads_only_what_the_snapshot_lacks() {
    let settings = Settings {
        rotate_bytes: Some(300),
        ..Settings::default()
    };
    let storage = FaultyDisk::new();
    let journal = start_set(&storage, settings.clone());
    let ids: Vec<String> = (0..9).map(|number| number.to_string()).collect();
    for id in &ids {
        journal.append(notification(&journal, id)).await.unwrap();
    }
    // The snapshot is saved after the receipt: once something else has been written, it exists.
    let access = storage.with(|disk| disk.access().live.len());
    journal.offer(Entry {
        endpoint: Vec::new(),
        ..entry("behind")
    });
    until(&storage, |disk| disk.access().live.len() > access).await;
    let killed = storage.with(|disk| disk.after_kill());
    let all = killed
        .names
        .keys()
        .filter(|name| name.starts_with("endpoint"))
        .count();
    assert!(all > 3 && killed.seen().is_some());
    // After a kill: from the snapshot of the last rotation. Without one, as with the logs of an
    // older build, from all files.
    let broken = killed.seen().map(|mut seen| {
        seen[40] ^= 1;
        seen
    });
    for (seen, reads) in [(killed.seen(), 1), (None, all), (broken, all)] {
        let mut left = killed.after_kill();
        left.set_seen(seen);
        let again = FaultyDisk::on(left);
        let journal = start_set(&again, settings.clone());
        assert_eq!(again.with(|disk| disk.reads.len()), reads);
        for id in &ids {
            journal.append(notification(&journal, id)).await.unwrap();
        }
        assert_eq!(journal.duplicates(), 9);
    }
    // After a close nothing is left to read except the end of the live file.
    journal.close().await.unwrap();
    let closed = FaultyDisk::on(storage.with(|disk| disk.after_kill()));
    closed.with(|disk| disk.rename("endpoint_log", "endpoint_log.99"));
    let journal = start_set(&closed, settings);
    journal.append(notification(&journal, "8")).await.unwrap();
    assert_eq!(
        journal.duplicates(),
        1,
        "known by the snapshot, wherever the file went"
    );
}

#[tokio::test]
async fn a_suspect_file_is_not_read_for_duplicates() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    storage.with(|disk| (disk.fail_sync, disk.fail_truncate) = (true, true));
    assert!(journal.append(notification(&journal, "a")).await.is_err());
    let again = FaultyDisk::on(storage.with(|disk| disk.after_kill()));
    let journal = start(&again);
    journal.append(notification(&journal, "a")).await.unwrap();
    assert_eq!(told(&again.text()), ["first a"]);
}

#[tokio::test]
async fn a_snapshot_covers_nothing_that_is_not_synced() {
    let storage = FaultyDisk::new();
    let settings = Settings {
        sync: SyncMode::Os,
        rotate_bytes: Some(1),
        ..Settings::default()
    };
    let journal = start_set(&storage, settings);
    for id in ["a", "b"] {
        journal.append(notification(&journal, id)).await.unwrap();
    }
    // The rotation before "b" makes a snapshot due, which also covers "b".
    until(&storage, |disk| disk.seen().is_some()).await;
    storage.with(|disk| {
        let live = disk.endpoint().clone();
        assert_eq!(live.durable, live.live);
    });
}

#[tokio::test]
async fn a_log_that_was_replaced_is_read_although_it_is_long_enough_for_the_snapshot() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    journal.append(notification(&journal, "a")).await.unwrap();
    journal.close().await.unwrap();
    let mut left = storage.with(|disk| disk.after_kill());
    let other = ["x", "y"]
        .map(|id| notification(&journal, id).endpoint)
        .concat();
    let file = left.names["endpoint_log.80"];
    left.files[file].live = other;
    let again = FaultyDisk::on(left);
    let journal = start(&again);
    for id in ["a", "x", "y"] {
        journal.append(notification(&journal, id)).await.unwrap();
    }
    assert_eq!(
        journal.duplicates(),
        3,
        "the snapshot's, and those of the log that is there"
    );
}

#[tokio::test]
async fn bytes_that_are_known_to_be_durable_are_never_truncated_whatever_happens_to_them() {
    for (damage, added) in [
        (0_u8, &b"x"[..]),
        (0, b"\0\0\0"),
        (b'J', b"x\ny"),
        (b' ', b"[x]\n"),
        (0, b""),
    ] {
        let storage = FaultyDisk::new();
        let journal = start(&storage);
        for name in ["a", "b"] {
            journal.append(entry(name)).await.unwrap();
        }
        let known = storage.with(|disk| {
            let live = &mut disk.endpoint().live;
            *live.last_mut().unwrap() = damage;
            let known = live.clone();
            live.extend_from_slice(added);
            known
        });
        journal.append(entry("c")).await.unwrap();
        storage.with(|disk| {
            let live = disk.endpoint().live.clone();
            assert!(
                live.starts_with(&known),
                "{:?}",
                String::from_utf8_lossy(&live)
            );
            // And the next record does not run into it.
            let end = if added.is_empty() {
                &b"[c]\n\n"[..]
            } else {
                b"\n\n[c]\n\n"
            };
            assert!(live.ends_with(end), "{:?}", String::from_utf8_lossy(&live));
        });
    }
}

#[tokio::test]
async fn a_nul_with_complete_records_after_it_is_damage_and_truncates_nothing() {
    let storage = FaultyDisk::new();
    let (endpoint, access) = (b"[a]\n\n[b]\n\0\n\n[c]\n\n[d]\n\n", b"a\n\0b\nc\nd\n");
    storage.with(|disk| {
        disk.endpoint().live = endpoint.to_vec();
        disk.access().live = [&access[..], b"e"].concat();
    });
    let (journal, recovered) = Journal::start(storage.open(), Settings::default(), None).unwrap();
    let damaged: Vec<_> = recovered
        .damaged
        .iter()
        .map(|found| (found.log, found.offset, found.places))
        .collect();
    assert_eq!(damaged, [(Log::Endpoint, 5, 1), (Log::Access, 2, 1)]);
    let torn: Vec<_> = recovered
        .torn
        .iter()
        .map(|tail| (tail.log, tail.offset, tail.bytes))
        .collect();
    assert_eq!(torn, [(Log::Access, 9, 1)]);
    journal.append(entry("e")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.endpoint().live, [&endpoint[..], b"[e]\n\n"].concat());
        assert_eq!(disk.access().live, [&access[..], b"e\n"].concat());
    });
}

#[tokio::test]
async fn old_files_are_deleted_by_the_date_of_a_push_not_by_the_clock_alone() {
    let (storage, day) = (FaultyDisk::new(), Duration::from_secs(24 * 3600));
    let clock = Arc::<TurnedClock>::default();
    let (now, second) = (SystemClock.now(), Duration::from_secs(1));
    let make = |number: u64, modified| {
        storage.with(|disk| {
            let name = format!("endpoint_log.{number}");
            disk.make(&name, b"[x]\n\n");
            let file = disk.names[&format!("endpoint_log.80.{number}")];
            disk.files[file].modified = modified;
        });
    };
    // From the newest file: the clock is 30 days ahead, or nothing arrived for 30 days.
    let newest = now - day * 30;
    make(1, newest - day - second);
    make(2, newest - day);
    make(3, newest);
    let journal = start_by(
        &clock,
        &storage,
        Settings {
            keep: Some(day),
            ..Settings::default()
        },
    );
    let is_there =
        |disk: &Disk, number: u64| disk.named(&format!("endpoint_log.{number}")).is_some();
    clock.turn(CHORES_EVERY);
    until(&storage, |disk| !is_there(disk, 1)).await;
    // Younger files stay.
    make(4, now - day * 2 - second * 2);
    make(5, now - day * 2 + second * 10);
    storage.with(|disk| assert!((2..=5).all(|number| is_there(disk, number))));
    // A Date that is too far away proves nothing; one within the limit does.
    journal.confirm_time(now - day * 30);
    journal.confirm_time(now - day);
    clock.turn(CHORES_EVERY);
    until(&storage, |disk| {
        (2..=4).all(|number| !is_there(disk, number))
    })
    .await;
    storage.with(|disk| assert!(is_there(disk, 5)));
    let deletions = || journal.meters().deletions.load(Ordering::Relaxed);
    until(&storage, |_| deletions() == 4).await;
}

#[tokio::test]
async fn a_start_knows_the_records_after_damage_and_not_the_damaged_ones() {
    let storage = FaultyDisk::new();
    let journal = start(&storage);
    for id in ["a", "b", "c"] {
        journal.append(notification(&journal, id)).await.unwrap();
    }
    let mut left = storage.with(|disk| disk.after_kill());
    let file = left.names["endpoint_log.80"];
    let text = &mut left.files[file].live;
    let (first, second) = (text.len() / 3, text.len() * 2 / 3);
    text[first - 10..first + 10].fill(0);
    assert!(text[second..].starts_with(b"["));
    let again = FaultyDisk::on(left);
    let journal = start(&again);
    for (id, duplicates) in [("c", 1), ("b", 1), ("a", 1)] {
        journal.append(notification(&journal, id)).await.unwrap();
        assert_eq!(journal.duplicates(), duplicates, "{id}");
    }
}
