//! A stop still answers the pushes whose notifications are acknowledged while it waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::{Call, Hooked};
use crate::forward::answers::Answers;
use crate::forward::forwarder::Forwarder;
use crate::forward::source::Source;
use crate::forward::tests::support::{Act, FakeSink, Log, id, settings, unsynced, until};
use crate::forward::{Ack, Settings};
use crate::journal::NotificationKey;

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
        // The disk renames nothing while this is locked.
        let disk_held = held.clone();
        let disk = Hooked(move |call: Call<'_>| {
            if let Call::Rename = call {
                let _held = disk_held.lock().unwrap();
            }
            Ok(())
        });
        let source = Source {
            disk: Arc::new(disk),
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
        let forwarder = Forwarder::start(&source, waited_for.clone(), sink.clone(), gateway);
        let forwarder = forwarder.unwrap();
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
        assert_eq!(log.counts(&waited_for).sequence, 2, "all is saved");
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
