//! The result of checking one file: counts, times and problems.

use std::collections::BTreeMap;

use crate::journal::read::parsed::{Kind, Parsed};

/// How many seconds may pass between the building of a record and its writing. Records are built in
/// parallel, so the times of two records may be out of order by that much.
const DISORDER_SECONDS: i64 = 10;
/// [`DISORDER_SECONDS`] in whole minutes, rounded up.
const DISORDER_MINUTES: i64 = 1;
/// The maximum number of problems that are reported for one file.
pub(super) const PROBLEMS_MAX: usize = 20;

/// The result of checking one file.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The number of records or lines, complete or damaged.
    pub records: u64,
    /// Records that accept a notification; in the access log, lines with 201.
    pub accepted: u64,
    /// Records of notifications that were on disk already.
    pub duplicates: u64,
    /// Records of notifications that were refused by mistake and recovered.
    pub recovered: u64,
    /// Requests that have no outcome and precede a start, a recovered record or the end of the
    /// file: a crash cut the outcome off before the request was acknowledged.
    pub without_outcome: u64,
    /// How many times the time goes back: a clock was set, or summer time ended.
    pub set_back: u64,
    /// The first problems: the offset and the description.
    pub problems: Vec<(u64, String)>,
    /// The number of all problems.
    pub problems_count: u64,
    /// The number of bytes of an incomplete record at the end.
    pub torn_bytes: u64,
    /// The length of the file, in bytes.
    pub len: u64,
    /// The number of records of accepted notifications and of duplicates (in the access log, of
    /// lines with 201) in each minute. The minutes count from 1970, in UTC for JSON and in local
    /// time for text. Both logs give the records of a push the same time, so if the two logs have
    /// different numbers for a minute, one of them lacks records.
    pub acknowledged: BTreeMap<i64, u64>,
    /// The minutes of the first and of the latest record.
    pub minutes: Option<(i64, i64)>,
    /// Whether the time of a record goes back further than the usual disorder of records: a clock
    /// was set back, summer time ended, or the zone or the format has changed. Records of different
    /// times may then count for the same minute.
    pub goes_back: bool,
    /// Whether the first record is a start.
    pub begins_with_start: bool,
    /// The offset of the last request, if the file ends before its outcome.
    pub(super) pending_request: Option<u64>,
}

/// Whether `minute` is earlier than `latest` by more than the usual disorder of records.
#[must_use]
pub fn goes_back(latest: i64, minute: i64) -> bool {
    minute.saturating_add(DISORDER_MINUTES) < latest
}

impl Verdict {
    /// Treats the file as finished, as a rotated one is: an incomplete record at its end is then
    /// damage, because nobody is still writing that record.
    pub fn finish(&mut self) {
        if let Some(request) = self.pending_request.take() {
            self.without_outcome = self.without_outcome.saturating_sub(1);
            self.complain(
                request,
                "it is a request, but its outcome does not follow".to_owned(),
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
            // Text has local time and JSON has UTC, so only times of one format can be compared.
            && is_json == was_json
            && seconds.saturating_add(DISORDER_SECONDS) < before
        {
            add(&mut self.set_back);
        }
        *last_time = Some(seen.seconds);
    }

    /// Adds a problem. Keeps more problems than are reported: those with the smallest offsets are
    /// reported, and some of these are found late, at the record of the next start of `serve` or at
    /// the end of the file.
    pub(super) fn complain(&mut self, offset: u64, problem: String) {
        self.problems_count = self.problems_count.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX.saturating_mul(2) {
            self.problems.push((offset, problem));
        }
    }
}
