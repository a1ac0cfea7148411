//! Searching: its bounds, its filters, and what a row says.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::fs;

use crate::disk::{Disk as _, Open, RealDisk};
use crate::journal::Log;
use crate::journal::read::tests::support::{ALL, Dir, all, push, pushed, refused};
use crate::journal::read::{
    Budget, Filter, Horizon, Lookup, Outcome, Position, Search, SearchStart, look_up, newest,
};

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
