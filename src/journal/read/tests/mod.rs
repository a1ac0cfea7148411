//! Tests of following and searching.

mod any_log;
mod faults;
mod following;
mod memory;
mod searching;
mod support;
