//! Following with the newest rows taken from memory.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::logs::LogTail;
use crate::journal::read::tests::support::{Dir, met, push, pushed};
use crate::journal::read::{
    Event, Follower, Horizon, Position, RecordTime, Remembered, RememberedRow, Start,
};
use crate::journal::{
    AcceptedRows, Entry, FileOptions, Journal, LogFiles, LoggedNotification, Settings,
};

/// A follower at the end of a log of three pushes, and the memory in which a fourth one is too.
fn remembered(dir: &Dir, committed: &Arc<AtomicU64>) -> (Follower, Arc<LogTail>) {
    let tail = Arc::new(LogTail::default());
    tail.follow();
    push(dir, 1..=3);
    let one = pushed(1, "m").len();
    committed.store(3 * one as u64, Ordering::Release);
    let mark = committed.clone();
    let horizon = Horizon::Committed(Box::new(move |_file| mark.load(Ordering::Acquire)));
    let follower = Follower::new(dir.chain(), horizon, Start::Oldest);
    let mut follower = follower.with_tail(tail.clone());
    assert!(follower.poll_tail().is_none(), "it has no position yet");
    assert_eq!(met(&mut follower), ["M1", "M2", "M3"]);
    push(dir, 4..=4);
    tail.add(follower.file_id().unwrap(), 3 * one as u64, &described(4));
    (follower, tail)
}

/// The entry of a push.
fn described(id: u32) -> Entry {
    let endpoint = pushed(id, "m").into_bytes();
    let message_id = format!("M{id}");
    let attributes = [("MessageId", message_id.as_bytes())];
    let time = RecordTime::of_text("2026-11-24 10:00:00").unwrap();
    let logged = LoggedNotification::copied(&attributes, None, time).unwrap();
    Entry {
        accepted: AcceptedRows::one(endpoint.len(), logged),
        endpoint,
        ..Entry::default()
    }
}

#[test]
fn what_follows_a_change_of_the_file_is_not_taken_from_memory() {
    let (dir, committed) = (Dir::new(), Arc::default());
    let (mut follower, tail) = remembered(&dir, &committed);
    let (one, id) = (pushed(1, "m").len() as u64, follower.file_id().unwrap());
    // Somebody emptied the file, and it has grown to the follower's position again.
    tail.forget();
    assert!(follower.poll_tail().is_none(), "the end is another one");
    fs::write(dir.live(), b"").unwrap();
    push(&dir, 5..=8);
    tail.add(id, 3 * one, &described(8));
    committed.store(4 * one, Ordering::Release);
    assert!(follower.poll_tail().is_none());
    // It only goes back, and what it then finds must not wait for another commit.
    assert!(!follower.poll().unwrap().is_at_end);
    assert_eq!(met(&mut follower), ["missed", "M5", "M6", "M7", "M8"]);
}

#[test]
fn nothing_beyond_the_last_commit_is_taken_from_memory() {
    let (dir, committed) = (Dir::new(), Arc::default());
    let (mut follower, _tail) = remembered(&dir, &committed);
    let one = pushed(1, "m").len() as u64;
    let ids = |remembered: Option<Remembered>| {
        let rows = remembered.unwrap().rows;
        let id = |row: RememberedRow| row.notification.key.parts()[3].to_vec();
        rows.into_iter().map(id).collect::<Vec<_>>()
    };
    assert!(ids(follower.poll_tail()).is_empty());
    committed.store(4 * one, Ordering::Release);
    assert_eq!(ids(follower.poll_tail()), [b"M4"]);
    let end = Position::of(follower.at.as_ref().unwrap().open.file.as_ref(), 1, 4 * one);
    assert_eq!(follower.trail()[0], end.unwrap());
    assert!(ids(follower.poll_tail()).is_empty());
}

#[test]
fn a_gap_and_possible_repeats_are_reported_before_anything_is_taken_from_memory() {
    let (dir, committed) = (Dir::new(), Arc::default());
    let (mut follower, _tail) = remembered(&dir, &committed);
    committed.store(4 * pushed(1, "m").len() as u64, Ordering::Release);
    follower.miss();
    assert!(follower.poll_tail().is_none());
    let events = follower.poll().unwrap().events;
    assert!(matches!(
        events[..],
        [Event::Missed { .. }, Event::Row { .. }]
    ));

    let (dir, committed) = (Dir::new(), Arc::default());
    let (mut follower, _tail) = remembered(&dir, &committed);
    committed.store(4 * pushed(1, "m").len() as u64, Ordering::Release);
    let link = follower.at.as_ref().unwrap().open.link.clone();
    follower.mark_until(&link, u64::MAX);
    assert!(follower.poll_tail().is_none());
    let events = follower.poll().unwrap().events;
    assert!(matches!(
        events[..],
        [Event::Row {
            may_repeat: true,
            ..
        }]
    ));
}

#[tokio::test]
async fn what_somebody_did_to_the_log_is_not_in_memory() {
    let dir = Dir::new();
    let options = FileOptions {
        dir: dir.names.dir.clone(),
        port: 80,
        mode: 0o640,
    };
    let files = LogFiles::open(options).unwrap();
    let (journal, _) = Journal::start(files, Settings::default(), None).unwrap();
    let tail = journal.tail();
    let write = |id: u32| journal.append(described(id));
    let id = dir.chain().links().unwrap()[0].id;
    write(1).await.unwrap();
    assert!(tail.at(id, 0, tail.changes()).is_some());
    // The journal looks at the file again, and writes nothing.
    dir.append(pushed(2, "m").as_bytes());
    journal.reopen();
    let forgotten = async {
        while tail.at(id, 0, tail.changes()).is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let minute = std::time::Duration::from_secs(60);
    tokio::time::timeout(minute, forgotten).await.unwrap();
    write(3).await.unwrap();
    let after = 2 * pushed(1, "m").len() as u64;
    assert_eq!(
        tail.at(id, after, tail.changes()).unwrap().bytes,
        pushed(3, "m").as_bytes()
    );
}
