//! How much may be in work at once. Past it a request is answered 503, as a rule before its body is read.
//!
//! Bytes count as they arrive; a request counts once it is verified and waits for the disk. A client that sends nothing, or
//! makes us fetch a bogus certificate, uses up no place. Bytes of requests that are not proved to be MNS's have a share of
//! their own, so what strangers send leaves room for the rest.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::awaited::{Awaited, AwaitedBodies};

/// Requests that wait for the disk. Past this the wait alone is too long.
const REQUESTS_MAX: usize = 4096;
/// The bytes of all bodies that have come and are not answered.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Those of them that unproved requests may take.
const UNPROVED_BYTES_MAX: usize = 48 * 1024 * 1024;
/// The rest is for MNS's, however much strangers hold: with a large `server.max_body` one of them alone may pass its share.
const RESERVED_BYTES: usize = BYTES_MAX - UNPROVED_BYTES_MAX;

/// What is in work.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: AtomicUsize,
    proved_bytes: AtomicUsize,
    unproved_bytes: AtomicUsize,
    /// The bodies that are to come for heads of MNS's.
    pub(super) awaited: AwaitedBodies,
}

/// The room of one request, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    of: &'a InFlight,
    bytes: usize,
    requests: usize,
    is_proved: bool,
    /// Its body is the one that is awaited for a head of MNS's.
    awaited: Option<Awaited<'a>>,
}

impl InFlight {
    /// Room for one more request that is not proved yet, if there is.
    pub(super) fn check(&self) -> Option<Permit<'_>> {
        let fits = self.bytes() < BYTES_MAX && self.unproved_bytes.load(Ordering::Relaxed) < UNPROVED_BYTES_MAX;
        fits.then(|| self.permit(None))?
    }

    /// Room for one more request whose head MNS signed, if there is.
    pub(super) fn check_proved<'a>(&'a self, awaited: Awaited<'a>) -> Option<Permit<'a>> {
        let fits = self.bytes() < BYTES_MAX || self.proved_bytes.load(Ordering::Relaxed) < RESERVED_BYTES;
        fits.then(|| self.permit(Some(awaited)))?
    }

    fn permit<'a>(&'a self, awaited: Option<Awaited<'a>>) -> Option<Permit<'a>> {
        (!self.is_full()).then_some(Permit { of: self, bytes: 0, requests: 0, is_proved: awaited.is_some(), awaited })
    }

    /// Whether so many requests wait for the disk that no further one is let in.
    pub(super) fn is_full(&self) -> bool {
        self.requests() >= REQUESTS_MAX
    }

    /// Requests that wait for the disk.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The bytes of all bodies that have come and are not answered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.proved_bytes.load(Ordering::Relaxed).saturating_add(self.unproved_bytes.load(Ordering::Relaxed))
    }
}

impl<'a> Permit<'a> {
    /// Whether MNS signed at least the head.
    pub(super) fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// MNS signed the head, and its body is to come.
    pub(super) fn await_body(&mut self, awaited: Awaited<'a>) {
        self.awaited = Some(awaited);
        self.prove();
    }

    /// The body has come: another one may be awaited for the same head, as that of a retry.
    pub(super) fn body_has_come(&mut self) {
        self.awaited = None;
    }

    /// The request is whole and verified: its bytes count as MNS's.
    pub(super) fn prove(&mut self) {
        if !std::mem::replace(&mut self.is_proved, true) {
            self.of.proved_bytes.fetch_add(self.bytes, Ordering::Relaxed);
            self.of.unproved_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }

    /// Takes its place among those that wait for the disk, if there is one.
    pub(super) fn wait_for_disk(&mut self) -> bool {
        self.requests = self.requests.saturating_add(1);
        self.of.requests.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX
    }

    /// Takes room for more of its body, if there is. One alone always has it.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let share = self.share().fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let (own, all) = (self.bytes.saturating_add(bytes), self.of.bytes());
        let fits = if self.is_proved {
            all <= BYTES_MAX || share <= RESERVED_BYTES
        } else {
            all <= BYTES_MAX && share <= UNPROVED_BYTES_MAX
        };
        if fits || all == own {
            self.bytes = own;
            return true;
        }
        // What is refused takes no room from others.
        self.share().fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    fn share(&self) -> &'a AtomicUsize {
        if self.is_proved { &self.of.proved_bytes } else { &self.of.unproved_bytes }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(self.requests, Ordering::Relaxed);
        self.share().fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_have_a_bound_each_and_all_is_given_back() {
        let in_flight = InFlight::default();
        let mut small: Vec<_> = (0..REQUESTS_MAX + 100).map(|_| in_flight.check().unwrap()).collect();
        small.truncate(REQUESTS_MAX);
        let mut late = in_flight.check().expect("none of them is known to be genuine");
        assert!(small.iter_mut().all(Permit::wait_for_disk));
        assert!(in_flight.check().is_none() && !late.wait_for_disk());
        drop(late);
        drop(small);
        let (mut half, mut other) = (in_flight.check().unwrap(), in_flight.check().unwrap());
        half.prove();
        let mut late = in_flight.check().unwrap();
        assert!(half.add(BYTES_MAX / 2) && other.add(BYTES_MAX / 4) && other.add(BYTES_MAX / 4));
        assert!(!late.add(1));
        drop(late);
        assert!(in_flight.check().is_none(), "before its body is read");
        drop(half);
        assert!(in_flight.check().unwrap().add(1));
        drop(other);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
        // server.max_body may be set past the bound: then one at a time.
        let mut huge = in_flight.check().unwrap();
        assert!(huge.add(BYTES_MAX) && huge.add(BYTES_MAX));
        assert!(in_flight.check().is_none());
        let awaited = in_flight.awaited.begin(b"signature").unwrap();
        assert!(in_flight.check_proved(awaited).unwrap().add(RESERVED_BYTES), "MNS's have room beside it");
        drop(huge);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
    }

    #[test]
    fn strangers_have_a_share_and_leave_the_rest_to_what_mns_signed() {
        let in_flight = InFlight::default();
        let bodies = &in_flight.awaited;
        let mut refused: Vec<_> = (0..1000).map(|_| in_flight.check().unwrap()).collect();
        let (mut strangers, mut early) = (in_flight.check().unwrap(), in_flight.check().unwrap());
        assert!(early.add(1) && strangers.add(UNPROVED_BYTES_MAX - 1));
        assert!(in_flight.check().is_none() && !early.add(1));
        assert!(refused.iter_mut().all(|late| !late.add(UNPROVED_BYTES_MAX)), "nor does it count");
        let mut genuine = in_flight.check_proved(bodies.begin(b"signature").unwrap()).unwrap();
        assert!(genuine.add(RESERVED_BYTES - 4));
        // One whose body comes late is proved by its head.
        early.await_body(bodies.begin(b"another").unwrap());
        assert!(in_flight.check().is_some(), "what is proved takes nothing of the strangers' share");
        drop((strangers, early, genuine));
        assert_eq!(in_flight.bytes(), 0);
    }
}
