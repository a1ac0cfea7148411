//! Bounds the requests and body bytes in flight. Beyond a bound a request is answered 503, usually
//! before its body is read.
//!
//! Bytes count as they arrive; a request counts once it is verified and waits for the disk. So a
//! client that sends nothing, or makes us fetch a bogus certificate, does not count among the
//! requests.
//!
//! The bytes are divided into three shares: for strangers, for delayed bodies whose head MNS
//! signed, and for pushes. So nobody who delays a body can take the room of a push that arrives
//! whole. Delayed bodies with a signed head have a share of their own, because the owner of an
//! account can hand its signed heads to anyone.

use std::sync::atomic::{AtomicUsize, Ordering};

use strum::EnumCount;

use crate::server::awaited::{Awaited, AwaitedBodies};

/// The maximum number of requests that wait for the disk. With more, the wait alone would exceed
/// the time budget of a push.
const REQUESTS_MAX: usize = 4096;
/// The maximum number of bytes of all bodies that have arrived and are not answered yet.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The part of [`BYTES_MAX`] for requests that are not proved to be from MNS.
const STRANGER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The part of `BYTES_MAX` for bodies that are still to arrive after their signed head.
pub const AWAITED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Room for pushes even if strangers use all of [`BYTES_MAX`]. A single stranger can do that in
/// spite of [`STRANGER_BYTES_MAX`]: while no other request has any bytes, `Permit::add` grants room
/// for a body of any size up to `server.max_body`.
const RESERVED_BYTES: usize = 16 * 1024 * 1024;

/// The share to which bytes belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
enum Share {
    Stranger,
    /// A body that is still to arrive after its signed head.
    Awaited,
    /// A request that is verified, or whose body arrives together with its signed head.
    Push,
}

/// The requests and bytes in flight.
///
/// All orderings are relaxed: the counts bound memory and publish nothing. Each count is exact,
/// because only atomic additions and subtractions change it. A sum of several counts may mix values
/// of different times.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: AtomicUsize,
    bytes: [AtomicUsize; Share::COUNT],
    /// The bodies that are still to arrive after their signed heads.
    pub(super) awaited: AwaitedBodies,
}

/// The room of one request. Dropping it gives the room back.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    of: &'a InFlight,
    bytes: usize,
    requests: usize,
    share: Share,
    /// Set while the body is still to arrive after its signed head.
    awaited: Option<Awaited<'a>>,
}

impl InFlight {
    /// Takes a permit for a request that is not proved to be from MNS. Returns `None` if the share
    /// of strangers or the room for all bytes is used up.
    pub(super) fn check(&self) -> Option<Permit<'_>> {
        let fits = self.bytes() < BYTES_MAX && self.bytes_of(Share::Stranger) < STRANGER_BYTES_MAX;
        fits.then(|| self.permit(Share::Stranger))?
    }

    /// Takes a permit for a request whose head MNS signed and whose body arrives with it. Returns
    /// `None` if there is no room.
    pub(super) fn check_signed(&self) -> Option<Permit<'_>> {
        let fits = self.bytes() < BYTES_MAX || self.bytes_of(Share::Push) < RESERVED_BYTES;
        fits.then(|| self.permit(Share::Push))?
    }

    fn permit(&self, share: Share) -> Option<Permit<'_>> {
        (!self.is_full()).then_some(Permit {
            of: self,
            bytes: 0,
            requests: 0,
            share,
            awaited: None,
        })
    }

    /// Whether [`REQUESTS_MAX`] requests wait for the disk, so that no further one is admitted.
    pub(super) fn is_full(&self) -> bool {
        self.requests() >= REQUESTS_MAX
    }

    /// The number of requests that wait for the disk.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The bytes of all bodies that have arrived and are not answered yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
            .iter()
            .map(|share| share.load(Ordering::Relaxed))
            .fold(0, usize::saturating_add)
    }

    fn bytes_of(&self, share: Share) -> usize {
        self.count(share).load(Ordering::Relaxed)
    }

    fn count(&self, share: Share) -> &AtomicUsize {
        let [stranger, awaited, push] = &self.bytes;
        match share {
            Share::Stranger => stranger,
            Share::Awaited => awaited,
            Share::Push => push,
        }
    }
}

impl<'a> Permit<'a> {
    /// Whether the permit uses the share of pushes.
    pub(super) fn is_of_a_push(&self) -> bool {
        self.share == Share::Push
    }

    /// Moves the permit to the share of pushes, because MNS signed the head and the body arrives
    /// with it. Returns `false` if it was not in the share of strangers.
    pub(super) fn sign(&mut self) -> bool {
        // Only a permit from the share of strangers gains room by this move. `false` ends the
        // caller's search for room.
        let is_news = self.share == Share::Stranger;
        self.change(Share::Push);
        is_news
    }

    /// Moves the permit to the share of awaited bodies. Returns `false`, and changes nothing, if
    /// that share is used up.
    pub(super) fn await_body(&mut self, awaited: Awaited<'a>) -> bool {
        if self.of.bytes_of(Share::Awaited).saturating_add(self.bytes) > AWAITED_BYTES_MAX {
            return false;
        }
        self.change(Share::Awaited);
        self.awaited = Some(awaited);
        true
    }

    /// Ends the wait for the body, so that another connection may await a body for the same head,
    /// as with a retry.
    pub(super) fn body_has_come(&mut self) {
        self.awaited = None;
    }

    /// Moves the permit to the share of pushes, because the whole request is verified.
    pub(super) fn prove(&mut self) {
        self.change(Share::Push);
    }

    fn change(&mut self, share: Share) {
        let before = std::mem::replace(&mut self.share, share);
        if before != share {
            // Add before subtracting: between the two steps the bytes count twice, so the bound may
            // refuse too much but never admit too much.
            self.of
                .count(share)
                .fetch_add(self.bytes, Ordering::Relaxed);
            self.of
                .count(before)
                .fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }

    /// Counts the request among those that wait for the disk. Returns `false` if there are too
    /// many.
    pub(super) fn wait_for_disk(&mut self) -> bool {
        // Count the request even if it is one too many: a refused request drops the permit, which
        // subtracts it again.
        self.requests = self.requests.saturating_add(1);
        self.of.requests.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX
    }

    /// Takes room for more bytes of the body. Returns `false` if there is no room. While no other
    /// request has any bytes, there is always room, whatever the size of the body.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let count = self.of.count(self.share);
        let share = count
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        let (own, all) = (self.bytes.saturating_add(bytes), self.of.bytes());
        let fits = match self.share {
            Share::Stranger => all <= BYTES_MAX && share <= STRANGER_BYTES_MAX,
            Share::Awaited => all <= BYTES_MAX && share <= AWAITED_BYTES_MAX,
            Share::Push => all <= BYTES_MAX || share <= RESERVED_BYTES,
        };
        // If nobody else has any bytes, admit the new ones: otherwise a body larger than its share
        // could never arrive, however often MNS retries the push.
        if fits || all == own {
            self.bytes = own;
            return true;
        }
        // Refused bytes must not use up the share.
        count.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(self.requests, Ordering::Relaxed);
        self.of
            .count(self.share)
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_have_a_bound_each_and_all_is_given_back() {
        let in_flight = InFlight::default();
        let mut small: Vec<_> = (0..REQUESTS_MAX + 100)
            .map(|_| in_flight.check().unwrap())
            .collect();
        small.truncate(REQUESTS_MAX);
        let mut late = in_flight
            .check()
            .expect("none of them is known to be genuine");
        assert!(small.iter_mut().all(Permit::wait_for_disk));
        assert!(
            in_flight.check().is_none()
                && in_flight.check_signed().is_none()
                && !late.wait_for_disk()
        );
        drop(late);
        drop(small);
        let (mut push, mut stranger) = (in_flight.check().unwrap(), in_flight.check().unwrap());
        push.prove();
        let mut late = in_flight.check().unwrap();
        assert!(push.add(BYTES_MAX / 2) && stranger.add(STRANGER_BYTES_MAX));
        assert!(!late.add(1));
        assert!(in_flight.check().is_none(), "before its body is read");
        drop((push, late));
        assert!(in_flight.check().is_none());
        drop(stranger);
        assert!(in_flight.check().unwrap().add(1));
        // If server.max_body is larger than the bound, one such request is admitted at a time.
        let mut huge = in_flight.check().unwrap();
        assert!(huge.add(BYTES_MAX) && huge.add(BYTES_MAX));
        assert!(in_flight.check().is_none());
        assert!(
            in_flight.check_signed().unwrap().add(RESERVED_BYTES),
            "pushes have room beside it"
        );
        drop(huge);
        assert_eq!((in_flight.requests(), in_flight.bytes()), (0, 0));
    }

    #[test]
    fn neither_strangers_nor_signed_heads_take_the_room_of_pushes_that_come_whole() {
        let in_flight = InFlight::default();
        let awaited = |name: &[u8]| in_flight.awaited.begin(name).unwrap();
        let mut refused: Vec<_> = (0..1000).map(|_| in_flight.check().unwrap()).collect();
        let [mut strangers, mut late, mut later, mut whole] =
            [(); 4].map(|()| in_flight.check().unwrap());
        assert!(strangers.add(STRANGER_BYTES_MAX - 1));
        assert!(
            late.add(1)
                && late.await_body(awaited(b"1"))
                && late.add(AWAITED_BYTES_MAX - 1)
                && !late.add(1)
        );
        assert!(
            refused.iter_mut().all(|late| !late.add(STRANGER_BYTES_MAX)),
            "nor does it count"
        );
        assert!(
            later.add(1) && !later.await_body(awaited(b"2")),
            "there is no room for more of them"
        );
        assert!(!whole.add(1) && whole.sign() && !whole.sign() && whole.add(RESERVED_BYTES));
        assert_eq!(in_flight.bytes(), BYTES_MAX);
        assert!(in_flight.check_signed().is_none() && in_flight.check().is_none());
        whole.body_has_come();
        late.prove();
        assert_eq!(in_flight.bytes(), BYTES_MAX);
        drop((strangers, late, later, whole, refused));
        assert_eq!(in_flight.bytes(), 0);
    }
}
