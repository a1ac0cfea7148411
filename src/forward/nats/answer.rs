//! What an answer of the server means for a notification: one table, without a connection.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;

use crate::forward::detail::detail;
use crate::forward::{Dedupe, Delivered, Failure, Reason};
use crate::report::Report;

/// The wait after an acknowledgement without a sequence number, which proves nothing.
const NOT_STORED_WAIT: Duration = Duration::from_secs(1);
/// The error of the server if another message has the subject. A full stream has the same code, but
/// has not stored the message, so the text decides.
const SUBJECT_TAKEN: &str = "maximum messages per subject exceeded";

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The stream has it.
    Delivered(Delivered),
    /// A message with its subject is stored, or only proposed to the other servers. If the leader
    /// is lost, so is a proposal, so the stream has to be asked.
    SubjectTaken,
    /// Nobody listens on the subject: there is no such stream, or it is electing a leader.
    NoResponders,
    /// It is not known to be stored.
    Failed(Failure),
}

pub(super) fn retry(reason: Reason, text: &str) -> Failure {
    Failure::Retry {
        reason,
        after: None,
        detail: detail(text),
    }
}

pub(super) fn down(reason: Reason, text: &str) -> Failure {
    Failure::Down {
        reason,
        detail: detail(text),
    }
}

/// Reads the answer to a publication.
pub(super) fn meaning(answer: Result<PublishAck, PublishError>, dedupe: Dedupe) -> Meaning {
    let error = match answer {
        Ok(ack) => return acknowledged(&ack),
        Err(error) => error,
    };
    let text = Report(&error).to_string();
    Meaning::Failed(match error.kind() {
        // The client's name for the answer "no responders", which an election causes too.
        PublishErrorKind::StreamNotFound => return Meaning::NoResponders,
        PublishErrorKind::TimedOut => retry(Reason::AckTimeout, "no acknowledgement came in time"),
        PublishErrorKind::BrokenPipe => down(Reason::Disconnected, "the connection was lost"),
        PublishErrorKind::MaxPayloadExceeded => Failure::Poison {
            reason: Reason::TooLarge,
            detail: detail(&text),
        },
        PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::Other => {
            let said = error.source().and_then(|error| error.downcast_ref());
            return said.map_or_else(
                || Meaning::Failed(retry(Reason::NoAnswer, &text)),
                |said| refused(said, dedupe),
            );
        }
    })
}

fn acknowledged(ack: &PublishAck) -> Meaning {
    match (ack.duplicate, ack.sequence) {
        (false, 1..) => Meaning::Delivered(Delivered::stored()),
        (true, 1..) => Meaning::Delivered(Delivered::duplicate()),
        // Servers before 2.10.26 answer this for an id that a lost leader had staged and never
        // stored.
        (_, 0) => Meaning::Failed(Failure::Retry {
            reason: Reason::NotStored,
            after: Some(NOT_STORED_WAIT),
            detail: "acknowledged without a sequence number: the server is too old".to_owned(),
        }),
    }
}

/// Reads an answer of JetStream that is an error.
fn refused(error: &jetstream::Error, dedupe: Dedupe) -> Meaning {
    let text = error.to_string();
    Meaning::Failed(match error.error_code() {
        ErrorCode::STREAM_STORE_FAILED if text.starts_with(SUBJECT_TAKEN) => match dedupe {
            Dedupe::Subject => return Meaning::SubjectTaken,
            Dedupe::Window => down(Reason::DestinationFull, &text),
        },
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => down(Reason::DestinationFull, &text),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            Failure::Poison {
                reason: Reason::TooLarge,
                detail: detail(&text),
            }
        }
        // Another message with this id is being replicated. A later attempt gets its outcome.
        ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => retry(Reason::InProcess, &text),
        ErrorCode::CLUSTER_NOT_LEADER
        | ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::CLUSTER_NOT_ACTIVE
        | ErrorCode::RAFT_GENERAL => retry(Reason::NotLeader, &text),
        // For the first of these, another stream has the subject.
        ErrorCode::STREAM_NOT_MATCH
        | ErrorCode::STREAM_NOT_FOUND
        | ErrorCode::STREAM_OFFLINE
        | ErrorCode::STREAM_OFFLINE_REASON
        | ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => down(Reason::StreamMissing, &text),
        // Newer servers have codes that are not known here. Another attempt loses nothing.
        _ => retry(Reason::ServerError, &text),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::forward::detail::DETAIL_MAX;

    fn ack(sequence: u64, duplicate: bool) -> Result<PublishAck, PublishError> {
        Ok(PublishAck {
            sequence,
            duplicate,
            ..PublishAck::default()
        })
    }

    fn kind(kind: PublishErrorKind) -> Result<PublishAck, PublishError> {
        Err(PublishError::new(kind))
    }

    fn said(code: u64, description: &str) -> Result<PublishAck, PublishError> {
        let error = json!({"code": 503, "err_code": code, "description": description});
        let error: jetstream::Error = serde_json::from_value(error).unwrap();
        Err(PublishError::with_source(PublishErrorKind::Other, error))
    }

    /// The variant of a failure and its reason.
    fn word(meaning: &Meaning) -> String {
        match meaning {
            Meaning::Delivered(delivered) if delivered.is_duplicate() => "duplicate".to_owned(),
            Meaning::Delivered(_) => "stored".to_owned(),
            Meaning::SubjectTaken => "subject taken".to_owned(),
            Meaning::NoResponders => "no responders".to_owned(),
            Meaning::Failed(failure) => {
                let variant = match failure {
                    Failure::Retry { .. } => "retry",
                    Failure::Refused { .. } => "refused",
                    Failure::Poison { .. } => "poison",
                    Failure::Down { .. } => "down",
                    Failure::Gone { .. } => "gone",
                };
                format!("{variant} {}", failure.reason())
            }
        }
    }

    #[track_caller]
    fn check(answer: Result<PublishAck, PublishError>, expected: &str) {
        assert_eq!(word(&meaning(answer, Dedupe::Window)), expected);
    }

    #[test]
    fn only_an_acknowledgement_with_a_number_is_a_delivery() {
        check(ack(1, false), "stored");
        check(ack(7, true), "duplicate");
        check(ack(0, true), "retry not_stored");
        check(ack(0, false), "retry not_stored");
    }

    #[test]
    fn each_failure_of_the_client_means_one_thing() {
        check(kind(PublishErrorKind::StreamNotFound), "no responders");
        check(kind(PublishErrorKind::TimedOut), "retry ack_timeout");
        check(kind(PublishErrorKind::BrokenPipe), "down disconnected");
        check(
            kind(PublishErrorKind::MaxPayloadExceeded),
            "poison too_large",
        );
        check(kind(PublishErrorKind::Other), "retry no_answer");
    }

    #[test]
    fn each_error_of_the_server_means_one_thing() {
        let cases = [
            (
                10158,
                "duplicate message id is in process",
                "retry in_process",
            ),
            (10041, "raft: not leader", "retry not_leader"),
            (
                10009,
                "JetStream cluster can not handle request",
                "retry not_leader",
            ),
            (
                10008,
                "JetStream system temporarily unavailable",
                "retry not_leader",
            ),
            (10077, "maximum bytes exceeded", "down destination_full"),
            (10077, "maximum messages exceeded", "down destination_full"),
            (10077, SUBJECT_TAKEN, "down destination_full"),
            (10023, "insufficient resources", "down destination_full"),
            (
                10047,
                "insufficient storage resources available",
                "down destination_full",
            ),
            (
                10028,
                "insufficient memory resources available",
                "down destination_full",
            ),
            (
                10002,
                "resource limits exceeded for account",
                "down destination_full",
            ),
            (
                10054,
                "message size exceeds maximum allowed",
                "poison too_large",
            ),
            (
                10097,
                "header size exceeds maximum allowed of 64k",
                "poison too_large",
            ),
            (
                10060,
                "expected stream does not match",
                "down stream_missing",
            ),
            (10118, "stream is offline", "down stream_missing"),
            (
                10039,
                "JetStream not enabled for account",
                "down stream_missing",
            ),
            (65_000, "news", "retry server_error"),
        ];
        for (code, description, expected) in cases {
            check(said(code, description), expected);
        }
    }

    #[test]
    fn a_subject_that_is_taken_is_no_full_stream() {
        let by_subject = |answer| word(&meaning(answer, Dedupe::Subject));
        assert_eq!(by_subject(said(10077, SUBJECT_TAKEN)), "subject taken");
        assert_eq!(
            by_subject(said(10077, "maximum bytes exceeded")),
            "down destination_full"
        );
        assert_eq!(
            by_subject(said(10077, "no space left on device")),
            "down destination_full"
        );
    }

    #[test]
    fn what_a_server_says_is_bounded_and_moves_no_cursor() {
        let Meaning::Failed(failure) =
            meaning(said(65_000, &"\u{1b}[2J".repeat(200)), Dedupe::Window)
        else {
            panic!("it is a failure");
        };
        assert!(
            failure.detail().len() <= DETAIL_MAX * 4,
            "{}",
            failure.detail()
        );
        assert!(
            failure.detail().contains("\\x1b[2J\\x1b[2J"),
            "{}",
            failure.detail()
        );
    }
}
