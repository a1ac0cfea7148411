//! All metrics, under the names in `docs/metrics.md`.
//!
//! There is one file for each part of the program. A metric is one line there and one in
//! `docs/metrics.md`.

mod collector;
mod families;
mod forward;
mod inspector;
mod journal;
mod net;
mod process;
mod quarantine;
mod requests;
mod traces;
mod trust;

pub(crate) use collector::text_of;
