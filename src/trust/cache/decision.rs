//! What a request for a certificate leads to: one decision, made without a clock, a lock or a
//! runtime.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::trust::cache::fetch::{Fetch, FetchState};
use crate::trust::certificate::SigningCertificate;
use crate::trust::source::FetchError;

/// For how long a failed fetch answers for the next ones.
pub(super) const FAILURE_REMEMBERED: Duration = Duration::from_secs(2);
/// The least time between two renewals of an address.
pub(super) const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// What a certificate is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To check signatures under it.
    Verify,
    /// A signature failed under this one: the key at its address may have changed.
    Renew(&'a Arc<SigningCertificate>),
}

/// All that a decision about one address depends on, but for purpose and time.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    /// The cached certificate.
    pub(super) cached: Option<Arc<SigningCertificate>>,
    /// Whether no stranger can have made the address up.
    pub(super) is_known: bool,
    /// Its fetches.
    pub(super) fetches: &'a FetchState,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Decision {
    /// Answer with this certificate. To a renewal the unfit one is the answer if it is not fetched
    /// again yet.
    Use(Arc<SigningCertificate>),
    /// Wait for the fetch under way.
    Join(Fetch),
    /// Start a fetch, once it is paid for.
    Fetch(Payment),
    /// Answer as the last fetch ended.
    Answer(FetchError),
}

/// What a fetch costs whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payment {
    /// Nothing: the address is known, or a peer paid when its slot was made.
    Free,
    /// One fetch of the budget. If nobody pays, the answer is `otherwise`.
    Due {
        /// Why there is no certificate then.
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
        // The cached certificate comes first: a renewal under way makes no push wait that the
        // certificate before it can verify.
        Purpose::Verify => cached.map(Decision::Use).or(fetch).or_else(|| {
            failure
                .filter(|(at, _)| is_within(FAILURE_REMEMBERED, *at))
                .map(|(_, error)| Decision::Answer(error.clone()))
        }),
        // The fetch comes first: it brings a newer certificate than the cached one.
        Purpose::Renew(unfit) => fetch
            .or_else(|| {
                // Another request has renewed it since the signature failed.
                cached
                    .filter(|cached| !Arc::ptr_eq(cached, unfit))
                    .map(Decision::Use)
            })
            .or_else(|| {
                memory
                    .and_then(|memory| memory.renewed_at)
                    .filter(|at| is_within(RENEWAL_PAUSE, *at))
                    // A renewal that failed says nothing about the key, so it must not be taken
                    // for one that found the same key again.
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
            // Why the last fetch failed says more than that the budget is used up.
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

    /// The states that fetches can be in, apart from times.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fetches {
        Paid,
        Idle,
        Fetching,
        /// Its task is gone without a result.
        Abandoned,
    }

    /// What a decision comes to.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Outcome {
        UseCached,
        /// Given by a renewal: it is too early for another one.
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
        /// `None` to verify; else whether the cached certificate is the unfit one.
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
            // Nothing has happened yet to an address whose first fetch is paid and not begun.
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

        /// What the row must come to, by the rules in words: the first that applies.
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

    /// Nothing has happened to this address.
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

    /// What is different from the row before, and what it comes to.
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
                // Alone it does not delay a renewal: it was the failure of a first fetch.
                (|row| row.failed_ago = seconds(1), Outcome::FetchFree),
                (
                    |row| (row.failed_ago, row.renewed_ago) = (seconds(30), seconds(30)),
                    Outcome::Answer(down()),
                ),
            ],
        );
    }
}
