//! A request as a row of the list: who sent it, what it says and what came of it.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::admin::inspector::request::{Head, beginning, claimed, judged, text_or_base64};
use crate::mns::header;
use crate::server::{Paths, Recorded, Summary};

/// How much of a message a row has, in bytes.
const PREVIEW_BYTES: usize = 240;

/// What rows are written with.
pub(super) struct Rows {
    /// The zone of their times.
    pub(super) zone: TimeZone,
    /// Tells the ids of this process from those of another start.
    pub(super) start: u64,
    /// What of a target may be shown.
    pub(super) paths: Paths,
}

/// The names that a request has, proved or claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) topic: Vec<u8>,
    pub(super) subscription: Vec<u8>,
    pub(super) tag: Vec<u8>,
    pub(super) message_id: Vec<u8>,
    pub(super) preview: Vec<u8>,
    pub(super) message_bytes: usize,
}

impl Names {
    /// What was verified, else what the request claims.
    pub(super) fn of(summary: &Summary) -> Self {
        if let Some(said) = &summary.said {
            return Self {
                topic: said.topic().to_vec(),
                subscription: said.subscription().to_vec(),
                tag: said.tag().to_vec(),
                message_id: said.message_id().to_vec(),
                preview: said.preview().to_vec(),
                message_bytes: said.message_bytes,
            };
        }
        let request = judged(summary);
        let Some(claims) = request.as_ref().and_then(claimed) else {
            return Self::default();
        };
        let cut = claims.message.len().min(PREVIEW_BYTES);
        Self {
            topic: claims.topic_name.to_vec(),
            subscription: claims.subscription_name.to_vec(),
            tag: claims.message_tag.to_vec(),
            message_id: claims.message_id.to_vec(),
            preview: claims.message.get(..cut).unwrap_or_default().to_vec(),
            message_bytes: claims.message.len(),
        }
    }
}

impl Rows {
    /// The id under which a request is asked for again.
    pub(super) fn id(&self, seq: u64) -> String {
        format!("{:x}-{seq:x}", self.start)
    }

    /// The number in an id; `None` if it is no id of this process.
    pub(super) fn seq(&self, id: &str) -> Option<u64> {
        let (start, seq) = id.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        (number(start)? == self.start)
            .then(|| number(seq))
            .flatten()
    }

    /// RFC 3339 with milliseconds and the offset of the zone.
    pub(super) fn time(&self, time: SystemTime) -> String {
        let time = Timestamp::try_from(time).unwrap_or_default();
        time.to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
            .to_string()
    }

    pub(super) fn row(&self, recorded: &Recorded, names: &Names) -> Value {
        let summary = &recorded.summary;
        let head = Head::of(summary, &self.paths);
        let (method, target) = head.line();
        let request_id = head.header(header::REQUEST_ID.as_str()).unwrap_or_default();
        let outcome: &str = summary.outcome.into();
        json!({
            "seq": recorded.seq,
            "id": self.id(recorded.seq),
            "came": self.time(summary.came),
            "outcome": outcome,
            "status": summary.status,
            "reason": summary.reason.map(crate::server::Reason::key),
            "topic": text_or_base64(&names.topic),
            "subscription": text_or_base64(&names.subscription),
            "claimed": summary.said.is_none(),
            "tag": text_or_base64(&names.tag),
            "message_id": text_or_base64(&names.message_id),
            "request_id": text_or_base64(request_id),
            "method": method,
            "target": target,
            "peer": summary.peer.to_string(),
            "bytes": summary.body_bytes,
            "message_bytes": names.message_bytes,
            "preview": beginning(&names.preview),
            "took_us": u64::try_from(summary.took.as_micros()).unwrap_or(u64::MAX),
        })
    }
}
