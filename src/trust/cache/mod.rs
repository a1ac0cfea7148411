//! The certificates in use, by address.
//!
//! An address is the version of its certificate (FAQ 34355 of the vendor: the file is renamed at a
//! rotation), so what is held never expires. What can go wrong is bounded: one fetch at a time for
//! an address, failures remembered for two seconds, a new look at an address whose key stopped
//! fitting at most once a minute, at most 256 known addresses and as many newcomers, at most 16
//! fetches of newcomers at once, and a budget for them. Known are MNS's own address and those that
//! have verified a push: strangers use up nothing that these need.

mod addresses;
mod cache;
mod failure_log;
mod fetch_budget;
mod slot;
#[cfg(test)]
mod tests;

pub use cache::{CacheCounts, CertificateCache};
pub use fetch_budget::{ALL_FETCHES, FetchRate, PEER_FETCHES, SITE_FETCHES};
