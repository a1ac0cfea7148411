//! Forwarders over a real journal on a real disk, with a sink that loses, delays, reorders and
//! doubles answers, refuses, and is away; and with a process that is killed in between.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]

mod bounds;
mod delivery;
pub(super) mod support;
