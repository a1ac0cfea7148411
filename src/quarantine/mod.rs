//! Refused requests, kept so that what was refused by mistake can be looked at and taken back.
//!
//! A [`capture()`] is a request as a file, with a [`Note`] behind it: when it came, from whom, and
//! why it was refused. The handle [`Quarantine`] gives captures to a thread of its own, which keeps
//! them in a directory of bounded size. Nothing here is promised: whoever hands a capture over does
//! not wait, and if there is no room, it is dropped and counted.

mod capture;
mod files;
mod keeper;
mod quarantine;
mod reservation;

pub use capture::{Note, capture};
pub use files::{Provenance, list};
pub use quarantine::{Options, Quarantine};
pub use reservation::{Location, Reserved};
