//! The address of a signing certificate, and which addresses may be fetched.
//!
//! The address comes from an unauthenticated sender. It is compared as raw bytes with the prefixes
//! that the operator allows, before any URL library sees it: exactly one scheme, host and port,
//! then one file name. Nothing is decoded, case-folded or resolved, so there is no alternative
//! spelling to smuggle anything through.

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
