//! One connection, from its first moment to its loss: what is published on it, and what the server
//! says beside the answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::connection::State;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, Event, ServerError, jetstream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::forward::detail::detail;
use crate::forward::nats::answer::down;
use crate::forward::{Failure, Reason};

/// How many publications may remain without an answer before the connection is replaced. The client
/// keeps about 200 bytes for each of them as long as the connection lasts.
const UNANSWERED_MAX: usize = 10_000;
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
    unanswered: AtomicUsize,
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
    pub(super) fn new(client: Client, context: jetstream::Context, news: Arc<News>) -> Self {
        Self {
            context,
            client,
            news,
            unanswered: AtomicUsize::new(0),
        }
    }

    /// Publishes once and waits for the answer, which comes within the context's timeout.
    ///
    /// # Errors
    /// The connection was lost meanwhile, or the server does not permit the subject.
    pub(super) async fn publish(
        &self,
        subject: &str,
        message: PublishMessage,
    ) -> Result<Result<PublishAck, PublishError>, Failure> {
        let publish = async {
            let sent = self.context.send_publish(subject.to_owned(), message);
            sent.await?.await
        };
        let answer = self.unless_refused(subject, publish).await;
        let is_answered = match &answer {
            Ok(Ok(_acknowledged)) => true,
            Ok(Err(error)) => error.kind() != PublishErrorKind::TimedOut,
            Err(_lost_or_refused) => false,
        };
        if !is_answered {
            // Relaxed, because the counter publishes nothing else and its bound is not exact.
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        answer
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

    /// Waits until the connection is lost.
    pub(super) async fn lost(&self) {
        self.news.lost.cancelled().await;
    }

    /// Whether it should be replaced although no event reported its loss: an event may get lost,
    /// and the places for missing answers add up.
    pub(super) fn is_spent(&self) -> bool {
        self.client.connection_state() != State::Connected
            || self.unanswered.load(Ordering::Relaxed) > UNANSWERED_MAX
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
