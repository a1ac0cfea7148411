//! The journal under every fault that a disk, a crash or somebody else can cause, in any order.
//!
//! Whatever happens: every acknowledged record is in the logs exactly once, in order and complete;
//! the logs contain nothing that was not written and nothing that the disk refused; and every start
//! succeeds. With a commit log, a
//! crash right after somebody else changed the files may leave a record twice, but none is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mns_endpoint::journal::{
    Entry, Head, Identity, Journal, JournalError, Log, Settings, SyncMode,
};
use proptest::prelude::*;
use strum::IntoEnumIterator as _;

use crate::support::{Disk, FaultyDisk, File};

#[derive(Debug, Clone)]
enum Step {
    /// This many pushes at once.
    Append(usize),
    /// One of the last acknowledged pushes arrives again.
    Again(usize),
    /// A refusal.
    Note,
    /// The next writes accept this many bytes, then the disk is full.
    Room(Option<usize>),
    FailSync,
    /// Syncs of the logs fail, those of the commit log succeed.
    FailSyncOfLogs,
    FailLen,
    FailTruncate,
    /// The next frame cannot be written.
    FailFrame,
    FailSyncNames,
    FailOpen(bool),
    /// Somebody renames a log.
    Rename(Log),
    /// Somebody replaces a log with a file that ends within a record.
    Place(Log),
    /// Somebody deletes a log.
    Delete(Log),
    /// Somebody deletes the commit log.
    DeleteCommitLog,
    /// Somebody moves the directory away, and may create a new one.
    MoveDir(bool),
    /// Somebody creates the directory if it does not exist.
    MakeDir,
    /// Another process tries to use the logs.
    Second,
    /// The oldest rotated files, this many of each log, get an old timestamp, and so do files that
    /// are never deleted. Then the process is restarted.
    Age(usize),
    /// SIGHUP.
    Reopen,
    /// Somebody truncates a log to this percentage, after copying all of it or nothing.
    Cut(Log, usize, bool),
    /// The machine stops after this many calls, in the middle of one.
    StandStill(usize, Crash),
    Crash(Crash),
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    /// The process ends; all bytes stay.
    Kill,
    /// Any part of what was not synced may be lost.
    PowerCut(u64),
}

fn log() -> impl Strategy<Value = Log> {
    prop_oneof![Just(Log::Endpoint), Just(Log::Access)]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![Just(Crash::Kill), any::<u64>().prop_map(Crash::PowerCut)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_usize..6).prop_map(Step::Append),
        1 => (30_usize..60).prop_map(Step::Append),
        1 => Just(Step::DeleteCommitLog),
        3 => (0_usize..20).prop_map(Step::Again),
        2 => Just(Step::Note),
        2 => (0_usize..200).prop_map(|room| Step::Room(Some(room))),
        2 => Just(Step::Room(None)),
        1 => Just(Step::FailSync),
        1 => Just(Step::FailSyncOfLogs),
        1 => Just(Step::FailLen),
        1 => Just(Step::FailTruncate),
        2 => Just(Step::FailFrame),
        1 => Just(Step::FailSyncNames),
        1 => any::<bool>().prop_map(Step::FailOpen),
        2 => log().prop_map(Step::Rename),
        1 => log().prop_map(Step::Place),
        1 => log().prop_map(Step::Delete),
        1 => any::<bool>().prop_map(Step::MoveDir),
        1 => Just(Step::MakeDir),
        1 => Just(Step::Second),
        1 => (1_usize..4).prop_map(Step::Age),
        1 => Just(Step::Reopen),
        1 => (log(), 0_usize..100, Just(false))
            .prop_map(|(log, part, copies)| Step::Cut(log, part, copies)),
        1 => log().prop_map(|log| Step::Cut(log, 0, true)),
        2 => (1_usize..40, crash()).prop_map(|(calls, crash)| Step::StandStill(calls, crash)),
        2 => crash().prop_map(Step::Crash),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let sync = prop_oneof![
        4 => Just(SyncMode::Always),
        1 => Just(SyncMode::Interval(Duration::from_millis(1))),
        1 => Just(SyncMode::Os),
    ];
    let rotate = prop_oneof![Just(None), (1_u64..600).prop_map(Some)];
    let keep = prop_oneof![Just(None), Just(Some(KEEP))];
    // In pages; one page of each half is for a checkpoint.
    let commit_log =
        prop_oneof![1 => Just(None), 3 => (2_u64..10).prop_map(|half| Some(half * 8192))];
    (sync, rotate, keep, commit_log).prop_map(|(sync, rotate_bytes, keep, commit_log_bytes)| {
        Settings {
            sync,
            rotate_bytes,
            keep,
            commit_log_bytes,
            ..Settings::default()
        }
    })
}

const KEEP: Duration = Duration::from_secs(3600);

/// Old files in the directory that must not be deleted: files of another port, compressed ones, and
/// the newest of the diagnostic log.
const OTHERS: [&str; 4] = [
    "endpoint_log.8080.1",
    "endpoint_log.80.7.gz",
    "access_log.80.7.gz",
    "diagnostics.2026-01-02",
];
/// Existing names, to which no file may be renamed.
const TAKEN: [&str; 2] = ["endpoint_log.80.7", "access_log.80.7"];

const SUCCEED: &str =
    "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n";
const DUPLICATE: &str =
    "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:6] [1] Notify Message Duplicate!\n";

/// The record or line with this number, on which its length depends.
fn written(log: Log, number: usize) -> Vec<u8> {
    let filler = "x".repeat(number * 7 % 40);
    match log {
        Log::Endpoint => format!(
            "{SUCCEED}{:<30}: {number:06}\n{:<30}: {filler}\n    {filler}\n\n",
            "MessageId", "Message"
        )
        .into_bytes(),
        Log::Access => format!("{number:06} {filler}\n").into_bytes(),
    }
}

/// The numbers of the complete records in a text, and the end of the last one. A power cut may have
/// left a hole of NULs before complete records.
fn read(log: Log, text: &[u8]) -> (Vec<usize>, usize) {
    let (mut numbers, mut place) = (Vec::new(), 0);
    loop {
        let rest = &text[place..];
        let hole = rest
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(rest.len());
        let behind = (hole + 1..rest.len()).map(|skip| (skip, read_one(log, &rest[skip..])));
        let mut next = std::iter::once((0, read_one(log, rest))).chain(behind);
        let Some((skip, (number, is_duplicate, len))) =
            next.find_map(|(skip, found)| Some((skip, found?)))
        else {
            return (numbers, place);
        };
        // A record that is marked as a duplicate does not count.
        numbers.extend((!is_duplicate).then_some(number));
        place += skip + len;
    }
}

/// The number of the complete record at the start of a text, whether it is marked as a duplicate,
/// and its length.
fn read_one(log: Log, text: &[u8]) -> Option<(usize, bool, usize)> {
    let is_duplicate = log == Log::Endpoint && text.starts_with(DUPLICATE.as_bytes());
    let head = if is_duplicate { DUPLICATE } else { SUCCEED };
    let skip = if log == Log::Endpoint {
        head.len() + 32
    } else {
        0
    };
    let number = std::str::from_utf8(text.get(skip..skip + 6)?)
        .ok()?
        .parse()
        .ok()?;
    let mut record = written(log, number);
    if is_duplicate {
        record = [DUPLICATE.as_bytes(), &record[SUCCEED.len()..]].concat();
    }
    text.starts_with(&record)
        .then_some((number, is_duplicate, record.len()))
}

struct World {
    runtime: tokio::runtime::Runtime,
    settings: Settings,
    storage: FaultyDisk,
    journal: Arc<Journal>,
    next: usize,
    renamed: usize,
    acknowledged: BTreeSet<usize>,
    /// Acknowledged access lines of duplicates.
    lines: BTreeSet<usize>,
    /// Pushes that were answered 503 since the last start.
    refused: BTreeSet<usize>,
    /// Those of all starts that the disk refused: they were removed before the answer.
    taken_back: BTreeSet<usize>,
    /// Records that somebody truncated without a copy, or deleted, by log.
    taken: [BTreeSet<usize>; 2],
    /// A log was changed or renamed, so frames may not fit their offsets any more.
    is_changed: bool,
    crash: Crash,
}

impl World {
    fn new(settings: Settings) -> Self {
        let storage = FaultyDisk::new();
        storage.with(|disk| {
            for name in OTHERS {
                disk.make_exactly(name, b"of others");
            }
            disk.make_durable();
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let journal = start(&storage, &settings);
        let taken = [BTreeSet::new(), BTreeSet::new()];
        let (acknowledged, lines, crash) = (BTreeSet::new(), BTreeSet::new(), Crash::Kill);
        Self {
            runtime,
            settings,
            storage,
            journal,
            next: 0,
            renamed: 0,
            acknowledged,
            lines,
            refused: BTreeSet::new(),
            taken_back: BTreeSet::new(),
            taken,
            is_changed: false,
            crash,
        }
    }

    fn entry(&mut self) -> (usize, Entry) {
        let number = self.next;
        self.next += 1;
        let identity = self.identity(number);
        (
            number,
            Entry {
                endpoint: written(Log::Endpoint, number),
                access: written(Log::Access, number),
                identity,
                ..Entry::default()
            },
        )
    }

    fn identity(&self, number: usize) -> Option<Identity> {
        let place = |part| SUCCEED.find(part).unwrap();
        let head = Head {
            place: place("receive.rs"),
            title: place("Notify"),
        };
        self.journal.identify(
            [b"", b"", b"", format!("{number:06}").as_bytes()],
            Some(head),
        )
    }

    /// An acknowledged push whose record is in a file that a start reads arrives again. It must be
    /// marked as a duplicate, which the check for repetitions verifies. Its access line has a new
    /// number.
    fn again(&mut self, back: usize) {
        let Some(number) = self.acknowledged.iter().rev().nth(back).copied() else {
            return;
        };
        let is_kept = self.storage.with(|disk| {
            let mut files = disk.readable(Log::Endpoint).into_iter();
            files.any(|file| {
                let (numbers, _) = read(Log::Endpoint, &disk.files[file].live);
                numbers.contains(&number)
            })
        });
        if is_kept {
            let (line, entry) = self.entry();
            let entry = Entry {
                endpoint: written(Log::Endpoint, number),
                identity: self.identity(number),
                ..entry
            };
            let journal = self.journal.clone();
            if self.runtime.block_on(journal.append(entry)).is_ok() {
                self.lines.insert(line);
            }
        }
    }

    /// Pushes that arrive at once. Returns whether all were acknowledged.
    fn append(&mut self, count: usize) -> bool {
        let entries: Vec<_> = (0..count).map(|_| self.entry()).collect();
        let journal = self.journal.clone();
        let sent: BTreeSet<usize> = entries.iter().map(|(number, _)| *number).collect();
        let answers: Vec<(usize, Result<_, JournalError>)> = self.runtime.block_on(async move {
            let spawn = |(number, entry)| {
                let journal = journal.clone();
                (
                    number,
                    tokio::spawn(async move { journal.append(entry).await }),
                )
            };
            let tasks: Vec<_> = entries.into_iter().map(spawn).collect();
            let mut answers = Vec::new();
            for (number, task) in tasks {
                answers.push((number, task.await.unwrap()));
            }
            answers
        });
        let mut acknowledged = BTreeSet::new();
        for (number, answer) in answers {
            match answer {
                Ok(_) => drop(acknowledged.insert(number)),
                Err(JournalError::Refused) => drop(self.taken_back.insert(number)),
                // A frame may be durable although its sync failed.
                Err(_) => {}
            }
        }
        let are_all = acknowledged == sent;
        self.refused.extend(sent.difference(&acknowledged));
        self.acknowledged.extend(acknowledged);
        are_all
    }

    fn step(&mut self, step: &Step) {
        self.is_changed |= matches!(
            step,
            Step::Rename(_)
                | Step::Place(_)
                | Step::Delete(_)
                | Step::MoveDir(_)
                | Step::Cut(..)
                // A log that cannot be truncated is renamed to .suspect, with its acknowledged
                // records.
                | Step::FailTruncate
        );
        match *step {
            Step::Append(count) => drop(self.append(count)),
            Step::Again(back) => self.again(back),
            Step::Note => {
                let (_, entry) = self.entry();
                self.journal.offer(entry);
            }
            Step::Room(room) => self.storage.with(|disk| disk.room = room),
            Step::FailSync => self.storage.with(|disk| disk.fail_sync = true),
            Step::FailSyncOfLogs => self.storage.with(|disk| disk.fail_sync_of_logs = true),
            Step::FailFrame => self.storage.with(|disk| disk.fail_write_in_place = true),
            Step::FailLen => self.storage.with(|disk| disk.fail_len = true),
            Step::FailTruncate => self.storage.with(|disk| disk.fail_truncate = true),
            Step::FailSyncNames => self.storage.with(|disk| disk.fail_sync_names = true),
            Step::FailOpen(fails) => self.storage.with(|disk| disk.fail_open = fails),
            Step::Rename(log) => {
                self.renamed += 1;
                let new = format!("{}.old{}", log.name(), self.renamed);
                self.storage.with(|disk| disk.rename(log.name(), &new));
            }
            Step::Place(log) => {
                self.renamed += 1;
                let new = format!("{}.old{}", log.name(), self.renamed);
                let (number, _) = self.entry();
                let record = written(log, number);
                self.storage.with(|disk| {
                    disk.rename(log.name(), &new);
                    if disk.has_dir() {
                        disk.make(log.name(), &record[..record.len() - 2]);
                    }
                });
            }
            Step::Delete(log) => self.delete(log),
            Step::DeleteCommitLog => {
                self.take_what_is_not_durable();
                self.storage.with(|disk| disk.delete(".commit_log.80"));
            }
            Step::MoveDir(is_made_anew) => {
                self.take_what_is_not_durable();
                self.storage.with(|disk| {
                    disk.move_dir();
                    if is_made_anew {
                        disk.make_dir();
                    }
                });
            }
            Step::MakeDir => self.storage.with(|disk| disk.make_dir()),
            Step::Second => self.second(),
            Step::Age(count) => self.age(count),
            Step::Reopen => self.journal.reopen(),
            Step::Cut(log, part, copies) => self.cut(log, part, copies),
            Step::StandStill(calls, crash) => {
                self.storage.with(|disk| disk.calls_left = Some(calls));
                self.crash = crash;
            }
            Step::Crash(crash) => {
                self.crash = crash;
                self.restart();
            }
        }
        self.check_files();
        let has_failed = !self.journal.health().is_writable()
            && self
                .storage
                .with(|disk| disk.fail_sync || disk.fail_sync_of_logs || disk.fail_sync_names);
        if self.storage.with(|disk| disk.is_dead()) || has_failed {
            self.restart();
        }
    }

    fn delete(&mut self, log: Log) {
        // Not while a refusal is being written.
        self.append(1);
        let deleted = self.storage.with(|disk| {
            let file = disk.named(log.name()).cloned();
            disk.delete(log.name());
            file
        });
        if let Some(file) = deleted {
            self.take(log, &file);
        }
    }

    /// Somebody removes the commit log. Records that are durable only there may be lost until the
    /// journal notices, with the next batch or a second later.
    fn take_what_is_not_durable(&mut self) {
        let files = |disk: &mut Disk| {
            Log::iter()
                .map(|log| (log, disk.file(log).clone()))
                .collect()
        };
        let files: Vec<(Log, File)> = self.storage.with(files);
        for (log, file) in files.iter().filter(|(_, file)| !file.is_durable()) {
            let (live, durable) = (read(*log, &file.live).0, read(*log, &file.durable).0);
            let lost = live.into_iter().filter(|number| !durable.contains(number));
            self.taken[usize::from(*log == Log::Access)].extend(lost);
        }
    }

    /// From now on a file and its copies may be missing.
    fn take(&mut self, log: Log, file: &File) {
        let texts = std::iter::once(&file.live).chain(&file.copies);
        let numbers = texts.flat_map(|text| read(log, text).0);
        self.taken[usize::from(log == Log::Access)].extend(numbers);
    }

    /// While a process has the logs at their names, no other process gets them, wherever the
    /// directory was moved.
    fn second(&mut self) {
        if !self.append(1) {
            return;
        }
        let at_first = |disk: &mut Disk| (disk.has_dir(), disk.is_at_home());
        let (has_dir, is_at_home) = self.storage.with(at_first);
        if has_dir {
            // The first process may rotate its logs meanwhile.
            let second = self.storage.of_another_process().try_open();
            assert!(
                !is_at_home || second.is_err(),
                "two processes have the logs"
            );
        }
    }

    /// A start deletes old files, but only rotated ones.
    fn age(&mut self, count: usize) {
        const OLD: SystemTime = SystemTime::UNIX_EPOCH;
        let rotates = self.settings.rotate_bytes.is_some();
        let (aged, is_newer_left) = self.storage.with(|disk| {
            if !rotates && disk.has_dir() {
                // Rotated by a process with another setting.
                disk.make("access_log.1", b"");
                disk.make("access_log.2", b"");
            }
            let mut aged = Vec::new();
            let mut is_newer_left = false;
            for log in Log::iter() {
                let rotated = disk.rotated(log);
                let (old, newer) = rotated.split_at(count.min(rotated.len()));
                aged.extend(old.iter().map(|file| (log, *file)));
                let mut newer = newer.iter();
                is_newer_left |= newer.any(|file| disk.files[*file].modified > OLD);
            }
            let rotated: Vec<usize> = Log::iter().flat_map(|log| disk.rotated(log)).collect();
            let live: Vec<usize> = Log::iter().flat_map(|log| disk.readable(log)).collect();
            let others: Vec<usize> = disk
                .names
                .values()
                .copied()
                .filter(|file| !rotated.contains(file))
                // A live file that is replaced before it is written again becomes a rotated file of
                // the same age.
                .filter(|file| !rotates || !live.contains(file))
                .collect();
            for file in aged.iter().map(|(_, file)| *file).chain(others) {
                disk.files[file].modified = OLD;
            }
            (aged, is_newer_left)
        });
        for (log, file) in &aged {
            let file = self.storage.with(|disk| disk.files[*file].clone());
            self.take(*log, &file);
        }
        self.crash = Crash::Kill;
        self.restart();
        // Old files are deleted after the first batch and before the second.
        let is_done = self.append(1) && self.append(1);
        if is_done && is_newer_left && self.settings.keep.is_some() {
            let left = self.storage.with(|disk| {
                let rotated: Vec<usize> = Log::iter().flat_map(|log| disk.rotated(log)).collect();
                aged.iter().any(|(_, file)| rotated.contains(file))
            });
            assert!(!left, "an old file was not deleted");
        }
    }

    /// The invariants while the process is running.
    fn check_files(&self) {
        self.storage.with(|disk| {
            if disk.is_dead() {
                return;
            }
            for log in Log::iter() {
                for file in disk.rotated(log) {
                    let file = &disk.files[file];
                    assert!(
                        file.is_durable() || file.is_forgotten(),
                        "{}: a file was left that is not synced",
                        log.name()
                    );
                }
                for file in disk.readable(log) {
                    let (numbers, _) = read(log, &disk.files[file].live);
                    let refused = numbers.iter().find(|number| self.refused.contains(number));
                    assert_eq!(refused, None, "{}: answered 503, and there", log.name());
                }
            }
            let names: BTreeSet<&str> = disk
                .all_names()
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            for name in OTHERS {
                assert!(names.contains(name), "{name} was deleted");
            }
            for name in TAKEN {
                let is_packed = disk.names.contains_key(&format!("{name}.gz"));
                let is_reused = is_packed && disk.names.contains_key(name);
                assert!(!is_reused, "{name} had been packed");
            }
        });
    }

    fn cut(&mut self, log: Log, part: usize, copies: bool) {
        if part > 0 {
            // Not while a refusal is being written: docs/design/journal.md describes what a
            // truncation at that time leaves.
            self.append(1);
        }
        let before: Vec<u8> = self.storage.with(|disk| {
            disk.named(log.name())
                .map_or(Vec::new(), |file| file.live.clone())
        });
        let len = before.len() * part / 100;
        if !copies {
            let whole: BTreeSet<usize> = read(log, &before).0.into_iter().collect();
            let left: BTreeSet<usize> = read(log, &before[..len]).0.into_iter().collect();
            let taken = usize::from(log == Log::Access);
            self.taken[taken].extend(whole.difference(&left));
        }
        self.storage.with(|disk| disk.cut(log.name(), len, copies));
    }

    /// The process ends and is restarted on what is left.
    fn restart(&mut self) {
        let disk = self.storage.with(|disk| {
            disk.calls_left = Some(0);
            disk.clone()
        });
        let left = match self.crash {
            Crash::PowerCut(seed) if self.settings.sync == SyncMode::Always => {
                disk.after_power_cut(seed)
            }
            // In the other modes a power cut may lose more, as documented.
            Crash::PowerCut(_) | Crash::Kill => disk.after_kill(),
        };
        self.storage = FaultyDisk::as_it_is(left);
        self.refused.clear();
        self.journal = start(&self.storage, &self.settings);
        self.crash = Crash::Kill;
    }

    /// The contents of all files of a log, the oldest first.
    fn found(&self, log: Log) -> Vec<usize> {
        self.storage.with(|disk| {
            let live = format!("{}.80", log.name());
            let is_of_log = |name: &str| {
                name.strip_prefix(&live)
                    .is_some_and(|end| end.is_empty() || end.starts_with('.') && end != ".torn")
            };
            let mut named: Vec<(usize, &String)> = disk
                .all_names()
                .into_iter()
                .filter(|(name, _)| is_of_log(name))
                .map(|(name, file)| (file, name))
                .collect();
            named.sort();
            let at_home = disk.names.get(&live).copied();
            let mut found = Vec::new();
            for (number, name) in named {
                let file = &disk.files[number];
                // A copy may have been made in the middle of a write.
                found.extend(file.copies.iter().flat_map(|copy| read(log, copy).0));
                let (numbers, len) = read(log, &file.live);
                found.extend(numbers);
                // Nothing follows a torn end, and the live file has none.
                let rest = String::from_utf8_lossy(&file.live[len..]).into_owned();
                assert!(
                    at_home != Some(number) || rest.is_empty(),
                    "{name} goes on with {rest:?}"
                );
            }
            found
        })
    }

    fn check(&mut self) {
        self.restart();
        for (log, taken) in Log::iter().zip(&self.taken) {
            let found = self.found(log);
            let is_in_order = found.is_sorted_by(|one, next| one < next);
            let may_be_twice = self.is_changed && self.settings.commit_log_bytes.is_some();
            assert!(
                is_in_order || may_be_twice,
                "{}: out of order or twice: {found:?}",
                log.name()
            );
            let found: BTreeSet<usize> = found.into_iter().collect();
            let refused = self.taken_back.intersection(&found).next();
            assert_eq!(
                refused,
                None,
                "{}: refused by the disk, and there",
                log.name()
            );
            let lines = self.lines.iter().filter(|_| log == Log::Access);
            let lost = self
                .acknowledged
                .iter()
                .chain(lines)
                .find(|number| !found.contains(number) && !taken.contains(number));
            assert_eq!(lost, None, "{}: acknowledged and lost", log.name());
        }
    }
}

fn start(storage: &FaultyDisk, settings: &Settings) -> Arc<Journal> {
    let started = Journal::start(storage.open(), settings.clone(), None);
    let (journal, recovered) = started.expect("the start fails");
    assert_eq!(recovered.replayed.missing, 0, "nothing damaged a frame");
    Arc::new(journal)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_is_there_once_in_order_and_whole(
        settings in settings(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(settings);
        for step in &steps {
            world.step(step);
        }
        world.check();
    }
}
