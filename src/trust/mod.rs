//! Trust: from the claim that MNS sent a request to the proof of it.
//!
//! [`Verifier::verify`] returns a [`Verified`], and only a [`Verified`] can be decoded to a
//! notification. A verification needs a certificate: the [`CertificateCache`] has those in use, a
//! [`CertificateSource`] fetches them, and a [`CertificateStore`] saves good ones for the next
//! start. `docs/design/trust.md` says what a verification proves and what it cannot.

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
