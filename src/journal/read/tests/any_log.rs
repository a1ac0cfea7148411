//! Compares following and searching with a plain forward reading of the same files, for arbitrary
//! contents.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use proptest::prelude::*;

use crate::journal::read::spans::{Next, split};
use crate::journal::read::tests::support::{ALL, Dir, all, outcome, pushed, refused, request};
use crate::journal::read::{
    Budget, Event, Filter, Follower, Horizon, Lookup, Saved, Search, SearchStart, Start, look_up,
};

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
