//! A row: what came of one request, with the request as far as it was logged.

use http::StatusCode;

use crate::journal::read::parts::Parts;
use crate::journal::read::position::Position;
use crate::journal::read::time::RecordTime;
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};
use crate::mns::Notification;

/// What begins the names of the headers that MNS sends.
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

/// What came of a request.
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
    /// Answered 201, on disk for the first time.
    Accepted,
    /// Answered 201, and on disk already.
    Duplicate,
    /// Answered 201 although something was odd: see the reason.
    Remark,
    /// Answered 4xx: MNS gives it up, or tries again until it does.
    Refused,
    /// Answered 503: MNS tries again.
    Deferred,
    /// Refused by mistake, and taken back with `logs recover`.
    Recovered,
    /// No answer to a push: a start, a count of refusals, a new key, a request that a crash left
    /// without its outcome. The inspector also files a stranger's request here: a wrong path or
    /// method, and none of the headers that MNS sends.
    Other,
}

/// Whose notification it is, and which.
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
    /// Whether nobody has checked that they are true: the request was refused before its signature
    /// was verified.
    pub is_claimed: bool,
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it begins.
    pub position: Position,
    /// The record of the request, if it has one of its own.
    pub request: Option<Parts>,
    /// The record of what came of it.
    pub record: Parts,
    /// The bytes of both records.
    pub raw: Vec<u8>,
    /// Whose notification it is.
    pub labels: Labels,
}

impl Row {
    /// A row of the bytes of one or two records, of which the last begins at `last`; `None` if they
    /// have no form that this program writes.
    pub(super) fn of(position: Position, raw: Vec<u8>, last: usize) -> Option<Self> {
        let (request, record) = raw.split_at_checked(last)?;
        let record = Parts::of(record)?;
        let request = (!request.is_empty()).then(|| Parts::of(request)).flatten();
        let labels = Labels::of(&record, request.as_ref());
        Some(Self {
            position,
            request,
            record,
            raw,
            labels,
        })
    }

    /// What came of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.record.event.as_str() {
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

    /// The status of the answer, if it was one to a push. Of a recovered notification that is
    /// `None`: whoever sent it got another answer long before.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.record.event.as_str() {
            SUCCEED | DUPLICATE => Some(StatusCode::CREATED),
            event => REFUSALS
                .iter()
                .find_map(|(title, status)| (*title == event).then_some(*status)),
        }
    }

    /// When it was logged.
    #[must_use]
    pub fn time(&self) -> Option<&RecordTime> {
        self.record.time.as_ref()
    }

    /// The key of a refusal, or those of the remarks with commas between them.
    #[must_use]
    pub fn reason(&self) -> Option<&[u8]> {
        self.record.attribute("Reason")
    }

    /// The message, as it was published. `None` if it is not known.
    #[must_use]
    pub fn message(&self) -> Option<&[u8]> {
        self.record.attribute("Message")
    }

    /// The record that has the headers and the body.
    #[must_use]
    pub fn as_sent(&self) -> &Parts {
        self.request.as_ref().unwrap_or(&self.record)
    }

    /// The id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&[u8]> {
        self.as_sent().header("x-mns-request-id")
    }

    /// Who sent it: address and port.
    #[must_use]
    pub fn peer(&self) -> Option<&[u8]> {
        let of_request = self.request.as_ref().and_then(|it| it.attribute("Peer"));
        of_request.or_else(|| self.record.attribute("Peer"))
    }

    /// Method and path, if they were logged.
    #[must_use]
    pub fn target(&self) -> Option<&[u8]> {
        let of_request = self.request.as_ref().and_then(|it| it.attribute("Target"));
        of_request.or_else(|| self.record.attribute("Target"))
    }

    /// Whether it was refused and has none of the headers that MNS sends: a scanner, a browser, a
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
    fn of(record: &Parts, request: Option<&Parts>) -> Self {
        let known = |name: &str| record.attribute(name).map(<[u8]>::to_vec);
        if record.attribute("MessageId").is_some() || record.attribute("TopicName").is_some() {
            return Self {
                topic: known("TopicName").unwrap_or_default(),
                subscription: known("SubscriptionName").unwrap_or_default(),
                tag: known("MessageTag").unwrap_or_default(),
                message_id: known("MessageId").unwrap_or_default(),
                is_claimed: false,
            };
        }
        Self::claimed(request.unwrap_or(record))
    }

    /// What the headers of a SIMPLIFIED push say, else what can be read of an envelope.
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
