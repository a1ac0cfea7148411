//! Limits how much refusals may write in a second, so that no stranger can fill the disk or rotate
//! genuine records away.
//!
//! Beyond the rate, or while space is low, a refusal leaves only its access line. Beyond the budget
//! for access lines, or while space is scarce, it leaves nothing. Once a second, one record and one
//! access line say how many were left out.
//!
//! Requests that MNS signed have separate budgets, which strangers cannot use up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::quarantine::Provenance;

/// How many bytes a refusal may write besides its body, on average over the refusals of a second.
const HEAD_BYTES: u64 = 16 * 1024;

/// What the refusals of strangers may write in a second. The same limits apply, separately, to
/// refusals of signed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedLimits {
    /// How many refusals are logged in full; `None` for no limit.
    pub records: Option<u64>,
    /// How many bytes of each body are logged.
    pub body_bytes: usize,
    /// How many bytes of access lines they may write; `None` for no limit.
    pub line_bytes: Option<u64>,
}

/// Counts what refusals have written in the current second. A peer chooses how large its requests
/// are, so both requests and bytes are counted.
#[derive(Debug)]
pub struct RefusedRate {
    records: Option<u64>,
    record_bytes: Option<u64>,
    line_bytes: Option<u64>,
    signed: Spent,
    unsigned: Spent,
    pub(super) records_left_out: LeftOut,
    pub(super) lines_left_out: LeftOut,
}

/// What the refusals of one [`Provenance`] have written in the current second.
#[derive(Debug, Default)]
struct Spent {
    records: AtomicU64,
    record_bytes: AtomicU64,
    kept_bytes: AtomicU64,
    line_bytes: AtomicU64,
}

/// How many refusals were left out, since the last summary and since the start.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    since_summary: AtomicU64,
    since_start: AtomicU64,
}

impl RefusedRate {
    /// Creates budgets of which nothing is used.
    #[must_use]
    pub fn new(limits: RefusedLimits) -> Self {
        let bytes_each = u64::try_from(limits.body_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(HEAD_BYTES);
        Self {
            records: limits.records,
            record_bytes: limits
                .records
                .map(|records| records.saturating_mul(bytes_each)),
            line_bytes: limits.line_bytes,
            signed: Spent::default(),
            unsigned: Spent::default(),
            records_left_out: LeftOut::default(),
            lines_left_out: LeftOut::default(),
        }
    }

    /// Whether one more refusal may be logged in full. If not, counts it as left out.
    pub(super) fn admits(&self, provenance: Provenance, is_space_low: bool) -> bool {
        let is_admitted = spend(&self.spent(provenance).records, 1, self.records) && !is_space_low;
        self.records_left_out.count_unless(is_admitted)
    }

    /// Whether the record of an admitted refusal, which has this size, may be logged. If not,
    /// counts it as left out.
    pub(super) fn admits_bytes(&self, provenance: Provenance, bytes: usize) -> bool {
        let is_admitted = spend(
            &self.spent(provenance).record_bytes,
            bytes,
            self.record_bytes,
        );
        self.records_left_out.count_unless(is_admitted)
    }

    /// Whether a request of this size may be quarantined. The limit in bytes a second
    /// is that of the records, but the bytes are counted separately.
    pub(super) fn admits_kept_bytes(&self, provenance: Provenance, bytes: usize) -> bool {
        spend(&self.spent(provenance).kept_bytes, bytes, self.record_bytes)
    }

    /// Whether an access line of this size may be logged. If not, counts it as left out.
    pub(super) fn admits_line(&self, provenance: Provenance, bytes: usize) -> bool {
        let is_admitted = spend(&self.spent(provenance).line_bytes, bytes, self.line_bytes);
        self.lines_left_out.count_unless(is_admitted)
    }

    /// Counts an access line that is left out without being built.
    pub(super) fn leave_line_out(&self) {
        self.lines_left_out.count_unless(false);
    }

    /// How many refusals left no record, since the start.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.records_left_out.since_start.load(Ordering::Relaxed)
    }

    /// How many refusals left no access line, since the start.
    #[must_use]
    pub fn lines_left_out(&self) -> u64 {
        self.lines_left_out.since_start.load(Ordering::Relaxed)
    }

    fn spent(&self, provenance: Provenance) -> &Spent {
        match provenance {
            Provenance::Signed => &self.signed,
            Provenance::Unsigned => &self.unsigned,
        }
    }

    pub(super) fn begin_second(&self) {
        for spent in [&self.signed, &self.unsigned] {
            for count in [
                &spent.records,
                &spent.record_bytes,
                &spent.kept_bytes,
                &spent.line_bytes,
            ] {
                // Bytes spent at the same time may count in either second, which is close enough
                // here.
                count.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Takes `amount` from a budget, and returns whether the budget had anything left before. A record
/// that starts within the budget is written whole, so the records of a second can exceed the budget
/// by the last of them.
fn spend<T: TryInto<u64>>(spent: &AtomicU64, amount: T, max: Option<u64>) -> bool {
    let before = spent.fetch_add(amount.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    max.is_none_or(|max| before < max)
}

impl LeftOut {
    fn count_unless(&self, is_admitted: bool) -> bool {
        let left_out = u64::from(!is_admitted);
        self.since_summary.fetch_add(left_out, Ordering::Relaxed);
        self.since_start.fetch_add(left_out, Ordering::Relaxed);
        is_admitted
    }

    pub(super) fn take(&self) -> u64 {
        self.since_summary.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Provenance; 2] = [Provenance::Unsigned, Provenance::Signed];

    fn rate(records: Option<u64>, line_bytes: Option<u64>) -> RefusedRate {
        RefusedRate::new(RefusedLimits {
            records,
            body_bytes: 4096,
            line_bytes,
        })
    }

    #[test]
    fn so_many_a_second_are_logged_in_full_and_the_others_counted() {
        let rate = rate(Some(2), None);
        let stranger = Provenance::Unsigned;
        let admitted = || rate.admits(stranger, false);
        assert_eq!([admitted(), admitted(), admitted()], [true, true, false]);
        rate.begin_second();
        assert_eq!(
            (rate.records_left_out.take(), rate.records_left_out.take()),
            (1, 0)
        );
        assert!(
            rate.admits(stranger, false),
            "the next second has a budget of its own"
        );
        assert!(!rate.admits(stranger, true), "none while space is low");
        assert_eq!(rate.records_left_out.take(), 1);
        assert_eq!(rate.left_out(), 2, "a summary takes nothing away");
        // Two records, each with its body and `HEAD_BYTES`.
        let bytes_max = 2 * (4096 + 16 * 1024);
        assert!(rate.admits_bytes(stranger, bytes_max) && !rate.admits_bytes(stranger, 1));
        rate.begin_second();
        assert_eq!(rate.records_left_out.take(), 1);
        assert!(rate.admits_bytes(stranger, 1));
        assert!((0..1000).all(|_| self::rate(None, None).admits(stranger, false)));
        assert!(!self::rate(Some(0), None).admits(stranger, false));
    }

    #[test]
    fn access_lines_have_so_many_bytes_a_second_and_the_others_are_counted() {
        let rate = rate(None, Some(100));
        let admitted = |bytes| rate.admits_line(Provenance::Unsigned, bytes);
        assert_eq!(
            [admitted(99), admitted(50), admitted(1)],
            [true, true, false]
        );
        rate.leave_line_out();
        rate.begin_second();
        assert!(admitted(1));
        assert_eq!((rate.lines_left_out.take(), rate.lines_left_out()), (2, 2));
        assert_eq!(rate.left_out(), 0, "their records are logged");
        assert!((0..1000).all(|_| self::rate(None, None).admits_line(Provenance::Unsigned, 1000)));
        assert!(!self::rate(None, Some(0)).admits_line(Provenance::Unsigned, 1));
    }

    #[test]
    fn strangers_spend_nothing_of_what_mns_signed_has() {
        type Spends = fn(&RefusedRate, Provenance, usize) -> bool;
        let budgets: [Spends; 4] = [
            |rate, provenance, _bytes| rate.admits(provenance, false),
            RefusedRate::admits_bytes,
            RefusedRate::admits_kept_bytes,
            RefusedRate::admits_line,
        ];
        let bytes_max = 4096 + 16 * 1024;
        for (number, spends) in budgets.iter().enumerate() {
            let rate = rate(Some(1), Some(1));
            for provenance in BOTH {
                let spent = [
                    spends(&rate, provenance, bytes_max),
                    spends(&rate, provenance, 1),
                ];
                assert_eq!(spent, [true, false], "budget {number} of {provenance:?}");
            }
        }
    }
}
