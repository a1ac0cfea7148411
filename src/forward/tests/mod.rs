//! Tests of forwarders over a real journal on a real disk. The sink loses, delays, reorders and
//! doubles answers, refuses, or is away, and the process is killed in between.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]

mod bounds;
mod delivery;
mod from_memory;
mod stop;
pub(super) mod support;
