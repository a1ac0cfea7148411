//! A forwarder sends, takes the answers, and buries what the destination cannot take.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tracing::{error, info, warn};

use crate::forward::dead_letters::NotBuried;
use crate::forward::letter::Verdict;
use crate::forward::meters::ms;
use crate::forward::run::run::{Place, Run, now};
use crate::forward::run::step::{Done, Panicked};
use crate::forward::watermark::{Settled, Ticket};
use crate::forward::window::{Next, ToBury};
use crate::forward::{Delivered, Failure, Outgoing, Sink};

/// Failures are logged at most this often.
const REPORT_EVERY: Duration = Duration::from_secs(10);

impl<S: Sink> Run<S> {
    /// Sends what is due to be sent again, then the next rows, as far as the window has room.
    pub(super) fn send(&mut self, now: Instant) {
        // Retries first: they are older, and the cursor cannot pass them.
        while let Some((ticket, outgoing)) = self.window.send_again(now) {
            self.send_one(ticket, outgoing);
        }
        while let Some((row, _)) = self.queue.front() {
            let is_sent = row.outgoing.is_some();
            // A row that is not sent or is skipped takes no room in the window.
            if is_sent && !self.backlog.is_skipping(row) && !self.window.has_room(now) {
                return;
            }
            let Some((row, chunk)) = self.queue.pop_front() else {
                return;
            };
            let position = row.end;
            let place = Place { position, chunk };
            let Some(mut outgoing) = row.outgoing else {
                self.backlog.pass(row.bytes);
                let passed = self.watermark.enter_settled(place, Settled::NotSelected);
                self.pass(passed);
                continue;
            };
            // Before the skip: a restart counts what is passed, skipped notifications too, and must
            // reach the same numbers.
            self.sequence = self.sequence.saturating_add(1);
            if self.is_skipped(&outgoing, row.bytes) {
                let passed = self.watermark.enter_settled(place, Settled::Skipped);
                self.pass(passed);
                continue;
            }
            outgoing.sequence = self.sequence;
            let ticket = self.watermark.enter(place);
            let outgoing = self.window.send(ticket, (outgoing, row.bytes), now);
            self.send_one(ticket, outgoing);
        }
    }

    fn send_one(&mut self, ticket: Ticket, outgoing: Arc<Outgoing>) {
        let sink = self.sink.clone();
        let send = async move {
            let begun = now();
            let sent = sink.send(&outgoing).await;
            Done::Sent(ticket, sent, now().saturating_duration_since(begun))
        };
        // A panic ends the forwarder, as that of a job, and is logged with its destination.
        let send = AssertUnwindSafe(send).catch_unwind();
        let panicked = |_payload| Panicked("an attempt to send panicked".to_owned());
        self.sends
            .push(send.map(move |sent| sent.map_err(panicked)).boxed());
    }

    pub(super) fn delivered(&mut self, ticket: Ticket, delivered: Delivered, took: Duration) {
        let time = self.source.clock.now();
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        self.meters.note_delivered(delivered, took, seconds);
        self.silent_since = Some(now());
        if self.reported.take().is_some() {
            let destination = &self.settings.name;
            info!(destination, "Notifications are delivered again");
        }
        let (outgoing, refused) = self.window.delivered(ticket);
        if self.answers.is_some() {
            self.acknowledged.extend(outgoing.map(|it| (it, delivered)));
        }
        self.settle(ticket, Settled::Delivered(delivered));
        for ticket in refused {
            self.bury(ticket);
        }
    }

    pub(super) fn failed(&mut self, ticket: Ticket, failure: &Failure) {
        let now = now();
        self.meters.note_failure(failure, now);
        self.report(failure, now);
        match self.window.failed(ticket, failure, now) {
            Next::Again => {}
            Next::Bury => self.bury(ticket),
            Next::Stop => {
                let destination = &self.settings.name;
                let detail = failure.detail();
                error!(
                    destination,
                    detail,
                    "The destination ended permanently: nothing is \
                    forwarded to it until the next start"
                );
                self.is_over = true;
            }
        }
    }

    /// Logs a failure, at most once in `REPORT_EVERY`: a fault of the destination affects thousands
    /// of notifications.
    fn report(&mut self, failure: &Failure, now: Instant) {
        let is_due = |last| now.saturating_duration_since(last) >= REPORT_EVERY;
        if !self.reported.is_none_or(is_due) {
            return;
        }
        self.reported = Some(now);
        let (destination, detail) = (&self.settings.name, failure.detail());
        let reason = failure.reason().key();
        if matches!(failure, Failure::Down { .. }) {
            error!(
                destination,
                reason,
                detail,
                "A destination takes nothing: what is accepted \
                waits in the log"
            );
        } else {
            warn!(
                destination,
                reason,
                detail,
                "A notification was not delivered: it is sent \
                again"
            );
        }
    }

    fn bury(&mut self, ticket: Ticket) {
        let Some(to_bury) = self.window.to_bury(ticket) else {
            return;
        };
        let ToBury {
            outgoing,
            reason,
            attempts,
            detail,
        } = to_bury;
        let at = Timestamp::try_from(self.source.clock.now()).unwrap_or_default();
        let verdict = Verdict {
            reason,
            attempts,
            detail,
            at,
        };
        let dead_letters = self.dead_letters.clone();
        self.jobs.spawn_blocking(move || {
            let buried = dead_letters.bury(&outgoing, &verdict);
            Done::Buried(ticket, verdict, buried)
        });
    }

    pub(super) fn buried(
        &mut self,
        ticket: Ticket,
        verdict: &Verdict,
        buried: Result<(), NotBuried>,
    ) {
        let destination = &self.settings.name;
        if let Err(error) = buried {
            error!(destination, %error, "A dead letter cannot be kept: its notification is sent \
                again");
            // The cursor must not pass a notification that neither the destination nor the file
            // has.
            self.window.not_buried(ticket, now());
            return;
        }
        let Some(outgoing) = self.window.take(ticket) else {
            return;
        };
        let [_, topic, _, id] = outgoing
            .notification
            .key
            .parts()
            .map(String::from_utf8_lossy);
        let (reason, attempts) = (verdict.reason.key(), verdict.attempts);
        warn!(
            destination,
            reason,
            attempts,
            ?topic,
            ?id,
            "A notification is a dead letter: it is \
            in forward_NAME.PORT.dead beside the logs"
        );
        self.meters.note_dead_letter(verdict.reason);
        // What was acknowledged before counts first.
        self.answer();
        if let Some(answers) = &self.answers {
            answers.dead_lettered(&outgoing.notification.key);
        }
        self.settle(ticket, Settled::DeadLettered);
    }

    fn settle(&mut self, ticket: Ticket, settled: Settled) {
        let passed = self.watermark.settle(ticket, settled);
        self.pass(passed);
    }

    /// Answers the pushes that wait for what was acknowledged: all of a burst at once, because that
    /// wakes each of their threads once.
    pub(super) fn answer(&mut self) {
        if let Some(answers) = self
            .answers
            .as_ref()
            .filter(|_| !self.acknowledged.is_empty())
        {
            let acknowledged = self.acknowledged.iter();
            answers.delivered(
                acknowledged.map(|(outgoing, proof)| (&outgoing.notification.key, *proof)),
            );
            self.acknowledged.clear();
        }
    }

    /// Publishes what requests and metrics read.
    pub(super) fn publish(&mut self) {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let now = now();
        // Silence means an outage only while something is in flight.
        if self.window.len() == 0 {
            self.silent_since = None;
        } else {
            self.silent_since.get_or_insert(now);
        }
        self.gate.is_silent_since(self.silent_since);
        let meters = &self.meters;
        let unsaved = self.saving_since.or(self.moved.since);
        let unsaved = unsaved.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        meters.unsaved_ms.store(ms(unsaved), Ordering::Relaxed);
        let (len, bytes) = (self.window.len(), self.window.bytes());
        meters.in_flight.store(number(len), Ordering::Relaxed);
        meters
            .in_flight_bytes
            .store(number(bytes), Ordering::Relaxed);
        let is_connected = self.sink.is_connected();
        let why_not = (!is_connected).then(|| self.sink.why_not_connected());
        meters.note_connection(is_connected, why_not.flatten().as_ref(), now);
        // Until it is known, the one that an earlier process knew is shown.
        if let Some(window) = self.sink.duplicate_window() {
            meters.note_duplicate_window(window);
        }
    }
}
