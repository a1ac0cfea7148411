//! The endpoint: takes a request from its head to its answer.
//!
//! An [`Endpoint`] is a [`Responder`](crate::net::Responder), which `net` calls for each request.
//! `receive` has the steps in their order, `respond` builds each answer, and `entry`, `refused` and
//! `refusal` build what the request leaves in the logs.

mod awaited;
mod body;
mod counts;
mod endpoint;
mod entry;
mod facts;
mod in_flight;
mod left_out;
mod push;
mod reason;
mod receive;
mod recent;
mod refusal;
mod refused;
mod refused_rate;
mod rejection;
mod remarks;
mod remember;
mod respond;
mod secret_path;
mod settings;
mod status;
mod summary;
mod traced;

pub use counts::{Counts, SubscriptionCount};
pub use endpoint::{BUDGET, Endpoint, Gate, Parts};
pub use entry::is_refused_field_whole;
pub use in_flight::{AWAITED_BYTES_MAX, InFlight};
pub use left_out::look_after_each_second;
pub use reason::Reason;
pub use recent::{Recent, Recorded};
pub use refused_rate::{RefusedLimits, RefusedRate};
pub use rejection::Rejection;
pub use secret_path::{SecretPath, SecretPathError};
pub use settings::{Paths, RequestDetail, Settings};
pub use summary::{Said, Summary};
