//! The vocabulary of MNS: the parts of a push, and how it is signed.
//!
//! Everything here is pure: no clock, no disk, no network, no logging. A function takes bytes and
//! returns a value or an error with the reason. Facts about the protocol cite their source,
//! `docs/protocol.md`.

pub mod api;
mod authorization;
mod body;
mod content_format;
mod content_md5;
mod document;
mod envelope;
pub mod header;
mod json;
mod notification;
mod request_id;
mod signature_v4;
mod signed_request;
mod signing_cert_url;
mod string_to_sign;
mod surrogates;
mod xml;

pub use authorization::{AccessKey, Authorization};
pub use content_format::ContentFormat;
pub use content_md5::{ContentMd5, Notation};
pub use document::{Element, MalformedDocument};
pub use notification::{ATTRIBUTES, InvalidNotification, Notification};
pub use request_id::request_time;
pub use signature_v4::{Scope, region_of};
pub use signed_request::{Defect, SignedRequest};
pub use signing_cert_url::{
    FileNameRule, NotAllowed, Prefix, PrefixError, Prefixes, REGIONS, SigningCertUrl,
    WELL_KNOWN_CERTIFICATE, is_certificate_file,
};
pub use string_to_sign::{Form, string_to_sign};

/// The path to which MNS posts if an endpoint's address has none, according to the manual.
pub const DEFAULT_PATH: &str = "/notifications";
