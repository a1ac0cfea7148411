//! A row of the log files in the form in which the page shows a request.

use crate::journal::{Outcome, Row};
use crate::server::is_refused_field_whole;

/// The prefix of the headers that MNS sends.
const MNS_PREFIX: &str = "x-mns-";

/// A row of the log files that answers a request.
pub(super) struct Logged {
    pub(super) row: Row,
    /// The outcome, by the same rules as for rows in memory.
    pub(super) outcome: Outcome,
}

/// Why the request of a row is not available as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum LeftOut {
    /// Headers, body or both were not logged.
    Request,
    /// The body was truncated, as in records of refusals.
    Body,
    /// The target was truncated.
    Target,
}

impl LeftOut {
    /// The reason, and the key that logs more.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Request => "the log does not have all of this request: see logs.request",
            Self::Body => {
                "the log has the beginning of its body only, and the quarantine has nothing: see \
                 logs.refused_body"
            }
            Self::Target => "the log does not have its whole path",
        }
    }
}

impl Logged {
    /// Returns `None` for a record that answers no request: a start, a count of refusals, a new
    /// key.
    pub(super) fn of(row: Row) -> Option<Self> {
        let outcome = match row.outcome() {
            Outcome::Other => return None,
            Outcome::Refused if is_of_a_stranger(&row) => Outcome::Other,
            outcome => outcome,
        };
        Some(Self { row, outcome })
    }

    /// Whether it was refused, permanently or temporarily.
    fn is_refused(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Refused | Outcome::Deferred | Outcome::Other
        )
    }

    /// Whether it was refused before anything was verified. Its record then has no attributes.
    pub(super) fn is_unproved(&self) -> bool {
        self.is_refused() && self.row.record.attribute("TopicName").is_none()
    }

    /// Request line and headers as far as they were logged, in the form of a request in memory. The
    /// log hides a secret path, so it is hidden here too.
    pub(super) fn head(&self) -> Vec<u8> {
        let target = self.row.target().unwrap_or_default();
        let mut head = [target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.row.as_sent().headers {
            // Whoever sends the request again adds both headers itself.
            if name != "content-length" && name != "transfer-encoding" {
                for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                    head.extend_from_slice(part);
                }
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    pub(super) fn body(&self) -> Option<&[u8]> {
        self.row.as_sent().body.as_deref()
    }

    /// The length of the body by the request's Content-Length, otherwise the length that was
    /// logged.
    pub(super) fn body_bytes(&self) -> Option<usize> {
        self.announced().or_else(|| Some(self.body()?.len()))
    }

    fn announced(&self) -> Option<usize> {
        let length = self.row.as_sent().header("content-length")?;
        std::str::from_utf8(length).ok()?.parse().ok()
    }

    /// The part of the request that is missing. `None` if it is complete.
    pub(super) fn left_out(&self) -> Option<LeftOut> {
        let sent = self.row.as_sent();
        let body = sent.body.as_ref().map(Vec::len);
        let is_head_alone = matches!(
            self.row.status().map(|it| it.as_u16()),
            Some(404 | 405 | 415)
        );
        if self.row.target().is_none() || sent.headers.is_empty() {
            return Some(LeftOut::Request);
        }
        if self.is_refused() {
            let target = self.row.target().unwrap_or_default();
            if !is_refused_field_whole(target) {
                return Some(LeftOut::Target);
            }
            // These requests were refused before their body was read.
            let is_whole = is_head_alone || self.announced() == body;
            return (!is_whole).then_some(LeftOut::Body);
        }
        let is_whole = body.is_some() && self.announced().is_none_or(|it| Some(it) == body);
        (!is_whole).then_some(LeftOut::Request)
    }
}

/// Whether it was refused for its path or method and had no header of MNS.
fn is_of_a_stranger(row: &Row) -> bool {
    let is_wrong = matches!(row.status().map(|it| it.as_u16()), Some(404 | 405));
    let mut headers = row.as_sent().headers.iter();
    is_wrong && !headers.any(|(name, _)| name.starts_with(MNS_PREFIX))
}
