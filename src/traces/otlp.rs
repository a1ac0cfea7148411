//! The OTLP messages that a trace is sent in, declared by hand, and their construction.
//!
//! The field numbers are those of `opentelemetry/proto/trace/v1/trace.proto` and its imports. Only
//! the fields that are sent are declared: a reader of protobuf treats a missing field as empty.

use std::time::{Duration, Instant, SystemTime};

use prost::Message;

use crate::traces::context::new_span_id;
use crate::traces::queue::Finished;
use crate::traces::trace::{Answered, Stage, Subject, Trace};

/// `SPAN_KIND_INTERNAL`: a stage within this process.
const INTERNAL: i32 = 1;
/// `SPAN_KIND_SERVER`: the answer to a request.
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`: the span ended with a failure of this server.
const ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// Builds the request that carries a batch of traces.
pub(super) fn request(batch: &[Finished]) -> ExportRequest {
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            text("service.name", "mns-endpoint"),
            text("service.version", version),
        ],
    };
    let scope = Scope {
        name: "mns-endpoint".to_owned(),
        version: version.to_owned(),
    };
    ExportRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: batch.iter().flat_map(spans).collect(),
            }],
        }],
    }
}

/// The span of a push, followed by the spans of its stages.
fn spans(finished: &Finished) -> impl Iterator<Item = Span> {
    let Finished { trace, answered } = finished;
    let stages = [
        ("verify", trace.verify.get()),
        ("commit", trace.commit.get()),
    ];
    let stages = stages
        .into_iter()
        .filter_map(|(name, stage)| Some(stage_span(name, stage?, trace, answered)));
    std::iter::once(push_span(trace, answered)).chain(stages)
}

fn push_span(trace: &Trace, answered: &Answered) -> Span {
    let mut attributes = vec![
        text("messaging.system", "aliyun_mns"),
        text("messaging.operation.name", "receive"),
        number("http.response.status_code", i64::from(answered.status)),
    ];
    let mut name = "receive".to_owned();
    if let Some(Subject {
        topic,
        subscription,
        message_id,
    }) = trace.subject.get()
    {
        name = format!("receive {topic}");
        attributes.extend([
            text("messaging.destination.name", topic),
            text("messaging.destination.subscription.name", subscription),
            text("messaging.message.id", message_id),
        ]);
    }
    attributes.extend(answered.reason.map(|key| text("error.type", key)));
    // By the conventions of OpenTelemetry for HTTP servers, a 4xx is not an error of the server
    // span.
    let status = answered.reason.filter(|_| answered.status >= 500);
    Span {
        parent_span_id: trace
            .parent()
            .map_or_else(Vec::new, |parent| id(parent.span_id)),
        name,
        kind: SERVER,
        attributes,
        status: status.map(|key| Status {
            message: key.to_owned(),
            code: ERROR,
        }),
        ..span(
            trace,
            trace.span_id(),
            answered.first_byte,
            answered.end,
            answered,
        )
    }
}

fn stage_span(name: &str, stage: &Stage, trace: &Trace, answered: &Answered) -> Span {
    let end = stage.begun.checked_add(stage.took).unwrap_or(stage.begun);
    Span {
        parent_span_id: id(trace.span_id()),
        name: name.to_owned(),
        kind: INTERNAL,
        ..span(trace, new_span_id(), stage.begun, end, answered)
    }
}

fn span(trace: &Trace, span_id: u64, begun: Instant, end: Instant, answered: &Answered) -> Span {
    Span {
        trace_id: trace.trace_id().to_be_bytes().to_vec(),
        span_id: id(span_id),
        start_time_unix_nano: nanoseconds(begun, answered),
        end_time_unix_nano: nanoseconds(end, answered),
        ..Span::default()
    }
}

fn id(span_id: u64) -> Vec<u8> {
    span_id.to_be_bytes().to_vec()
}

/// Converts an instant to nanoseconds of Unix time, relative to the time of day at the answer, so
/// that all spans of a push use one clock.
fn nanoseconds(instant: Instant, answered: &Answered) -> u64 {
    let before = answered.end.saturating_duration_since(instant);
    let time = answered.now.checked_sub(before);
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    u64::try_from(since.map_or(0, |since: Duration| since.as_nanos())).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    of(key, Value::Text(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    of(key, Value::Number(value))
}

fn of(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}
