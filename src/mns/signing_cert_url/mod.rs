//! The address of a signing certificate, and which addresses may be asked at all.
//!
//! The address comes from an unauthenticated sender. It is compared as raw bytes with prefixes that
//! the operator allows, before any URL library sees it: one exact scheme, host and port, then one
//! file name. Nothing is decoded, folded or resolved, so there is nothing to be smuggled past.

mod file_name;
mod prefix;
mod prefixes;
mod regions;
#[cfg(test)]
mod tests;
mod url;

pub use file_name::{FileNameRule, is_certificate_file};
pub use prefix::{Prefix, PrefixError};
pub use prefixes::{NotAllowed, Prefixes};
pub use regions::REGIONS;
pub use url::{SigningCertUrl, WELL_KNOWN_CERTIFICATE};
