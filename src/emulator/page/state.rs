//! The state for the page: a snapshot of topics, subscriptions, chaos and the last attempts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::emulator::account::{AccountError, COUNTED_MAX, Key, TopicOverview, Waiting};
use crate::emulator::chaos::{CHAOS_DEFAULT, Chaos, Trouble};
use crate::emulator::delivery::Target;
use crate::emulator::emulator::Emulator;
use crate::emulator::progress::Progress;
use crate::emulator::recent::PastAttempt;

/// The emulator as the page shows it.
pub(super) async fn state(emulator: &Arc<Emulator>) -> Result<Value, AccountError> {
    let overview = emulator.account.overview().await?;
    let now = unix_ms(emulator.clock.now());
    let topic = |topic: TopicOverview| {
        let subscription = |waiting| subscription(emulator, waiting, now);
        let subscriptions: Vec<Value> = topic.subscriptions.into_iter().map(subscription).collect();
        json!({ "name": topic.name, "subscriptions": subscriptions })
    };
    let topics: Vec<Value> = overview.topics.into_iter().map(topic).collect();
    let attempts = emulator.sender.recent.attempts();
    let attempts: Vec<Value> = attempts.iter().map(attempt).collect();
    let forgeries = &emulator.sender.forgeries;
    Ok(json!({
        "now_ms": now,
        "certificate_url": emulator.certificate_url(),
        "time_warp": emulator.sender.time_warp,
        "topics": topics,
        "is_cut": overview.is_cut,
        "counted_max": COUNTED_MAX,
        "chaos": chaos(emulator),
        "forgeries": {
            "refused": number(&forgeries.refused),
            "believed": number(&forgeries.believed),
            "unanswered": number(&forgeries.unanswered),
        },
        "attempts": attempts,
    }))
}

fn subscription(emulator: &Emulator, waiting: Waiting, now: u64) -> Value {
    let subscription = waiting.subscription;
    let key = Key {
        topic: subscription.topic_name,
        name: subscription.name,
    };
    // The task of a new subscription starts after the subscription is stored. Until then all counts
    // are 0.
    let progress = emulator.pusher.progress(&key).unwrap_or_default();
    let attributes = subscription.attributes;
    let (in_flight, gap_ms) = (number(&progress.in_flight), number(&progress.gap_ms));
    // Subscriptions to queues, mail and short messages are stored, but nothing is pushed to them.
    let is_pushed = Target::parse(&attributes.endpoint).is_ok();
    // A message that is due still waits for the pace.
    let next_ms = waiting
        .due_ms
        .map(|due| due.max(number(&progress.next_push_ms)).saturating_sub(now));
    // The order matters: a slowed subscription whose push is in flight is shown as pushing.
    let state = if !is_pushed {
        "kept"
    } else if in_flight > 0 {
        "pushing"
    } else if waiting.undelivered == 0 {
        "idle"
    } else if gap_ms > 0 {
        "slowed"
    } else {
        "waiting"
    };
    json!({
        "name": key.name,
        "endpoint": attributes.endpoint,
        "filter_tag": attributes.filter_tag,
        "format": attributes.notify_content_format.to_string(),
        "strategy": attributes.notify_strategy.to_string(),
        "state": state,
        "undelivered": waiting.undelivered,
        "failures": waiting.failures,
        "next_ms": next_ms,
        "gap_ms": gap_ms,
        "delivered": number(&progress.delivered),
        "failed_pushes": number(&progress.failed),
        "given_up": number(&progress.given_up),
        "last_failure": last_failure(&progress),
    })
}

fn last_failure(progress: &Progress) -> Option<String> {
    let last = progress.last_failure.lock();
    last.unwrap_or_else(PoisonError::into_inner).clone()
}

/// Each fault with its rate, its default rate, and how often it occurred.
fn chaos(emulator: &Emulator) -> Vec<Value> {
    // The constant is a valid list: `--chaos` without a value parses the same text.
    let usual: Chaos = CHAOS_DEFAULT.parse().unwrap_or_else(|_| Chaos::none());
    let chaos = emulator.sender.chaos();
    let struck = emulator.sender.chaos_counts.counts();
    let trouble = |(trouble, struck): (Trouble, u64)| {
        json!({
            "kind": trouble.to_string(),
            "rate": chaos.rate(trouble),
            "usual": usual.rate(trouble),
            "struck": struck,
        })
    };
    struck.into_iter().map(trouble).collect()
}

fn attempt((number, made): &(u64, PastAttempt)) -> Value {
    json!({
        "number": number,
        "time_ms": unix_ms(made.at),
        "topic": made.topic,
        "subscription": made.subscription,
        "message_id": made.message_id,
        "attempt": made.attempt,
        "forgery": made.forgery.map(|trouble| trouble.to_string()),
        "status": made.result.as_ref().ok(),
        "failure": made.result.as_ref().err(),
        "took_us": u64::try_from(made.took.as_micros()).unwrap_or(u64::MAX),
    })
}

fn number(count: &AtomicU64) -> u64 {
    // The counts are shown independently of each other, so they need no order.
    count.load(Ordering::Relaxed)
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
