//! Notifications are delivered in order and none is lost, whatever a destination does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::{Clock as _, SystemClock};
use crate::forward::answers::Answers;
use crate::forward::cursor::{Counts, CursorError};
use crate::forward::forwarder::{Forwarder, StartError};
use crate::forward::tests::support::{
    Act, FakeSink, Log, all, dice, id, record, settings, unsynced, until,
};
use crate::forward::{Ack, Forwarders, NotForwarded, Reason, Settings, StartAt};
use crate::journal::{self, NotificationKey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_sent_once_in_order_and_the_cursor_ends_behind_it() {
    let log = Log::new(unsynced());
    log.accept(1..=3).await;
    let sink = FakeSink::new(|_| Act::Store);
    let one = Settings {
        in_flight: 1,
        ..settings()
    };
    let forwarder = log.start(one.clone(), &sink);
    // The cursor is on disk before anything is sent, so that a kill here does not move the start.
    assert_eq!(log.counts(&one), Counts::default());
    assert!(log.names().cursor("orders").exists());
    for record in [
        record("Duplicate", "orders", "M1"),
        "[2026-11-24 10:00:00] [root] [WARNING] [receive.rs:3] [1] Access Forbidden!\n\n"
            .to_owned(),
    ] {
        log.write(record).await;
    }
    log.accept(4..=40).await;
    until("all is delivered", || sink.0.ids().len() == 37).await;
    forwarder.stop().await;
    assert_eq!(
        sink.0.ids(),
        all(4..=40),
        "nothing of before the start, no duplicate"
    );
    assert_eq!(
        *sink.0.order.lock().unwrap(),
        (1..=37).collect::<Vec<u64>>()
    );
    assert!(sink.0.is_closed.load(Ordering::Relaxed));
    let counts = log.counts(&one);
    assert_eq!(
        (counts.sequence, counts.delivered, counts.gaps),
        (37, 37, 0)
    );
    // The next start continues after the cursor.
    let forwarder = log.start(one.clone(), &sink);
    log.accept(41..=41).await;
    until("the next is delivered", || sink.0.ids().len() == 38).await;
    forwarder.stop().await;
    assert_eq!(sink.0.sends.load(Ordering::Relaxed), 38);
    assert_eq!(log.counts(&one).sequence, 38);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_the_oldest_and_a_choice_of_topics_sends_just_those() {
    let log = Log::new(unsynced());
    log.accept(1..=5).await;
    log.write(record("Succeed", "others", "X1")).await;
    log.write(record("Recovered", "orders", "M6")).await;
    let sink = FakeSink::new(|_| Act::Store);
    let chosen = Settings {
        start: StartAt::Oldest,
        topics: vec!["orders".to_owned()],
        ..settings()
    };
    let forwarder = log.start(chosen, &sink);
    until("all is delivered", || sink.0.ids().len() == 6).await;
    forwarder.stop().await;
    assert_eq!(sink.0.ids(), all(1..=6));
}

/// Whatever happens to answers, and whenever the process is killed, a cursor is never ahead of what
/// the destination has, and in the end nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cursor_is_ahead_of_its_sink_and_nothing_is_skipped_whatever_happens() {
    const MESSAGES: u64 = 400;
    for seed in 1..=3 {
        let rotates = journal::Settings {
            // The limit is small, so that the cursor has to follow the log across rotated files.
            rotate_bytes: Some(20_000),
            ..unsynced()
        };
        let log = Log::new(rotates);
        let mut roll = dice(seed);
        let sink = FakeSink::new(move |_| match roll(20) {
            0..=5 => Act::Lose,
            6..=8 => Act::StoreLate(Duration::from_millis(roll(20))),
            9 => Act::Double,
            10 => Act::Fail(Reason::NoResponders),
            11 if roll(4) == 0 => Act::Down,
            _ => Act::Store,
        });
        let settings = settings();
        let mut forwarder = log.start(settings.clone(), &sink);
        // The kills have a seed of their own, so that their times do not depend on the answers.
        let mut roll = dice(seed + 100);
        for first in (1..=MESSAGES).step_by(20) {
            log.accept(first..first + 20).await;
            sleep(Duration::from_millis(roll(30))).await;
            log.kill(forwarder).await;
            let passed = log.counts(&settings).sequence;
            let missing: Vec<String> = all(1..=passed).difference(&sink.0.ids()).cloned().collect();
            assert!(
                missing.is_empty(),
                "seed {seed}: the cursor is at {passed}, not {missing:?}"
            );
            forwarder = log.start(settings.clone(), &sink);
        }
        until("all is delivered", || sink.0.ids() == all(1..=MESSAGES)).await;
        until("all is passed", || {
            log.counts(&settings).sequence == MESSAGES
        })
        .await;
        forwarder.stop().await;
        assert_eq!(log.counts(&settings).delivered, MESSAGES, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_destination_cannot_take_is_a_dead_letter_before_the_cursor_passes_it() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|outgoing| {
        if id(outgoing) == "M2" {
            Act::Poison
        } else {
            Act::Store
        }
    });
    let settings = settings();
    let forwarder = log.start(settings.clone(), &sink);
    log.accept(1..=3).await;
    let path = log.names().dead_letters("orders");
    until("it is a dead letter", || {
        forwarder
            .meters()
            .dead_letters()
            .any(|(_, count)| count > 0)
    })
    .await;
    until("the others are delivered", || sink.0.ids().len() == 2).await;
    forwarder.stop().await;
    let line = fs::read_to_string(&path).unwrap();
    let object: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
    assert_eq!(object["MessageId"], "M2");
    assert_eq!(
        (&object["reason"], &object["attempts"]),
        (&"too_large".into(), &1.into())
    );
    assert_eq!(object["Message"], "I am a test message.\nOf two lines.");
    let counts = log.counts(&settings);
    assert_eq!(
        (counts.sequence, counts.delivered, counts.dead_lettered),
        (3, 2, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_has_no_room_waits_and_keeps_the_cursor_before_it() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Poison);
    let full = Settings {
        dead_letters_bytes_max: 10,
        ..settings()
    };
    let forwarder = log.start(full.clone(), &sink);
    log.accept(1..=1).await;
    until("it is sent again", || {
        sink.0.sends.load(Ordering::Relaxed) > 1
    })
    .await;
    sink.0.does(|_| Act::Store);
    until("it is delivered", || sink.0.ids() == all(1..=1)).await;
    forwarder.stop().await;
    assert_eq!(fs::read(log.names().dead_letters("orders")).unwrap(), b"");
    let counts = log.counts(&full);
    assert_eq!((counts.delivered, counts.dead_lettered), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_no_verdict_while_all_is_refused() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Refuse);
    let settings = settings();
    let forwarder = log.start(settings.clone(), &sink);
    log.accept(1..=2).await;
    until("both are refused", || {
        sink.0.sends.load(Ordering::Relaxed) > 6
    })
    .await;
    let trouble = forwarder.meters().trouble().unwrap();
    assert_eq!(
        (trouble.reason, trouble.detail.as_str()),
        (Reason::Refused, "the fake says so")
    );
    sink.0.does(|_| Act::Store);
    until("both are delivered", || sink.0.ids() == all(1..=2)).await;
    forwarder.stop().await;
    assert_eq!(log.counts(&settings).dead_lettered, 0);
    assert!(!log.names().dead_letters("orders").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_is_gone_stops_its_forwarder_and_nothing_is_lost() {
    let log = Log::new(journal::Settings {
        rotate_bytes: Some(2_000),
        keep: Some(Duration::from_secs(1)),
        ..unsynced()
    });
    let sink = FakeSink::new(|_| Act::Gone);
    let settings = settings();
    let forwarder = log.start(settings.clone(), &sink);
    log.accept(1..=3).await;
    until("the sink is closed", || {
        sink.0.is_closed.load(Ordering::Relaxed)
    })
    .await;
    // Records that arrive before the next start are kept for it, however old they become.
    log.accept(4..=20).await;
    let first = log.names().rotated(journal::Log::Endpoint, 1);
    age(&first);
    let held = || log.journal.meters().held_files.load(Ordering::Relaxed);
    until("an old file is held", || held() > 0).await;
    assert!(first.exists());
    // As long as no forwarder holds them.
    let spare = log.journal.hold();
    forwarder.stop().await;
    assert_eq!(log.counts(&settings).sequence, 0);
    sink.0.does(|_| Act::Store);
    let forwarder = log.start(settings, &sink);
    drop(spare);
    until("all is delivered", || sink.0.ids() == all(1..=20)).await;
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_push_is_answered_by_its_delivery_and_by_its_dead_letter() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|outgoing| {
        if id(outgoing) == "M2" {
            Act::Poison
        } else {
            Act::Store
        }
    });
    let waited_for = Settings {
        ack: Ack::Forward {
            timeout: Duration::from_secs(2),
        },
        ..settings()
    };
    let answers = Arc::new(Answers::default());
    let source = log.source();
    let forwarder = Forwarder::start(
        &source,
        waited_for,
        sink.clone(),
        log.gateway(Some(answers.clone())),
    )
    .unwrap();
    let deadline = || tokio::time::Instant::now() + Duration::from_secs(60);
    let key = |id: &str| NotificationKey::of([b"1", b"orders", b"s", id.as_bytes()]);
    let expected = answers.expect(key("M1"));
    log.accept(1..=1).await;
    expected.forwarded(deadline()).await.unwrap();
    // A duplicate on disk is sent too: the first copy may never have been acknowledged.
    let expected = answers.expect(key("M1"));
    log.write(record("Duplicate", "orders", "M1")).await;
    expected.forwarded(deadline()).await.unwrap();
    assert_eq!(sink.0.sends.load(Ordering::Relaxed), 2);
    let expected = answers.expect(key("M2"));
    log.accept(2..=2).await;
    expected.forwarded(deadline()).await.unwrap_err();
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_took_away_is_a_gap_and_what_is_left_is_sent() {
    let rotates = journal::Settings {
        rotate_bytes: Some(2_000),
        ..unsynced()
    };
    let log = Log::new(rotates);
    let sink = FakeSink::new(|_| Act::Store);
    let settings = settings();
    let forwarder = log.start(settings.clone(), &sink);
    log.accept(1..=1).await;
    until("it is delivered", || sink.0.ids().len() == 1).await;
    forwarder.stop().await;
    log.accept(2..=20).await;
    for number in 1..=2 {
        fs::remove_file(log.names().rotated(journal::Log::Endpoint, number)).unwrap();
    }
    let forwarder = log.start(settings.clone(), &sink);
    until("the last is delivered", || sink.0.ids().contains("M20")).await;
    let meters = forwarder.meters().clone();
    forwarder.stop().await;
    let counts = log.counts(&settings);
    assert_eq!(counts.gaps, 1);
    assert!(sink.0.ids().len() < 20);
    let progress = log.source().cursor(&settings).load().unwrap().unwrap();
    assert!(progress.gap.unwrap().before.is_some());
    assert_eq!(meters.gaps.load(Ordering::Relaxed), 1);
    assert_eq!(meters.gap(), progress.gap);
    // The next start remembers the gap, but its own count is 0.
    let forwarder = log.start(settings.clone(), &sink);
    assert_eq!(forwarder.meters().gap(), progress.gap);
    assert_eq!(forwarder.meters().gaps.load(Ordering::Relaxed), 0);
    forwarder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_before_the_cursor_is_followed_from_its_end_on() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Store);
    let settings = settings();
    let forwarder = log.start(settings.clone(), &sink);
    for id in 1..=6 {
        log.accept(id..=id).await;
        until("it is delivered", || sink.0.ids() == all(1..=id)).await;
    }
    forwarder.stop().await;
    // A power cut loses what was not synced.
    log.journal.close().await.unwrap();
    let Log { dir, journal, .. } = log;
    drop(journal);
    let live = dir.path().join("endpoint_log.80");
    let text = fs::read(&live).unwrap();
    let cut = text.len() / 6 * 4;
    fs::write(&live, &text[..cut]).unwrap();
    let log = Log::at(dir, unsynced());
    let before = sink.0.sends.load(Ordering::Relaxed);
    let forwarder = log.start(settings.clone(), &sink);
    log.accept(7..=9).await;
    until("the new ones are delivered", || sink.0.ids() == all(1..=9)).await;
    forwarder.stop().await;
    let again = sink.0.sends.load(Ordering::Relaxed) - before;
    assert!((3..=7).contains(&again), "{again} were sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_cannot_be_trusted_stops_its_forwarder_and_no_other() {
    let log = Log::new(unsynced());
    let sink = FakeSink::new(|_| Act::Store);
    log.start(settings(), &sink).stop().await;
    let path = log.names().cursor("orders");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let source = log.source();
    let start =
        |settings: Settings| Forwarder::start(&source, settings, sink.clone(), log.gateway(None));
    let broken = start(settings());
    assert!(matches!(
        broken.err(),
        Some(StartError::Cursor(CursorError::Broken(_)))
    ));
    let other = Settings {
        name: "other".to_owned(),
        ..settings()
    };
    let forwarder = start(other).unwrap();
    log.accept(1..=2).await;
    until("the other one goes on", || sink.0.ids() == all(1..=2)).await;
    forwarder.stop().await;
    assert_eq!(
        fs::read(&path).unwrap(),
        &whole[..whole.len() / 2],
        "it is left as it is"
    );
    assert!(!path.with_extension("cursor.new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_start_turns_away_who_waits_for_it_and_keeps_the_log_for_later() {
    let rotates = journal::Settings {
        rotate_bytes: Some(2_000),
        keep: Some(Duration::from_secs(1)),
        ..unsynced()
    };
    let log = Log::new(rotates);
    let sink = FakeSink::new(|_| Act::Store);
    fs::write(log.names().cursor("orders"), "torn").unwrap();
    let waited_for = Settings {
        ack: Ack::Forward {
            timeout: Duration::from_secs(2),
        },
        ..settings()
    };
    let other = Settings {
        name: "other".to_owned(),
        ..settings()
    };
    let mut forwarders = Forwarders::default();
    for settings in [waited_for, other] {
        forwarders.add(&log.source(), settings, sink.clone(), || log.journal.hold());
    }
    let running = forwarders.running().iter();
    let running: Vec<&str> = running.map(|it| it.settings().name.as_str()).collect();
    assert_eq!(running, ["other"]);
    let handover = forwarders.take_handover();
    assert_eq!(handover.check(), Err(NotForwarded::Unavailable));
    log.accept(1..=20).await;
    until("the other one goes on", || sink.0.ids() == all(1..=20)).await;
    let first = log.names().rotated(journal::Log::Endpoint, 1);
    age(&first);
    let held = || log.journal.meters().held_files.load(Ordering::Relaxed);
    until("an old file is held", || held() > 0).await;
    assert!(first.exists());
    forwarders.stop().await;
}

/// Makes a file an hour old.
fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    let long_ago = SystemClock.now() - Duration::from_secs(3600);
    file.set_modified(long_ago).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_an_attempt_ends_the_forwarder_and_the_next_start_sends_the_rest() {
    let log = Log::new(unsynced());
    let broken = FakeSink::new(|outgoing| {
        assert_ne!(id(outgoing), "M3", "a defect");
        Act::Store
    });
    let forwarder = log.start(settings(), &broken);
    log.accept(1..=5).await;
    until("it has ended", || forwarder.gate().has_ended()).await;
    forwarder.stop().await;
    let sink = FakeSink::new(|_| Act::Store);
    let forwarder = log.start(settings(), &sink);
    let is_all = || &broken.0.ids() | &sink.0.ids() == all(1..=5);
    until("all is delivered", is_all).await;
    forwarder.stop().await;
}
