//! Which notifications a destination still lacks: looked for in the log, because a forwarder has
//! not read what is beyond its window.

use std::io;
use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::forward::Settings;
use crate::forward::reader::{CHUNK_BYTES, is_selected};
use crate::journal::{Chain, Event, Follower, Horizon, Row, Saved, Start};

/// The notifications after a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// How many there are, or at least how many.
    pub notifications: u64,
    /// When the oldest one was received.
    pub oldest: Option<Timestamp>,
    /// Whether all of the log was read.
    pub is_complete: bool,
}

impl Pending {
    /// Counts what a forwarder that continues at `saved` would send, chunk by chunk for as long as
    /// `goes_on`.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn count(
        chain: Chain,
        saved: Saved,
        settings: &Settings,
        zone: &TimeZone,
        goes_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let mut pending = Self {
            notifications: 0,
            oldest: None,
            is_complete: false,
        };
        pending.is_complete = read(chain, saved, settings, goes_on, |row| {
            if pending.notifications == 0 {
                let moments = row.time().and_then(|time| time.moments(zone));
                pending.oldest = moments.map(|(first, _)| first);
            }
            pending.notifications = pending.notifications.saturating_add(1);
            ControlFlow::Continue(())
        })?;
        Ok(pending)
    }
}

/// The oldest notification after a cursor.
#[derive(Debug)]
pub enum Oldest {
    /// Its row.
    Row(Box<Row>),
    /// All of the log was read, and nothing would be sent.
    Nothing,
    /// Not found in the part of the log that was read.
    Unknown,
}

impl Oldest {
    /// Looks for the first notification that a forwarder that continues at `saved` would send,
    /// chunk by chunk for as long as `goes_on`.
    ///
    /// # Errors
    /// A file cannot be opened or read.
    pub fn find(
        chain: Chain,
        saved: Saved,
        settings: &Settings,
        goes_on: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let mut found = None;
        let is_complete = read(chain, saved, settings, goes_on, |row| {
            found = Some(row);
            ControlFlow::Break(())
        })?;
        Ok(match found {
            Some(row) => Self::Row(row),
            None if is_complete => Self::Nothing,
            None => Self::Unknown,
        })
    }
}

/// Reads the log after `saved` and hands over each row of which something is sent, chunk by chunk
/// for as long as `goes_on`, and until `found` breaks. Returns whether all of the log was read.
fn read(
    chain: Chain,
    saved: Saved,
    settings: &Settings,
    goes_on: impl Fn() -> bool,
    mut found: impl FnMut(Box<Row>) -> ControlFlow<()>,
) -> io::Result<bool> {
    let start = Start::Saved(saved);
    let mut follower = Follower::new(chain, Horizon::FileEnd, start).reading(CHUNK_BYTES);
    while goes_on() {
        let polled = follower.poll()?;
        for event in polled.events {
            let Event::Row { row, .. } = event else {
                continue;
            };
            // Without an id it is not sent.
            if is_selected(settings, &row)
                && row.record.attribute("MessageId").is_some()
                && found(row).is_break()
            {
                return Ok(false);
            }
        }
        if polled.is_at_end {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Ack;
    use crate::forward::tests::support::{Act, FakeSink, Log, record, settings, unsynced, until};

    fn count(log: &Log, saved: Saved, settings: &Settings, goes_on: bool) -> Pending {
        let chain = log.source().chain();
        Pending::count(chain, saved, settings, &TimeZone::UTC, || goes_on).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_forwarder_would_send_is_counted_and_nothing_else() {
        let log = Log::new(unsynced());
        let sink = FakeSink::new(|_| Act::Store);
        let forwarder = log.start(settings(), &sink);
        log.accept(1..=2).await;
        until("both are delivered", || sink.0.ids().len() == 2).await;
        forwarder.stop().await;
        for record in [
            record("Duplicate", "orders", "M1"),
            record("Succeed", "others", "M3"),
            // Without an id.
            record("Succeed", "orders", "M4").replace("MessageId ", "Message-Id"),
            "[2026-11-24 10:00:00] [root] [WARNING] [receive.rs:3] [1] Access Forbidden!\n\n"
                .to_owned(),
        ] {
            log.write(record).await;
        }
        log.accept(5..=7).await;
        let progress = log.source().cursor(&settings()).load().unwrap().unwrap();
        let saved = || progress.saved.clone();
        let oldest = Some("2026-11-24T10:00:00Z".parse().unwrap());
        let pending = |notifications| Pending {
            notifications,
            oldest,
            is_complete: true,
        };
        assert_eq!(count(&log, saved(), &settings(), true), pending(4));
        let orders = Settings {
            topics: vec!["orders".to_owned()],
            ..settings()
        };
        assert_eq!(count(&log, saved(), &orders, true), pending(3));
        let with_repeats = Settings {
            ack: Ack::Forward {
                timeout: std::time::Duration::from_secs(2),
            },
            ..orders
        };
        assert_eq!(count(&log, saved(), &with_repeats, true), pending(4));
        let stopped = count(&log, saved(), &settings(), false);
        assert_eq!((stopped.notifications, stopped.is_complete), (0, false));
        // As the forwarder itself sees it.
        let sink = FakeSink::new(|_| Act::Store);
        let forwarder = log.start(settings(), &sink);
        until("all are delivered", || sink.0.ids().len() == 4).await;
        forwarder.stop().await;
        let progress = log.source().cursor(&settings()).load().unwrap().unwrap();
        let none = count(&log, progress.saved, &settings(), true);
        assert_eq!((none.notifications, none.oldest), (0, None));
    }
}
