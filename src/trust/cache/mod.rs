//! The certificates in use, by address.
//!
//! An address is the version of its certificate (FAQ 34355 of the vendor: the file is renamed at a
//! rotation), so a cached certificate never expires. What can go wrong is bounded: one fetch at a
//! time for an address, failures remembered for two seconds, an address whose key stopped fitting
//! fetched again at most once a minute, at most 256 known addresses and as many newcomers, at most
//! 16 fetches of newcomers at once, and a budget for them. Known are MNS's own address and those
//! that have verified a push: strangers use up nothing that these need.
//!
//! What a request for a certificate leads to is decided in `decision` alone, which is pure; `cache`
//! carries the decision out.

mod addresses;
mod cache;
mod copies;
mod decision;
mod failure_log;
mod fetch;
mod fetch_budget;
mod fetcher;
mod slot;
mod supply;
#[cfg(test)]
mod tests;

pub use cache::{CacheCounts, CertificateCache};
pub use fetch_budget::{ALL_FETCHES, FetchRate, PEER_FETCHES, SITE_FETCHES};
