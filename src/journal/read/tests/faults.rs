//! A follower loses nothing, whichever call of the disk fails.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use crate::disk::{Call, Hooked};
use crate::journal::read::tests::support::{Dir, look_up_end, met, push, request, shown};
use crate::journal::read::{Chain, Follower, Horizon, Saved, Start};

/// Lets each call fail in turn. `begin` prepares a log, and reads it with a follower as far as all
/// calls succeed. `meanwhile` happens after the failure. Then the follower must return `expected`.
#[track_caller]
fn assert_met(
    begin: impl Fn(&Dir, &dyn Fn(Start) -> Follower) -> Follower,
    meanwhile: impl Fn(&Dir),
    expected: &[&str],
) {
    for calls in 0.. {
        let dir = Dir::new();
        // How many calls succeed before one that fails for want of file descriptors.
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let counted = left.clone();
        let disk = Arc::new(Hooked(move |call: Call<'_>| match call {
            Call::Open | Call::List if counted.fetch_sub(1, Ordering::Relaxed) == 0 => {
                Err(Errno::MFILE.into())
            }
            _ => Ok(()),
        }));
        let follow = |start| {
            let chain = Chain::new(disk.clone(), dir.names.clone(), dir.numbering);
            Follower::new(chain, Horizon::FileEnd, start)
        };
        let mut follower = begin(&dir, &follow);
        left.store(calls, Ordering::Relaxed);
        let mut found = Vec::new();
        let has_failed = loop {
            match follower.poll() {
                Err(_) => break true,
                Ok(polled) => {
                    found.extend(polled.events.into_iter().map(shown));
                    if polled.is_at_end {
                        break false;
                    }
                }
            }
        };
        left.store(usize::MAX, Ordering::Relaxed);
        meanwhile(&dir);
        found.extend(met(&mut follower));
        assert_eq!(found, expected, "call {calls}");
        if !has_failed {
            assert!(calls > 0, "it makes no calls");
            return;
        }
    }
}

#[test]
fn what_was_cut_back_and_has_grown_again_is_read_whole() {
    assert_met(
        |dir, follow| {
            push(dir, 11..=15);
            let len = fs::metadata(dir.live()).unwrap().len();
            let mut follower = follow(Start::Oldest);
            assert_eq!(met(&mut follower).len(), 5);
            push(dir, 16..=19);
            assert_eq!(met(&mut follower).len(), 4);
            let file = fs::OpenOptions::new().write(true).open(dir.live());
            file.unwrap().set_len(len).unwrap();
            follower
        },
        |dir| push(dir, 21..=29),
        &[
            "M21?", "M22?", "M23?", "M24?", "M25", "M26", "M27", "M28", "M29",
        ],
    );
}

#[test]
fn the_rest_of_a_finished_file_is_returned() {
    assert_met(
        |dir, follow| {
            push(dir, 1..=1);
            // Without an outcome it is a row only at the end of a finished file.
            dir.append(request(2, "m").as_bytes());
            let mut follower = follow(Start::Oldest);
            assert_eq!(met(&mut follower), ["M1"]);
            dir.rotate();
            push(dir, 3..=3);
            follower
        },
        |_dir| {},
        &["", "> ", "M3"],
    );
}

#[test]
fn possible_repeats_after_a_start_are_marked() {
    assert_met(
        |dir, follow| {
            push(dir, 1..=6);
            follow(Start::Saved(Saved {
                trail: vec![look_up_end(dir, 2)],
                delivered: Some(look_up_end(dir, 4)),
                ..Saved::default()
            }))
        },
        |_dir| {},
        &["M3?", "M4?", "M5", "M6"],
    );
}

#[test]
fn a_log_that_somebody_emptied_is_a_gap_once() {
    assert_met(
        |dir, follow| {
            push(dir, 1..=2);
            let mut follower = follow(Start::Oldest);
            assert_eq!(met(&mut follower).len(), 2);
            fs::write(dir.live(), b"").unwrap();
            push(dir, 3..=3);
            follower
        },
        |dir| push(dir, 4..=6),
        &["missed", "M3", "M4", "M5", "M6"],
    );
}
