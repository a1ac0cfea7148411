//! A fetch under way, and what is remembered of earlier fetches of an address.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::trust::certificate::SigningCertificate;
use crate::trust::source::FetchError;

/// The result of a fetch.
pub(super) type FetchResult = Result<Arc<SigningCertificate>, FetchError>;

/// A fetch that any number of requests can wait for.
#[derive(Debug, Clone)]
pub(super) struct Fetch(watch::Receiver<Option<FetchResult>>);

/// The sending end of a [`Fetch`], owned by its task. Dropping it without a result abandons the
/// fetch.
#[derive(Debug)]
pub(super) struct FetchTask(watch::Sender<Option<FetchResult>>);

/// On whose behalf an address is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A peer whose push names the address.
    Peer(IpAddr),
    /// Nobody: no push has named the address yet.
    Nobody,
}

/// Whether an address is being fetched. The certificate itself is not here but in the slot (the
/// state) of the address, where it can be read without a lock.
#[derive(Debug)]
pub(super) enum FetchState {
    /// A peer paid for the first fetch when the slot was created. The fetch has not begun.
    Paid,
    /// No fetch is under way.
    Idle(Memory),
    /// A fetch is under way, unless its task ended without a result. The memory covers earlier
    /// fetches only.
    Fetching(Fetch, Memory),
}

/// What is remembered of earlier fetches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// When the last renewal began. The first fetch is not a renewal, so a key that changes right
    /// after the first fetch is picked up at once.
    pub(super) renewed_at: Option<Instant>,
    /// When and why the last fetch failed, unless one has succeeded since.
    pub(super) failure: Option<(Instant, FetchError)>,
}

impl Fetch {
    /// A fetch that has begun, and the end that its task owns.
    pub(super) fn begin() -> (FetchTask, Self) {
        let (sender, receiver) = watch::channel(None);
        (FetchTask(sender), Self(receiver))
    }

    /// Whether there is a result, or one can still arrive.
    fn is_alive(&self) -> bool {
        // `has_changed` fails once the task is gone, but a result that it left still counts.
        self.0.has_changed().is_ok() || self.0.borrow().is_some()
    }
}

impl FetchTask {
    /// Sends the result to all waiters.
    pub(super) fn report(&self, result: FetchResult) {
        self.0.send_replace(Some(result));
    }
}

/// Waits for the result of a fetch.
pub(super) async fn wait_for(mut fetch: Fetch) -> FetchResult {
    match fetch.0.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(FetchError::Abandoned),
    }
}

impl FetchState {
    /// The fetch under way. A fetch whose task panicked does not count: it would block its address
    /// for ever.
    pub(super) fn fetch(&self) -> Option<&Fetch> {
        match self {
            Self::Fetching(fetch, _) if fetch.is_alive() => Some(fetch),
            Self::Fetching(..) | Self::Idle(_) | Self::Paid => None,
        }
    }

    /// What is remembered of earlier fetches.
    pub(super) fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Paid => None,
            Self::Idle(memory) | Self::Fetching(_, memory) => Some(memory),
        }
    }

    /// Records that a fetch has begun. `renewed_at` is the current time if the fetch is a renewal.
    pub(super) fn begin(&mut self, fetch: Fetch, renewed_at: Option<Instant>) {
        let mut memory = self.take_memory();
        memory.renewed_at = renewed_at.or(memory.renewed_at);
        *self = Self::Fetching(fetch, memory);
    }

    /// Records that the fetch has ended.
    pub(super) fn end(&mut self, result: &FetchResult, asker: Asker, now: Instant) {
        let mut memory = self.take_memory();
        match (result, asker) {
            (Ok(_), _) => memory.failure = None,
            // The source was not asked, so there is nothing to remember, and no renewal took place.
            (Err(FetchError::TooMany), _) => memory.renewed_at = None,
            (Err(error), Asker::Peer(_)) => memory.failure = Some((now, error.clone())),
            // Remember nothing: the next push starts a fetch, as if this fetch had not taken place.
            (Err(_), Asker::Nobody) => {}
        }
        *self = Self::Idle(memory);
    }

    fn take_memory(&mut self) -> Memory {
        match self {
            Self::Paid => Memory::default(),
            Self::Idle(memory) | Self::Fetching(_, memory) => mem::take(memory),
        }
    }
}

impl Default for FetchState {
    fn default() -> Self {
        Self::Idle(Memory::default())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::trust::certificate::samples::OLD;

    #[test]
    fn the_memory_of_an_address_follows_from_the_result_and_from_who_asked() {
        let begun = Instant::now();
        let now = begun + Duration::from_secs(1);
        let before = Memory {
            renewed_at: None,
            failure: Some((begun, FetchError::Status(500))),
        };
        let certificate = Arc::new(SigningCertificate::parse(OLD).unwrap());
        let peer = Asker::Peer(Ipv4Addr::LOCALHOST.into());
        let late = FetchError::TimedOut(Duration::from_secs(2));
        let failure_of_before = before.failure.clone();
        for asker in [peer, Asker::Nobody] {
            for renewed_at in [None, Some(begun)] {
                let remembered = match asker {
                    Asker::Peer(_) => Some((now, late.clone())),
                    Asker::Nobody => failure_of_before.clone(),
                };
                for (result, failure, renewal) in [
                    (Ok(certificate.clone()), None, renewed_at),
                    (Err(FetchError::TooMany), failure_of_before.clone(), None),
                    (Err(late.clone()), remembered, renewed_at),
                ] {
                    let mut state = FetchState::Idle(before.clone());
                    let (task, fetch) = Fetch::begin();
                    state.begin(fetch, renewed_at);
                    assert!(state.fetch().is_some());
                    state.end(&result, asker, now);
                    drop(task);
                    assert!(state.fetch().is_none(), "{state:?}");
                    let expected = Memory {
                        renewed_at: renewal,
                        failure,
                    };
                    assert_eq!(state.memory(), Some(&expected), "{asker:?} {result:?}");
                }
            }
        }
    }

    #[test]
    fn a_later_fetch_that_is_not_a_renewal_leaves_the_time_of_the_last_renewal() {
        let renewed_at = Instant::now();
        let mut state = FetchState::Paid;
        state.begin(Fetch::begin().1, Some(renewed_at));
        assert!(state.fetch().is_none(), "its task is gone");
        state.begin(Fetch::begin().1, None);
        assert_eq!(state.memory().unwrap().renewed_at, Some(renewed_at));
    }
}
