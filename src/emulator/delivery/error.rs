//! Why an endpoint did not answer.

use std::io;
use std::time::Duration;

/// How long MNS waits for an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The endpoint cannot be reached.
    #[error("cannot connect to {authority}")]
    Connect {
        /// The endpoint.
        authority: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The endpoint does not speak TLS, or its certificate is not trusted.
    #[error("{0}")]
    Tls(
        /// The problem, the endpoint and what to do.
        String,
    ),
    /// The connection broke.
    #[error("the connection broke before an answer arrived")]
    Broken(#[source] io::Error),
    /// The answer took too long.
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    TimedOut,
    /// The endpoint answered with TLS.
    #[error("the endpoint answers with TLS: its address begins with https://")]
    NotPlain,
    /// The endpoint did not answer with HTTP.
    #[error("the answer is not HTTP: is this the endpoint's port?")]
    NotHttp,
}
