#![expect(
    clippy::arithmetic_side_effects,
    reason = "helpers of tests fail by panicking"
)]

use std::time::{Duration, Instant};

use crate::forward::backoff::Backoff;
use crate::forward::identity::samples::outgoing;
use crate::forward::watermark::{Ticket, Watermark};
use crate::forward::window::entry::REFUSALS;
use crate::forward::window::window::PROBES;
use crate::forward::window::{Limits, Next, Window};
use crate::forward::{Failure, Outgoing, Reason};

const SECOND: Duration = Duration::from_secs(1);

/// A window with a watermark for its tickets, and a clock.
struct Sent {
    window: Window,
    mark: Watermark<u64>,
    now: Instant,
}

impl Sent {
    fn new(notifications: usize) -> Self {
        let limits = Limits {
            notifications,
            bytes: 1 << 20,
            give_up: Some(SECOND * 3600),
            backoff: Backoff {
                first: SECOND,
                longest: SECOND * 60,
            },
        };
        Self {
            window: Window::new(limits),
            mark: Watermark::default(),
            now: Instant::now(),
        }
    }

    fn send(&mut self) -> Ticket {
        assert!(self.window.has_room(self.now));
        let ticket = self.mark.enter(0);
        self.window.send(ticket, (message(), 500), self.now);
        ticket
    }

    /// Fails a notification, and each of its retries, until it has failed this many times.
    fn fail(&mut self, ticket: Ticket, failure: &Failure, times: u32) -> Next {
        let mut next = self.window.failed(ticket, failure, self.now);
        for _ in 1..times {
            assert_eq!(next, Next::Again);
            self.now += SECOND * 61;
            let (again, _) = self.window.send_again(self.now).unwrap();
            assert_eq!(again, ticket);
            next = self.window.failed(ticket, failure, self.now);
        }
        next
    }
}

fn message() -> Outgoing {
    outgoing([b"1", b"t", b"s", b"m"])
}

fn refused() -> Failure {
    Failure::Refused {
        reason: Reason::Refused,
        after: None,
        detail: "404".to_owned(),
    }
}

fn down() -> Failure {
    Failure::Down {
        reason: Reason::Disconnected,
        detail: String::new(),
    }
}

fn retry(after: Option<Duration>) -> Failure {
    Failure::Retry {
        reason: Reason::AckTimeout,
        after,
        detail: String::new(),
    }
}

#[test]
fn a_window_has_room_by_number_and_by_bytes_and_what_is_delivered_gives_it_back() {
    let mut sent = Sent::new(2);
    let first = sent.send();
    assert!(sent.window.bytes() > 5);
    sent.send();
    assert!(!sent.window.has_room(sent.now));
    let (outgoing, refused) = sent.window.delivered(first);
    assert_eq!((outgoing.unwrap().as_ref(), refused), (&message(), vec![]));
    assert!(sent.window.has_room(sent.now));
    sent.window.limits.bytes = 1;
    assert!(!sent.window.has_room(sent.now), "one is in flight");
}

#[test]
fn what_failed_is_sent_again_after_its_wait_or_when_the_destination_says() {
    let mut sent = Sent::new(2);
    let (one, other) = (sent.send(), sent.send());
    assert_eq!(sent.window.due(), None, "both are being sent");
    assert_eq!(sent.window.failed(one, &retry(None), sent.now), Next::Again);
    let due = sent.window.due().unwrap();
    assert!(due > sent.now && due <= sent.now + SECOND);
    assert!(sent.window.send_again(sent.now).is_none(), "not before");
    sent.window
        .failed(other, &retry(Some(SECOND * 9)), sent.now);
    assert_eq!(sent.window.send_again(due).unwrap().0, one);
    assert_eq!(sent.window.due(), Some(sent.now + SECOND * 9));
    // An answer to what is not in flight changes nothing.
    sent.window.delivered(other);
    assert_eq!(
        sent.window.failed(other, &retry(None), sent.now),
        Next::Again
    );
    assert_eq!(sent.window.len(), 1);
}

#[test]
fn a_refusal_is_a_verdict_only_after_a_later_one_was_delivered() {
    let mut sent = Sent::new(8);
    let earlier = sent.send();
    let refused_one = sent.send();
    sent.window.delivered(earlier);
    // Refused for hours while nothing else is sent: the destination may be at fault.
    sent.window.limits.give_up = None;
    assert_eq!(sent.fail(refused_one, &refused(), 200), Next::Again);
    // A later one is delivered, so the fault is the notification's.
    let later = sent.send();
    let (_, to_bury) = sent.window.delivered(later);
    assert_eq!(to_bury, [refused_one]);
    let to_bury = sent.window.to_bury(refused_one).unwrap();
    let shown = (to_bury.reason, to_bury.attempts, to_bury.detail.as_str());
    assert_eq!(shown, (Reason::Refused, 200, "404"));
    assert!(sent.window.send_again(sent.now + SECOND * 61).is_none());
}

#[test]
fn less_than_twenty_refusals_are_no_verdict_and_the_twentieth_is() {
    let mut sent = Sent::new(8);
    let one = sent.send();
    assert_eq!(sent.fail(one, &refused(), 1), Next::Again);
    let later = sent.send();
    assert_eq!(sent.window.delivered(later).1, []);
    sent.now += SECOND * 61;
    sent.window.send_again(sent.now).unwrap();
    assert_eq!(sent.fail(one, &refused(), 18), Next::Again);
    sent.now += SECOND * 61;
    sent.window.send_again(sent.now).unwrap();
    assert_eq!(sent.fail(one, &refused(), 1), Next::Bury);
    // One whose dead letter could not be written stays in the window.
    sent.window.not_buried(one, sent.now);
    assert_eq!(sent.window.len(), 1);
    assert!(sent.window.due().is_some());
}

#[test]
fn one_at_a_time_a_later_one_is_sent_to_find_out_who_is_at_fault_and_not_endlessly() {
    assert_probes_beyond(Sent::new(1));
    // The same if the window is full by its bytes.
    let mut sent = Sent::new(512);
    sent.window.limits.bytes = 1;
    assert_probes_beyond(sent);
}

/// Fills a window that has room for one.
#[track_caller]
fn assert_probes_beyond(mut sent: Sent) {
    sent.window.limits.give_up = None;
    for _ in 0..=PROBES {
        let ticket = sent.send();
        assert!(!sent.window.has_room(sent.now));
        for _ in 0..REFUSALS {
            sent.window.failed(ticket, &refused(), sent.now);
            sent.now += SECOND * 61;
            // The others are sent and refused again too.
            let again: Vec<Ticket> =
                std::iter::from_fn(|| sent.window.send_again(sent.now).map(|(ticket, _)| ticket))
                    .collect();
            for other in again.iter().filter(|other| **other != ticket) {
                sent.window.failed(*other, &refused(), sent.now);
            }
        }
        sent.window.failed(ticket, &refused(), sent.now);
    }
    assert!(
        !sent.window.has_room(sent.now),
        "the destination refuses all"
    );
    assert_eq!(sent.window.len(), 1 + PROBES);
}

#[test]
fn poison_is_buried_at_once_and_what_fails_for_too_long_is_given_up() {
    let mut sent = Sent::new(8);
    let one = sent.send();
    let poison = Failure::Poison {
        reason: Reason::TooLarge,
        detail: "1 MiB".to_owned(),
    };
    assert_eq!(sent.window.failed(one, &poison, sent.now), Next::Bury);
    assert_eq!(sent.window.to_bury(one).unwrap().reason, Reason::TooLarge);
    for failure in [retry(None), refused()] {
        let mut sent = Sent::new(8);
        let one = sent.send();
        assert_eq!(sent.window.failed(one, &failure, sent.now), Next::Again);
        sent.now += SECOND * 3600;
        sent.window.send_again(sent.now).unwrap();
        assert_eq!(sent.window.failed(one, &failure, sent.now), Next::Bury);
        assert_eq!(sent.window.to_bury(one).unwrap().reason, Reason::GivenUp);
    }
    let gone = Failure::Gone {
        detail: String::new(),
    };
    let two = sent.send();
    assert_eq!(sent.window.failed(two, &gone, sent.now), Next::Stop);
}

#[test]
fn a_destination_that_is_down_gets_one_at_a_time_until_one_is_delivered() {
    let mut sent = Sent::new(8);
    let tickets: Vec<Ticket> = (0..3).map(|_| sent.send()).collect();
    for ticket in &tickets {
        // An outage is never a verdict, however long it lasts.
        assert_eq!(sent.window.failed(*ticket, &down(), sent.now), Next::Again);
    }
    assert!(!sent.window.has_room(sent.now));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let due = sent.window.due().unwrap();
        waits.push(due - sent.now);
        assert!(sent.window.send_again(due - SECOND / 1000).is_none());
        sent.now = due;
        let (probe, _) = sent.window.send_again(due).unwrap();
        assert!(
            sent.window.send_again(due + SECOND * 99).is_none(),
            "one at a time"
        );
        assert_eq!((probe, sent.window.due()), (tickets[0], None));
        sent.window.failed(probe, &down(), sent.now);
    }
    assert!(waits[0] <= SECOND && waits[7] >= SECOND * 30, "{waits:?}");
    sent.now = sent.window.due().unwrap();
    let (probe, _) = sent.window.send_again(sent.now).unwrap();
    sent.window.delivered(probe);
    let rest = std::iter::from_fn(|| sent.window.send_again(sent.now));
    assert_eq!(rest.count(), 2);
    assert!(sent.window.has_room(sent.now));
}

#[test]
fn a_probe_that_is_poison_is_followed_by_another_one_at_once() {
    let mut sent = Sent::new(8);
    let tickets: Vec<Ticket> = (0..3).map(|_| sent.send()).collect();
    for ticket in &tickets {
        sent.window.failed(*ticket, &down(), sent.now);
    }
    let probe = |sent: &mut Sent| {
        sent.now = sent.window.due().unwrap();
        sent.window.send_again(sent.now).unwrap().0
    };
    for _ in 0..8 {
        let first = probe(&mut sent);
        sent.window.failed(first, &down(), sent.now);
    }
    let poison = Failure::Poison {
        reason: Reason::TooLarge,
        detail: String::new(),
    };
    let first = probe(&mut sent);
    assert_eq!(first, tickets[0]);
    assert_eq!(sent.window.failed(first, &poison, sent.now), Next::Bury);
    assert_eq!(sent.window.due(), Some(sent.now));
    let second = probe(&mut sent);
    assert_eq!(second, tickets[1]);
    assert!(sent.window.send_again(sent.now).is_none(), "one at a time");
    // It says nothing of the destination, which is still down: the waits go on where they were.
    sent.window.failed(second, &down(), sent.now);
    assert!(sent.window.due().unwrap() - sent.now >= SECOND * 30);
    assert!(!sent.window.has_room(sent.now));
}

#[test]
fn what_waits_can_be_taken_out_and_what_is_sent_does_not_wait() {
    let mut sent = Sent::new(8);
    let (one, other) = (sent.send(), sent.send());
    sent.window.failed(one, &refused(), sent.now);
    let (first, outgoing, bytes) = sent.window.first_waiting().unwrap();
    assert_eq!((first, outgoing, bytes), (one, &message(), 500));
    sent.window.take(one);
    assert_eq!((sent.window.len(), sent.window.first_waiting()), (1, None));
    assert!(sent.window.is_sending());
    sent.window.delivered(other);
    assert_eq!((sent.window.len(), sent.window.bytes()), (0, 0));
}
