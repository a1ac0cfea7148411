//! Following through rotation, renaming, copying and cutting of the files.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::read::tests::support::{ALL, Dir, all, look_up_end, met, push, pushed, resume};
use crate::journal::read::{Follower, Horizon, Saved, Start};
use crate::journal::{Log, Numbering};

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

#[test]
fn what_was_emptied_and_has_grown_to_the_same_length_is_read_although_it_was_rotated() {
    let dir = Dir::new();
    push(&dir, 1..=3);
    let mut follower = dir.follow(Start::Oldest);
    assert_eq!(met(&mut follower), ["M1", "M2", "M3"]);
    let restarted = resume(&dir, &follower);
    fs::write(dir.live(), "").unwrap();
    push(&dir, 4..=6);
    dir.rotate();
    push(&dir, 7..=7);
    for mut follower in [restarted, follower] {
        let found = met(&mut follower);
        assert_eq!(found, ["missed", "M4", "M5", "M6", "> ", "M7"]);
    }
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
