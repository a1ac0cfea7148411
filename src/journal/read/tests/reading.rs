//! Compares following and searching with a plain forward reading of the same files, for arbitrary
//! contents.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::disk::{Disk as _, Open, RealDisk};
use crate::journal::logs::LogTail;
use crate::journal::read::spans::{Next, split};
use crate::journal::read::{
    Budget, Chain, Event, Filter, Follower, Horizon, Lookup, Outcome, Position, RecordTime,
    Remembered, RememberedRow, Saved, Search, SearchStart, Start, look_up, newest,
};
use crate::journal::{
    AcceptedRows, Entry, FileOptions, Journal, Log, LogFiles, LoggedNotification, Names, Numbering,
    Settings,
};

const ALL: Budget = Budget::UNBOUNDED;

/// The files of a port, in a temporary directory.
pub(super) struct Dir {
    dir: tempfile::TempDir,
    pub(super) names: Names,
    pub(super) numbering: Numbering,
}

impl Dir {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = Names {
            dir: dir.path().to_owned(),
            port: 80,
        };
        let numbering = Numbering::Ascending;
        Self {
            dir,
            names,
            numbering,
        }
    }

    pub(super) fn live(&self) -> PathBuf {
        self.names.live(Log::Endpoint)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn append(&self, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new();
        let file = file.append(true).create(true).open(self.live());
        std::io::Write::write_all(&mut file.unwrap(), bytes).unwrap();
    }

    pub(super) fn rotate(&self) {
        let number = self.names.next_number(&RealDisk, Log::Endpoint).unwrap();
        fs::rename(self.live(), self.names.rotated(Log::Endpoint, number)).unwrap();
        self.append(b"");
    }

    fn chain(&self) -> Chain {
        Chain::new(Arc::new(RealDisk), self.names.clone(), self.numbering)
    }

    fn search(&self, filter: Filter, block_bytes: usize) -> Search {
        let start = SearchStart::Newest;
        let search = Search::new(self.chain(), Horizon::FileEnd, filter, start);
        let mut search = search.unwrap().unwrap();
        search.block_bytes = block_bytes;
        search
    }

    fn follow(&self, start: Start) -> Follower {
        Follower::new(self.chain(), Horizon::FileEnd, start)
    }
}

/// A filter that selects everything, including records that answer no push.
fn all() -> Filter {
    Filter {
        all: true,
        zone: Some(TimeZone::UTC),
        ..Filter::default()
    }
}

/// The raw bytes of the rows of a file, read from its beginning.
fn forward(bytes: &[u8], next: Next) -> Vec<Vec<u8>> {
    let spans = split(bytes, next).spans;
    let rows = spans.iter().filter(|span| {
        let last = bytes.get(span.last..span.end).unwrap();
        crate::journal::read::Parts::of(last).is_some()
    });
    rows.map(|span| bytes[span.start..span.end].to_vec())
        .collect()
}

fn attribute(name: &str, value: &str) -> String {
    format!("{name:<30}: {}\n", value.replace('\n', "\n    "))
}

/// A push as `serve` logs it in text. `id` is the message id.
fn pushed(id: u32, message: &str) -> String {
    format!(
        "{}{}",
        request(id, message),
        outcome(id, message, "Notify Message Succeed!")
    )
}

pub(super) fn request(id: u32, message: &str) -> String {
    let body = message.replace('\n', "\n    ");
    format!(
        "[2026-11-24 18:40:36] [root] [INFO] [receive.rs:1] [1] Headers:host: x\n    \
         x-mns-request-id: r{id}\nPeer: 10.0.0.1:5\nBody:{body}\n\n"
    )
}

fn outcome(id: u32, message: &str, title: &str) -> String {
    format!(
        "[2026-11-24 18:40:36] [root] [INFO] [receive.rs:2] [1] {title}\n{}{}{}\n",
        attribute("MessageId", &format!("M{id}")),
        attribute("Message", message),
        attribute("TopicName", "orders"),
    )
}

fn json(id: u32, message: &str) -> String {
    let message = serde_json::Value::from(message);
    let head = "\"time\":\"2026-11-24T18:40:36+00:00\",\"logger\":\"root\",\"level\":\"INFO\",\
        \"place\":\"receive.rs:2\",\"thread\":\"1\"";
    format!(
        "{{{head},\"event\":\"Request\",\"Headers\":{{\"time\":\"{id}\"}}}}\n\
         {{{head},\"event\":\"Notify Message Succeed!\",\"MessageId\":\"M{id}\",\
         \"Message\":{message}}}\n"
    )
}

fn refused(id: u32, message: &str) -> String {
    format!(
        "[2026-11-24 18:40:36] [root] [WARNING] [receive.rs:3] [1] Access Forbidden!\n{}{}\
         Headers:x-mns-version: {id}\nBody:{}\n\n",
        attribute("Reason", "signature_wrong"),
        attribute("Hint", "no"),
        message.replace('\n', "\n    ")
    )
}

fn started() -> &'static str {
    "[2026-11-24 18:40:36] [root] [INFO] [serve.rs:1] [1] Start Endpoint! x\n\n"
}

/// A part of a log: records of every kind in both formats, with hostile texts in them, and damage.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        "[a-z王é \"\\\\]{0,20}",
        Just("\n\n[2026-11-24 18:40:36] [root] [INFO] [r:1] [1] Headers:x\n\n".to_owned()),
        Just("{\"time\":\"2026\",\"event\":\"Request\"}\n{\"time\":\"".to_owned()),
        "[ab]{200,300}",
    ];
    (0_u32..50, text, 0..12_u8).prop_map(|(id, text, kind)| {
        let piece = match kind {
            0..3 => pushed(id, &text),
            3 | 4 => json(id, &text),
            5 => request(id, &text),
            6 => outcome(id, &text, "Notify Message Duplicate!"),
            7 => refused(id, &text),
            8 => started().to_owned(),
            9 => "\0\0\0\0".to_owned(),
            10 => format!("{}\n", pushed(id, &text).split_at(40).0),
            _ => text.replace('\n', " ") + "\n",
        };
        piece.into_bytes()
    })
}

/// Several parts, the last of which may be truncated.
fn log() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(piece(), 0..12), 0_usize..60).prop_map(|(pieces, cut)| {
        let mut log = pieces.concat();
        log.truncate(log.len().saturating_sub(cut));
        log
    })
}

proptest! {
    #[test]
    fn searching_back_finds_what_reading_on_finds_in_reverse(
        logs in proptest::collection::vec(log(), 1..4),
        block_bytes in prop_oneof![1_usize..400, Just(1 << 20)],
        needle in "[a-z王 ]{0,2}",
        rows in 1_usize..5,
    ) {
        let dir = Dir::new();
        let mut expected = Vec::new();
        for (index, log) in logs.iter().enumerate() {
            let is_live = index + 1 == logs.len();
            dir.append(log);
            expected.extend(forward(log, if is_live { Next::Unknown } else { Next::Other }));
            if !is_live {
                dir.rotate();
            }
        }
        expected.reverse();
        let raw = |search: &mut Search, budget: &Budget| {
            let page = search.page(budget, |_| false).unwrap();
            let rows: Vec<Vec<u8>> = page.rows.iter().map(|row| row.raw.clone()).collect();
            (rows, page)
        };
        let (found, page) = raw(&mut dir.search(all(), block_bytes), &ALL);
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(page.next, None);
        // Each row is found again at its position.
        for row in &page.rows {
            let there = look_up(&dir.chain(), &Horizon::FileEnd, &row.position).unwrap();
            let Lookup::Found(there) = there else { panic!("{:?} is gone", row.position) };
            prop_assert_eq!(&there.raw, &row.raw);
        }
        // With a needle, only the rows that contain it are found.
        let filter = Filter { contains: vec![needle], ..all() };
        let (with_needle, _) = raw(&mut dir.search(filter.clone(), block_bytes), &ALL);
        let rows_with_it = page.rows.iter().filter(|row| filter.matches(row));
        let wanted: Vec<Vec<u8>> = rows_with_it.map(|row| row.raw.clone()).collect();
        prop_assert_eq!(with_needle, wanted);
        // Search page by page, each page from the position where the previous one ended.
        let mut paged = Vec::new();
        let mut start = SearchStart::Newest;
        loop {
            let search = Search::new(dir.chain(), Horizon::FileEnd, all(), start);
            let mut search = search.unwrap().unwrap();
            search.block_bytes = block_bytes;
            let (found, page) = raw(&mut search, &Budget { rows, ..ALL });
            paged.extend(found);
            let Some(next) = page.next else { break };
            start = SearchStart::Before(next);
        }
        prop_assert_eq!(paged, expected);
    }

    #[test]
    fn a_follower_gives_every_row_once_in_order_whatever_it_is_read_in(
        logs in proptest::collection::vec(log(), 1..4),
        chunk_bytes in prop_oneof![1_usize..400, Just(1 << 20)],
        steps in proptest::collection::vec(1_usize..300, 1..12),
        restarts in any::<u16>(),
    ) {
        let dir = Dir::new();
        let mut expected = Vec::new();
        let mut found = Vec::new();
        let mut follower = dir.follow(Start::Oldest);
        follower.chunk_bytes_min = chunk_bytes;
        let mut turn = 0;
        for (index, log) in logs.iter().enumerate() {
            let is_live = index + 1 == logs.len();
            // The follower does not leave a file until the next one has a record.
            let start = started();
            let log = [start.as_bytes(), log].concat();
            let log = &log;
            let mut rest = log.as_slice();
            dir.append(b"");
            for step in steps.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*step));
                dir.append(now);
                rest = later;
                if restarts >> (turn % 16) & 1 == 1 {
                    let trail = follower.trail();
                    let saved = Saved { trail, ..Saved::default() };
                    follower = dir.follow(Start::Saved(saved));
                    follower.chunk_bytes_min = chunk_bytes;
                }
                turn += 1;
                drain(&mut follower, &mut found);
                if rest.is_empty() {
                    break;
                }
            }
            expected.extend(forward(log, if is_live { Next::Unknown } else { Next::Other }));
            if !is_live {
                dir.rotate();
            }
        }
        drain(&mut follower, &mut found);
        let text = |rows: &[Vec<u8>]| -> Vec<String> {
            rows.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
        };
        prop_assert_eq!(text(&found), text(&expected), "{:?}", text(&logs));
    }
}

/// Reads to the end. Each row must be new, and none may be missing.
fn drain(follower: &mut Follower, found: &mut Vec<Vec<u8>>) {
    loop {
        let polled = follower.poll().unwrap();
        for event in polled.events {
            match event {
                Event::Row {
                    row, may_repeat, ..
                } => {
                    assert!(!may_repeat);
                    found.push(row.raw);
                }
                Event::Missed { .. } => panic!("nothing is missing"),
                Event::Continued { .. } | Event::Damaged { .. } => {}
            }
        }
        if polled.is_at_end {
            return;
        }
    }
}

/// What a follower returns until it is at the end: `M1` for a row, `M1?` for one that may be
/// repeated, `missed`, `damaged 4`, and `> NAME` when it continues in a file.
pub(super) fn met(follower: &mut Follower) -> Vec<String> {
    let mut met = Vec::new();
    // A first poll at the end may only have found the file again, so poll once more.
    let mut ends = 0;
    while ends < 2 {
        let polled = follower.poll().unwrap();
        ends = if polled.is_at_end { ends + 1 } else { 0 };
        met.extend(polled.events.into_iter().map(shown));
    }
    met
}

pub(super) fn shown(event: Event) -> String {
    match event {
        Event::Row {
            row, may_repeat, ..
        } => {
            let mark = if may_repeat { "?" } else { "" };
            String::from_utf8_lossy(&row.labels.message_id).into_owned() + mark
        }
        Event::Continued { next, .. } => format!("> {}", name(&next)),
        Event::Missed { .. } => "missed".to_owned(),
        Event::Damaged { bytes, .. } => format!("damaged {bytes}"),
    }
}

fn name(path: &Path) -> &str {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.strip_prefix("endpoint_log.80").unwrap()
}

/// Continues from the state of another follower, as after a restart.
fn resume(dir: &Dir, follower: &Follower) -> Follower {
    let trail = follower.trail();
    dir.follow(Start::Saved(Saved {
        trail,
        delivered: None,
        time: follower.last_time(),
        unnumbered: follower.unnumbered(),
    }))
}

pub(super) fn push(dir: &Dir, ids: std::ops::RangeInclusive<u32>) {
    ids.for_each(|id| dir.append(pushed(id, "m").as_bytes()));
}

#[test]
fn a_follower_goes_through_files_that_were_rotated_while_nobody_looked() {
    let dir = Dir::new();
    push(&dir, 1..=2);
    let mut follower = dir.follow(Start::Newest);
    assert_eq!(met(&mut follower), [""; 0]);
    push(&dir, 3..=3);
    assert_eq!(met(&mut follower), ["M3"]);
    for id in 4..=6 {
        push(&dir, id..=id);
        dir.rotate();
    }
    // The live file is empty, so the file before it may still be written to.
    let expected = ["M4", "> .2", "M5", "> .3", "M6"];
    let mut restarted = resume(&dir, &follower);
    assert_eq!(met(&mut restarted), expected);
    assert_eq!(met(&mut follower), expected);
    push(&dir, 7..=7);
    assert_eq!(met(&mut follower), ["> ", "M7"]);
    assert_eq!(met(&mut resume(&dir, &restarted)), ["> ", "M7"]);
    let all: Vec<String> = met(&mut dir.follow(Start::Oldest));
    assert_eq!(all.iter().filter(|met| met.starts_with('M')).count(), 7);
}

#[test]
fn a_record_whose_head_is_destroyed_is_reported_as_damage() {
    let dir = Dir::new();
    push(&dir, 1..=1);
    let headless = "[2026-11-24 10:00:00] nonsense\n\n";
    dir.append(headless.as_bytes());
    push(&dir, 2..=2);
    let mut found = met(&mut dir.follow(Start::Oldest));
    let damage = format!("damaged {}", headless.len());
    assert!(found.contains(&damage), "{found:?}");
    found.retain(|event| *event != damage);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_file_that_somebody_renamed_is_read_to_its_end_and_one_in_between_is_reported() {
    let dir = Dir::new();
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1"]);
    push(&dir, 2..=2);
    fs::rename(dir.live(), dir.path("endpoint_log.80-a")).unwrap();
    push(&dir, 3..=3);
    assert_eq!(met(&mut follower), ["M2", "> ", "M3"]);
    // Rotated twice without a poll in between.
    let mut restarted = resume(&dir, &follower);
    for (end, id) in [("-b", 4), ("-c", 5)] {
        push(&dir, id..=id);
        let renamed = dir.path(&format!("endpoint_log.80{end}"));
        fs::rename(dir.live(), renamed).unwrap();
    }
    push(&dir, 6..=6);
    assert_eq!(met(&mut follower), ["M4", "> ", "missed", "M6"]);
    // A follower that starts only now finds its file by the landmark. It does not know either which
    // files were between.
    assert_eq!(met(&mut restarted), ["M4", "> ", "missed", "M6"]);
}

#[test]
fn a_number_that_is_missing_between_two_files_is_reported() {
    let dir = Dir::new();
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1"]);
    for id in 2..=4 {
        push(&dir, id..=id);
        dir.rotate();
    }
    push(&dir, 5..=5);
    let packed = |number: u64| {
        let path = dir.names.rotated(Log::Endpoint, number);
        fs::rename(&path, path.with_extension(format!("{number}.gz"))).unwrap();
    };
    packed(2);
    let expected = ["M2", "> .3", "missed", "M4", "> ", "M5"];
    assert_eq!(met(&mut resume(&dir, &follower)), expected);
    assert_eq!(met(&mut follower), expected);
    // The file of a follower is deleted before the follower starts again, so it continues with the
    // next file.
    let dir = Dir::new();
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    met(&mut follower);
    dir.rotate();
    push(&dir, 2..=2);
    fs::remove_file(dir.names.rotated(Log::Endpoint, 1)).unwrap();
    assert_eq!(met(&mut resume(&dir, &follower)), ["missed", "M2"]);
    // A follower that has the deleted file open has lost nothing.
    assert_eq!(met(&mut follower), ["> ", "M2"]);
}

#[test]
fn a_log_that_somebody_copied_and_cut_is_read_on_in_the_copy() {
    let dir = Dir::new();
    push(&dir, 1..=5);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower).len(), 5);
    push(&dir, 6..=7);
    let restarted = resume(&dir, &follower);
    fs::copy(dir.live(), dir.path("endpoint_log.80.copy")).unwrap();
    fs::write(dir.live(), "").unwrap();
    push(&dir, 8..=8);
    // Rows written between the copy and the truncation are lost.
    let expected = ["missed", "M6", "M7", "> ", "missed", "M8"];
    assert_eq!(met(&mut follower), expected);
    drop(restarted);
    // The file has grown beyond the position meanwhile, so only the landmark shows the change.
    let dir = Dir::new();
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1"]);
    let mut restarted = resume(&dir, &follower);
    fs::copy(dir.live(), dir.path("endpoint_log.80.copy")).unwrap();
    fs::write(dir.live(), "").unwrap();
    push(&dir, 2..=9);
    let rest: Vec<String> = (2..=9).map(|id| format!("M{id}")).collect();
    let expected = |first: &[&str]| -> Vec<String> {
        let first = first.iter().map(|text| (*text).to_owned());
        first.chain(rest.clone()).collect()
    };
    assert_eq!(met(&mut restarted), expected(&["> ", "missed"]));
    assert_eq!(met(&mut follower), expected(&["> ", "missed"]));
    // A copy of a file is no gap if the file itself continues. Neither is a file that existed
    // before.
    let dir = Dir::new();
    push(&dir, 1..=1);
    fs::write(dir.path("endpoint_log.80.old"), "of somebody").unwrap();
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1"]);
    let trail = follower.trail();
    let mut fresh = dir.follow(Start::Saved(Saved {
        trail,
        ..Saved::default()
    }));
    push(&dir, 2..=2);
    fs::copy(dir.live(), dir.path("endpoint_log.80.copy")).unwrap();
    assert_eq!(met(&mut fresh), ["M2"]);
    push(&dir, 3..=3);
    dir.rotate();
    push(&dir, 4..=4);
    fs::copy(dir.live(), dir.path("endpoint_log.80.copy2")).unwrap();
    push(&dir, 5..=5);
    assert_eq!(met(&mut fresh), ["M3", "> ", "M4", "M5"]);
    for mut follower in [resume(&dir, &follower), follower] {
        assert_eq!(met(&mut follower), ["M2", "M3", "> ", "M4", "M5"]);
    }
    // If the follower had not begun to read a file, a copy of that file may have had more rows.
    let dir = Dir::new();
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1"]);
    dir.rotate();
    push(&dir, 2..=2);
    fs::copy(dir.live(), dir.path("endpoint_log.80.copy")).unwrap();
    fs::write(dir.live(), "").unwrap();
    push(&dir, 3..=3);
    assert_eq!(met(&mut resume(&dir, &follower)), ["> ", "missed", "M3"]);
    assert_eq!(met(&mut follower), ["> ", "missed", "M3"]);
}

#[test]
fn what_was_cut_back_is_read_again_from_the_last_common_row_and_says_so() {
    let dir = Dir::new();
    push(&dir, 1..=40);
    let len = fs::metadata(dir.live()).unwrap().len();
    let mut follower = dir.follow(Start::Oldest);
    follower.chunk_bytes_min = 1000;
    assert_eq!(met(&mut follower).len(), 40);
    let delivered = follower.trail()[0];
    push(&dir, 41..=41);
    assert_eq!(met(&mut follower), ["M41"]);
    // A failed write is cut off, and another one takes its place.
    for mut follower in [resume(&dir, &follower), follower] {
        let file = fs::OpenOptions::new().write(true).open(dir.live());
        file.unwrap().set_len(len).unwrap();
        push(&dir, 42..=44);
        assert_eq!(met(&mut follower), ["M42?", "M43", "M44"]);
    }
    // A follower that was killed marks the rows that it may have returned.
    let saved = Saved {
        trail: vec![look_up_end(&dir, 38)],
        delivered: Some(delivered),
        ..Saved::default()
    };
    let met = met(&mut dir.follow(Start::Saved(saved)));
    assert_eq!(met, ["M39?", "M40?", "M42", "M43", "M44"]);
}

/// The position after the row of a push.
pub(super) fn look_up_end(dir: &Dir, id: u32) -> Position {
    let filter = Filter {
        message_ids: vec![format!("M{}", id + 1)],
        ..all()
    };
    let page = dir.search(filter, 1 << 20).page(&ALL, |_| false).unwrap();
    page.rows[0].position
}

#[test]
fn a_follower_of_logrotate_reads_its_numbers_the_other_way_round() {
    let mut dir = Dir::new();
    dir.numbering = Numbering::Descending;
    push(&dir, 1..=1);
    let mut follower = dir.follow(Start::Oldest);
    let shift = |last: u64| {
        for number in (0..=last).rev() {
            let from = if number == 0 {
                dir.live()
            } else {
                dir.names.rotated(Log::Endpoint, number)
            };
            fs::rename(from, dir.names.rotated(Log::Endpoint, number + 1)).unwrap();
        }
    };
    assert_eq!(met(&mut follower), ["M1"]);
    shift(0);
    push(&dir, 2..=2);
    shift(1);
    push(&dir, 3..=3);
    let expected = ["> .1", "M2", "> ", "M3"];
    assert_eq!(met(&mut resume(&dir, &follower)), expected);
    assert_eq!(met(&mut follower), expected);
    let page = dir.search(all(), 300).page(&ALL, |_| false).unwrap();
    let ids = page.rows.iter().map(|row| row.labels.message_id.clone());
    assert_eq!(ids.collect::<Vec<_>>(), [b"M3", b"M2", b"M1"]);
}

#[test]
fn nothing_beyond_the_last_commit_is_read() {
    let dir = Dir::new();
    push(&dir, 1..=3);
    let committed = Arc::new(AtomicU64::new(0));
    let mark = committed.clone();
    let horizon = Horizon::Committed(Box::new(move |_file| mark.load(Ordering::Acquire)));
    let mut follower = Follower::new(dir.chain(), horizon, Start::Oldest);
    assert_eq!(met(&mut follower), [""; 0]);
    let one = pushed(1, "m").len() as u64;
    for (bytes, expected) in [
        (one - 1, &[][..]),
        (one, &["M1"]),
        (one + 1, &[]),
        (3 * one, &["M2", "M3"]),
    ] {
        committed.store(bytes, Ordering::Release);
        assert_eq!(met(&mut follower), expected, "{bytes}");
    }
}

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
        dir: dir.dir.path().to_owned(),
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

#[test]
fn a_search_stops_where_its_budget_ends_and_a_cursor_that_is_gone_says_so() {
    let dir = Dir::new();
    push(&dir, 1..=50);
    dir.rotate();
    push(&dir, 51..=100);
    let mut search = dir.search(all(), 2000);
    let bytes = 5000;
    let page = search.page(&Budget { bytes, ..ALL }, |_| false).unwrap();
    let read = search.progress().bytes;
    assert!((bytes..bytes + 2000).contains(&read), "{read}");
    assert_eq!(page.rows.first().unwrap().labels.message_id, b"M100");
    let next = page.next.unwrap();
    let cancelled = dir
        .search(all(), 2000)
        .page(&ALL, |so_far| so_far.bytes > 0);
    assert!((1..10).contains(&cancelled.unwrap().rows.len()));
    let begin = |position| {
        let start = SearchStart::Before(position);
        Search::new(dir.chain(), Horizon::FileEnd, all(), start).unwrap()
    };
    // The same row under another file name.
    dir.rotate();
    let rest = begin(next).unwrap().page(&ALL, |_| false).unwrap();
    assert_eq!(rest.rows.len() + page.rows.len(), 100);
    fs::remove_file(dir.names.rotated(Log::Endpoint, 2)).unwrap();
    assert!(begin(next).is_none());
    let gone = look_up(&dir.chain(), &Horizon::FileEnd, &next).unwrap();
    assert!(matches!(gone, Lookup::Gone));
    // Offset 0 is preceded by no bytes, so only the file's number identifies the file.
    let file = RealDisk
        .open(&dir.names.rotated(Log::Endpoint, 1), Open::Read)
        .unwrap();
    let beginning = |number| Position::of(file.as_ref(), number, 0).unwrap();
    assert!(begin(beginning(1)).is_some() && begin(beginning(7)).is_none());
}

#[test]
fn every_kind_of_record_is_the_same_row_in_text_and_in_json() {
    let rows = |bytes: &[u8]| {
        let dir = Dir::new();
        fs::write(dir.live(), bytes).unwrap();
        let page = dir.search(all(), 1 << 20).page(&ALL, |_| false).unwrap();
        let mut rows = page.rows;
        rows.reverse();
        rows
    };
    let text = rows(include_bytes!("../../../../tests/golden/endpoint_log.txt"));
    let json = rows(include_bytes!("../../../../tests/golden/endpoint_log.json"));
    assert_eq!(text.len(), json.len());
    for (text, json) in text.iter().zip(&json) {
        let without_time = |row: &crate::journal::Row| {
            let timeless = |parts: &crate::journal::Parts| crate::journal::Parts {
                time: None,
                ..parts.clone()
            };
            (row.request().map(timeless), timeless(&row.record))
        };
        assert_eq!(without_time(text), without_time(json));
        assert_eq!(text.labels, json.labels);
        // Times in a text log are whole seconds.
        let local = |row: &crate::journal::Row| {
            let local = row.time().unwrap().local();
            local.strftime("%F %T").to_string()
        };
        assert_eq!(local(text), local(json));
    }
    let outcomes: Vec<(Outcome, Option<u16>)> = text
        .iter()
        .map(|row| (row.outcome(), row.status().map(|status| status.as_u16())))
        .collect();
    let count = |outcome, status| {
        let wanted = (outcome, status);
        outcomes.iter().filter(|found| **found == wanted).count()
    };
    assert_eq!(count(Outcome::Accepted, Some(201)), 4);
    assert_eq!(count(Outcome::Remark, Some(201)), 3);
    for (status, expected) in [(403, 5), (400, 1), (404, 2), (405, 1), (415, 1), (413, 1)] {
        assert_eq!(count(Outcome::Refused, Some(status)), expected, "{status}");
    }
    assert_eq!(count(Outcome::Deferred, Some(503)), 1);
    assert_eq!(count(Outcome::Other, None), 1);
    let foreign = text.iter().filter(|row| row.is_foreign());
    assert_eq!(foreign.count(), 1, "a request for a wrong path");
}

#[test]
fn what_a_refused_request_says_of_itself_is_a_claim() {
    let xml = "<Notification xmlns=\"http://mns.aliyuncs.com/doc/v1/\">\n\
        <TopicOwner>1</TopicOwner>\n<TopicName>orders</TopicName>\n<Subscriber>1</Subscriber>\n\
        <SubscriptionName>billing</SubscriptionName>\n<MessageId>A-1</MessageId>\n\
        <MessageMD5>x</MessageMD5>\n<Message>hello</Message>\n\
        <PublishTime>1</PublishTime>\n</Notification>";
    let dir = Dir::new();
    dir.append(refused(1, xml).as_bytes());
    dir.append(refused(2, "no notification").as_bytes());
    let orders = Filter {
        topics: vec!["orders".to_owned()],
        ..Filter::default()
    };
    let page = dir.search(orders, 1 << 20).page(&ALL, |_| false).unwrap();
    let labels: Vec<_> = page.rows.iter().map(|row| row.labels.clone()).collect();
    let claim = crate::journal::Labels {
        topic: b"orders".to_vec(),
        subscription: b"billing".to_vec(),
        tag: Vec::new(),
        message_id: b"A-1".to_vec(),
        is_claimed: true,
    };
    assert_eq!(labels, [claim]);
}

/// The row of a push in hour `hour` of 2026, counted from 0.
fn pushed_at(hour: i64, id: u32, message: &str) -> String {
    let begin: jiff::civil::DateTime = "2026-01-01T00:00:00".parse().unwrap();
    let at = begin + jiff::SignedDuration::from_hours(hour);
    let at = at.strftime("[%Y-%m-%d %H:%M:%S]").to_string();
    pushed(id, message).replace("[2026-11-24 18:40:36]", &at)
}

#[test]
fn a_range_of_times_is_found_without_reading_all_that_is_newer() {
    let dir = Dir::new();
    // One row for each hour, in three files of 500 and a live one.
    let write = |from: u32, to: u32| {
        let rows = (from..to).map(|id| pushed_at(i64::from(id), id, &"m".repeat(3000)));
        dir.append(rows.collect::<String>().as_bytes());
    };
    for file in 0..3 {
        write(file * 500, (file + 1) * 500);
        dir.rotate();
    }
    write(1500, 1600);
    let hour = |hour: i64| {
        let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Some(begin + jiff::SignedDuration::from_hours(hour))
    };
    for (since, until, block) in [
        (10, 20, 64 * 1024),
        (0, 1, 64 * 1024),
        (490, 510, 64 * 1024),
        (700, 701, 8000),
        (1590, 2000, 64 * 1024),
        (1700, 1800, 64 * 1024),
    ] {
        let filter = Filter {
            since: hour(since),
            until: hour(until),
            ..all()
        };
        let mut search = dir.search(filter, block);
        let page = search.page(&ALL, |_| false).unwrap();
        let found: Vec<_> = page
            .rows
            .iter()
            .map(|row| String::from_utf8(row.labels.message_id.clone()).unwrap())
            .collect();
        let expected = (since..until.min(1600)).rev().map(|id| format!("M{id}"));
        let expected: Vec<_> = expected.collect();
        assert_eq!(found, expected, "{since} to {until}");
        // The range, its margin, and the windows of the bisection.
        let most = 700_000 + (until.min(1600) - since.min(1600)).unsigned_abs() * 8000;
        let read = search.bytes_read();
        assert!(read <= most, "{since} to {until}: {read}");
        let progress = search.progress();
        assert!(progress.bytes <= progress.bytes_total, "{progress:?}");
    }
}

#[test]
fn every_needle_must_be_there_and_the_progress_counts_what_is_newer() {
    let dir = Dir::new();
    push(&dir, 1..=30);
    dir.rotate();
    dir.append(pushed(31, "a Needle here").as_bytes());
    dir.append(pushed(32, "a needle there").as_bytes());
    let find = |needles: &[&str]| {
        let filter = Filter {
            needles: needles.iter().map(|needle| (*needle).to_owned()).collect(),
            ..all()
        };
        let page = dir.search(filter, 4000).page(&ALL, |_| false).unwrap();
        let ids = page.rows.into_iter().map(|row| row.labels.message_id);
        ids.map(|id| String::from_utf8(id).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(find(&["needle"]), ["M32", "M31"]);
    assert_eq!(find(&["Needle"]), ["M31"]);
    assert_eq!(find(&["needle", "there"]), ["M32"]);
    assert_eq!(find(&["needle", "absent"]), [""; 0]);
    // A text without a needle excludes nothing.
    assert_eq!(find(&["needle", "\n"]), ["M32", "M31"]);
    let newest = newest(&dir.chain(), &Horizon::FileEnd).unwrap().unwrap();
    dir.append(pushed(33, "later").as_bytes());
    let begin = |position| {
        let start = SearchStart::Before(position);
        Search::new(dir.chain(), Horizon::FileEnd, all(), start)
            .unwrap()
            .unwrap()
    };
    let mut search = begin(newest);
    let page = search.page(&Budget { rows: 3, ..ALL }, |_| false).unwrap();
    assert_eq!(page.rows[0].labels.message_id, b"M32");
    let later = pushed(33, "later").len() as u64;
    assert_eq!(search.progress().bytes_newer, later);
    let all = search.progress().bytes_newer + search.progress().bytes_total;
    let rest = begin(page.next.unwrap()).progress();
    assert_eq!(rest.bytes_newer + rest.bytes_total, all);
    assert!(rest.bytes_newer > later);
}
