//! One request with everything known about it, from memory or from the log files and the
//! quarantine.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;

use crate::admin::inspector::captured::Captured;
use crate::admin::inspector::inspector::Inspector;
use crate::admin::inspector::logged::{LeftOut, Logged};
use crate::admin::inspector::moment::system_time;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::request::{claimed, judged};
use crate::admin::respond::ApiError;
use crate::journal::{Position, Row};
use crate::mns::ATTRIBUTES;
use crate::server::{Paths, Recorded, SecretPath};

/// One request.
pub(super) struct Known {
    /// Its row in the list.
    pub(super) item: Value,
    pub(super) came: SystemTime,
    pub(super) peer: Option<IpAddr>,
    /// Request line and headers, including the secret path if it is known. `None` if they were not
    /// logged.
    pub(super) head: Option<Vec<u8>>,
    /// The body, if it is complete.
    pub(super) body: Option<Vec<u8>>,
    /// The missing part without which the request can be neither judged nor replayed.
    pub(super) left_out: Option<LeftOut>,
    /// The attributes of the notification in the log.
    logged: Vec<(&'static str, Vec<u8>)>,
    /// The string to sign, if it was logged.
    pub(super) string_to_sign: Option<Vec<u8>>,
    /// The status and the reason of the answer.
    pub(super) verdict: (Option<u16>, Option<String>),
}

impl Known {
    /// Finds a request by its id, in memory or at the position in the log files that the id has.
    pub(super) async fn find(inspector: &Inspector, id: &str) -> Result<Self, ApiError> {
        let seq = inspector.rows.seq(id);
        if let Some(summary) = seq.and_then(|seq| inspector.endpoint.recent.find(seq)) {
            let seq = seq.unwrap_or_default();
            return Ok(Self::remembered(inspector, &Recorded { seq, summary }));
        }
        let position: Position = id
            .parse()
            .map_err(|_no_position| gone("it is not in memory any more"))?;
        match inspector.lookups.find(position).await? {
            Some((logged, captured)) => Ok(Self::read(inspector, &logged, captured)),
            None => Err(gone("it is no longer in the log files")),
        }
    }

    fn remembered(inspector: &Inspector, recorded: &Recorded) -> Self {
        let summary = &recorded.summary;
        Self {
            item: inspector.rows.row(recorded, &Names::of(summary)),
            came: summary.came,
            peer: Some(summary.peer.ip()),
            head: Some(summary.head().to_vec()),
            body: summary.body().map(<[u8]>::to_vec),
            left_out: None,
            logged: Vec::new(),
            string_to_sign: None,
            verdict: (
                Some(summary.status),
                summary.reason.map(|reason| reason.key().to_owned()),
            ),
        }
    }

    fn read(inspector: &Inspector, logged: &Logged, captured: Option<Captured>) -> Self {
        let row = &logged.row;
        let zone = &inspector.rows.zone;
        let time = row.time().and_then(|time| time.moments(zone));
        let peer = row.peer().and_then(|peer| std::str::from_utf8(peer).ok());
        let peer = peer.and_then(|peer| peer.parse::<SocketAddr>().ok());
        let of_attribute = |name: &'static str| Some((name, row.record.attribute(name)?.to_vec()));
        let mut known = Self {
            item: inspector.rows.logged(logged, &Names::logged(logged)),
            came: time.map_or(SystemTime::UNIX_EPOCH, |(first, _)| system_time(first)),
            peer: peer.map(|peer| peer.ip()),
            head: has_head(row).then(|| logged.head()),
            body: logged.body().map(<[u8]>::to_vec),
            left_out: logged.left_out(),
            logged: ATTRIBUTES.into_iter().filter_map(of_attribute).collect(),
            string_to_sign: row.record.attribute("StringToSign").map(<[u8]>::to_vec),
            verdict: (
                row.status().map(|status| status.as_u16()),
                row.reason()
                    .map(|it| String::from_utf8_lossy(it).into_owned()),
            ),
        };
        if let Some(captured) = captured {
            known.came = captured.note.came;
            known.head = Some(captured.head);
            known.body = Some(captured.body);
            known.left_out = None;
        }
        if known.left_out.is_none() {
            known.reveal(&inspector.rows.paths);
        }
        known
    }

    /// Puts the secret path back, which the log hides: it is part of what was signed.
    fn reveal(&mut self, paths: &Paths) {
        let (Paths::Secret(secret), Some(head)) = (paths, &self.head) else {
            return;
        };
        let hidden = SecretPath::hidden();
        let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
        let line = String::from_utf8_lossy(head.get(..end).unwrap_or_default());
        let Some((before, behind)) = line.split_once(&hidden) else {
            return;
        };
        if !behind.starts_with([' ', '?']) {
            // The path used the previous secret, which the configuration no longer has.
            self.left_out = Some(LeftOut::Target);
            return;
        }
        let line = format!("{before}{}{behind}", secret.revealed());
        let rest = head.get(end..).unwrap_or_default();
        self.head = Some([line.as_bytes(), rest].concat());
    }

    /// The request, including its secret path. `None` if it is not complete.
    pub(super) fn request(&self) -> Option<Request<Bytes>> {
        let head = self.head.as_ref().filter(|_| self.left_out.is_none())?;
        judged(head, self.body.as_deref().unwrap_or_default())
    }

    /// Names and values, including the message: logged ones if it was accepted, claimed ones
    /// otherwise.
    pub(super) fn attributes(&self) -> Vec<(&'static str, Vec<u8>)> {
        let is_logged = self.logged.iter().any(|(name, _)| *name == "TopicName");
        let request = self.request();
        match request.as_ref().and_then(claimed) {
            Some(said) if !is_logged || self.is_refused() => said
                .attributes()
                .into_iter()
                .map(|(name, value)| (name, value.to_vec()))
                .collect(),
            _ => self.logged.clone(),
        }
    }

    fn is_refused(&self) -> bool {
        self.verdict.0.is_some_and(|status| status >= 400)
    }

    /// The message as it was published. `None` if it is not known or was truncated.
    pub(super) fn message(&self) -> Option<Vec<u8>> {
        if self.is_refused() && self.left_out.is_some() {
            return None;
        }
        let mut attributes = self.attributes().into_iter();
        attributes.find_map(|(name, value)| (name == "Message").then_some(value))
    }
}

/// Whether the request was logged along with its outcome.
fn has_head(row: &Row) -> bool {
    row.target().is_some() || !row.as_sent().headers.is_empty()
}

/// Answers 410.
pub(super) fn gone(text: &'static str) -> ApiError {
    ApiError::new(StatusCode::GONE, "gone", text)
}
