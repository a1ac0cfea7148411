//! Compares the two logs minute by minute: the access log must have as many lines with 201 as the
//! endpoint log has outcomes.
//!
//! The endpoint log is written before the access line, and both get the same timestamp. So a line
//! without an outcome means that the endpoint log has lost a push that was answered 201. The
//! reverse is also what a crash leaves.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::command::counted::counted;
use crate::journal::{Verdict, goes_back};

/// A file between two others was left out or is missing.
const GAP: &str = "a file between others was left out or is missing";
/// The clock was set back, summer time ended, or the time zone or the format has changed.
const GOES_BACK: &str = "their times go back, so two different minutes may look the same";

/// The contents of one log, across all its files.
#[derive(Default)]
pub(super) struct History {
    acknowledged: BTreeMap<i64, u64>,
    minutes: Option<(i64, i64)>,
    begins_with_start: bool,
    /// The number of the last rotated file that was read.
    last_number: Option<u64>,
    /// Why it cannot be compared.
    obstacle: Option<&'static str>,
    /// Whether the live file was read.
    has_live: bool,
    /// Whether records were written while the log was read.
    pub(super) is_growing: bool,
}

/// The result of the comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Minutes that both logs cover completely and in which something was answered 201.
    pub(super) minutes: u64,
    /// Lines with 201 that have no outcome in the endpoint log.
    pub(super) without_outcome: u64,
    /// Outcomes that have no line in the access log.
    pub(super) without_line: u64,
    /// The first minute with a difference, in minutes since 1970.
    pub(super) first: Option<i64>,
    /// Why nothing was compared.
    pub(super) obstacle: Option<&'static str>,
}

impl History {
    /// Adds the next file. `number` is the number of a rotated file, and `None` for the live one.
    pub(super) fn add(&mut self, number: Option<u64>, verdict: &Verdict) {
        if let (Some(last), Some(number)) = (self.last_number, number) {
            self.obstacle = self
                .obstacle
                .or((last.checked_add(1) != Some(number)).then_some(GAP));
        }
        self.last_number = number.or(self.last_number);
        for (minute, count) in &verdict.acknowledged {
            let sum = self.acknowledged.entry(*minute).or_default();
            *sum = sum.saturating_add(*count);
        }
        let Some((first, latest)) = verdict.minutes else {
            return;
        };
        // Only the first file decides: a start in a later one is an ordinary restart.
        self.begins_with_start |= self.minutes.is_none() && verdict.begins_with_start;
        let before = self.minutes;
        let (begin, end) = before.unwrap_or((first, latest));
        // A file that was live when the numbers were listed and was rotated since is read after its
        // successor, so its times may go back.
        let goes_back = verdict.goes_back
            || !self.has_live && before.is_some_and(|(_, end)| goes_back(end, first));
        self.obstacle = self.obstacle.or(goes_back.then_some(GOES_BACK));
        self.has_live |= number.is_none();
        self.minutes = Some((begin, end.max(latest)));
    }

    /// Notes that a file between two others is missing.
    pub(super) fn note_gap(&mut self) {
        self.obstacle = Some(GAP);
    }
}

/// Compares both logs in the minutes that both cover. Leaves out the first minute unless the
/// endpoint log begins with a start, and the last minute while records are being written, because
/// one of the logs may have only a part of it.
pub(super) fn compare(endpoint: &History, access: &History) -> Comparison {
    if let Some(obstacle) = endpoint.obstacle.or(access.obstacle) {
        return Comparison::without(obstacle);
    }
    let mut found = Comparison::default();
    let (Some((begin, end)), Some((access_begin, access_end))) = (endpoint.minutes, access.minutes)
    else {
        found.obstacle = Some("a log has no record");
        return found;
    };
    let is_whole = endpoint.begins_with_start && access_begin >= begin;
    let begin = if is_whole {
        begin
    } else {
        begin.max(access_begin).saturating_add(1)
    };
    let is_growing = endpoint.is_growing || access.is_growing;
    let end = if is_growing {
        end.min(access_end).saturating_sub(1)
    } else {
        // Nobody writes, so both logs are complete: a line that one of them lacks at its end is
        // missing.
        end.max(access_end)
    };
    if begin > end {
        found.obstacle = Some("they have no whole minute in common");
        return found;
    }
    let count = |history: &History, minute| {
        history
            .acknowledged
            .get(&minute)
            .copied()
            .unwrap_or_default()
    };
    let mut minutes: Vec<i64> = [endpoint, access]
        .into_iter()
        .flat_map(|history| history.acknowledged.range(begin..=end))
        .map(|(minute, _)| *minute)
        .collect();
    minutes.sort_unstable();
    minutes.dedup();
    for minute in minutes {
        let (outcomes, lines) = (count(endpoint, minute), count(access, minute));
        found.minutes = found.minutes.saturating_add(1);
        found.without_outcome = found
            .without_outcome
            .saturating_add(lines.saturating_sub(outcomes));
        found.without_line = found
            .without_line
            .saturating_add(outcomes.saturating_sub(lines));
        found.first = found.first.or((lines != outcomes).then_some(minute));
    }
    found
}

impl Comparison {
    /// The result if nothing could be compared.
    pub(super) fn without(obstacle: &'static str) -> Self {
        Self {
            obstacle: Some(obstacle),
            ..Self::default()
        }
    }

    /// Whether the endpoint log has every push that was answered 201.
    pub(super) fn is_sound(&self) -> bool {
        // An outcome without a line is what a crash may leave, and no loss.
        self.without_outcome == 0
    }

    pub(super) fn lines(&self) -> Vec<String> {
        if let Some(obstacle) = self.obstacle {
            return vec![format!("both logs: not compared: {obstacle}")];
        }
        let Self {
            minutes,
            without_outcome,
            without_line,
            ..
        } = self;
        let compared = format!(
            "both logs: {} with pushes compared",
            counted(*minutes, "minute")
        );
        let Some(first) = self.first else {
            return vec![format!("{compared}, the same in both")];
        };
        let since = clock(first)
            .map(|time| format!(", first in the minute of {time}"))
            .unwrap_or_default();
        let mut lines = vec![compared];
        if *without_outcome > 0 {
            lines.push(format!(
                "both logs: {} of a 201 in the access log without an outcome in the endpoint \
                 log{since}: records are LOST or damaged",
                counted(*without_outcome, "line")
            ));
        }
        if *without_line > 0 {
            lines.push(format!(
                "both logs: {} in the endpoint log without a line in the access log{since}: a \
                 crash leaves that, or lines are lost",
                counted(*without_line, "outcome")
            ));
        }
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "minutes": self.minutes,
            "lines_without_outcome": self.without_outcome,
            "outcomes_without_line": self.without_line,
            "first_difference_seconds": self.first.map(|minute| minute.saturating_mul(60)),
            "not_compared": self.obstacle,
        })
    }
}

/// Formats a minute as in the logs.
fn clock(minute: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(minute.checked_mul(60)?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with these counts of pushes, in consecutive minutes from minute 100 on.
    fn history(counts: &[u64], begins_with_start: bool) -> History {
        let minutes = || (100..).zip(counts);
        let acknowledged = minutes()
            .map(|(minute, count)| (minute, *count))
            .filter(|(_, count)| *count > 0)
            .collect();
        let end = minutes().map(|(minute, _)| minute).last().unwrap();
        History {
            acknowledged,
            minutes: Some((100, end)),
            begins_with_start,
            ..History::default()
        }
    }

    fn differences(endpoint: &History, access: &History) -> (u64, u64) {
        let found = compare(endpoint, access);
        assert_eq!(found.obstacle, None);
        (found.without_outcome, found.without_line)
    }

    #[test]
    fn what_one_log_lacks_is_counted_in_the_minutes_that_both_cover() {
        let access = history(&[3, 5, 0, 2], false);
        for (counts, begins_with_start, expected) in [
            ([3, 5, 0, 2], true, (0, 0)),
            ([3, 4, 0, 2], true, (1, 0)),
            ([3, 5, 1, 2], true, (0, 1)),
            ([3, 4, 1, 1], true, (2, 1)),
            // The first minute is compared only if the log begins with a start.
            ([2, 5, 0, 2], false, (0, 0)),
            ([2, 5, 0, 2], true, (1, 0)),
            ([3, 5, 0, 1], false, (1, 0)),
        ] {
            assert_eq!(
                differences(&history(&counts, begins_with_start), &access),
                expected,
                "{counts:?}"
            );
        }
        // A record written while the files are read is not missing.
        let growing = History {
            is_growing: true,
            ..history(&[3, 5, 0, 2, 9], true)
        };
        assert_eq!(differences(&growing, &access), (0, 0));
        assert_eq!(
            differences(
                &History {
                    is_growing: false,
                    ..growing
                },
                &access
            ),
            (0, 9)
        );
    }

    #[test]
    fn nothing_is_compared_across_a_gap_or_without_a_common_minute() {
        let gap = History {
            obstacle: Some(GAP),
            ..history(&[1, 1], true)
        };
        assert!(compare(&gap, &history(&[1, 2], true)).obstacle.is_some());
        assert!(
            compare(&History::default(), &history(&[1, 2], true))
                .obstacle
                .is_some()
        );
        assert!(
            compare(&history(&[1], false), &history(&[2], false))
                .obstacle
                .is_some()
        );
        let at = |first, latest| {
            let mut verdict = Verdict::default();
            verdict.minutes = Some((first, latest));
            verdict
        };
        for (files, goes_back) in [
            // One minute back is within the disorder of records.
            (&[(Some(1), 100, 110), (None, 109, 120)][..], false),
            (&[(Some(1), 100, 110), (None, 108, 120)], true),
            // Rotated while the first file was read.
            (
                &[(Some(1), 100, 110), (None, 130, 140), (Some(2), 110, 130)],
                false,
            ),
        ] {
            let mut log = History::default();
            files
                .iter()
                .for_each(|(number, first, latest)| log.add(*number, &at(*first, *latest)));
            assert_eq!(log.obstacle, goes_back.then_some(GOES_BACK), "{files:?}");
        }
        let mut with_gap = History::default();
        for number in [Some(3), Some(4), None] {
            with_gap.add(number, &Verdict::default());
        }
        assert_eq!(with_gap.obstacle, None);
        with_gap.add(Some(6), &Verdict::default());
        assert_eq!(with_gap.obstacle, Some(GAP));
    }
}
