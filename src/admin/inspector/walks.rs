//! Remembers which rows a caller that pages back through the list has already received from memory,
//! so that the log files do not return them again.
//!
//! No single position separates memory from the files. A refusal is added to memory before its
//! record is written, an accepted push after it; and rows are dropped from memory while the caller
//! reads page after page. So each listed row leaves keys, and a record with one of these keys is
//! left out.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;

use crate::admin::inspector::logged::Logged;
use crate::admin::inspector::moment::system_time;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::request::Head;
use crate::journal::{Outcome, Position};
use crate::mns::header;
use crate::server::{Paths, Summary};

/// The most walks that are remembered. Each uses about 100 bytes for each row listed from memory.
const WALKS_MAX: usize = 8;
/// A record is timestamped between the arrival of its request and its answer, and a text log has
/// whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// The longest time that a request may have taken, for the same comparison.
const TOOK_MAX: Duration = Duration::from_secs(30);
/// Times are compared in steps of this many seconds.
const STEP_SECONDS: u64 = 8;
/// How many bytes of an id are compared: the record of a refusal truncates it.
const ID_BYTES: usize = 256;
const STATUS_CREATED: u16 = 201;

/// A list that is paged back.
pub(super) struct Walk {
    /// The end of the files when it began. `None` if the disk was too slow.
    pub(super) border: Option<Position>,
    /// The number of the last request when it began. The stream delivers later ones.
    pub(super) last: u64,
    keys: RandomState,
    marks: Mutex<HashSet<u64>>,
}

/// The walks that are in use.
#[derive(Default)]
pub(super) struct Walks(Mutex<VecDeque<(u64, Arc<Walk>)>>);

/// What identifies a request.
#[derive(Hash)]
enum Key<'a> {
    /// An accepted one whose request is logged.
    Accepted(Message<'a>, Sender<'a>),
    /// One with only its outcome logged.
    Outcome(Message<'a>),
    Refused(u16, &'a [u8], Sender<'a>),
}

type Message<'a> = [&'a [u8]; 4];

#[derive(Hash, Clone, Copy)]
struct Sender<'a> {
    peer: &'a [u8],
    request_id: &'a [u8],
}

impl Walks {
    /// Starts a walk, and returns it with its number.
    pub(super) fn begin(&self, border: Option<Position>, last: u64) -> (u64, Arc<Walk>) {
        let walk = Arc::new(Walk {
            border,
            last,
            keys: RandomState::new(),
            marks: Mutex::default(),
        });
        // Random, so that a number from before a restart is not valid in this process.
        let number = rand::random();
        let mut walks = lock(&self.0);
        walks.push_back((number, walk.clone()));
        if walks.len() > WALKS_MAX {
            walks.pop_front();
        }
        (number, walk)
    }

    /// The walk with this number, if it was used recently.
    pub(super) fn find(&self, number: u64) -> Option<Arc<Walk>> {
        let mut walks = lock(&self.0);
        let at = walks.iter().position(|(known, _)| *known == number)?;
        let found = walks.remove(at)?;
        let walk = found.1.clone();
        walks.push_back(found);
        Some(walk)
    }
}

impl Walk {
    /// Records that the caller has received a request from memory.
    pub(super) fn mark(&self, summary: &Summary, names: &Names, paths: &Paths) {
        let head = Head::of(summary.head(), paths);
        let request_id = head.header(header::REQUEST_ID.as_str()).unwrap_or_default();
        let peer = summary.peer.to_string();
        let sender = Sender::of(peer.as_bytes(), request_id);
        let message = message(summary.outcome, names);
        let keys = if summary.status == STATUS_CREATED {
            vec![Key::Accepted(message, sender), Key::Outcome(message)]
        } else {
            let reason = summary.reason.map_or("", crate::server::Reason::key);
            vec![Key::Refused(summary.status, reason.as_bytes(), sender)]
        };
        let took = summary.took.min(TOOK_MAX).saturating_add(SLACK);
        let first = step(summary.came.checked_sub(SLACK).unwrap_or(summary.came));
        let last = step(summary.came.checked_add(took).unwrap_or(summary.came));
        let mut marks = lock(&self.marks);
        for step in first..=last {
            marks.extend(keys.iter().map(|key| self.keys.hash_one((key, step))));
        }
    }

    /// Whether the caller has already received a row of the log files.
    pub(super) fn has(&self, logged: &Logged, names: &Names, zone: &TimeZone) -> bool {
        let row = &logged.row;
        let request_id = row.request_id().unwrap_or_default();
        let message = message(logged.outcome, names);
        let key = match (row.status().map(|it| it.as_u16()), row.peer()) {
            (Some(STATUS_CREATED), Some(peer)) => {
                Key::Accepted(message, Sender::of(peer, request_id))
            }
            (Some(STATUS_CREATED), None) => Key::Outcome(message),
            (Some(status), peer) => {
                let sender = Sender::of(peer.unwrap_or_default(), request_id);
                Key::Refused(status, row.reason().unwrap_or_default(), sender)
            }
            // A recovered notification is never in memory.
            (None, _) => return false,
        };
        let Some((first, last)) = row.time().and_then(|time| time.moments(zone)) else {
            return false;
        };
        let marks = lock(&self.marks);
        [first, last]
            .into_iter()
            .any(|moment| marks.contains(&self.keys.hash_one((&key, step(system_time(moment))))))
    }
}

impl<'a> Sender<'a> {
    fn of(peer: &'a [u8], request_id: &'a [u8]) -> Self {
        let request_id = request_id.get(..ID_BYTES).unwrap_or(request_id);
        Self { peer, request_id }
    }
}

fn message(outcome: Outcome, names: &Names) -> Message<'_> {
    let outcome: &'static str = outcome.into();
    [
        outcome.as_bytes(),
        &names.topic,
        &names.subscription,
        &names.message_id,
    ]
}

fn step(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / STEP_SECONDS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
