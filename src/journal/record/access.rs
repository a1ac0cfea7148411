//! A line of the access log: the ten fields of the manual, then the configured ones.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::journal::record::escape::{json_string, json_text, quote_into};
use crate::journal::record::{Format, Stamp};

/// One answer, as the access log records it. Missing values are written as `-`.
#[derive(Debug, Clone)]
pub struct AccessLine<'a> {
    /// When the answer was made.
    pub stamp: &'a Stamp,
    /// The request's method.
    pub method: &'a [u8],
    /// The status of the answer.
    pub status: u16,
    /// The request's target, as the request line had it.
    pub target: &'a [u8],
    /// `HTTP/1.1`
    pub version: &'a str,
    /// The value of Content-Length.
    pub content_length: Option<&'a [u8]>,
    /// The value of Host.
    pub host: Option<&'a [u8]>,
    /// The value of User-Agent.
    pub user_agent: Option<&'a [u8]>,
    /// The value of x-mns-request-id.
    pub request_id: Option<&'a [u8]>,
    /// The value of x-mns-version.
    pub mns_version: Option<&'a [u8]>,
    /// The peer's address.
    pub peer: Option<SocketAddr>,
    /// The time from the first byte of the request to the hand-over to the journal.
    pub duration: Option<Duration>,
    /// The reason key, if something was odd or wrong.
    pub reason: Option<&'a str>,
    /// The notification's id, once the request is known to be a notification.
    pub message_id: Option<&'a [u8]>,
}

/// A field that the configuration appends to those of the manual.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum AccessField {
    /// The peer's address and port.
    Peer,
    /// Whole milliseconds from the first byte to the hand-over to the journal.
    DurationMs,
    /// The reason key of a refusal, or of a remark on an accepted request.
    Reason,
    /// The notification's id.
    MessageId,
}

impl AccessLine<'_> {
    /// Appends the line, with its line break.
    pub fn write(&self, out: &mut Vec<u8>, format: Format, extra: &[AccessField]) {
        match format {
            Format::Text => self.write_text(out, extra),
            Format::Json => self.write_json(out, extra),
        }
        out.push(b'\n');
    }

    fn write_text(&self, out: &mut Vec<u8>, extra: &[AccessField]) {
        out.push(b'[');
        out.extend_from_slice(self.stamp.access().as_bytes());
        out.push(b']');
        let mut blank = false;
        let mut field = |value: &[u8]| {
            if std::mem::replace(&mut blank, true) {
                out.push(b' ');
            }
            quote_into(out, value);
        };
        field(self.method);
        field(self.status.to_string().as_bytes());
        field(self.target);
        field(self.version.as_bytes());
        for value in [
            self.content_length,
            self.host,
            self.user_agent,
            self.request_id,
            self.mns_version,
        ] {
            field(value.unwrap_or(b"-"));
        }
        for name in extra {
            field(self.extra(*name).as_deref().unwrap_or(b"-"));
        }
    }

    fn write_json(&self, out: &mut Vec<u8>, extra: &[AccessField]) {
        let mut line = Map::new();
        let text = |value: Option<&[u8]>| value.map_or(Value::Null, json_string);
        line.insert("time".to_owned(), Value::from(self.stamp.rfc3339()));
        line.insert("method".to_owned(), json_string(self.method));
        line.insert("status".to_owned(), Value::from(self.status));
        line.insert("target".to_owned(), json_string(self.target));
        line.insert("version".to_owned(), Value::from(self.version));
        line.insert("content_length".to_owned(), text(self.content_length));
        line.insert("host".to_owned(), text(self.host));
        line.insert("user_agent".to_owned(), text(self.user_agent));
        line.insert("request_id".to_owned(), text(self.request_id));
        line.insert("mns_version".to_owned(), text(self.mns_version));
        for name in extra {
            let key: &'static str = (*name).into();
            let value = match name {
                AccessField::DurationMs => {
                    let ms = self
                        .duration
                        .and_then(|duration| u64::try_from(duration.as_millis()).ok());
                    ms.map_or(Value::Null, Value::from)
                }
                AccessField::Peer | AccessField::Reason | AccessField::MessageId => {
                    text(self.extra(*name).as_deref())
                }
            };
            line.insert(key.to_owned(), value);
        }
        out.extend_from_slice(json_text(&Value::Object(line)).as_bytes());
    }

    fn extra(&self, field: AccessField) -> Option<Vec<u8>> {
        match field {
            AccessField::Peer => self.peer.map(|peer| peer.to_string().into_bytes()),
            AccessField::DurationMs => self
                .duration
                .map(|duration| duration.as_millis().to_string().into_bytes()),
            AccessField::Reason => self.reason.map(|reason| reason.as_bytes().to_vec()),
            AccessField::MessageId => self.message_id.map(<[u8]>::to_vec),
        }
    }
}
