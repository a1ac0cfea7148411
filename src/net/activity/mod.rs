//! What one connection is doing, and which place that gives it among all.

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
