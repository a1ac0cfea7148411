//! The endpoint: the one path from a request to its answer.
//!
//! [`service`] gives the service that `net` serves. Each request takes the straight path of
//! `receive`; each answer is decided in `respond`; what it leaves in the logs is made in `entry`.

mod awaited;
mod counts;
mod entry;
mod head;
mod in_flight;
mod reason;
mod receive;
mod refused;
mod refused_rate;
mod rejection;
mod remarks;
mod respond;
mod secret_path;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::Request;
use axum::handler::Handler as _;
use axum::response::Response;
use http::HeaderMap;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::clock::Clock;
use crate::journal::{AccessField, Format, Journal};
use crate::quarantine::Quarantine;
use crate::trust::{Admission, Verifier};

pub use counts::{Counts, SubscriptionCount};
pub use in_flight::{AWAITED_BYTES_MAX, InFlight};
pub use reason::Reason;
pub use refused_rate::{RefusedLimits, RefusedRate, look_after_each_second};
pub use rejection::Rejection;
pub use secret_path::{SecretPath, SecretPathError};

/// Everything is done within this time of a request's first byte, up to the hand-over to the
/// journal. MNS gives up at 5 s.
pub const BUDGET: Duration = Duration::from_secs(3);

/// The parts of a running endpoint.
pub struct Endpoint {
    /// Decides which requests are taken; another one may take its place while requests are
    /// answered.
    pub gate: ArcSwap<Gate>,
    /// Keeps them.
    pub journal: Journal,
    /// What is served, and how it is logged.
    pub settings: Settings,
    /// How much refusals may write.
    pub refused: RefusedRate,
    /// Keeps refused requests.
    pub quarantine: Quarantine,
    /// What is in work.
    pub in_flight: InFlight,
    /// What is counted.
    pub counts: Counts,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The zone of the times in the logs.
    pub zone: TimeZone,
    /// Cancelled when no new connections are wanted.
    pub draining: CancellationToken,
}

/// What decides which requests are taken. Each request meets one of them from its first check to
/// its last.
pub struct Gate {
    /// Proves who sent a request.
    pub verifier: Verifier,
    /// Says which genuine ones are meant for us.
    pub admission: Admission,
}

/// What is served, and how it is logged.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where MNS posts.
    pub paths: Paths,
    /// What a proxy cut off the path: put back before a path is compared or a signature looked at.
    pub path_prefix: String,
    /// Where load balancers ask for our health.
    pub health_path: Option<String>,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// The form of both logs.
    pub format: Format,
    /// How much of an accepted request stands before its outcome.
    pub shown: Shown,
    /// How much of a refused body is logged, in bytes.
    pub refused_body_bytes: usize,
    /// How many refusals a second are logged with their details; `None` knows no bound.
    pub refused_per_second: Option<u64>,
    /// How many bytes of access lines refusals have each second; `None` knows no bound.
    pub refused_line_bytes: Option<u64>,
    /// What stands in the access log after the manual's fields.
    pub access_fields: Vec<AccessField>,
}

/// The paths that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// Every path.
    Any,
    /// These, byte for byte.
    These(Vec<String>),
    /// One that is known to MNS and the owner alone, behind what a proxy cut off.
    Secret(SecretPath),
}

/// How much of an accepted request stands in the endpoint log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// Headers and body.
    Full,
    /// Headers.
    Headers,
    /// Nothing: the outcome stands alone.
    Off,
}

impl Settings {
    /// How much refusals may write.
    #[must_use]
    pub fn refused_limits(&self) -> RefusedLimits {
        RefusedLimits {
            records: self.refused_per_second,
            body_bytes: self.refused_body_bytes,
            line_bytes: self.refused_line_bytes,
        }
    }

    fn serves(&self, path: &str) -> bool {
        match &self.paths {
            Paths::Any => true,
            Paths::These(paths) => paths.iter().any(|served| served == path),
            Paths::Secret(secret) => path
                .strip_prefix(&self.path_prefix)
                .is_some_and(|path| secret.serves(path)),
        }
    }
}

impl Paths {
    /// A text as it may be shown.
    fn hide<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Any | Self::These(_) => Cow::Borrowed(text),
            Self::Secret(secret) => secret.hide(text),
        }
    }

    /// Headers as they may be shown.
    fn hide_in<'a>(&self, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        match self {
            Self::Any | Self::These(_) => Cow::Borrowed(headers),
            Self::Secret(secret) => secret.hide_in(headers),
        }
    }
}

/// The service of an endpoint.
///
/// One handler for every path and method: what is not served is refused and logged like anything
/// else.
pub fn service(
    endpoint: Arc<Endpoint>,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    receive::answer.with_state(endpoint)
}
