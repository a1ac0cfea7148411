//! The journal under every fault that a disk, a crash and other people's hands can bring, in any
//! order.
//!
//! Whatever happens: every acknowledged record is there exactly once, in order and whole; nothing
//! is there that was not written; and every start succeeds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mns_endpoint::journal::{Entry, Head, Identity, Journal, Log, Settings, SyncMode};
use proptest::prelude::*;
use strum::IntoEnumIterator as _;

use crate::support::FaultyStorage;

#[derive(Debug, Clone)]
enum Step {
    /// So many pushes at once.
    Append(usize),
    /// One of the last acknowledged pushes comes again.
    Again(usize),
    /// A refusal.
    Note,
    /// The next writes take so many bytes, then the disk is full.
    Room(Option<usize>),
    FailSync,
    FailLen,
    FailTruncate,
    FailSyncNames,
    FailOpen(bool),
    /// Somebody renames a log.
    Rename(Log),
    /// SIGHUP.
    Reopen,
    /// Somebody cuts a log to so many per cent, after a copy of all of it or none.
    Cut(Log, usize, bool),
    /// The machine stands still after so many calls, in the middle of one.
    StandStill(usize, Crash),
    Crash(Crash),
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    /// The process ends: all bytes stay.
    Kill,
    /// What was not synced is there or not.
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
        3 => (0_usize..20).prop_map(Step::Again),
        2 => Just(Step::Note),
        2 => (0_usize..200).prop_map(|room| Step::Room(Some(room))),
        2 => Just(Step::Room(None)),
        1 => Just(Step::FailSync),
        1 => Just(Step::FailLen),
        1 => Just(Step::FailTruncate),
        1 => Just(Step::FailSyncNames),
        1 => any::<bool>().prop_map(Step::FailOpen),
        2 => log().prop_map(Step::Rename),
        1 => Just(Step::Reopen),
        1 => (log(), 0_usize..100, Just(false)).prop_map(|(log, part, copies)| Step::Cut(log, part, copies)),
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
    (sync, rotate).prop_map(|(sync, rotate_bytes)| Settings {
        sync,
        rotate_bytes,
        ..Settings::default()
    })
}

const SUCCEED: &str =
    "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:2] [1] Notify Message Succeed!\n";
const DUPLICATE: &str =
    "[2026-11-24 10:00:00] [root] [INFO] [receive.rs:6] [1] Notify Message Duplicate!\n";

/// The record or line with a number; its length depends on it.
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

/// The numbers of the whole records of a text, and where the last of them ends. A power cut may
/// have left a hole of NULs before whole ones.
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
        // What is told to be a duplicate is no second record.
        numbers.extend((!is_duplicate).then_some(number));
        place += skip + len;
    }
}

/// The number of the whole record at the start of a text, whether it is told to be a duplicate, and
/// its length.
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
    storage: FaultyStorage,
    journal: Arc<Journal>,
    next: usize,
    renamed: usize,
    acknowledged: BTreeSet<usize>,
    /// Access lines of duplicates that were acknowledged.
    lines: BTreeSet<usize>,
    /// What somebody cut off a log without a copy, by log.
    taken: [BTreeSet<usize>; 2],
    crash: Crash,
}

impl World {
    fn new(settings: Settings) -> Self {
        let storage = FaultyStorage::new();
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
            taken,
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

    /// An acknowledged push comes again, its record in a file that a start reads: it must be told
    /// to be a duplicate, which the check for doubles sees. Its access line has a number of its
    /// own.
    fn again(&mut self, back: usize) {
        let Some(number) = self.acknowledged.iter().rev().nth(back).copied() else {
            return;
        };
        let is_kept = self.storage.with(|disk| {
            let read_at_a_start = |name: &str| {
                name.strip_prefix("endpoint_log")
                    .is_some_and(|end| end.is_empty() || end[1..].parse::<u64>().is_ok())
            };
            let mut files = disk.names.iter().filter(|(name, _)| read_at_a_start(name));
            files.any(|(_, file)| {
                read(Log::Endpoint, &disk.files[*file].live)
                    .0
                    .contains(&number)
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

    fn append(&mut self, count: usize) {
        let entries: Vec<_> = (0..count).map(|_| self.entry()).collect();
        let journal = self.journal.clone();
        let acknowledged = self.runtime.block_on(async move {
            let spawn = |(number, entry)| {
                let journal = journal.clone();
                (
                    number,
                    tokio::spawn(async move { journal.append(entry).await.is_ok() }),
                )
            };
            let tasks: Vec<_> = entries.into_iter().map(spawn).collect();
            let mut acknowledged = Vec::new();
            for (number, task) in tasks {
                acknowledged.extend(task.await.unwrap().then_some(number));
            }
            acknowledged
        });
        self.acknowledged.extend(acknowledged);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => self.append(count),
            Step::Again(back) => self.again(back),
            Step::Note => {
                let (_, entry) = self.entry();
                self.journal.offer(entry);
            }
            Step::Room(room) => self.storage.with(|disk| disk.room = room),
            Step::FailSync => self.storage.with(|disk| disk.fail_sync = true),
            Step::FailLen => self.storage.with(|disk| disk.fail_len = true),
            Step::FailTruncate => self.storage.with(|disk| disk.fail_truncate = true),
            Step::FailSyncNames => self.storage.with(|disk| disk.fail_sync_names = true),
            Step::FailOpen(fails) => self.storage.with(|disk| disk.fail_open = fails),
            Step::Rename(log) => {
                self.renamed += 1;
                let new = format!("{}.old{}", log.name(), self.renamed);
                self.storage.with(|disk| disk.rename(log.name(), &new));
            }
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
        let has_failed = !self.journal.health().is_writable()
            && self
                .storage
                .with(|disk| disk.fail_sync || disk.fail_sync_names);
        if self.storage.with(|disk| disk.is_dead()) || has_failed {
            self.restart();
        }
    }

    fn cut(&mut self, log: Log, part: usize, copies: bool) {
        if part > 0 {
            // Not while a refusal is written: docs/design/journal.md says what a cut in that moment
            // leaves.
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

    /// The process ends and is started again, on what is left.
    fn restart(&mut self) {
        let disk = self.storage.with(|disk| {
            disk.calls_left = Some(0);
            disk.clone()
        });
        let left = match self.crash {
            Crash::PowerCut(seed) if self.settings.sync == SyncMode::Always => {
                disk.after_power_cut(seed)
            }
            // What a power cut takes with the other modes is what they say.
            Crash::PowerCut(_) | Crash::Kill => disk.after_kill(),
        };
        self.storage = FaultyStorage::on(left);
        self.journal = start(&self.storage, &self.settings);
        self.crash = Crash::Kill;
    }

    /// What stands in all files of a log, the oldest first.
    fn found(&self, log: Log) -> Vec<usize> {
        self.storage.with(|disk| {
            let mut named: Vec<(usize, &String)> = disk
                .names
                .iter()
                .map(|(name, file)| (*file, name))
                .collect();
            named.retain(|(_, name)| name.starts_with(log.name()));
            named.sort();
            let mut found = Vec::new();
            for (file, name) in named {
                let file = &disk.files[file];
                // A copy may have been made in the middle of a write.
                found.extend(file.copies.iter().flat_map(|copy| read(log, copy).0));
                let (numbers, len) = read(log, &file.live);
                found.extend(numbers);
                // Nothing goes on behind a torn end, and the file that is written has none.
                let rest = String::from_utf8_lossy(&file.live[len..]).into_owned();
                assert!(
                    name != log.name() || rest.is_empty(),
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
            assert!(
                is_in_order,
                "{}: out of order or twice: {found:?}",
                log.name()
            );
            let found: BTreeSet<usize> = found.into_iter().collect();
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

fn start(storage: &FaultyStorage, settings: &Settings) -> Arc<Journal> {
    let started = Journal::start(Box::new(storage.clone()), settings.clone(), None);
    Arc::new(started.expect("the start fails").0)
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
