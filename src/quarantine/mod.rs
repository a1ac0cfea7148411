//! The quarantine: refused requests are saved, so that those refused by mistake can be inspected
//! and recovered.
//!
//! A [`capture()`] is a request as a file, followed by a [`Note`]: when it arrived, from whom, and
//! why it was refused. The handle [`Quarantine`] passes captures to a thread, which saves them in a
//! directory of bounded size. Nothing is guaranteed: the caller does not wait, and if there is no
//! room the capture is dropped and counted.

mod capture;
mod files;
mod keeper;
mod quarantine;
mod reservation;

pub use capture::{Note, capture};
pub use files::{Provenance, list};
pub use quarantine::{Options, Quarantine};
pub use reservation::{Location, Reserved};
