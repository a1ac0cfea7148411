//! One stream for each shard, for more notifications than one stream can store.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::admin::{get, metric};
use crate::forward_serve::{Setup, admin};
use crate::forward_status::learnt;
use crate::support::{Endpoint, eventually};

const SHARDS: usize = 3;
const MESSAGES: u16 = 24;

fn sharded() -> Option<Setup> {
    let mut setup = Setup::new("journal")?;
    let options = setup.options.clone();
    setup.options = options
        .set("forward.orders.shards", &SHARDS.to_string())
        .set("forward.orders.stream", "MNS-{shard}")
        .set("forward.orders.subject", "mns.{shard}.{owner}.{topic}");
    Some(setup)
}

/// Waits until a replica has forwarded all messages: how many of them were stored, or were in a
/// stream already.
fn forwarded(endpoint: &Endpoint, result: &str) {
    let name = format!("mns_endpoint_forward_delivered_total{{to=\"orders\",result=\"{result}\"}}");
    eventually("all are forwarded", || {
        let metrics = get(admin(endpoint), "/metrics", "").body;
        (metric(&metrics, &name) == f64::from(MESSAGES)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_sends_a_notification_to_the_same_shard() {
    let Some(setup) = sharded() else {
        return;
    };
    let replica = || Endpoint::start(&setup.options);
    let (first, second) = (replica(), replica());
    setup.accept(&first, 0..usize::from(MESSAGES));
    forwarded(&first, "stored");
    // MNS sends a notification again, and the load balancer chooses another replica.
    setup.accept(&second, 0..usize::from(MESSAGES));
    forwarded(&second, "duplicate");
    let mut ids = Vec::new();
    for shard in 0..SHARDS {
        let stored = setup.stored(&format!("MNS-{shard}")).await;
        assert!(!stored.is_empty(), "MNS-{shard}");
        ids.extend(stored.into_iter().map(|(id, _)| id));
    }
    assert_eq!(ids.len(), usize::from(MESSAGES), "{ids:?}");
    let expected = (0..usize::from(MESSAGES)).map(|number| format!("M{number}"));
    assert_eq!(BTreeSet::from_iter(ids), expected.collect());
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_duplicate_window_of_all_shards_counts() {
    let Some(setup) = sharded() else {
        return;
    };
    let endpoint = Endpoint::start(&setup.options);
    let port = endpoint.address.port();
    setup.accept(&endpoint, 0..usize::from(MESSAGES));
    forwarded(&endpoint, "stored");
    let (_printed, dir) = endpoint.stop();
    let context = setup.context().await;
    let stream = context.get_stream("MNS-1").await.unwrap();
    let mut shorter = stream.cached_info().config.clone();
    shorter.duplicate_window = Duration::from_secs(90);
    context.update_stream(shorter).await.unwrap();
    let endpoint = setup.restart(dir, port);
    learnt(&setup, &endpoint, 90);
    endpoint.stop();
}
