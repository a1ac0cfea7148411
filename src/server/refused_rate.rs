//! How many refusals are logged in full, so that no stranger fills the disk or rotates the genuine records away.
//!
//! Beyond the rate, and while space is low, a refusal leaves its access line only; once a second one record tells how
//! many there were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::{Entry, Level, Place, Record, Stamp};
use crate::quarantine::Standing;
use crate::server::Endpoint;

const SECOND: Duration = Duration::from_secs(1);
const HINT: &str = "more than logs.refused_rate came in a second, or less space is free than logs.low_water: the access log has a line for each, but while less than a quarter of logs.low_water is free";

/// What a refusal's head may take beside `refused_body`, on average over those of a second, in bytes.
const HEAD_BYTES: u64 = 16 * 1024;

/// Counts the refusals of the second at hand, and their bytes: a peer chooses how large they are.
#[derive(Debug)]
pub struct RefusedRate {
    per_second: Option<u64>,
    bytes_each: u64,
    this_second: AtomicU64,
    bytes_this_second: AtomicU64,
    kept_bytes_this_second: [AtomicU64; 2],
    /// Since the last summary.
    left_out: AtomicU64,
    left_out_ever: AtomicU64,
}

impl RefusedRate {
    /// So many are logged in full each second; `None` knows no bound.
    #[must_use]
    pub fn new(per_second: Option<u64>, refused_body_bytes: usize) -> Self {
        Self {
            per_second,
            bytes_each: u64::try_from(refused_body_bytes).unwrap_or(u64::MAX).saturating_add(HEAD_BYTES),
            this_second: AtomicU64::new(0),
            bytes_this_second: AtomicU64::new(0),
            kept_bytes_this_second: Default::default(),
            left_out: AtomicU64::new(0),
            left_out_ever: AtomicU64::new(0),
        }
    }

    /// Whether one more may be logged in full; if not it is counted.
    pub(super) fn admits(&self, is_space_low: bool) -> bool {
        let before = self.this_second.fetch_add(1, Ordering::Relaxed);
        let is_admitted = !is_space_low && self.per_second.is_none_or(|max| before < max);
        self.count(is_admitted);
        is_admitted
    }

    /// How many left their access line only.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out_ever.load(Ordering::Relaxed)
    }

    /// Whether a record of that size may be logged as well; if not it is counted.
    pub(super) fn admits_bytes(&self, bytes: usize) -> bool {
        let is_admitted = self.has_room_in(&self.bytes_this_second, bytes);
        self.count(is_admitted);
        is_admitted
    }

    /// Whether a request of that size may be kept as well: as many bytes a second as of records, and as many again of
    /// those that MNS signed.
    pub(super) fn admits_kept_bytes(&self, standing: Standing, bytes: usize) -> bool {
        let [genuine, unproved] = &self.kept_bytes_this_second;
        match standing {
            Standing::Genuine => self.has_room_in(genuine, bytes),
            Standing::Unproved => self.has_room_in(unproved, bytes),
        }
    }

    fn has_room_in(&self, this_second: &AtomicU64, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let before = this_second.fetch_add(bytes, Ordering::Relaxed);
        self.per_second.is_none_or(|max| before < max.saturating_mul(self.bytes_each))
    }

    fn count(&self, is_admitted: bool) {
        let left_out = u64::from(!is_admitted);
        self.left_out.fetch_add(left_out, Ordering::Relaxed);
        self.left_out_ever.fetch_add(left_out, Ordering::Relaxed);
    }

    fn begin_second(&self) {
        self.this_second.store(0, Ordering::Relaxed);
        self.bytes_this_second.store(0, Ordering::Relaxed);
        self.kept_bytes_this_second.iter().for_each(|bytes| bytes.store(0, Ordering::Relaxed));
    }

    /// Begins the next second; gives how many were left out since this was asked last.
    fn turn(&self) -> u64 {
        self.begin_second();
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

impl Endpoint {
    /// Begins the next second of [`RefusedRate`], and logs what was left out in the last one.
    pub fn tell_left_out(&self) {
        // What space is left is for pushes only: they are told once there is more.
        if self.journal.is_scarce() {
            return self.refused.begin_second();
        }
        let count = self.refused.turn();
        if count == 0 {
            return;
        }
        let (count, stamp) = (count.to_string(), Stamp::new(self.clock.now(), &self.zone));
        let record = Record {
            stamp: &stamp,
            level: Level::Warning,
            place: Place::LeftOut,
            title: Some("Refusals Left Out!"),
            attributes: &[("Count", count.as_bytes()), ("Hint", HINT.as_bytes())],
            request: None,
        };
        let mut entry = Entry::default();
        record.write(&mut entry.endpoint, self.settings.format);
        self.journal.note(entry);
    }
}

/// Calls [`Endpoint::tell_left_out`] once a second until the stop.
pub async fn tell_left_out_each_second(endpoint: Arc<Endpoint>, stop: CancellationToken) {
    let mut second = tokio::time::interval(SECOND);
    while stop.run_until_cancelled(second.tick()).await.is_some() {
        endpoint.tell_left_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_are_logged_in_full_and_the_others_counted() {
        let rate = RefusedRate::new(Some(2), 4096);
        assert_eq!([rate.admits(false), rate.admits(false), rate.admits(false)], [true, true, false]);
        assert_eq!((rate.turn(), rate.turn()), (1, 0));
        assert!(rate.admits(false), "the next second begins anew");
        assert!(!rate.admits(true), "none while space is low");
        assert_eq!(rate.turn(), 1);
        assert_eq!(rate.left_out(), 2, "a summary takes nothing away");
        let bytes_max = 2 * (4096 + 16 * 1024);
        assert!(rate.admits_bytes(bytes_max) && !rate.admits_bytes(1));
        assert_eq!(rate.turn(), 1);
        assert!(rate.admits_bytes(1));
        for standing in [Standing::Unproved, Standing::Genuine] {
            let kept = |bytes| rate.admits_kept_bytes(standing, bytes);
            assert!(kept(bytes_max) && !kept(1), "on their own");
        }
        assert_eq!(rate.turn(), 0, "their records are logged");
        assert!(rate.admits_kept_bytes(Standing::Genuine, 1));
        assert!((0..1000).all(|_| RefusedRate::new(None, 0).admits(false)));
        assert!(!RefusedRate::new(Some(0), 0).admits(false));
    }
}
