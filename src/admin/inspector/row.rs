//! A request as a row of the list: who sent it, what it says and what its outcome is. Requests from
//! memory and from the log files give the same row.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::admin::inspector::logged::Logged;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::request::{Head, beginning, text_or_base64};
use crate::mns::header;
use crate::server::{Paths, Recorded};

/// What is needed to build rows.
pub(super) struct Rows {
    /// The zone of their times.
    pub(super) zone: TimeZone,
    /// Distinguishes ids of this process from those of an earlier start.
    pub(super) start: u64,
    /// Hides a secret path in a target.
    pub(super) paths: Paths,
}

/// The columns of a row.
struct Cells<'a> {
    /// Only a request in memory has a number.
    seq: Option<u64>,
    id: String,
    came: Value,
    outcome: &'a str,
    status: Option<u16>,
    reason: Option<Cow<'a, str>>,
    names: &'a Names,
    is_claimed: bool,
    request_id: &'a [u8],
    line: (String, String),
    peer: Cow<'a, str>,
    /// The length of its body. Unknown if the request was not logged.
    bytes: Option<usize>,
    /// Known only in memory.
    took: Option<Duration>,
}

impl Rows {
    /// The id of a request in memory.
    pub(super) fn id(&self, seq: u64) -> String {
        format!("{:x}-{seq:x}", self.start)
    }

    /// The number in an id. `None` if the id is not of this process.
    pub(super) fn seq(&self, id: &str) -> Option<u64> {
        let (start, seq) = id.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        (number(start)? == self.start)
            .then(|| number(seq))
            .flatten()
    }

    /// Formats a time as RFC 3339 with milliseconds and the offset of the zone.
    pub(super) fn time(&self, time: SystemTime) -> String {
        let time = Timestamp::try_from(time).unwrap_or_default();
        time.to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
            .to_string()
    }

    /// The row of a request in memory.
    pub(super) fn row(&self, recorded: &Recorded, names: &Names) -> Value {
        let summary = &recorded.summary;
        let head = Head::of(summary.head(), &self.paths);
        let request_id = head.header(header::REQUEST_ID.as_str()).unwrap_or_default();
        Cells {
            seq: Some(recorded.seq),
            id: self.id(recorded.seq),
            came: json!(self.time(summary.came)),
            outcome: summary.outcome.into(),
            status: Some(summary.status),
            reason: summary.reason.map(|reason| reason.key().into()),
            names,
            is_claimed: summary.said.is_none(),
            request_id,
            line: head.line(),
            peer: summary.peer.to_string().into(),
            bytes: Some(summary.body_bytes),
            took: Some(summary.took),
        }
        .json()
    }

    /// The row of a request in the log files.
    pub(super) fn logged(&self, logged: &Logged, names: &Names) -> Value {
        let row = &logged.row;
        let reason = row.reason().map(String::from_utf8_lossy);
        Cells {
            seq: None,
            id: row.position.to_string(),
            came: json!(row.time().map(|time| time.rfc3339(&self.zone))),
            outcome: logged.outcome.into(),
            status: row.status().map(|status| status.as_u16()),
            // The list shows one key, as for rows in memory.
            reason: reason.map(|keys| keys.split(',').next().unwrap_or_default().to_owned().into()),
            names,
            is_claimed: row.labels.is_claimed || logged.is_unproved(),
            request_id: row.request_id().unwrap_or_default(),
            line: Head::of(&logged.head(), &self.paths).line(),
            peer: String::from_utf8_lossy(row.peer().unwrap_or_default()),
            bytes: logged.body_bytes(),
            took: None,
        }
        .json()
    }
}

impl Cells<'_> {
    fn json(&self) -> Value {
        let (method, target) = &self.line;
        let took = self.took.map(|took| took.as_micros());
        json!({
            "seq": self.seq,
            "id": self.id,
            "came": self.came,
            "outcome": self.outcome,
            "status": self.status,
            "reason": self.reason,
            "topic": text_or_base64(&self.names.topic),
            "subscription": text_or_base64(&self.names.subscription),
            "claimed": self.is_claimed,
            "tag": text_or_base64(&self.names.tag),
            "message_id": text_or_base64(&self.names.message_id),
            "request_id": text_or_base64(self.request_id),
            "method": method,
            "target": target,
            "peer": self.peer,
            "bytes": self.bytes,
            "message_bytes": self.names.message_bytes,
            "preview": beginning(&self.names.preview),
            "took_us": took.map(|took| u64::try_from(took).unwrap_or(u64::MAX)),
        })
    }
}
