//! A directory of logs, pushes as `serve` logs them, and what a follower returns.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::disk::RealDisk;
use crate::journal::read::{
    Budget, Chain, Event, Filter, Follower, Horizon, Position, Saved, Search, SearchStart, Start,
};
use crate::journal::{Log, Names, Numbering};

pub(super) const ALL: Budget = Budget::UNBOUNDED;

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

    pub(super) fn path(&self, name: &str) -> PathBuf {
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

    pub(super) fn chain(&self) -> Chain {
        Chain::new(Arc::new(RealDisk), self.names.clone(), self.numbering)
    }

    pub(super) fn search(&self, filter: Filter, block_bytes: usize) -> Search {
        let start = SearchStart::Newest;
        let search = Search::new(self.chain(), Horizon::FileEnd, filter, start);
        let mut search = search.unwrap().unwrap();
        search.block_bytes = block_bytes;
        search
    }

    pub(super) fn follow(&self, start: Start) -> Follower {
        Follower::new(self.chain(), Horizon::FileEnd, start)
    }
}

/// A filter that selects everything, including records that answer no push.
pub(super) fn all() -> Filter {
    Filter {
        all: true,
        zone: Some(TimeZone::UTC),
        ..Filter::default()
    }
}

fn attribute(name: &str, value: &str) -> String {
    format!("{name:<30}: {}\n", value.replace('\n', "\n    "))
}

/// A push as `serve` logs it in text. `id` is the message id.
pub(super) fn pushed(id: u32, message: &str) -> String {
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

pub(super) fn outcome(id: u32, message: &str, title: &str) -> String {
    format!(
        "[2026-11-24 18:40:36] [root] [INFO] [receive.rs:2] [1] {title}\n{}{}{}\n",
        attribute("MessageId", &format!("M{id}")),
        attribute("Message", message),
        attribute("TopicName", "orders"),
    )
}

pub(super) fn refused(id: u32, message: &str) -> String {
    format!(
        "[2026-11-24 18:40:36] [root] [WARNING] [receive.rs:3] [1] Access Forbidden!\n{}{}\
         Headers:x-mns-version: {id}\nBody:{}\n\n",
        attribute("Reason", "signature_wrong"),
        attribute("Hint", "no"),
        message.replace('\n', "\n    ")
    )
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
pub(super) fn resume(dir: &Dir, follower: &Follower) -> Follower {
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

/// The position after the row of a push.
pub(super) fn look_up_end(dir: &Dir, id: u32) -> Position {
    let filter = Filter {
        message_ids: vec![format!("M{}", id + 1)],
        ..all()
    };
    let page = dir.search(filter, 1 << 20).page(&ALL, |_| false).unwrap();
    page.rows[0].position
}
