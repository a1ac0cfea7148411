//! The slots of connections: which are taken, and which connection gives way when all of them are.
//!
//! A connection is proved while its current request is one of MNS's and, between requests, if it
//! has carried one that was accepted and not a duplicate. Duplicates do not count, because anyone
//! who has seen a push can send copies of it on any number of connections. Connections give way in
//! this order:
//! 1. unproved and without progress, the one that has made none for longest first, whoever its peer
//!    is;
//! 2. unproved and idle, the one that has been idle for longest first;
//! 3. while proved connections that wait for their peers have more than half of the slots, and are
//!    more than 8, the one of them that is closest to making no progress: pushes arrive whole, and
//!    heads that MNS signed for another account can be sent to anyone;
//! 4. the oldest unproved one of the peer that has most of them, unless that address has sent a
//!    verified push in the last hour: MNS uses few addresses, often all through one balancer;
//! 5. unproved and making progress, the one whose request began first;
//! 6. proved and without progress;
//! 7. proved and idle, the one that has been idle for longest first.
//!
//! A push that waits for the disk never gives way. If heads take too much memory, the connections
//! with the largest heads give way.
//!
//! A connection reports that it waits for its peer only if that puts it in another group, or
//! further to the front. So pushes that arrive complete on a keep-alive connection take no lock. A
//! stale entry is too far to the front, and is filed again when it is found there.

mod orders;
mod peers;
mod slots;
mod table;

pub(super) use slots::{NoSlot, Slot, Slots};
