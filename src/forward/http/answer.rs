//! What an answer of the service means for a notification: one table, without a connection.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::forward::detail::detail;
use crate::forward::{Delivered, Failure, Reason};

/// The longest wait that a service may ask for. If it needs longer, it asks again.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The shortest wait, so that `Retry-After: 0` does not cause a tight loop.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(250);

/// The part of an answer that says what becomes of a notification.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long the service asks us to wait.
    pub(super) retry_after: Option<Duration>,
    /// The target of a redirect, or the beginning of the body.
    pub(super) said: String,
}

/// Decides what an answer means. The body of a success does not matter.
pub(super) fn meaning(answer: &Answer) -> Result<Delivered, Failure> {
    let Answer {
        status,
        retry_after,
        said,
    } = answer;
    let after = *retry_after;
    let detail = match said.trim() {
        "" => status.to_string(),
        said => detail(&format!("{status}: {said}")),
    };
    let retry = |reason, detail| Failure::Retry {
        reason,
        after,
        detail,
    };
    Err(match *status {
        status if status.is_success() => return Ok(Delivered::stored()),
        // Standard Webhooks: with 410 a receiver asks the sender to stop.
        StatusCode::GONE => Failure::Gone { detail },
        StatusCode::TOO_MANY_REQUESTS => retry(Reason::Throttled, detail),
        // A 503 without a time to wait is a failure like others, usually of a proxy in front of the
        // service.
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => retry(Reason::Throttled, detail),
        status if status.is_redirection() => retry(Reason::Redirected, detail),
        // 408 and 425 concern the connection and not the notification.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => retry(Reason::Refused, detail),
        status if status.is_client_error() => Failure::Refused {
            reason: Reason::Refused,
            after,
            detail,
        },
        // These are 5xx and statuses that HTTP does not define. None of them blames the
        // notification.
        _ => retry(Reason::ServerError, detail),
    })
}

/// The wait in a `Retry-After`: a number of seconds, or a date. `None` if it is neither.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    // `parse` alone would accept a leading plus sign, which the grammar does not.
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large for its type is longer than the longest wait.
        value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        // A date in the past asks for no wait.
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn answer(status: u16, retry_after: Option<Duration>) -> Result<Delivered, Failure> {
        meaning(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after,
            said: String::new(),
        })
    }

    /// The variant of a failure, its reason and its wait.
    fn word(answer: &Result<Delivered, Failure>) -> String {
        let (variant, after) = match answer {
            Ok(_) => return "delivered".to_owned(),
            Err(Failure::Retry { after, .. }) => ("retry", *after),
            Err(Failure::Refused { after, .. }) => ("refused", *after),
            Err(Failure::Poison { .. }) => ("poison", None),
            Err(Failure::Down { .. }) => ("down", None),
            Err(Failure::Gone { .. }) => ("gone", None),
        };
        let reason = answer.as_ref().unwrap_err().reason();
        let after = after.map_or_else(String::new, |after| format!(" {after:?}"));
        format!("{variant} {reason}{after}")
    }

    #[test]
    fn each_status_means_one_thing() {
        for (status, expected) in [
            (200, "delivered"),
            (202, "delivered"),
            (299, "delivered"),
            (101, "retry server_error"),
            (301, "retry redirected"),
            (304, "retry redirected"),
            (307, "retry redirected"),
            (400, "refused refused"),
            (401, "refused refused"),
            (404, "refused refused"),
            (408, "retry refused"),
            (410, "gone gone"),
            (413, "refused refused"),
            (425, "retry refused"),
            (429, "retry throttled"),
            (499, "refused refused"),
            (500, "retry server_error"),
            (502, "retry server_error"),
            (503, "retry server_error"),
            (999, "retry server_error"),
        ] {
            assert_eq!(word(&answer(status, None)), expected, "{status}");
        }
        for (status, expected) in [
            (200, "delivered"),
            (413, "refused refused 60s"),
            (429, "retry throttled 60s"),
            (500, "retry server_error 60s"),
            (503, "retry throttled 60s"),
        ] {
            assert_eq!(word(&answer(status, Some(MINUTE))), expected, "{status}");
        }
    }

    #[test]
    fn what_a_service_asks_to_wait_is_bounded() {
        let now = SystemTime::UNIX_EPOCH + MINUTE;
        let seconds = |value| retry_after(value, now).map(|wait| wait.as_secs_f64());
        for (value, expected) in [
            ("7", Some(7.0)),
            (" 120 ", Some(120.0)),
            ("0", Some(0.25)),
            ("301", Some(300.0)),
            ("99999999999999999999999999", Some(300.0)),
            ("Thu, 01 Jan 1970 00:01:30 GMT", Some(30.0)),
            ("Thu, 01 Jan 1970 00:00:01 GMT", Some(0.25)),
            ("Wed, 01 Jan 2070 00:00:01 GMT", Some(300.0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_a_service_says_is_escaped_and_stands_behind_its_status() {
        let refused = |said: &str| {
            let refused = meaning(&Answer {
                status: StatusCode::NOT_FOUND,
                retry_after: None,
                said: said.to_owned(),
            });
            refused.unwrap_err().detail().to_owned()
        };
        assert_eq!(refused(" \n"), "404 Not Found");
        assert_eq!(
            refused("no such\u{1b}[2J"),
            "404 Not Found: no such\\x1b[2J"
        );
    }
}
