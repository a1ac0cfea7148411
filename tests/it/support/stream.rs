//! What a stream of a cluster holds, read from each of its servers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::StreamExt as _;

/// The deadline of a step. Only a failing test reaches it.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The wait between two elections. A new leader that has to step down at once may not have caught
/// up.
const ELECTION: Duration = Duration::from_millis(500);
const SERVERS: usize = 3;
/// How many messages are requested at once.
const READERS: usize = 64;

/// A message id and the message.
pub type Stored = (String, Vec<u8>);

/// Waits for something that another process does.
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The index of the server that leads a stream.
pub async fn leader(context: &jetstream::Context, name: &str) -> Option<usize> {
    let mut stream = context.get_stream(name).await.ok()?;
    let info = stream.info().await.ok()?;
    let leader = info.cluster.as_ref()?.leader.as_ref()?;
    leader.strip_prefix('n')?.parse().ok()
}

/// Waits until a server leads a stream: during an election none does.
pub async fn elected(context: &jetstream::Context, name: &str) -> usize {
    let mut found = None;
    until("a server leads the stream", async || {
        found = leader(context, name).await;
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// Everything that the leader has, by sequence number. A leader answers from its own copy. `None`
/// during an election.
async fn read_from_leader(
    context: &jetstream::Context,
    name: &str,
) -> Option<BTreeMap<u64, Stored>> {
    let mut stream = context.get_stream(name).await.ok()?;
    let state = stream.info().await.ok()?.state.clone();
    let stream = &stream;
    let read = async |sequence: u64| loop {
        match stream.get_raw_message(sequence).await {
            Ok(message) => {
                let id = message.headers.get("Mns-Message-Id").unwrap().to_string();
                return Some((sequence, (id, message.payload.to_vec())));
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return None,
            Err(_busy) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    let sequences = futures_util::stream::iter(state.first_sequence..=state.last_sequence);
    let found = sequences.map(read).buffer_unordered(READERS);
    Some(found.filter_map(std::future::ready).collect().await)
}

/// The messages of each server of the cluster, by its index. Each server is read while it leads,
/// and is then asked to step down. It does not matter which one is elected next, because a server
/// that is not up to date is never elected.
async fn read_from_each(
    context: &jetstream::Context,
    name: &str,
) -> BTreeMap<usize, BTreeMap<u64, Stored>> {
    let mut found = BTreeMap::new();
    until("each server leads once", async || {
        // Without a leader an election is under way.
        let Some(place) = leader(context, name).await else {
            return false;
        };
        if let Entry::Vacant(entry) = found.entry(place) {
            let Some(messages) = read_from_leader(context, name).await else {
                return false;
            };
            // If the leader has changed, some of the messages may be from another server.
            if leader(context, name).await == Some(place) {
                entry.insert(messages);
            }
        }
        if found.len() < SERVERS && found.contains_key(&place) {
            let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}");
            // The request fails during an election, which is fine: the next look finds the new
            // leader.
            context.client().request(subject, "".into()).await.ok();
            tokio::time::sleep(ELECTION).await;
        }
        found.len() == SERVERS
    })
    .await;
    found
}

/// Asserts that every server of the cluster has exactly these messages, each once and in the same
/// order. Returns them in that order.
pub async fn assert_each_once(
    context: &jetstream::Context,
    name: &str,
    expected: &BTreeSet<Stored>,
    told: &str,
) -> BTreeMap<u64, Stored> {
    let mut first = None;
    for (place, found) in read_from_each(context, name).await {
        let messages: BTreeSet<Stored> = found.values().cloned().collect();
        let missing = expected.difference(&messages).count();
        assert_eq!(missing, 0, "{told}: n{place} lacks messages");
        assert_eq!(
            messages.len(),
            expected.len(),
            "{told}: n{place} has others"
        );
        assert_eq!(
            found.len(),
            expected.len(),
            "{told}: n{place} has some twice"
        );
        let before = first.get_or_insert_with(|| found.clone());
        assert!(
            *before == found,
            "{told}: n{place} has another order than n0"
        );
    }
    first.unwrap_or_default()
}
