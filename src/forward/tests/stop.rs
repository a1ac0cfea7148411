//! A stop still answers the pushes whose notifications are acknowledged while it waits.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::disk::{Disk, DiskFile, FileId, Open, RealDisk};
use crate::forward::answers::Answers;
use crate::forward::forwarder::Forwarder;
use crate::forward::source::Source;
use crate::forward::tests::support::{Act, FakeSink, Log, id, settings, unsynced, until};
use crate::forward::{Ack, Settings};
use crate::journal::NotificationKey;

/// A disk that renames nothing while this is locked.
struct Held(Arc<Mutex<()>>);

impl Disk for Held {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path, how)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _held = self.0.lock().unwrap();
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.list(dir)
    }

    fn identity(&self, path: &Path) -> io::Result<FileId> {
        RealDisk.identity(path)
    }

    fn modified(&self, path: &Path) -> Option<SystemTime> {
        RealDisk.modified(path)
    }
}

/// Stops a forwarder that is sending a notification, which is acknowledged `late` after it was
/// sent. The cursor cannot be saved before its push is answered.
#[expect(
    clippy::await_holding_lock,
    reason = "only the thread that saves the cursor waits for this lock"
)]
#[track_caller]
fn assert_answered_by_a_stop(late: Duration) {
    let held = Arc::new(Mutex::new(()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let log = Log::new(unsynced());
        let source = Source {
            disk: Arc::new(Held(held.clone())),
            ..log.source()
        };
        let sink = FakeSink::new(move |outgoing| match id(outgoing).as_str() {
            "M2" => Act::StoreLate(late),
            _ => Act::Store,
        });
        let waited_for = Settings {
            ack: Ack::Forward {
                timeout: Duration::from_secs(2),
            },
            ..settings()
        };
        let answers = Arc::new(Answers::default());
        let gateway = log.gateway(Some(answers.clone()));
        let forwarder = Forwarder::start(&source, waited_for, sink.clone(), gateway).unwrap();
        let holding = held.lock().unwrap();
        let key = NotificationKey::of([b"1", b"orders", b"s", b"M2"]);
        let expected = answers.expect(key);
        log.accept(1..=2).await;
        until("both are sent", || {
            sink.0.sends.load(Ordering::Relaxed) == 2
        })
        .await;
        let deadline = Instant::now() + Duration::from_secs(5);
        let answered = async {
            expected.forwarded(deadline).await.unwrap();
            drop(holding);
        };
        tokio::join!(forwarder.stop(), answered);
    });
}

#[test]
fn an_acknowledgement_while_a_stop_waits_for_it_answers_its_push() {
    assert_answered_by_a_stop(Duration::from_millis(100));
}

#[test]
fn an_acknowledgement_while_a_stop_waits_for_its_cursor_answers_its_push() {
    // Longer than a stop waits for answers, and shorter than that with the time to save.
    assert_answered_by_a_stop(Duration::from_millis(1000));
}
