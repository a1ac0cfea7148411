//! The journal over a disk that fails: what it promises, and what it then refuses to promise.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mns_endpoint::journal::{Entry, Journal, JournalError, Limits, Log, REFUSAL_TOLD, STALL_TOLD, Storage};

/// A disk in memory with faults. `durable` is what a power cut leaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault that a test switches on")]
struct Disk {
    endpoint: File,
    access: File,
    /// The next writes take only so many bytes and then fail.
    room: Option<usize>,
    fail_sync: bool,
    /// The next look at a length fails.
    fail_len: bool,
    fail_truncate: bool,
    syncs: usize,
    appends: usize,
    /// A defect: the next append panics.
    panics: bool,
    /// While set, a sync waits.
    stalled: bool,
    aside: Vec<u8>,
}

#[derive(Default, Clone)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default, Clone)]
struct FaultyStorage {
    disk: Arc<(Mutex<Disk>, std::sync::Condvar)>,
}

impl FaultyStorage {
    fn with<T>(&self, change: impl FnOnce(&mut Disk) -> T) -> T {
        let result = change(&mut self.disk.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.disk.1.notify_all();
        result
    }

    fn text(&self) -> String {
        self.with(|disk| String::from_utf8(disk.endpoint.live.clone()).unwrap())
    }
}

impl Disk {
    fn file(&mut self, log: Log) -> &mut File {
        match log {
            Log::Endpoint => &mut self.endpoint,
            Log::Access => &mut self.access,
        }
    }
}

impl Storage for FaultyStorage {
    fn len(&self, log: Log) -> io::Result<u64> {
        self.with(|disk| {
            if std::mem::take(&mut disk.fail_len) {
                return Err(io::Error::other("len failed"));
            }
            Ok(disk.file(log).live.len() as u64)
        })
    }

    fn read_at(&self, log: Log, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.with(|disk| buffer.copy_from_slice(&disk.file(log).live[start..start + buffer.len()]));
        Ok(())
    }

    fn append(&mut self, log: Log, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk| {
            assert!(!disk.panics, "a defect");
            disk.appends += 1;
            let taken = disk.room.unwrap_or(bytes.len()).min(bytes.len());
            if let Some(room) = &mut disk.room {
                *room -= taken;
            }
            disk.file(log).live.extend_from_slice(&bytes[..taken]);
            if taken == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        })
    }

    fn truncate(&mut self, log: Log, len: u64) -> io::Result<()> {
        self.with(|disk| {
            if disk.fail_truncate {
                return Err(io::Error::other("truncate failed"));
            }
            disk.file(log).live.truncate(usize::try_from(len).unwrap());
            Ok(())
        })
    }

    fn sync(&mut self, log: Log) -> io::Result<()> {
        let (disk, changed) = &*self.disk;
        let mut disk = changed.wait_while(disk.lock().unwrap(), |disk| disk.stalled).unwrap();
        disk.syncs += 1;
        if disk.fail_sync {
            return Err(io::Error::other("sync failed"));
        }
        let file = disk.file(log);
        file.durable = file.live.clone();
        Ok(())
    }

    fn set_aside(&mut self, _log: Log, torn: &[u8]) -> io::Result<()> {
        self.with(|disk| disk.aside.extend_from_slice(torn));
        Ok(())
    }
}

fn start(storage: &FaultyStorage) -> Journal {
    start_with(storage, Limits::default())
}

fn start_with(storage: &FaultyStorage, limits: Limits) -> Journal {
    Journal::start(Box::new(storage.clone()), limits, None).unwrap().0
}

fn entry(name: &str) -> Entry {
    Entry { endpoint: format!("[{name}]\n\n").into_bytes(), access: format!("{name}\n").into_bytes() }
}

/// Waits until the disk is as wanted: the writer is a thread of its own.
async fn until(storage: &FaultyStorage, wanted: impl Fn(&Disk) -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !storage.with(|disk| wanted(disk)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the disk never got there");
}

#[tokio::test]
async fn a_receipt_comes_after_both_files_are_synced() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| {
        assert_eq!(disk.endpoint.durable, b"[a]\n\n");
        assert_eq!(disk.access.durable, b"a\n");
    });
    storage.with(|disk| disk.stalled = true);
    let waiting = journal.append(entry("b"));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err(), "a receipt before the sync");
    storage.with(|disk| assert_eq!(disk.access.live, b"a\n", "a line before its record is on disk"));
    storage.with(|disk| disk.stalled = false);
    waiting.await.unwrap();
}

#[tokio::test]
async fn what_arrives_during_a_sync_is_one_batch() {
    let storage = FaultyStorage::default();
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
    // All have been handed over once each task has run up to its wait.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    storage.with(|disk| disk.stalled = false);
    first.await.unwrap().unwrap();
    for append in rest {
        append.await.unwrap().unwrap();
    }
    assert_eq!(storage.with(|disk| disk.syncs), syncs + 4, "two files, two batches");
}

#[tokio::test]
async fn a_refused_write_is_taken_back_and_heals_when_there_is_room() {
    for room in 0..8 {
        let storage = FaultyStorage::default();
        let journal = start(&storage);
        journal.append(entry("a")).await.unwrap();
        storage.with(|disk| disk.room = Some(room));
        assert_eq!(journal.append(entry("bb")).await.err(), Some(JournalError::Refused), "room for {room} bytes");
        assert!(!journal.is_writable());
        storage.with(|disk| {
            assert_eq!((disk.endpoint.live.as_slice(), disk.access.live.as_slice()), (&b"[a]\n\n"[..], &b"a\n"[..]));
            disk.room = None;
        });
        journal.append(entry("c")).await.unwrap();
        assert_eq!(storage.text(), "[a]\n\n[c]\n\n");
    }
}

#[tokio::test]
async fn a_length_that_cannot_be_read_costs_nothing_that_was_acknowledged() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    journal.append(entry("b")).await.unwrap();
    storage.with(|disk| disk.fail_len = true);
    assert_eq!(journal.append(entry("c")).await.err(), Some(JournalError::Refused));
    journal.append(entry("d")).await.unwrap();
    assert_eq!(storage.text(), "[a]\n\n[b]\n\n[d]\n\n");
}

#[tokio::test]
async fn a_refused_write_is_told_for_a_while_and_then_worth_another_try() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    assert!(journal.is_writable());
    storage.with(|disk| disk.room = Some(0));
    let started = Instant::now();
    assert_eq!(journal.append(entry("a")).await.err(), Some(JournalError::Refused));
    assert!(!journal.is_writable());
    // No push comes meanwhile, as where a balancer has taken the endpoint out.
    while !journal.is_writable() {
        tokio::task::yield_now().await;
        assert!(started.elapsed() < REFUSAL_TOLD * 2);
    }
    assert!(started.elapsed() >= REFUSAL_TOLD);
}

#[tokio::test]
async fn a_commit_that_hangs_in_the_disk_is_told() {
    let storage = FaultyStorage::default();
    let journal = Arc::new(start(&storage));
    storage.with(|disk| disk.stalled = true);
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(entry("a")).await }
    });
    let started = Instant::now();
    while journal.is_writable() {
        tokio::task::yield_now().await;
        assert!(started.elapsed() < STALL_TOLD * 2);
    }
    assert!(started.elapsed() >= STALL_TOLD);
    storage.with(|disk| disk.stalled = false);
    waiting.await.unwrap().unwrap();
    assert!(journal.is_writable());
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_promised_and_no_sync_is_tried_again() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    journal.append(entry("a")).await.unwrap();
    storage.with(|disk| disk.fail_sync = true);
    assert_eq!(journal.append(entry("b")).await.err(), Some(JournalError::Failed));
    tokio::time::timeout(Duration::from_secs(5), journal.failed()).await.unwrap();
    let syncs = storage.with(|disk| {
        disk.fail_sync = false;
        disk.syncs
    });
    assert_eq!(journal.append(entry("c")).await.err(), Some(JournalError::Failed));
    assert!(!journal.is_writable());
    assert_eq!(journal.close().await, Err(JournalError::Failed));
    assert_eq!(storage.with(|disk| disk.syncs), syncs);
    // What was answered 503 stands in neither file.
    storage.with(|disk| {
        assert_eq!((disk.endpoint.live.as_slice(), disk.access.live.as_slice()), (&b"[a]\n\n"[..], &b"a\n"[..]))
    });
}

#[tokio::test]
async fn a_writer_that_panics_is_a_failure_for_good() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    storage.with(|disk| disk.panics = true);
    assert_eq!(journal.append(entry("a")).await.err(), Some(JournalError::Failed));
    tokio::time::timeout(Duration::from_secs(5), journal.failed()).await.unwrap();
    assert!(!journal.is_writable());
    assert_eq!(journal.close().await, Err(JournalError::Failed));
}

#[tokio::test]
async fn a_write_that_cannot_be_taken_back_is_a_failure_for_good() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    storage.with(|disk| {
        disk.room = Some(3);
        disk.fail_truncate = true;
    });
    assert_eq!(journal.append(entry("a")).await.err(), Some(JournalError::Failed));
    storage.with(|disk| disk.room = None);
    assert_eq!(journal.append(entry("b")).await.err(), Some(JournalError::Failed));
}

#[tokio::test]
async fn a_record_handed_over_survives_its_requester() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let given_up = tokio::time::timeout(Duration::from_millis(50), journal.append(entry("a"))).await;
    assert!(given_up.is_err());
    until(&storage, |disk| disk.appends > appends).await;
    storage.with(|disk| disk.stalled = false);
    journal.close().await.unwrap();
    assert_eq!(storage.with(|disk| disk.endpoint.durable.clone()), b"[a]\n\n");
}

#[tokio::test]
async fn the_queue_is_bounded_by_count_and_bytes_and_refusals_have_room_of_their_own() {
    let storage = FaultyStorage::default();
    let limits = Limits { entries_max: 4, bytes_max: 1000, refused_bytes_max: 1000, batch_bytes: 1 };
    let journal = Arc::new(start_with(&storage, limits));
    storage.with(|disk| disk.stalled = true);
    let appends = storage.with(|disk| disk.appends);
    let spawn = |name: &'static str| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(entry(name)).await })
    };
    let held = spawn("held");
    until(&storage, |disk| disk.appends > appends).await;
    let large = Entry { endpoint: vec![b'x'; 1001], access: Vec::new() };
    assert_eq!(journal.append(large).await.err(), Some(JournalError::Full));
    let queued: Vec<_> = ["1", "2", "3"].into_iter().map(spawn).collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(journal.append(entry("one too many")).await.err(), Some(JournalError::Full));
    for number in 0..5 {
        journal.note(entry(&format!("note {number}")));
    }
    assert_eq!(journal.notes_dropped(), 1, "as many refusals as pushes have room");
    storage.with(|disk| disk.stalled = false);
    held.await.unwrap().unwrap();
    for append in queued {
        append.await.unwrap().unwrap();
    }
    journal.close().await.unwrap();
    let text = storage.text();
    assert!(text.ends_with("[3]\n\n[note 0]\n\n[note 1]\n\n[note 2]\n\n[note 3]\n\n"), "{text}");
    assert!(matches!(journal.append(entry("late")).await, Err(JournalError::Failed)));
}

#[tokio::test]
async fn a_flood_of_refusals_turns_no_push_away() {
    let storage = FaultyStorage::default();
    let limits = Limits { entries_max: 4, bytes_max: 1000, refused_bytes_max: 1000, batch_bytes: 1 };
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
        journal.note(entry("flood"));
    }
    assert_eq!(journal.notes_dropped(), 96);
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
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    for _ in 0..16 {
        journal.note(Entry { endpoint: vec![b'x'; 128 * 1024], access: Vec::new() });
    }
    until(&storage, |disk| disk.endpoint.durable.len() >= 1024 * 1024).await;
}

#[tokio::test]
async fn refusals_wait_for_no_disk_and_the_close_takes_them_along() {
    let storage = FaultyStorage::default();
    let journal = start(&storage);
    let syncs = storage.with(|disk| disk.syncs);
    journal.note(entry("refused"));
    until(&storage, |disk| !disk.access.live.is_empty()).await;
    assert_eq!(storage.with(|disk| disk.syncs), syncs);
    journal.close().await.unwrap();
    assert_eq!(storage.with(|disk| disk.access.durable.clone()), b"refused\n");
}

#[test]
fn what_is_found_at_the_start_is_synced_before_it_counts() {
    let storage = FaultyStorage::default();
    storage.with(|disk| {
        disk.endpoint.live = b"[a]\n\n[b]\nto".to_vec();
        disk.access.live = b"a\nb".to_vec();
    });
    let (_journal, recovered) = Journal::start(Box::new(storage.clone()), Limits::default(), None).unwrap();
    assert_eq!(recovered.torn.len(), 2);
    storage.with(|disk| {
        assert_eq!(disk.endpoint.durable, b"[a]\n\n");
        assert_eq!(disk.access.durable, b"a\n");
        assert_eq!(disk.aside, b"[b]\ntob");
    });
}

#[test]
fn each_file_is_really_synced_by_the_real_storage() {
    use mns_endpoint::journal::{FileOptions, FileStorage};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    // A pipe takes writes and has no disk: the kernel refuses to sync it, and says so to whoever asks.
    for (pipe, of_pipe, other) in
        [("endpoint_log.1", Log::Endpoint, Log::Access), ("access_log.1", Log::Access, Log::Endpoint)]
    {
        let dir = tempfile::tempdir().unwrap();
        mknodat(CWD, dir.path().join(pipe), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let options = FileOptions { dir: dir.path().to_owned(), port: 1, mode: 0o640 };
        let mut storage = FileStorage::open(options).unwrap();
        storage.append(of_pipe, b"x").unwrap();
        assert_eq!(storage.sync(of_pipe).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{pipe}");
        storage.sync(other).unwrap();
        // So no journal starts on it.
        assert!(Journal::start(Box::new(storage), Limits::default(), None).is_err());
    }
}
