//! A row of the log files, as the page shows a request.

use crate::journal::{Outcome, Row};

/// What begins the names of the headers that MNS sends.
const MNS_PREFIX: &str = "x-mns-";
/// The longest target of a refusal that is certain to be whole: longer ones are cut.
const TARGET_BYTES_WHOLE: usize = 500;

/// A row of the log files that is an answer to a request.
pub(super) struct Logged {
    pub(super) row: Row,
    /// What came of it, as of the rows in memory.
    pub(super) outcome: Outcome,
}

/// Why the request of a row is not there as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum LeftOut {
    /// Headers, body or both were not logged.
    Request,
    /// Its body was cut, as those of refusals are.
    Body,
    /// Its target was cut.
    Target,
}

impl LeftOut {
    /// Why, and which key keeps more.
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
    /// `None` if it is no answer to a request: a start, a count of refusals, a new key.
    pub(super) fn of(row: Row) -> Option<Self> {
        let outcome = match row.outcome() {
            Outcome::Other => return None,
            Outcome::Refused if is_of_a_stranger(&row) => Outcome::Other,
            outcome => outcome,
        };
        Some(Self { row, outcome })
    }

    /// Whether it was refused, now or later.
    fn is_refused(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Refused | Outcome::Deferred | Outcome::Other
        )
    }

    /// Whether it was refused before anything of it was verified, which is then no part of its
    /// record.
    pub(super) fn is_unproved(&self) -> bool {
        self.is_refused() && self.row.record.attribute("TopicName").is_none()
    }

    /// Request line and headers as far as they were logged, as of a request in memory. A secret
    /// path is hidden in it, as it is in the log.
    pub(super) fn head(&self) -> Vec<u8> {
        let target = self.row.target().unwrap_or_default();
        let mut head = [target, b" HTTP/1.1\r\n"].concat();
        for (name, value) in &self.row.as_sent().headers {
            // Both are written where it is sent again.
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

    /// The length of the body as the request announced it, else of what was logged.
    pub(super) fn body_bytes(&self) -> Option<usize> {
        self.announced().or_else(|| Some(self.body()?.len()))
    }

    fn announced(&self) -> Option<usize> {
        let length = self.row.as_sent().header("content-length")?;
        std::str::from_utf8(length).ok()?.parse().ok()
    }

    /// What of the request is missing; `None` if it is all there.
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
            if target.len() > TARGET_BYTES_WHOLE {
                return Some(LeftOut::Target);
            }
            // Of these no body was read.
            let is_whole = is_head_alone || self.announced() == body;
            return (!is_whole).then_some(LeftOut::Body);
        }
        let is_whole = body.is_some() && self.announced().is_none_or(|it| Some(it) == body);
        (!is_whole).then_some(LeftOut::Request)
    }
}

/// Refused for its path or method, and without any header of MNS's.
fn is_of_a_stranger(row: &Row) -> bool {
    let is_wrong = matches!(row.status().map(|it| it.as_u16()), Some(404 | 405));
    let mut headers = row.as_sent().headers.iter();
    is_wrong && !headers.any(|(name, _)| name.starts_with(MNS_PREFIX))
}
