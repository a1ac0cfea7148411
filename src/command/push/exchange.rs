//! The result of a request, for the user at the terminal.

use std::time::Duration;

use crate::emulator::{Answer, DeliveryError};
use crate::journal::escaped;
use crate::report::Report;

/// One request and its result.
pub(super) struct Exchange {
    pub(super) message_id: String,
    pub(super) answer: Result<Answer, DeliveryError>,
    pub(super) took: Duration,
}

impl Exchange {
    pub(super) fn is_success(&self) -> bool {
        self.answer.as_ref().is_ok_and(Answer::is_success)
    }

    /// The status and its meaning, for the user at the terminal.
    pub(super) fn verdict(&self, trust: Option<&str>) -> (String, String) {
        match &self.answer {
            Ok(answer) => (answer.status.to_string(), verdict_of(answer.status, trust)),
            Err(error) => {
                // A TLS error may quote the certificate of the peer.
                let report = escaped(Report(error).to_string().as_bytes());
                (
                    "---".to_owned(),
                    format!("no answer: {report}; MNS would retry"),
                )
            }
        }
    }
}

fn verdict_of(status: u16, trust: Option<&str>) -> String {
    match status {
        200..300 => "accepted".to_owned(),
        300..400 => "a redirect: MNS may count it as delivered, and the message is lost".to_owned(),
        403 => {
            let trust = trust.map_or_else(String::new, |url| {
                format!("; unless it trusts this sender start it with: serve --trust {url}")
            });
            format!("refused: the endpoint log has the reason{trust}")
        }
        400 => "refused: the body is not a notification".to_owned(),
        404 => "refused: the path is not served; see server.paths".to_owned(),
        500.. => "not accepted now: MNS would retry".to_owned(),
        _ => "refused: the endpoint log has the reason".to_owned(),
    }
}
