//! Why a request to the API failed.

use crate::client::bounds::{ANSWER_BYTES_MAX, LIST_TIMEOUT, NAMES_BYTES_MAX, PAGES_MAX};
use crate::mns::MalformedDocument;
use crate::mns::api::{ApiError, UnexpectedDocument};
use crate::report::Report;
use crate::tls_error;

/// Why there is no answer, or not the requested one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refused the request.
    #[error("{} {}: {} (request {})", status, error.code, error.message, error.request_id)]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The reason that it gave.
        error: ApiError,
    },
    /// An answer without an error document, as from a proxy.
    #[error(
        "the answer was {0}, without an error document of MNS: is this the endpoint of the API?"
    )]
    Foreign(u16),
    /// No connection, no TLS, or a timeout.
    #[error("{base} cannot be reached: {why}")]
    Unreachable {
        /// The address of the API.
        base: String,
        /// What went wrong, and what to do about a certificate.
        why: String,
    },
    /// The answer is larger than any answer of the API.
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// The pages of a list do not end.
    #[error("the service's list does not end: {0}; is this the endpoint of the API?")]
    Endless(EndlessList),
    /// The answer cannot be parsed.
    #[error("the answer cannot be read")]
    Malformed(#[from] MalformedDocument),
    /// The answer lacks an element, or has an invalid value.
    #[error("the answer does not have the requested content")]
    Unexpected(#[from] UnexpectedDocument),
    /// A name or a message that cannot be put into a request.
    #[error("the request cannot be built")]
    Request(#[from] http::Error),
    /// The TLS library cannot be used.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
}

impl ClientError {
    pub(super) fn unreachable(base: &str, error: &reqwest::Error) -> Self {
        let why = tls_error::with_peer(error, base, tls_error::INSTALL_ROOT);
        Self::Unreachable {
            base: base.to_owned(),
            why: why.unwrap_or_else(|| Report(error).to_string()),
        }
    }
}

/// How a list shows that it does not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndlessList {
    /// A page names a marker that an earlier one named.
    #[error("the marker {0:?} was repeated")]
    SameMarker(String),
    /// There are too many pages.
    #[error("it has more than {PAGES_MAX} pages")]
    TooManyPages,
    /// There are too many names.
    #[error("its names have more than {NAMES_BYTES_MAX} bytes")]
    TooManyNames,
    /// The pages take too long.
    #[error("its pages did not arrive within {LIST_TIMEOUT:?}")]
    TooLong,
}
