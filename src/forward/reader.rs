//! Reads the endpoint log for a destination, up to what is committed: from memory what was
//! committed last, and from the files what is older.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::forward::cursor::Gap;
use crate::forward::source::Source;
use crate::forward::{Ack, Outgoing, Settings};
use crate::journal::{Event, Follower, Horizon, Outcome, Position, Remembered, Row, Saved, Start};

/// How much is read at once, in bytes. The rows wait in memory until the window has room.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Reads one chunk after another. Reading files may block on the disk, so that runs on a blocking
/// thread.
pub(super) struct Reader {
    follower: Follower,
    settings: Settings,
    zone: TimeZone,
}

/// What was read at once.
#[derive(Default)]
pub(super) struct Chunk {
    /// In the order of the log.
    pub(super) rows: VecDeque<ReadRow>,
    /// Places where rows were missing before those of this chunk.
    pub(super) gaps: Vec<Gap>,
    /// How many bytes are not a record, with their files.
    pub(super) damaged: Vec<(PathBuf, usize)>,
    /// How many rows may have been read before.
    pub(super) repeats: usize,
    /// The position of the reader after it.
    pub(super) behind: Saved,
    /// Whether there was nothing more to read.
    pub(super) is_at_end: bool,
}

/// One row.
pub(super) struct ReadRow {
    /// The place after it.
    pub(super) end: Position,
    /// Its length in the log.
    pub(super) bytes: u64,
    /// What is sent of it, without its sequence number; `None` if it is not sent.
    pub(super) outgoing: Option<Outgoing>,
}

impl Reader {
    pub(super) fn new(source: &Source, start: Start, settings: Settings) -> Self {
        let mark = source.mark.clone();
        // A failed sync may take back what is after the high-water mark.
        let horizon = Horizon::Committed(Box::new(move |file| mark.of(file)));
        Self {
            follower: Follower::new(source.chain(), horizon, start)
                .reading(CHUNK_BYTES)
                .with_tail(source.tail.clone()),
            settings,
            zone: source.zone.clone(),
        }
    }

    /// Goes to the end of the log, if it starts there.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.follower.go_to_start()
    }

    /// Reads a chunk from the files.
    pub(super) fn read(&mut self) -> io::Result<Chunk> {
        let polled = self.follower.poll()?;
        let mut chunk = Chunk {
            is_at_end: polled.is_at_end,
            ..Chunk::default()
        };
        for event in polled.events {
            match event {
                Event::Row {
                    row,
                    end,
                    may_repeat,
                } => {
                    chunk.repeats = chunk.repeats.saturating_add(usize::from(may_repeat));
                    let bytes = u64::try_from(row.raw.len()).unwrap_or(u64::MAX);
                    let outgoing = is_selected(&self.settings, &row)
                        .then(|| Outgoing::of(*row, &self.zone))
                        .flatten();
                    chunk.rows.push_back(ReadRow {
                        end,
                        bytes,
                        outgoing,
                    });
                }
                Event::Missed { after, before } => chunk.gaps.push(Gap { after, before }),
                Event::Damaged { path, bytes } => chunk.damaged.push((path, bytes)),
                Event::Continued { .. } => {}
            }
        }
        chunk.behind = self.place();
        Ok(chunk)
    }

    /// Takes a chunk from memory, without waiting for the disk. `None` if it has to be read.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        let Remembered { rows, is_at_end } = self.follower.poll_tail()?;
        let rows = rows.into_iter().map(|row| {
            let [_, topic, ..] = row.notification.key.parts();
            let is_sent = sends(&self.settings, topic, row.is_duplicate);
            ReadRow {
                end: row.end,
                bytes: u64::try_from(row.bytes).unwrap_or(u64::MAX),
                outgoing: is_sent.then(|| Outgoing::at(row.position, row.notification, &self.zone)),
            }
        });
        Some(Chunk {
            rows: rows.collect(),
            behind: self.place(),
            is_at_end,
            ..Chunk::default()
        })
    }

    /// The current position.
    pub(super) fn place(&self) -> Saved {
        Saved {
            trail: self.follower.trail(),
            delivered: None,
            time: self.follower.last_time(),
            unnumbered: self.follower.unnumbered(),
        }
    }
}

/// Whether the notification of a row is sent.
pub(super) fn is_selected(settings: &Settings, row: &Row) -> bool {
    let topic = || row.record.attribute("TopicName").unwrap_or_default();
    match row.outcome() {
        Outcome::Accepted | Outcome::Remark | Outcome::Recovered => sends(settings, topic(), false),
        Outcome::Duplicate => sends(settings, topic(), true),
        // These got no 201, so MNS sends again what is genuine among them.
        Outcome::Refused | Outcome::Deferred | Outcome::Other => false,
    }
}

/// Whether an accepted notification is sent.
fn sends(settings: &Settings, topic: &[u8], is_duplicate: bool) -> bool {
    // The first copy of a duplicate has been sent. With `ack = "forward"` the repeat is sent too,
    // because its push waits for an acknowledgement and the first copy may never get one. The
    // destination recognizes the repeat by its id.
    let repeats = matches!(settings.ack, Ack::Forward { .. });
    (repeats || !is_duplicate) && settings.selects(topic)
}
