//! Asks a server about a stream.

use std::time::Duration;

use async_nats::jetstream::stream::Info;
use tokio::time::timeout;

use crate::forward::Failure;
use crate::forward::nats::connection::Connection;

/// How long the answer may take. Nothing that is forwarded depends on it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a server says about a stream. `None` if it does not answer in time, or not with that: there
/// may be no such stream.
///
/// # Errors
/// Whoever may only publish may not ask, which the server says at once. Or the connection was lost.
pub(super) async fn stream_info(
    connection: &Connection,
    stream: &str,
) -> Result<Option<Info>, Failure> {
    let asked = format!("$JS.API.STREAM.INFO.{stream}");
    let found = connection.unless_refused(&asked, connection.context.get_stream(stream));
    let Ok(found) = timeout(ANSWER_TIMEOUT, found).await else {
        return Ok(None);
    };
    Ok(found?.ok().map(|stream| stream.cached_info().clone()))
}
