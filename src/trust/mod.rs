//! Who sent this: from the claim that a request makes to the proof that MNS made it.
//!
//! [`Verifier::verify`] returns a [`Verified`], the only way to a notification. What it needs is a
//! certificate: the [`CertificateCache`] holds those in use, a [`CertificateSource`] has them, and
//! a [`CertificateStore`] keeps good ones for the next start. `docs/design/trust.md` says what this
//! proves and what it cannot.

mod admission;
mod cache;
mod certificate;
mod checks;
mod known_keys;
mod policy;
mod prefetch;
mod public_key;
mod source;
mod store;
mod untrusted;
mod verifier;

pub use admission::{Admission, NotAdmitted};
pub use cache::{
    ALL_FETCHES, CacheCounts, CertificateCache, FetchRate, PEER_FETCHES, SITE_FETCHES,
};
pub use certificate::{InvalidCertificate, SigningCertificate};
pub use checks::{Check, CheckName, Checks, SignatureCheck};
pub use known_keys::KeyChange;
pub use policy::{LATE, Policy, Timeliness};
pub use prefetch::prefetch;
pub use public_key::KEY_BITS;
pub use source::{CertificateSource, FetchError, FetchOptions, Fetching, HttpsSource, SourceError};
pub use store::{CertificateStore, Kept, StoreError};
pub use untrusted::Untrusted;
pub use verifier::{HeadProof, Verified, Verifier};
