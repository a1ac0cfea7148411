//! The handle to the quarantine, and the thread that writes.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use tracing::warn;

use crate::quarantine::Standing;
use crate::quarantine::files::Files;

/// Captures that wait for the thread.
const WAITING_MAX: usize = 64;
/// So many signatures are remembered, so that a request which is sent again is not kept again.
const SIGNATURES_MAX: usize = 65_536;
/// Past so many bytes of them no more is taken.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where captures are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Their directory; made when there is something to keep.
    pub dir: PathBuf,
    /// The permissions of the files, before the umask.
    pub mode: u32,
    /// The room of all of them; 0 keeps none.
    pub bytes_max: u64,
}

/// The handle to the thread that keeps refused requests.
#[derive(Debug)]
pub struct Quarantine {
    /// `None` where nothing is kept.
    queue: Option<SyncSender<Command>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    numbering: RandomState,
}

/// The mark on the signature of a request that is to be kept. It is removed if the request is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

#[derive(Debug)]
enum Command {
    Keep(Standing, Vec<u8>, Option<Mark>),
    GiveBack,
    Close,
}

#[derive(Debug, Default)]
struct Shared {
    /// A number for each signature that is marked, under a key that nobody knows.
    signatures: Mutex<HashSet<u64>>,
    waiting_bytes: AtomicUsize,
    kept: AtomicU64,
    dropped: AtomicU64,
    pushed_out: AtomicU64,
    given_back: AtomicU64,
    /// The thread has been asked to and has not done it yet: once is enough.
    is_giving_back: AtomicBool,
    files: AtomicUsize,
    bytes: AtomicU64,
    has_warned: AtomicBool,
    has_warned_of_deletion: AtomicBool,
}

impl Quarantine {
    /// One that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(None, Arc::default(), None)
    }

    /// Takes up what is in the directory and starts the thread.
    ///
    /// # Errors
    /// The directory is there and cannot be read, or no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        if options.bytes_max == 0 {
            return Ok(Self::off());
        }
        let files = Files::open(options.dir, options.mode, options.bytes_max)?;
        let (queue, commands) = mpsc::sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared::default());
        shared.tell(&files);
        let of_thread = shared.clone();
        let thread = thread::Builder::new().name("quarantine".to_owned());
        let thread = thread.spawn(move || of_thread.run(files, &commands))?;
        Ok(Self::new(Some(queue), shared, Some(thread)))
    }

    fn new(queue: Option<SyncSender<Command>>, shared: Arc<Shared>, thread: Option<JoinHandle<()>>) -> Self {
        Self { queue, shared, thread: Mutex::new(thread), numbering: RandomState::new() }
    }

    /// Marks a signature of MNS. `None` if it is marked already: whoever has a request may send it again and again.
    pub fn mark(&self, signature: &[u8]) -> Option<Mark> {
        let number = self.numbering.hash_one(signature);
        let mut signatures = self.shared.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        if signatures.len() >= SIGNATURES_MAX {
            signatures.clear();
        }
        signatures.insert(number).then_some(Mark(number))
    }

    /// Whether anything is kept at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a capture over, with the mark on its signature if it has one. Does not wait. If too many captures are waiting
    /// already, drops it and counts it.
    pub fn keep(&self, standing: Standing, capture: Vec<u8>, mark: Option<Mark>) {
        let Some(queue) = &self.queue else { return };
        let bytes = capture.len();
        let before = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before >= WAITING_BYTES_MAX || queue.try_send(Command::Keep(standing, capture, mark)).is_err() {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.note_dropped(mark);
        }
    }

    /// Counts a capture that is not kept and removes its mark, so that it is kept if it is sent again.
    pub fn note_dropped(&self, mark: Option<Mark>) {
        self.shared.note_dropped(mark);
    }

    /// Requests that were kept.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.shared.kept.load(Ordering::Relaxed)
    }

    /// Requests that were not kept although they could have been.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Requests that made room for younger ones.
    #[must_use]
    pub fn pushed_out(&self) -> u64 {
        self.shared.pushed_out.load(Ordering::Relaxed)
    }

    /// Asks for the room of requests that nobody is proved to have sent: space is scarce. Nobody waits for it.
    pub fn give_back(&self) {
        let Some(queue) = &self.queue else { return };
        if !self.shared.is_giving_back.swap(true, Ordering::Relaxed) && queue.try_send(Command::GiveBack).is_err() {
            self.shared.is_giving_back.store(false, Ordering::Relaxed);
        }
    }

    /// Requests that were deleted because space was scarce.
    #[must_use]
    pub fn given_back(&self) -> u64 {
        self.shared.given_back.load(Ordering::Relaxed)
    }

    /// Requests that are kept now.
    #[must_use]
    pub fn files(&self) -> usize {
        self.shared.files.load(Ordering::Relaxed)
    }

    /// The room that they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Writes what was handed over, then ends the thread. Takes as long as the disk does.
    pub async fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(queue), Some(thread)) = (self.queue.clone(), thread) {
            let close = move || {
                // An error is a thread that has ended already.
                drop(queue.send(Command::Close));
                drop(thread.join());
            };
            drop(tokio::task::spawn_blocking(close).await);
        }
    }
}

impl Shared {
    fn note_dropped(&self, mark: Option<Mark>) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(Mark(number)) = mark {
            self.signatures.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
    }

    fn run(&self, mut files: Files, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Keep(standing, capture, mark) => {
                    self.keep(&mut files, standing, &capture, mark);
                    self.waiting_bytes.fetch_sub(capture.len(), Ordering::Relaxed);
                }
                Command::GiveBack => {
                    // First, so that whoever asks from here on is heard.
                    self.is_giving_back.store(false, Ordering::Relaxed);
                    self.give_back(&mut files);
                }
                Command::Close => return,
            }
            self.tell(&files);
        }
    }

    fn keep(&self, files: &mut Files, standing: Standing, capture: &[u8], mark: Option<Mark>) {
        let Err(error) = files.add(standing, capture) else {
            self.kept.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.note_dropped(mark);
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            // The next write that the disk refuses would be that of a push.
            self.give_back(files);
        }
        warn_once(
            &self.has_warned,
            &error,
            "A refused request cannot be kept in quarantine; further ones are only counted",
        );
    }

    fn give_back(&self, files: &mut Files) {
        match files.give_back() {
            Ok(0) => {}
            Ok(bytes) => warn!(bytes, "Space is scarce: deleted requests from quarantine that were not proved genuine"),
            Err(error) => warn_once(
                &self.has_warned_of_deletion,
                &error,
                "Space is scarce, and requests in quarantine cannot be deleted",
            ),
        }
    }

    fn tell(&self, files: &Files) {
        self.files.store(files.len(), Ordering::Relaxed);
        self.bytes.store(files.bytes(), Ordering::Relaxed);
        self.pushed_out.store(files.pushed_out(), Ordering::Relaxed);
        self.given_back.store(files.given_back(), Ordering::Relaxed);
    }
}

fn warn_once(has_warned: &AtomicBool, error: &io::Error, what: &str) {
    if !has_warned.swap(true, Ordering::Relaxed) {
        warn!(%error, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_what_is_past_it_is_counted() {
        let (queue, commands) = mpsc::sync_channel(WAITING_MAX);
        let quarantine = Quarantine::new(Some(queue), Arc::default(), None);
        for _ in 0..WAITING_MAX + 3 {
            quarantine.keep(Standing::Unproved, b"small".to_vec(), None);
        }
        assert_eq!(quarantine.dropped(), 3);
        assert_eq!(commands.try_iter().count(), WAITING_MAX);
        for _ in 0..6 {
            quarantine.keep(Standing::Unproved, vec![0; WAITING_BYTES_MAX / 4], None);
        }
        assert_eq!((quarantine.dropped(), commands.try_iter().count()), (5, 4));
    }

    #[tokio::test]
    async fn what_was_handed_over_is_written_before_the_close() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = dir.path().join("q");
        let options = Options { dir: quarantine.clone(), mode: 0o640, bytes_max: 1024 * 1024 };
        let keeper = Quarantine::start(options).unwrap();
        (0..WAITING_MAX).for_each(|_| keeper.keep(Standing::Genuine, b"small".to_vec(), None));
        keeper.close().await;
        let files = std::fs::read_dir(&quarantine).unwrap().count();
        assert_eq!((files, keeper.files(), keeper.kept()), (WAITING_MAX, WAITING_MAX, 64));
        keeper.keep(Standing::Genuine, b"late".to_vec(), None);
        assert_eq!(keeper.dropped(), 1);
        keeper.close().await;
    }

    #[test]
    fn a_mark_is_removed_if_its_capture_is_dropped_at_the_queue() {
        let (queue, commands) = mpsc::sync_channel(1);
        let quarantine = Quarantine::new(Some(queue), Arc::default(), None);
        let keep = |signature: &[u8], bytes| {
            let mark = quarantine.mark(signature).unwrap();
            quarantine.keep(Standing::Genuine, vec![0; bytes], Some(mark));
        };
        keep(b"a", WAITING_BYTES_MAX);
        assert!(quarantine.mark(b"a").is_none(), "it was taken");
        // First the bytes are too many, then the captures.
        for waiting in [WAITING_BYTES_MAX, 0] {
            quarantine.shared.waiting_bytes.store(waiting, Ordering::Relaxed);
            keep(b"b", 1);
        }
        assert_eq!((quarantine.dropped(), commands.try_iter().count()), (2, 1));
        keep(b"b", 1);
        assert!(quarantine.mark(b"b").is_none());
    }

    #[tokio::test]
    async fn a_mark_is_removed_if_the_disk_refuses_its_capture() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { dir: dir.path().join("none/q"), mode: 0o640, bytes_max: 1024 * 1024 };
        let keeper = Quarantine::start(options).unwrap();
        keeper.keep(Standing::Genuine, b"small".to_vec(), keeper.mark(b"a"));
        keeper.close().await;
        assert_eq!((keeper.dropped(), keeper.mark(b"a").is_some()), (1, true));
    }
}
