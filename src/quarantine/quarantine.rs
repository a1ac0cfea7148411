//! The handle to the quarantine.

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use crate::quarantine::files::{self, Files, Provenance};
use crate::quarantine::keeper::{Keeper, Task};
use crate::quarantine::reservation::{Location, Mark, Reserved};

/// The maximum number of captures that wait for the thread.
const WAITING_MAX: usize = 64;
/// How many signatures are remembered, so that a repeated request is not saved again.
// A full map of two `u64` takes about 2 MiB.
const SIGNATURES_MAX: usize = 65_536;
/// The maximum size of waiting captures in bytes. Any more are dropped.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The settings of a quarantine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Their directory. It is created once there is something to save.
    pub dir: PathBuf,
    /// The permissions of the files, before the umask.
    pub mode: u32,
    /// The maximum size of all files together, in bytes; 0 saves nothing.
    pub bytes_max: u64,
}

/// The handle to the thread that saves refused requests.
#[derive(Debug)]
pub struct Quarantine {
    /// `None` if nothing is saved.
    queue: Option<SyncSender<Task>>,
    dir: PathBuf,
    keeper: Arc<Keeper>,
    thread: Mutex<Option<JoinHandle<()>>>,
    numbering: RandomState,
}

impl Quarantine {
    /// A quarantine that saves nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(None, PathBuf::new(), Arc::default(), None)
    }

    /// Reads the directory and starts the thread.
    ///
    /// # Errors
    /// The directory exists and cannot be read, or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        if options.bytes_max == 0 {
            return Ok(Self::off());
        }
        let files = Files::open(options.dir.clone(), options.mode, options.bytes_max)?;
        let (queue, tasks) = mpsc::sync_channel(WAITING_MAX);
        let keeper = Arc::new(Keeper::default());
        // Metrics count the files of earlier runs before the first request is refused.
        keeper.publish(&files);
        keeper
            .next_number
            .store(files.next_number(), Ordering::Relaxed);
        let of_thread = keeper.clone();
        let thread = thread::Builder::new().name("quarantine".to_owned());
        let thread = thread.spawn(move || of_thread.run(files, &tasks))?;
        Ok(Self::new(Some(queue), options.dir, keeper, Some(thread)))
    }

    fn new(
        queue: Option<SyncSender<Task>>,
        dir: PathBuf,
        keeper: Arc<Keeper>,
        thread: Option<JoinHandle<()>>,
    ) -> Self {
        Self {
            queue,
            dir,
            keeper,
            thread: Mutex::new(thread),
            numbering: RandomState::new(),
        }
    }

    /// Reserves a file for a request that MNS signed, and remembers its signature. If the signature
    /// is known, the request has been saved already: whoever has a signed request can send it any
    /// number of times.
    pub fn reserve_signed(&self, signature: &[u8]) -> Location {
        // Keyed with random numbers, so that nobody can construct two signatures with the same
        // mark.
        let mark = self.numbering.hash_one(signature);
        // One lock for lookup and insertion: two copies of a request that arrive together get one
        // file.
        let mut signatures = self
            .keeper
            .signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = signatures.get(&mark) {
            return Location::Known(*number);
        }
        // All of them, because none is more likely than another to be repeated. At worst a request
        // is saved twice.
        if signatures.len() >= SIGNATURES_MAX {
            signatures.clear();
        }
        let number = self.keeper.take_number();
        signatures.insert(mark, number);
        Location::New(Reserved {
            number,
            provenance: Provenance::Signed,
            mark: Some(Mark(mark)),
        })
    }

    /// Reserves a file for a request of which nothing is proven.
    pub fn reserve_unsigned(&self) -> Location {
        Location::New(Reserved {
            number: self.keeper.take_number(),
            provenance: Provenance::Unsigned,
            mark: None,
        })
    }

    /// The path of a capture, which may not have been written yet.
    #[must_use]
    pub fn path(&self, place: &Location) -> PathBuf {
        match place {
            Location::New(reserved) => files::path(&self.dir, reserved.number, reserved.provenance),
            Location::Known(number) => files::path(&self.dir, *number, Provenance::Signed),
        }
    }

    /// Whether anything is saved at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues a capture for its reserved file, without waiting. If too many captures are queued
    /// already, drops it, counts it and returns `false`.
    pub fn keep(&self, reserved: Reserved, capture: Vec<u8>) -> bool {
        let Some(queue) = &self.queue else {
            return false;
        };
        let (bytes, provenance, mark) = (capture.len(), reserved.provenance, reserved.mark);
        // Added before the capture is queued, so that the thread never subtracts bytes that were
        // not added.
        let before = self
            .keeper
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        // Compares the bytes without this capture, so that one above the limit is saved if it is
        // alone.
        let is_taken =
            before < WAITING_BYTES_MAX && queue.try_send(Task::Keep(reserved, capture)).is_ok();
        if !is_taken {
            self.keeper
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            self.keeper.note_dropped(provenance, mark);
        }
        is_taken
    }

    /// Counts a request that is not saved and forgets its signature, so that a repetition is saved.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a file is reserved for one request only"
    )]
    pub fn give_up(&self, reserved: Reserved) {
        self.keeper.note_dropped(reserved.provenance, reserved.mark);
    }

    /// Requests that were saved.
    #[must_use]
    pub fn kept(&self, provenance: Provenance) -> u64 {
        self.keeper.kept.of(provenance).load(Ordering::Relaxed)
    }

    /// Requests that should have been saved and were not.
    #[must_use]
    pub fn dropped(&self, provenance: Provenance) -> u64 {
        self.keeper.dropped.of(provenance).load(Ordering::Relaxed)
    }

    /// Requests that were evicted by newer ones.
    #[must_use]
    pub fn pushed_out(&self, provenance: Provenance) -> u64 {
        self.keeper
            .pushed_out
            .of(provenance)
            .load(Ordering::Relaxed)
    }

    /// Asks the thread to delete unsigned captures, because space is scarce. Does not wait.
    pub fn give_back(&self) {
        let Some(queue) = &self.queue else { return };
        if !self.keeper.is_giving_back.swap(true, Ordering::Relaxed)
            && queue.try_send(Task::GiveBack).is_err()
        {
            // The queue is full. As long as space is scarce, this is asked again every second.
            self.keeper.is_giving_back.store(false, Ordering::Relaxed);
        }
    }

    /// Requests that were deleted because space was scarce.
    #[must_use]
    pub fn given_back(&self) -> u64 {
        self.keeper.given_back.load(Ordering::Relaxed)
    }

    /// Requests that are stored now.
    #[must_use]
    pub fn files(&self) -> usize {
        self.keeper.files.load(Ordering::Relaxed)
    }

    /// The space that they use, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.keeper.bytes.load(Ordering::Relaxed)
    }

    /// Writes what is queued, then ends the thread. Takes as long as the disk does.
    pub async fn close(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Some(queue), Some(thread)) = (self.queue.clone(), thread) {
            let close = move || {
                // An error means that the thread has already ended.
                drop(queue.send(Task::Close));
                drop(thread.join());
            };
            // `send` waits while the queue is full, and `join` waits for the disk.
            drop(tokio::task::spawn_blocking(close).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(place: Location) -> Option<Reserved> {
        match place {
            Location::New(reserved) => Some(reserved),
            Location::Known(_) => None,
        }
    }

    fn stranger(quarantine: &Quarantine, capture: &[u8]) -> bool {
        quarantine.keep(
            new(quarantine.reserve_unsigned()).unwrap(),
            capture.to_vec(),
        )
    }

    fn total(count: impl Fn(Provenance) -> u64) -> u64 {
        [Provenance::Signed, Provenance::Unsigned]
            .map(count)
            .iter()
            .sum()
    }

    #[test]
    fn the_queue_is_bounded_and_dropped_captures_are_counted() {
        let (queue, tasks) = mpsc::sync_channel(WAITING_MAX);
        let quarantine = Quarantine::new(Some(queue), PathBuf::new(), Arc::default(), None);
        let taken = (0..WAITING_MAX + 3)
            .filter(|_| stranger(&quarantine, b"small"))
            .count();
        assert_eq!(
            (taken, total(|of| quarantine.dropped(of))),
            (WAITING_MAX, 3)
        );
        assert_eq!(tasks.try_iter().count(), WAITING_MAX);
        let taken = (0..6)
            // Four of these reach the limit on bytes long before that on captures.
            .filter(|_| stranger(&quarantine, &vec![0; WAITING_BYTES_MAX / 4]))
            .count();
        assert_eq!(
            (
                taken,
                total(|of| quarantine.dropped(of)),
                tasks.try_iter().count()
            ),
            (4, 5, 4)
        );
    }

    #[tokio::test]
    async fn queued_captures_are_written_before_the_close() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = dir.path().join("q");
        let options = Options {
            dir: quarantine.clone(),
            mode: 0o640,
            bytes_max: 1024 * 1024,
        };
        let keeper = Quarantine::start(options).unwrap();
        (0..WAITING_MAX).for_each(|_| assert!(stranger(&keeper, b"small")));
        keeper.close().await;
        let files = std::fs::read_dir(&quarantine).unwrap().count();
        assert_eq!(
            (files, keeper.files(), total(|of| keeper.kept(of))),
            (WAITING_MAX, WAITING_MAX, 64)
        );
        assert!(!stranger(&keeper, b"late"));
        assert_eq!(total(|of| keeper.dropped(of)), 1);
        // A second close does nothing.
        keeper.close().await;
    }

    #[tokio::test]
    async fn a_request_is_at_its_reserved_path_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: dir.path().join("q"),
            mode: 0o640,
            bytes_max: 1024 * 1024,
        };
        for run in 0..2 {
            let keeper = Quarantine::start(options.clone()).unwrap();
            // One number is reserved and never used.
            keeper.give_up(new(keeper.reserve_signed(b"dropped")).unwrap());
            let places = [
                keeper.reserve_unsigned(),
                keeper.reserve_signed(b"a"),
                keeper.reserve_signed(b"b"),
            ];
            // A known signature has the path of its first capture, even before that is written.
            let again = keeper.path(&keeper.reserve_signed(b"b"));
            let paths: Vec<PathBuf> = places.iter().map(|place| keeper.path(place)).collect();
            assert_eq!(again, paths[2]);
            // Captures may be queued in another order than that of their reservations.
            for (number, place) in places.into_iter().enumerate().rev() {
                assert!(keeper.keep(new(place).unwrap(), format!("{run} {number}").into_bytes()));
            }
            keeper.close().await;
            for (number, path) in paths.iter().enumerate() {
                assert_eq!(
                    std::fs::read_to_string(path).unwrap(),
                    format!("{run} {number}")
                );
            }
        }
    }

    #[test]
    fn a_mark_is_removed_if_its_capture_is_dropped_at_the_queue() {
        let (queue, tasks) = mpsc::sync_channel(1);
        let quarantine = Quarantine::new(Some(queue), PathBuf::new(), Arc::default(), None);
        let keep = |signature: &[u8], bytes| {
            quarantine.keep(
                new(quarantine.reserve_signed(signature)).unwrap(),
                vec![0; bytes],
            )
        };
        let is_marked = |signature: &[u8]| new(quarantine.reserve_signed(signature)).is_none();
        assert!(keep(b"a", WAITING_BYTES_MAX));
        assert!(is_marked(b"a"));
        // First there are too many bytes, then too many captures.
        for waiting in [WAITING_BYTES_MAX, 0] {
            quarantine
                .keeper
                .waiting_bytes
                .store(waiting, Ordering::Relaxed);
            assert!(!keep(b"b", 1));
        }
        assert_eq!(
            (total(|of| quarantine.dropped(of)), tasks.try_iter().count()),
            (2, 1)
        );
        assert!(keep(b"b", 1));
        assert!(is_marked(b"b"));
    }

    #[tokio::test]
    async fn a_mark_is_removed_if_the_disk_refuses_its_capture() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            // The quarantine does not create its parent directory, so every write fails.
            dir: dir.path().join("none/q"),
            mode: 0o640,
            bytes_max: 1024 * 1024,
        };
        let keeper = Quarantine::start(options).unwrap();
        assert!(keeper.keep(new(keeper.reserve_signed(b"a")).unwrap(), b"small".to_vec()));
        keeper.close().await;
        assert_eq!(
            (
                total(|of| keeper.dropped(of)),
                new(keeper.reserve_signed(b"a")).is_some()
            ),
            (1, true)
        );
    }
}
