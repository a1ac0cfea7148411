//! The acknowledgements of one connection, on one subscription.
//!
//! Each publication asks for its answer under a number that is never used again. So an answer that
//! arrives after its publication was given up finds nobody, and is never taken for another one's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, Message, StatusCode, SubscribeError, Subscriber, jetstream};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

/// The acknowledgements of one connection.
pub(super) struct Acks {
    waiting: Arc<Waiting>,
    /// The task that has the subscription. It keeps the client alive, so it ends with the
    /// connection.
    _reader: AbortOnDropHandle<()>,
}

/// The publications that wait for an answer.
struct Waiting {
    /// The subject of an answer is this, a dot and the number of the publication.
    inbox: String,
    publications: Mutex<Publications>,
}

#[derive(Default)]
struct Publications {
    /// The number of the last one.
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Message>>,
}

/// The answer to one publication, which nobody waits for once this is dropped.
pub(super) struct Expected<'a> {
    among: &'a Waiting,
    number: u64,
    answer: oneshot::Receiver<Message>,
}

/// What JetStream answers. An error has the fields of an acknowledgement too.
#[derive(Deserialize)]
struct Answer {
    error: Option<jetstream::Error>,
    stream: Option<String>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

impl Acks {
    /// Subscribes. What is published after this is answered on it.
    pub(super) async fn subscribe(client: &Client) -> Result<Self, SubscribeError> {
        let inbox = client.new_inbox();
        let mut answers: Subscriber = client.subscribe(format!("{inbox}.*")).await?;
        let waiting = Arc::new(Waiting::at(inbox));
        let found = waiting.clone();
        let reader = tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                found.take(answer);
            }
        });
        Ok(Self {
            waiting,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    /// Expects the answer to a publication that is made next.
    pub(super) fn expect(&self) -> Expected<'_> {
        self.waiting.expect()
    }
}

impl Waiting {
    fn at(inbox: String) -> Self {
        Self {
            inbox,
            publications: Mutex::default(),
        }
    }

    fn expect(&self) -> Expected<'_> {
        let (waiting, answer) = oneshot::channel();
        let mut publications = self.lock();
        // Never the same twice: 2^64 numbers last 600 years, at a billion a second.
        let number = publications.last.wrapping_add(1);
        publications.last = number;
        publications.waiting.insert(number, waiting);
        Expected {
            among: self,
            number,
            answer,
        }
    }

    /// Hands an answer to the publication that waits for it.
    fn take(&self, answer: Message) {
        let number = answer.subject.rsplit('.').next();
        let number = number.and_then(|number| number.parse().ok());
        let waiting = number.and_then(|number: u64| self.lock().waiting.remove(&number));
        if let Some(waiting) = waiting {
            // This fails if the publication was given up just now.
            drop(waiting.send(answer));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Publications> {
        self.publications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected<'_> {
    /// The subject of the answer.
    pub(super) fn subject(&self) -> String {
        format!("{}.{}", self.among.inbox, self.number)
    }

    /// Waits for the answer.
    pub(super) async fn answer(mut self) -> Result<PublishAck, PublishError> {
        match (&mut self.answer).await {
            Ok(message) => read(&message),
            // The subscription has ended, and with it the connection.
            Err(_ended) => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
        }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.among.lock().waiting.remove(&self.number);
    }
}

/// Reads an answer.
fn read(message: &Message) -> Result<PublishAck, PublishError> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(PublishError::new(PublishErrorKind::StreamNotFound));
    }
    let other = |error: jetstream::Error| PublishError::with_source(PublishErrorKind::Other, error);
    let answer: Answer = serde_json::from_slice(&message.payload)
        .map_err(|error| PublishError::with_source(PublishErrorKind::Other, error))?;
    match answer {
        Answer {
            error: Some(error), ..
        } => Err(other(error)),
        Answer {
            stream: Some(stream),
            seq,
            duplicate,
            ..
        } => Ok(PublishAck {
            stream,
            sequence: seq,
            duplicate,
            ..PublishAck::default()
        }),
        Answer { stream: None, .. } => Err(PublishError::with_source(
            PublishErrorKind::Other,
            "the answer names no stream",
        )),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(status: Option<StatusCode>, payload: &str) -> Message {
        to("_INBOX.x.1", status, payload)
    }

    fn to(subject: &str, status: Option<StatusCode>, payload: &str) -> Message {
        Message {
            subject: subject.into(),
            reply: None,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            headers: None,
            status,
            description: None,
            length: payload.len(),
        }
    }

    fn kind(payload: &str) -> PublishErrorKind {
        read(&message(None, payload)).unwrap_err().kind()
    }

    #[test]
    fn only_an_answer_without_an_error_is_an_acknowledgement() {
        let ack = read(&message(None, r#"{"stream":"MNS","seq":7}"#)).unwrap();
        assert_eq!((ack.sequence, ack.duplicate), (7, false));
        let ack = r#"{"stream":"MNS","domain":"hub","seq":7,"duplicate":true}"#;
        assert!(read(&message(None, ack)).unwrap().duplicate);
        let full =
            r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"#
                .to_owned()
                + r#""stream":"MNS","seq":7}"#;
        for none in [
            full.as_str(),
            "",
            "{}",
            "[]",
            r#"{"seq":7}"#,
            r#"{"stream":"MNS","seq":-1}"#,
        ] {
            assert_eq!(kind(none), PublishErrorKind::Other, "{none}");
        }
        let nobody = message(Some(StatusCode::NO_RESPONDERS), "");
        let error = read(&nobody).unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::StreamNotFound);
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_is_taken_for_no_other() {
        let waiting = Waiting::at("_INBOX.x".to_owned());
        let given_up = waiting.expect();
        let late = given_up.subject();
        drop(given_up);
        let (second, third) = (waiting.expect(), waiting.expect());
        let ack = |seq: u64| format!(r#"{{"stream":"MNS","seq":{seq}}}"#);
        for foreign in [
            late.as_str(),
            "_INBOX.x.99",
            "_INBOX.x.",
            "_INBOX.x.-2",
            "_INBOX.x.x",
        ] {
            waiting.take(to(foreign, None, &ack(1)));
        }
        waiting.take(to(&third.subject(), None, &ack(3)));
        waiting.take(to(&second.subject(), None, &ack(2)));
        // Twice, which changes nothing.
        waiting.take(to(&second.subject(), None, &ack(4)));
        assert_eq!(third.answer().await.unwrap().sequence, 3);
        assert_eq!(second.answer().await.unwrap().sequence, 2);
        assert!(waiting.lock().waiting.is_empty());
    }
}
