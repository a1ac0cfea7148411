//! A row: the outcome of one request, and the request as far as it was logged.

use std::sync::OnceLock;

use http::StatusCode;

use crate::journal::read::parts::{Parts, header_of_request};
use crate::journal::read::position::Position;
use crate::journal::read::time::RecordTime;
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};
use crate::mns::Notification;

/// The header with the id of the request.
const REQUEST_ID: &str = "x-mns-request-id";
/// The prefix of the headers that MNS sends.
const MNS_PREFIX: &str = "x-mns-";
/// The titles of refusals and their statuses.
const REFUSALS: [(&str, StatusCode); 8] = [
    ("Access Forbidden!", StatusCode::FORBIDDEN),
    ("Invalid Notify Message!", StatusCode::BAD_REQUEST),
    ("Service Unavailable!", StatusCode::SERVICE_UNAVAILABLE),
    ("Not Found!", StatusCode::NOT_FOUND),
    ("Method Not Allowed!", StatusCode::METHOD_NOT_ALLOWED),
    ("Payload Too Large!", StatusCode::PAYLOAD_TOO_LARGE),
    ("Request Timeout!", StatusCode::REQUEST_TIMEOUT),
    (
        "Unsupported Media Type!",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    ),
];

/// The outcome of a request, as its record says.
///
/// The record of an accepted request is written before the answer: if the 201 also depends on a
/// destination that does not acknowledge the notification, the answer is 503 after all.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Answered 201, and written to the log for the first time.
    Accepted,
    /// Answered 201, and in the log already.
    Duplicate,
    /// Answered 201 although something was unusual: see the reason.
    Remark,
    /// Answered 4xx: MNS retries the push for a while, or gives up.
    Refused,
    /// Answered 503: MNS retries the push.
    Deferred,
    /// Refused by mistake, and appended later by `logs recover`.
    Recovered,
    /// Not an answer to a push: a start, a count of refusals, a new key, or a request whose outcome
    /// was cut off by a crash. The inspector also counts a stranger's request here, if it has a
    /// wrong path or method and none of the headers that MNS sends.
    Other,
}

/// The identity of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// The name of the topic.
    pub topic: Vec<u8>,
    /// The name of the subscription.
    pub subscription: Vec<u8>,
    /// The tag of the message.
    pub tag: Vec<u8>,
    /// The id of the message.
    pub message_id: Vec<u8>,
    /// Whether the names and ids are unverified, because the request was refused before its
    /// signature was verified.
    pub is_claimed: bool,
}

/// The outcome of one request.
#[derive(Debug, Clone)]
pub struct Row {
    /// The position at which the row begins.
    pub position: Position,
    /// The record of the request, parsed at its first use: forwarding does not need its headers and
    /// body.
    request: OnceLock<Option<Parts>>,
    /// The offset in `raw` at which the record of the outcome begins.
    last: usize,
    /// The record of the outcome.
    pub record: Parts,
    /// The bytes of both records.
    pub raw: Vec<u8>,
    /// The identity of its notification.
    pub labels: Labels,
}

// All other fields follow from `position`, `last` and `raw`.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        (self.position, self.last, &self.raw) == (other.position, other.last, &other.raw)
    }
}

impl Eq for Row {}

impl Row {
    /// Builds a row from the bytes of one or two records, of which the last begins at `last`.
    /// Returns `None` if this program does not write such records.
    pub(super) fn of(position: Position, raw: Vec<u8>, last: usize) -> Option<Self> {
        let record = Parts::of(raw.get(last..)?)?;
        let mut row = Self {
            position,
            request: OnceLock::new(),
            last,
            record,
            raw,
            labels: Labels::default(),
        };
        row.labels = Labels::of(&row.record, || row.as_sent());
        Some(row)
    }

    /// The record of the request, if it was logged separately.
    #[must_use]
    pub fn request(&self) -> Option<&Parts> {
        let request = self.request.get_or_init(|| Parts::of(self.raw_request()));
        request.as_ref()
    }

    /// The bytes of the record of the request. Empty if the request was not logged separately.
    fn raw_request(&self) -> &[u8] {
        self.raw.get(..self.last).unwrap_or_default()
    }

    /// The outcome of the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.record.event.as_str() {
            // The record of an accepted request has a reason only if there was a remark on the
            // request.
            SUCCEED if self.reason().is_some() => Outcome::Remark,
            SUCCEED => Outcome::Accepted,
            DUPLICATE => Outcome::Duplicate,
            RECOVERED => Outcome::Recovered,
            _ => match self.status() {
                Some(StatusCode::SERVICE_UNAVAILABLE) => Outcome::Deferred,
                Some(_) => Outcome::Refused,
                None => Outcome::Other,
            },
        }
    }

    /// The status of the answer, as the record says: see [`Outcome`]. `None` if the record answers
    /// no push, for example that of a recovered notification: its sender got a different answer
    /// earlier.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.record.event.as_str() {
            SUCCEED | DUPLICATE => Some(StatusCode::CREATED),
            event => REFUSALS
                .iter()
                .find_map(|(title, status)| (*title == event).then_some(*status)),
        }
    }

    /// When the row was logged.
    #[must_use]
    pub fn time(&self) -> Option<&RecordTime> {
        self.record.time.as_ref()
    }

    /// The key of a refusal, or the keys of the remarks on an accepted request, separated by
    /// commas.
    #[must_use]
    pub fn reason(&self) -> Option<&[u8]> {
        self.record.attribute("Reason")
    }

    /// The message as it was published. `None` if it is not known.
    #[must_use]
    pub fn message(&self) -> Option<&[u8]> {
        self.record.attribute("Message")
    }

    /// The record that has the headers and the body.
    #[must_use]
    pub fn as_sent(&self) -> &Parts {
        self.request().unwrap_or(&self.record)
    }

    /// The id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&[u8]> {
        self.as_sent().header(REQUEST_ID)
    }

    /// Like [`request_id`](Self::request_id), but does not parse the rest of the request.
    #[must_use]
    pub fn request_id_only(&self) -> Option<Vec<u8>> {
        match header_of_request(self.raw_request(), REQUEST_ID) {
            Some(found) => found,
            None => self.request_id().map(<[u8]>::to_vec),
        }
    }

    /// The address and port of the sender.
    #[must_use]
    pub fn peer(&self) -> Option<&[u8]> {
        let of_request = self.request().and_then(|it| it.attribute("Peer"));
        of_request.or_else(|| self.record.attribute("Peer"))
    }

    /// Method and path, if they were logged.
    #[must_use]
    pub fn target(&self) -> Option<&[u8]> {
        let of_request = self.request().and_then(|it| it.attribute("Target"));
        of_request.or_else(|| self.record.attribute("Target"))
    }

    /// Whether the request was refused and has no header that MNS sends: a scanner, a browser, a
    /// health check on a wrong path.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        let is_refused = matches!(self.outcome(), Outcome::Refused | Outcome::Deferred);
        is_refused && !has_mns_header(self.as_sent())
    }
}

fn has_mns_header(parts: &Parts) -> bool {
    parts
        .headers
        .iter()
        .any(|(name, _)| name.starts_with(MNS_PREFIX))
}

impl Labels {
    fn of<'a>(record: &Parts, sent: impl FnOnce() -> &'a Parts) -> Self {
        let known = |name: &str| record.attribute(name).map(<[u8]>::to_vec);
        // Attributes of a notification are logged only after it was verified.
        if record.attribute("MessageId").is_some() || record.attribute("TopicName").is_some() {
            return Self {
                topic: known("TopicName").unwrap_or_default(),
                subscription: known("SubscriptionName").unwrap_or_default(),
                tag: known("MessageTag").unwrap_or_default(),
                message_id: known("MessageId").unwrap_or_default(),
                is_claimed: false,
            };
        }
        Self::claimed(sent())
    }

    /// The identity that a request claims: in the headers of a SIMPLIFIED push, or in an envelope,
    /// as far as it can be parsed.
    fn claimed(sent: &Parts) -> Self {
        if !has_mns_header(sent) {
            return Self::default();
        }
        let header = |name: &str| sent.header(name).unwrap_or_default().to_vec();
        let of_headers = Self {
            topic: header("x-mns-topic-name"),
            subscription: header("x-mns-subscription-name"),
            tag: header("x-mns-message-tag"),
            message_id: header("x-mns-message-id"),
            is_claimed: true,
        };
        if !of_headers.topic.is_empty() || !of_headers.message_id.is_empty() {
            return of_headers;
        }
        let body = sent.body.as_deref().unwrap_or_default();
        // `decode` would reject the whole envelope for one part that it cannot parse.
        let read = Notification::decode_as_raw(body);
        Self {
            topic: read.topic_name.into_owned(),
            subscription: read.subscription_name.into_owned(),
            tag: read.message_tag.into_owned(),
            message_id: read.message_id.into_owned(),
            is_claimed: true,
        }
    }
}
