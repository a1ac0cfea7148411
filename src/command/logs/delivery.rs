//! Delivers a notification to a receiver: builds the request, retries it, and decides what counts
//! as delivered.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use rustls::ClientConfig;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::command::logs::request::AsSent;
use crate::emulator::{Connection, Target};
use crate::journal::Row;
use crate::report::Report;
use crate::traces::TraceContext;

/// The wait before the first retry. It doubles with each further one.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The longest wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Informs the receiver that this may be a repeated delivery. The name does not start with
/// `x-mns-`, because MNS signs such headers.
const REPLAY: (&str, &[u8]) = ("mns-endpoint-replay", b"1");
/// Names the span of this delivery. The push's own header is left out, because it is not signed.
const TRACEPARENT: &str = "traceparent";
/// Headers of the old connection, and headers that the new one writes itself.
const LEFT_OUT: [&str; 7] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "expect",
    REPLAY.0,
    TRACEPARENT,
];
/// The attributes of a notification and the headers that carry them.
const ATTRIBUTES: [(&str, &str); 8] = [
    ("MessageId", "mns-message-id"),
    ("MessageTag", "mns-message-tag"),
    ("MessageMD5", "mns-message-md5"),
    ("TopicName", "mns-topic-name"),
    ("TopicOwner", "mns-topic-owner"),
    ("SubscriptionName", "mns-subscription-name"),
    ("Subscriber", "mns-subscriber"),
    ("PublishTime", "mns-publish-time"),
];

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// The message.
    Message,
    /// The request.
    Request,
}

/// The bytes of one request.
pub(super) struct Delivery(Vec<u8>);

impl Delivery {
    /// Builds the request for a row.
    pub(super) fn of(row: &Row, form: Form, target: &Target) -> anyhow::Result<Self> {
        let (headers, body) = match form {
            Form::Message => {
                let message = row.message().unwrap_or_default().to_vec();
                let known = |(attribute, header): (&str, &str)| {
                    let value = row.record.attribute(attribute)?;
                    Some((header.to_owned(), printable(value)))
                };
                (ATTRIBUTES.into_iter().filter_map(known).collect(), message)
            }
            Form::Request => {
                let sent = AsSent::of(row)?;
                (sent.headers, sent.body)
            }
        };
        Ok(Self(request(target, &headers, &body)))
    }
}

fn request(target: &Target, headers: &[(String, Vec<u8>)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("POST {} HTTP/1.1\r\n", target.path()).into_bytes();
    let mut add = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    add("host", target.authority().as_bytes());
    for (name, value) in headers {
        if !LEFT_OUT.contains(&name.as_str()) {
            add(name, value);
        }
    }
    add(REPLAY.0, REPLAY.1);
    add(TRACEPARENT, TraceContext::outgoing().to_string().as_bytes());
    add("content-length", body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// Escapes a header value: bytes that a header cannot carry are percent-encoded.
fn printable(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in value {
        match byte {
            // Bytes from 0x80 on are allowed in a header value (RFC 9110, 5.5).
            b' '..=b'~' | 0x80.. => out.push(*byte),
            control => out.extend_from_slice(format!("%{control:02X}").as_bytes()),
        }
    }
    out
}

/// The address that notifications are posted to.
pub(super) struct Receiver {
    target: Target,
    tls: Arc<ClientConfig>,
    retries: u32,
    /// Idle connections, for the next delivery.
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Receiver {
    pub(super) fn new(target: &Target, retries: u32, tls: Arc<ClientConfig>) -> Self {
        Self {
            target: target.clone(),
            tls,
            retries,
            idle: Arc::default(),
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Starts a task that posts the request until it is answered 2xx or its retries are used up.
    pub(super) fn send(&self, delivery: Delivery) -> JoinHandle<Result<(), String>> {
        let (target, tls) = (self.target.clone(), self.tls.clone());
        let (idle, retries) = (self.idle.clone(), self.retries);
        tokio::spawn(async move {
            // The connection that was used last, because the receiver is least likely to have
            // closed it.
            let kept = idle.lock().await.pop();
            let mut connection = kept.unwrap_or_else(|| Connection::new(target, tls));
            let mut wait = RETRY_AFTER;
            let mut tried = 0;
            loop {
                let problem = match connection.deliver(&delivery.0).await {
                    Ok(answer) if answer.is_success() => {
                        idle.lock().await.push(connection);
                        return Ok(());
                    }
                    Ok(answer) => format!("it was answered {}", answer.status),
                    Err(error) => Report(&error).to_string(),
                };
                if tried >= retries {
                    return Err(problem);
                }
                tried = tried.saturating_add(1);
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(RETRY_AFTER_MAX);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_a_header() {
        assert_eq!(
            printable("a\r\nb\u{738b}".as_bytes()),
            "a%0D%0Ab\u{738b}".as_bytes()
        );
    }
}
