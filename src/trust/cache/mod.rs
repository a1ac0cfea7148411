//! The certificates in use, by address.
//!
//! An address identifies one version of a certificate (FAQ 34355 of the vendor: a rotation renames
//! the file), so a cached certificate never expires. Every cost is bounded. Each address has one
//! fetch at a time. A failure is remembered for two seconds. An address whose key stopped matching
//! is fetched again at most once a minute. Known addresses are MNS's own and those that have
//! verified a push; all others are newcomers. The cache has at most 256 addresses of each kind.
//! Newcomers have at most 16 concurrent fetches, and a budget for their fetches. Strangers use up
//! nothing that known addresses need.
//!
//! Only `decision`, which is pure, decides what a request for a certificate leads to. `cache`
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
