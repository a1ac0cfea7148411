//! One connection, from its first moment to its loss: what is published on it, and what the server
//! says beside the answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, Event, HeaderMap, ServerError, client, jetstream};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::forward::detail::detail;
use crate::forward::nats::acks::Acks;
use crate::forward::nats::answer::down;
use crate::forward::{Failure, Reason};

/// How many subjects without permission to publish are remembered.
const REFUSED_MAX: usize = 1024;
/// How a server reports a subject without permission. This is not an answer to the publication,
/// which gets none.
const VIOLATION: &str = "permissions violation for ";

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotConnected {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// A connection to one server.
pub(super) struct Connection {
    pub(super) context: jetstream::Context,
    pub(super) client: Client,
    news: Arc<News>,
    acks: Acks,
    /// How long a publication waits for its answer.
    ack_timeout: Duration,
}

/// What a server reports apart from answers.
pub(super) struct News {
    /// Cancelled when the connection is lost.
    lost: CancellationToken,
    refused: watch::Sender<RefusedSubjects>,
}

/// The subjects without permission to publish, each with the error of the server.
#[derive(Default)]
struct RefusedSubjects {
    publish: HashMap<String, String>,
    /// The error for the subject of the answers, without which nothing is ever acknowledged.
    answers: Option<String>,
}

impl News {
    pub(super) fn new() -> Self {
        Self {
            lost: CancellationToken::new(),
            refused: watch::Sender::default(),
        }
    }

    /// Takes an event of the client.
    pub(super) fn take(&self, event: &Event) {
        match event {
            Event::Disconnected | Event::Closed => self.lost.cancel(),
            Event::ServerError(ServerError::Other(text)) => self.take_error(text),
            Event::Connected
            | Event::LameDuckMode
            | Event::Draining
            | Event::SlowConsumer(_)
            | Event::ServerError(_)
            | Event::ClientError(_) => {}
        }
    }

    fn take_error(&self, text: &str) {
        let Some((is_publish, subject)) = violation(text) else {
            return;
        };
        self.refused.send_modify(|refused| {
            if !is_publish {
                refused.answers = Some(text.to_owned());
            } else if refused.publish.len() < REFUSED_MAX {
                // Beyond the bound the late acknowledgement reports the failure instead.
                refused.publish.insert(subject.to_owned(), text.to_owned());
            }
        });
        // No acknowledgement can arrive without a subscription to the inbox.
        if !is_publish {
            self.lost.cancel();
        }
    }

    /// Waits until the server refuses a subject, and returns what it said.
    async fn refused(&self, subject: &str) -> String {
        let mut refused = self.refused.subscribe();
        let is_refused = |refused: &RefusedSubjects| refused.of(subject).is_some();
        // The sender is in `self`, so the wait does not end early.
        let said = refused.wait_for(is_refused).await;
        said.ok()
            .and_then(|refused| refused.of(subject).cloned())
            .unwrap_or_default()
    }

    /// Forgets that a subject was refused, because it is tried again.
    fn forget(&self, subject: &str) {
        self.refused.send_if_modified(|refused| {
            let _said = refused.publish.remove(subject);
            // The waiters wait for a refusal, so they need not wake.
            false
        });
    }
}

impl RefusedSubjects {
    fn of(&self, subject: &str) -> Option<&String> {
        self.answers.as_ref().or_else(|| self.publish.get(subject))
    }
}

/// Whether an error concerns publishing, and the subject that is not permitted: `Permissions
/// Violation for Publish to "mns.x"`.
fn violation(text: &str) -> Option<(bool, &str)> {
    let is_violation = text.to_ascii_lowercase().starts_with(VIOLATION);
    let what = is_violation
        .then(|| text.get(VIOLATION.len()..))
        .flatten()?;
    let subject = what.split('"').nth(1).unwrap_or_default();
    Some((what.to_ascii_lowercase().starts_with("publish"), subject))
}

impl Connection {
    pub(super) fn new(
        client: Client,
        context: jetstream::Context,
        news: Arc<News>,
        (acks, ack_timeout): (Acks, Duration),
    ) -> Self {
        Self {
            context,
            client,
            news,
            acks,
            ack_timeout,
        }
    }

    /// Publishes once and waits for the answer, for a bounded time.
    ///
    /// # Errors
    /// The connection was lost meanwhile, or the server does not permit the subject.
    pub(super) async fn publish(
        &self,
        subject: &str,
        (headers, payload): (HeaderMap, Bytes),
    ) -> Result<Result<PublishAck, PublishError>, Failure> {
        let publish = async {
            let expected = self.acks.expect();
            let reply = expected.subject();
            let client = &self.client;
            // The queue of the client has room again within the timeout, or there is no answer.
            client
                .publish_with_reply_and_headers(subject.to_owned(), reply, headers, payload)
                .await
                .map_err(not_sent)?;
            expected.answer().await
        };
        let answer = async {
            let late = |_late| Err(PublishError::new(PublishErrorKind::TimedOut));
            timeout(self.ack_timeout, publish)
                .await
                .unwrap_or_else(late)
        };
        self.unless_refused(subject, answer).await
    }

    /// Waits for the answer to what was published on `subject`.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub(super) async fn unless_refused<T>(
        &self,
        subject: &str,
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        // The server may have been given the permission since the last attempt.
        self.news.forget(subject);
        tokio::select! {
            answer = answer => Ok(answer),
            said = self.news.refused(subject) => Err(down(Reason::Forbidden, &said)),
            () = self.news.lost.cancelled() => Err(down(
                Reason::Disconnected,
                "the connection was lost before an answer came",
            )),
        }
    }

    /// Whether it is to the server of this name.
    pub(super) fn is_to(&self, name: &str) -> bool {
        self.client.server_info().server_name == name
    }

    /// Waits until the connection is lost.
    pub(super) async fn lost(&self) {
        self.news.lost.cancelled().await;
    }

    /// Whether it should be replaced although no event reported its loss: an event may get lost.
    pub(super) fn is_spent(&self) -> bool {
        self.client.connection_state() != State::Connected
    }

    /// Ends all waits for answers on it.
    pub(super) fn give_up(&self) {
        self.news.lost.cancel();
    }

    /// Why it was lost, if the server gave a reason.
    pub(super) fn farewell(&self) -> Option<NotConnected> {
        let refused = self.news.refused.borrow();
        refused.answers.as_deref().map(|said| NotConnected {
            reason: Reason::Forbidden,
            detail: detail(said),
        })
    }
}

/// The error of a publication that the client did not take.
fn not_sent(error: client::PublishError) -> PublishError {
    let kind = match error.kind() {
        client::PublishErrorKind::MaxPayloadExceeded => PublishErrorKind::MaxPayloadExceeded,
        client::PublishErrorKind::Send => PublishErrorKind::BrokenPipe,
        client::PublishErrorKind::InvalidSubject => PublishErrorKind::Other,
    };
    PublishError::with_source(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_what_is_not_permitted() {
        let cases = [
            (
                r#"Permissions Violation for Publish to "mns.x""#,
                Some((true, "mns.x")),
            ),
            (
                r#"permissions violation for subscription to "_inbox.a.*""#,
                Some((false, "_inbox.a.*")),
            ),
            ("Permissions Violation for Publish", Some((true, ""))),
            ("Stale Connection", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(violation(text), expected, "{text}");
        }
    }
}
