//! Reads the endpoint log for a destination, up to what is committed.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::forward::cursor::Gap;
use crate::forward::source::Source;
use crate::forward::{Ack, Outgoing, Settings};
use crate::journal::{Event, Follower, Horizon, Outcome, Position, Row, Saved, Start};

/// How much is read at once, in bytes. The rows wait in memory until the window has room.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Reads one chunk after another. May block on the disk, so it runs on a blocking thread.
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
            follower: Follower::new(source.chain(), horizon, start).reading(CHUNK_BYTES),
            settings,
            zone: source.zone.clone(),
        }
    }

    /// Goes to the end of the log, if it starts there.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.follower.go_to_start()
    }

    /// Reads a chunk.
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
    let is_sent = match row.outcome() {
        Outcome::Accepted | Outcome::Remark | Outcome::Recovered => true,
        // The first copy has been sent. With `ack = "forward"` the repeat is sent too, because its
        // push waits for an acknowledgement and the first copy may never get one. The destination
        // recognizes the repeat by its id.
        Outcome::Duplicate => matches!(settings.ack, Ack::Forward { .. }),
        // These got no 201, so MNS sends again what is genuine among them.
        Outcome::Refused | Outcome::Deferred | Outcome::Other => false,
    };
    let topic = row.record.attribute("TopicName").unwrap_or_default();
    is_sent && settings.selects(topic)
}
