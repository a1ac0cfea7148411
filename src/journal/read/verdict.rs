//! What was found in one file: counts, times, and what is wrong.

use std::collections::BTreeMap;

use crate::journal::read::parsed::{Kind, Parsed};

/// Records are made up to this long before they are written, side by side: the times of two may be
/// that much out of order.
const DISORDER_SECONDS: i64 = 10;
/// The same in minutes.
const DISORDER_MINUTES: i64 = 1;
/// Problems that are reported of one file.
pub(super) const PROBLEMS_MAX: usize = 20;

/// What was found in one file.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Records, or lines, whole or damaged.
    pub records: u64,
    /// Those that say that a notification was accepted; in the access log the lines with 201.
    pub accepted: u64,
    /// Those that say that it was on disk already.
    pub duplicates: u64,
    /// Those that say that it was refused by mistake and taken back.
    pub recovered: u64,
    /// Requests without their outcome before a start or at the end: a crash cut it off before it
    /// was acknowledged.
    pub without_outcome: u64,
    /// How often the time goes back: a clock that was set, or the end of summer time.
    pub set_back: u64,
    /// What is wrong: where it begins, and what it is. The first few.
    pub problems: Vec<(u64, String)>,
    /// All that is wrong.
    pub problems_count: u64,
    /// Bytes of an unfinished record at the end.
    pub torn_bytes: u64,
    /// How long the file was, in bytes.
    pub len: u64,
    /// Accepted notifications and duplicates, each answered 201, by the minute of their records:
    /// minutes since 1970, UTC in JSON and local in text. Both logs give the records of one push
    /// the same time, so what one lacks shows here.
    pub acknowledged: BTreeMap<i64, u64>,
    /// The minutes of the first record and of the latest one.
    pub minutes: Option<(i64, i64)>,
    /// Whether a minute is earlier than one before it, by more than the disorder of records: a
    /// clock was set back, summer time ended, or the zone or the format became another one. Records
    /// of different minutes then look alike.
    pub goes_back: bool,
    /// Whether the first record is that of a start.
    pub begins_with_start: bool,
    /// The offset of a last request whose outcome does not follow before the file ends.
    pub(super) pending_request: Option<u64>,
}

/// Whether a record of `minute` follows one of `latest` although it is older.
#[must_use]
pub fn goes_back(latest: i64, minute: i64) -> bool {
    minute.saturating_add(DISORDER_MINUTES) < latest
}

impl Verdict {
    /// Takes a file as finished, which a rotated one is: what its end lacks is damage, not a record
    /// on its way.
    pub fn finish(&mut self) {
        if let Some(request) = self.pending_request.take() {
            self.without_outcome = self.without_outcome.saturating_sub(1);
            self.complain(
                request,
                "it is a request, and its outcome is missing behind it".to_owned(),
            );
        }
        if self.torn_bytes > 0 {
            let offset = self.len.saturating_sub(self.torn_bytes);
            self.complain(
                offset,
                "its end is missing: the file ends within it".to_owned(),
            );
        }
    }

    pub(super) fn count(&mut self, seen: &Parsed, last_time: &mut Option<(bool, i64)>) {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        match seen.kind {
            Kind::Accepted | Kind::Line201 => add(&mut self.accepted),
            Kind::Duplicate => add(&mut self.duplicates),
            Kind::Recovered => add(&mut self.recovered),
            Kind::Request | Kind::Start | Kind::Other => {}
        }
        let (is_json, seconds) = seen.seconds;
        let minute = seconds.div_euclid(60);
        match seen.kind {
            Kind::Accepted | Kind::Line201 | Kind::Duplicate => {
                add(self.acknowledged.entry(minute).or_default());
            }
            Kind::Recovered | Kind::Request | Kind::Start | Kind::Other => {}
        }
        self.begins_with_start |= self.minutes.is_none() && seen.kind == Kind::Start;
        let (first, latest) = self.minutes.unwrap_or((minute, minute));
        self.goes_back |= goes_back(latest, minute);
        self.minutes = Some((first, latest.max(minute)));
        if let Some((was_json, before)) = *last_time
            && is_json == was_json
            && seconds.saturating_add(DISORDER_SECONDS) < before
        {
            add(&mut self.set_back);
        }
        *last_time = Some(seen.seconds);
    }

    /// Problems at the end of a run are found after later ones, so more are kept than are reported.
    pub(super) fn complain(&mut self, offset: u64, problem: String) {
        self.problems_count = self.problems_count.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX.saturating_mul(2) {
            self.problems.push((offset, problem));
        }
    }
}
