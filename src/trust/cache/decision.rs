//! The decision about a request for a certificate, made without a clock, a lock or a runtime.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::trust::cache::fetch::{Fetch, FetchState};
use crate::trust::certificate::SigningCertificate;
use crate::trust::source::FetchError;

/// How long later requests get the error of a failed fetch instead of a new fetch.
pub(super) const FAILURE_REMEMBERED: Duration = Duration::from_secs(2);
/// The minimum time between two renewals of an address.
pub(super) const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// Why a certificate is requested.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To check a signature.
    Verify,
    /// To replace this certificate, which a signature did not match: MNS may have changed the key
    /// at the address.
    Renew(&'a Arc<SigningCertificate>),
}

/// Everything that a decision about one address depends on, except purpose and time.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The cached certificate.
    pub(super) cached: Option<Arc<SigningCertificate>>,
    /// Whether the address is known: MNS's own, or one that has verified a push.
    pub(super) is_known: bool,
    /// The fetches of the address.
    pub(super) fetches: &'a FetchState,
}

/// What to do about the request.
#[derive(Debug)]
pub(super) enum Decision {
    /// Answer with this certificate. A renewal gets its unfit certificate back if it is too early
    /// to fetch again.
    Use(Arc<SigningCertificate>),
    /// Wait for the fetch that is under way.
    Join(Fetch),
    /// Start a fetch, once it is paid for.
    Fetch(Payment),
    /// Answer with the error of the last fetch.
    Answer(FetchError),
}

/// What the asker pays for a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payment {
    /// Nothing: the address is known, or a peer paid when the address was added to the cache.
    Free,
    /// One fetch of the budget. If the budget is used up, the answer is `otherwise`.
    Due {
        /// Why there is no certificate in that case.
        otherwise: FetchError,
    },
}

/// Decides what a request for a certificate leads to.
pub(super) fn decide(situation: Situation<'_>, purpose: Purpose<'_>, now: Instant) -> Decision {
    let Situation {
        cached,
        is_known,
        fetches,
    } = situation;
    let is_within = |pause, at: Instant| now.saturating_duration_since(at) < pause;
    let memory = fetches.memory();
    let failure = memory.and_then(|memory| memory.failure.as_ref());
    let fetch = fetches.fetch().cloned().map(Decision::Join);
    let early = match purpose {
        // The cached certificate comes first, so that a push which it can verify does not wait for
        // a renewal.
        Purpose::Verify => cached.map(Decision::Use).or(fetch).or_else(|| {
            failure
                .filter(|(at, _)| is_within(FAILURE_REMEMBERED, *at))
                .map(|(_, error)| Decision::Answer(error.clone()))
        }),
        // A fetch under way comes first: it brings a newer certificate than the cached one.
        Purpose::Renew(unfit) => fetch
            .or_else(|| {
                // Another request has renewed the certificate since this signature failed.
                cached
                    .filter(|cached| !Arc::ptr_eq(cached, unfit))
                    .map(Decision::Use)
            })
            .or_else(|| {
                memory
                    .and_then(|memory| memory.renewed_at)
                    .filter(|at| is_within(RENEWAL_PAUSE, *at))
                    // A failed renewal says nothing about the key. Answering with the unfit
                    // certificate would claim that the key is unchanged.
                    .map(|_| match failure {
                        Some((_, error)) => Decision::Answer(error.clone()),
                        None => Decision::Use(unfit.clone()),
                    })
            }),
    };
    early.unwrap_or_else(|| {
        Decision::Fetch(if is_known || matches!(fetches, FetchState::Paid) {
            Payment::Free
        } else {
            // Prefer the error of the last fetch: it is more specific than a used-up budget.
            let last = failure.map(|(_, error)| error.clone());
            Payment::Due {
                otherwise: last.unwrap_or(FetchError::OverBudget),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::cache::fetch::{FetchTask, Memory};
    use crate::trust::certificate::samples::{OLD, OTHER};

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// The states of the fetches, without their times.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fetches {
        Paid,
        Idle,
        Fetching,
        /// The task ended without a result.
        Abandoned,
    }

    /// A decision in a form that can be compared.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Outcome {
        UseCached,
        /// Returned by a renewal that comes too early.
        UseUnfit,
        Join,
        FetchFree,
        FetchDue(FetchError),
        Answer(FetchError),
    }

    /// A row of the table: the state, the purpose, and the ages of what is remembered.
    #[derive(Debug, Clone, Copy)]
    struct Row {
        fetches: Fetches,
        is_cached: bool,
        is_known: bool,
        /// `None` to verify. Otherwise whether the cached certificate is the unfit one.
        renewal: Option<bool>,
        failed_ago: Option<Duration>,
        renewed_ago: Option<Duration>,
    }

    fn down() -> FetchError {
        FetchError::Unreachable("down".to_owned())
    }

    impl Row {
        /// Every state, purpose and time.
        fn all() -> Vec<Self> {
            let ages = |limit: Duration| {
                let before = limit.saturating_sub(MILLISECOND);
                let after = limit.saturating_add(MILLISECOND);
                [
                    None,
                    Some(Duration::ZERO),
                    Some(before),
                    Some(limit),
                    Some(after),
                ]
            };
            let mut rows = Vec::new();
            for fetches in [
                Fetches::Paid,
                Fetches::Idle,
                Fetches::Fetching,
                Fetches::Abandoned,
            ] {
                for failed_ago in ages(FAILURE_REMEMBERED) {
                    for renewed_ago in ages(RENEWAL_PAUSE) {
                        for renewal in [None, Some(true), Some(false)] {
                            for (is_cached, is_known) in
                                [(false, false), (false, true), (true, false), (true, true)]
                            {
                                rows.push(Self {
                                    fetches,
                                    is_cached,
                                    is_known,
                                    renewal,
                                    failed_ago,
                                    renewed_ago,
                                });
                            }
                        }
                    }
                }
            }
            // In the state `Paid` the first fetch of the address has not begun yet, so nothing can
            // be remembered.
            rows.retain(|row| {
                row.fetches != Fetches::Paid || (row.failed_ago, row.renewed_ago) == (None, None)
            });
            rows
        }

        fn decide(self) -> Outcome {
            let [cached, other] =
                [OLD, OTHER].map(|pem| Arc::new(SigningCertificate::parse(pem).unwrap()));
            let begun = Instant::now();
            let now = begun.checked_add(RENEWAL_PAUSE.saturating_mul(2)).unwrap();
            let before = |ago| now.checked_sub(ago).unwrap();
            let memory = Memory {
                renewed_at: self.renewed_ago.map(before),
                failure: self.failed_ago.map(|ago| (before(ago), down())),
            };
            let (task, fetch) = Fetch::begin();
            let mut task: Option<FetchTask> = Some(task);
            let fetches = match self.fetches {
                Fetches::Paid => FetchState::Paid,
                Fetches::Idle => FetchState::Idle(memory),
                Fetches::Fetching => FetchState::Fetching(fetch, memory),
                Fetches::Abandoned => {
                    drop(task.take());
                    FetchState::Fetching(fetch, memory)
                }
            };
            let unfit = match self.renewal {
                Some(false) => &other,
                Some(true) | None => &cached,
            };
            let situation = Situation {
                cached: self.is_cached.then(|| cached.clone()),
                is_known: self.is_known,
                fetches: &fetches,
            };
            let purpose = self
                .renewal
                .map_or(Purpose::Verify, |_| Purpose::Renew(unfit));
            let outcome = match decide(situation, purpose, now) {
                Decision::Use(used) if self.renewal.is_some() && Arc::ptr_eq(&used, unfit) => {
                    Outcome::UseUnfit
                }
                Decision::Use(used) => {
                    assert!(Arc::ptr_eq(&used, &cached), "{self:?}");
                    Outcome::UseCached
                }
                Decision::Join(_) => Outcome::Join,
                Decision::Fetch(Payment::Free) => Outcome::FetchFree,
                Decision::Fetch(Payment::Due { otherwise }) => Outcome::FetchDue(otherwise),
                Decision::Answer(error) => Outcome::Answer(error),
            };
            drop(task);
            outcome
        }

        /// The outcome that the row must have: that of the first rule below that applies to it.
        fn expected(self) -> Outcome {
            let is_fetching = self.fetches == Fetches::Fetching;
            let has_failed_lately = self.failed_ago.is_some_and(|ago| ago.as_millis() < 2000);
            let was_renewed_lately = self.renewed_ago.is_some_and(|ago| ago.as_millis() < 60_000);
            let is_paid = self.fetches == Fetches::Paid || self.is_known;
            let fetch = match (is_paid, self.failed_ago) {
                (true, _) => Outcome::FetchFree,
                (false, Some(_)) => Outcome::FetchDue(down()),
                (false, None) => Outcome::FetchDue(FetchError::OverBudget),
            };
            match (self.renewal, self.is_cached) {
                (None, true) => Outcome::UseCached,
                (None, false) if is_fetching => Outcome::Join,
                (None, false) if has_failed_lately => Outcome::Answer(down()),
                (Some(_), _) if is_fetching => Outcome::Join,
                (Some(false), true) => Outcome::UseCached,
                (Some(_), _) if was_renewed_lately && self.failed_ago.is_some() => {
                    Outcome::Answer(down())
                }
                (Some(_), _) if was_renewed_lately => Outcome::UseUnfit,
                (None | Some(_), _) => fetch,
            }
        }
    }

    #[test]
    fn every_state_purpose_and_time_has_its_decision() {
        let rows = Row::all();
        assert_eq!(rows.len(), 912);
        for row in rows {
            assert_eq!(row.decide(), row.expected(), "{row:?}");
        }
    }

    /// An address to which nothing has happened.
    const NEW: Row = Row {
        fetches: Fetches::Idle,
        is_cached: false,
        is_known: false,
        renewal: None,
        failed_ago: None,
        renewed_ago: None,
    };

    fn seconds(number: u64) -> Option<Duration> {
        Some(Duration::from_secs(number))
    }

    /// How a row differs from the base row, and its outcome.
    type Case = (fn(&mut Row), Outcome);

    fn check(base: Row, cases: &[Case]) {
        for (change, expected) in cases {
            let mut row = base;
            change(&mut row);
            assert_eq!(row.decide(), *expected, "{row:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_cached_is_fetched_once_and_paid_for_by_strangers() {
        let over_budget = || Outcome::FetchDue(FetchError::OverBudget);
        check(
            NEW,
            &[
                (|_| {}, over_budget()),
                (|row| row.is_known = true, Outcome::FetchFree),
                (|row| row.fetches = Fetches::Paid, Outcome::FetchFree),
                (|row| row.fetches = Fetches::Fetching, Outcome::Join),
                (|row| row.fetches = Fetches::Abandoned, over_budget()),
                (|row| row.failed_ago = seconds(1), Outcome::Answer(down())),
                (|row| row.failed_ago = seconds(2), Outcome::FetchDue(down())),
            ],
        );
    }

    #[test]
    fn a_cached_certificate_is_used_and_renewed_once_a_minute() {
        let cached = Row {
            is_cached: true,
            is_known: true,
            ..NEW
        };
        let fetching: fn(&mut Row) = |row| row.fetches = Fetches::Fetching;
        check(
            cached,
            &[(|_| {}, Outcome::UseCached), (fetching, Outcome::UseCached)],
        );
        let unfit = Row {
            renewal: Some(true),
            ..cached
        };
        let over_budget = Outcome::FetchDue(FetchError::OverBudget);
        check(
            unfit,
            &[
                (|_| {}, Outcome::FetchFree),
                (|row| row.is_known = false, over_budget),
                (fetching, Outcome::Join),
                (|row| row.renewal = Some(false), Outcome::UseCached),
                (|row| row.renewed_ago = seconds(59), Outcome::UseUnfit),
                (|row| row.renewed_ago = seconds(60), Outcome::FetchFree),
                // A failure alone does not delay a renewal: it belongs to a first fetch.
                (|row| row.failed_ago = seconds(1), Outcome::FetchFree),
                (
                    |row| (row.failed_ago, row.renewed_ago) = (seconds(30), seconds(30)),
                    Outcome::Answer(down()),
                ),
            ],
        );
    }
}
