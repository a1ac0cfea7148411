//! What happens when a backlog reaches its bound, and which files are kept for a destination.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};
use crate::forward::tests::support::{Act, FakeSink, Log, all, record, settings, unsynced, until};
use crate::forward::{Reason, Settings, WhenFull};
use crate::journal::{self, Entry, Position};

/// The number of messages, each of about five hundred bytes in the log.
const MESSAGES: u64 = 60;

/// An entry of about a hundred bytes that answers no push.
fn refusal() -> Entry {
    let head = "[2026-11-24 10:00:00] [root] [WARNING] [receive.rs:3] [1]";
    Entry {
        endpoint: format!("{head} Access Forbidden! The signature is missing.\n\n").into_bytes(),
        access: b"a\n".to_vec(),
        ..Entry::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_its_bound_a_backlog_closes_the_gate_until_there_is_room_again() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Down);
    let bounded = Settings {
        max_backlog_bytes: Some(5_000),
        ..settings()
    };
    let forwarder = log.start(bounded, &sink);
    log.accept(1..=5).await;
    until("it is measured", || {
        forwarder.meters().backlog_bytes.load(Ordering::Relaxed) > 0
    })
    .await;
    assert!(!forwarder.gate().is_full());
    log.accept(6..=MESSAGES).await;
    until("the gate is closed", || forwarder.gate().is_full()).await;
    assert!(forwarder.meters().backlog_seconds.load(Ordering::Relaxed) > 0);
    until("the destination is away", || {
        forwarder
            .gate()
            .is_away(tokio::time::Instant::now().into_std())
    })
    .await;
    sink.0.does(|_| Act::Store);
    until("all is delivered", || sink.0.ids() == all(1..=MESSAGES)).await;
    until("the gate is open", || !forwarder.gate().is_full()).await;
    assert!(
        !forwarder
            .gate()
            .is_away(tokio::time::Instant::now().into_std())
    );
    let gate = forwarder.gate().clone();
    forwarder.stop().await;
    assert!(gate.has_ended());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_oldest_are_skipped_they_are_counted_and_the_newest_are_delivered() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Down);
    let skips = Settings {
        max_backlog_bytes: Some(5_000),
        when_full: WhenFull::Skip,
        ..settings()
    };
    let forwarder = log.start(skips.clone(), &sink);
    log.accept(1..=MESSAGES).await;
    until("there is little enough", || {
        let bytes = forwarder.meters().backlog_bytes.load(Ordering::Relaxed);
        forwarder.meters().skipped_bytes.load(Ordering::Relaxed) > 0 && bytes < 5_000
    })
    .await;
    sink.0.does(|_| Act::Store);
    until("the last is delivered", || {
        sink.0.ids().contains(&format!("M{MESSAGES}"))
    })
    .await;
    until("nothing is in flight", || {
        forwarder.meters().in_flight.load(Ordering::Relaxed) == 0
    })
    .await;
    forwarder.stop().await;
    let counts = log.counts(&skips);
    assert_eq!(counts.sequence, MESSAGES);
    assert_eq!(counts.delivered + counts.skipped, MESSAGES);
    assert!(counts.skipped > 10, "{counts:?}");
    assert_eq!(sink.0.ids().len() as u64, counts.delivered);
}

/// Rows of which nothing is sent take room in the log too, and make room when they are passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_notification_is_skipped_in_place_of_what_is_not_sent() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Down);
    let skips = Settings {
        max_backlog_bytes: Some(10_000),
        when_full: WhenFull::Skip,
        topics: vec!["orders".to_owned()],
        ..settings()
    };
    let forwarder = log.start(skips.clone(), &sink);
    log.accept(1..=1).await;
    until("the destination is away", || {
        sink.0.sends.load(Ordering::Relaxed) > 0
    })
    .await;
    // Read at once, and more than is enough: the first notification and these of another topic are
    // as much as has to be passed.
    log.accept(2..=2).await;
    for id in 0..30 {
        log.write(record("Succeed", "others", &format!("X{id}")))
            .await;
    }
    log.accept(3..=3).await;
    let skipped = || forwarder.meters().skipped_bytes.load(Ordering::Relaxed);
    until("some are skipped", || skipped() > 0).await;
    until("it is not full", || !forwarder.gate().is_full()).await;
    sink.0.does(|_| Act::Store);
    until("the newest is delivered", || sink.0.ids() == all(3..=3)).await;
    forwarder.stop().await;
    let counts = log.counts(&skips);
    assert_eq!((counts.delivered, counts.skipped), (1, 2));
}

/// What was in flight counts as waiting until it is delivered, and nothing is skipped for it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_once_there_is_room() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::StoreLate(Duration::from_millis(2500)));
    let skips = Settings {
        max_backlog_bytes: Some(5_000),
        when_full: WhenFull::Skip,
        ..settings()
    };
    let forwarder = log.start(skips.clone(), &sink);
    log.accept(1..=40).await;
    let meters = forwarder.meters().clone();
    until("some are skipped", || {
        meters.skipped_bytes.load(Ordering::Relaxed) > 0
    })
    .await;
    until("nothing waits", || {
        meters.in_flight.load(Ordering::Relaxed) == 0 && !forwarder.gate().is_full()
    })
    .await;
    sink.0.does(|_| Act::Store);
    log.accept(41..=50).await;
    until("what came later is delivered", || {
        sink.0.ids().is_superset(&all(41..=50))
    })
    .await;
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_alone_move_the_cursor_and_fill_no_backlog() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Store);
    let bounded = Settings {
        max_backlog_bytes: Some(5_000),
        ..settings()
    };
    let forwarder = log.start(bounded.clone(), &sink);
    log.accept(1..=3).await;
    until("all is delivered", || sink.0.ids() == all(1..=3)).await;
    let live = log.names().live(journal::Log::Endpoint);
    let end = || fs::metadata(&live).unwrap().len();
    let passed = || {
        let saved = log.source().cursor(&bounded).load().unwrap();
        let places = saved.map(|progress| progress.saved.trail);
        places.and_then(|places| places.first().map(Position::offset))
    };
    until("the cursor has passed them", || passed() == Some(end())).await;
    let before = end();
    for _ in 0..MESSAGES {
        log.journal.offer(refusal());
    }
    until("they are logged", || end() > before + 5_000).await;
    until("the cursor has passed all", || passed() == Some(end())).await;
    until("nothing waits", || {
        forwarder.meters().backlog_bytes.load(Ordering::Relaxed) == 0
    })
    .await;
    assert!(!forwarder.gate().is_full());
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_after_a_notification_that_waits_do_not_count_as_waiting() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Store);
    let forwarder = log.start(settings(), &sink);
    log.accept(1..=3).await;
    until("all is delivered", || sink.0.ids() == all(1..=3)).await;
    sink.0.does(|_| Act::Fail(Reason::AckTimeout));
    log.accept([5]).await;
    let sends = || sink.0.sends.load(Ordering::Relaxed);
    until("the next is tried", || sends() > 3).await;
    let end = || fs::metadata(log.names().live(journal::Log::Endpoint)).map_or(0, |it| it.len());
    let before = end();
    for _ in 0..MESSAGES {
        log.journal.offer(refusal());
    }
    until("they are logged", || end() > before + 5_000).await;
    let age = || forwarder.meters().backlog_seconds.load(Ordering::Relaxed);
    let logged = age();
    until("the backlog is measured after that", || age() > logged + 2).await;
    until("only the notification waits", || {
        let bytes = forwarder.meters().backlog_bytes.load(Ordering::Relaxed);
        (1..1_000).contains(&bytes)
    })
    .await;
    sink.0.does(|_| Act::Store);
    until("it is delivered too", || sink.0.ids().contains("M5")).await;
    until("nothing waits", || {
        forwarder.meters().backlog_bytes.load(Ordering::Relaxed) == 0
    })
    .await;
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_is_deleted_for_its_age_before_a_saved_cursor_has_passed_it() {
    let keeps = journal::Settings {
        keep: Some(Duration::from_secs(1)),
        rotate_bytes: Some(2_000),
        ..unsynced()
    };
    let log = Log::new(keeps);
    let sink = FakeSink::new(|_| Act::Down);
    let forwarder = log.start(settings(), &sink);
    log.accept(1..=20).await;
    let rotated = |number| log.names().rotated(journal::Log::Endpoint, number);
    let long_ago = SystemClock.now() - Duration::from_secs(3600);
    let age = || {
        for number in (1..).take_while(|number| rotated(*number).exists()) {
            let file = fs::File::options()
                .append(true)
                .open(rotated(number))
                .unwrap();
            file.set_modified(long_ago).unwrap();
        }
    };
    age();
    let held = || log.journal.meters().held_files.load(Ordering::Relaxed);
    until("old files are held", || held() > 2).await;
    assert!(rotated(1).exists());
    sink.0.does(|_| Act::Store);
    until("all is delivered", || sink.0.ids() == all(1..=20)).await;
    until("old files are deleted", || {
        !rotated(1).exists() && held() == 0
    })
    .await;
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_has_nothing_to_send_keeps_no_file_that_its_cursor_has_passed() {
    let keeps = journal::Settings {
        keep: Some(Duration::from_secs(1)),
        rotate_bytes: Some(2_000),
        ..unsynced()
    };
    let log = Log::new(keeps);
    let sink = FakeSink::new(|_| Act::Store);
    let forwarder = log.start(settings(), &sink);
    log.accept(1..=20).await;
    until("all is delivered", || sink.0.ids() == all(1..=20)).await;
    // As long as the test needs it.
    let spare = log.journal.hold();
    forwarder.stop().await;
    let forwarder = log.start(settings(), &sink);
    let first = log.names().rotated(journal::Log::Endpoint, 1);
    let file = fs::File::options().append(true).open(&first).unwrap();
    file.set_modified(SystemClock.now() - Duration::from_secs(3600))
        .unwrap();
    drop(spare);
    until("an old file is deleted", || !first.exists()).await;
    forwarder.stop().await;
}
