//! Retention: decides from which time the age of files is counted, so that a clock jump deletes
//! nothing.
//!
//! The wall clock alone proves no age: if it is 30 days ahead, every file looks old. So a time is
//! trusted only if the signed Date of a verified push proves it, or once the wall clock and the
//! monotonic clock have agreed for [`AGREE_FOR`].

use std::time::{Duration, Instant, SystemTime};

use crate::journal::logs::age::old_before;

/// How far a Date may be from our clock and still prove anything: MNS retries a push for up to a
/// day, and a retry may have the Date of the first attempt.
const DATE_WITHIN: Duration = Duration::from_secs(25 * 3600);
/// How long the clocks must agree without a Date. If `logs.keep` is shorter, that time is enough:
/// whatever the clock said before, a file from before the agreement is by then really older than
/// `logs.keep`.
const AGREE_FOR: Duration = Duration::from_secs(3600);
/// How far the clocks may drift apart between two checks, which are a second apart. More is a jump.
const STEP_MAX: Duration = Duration::from_secs(10);

/// What is known of the time of day.
#[derive(Debug)]
pub(in crate::journal) struct Retention {
    keep: Duration,
    /// When the newest of the rotated files that existed at the start was last written. Files that
    /// this process writes carry the time of its own clock, so they prove nothing.
    newest: Option<SystemTime>,
    /// The latest trusted Date, and when it arrived. At its arrival the true time was the Date or
    /// later.
    proved: Option<(SystemTime, Instant)>,
    /// Since when both clocks have agreed.
    agreed_since: Instant,
    has_jumped: bool,
    last: (SystemTime, Instant),
}

impl Retention {
    /// Files are kept for `keep`; `newest` is when the newest rotated file was last written.
    pub(in crate::journal) fn new(
        keep: Duration,
        newest: Option<SystemTime>,
        wall: SystemTime,
        now: Instant,
    ) -> Self {
        Self {
            keep,
            newest,
            proved: None,
            agreed_since: now,
            has_jumped: false,
            last: (wall, now),
        }
    }

    /// Compares the clocks. Returns the size of a jump, if there was one.
    pub(in crate::journal) fn look(&mut self, wall: SystemTime, now: Instant) -> Option<Duration> {
        let (last_wall, last_now) = std::mem::replace(&mut self.last, (wall, now));
        let expected = last_wall.checked_add(now.saturating_duration_since(last_now))?;
        let jump = distance(wall, expected);
        if jump <= STEP_MAX {
            return None;
        }
        (self.has_jumped, self.agreed_since) = (true, now);
        Some(jump)
    }

    /// Takes the Date of a verified push. Returns `true` if it is the first that proves the time.
    pub(in crate::journal) fn confirm(
        &mut self,
        date: SystemTime,
        wall: SystemTime,
        now: Instant,
    ) -> bool {
        let is_first = self.proved.is_none();
        if distance(date, wall) > DATE_WITHIN
            || self.proved_by(now).is_some_and(|proved| proved >= date)
        {
            // An earlier Date proves less than what is known already, and one far from the clock
            // proves nothing.
            return false;
        }
        self.proved = Some((date, now));
        is_first
    }

    /// Files that were last written before this time are to be deleted. `None` while the time of
    /// day is not known.
    pub(in crate::journal) fn before(&self, wall: SystemTime, now: Instant) -> Option<SystemTime> {
        let has_agreed =
            now.saturating_duration_since(self.agreed_since) >= AGREE_FOR.min(self.keep);
        let time = match self.proved_by(now) {
            // Take the earlier of the two: if one of them is wrong, files are kept for longer, and
            // none is deleted too early.
            Some(proved) => proved.min(wall),
            None if has_agreed => wall,
            None if self.has_jumped => return None,
            // Nothing proves the time yet, except that it is later than the newest rotated file.
            None => self.newest?.min(wall),
        };
        old_before(time, self.keep)
    }

    /// The interval between searches for old files: `keep`, but at most `most`.
    pub(in crate::journal) fn every(&self, most: Duration) -> Duration {
        // At least a second, which is how often the writer looks for due work.
        self.keep.clamp(Duration::from_secs(1), most)
    }

    /// A lower bound of the time of day.
    fn proved_by(&self, now: Instant) -> Option<SystemTime> {
        let (date, came) = self.proved?;
        date.checked_add(now.saturating_duration_since(came))
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|ahead| ahead.duration())
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    /// A process: its retention, and both clocks as they are now.
    struct Run {
        retention: Retention,
        started: Instant,
        wall: SystemTime,
        now: Instant,
    }

    impl Run {
        fn start(keep: Duration, wall: SystemTime, newest: Option<SystemTime>) -> Self {
            let started = Instant::now();
            Self {
                retention: Retention::new(keep, newest, wall, started),
                started,
                wall,
                now: started,
            }
        }

        /// Checks the clocks each minute while both advance.
        fn go_on(&mut self, span: Duration) {
            let end = self.now + span;
            while self.now < end {
                let step = Duration::from_secs(60).min(end - self.now);
                (self.wall, self.now) = (self.wall + step, self.now + step);
                assert_eq!(self.retention.look(self.wall, self.now), None);
            }
        }

        fn jump(&mut self, span: Duration) {
            self.wall += span;
            assert_eq!(self.retention.look(self.wall, self.now), Some(span));
        }

        fn before(&self) -> Option<SystemTime> {
            self.retention.before(self.wall, self.now)
        }

        fn confirm(&mut self, date: SystemTime) -> bool {
            self.retention.confirm(date, self.wall, self.now)
        }
    }

    fn truth() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    #[test]
    fn with_the_clock_ahead_age_counts_from_the_newest_file_until_the_clocks_agree() {
        let mut run = Run::start(WEEK, truth() + DAY * 30, Some(truth() - HOUR));
        assert_eq!(run.before(), Some(truth() - HOUR - WEEK));
        run.go_on(HOUR - Duration::from_secs(1));
        assert_eq!(run.before(), Some(truth() - HOUR - WEEK));
        // A Date of today is a month old by this clock: it proves nothing, and does no harm.
        assert!(!run.confirm(truth()));
        run.go_on(Duration::from_secs(1));
        assert_eq!(run.before(), Some(run.wall - WEEK));
        // Without a rotated file there is nothing to delete.
        assert_eq!(Run::start(WEEK, truth(), None).before(), None);
        // A file from the future does not make the others older.
        assert_eq!(
            Run::start(WEEK, truth(), Some(truth() + DAY * 30)).before(),
            Some(truth() - WEEK)
        );
    }

    #[test]
    fn a_date_proves_the_time_whatever_the_clock_does_afterwards() {
        let mut run = Run::start(WEEK, truth(), Some(truth() - DAY * 40));
        assert!(run.confirm(truth() - HOUR));
        assert_eq!(run.before(), Some(truth() - HOUR - WEEK));
        assert!(!run.confirm(truth()), "known already");
        assert!(!run.confirm(truth() - DAY), "a later Date is known");
        assert_eq!(run.before(), Some(truth() - WEEK));
        for jump in [DAY * 30, DAY * 365] {
            run.jump(jump);
            run.go_on(HOUR * 2);
            assert!(run.before().unwrap() <= truth() + HOUR * 4 - WEEK);
        }
        // A Date that is older than a day and an hour proves nothing.
        let mut late = Run::start(WEEK, truth(), None);
        assert!(!late.confirm(truth() - HOUR * 25 - Duration::from_secs(1)));
        assert!(late.confirm(truth() - HOUR * 25));
        assert_eq!(late.before(), Some(truth() - HOUR * 25 - WEEK));
    }

    #[test]
    fn after_a_jump_nothing_is_deleted_for_an_hour_unless_a_date_proves_the_time() {
        // Far beyond `STEP_MAX`, and just beyond it.
        for jump in [DAY, Duration::from_secs(11)] {
            let mut run = Run::start(WEEK, truth(), Some(truth()));
            run.go_on(HOUR * 3);
            assert_eq!(run.before(), Some(run.wall - WEEK));
            run.jump(jump);
            assert_eq!(run.before(), None);
            run.go_on(HOUR - Duration::from_secs(1));
            assert_eq!(run.before(), None);
            run.jump(jump);
            run.go_on(HOUR - Duration::from_secs(1));
            assert_eq!(run.before(), None, "each jump begins the hour");
            let date = run.wall;
            assert!(run.confirm(date));
            assert_eq!(run.before(), Some(date - WEEK));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_or_slightly_corrected_deletes_nothing_early() {
        let mut run = Run::start(WEEK, truth(), Some(truth()));
        // Less than `STEP_MAX`: a correction, and not a jump.
        run.wall += Duration::from_secs(9);
        assert_eq!(run.retention.look(run.wall, run.now), None);
        run.wall -= DAY;
        assert_eq!(run.retention.look(run.wall, run.now), Some(DAY));
        assert!(run.confirm(truth()));
        assert_eq!(run.before(), Some(run.wall - WEEK), "the earlier of both");
    }

    #[test]
    fn a_short_keep_needs_no_hour() {
        let second = Duration::from_secs(1);
        let mut run = Run::start(second, truth(), Some(truth()));
        assert_eq!(run.before(), Some(truth() - second));
        run.go_on(second);
        assert_eq!(run.before(), Some(truth()));
        assert_eq!(run.retention.every(DAY), second);
        assert_eq!(Run::start(WEEK, truth(), None).retention.every(HOUR), HOUR);
        assert!(run.started < run.now);
    }
}
