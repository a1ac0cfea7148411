//! How much may be in work at once. Past it a request is told 503, as a rule before its body is read.
//!
//! Bytes count as they come, and requests once they are proved genuine and wait for the disk: who sends nothing, or has
//! a certificate fetched that is none, takes no room from those who are served.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that wait for the disk. Past this the wait alone is too long.
const REQUESTS_MAX: usize = 4096;
/// The bytes of all bodies that have come and are not answered.
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
    requests: usize,
}

impl InFlight {
    /// Room for one more request, if there is.
    pub(super) fn begin(&self) -> Option<Held<'_>> {
        let fits = self.requests() < REQUESTS_MAX && self.bytes() < BYTES_MAX;
        fits.then_some(Held { of: self, bytes: 0, requests: 0 })
    }

    /// Requests that wait for the disk.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The bytes of all bodies that have come and are not answered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Held<'_> {
    /// Takes its place among those that wait for the disk, if there is one.
    pub(super) fn wait_for_disk(&mut self) -> bool {
        self.requests = self.requests.saturating_add(1);
        self.of.requests.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX
    }

    /// Takes room for more of its body, if there is. One alone always has it.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let before = self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(bytes);
        before.saturating_add(bytes) <= BYTES_MAX || before.saturating_add(bytes) == self.bytes
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(self.requests, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_have_a_bound_each_and_all_is_given_back() {
        let in_flight = InFlight::default();
        let mut small: Vec<_> = (0..REQUESTS_MAX + 100).map(|_| in_flight.begin().unwrap()).collect();
        small.truncate(REQUESTS_MAX);
        let mut late = in_flight.begin().expect("none of them is known to be genuine");
        assert!(small.iter_mut().all(Held::wait_for_disk));
        assert!(in_flight.begin().is_none() && !late.wait_for_disk());
        drop(late);
        drop(small);
        let (mut half, mut other) = (in_flight.begin().unwrap(), in_flight.begin().unwrap());
        let mut late = in_flight.begin().unwrap();
        assert!(half.add(BYTES_MAX / 2) && other.add(BYTES_MAX / 4) && other.add(BYTES_MAX / 4));
        assert!(!late.add(1));
        drop(late);
        assert!(in_flight.begin().is_none(), "before its body is read");
        drop(half);
        assert!(in_flight.begin().unwrap().add(1));
        drop(other);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
        // server.max_body may be set past the bound: then one at a time.
        let mut huge = in_flight.begin().unwrap();
        assert!(huge.add(BYTES_MAX) && huge.add(BYTES_MAX));
        assert!(in_flight.begin().is_none());
        drop(huge);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
    }
}
