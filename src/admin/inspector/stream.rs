//! Streams requests as they arrive, by server-sent events. Ten times a second each stream reads
//! what is new in memory. There is no queue: a slow reader skips more rows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::admin::inspector::filter::{Filter, PARAMETERS};
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::query::Query;
use crate::admin::respond::ApiError;
use crate::net;

/// How often a stream looks for new requests.
const TICK: Duration = Duration::from_millis(100);
/// The most rows in one event.
const ROWS_MAX: usize = 200;
/// How often a stream sends the current state. Sending also detects that the reader has left.
const STATE_EVERY: Duration = Duration::from_secs(1);

/// `GET /api/stream`.
pub(super) fn stream(inspector: &Arc<Inspector>, uri: &Uri) -> Result<Response, ApiError> {
    let query = Query::of(uri, &[&PARAMETERS[..], &["after"]].concat())?;
    let endpoint = &inspector.endpoint;
    let filter = Filter::of(&query, endpoint.clock.now(), &inspector.rows.zone)?;
    let last = endpoint.recent.last();
    // A number from before a restart has no meaning in this process.
    let after = query.parsed::<u64>("after")?.filter(|after| *after <= last);
    let Some(permit) = inspector.streams.take() else {
        let text = "there are as many streams as there may be: close another page";
        let mut response =
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", text).response();
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return Ok(response);
    };
    let source = Source {
        inspector: inspector.clone(),
        filter,
        seq: after.unwrap_or(last),
        _permit: permit,
    };
    // Room for one event: the next one is built when the reader has taken it.
    let (events, mut taken) = mpsc::channel::<Bytes>(1);
    tokio::spawn(source.run(events));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        // Without this header nginx buffers events until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body: Body = net::streamed(move |cx| taken.poll_recv(cx));
    Ok((headers, body).into_response())
}

/// The state of a stream.
struct Source {
    inspector: Arc<Inspector>,
    filter: Filter,
    /// The number of the last row that was looked at.
    seq: u64,
    _permit: OwnedSemaphorePermit,
}

impl Source {
    /// Runs until the reader leaves. If the listener stops, it ends with a `bye` event.
    async fn run(mut self, events: mpsc::Sender<Bytes>) {
        let start = format!("{:x}", self.inspector.rows.start);
        let hello = json!({ "seq": self.seq, "start": start });
        if events.send(event("hello", None, &hello)).await.is_err() {
            return;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state_due = Instant::now();
        loop {
            tokio::select! {
                () = self.inspector.stop.cancelled() => {
                    // The stop must not wait for a slow reader.
                    drop(events.try_send(event("bye", None, &json!({}))));
                    return;
                }
                () = events.closed() => return,
                _ = ticks.tick() => {}
            }
            // The reader has not taken the last event: the rows of this tick are in the next one.
            let Ok(room) = events.try_reserve() else {
                continue;
            };
            let mut bytes = Vec::new();
            if let Some((seq, rows)) = self.rows() {
                bytes.extend_from_slice(&event("rows", Some(seq), &rows));
            }
            if Instant::now() >= state_due {
                state_due = Instant::now().checked_add(STATE_EVERY).unwrap_or(state_due);
                bytes.extend_from_slice(&event("state", None, &self.inspector.state_json()));
            }
            if !bytes.is_empty() {
                room.send(bytes.into());
            }
        }
    }

    /// The new rows that match: the newest of them if there are too many.
    fn rows(&mut self) -> Option<(u64, Value)> {
        let inspector = &self.inspector;
        let new = inspector.endpoint.recent.after(self.seq);
        let newest = new.last()?.seq;
        let looked_at = u64::try_from(new.len()).unwrap_or(u64::MAX);
        // Rows that were dropped from memory before this stream read them.
        let mut skipped = newest.saturating_sub(self.seq).saturating_sub(looked_at);
        self.seq = newest;
        let mut rows = Vec::new();
        for recorded in new.iter().rev() {
            let names = Names::of(&recorded.summary);
            if !self
                .filter
                .fits(&recorded.summary, &names, &inspector.rows.paths)
            {
                continue;
            }
            if rows.len() < ROWS_MAX {
                rows.push(inspector.rows.row(recorded, &names));
            } else {
                skipped = skipped.saturating_add(1);
            }
        }
        rows.reverse();
        inspector.skipped.fetch_add(skipped, Ordering::Relaxed);
        let is_empty = rows.is_empty() && skipped == 0;
        let event = json!({ "seq": newest, "rows": rows, "skipped": skipped });
        (!is_empty).then_some((newest, event))
    }
}

/// Formats an event. The JSON has no line feed, which would end the field.
fn event(name: &str, id: Option<u64>, data: &Value) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}
