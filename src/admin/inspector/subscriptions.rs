//! Lists the subscriptions that have delivered a notification, and which of them MNS has probably
//! slowed down.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::admin::inspector::names::Names;
use crate::journal::{Outcome, escaped};
use crate::server::Endpoint;

/// The most subscriptions that are shown. Those with the most notifications come first.
const SHOWN_MAX: usize = 50;

/// Each subscription with the time since its last notification. If its last push got no 201, MNS
/// has probably slowed down: it waits longer after each failure.
pub(super) fn subscriptions(endpoint: &Endpoint) -> Vec<Value> {
    let now = endpoint.clock.now();
    let mut counts = endpoint.counts.subscriptions();
    counts.sort_by_key(|count| std::cmp::Reverse(count.accepted));
    counts.truncate(SHOWN_MAX);
    let last = last_answers(endpoint);
    let json = |count: crate::server::SubscriptionCount| {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(count.last_second));
        let ago = at.and_then(|at| now.duration_since(at).ok());
        let names = (count.topic.clone(), count.subscription.clone());
        json!({
            "topic": count.topic,
            "subscription": count.subscription,
            "accepted": count.accepted,
            "ago_s": ago.unwrap_or_default().as_secs(),
            "backing_off": last.get(&names) == Some(&false),
        })
    };
    counts.into_iter().map(json).collect()
}

/// Whether the last request of each subscription in memory was answered 201. A refused request
/// belongs to the subscription that it claims.
fn last_answers(endpoint: &Endpoint) -> HashMap<(String, String), bool> {
    let mut last = HashMap::new();
    // In the order of the answers, so the last one of each subscription remains.
    for recorded in endpoint.recent.after(0) {
        if recorded.summary.outcome == Outcome::Other {
            continue;
        }
        let is_accepted = recorded.summary.status == 201;
        let names = Names::of(&recorded.summary);
        if !names.topic.is_empty() {
            let key = (escaped(&names.topic), escaped(&names.subscription));
            last.insert(key, is_accepted);
        }
    }
    last
}
