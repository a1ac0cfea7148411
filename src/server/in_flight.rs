//! How much may be in work at once. Past it a request is told 503 before its body is read.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests between their head and their answer. Past this the wait for the disk alone is too long.
const REQUESTS_MAX: usize = 4096;
/// The bytes of their bodies, as announced; one that is not announced counts as the largest.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is in work.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// The room of one request, given back when dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    of: &'a InFlight,
    bytes: usize,
}

impl InFlight {
    /// Room for one request, if there is. One alone always has it.
    pub(super) fn take(&self, bytes: usize) -> Option<Held<'_>> {
        let requests_before = self.requests.fetch_add(1, Ordering::Relaxed);
        let bytes_before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Made first, so that what does not fit is given back as well.
        let held = Held { of: self, bytes };
        let fits = requests_before < REQUESTS_MAX && bytes_before.saturating_add(bytes) <= BYTES_MAX;
        (fits || requests_before == 0).then_some(held)
    }

    /// Requests in work.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The bytes of their bodies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(1, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_have_a_bound_each_and_all_is_given_back() {
        let in_flight = InFlight::default();
        let small: Vec<_> = (0..REQUESTS_MAX).map(|_| in_flight.take(1).unwrap()).collect();
        assert!(in_flight.take(1).is_none());
        drop(small);
        let half = in_flight.take(BYTES_MAX / 2).unwrap();
        let other = in_flight.take(BYTES_MAX / 2).unwrap();
        assert!(in_flight.take(1).is_none());
        drop(half);
        assert!(in_flight.take(1).is_some());
        drop(other);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
        // server.max_body may be set past the bound: then one at a time.
        let huge = in_flight.take(BYTES_MAX * 2).unwrap();
        assert!(in_flight.take(1).is_none());
        drop(huge);
    }
}
