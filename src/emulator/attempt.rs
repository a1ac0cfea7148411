//! One attempt to deliver one message: the push, and the faults that chaos injects.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;
use tracing::{info, warn};

use crate::emulator::account::Delivery;
use crate::emulator::chaos::{Occasion, Trouble};
use crate::emulator::delivery::{Connection, DeliveryError, Target};
use crate::emulator::keyring::Issued;
use crate::emulator::push::{Push, SignedPush, new_request_id};
use crate::emulator::recent::PastAttempt;
use crate::emulator::sender::Sender;
use crate::emulator::signer::SignerError;
use crate::mns::api::Subscription;
use crate::mns::{ContentMd5, Notification};
use crate::report::Report;

/// The longest time that a message is delayed so that others can overtake it.
const REORDER_HOLD_MAX: Duration = Duration::from_secs(3);
/// The number of pieces of a slow request.
const SLOW_PIECES: usize = 4;
/// The pause between two pieces.
// Three pauses take 750 ms, far less than the 5 s after which the push would fail.
const SLOW_PAUSE: Duration = Duration::from_millis(250);

/// One attempt.
pub(super) struct Attempt {
    pub(super) sender: Arc<Sender>,
    pub(super) subscription: Arc<Subscription>,
    pub(super) target: Target,
    pub(super) connection: Connection,
    pub(super) delivery: Delivery,
}

/// A finished attempt.
pub(super) struct Finished {
    pub(super) subscription: Arc<Subscription>,
    pub(super) delivery: Delivery,
    pub(super) connection: Connection,
    pub(super) begun: Instant,
    pub(super) result: Result<u16, Failure>,
}

/// Why a message has to be pushed again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The answer was not a success.
    #[error("the endpoint answered {0}")]
    Answered(u16),
    /// There was no answer.
    #[error(transparent)]
    Unanswered(#[from] DeliveryError),
    /// Chaos cut the request off.
    #[error("chaos: the request was cut off")]
    Truncated,
    /// Chaos dropped the answer.
    #[error("chaos: the answer was lost")]
    AnswerDropped,
    /// The push could not be signed.
    #[error(transparent)]
    Unsigned(#[from] SignerError),
}

impl Attempt {
    /// Makes the attempt. If the future is dropped, the message stays due.
    pub(super) async fn make(mut self) -> Finished {
        // `Instant` measures the duration, which a clock change must not affect. The page shows the
        // time of day.
        let (begun, at) = (Instant::now(), self.sender.clock.now());
        let result = self.run().await;
        let took = begun.elapsed();
        self.log(&result, took);
        self.remember(at, None, &result, took);
        let Self {
            subscription,
            delivery,
            connection,
            ..
        } = self;
        Finished {
            subscription,
            delivery,
            connection,
            begun,
            result,
        }
    }

    async fn run(&mut self) -> Result<u16, Failure> {
        // While this attempt waits, later messages overtake it.
        if self.strikes(Trouble::Reorder) {
            let fraction = self.sender.chaos().fraction("hold", &self.occasion());
            sleep(self.sender.warped(REORDER_HOLD_MAX.mul_f64(fraction))).await;
        }
        // Forgeries have the message id of the genuine push and precede it: an endpoint has to
        // refuse them and must still accept the push.
        self.send_forgeries().await?;
        // Signed after the delay above, so that Date is the time of sending.
        let request = self
            .push(&self.message(), &self.sender.keyring.current())?
            .to_wire();
        if self.strikes(Trouble::Truncate) {
            let half = request
                .get(..request.len().div_euclid(2))
                .unwrap_or_default();
            self.connection.send_part(half).await?;
            // A failure without waiting for an answer: the endpoint has only half of the request.
            return Err(Failure::Truncated);
        }
        let answer = if self.strikes(Trouble::Slow) {
            let pieces: Vec<&[u8]> = request
                // `chunks` panics at 0.
                .chunks(request.len().div_ceil(SLOW_PIECES).max(1))
                .collect();
            self.connection
                .deliver_in(&pieces, self.sender.warped(SLOW_PAUSE))
                .await?
        } else {
            self.connection.deliver(&request).await?
        };
        // A 3xx is a failure too. Whether MNS counts it as one is not known (protocol.md 1.5).
        if !answer.is_success() {
            return Err(Failure::Answered(answer.status));
        }
        if self.strikes(Trouble::Duplicate) {
            // Signed again, because each push has its own date and request id.
            let again = self
                .push(&self.message(), &self.sender.keyring.current())?
                .to_wire();
            // Whatever the answer is, the endpoint has the message.
            drop(self.connection.deliver(&again).await);
        }
        // The endpoint has accepted the message, but like MNS the pusher does not know it and
        // pushes it again.
        if self.strikes(Trouble::DropAnswer) {
            return Err(Failure::AnswerDropped);
        }
        Ok(answer.status)
    }

    /// Records the result for the page.
    pub(super) fn remember<E: Error>(
        &self,
        at: SystemTime,
        forgery: Option<Trouble>,
        result: &Result<u16, E>,
        took: Duration,
    ) {
        self.sender.recent.add(PastAttempt {
            at,
            topic: self.subscription.topic_name.clone(),
            subscription: self.subscription.name.clone(),
            message_id: self.delivery.message.id.clone(),
            attempt: self.delivery.failures.saturating_add(1),
            forgery,
            result: result
                .as_ref()
                .copied()
                .map_err(|failure| Report(failure).to_string()),
            took,
        });
    }

    pub(super) fn message(&self) -> Notification<'_> {
        self.notification(&self.delivery.message.body)
    }

    pub(super) fn notification<'a>(&'a self, message: &'a str) -> Notification<'a> {
        let (subscription, own) = (&self.subscription, &self.delivery.message);
        let bytes = |text: &'a str| Cow::Borrowed(text.as_bytes());
        Notification {
            format: subscription.attributes.notify_content_format,
            // The digest of the given message, so that a forgery is consistent in itself.
            message_md5: Cow::Owned(ContentMd5::of(message.as_bytes()).upper_hex().into_bytes()),
            topic_owner: bytes(&subscription.topic_owner),
            publish_time: Cow::Owned(own.publish_time.to_string().into_bytes()),
            subscriber: bytes(&subscription.subscriber),
            message_tag: bytes(&own.tag),
            subscription_name: bytes(&subscription.name),
            message_id: bytes(&own.id),
            message: bytes(message),
            topic_name: bytes(&subscription.topic_name),
        }
    }

    /// Signs a push now, with a new date and request id.
    pub(super) fn push(
        &self,
        notification: &Notification<'_>,
        issued: &Issued,
    ) -> Result<SignedPush, SignerError> {
        let date = self.sender.clock.now();
        let push = Push {
            notification,
            target: self.target.path(),
            host: self.target.authority(),
            certificate_url: &issued.certificate_url,
            date,
            request_id: &new_request_id(date),
            notation: self
                .sender
                .content_md5
                .unwrap_or_else(|| Push::usual_notation(notification.format)),
        };
        push.signed(&issued.signer)
    }

    pub(super) fn strikes(&self, trouble: Trouble) -> bool {
        let strikes = self.sender.chaos().strikes(trouble, &self.occasion());
        if strikes {
            self.sender.chaos_counts.count(trouble);
        }
        strikes
    }

    fn occasion(&self) -> Occasion<'_> {
        Occasion {
            topic: &self.subscription.topic_name,
            subscription: &self.subscription.name,
            number: self.delivery.number,
            failures: self.delivery.failures,
        }
    }

    fn log(&self, result: &Result<u16, Failure>, took: Duration) {
        let Subscription {
            topic_name: topic,
            name: subscription,
            ..
        } = self.subscription.as_ref();
        let (message_id, attempt) = (
            &self.delivery.message.id,
            self.delivery.failures.saturating_add(1),
        );
        match result {
            Ok(status) => info!(
                topic,
                subscription,
                message_id,
                attempt,
                status,
                ?took,
                "Delivered"
            ),
            Err(failure) => {
                let reason = Report(failure);
                warn!(
                    topic,
                    subscription,
                    message_id,
                    attempt,
                    %reason,
                    ?took,
                    "Not delivered"
                );
            }
        }
    }
}
