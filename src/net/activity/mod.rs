//! The activity of a connection, and the place among all connections that follows from it.

mod activity;
mod epoch;
mod filed;
mod phase;
mod place;
mod placement;
mod wire;

pub(super) use activity::Activity;
pub(super) use epoch::now_ms;
pub(super) use phase::Phase;
pub(super) use place::{Group, Place};
