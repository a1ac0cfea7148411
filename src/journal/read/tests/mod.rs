//! Tests of following and searching.

mod faults;
mod reading;
