//! Three replicas that hand the same notifications to a cluster of three servers, while the leader
//! of the stream is killed and another server hangs: each message that a replica counts as
//! delivered is in every server, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use futures_util::StreamExt as _;
use mns_endpoint::forward::{
    Create, Dedupe, Failure, NatsOptions, NatsSink, NewStream, Reason, Sink as _,
};

use crate::forward_nats::{STREAM, admin, message, new_stream, options, start, template};
use crate::support::{Nats, NatsSetup, Stored, assert_each_once, elected, until};

const REPLICAS: usize = 3;
/// What a sink calls itself at a server.
const NAME: &str = "orders";
/// How many messages each replica has in flight.
const IN_FLIGHT: usize = 64;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The number of messages: `CLUSTER_MESSAGES`, or 2000.
fn count() -> usize {
    let count = std::env::var("CLUSTER_MESSAGES");
    count.map_or(2000, |count| count.parse().unwrap())
}

fn text(number: usize) -> String {
    format!("I am test message {number}.")
}

/// Sends each message until it is delivered, and counts the delivered ones.
async fn deliver(sink: NatsSink, count: usize, delivered: Arc<AtomicUsize>) {
    let numbers = futures_util::stream::iter(0..count);
    let send = async |number: usize| {
        let outgoing = message(&format!("M{number}"), &text(number));
        while let Err(failure) = sink.send(&outgoing).await {
            assert!(!matches!(failure, Failure::Poison { .. }), "{failure:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        delivered.fetch_add(1, Ordering::Relaxed);
    };
    numbers.for_each_concurrent(IN_FLIGHT, send).await;
    sink.close().await;
}

pub fn replica(nats: &Nats, dedupe: Dedupe) -> NatsOptions {
    let subject = match dedupe {
        Dedupe::Window => "mns.{owner}.{topic}.{tag}",
        Dedupe::Subject => "mns.{owner}.{topic}.{id}",
    };
    let three = NewStream {
        replicas: 3,
        ..new_stream()
    };
    NatsOptions {
        create: Create::Missing(three),
        subject: template(subject),
        dedupe,
        ..options(nats.urls())
    }
}

async fn run(nats: &mut Nats, dedupe: Dedupe, count: usize) -> jetstream::Context {
    let context = admin(nats).await;
    let delivered = Arc::new(AtomicUsize::new(0));
    let replicas: Vec<_> = (0..REPLICAS)
        .map(|_| {
            let sink = start(&replica(nats, dedupe));
            tokio::spawn(deliver(sink, count, delivered.clone()))
        })
        .collect();
    let part = async |percent: usize| {
        let wanted = REPLICAS * count * percent / 100;
        let is_reached = async || delivered.load(Ordering::Relaxed) >= wanted;
        until(&format!("{percent} % are delivered"), is_reached).await;
    };
    part(15).await;
    let lost = elected(&context, STREAM).await;
    nats.kill(lost);
    part(40).await;
    nats.start(lost);
    nats.ready(lost);
    part(50).await;
    let hung = (lost + 1) % 3;
    nats.pause(hung);
    part(75).await;
    nats.resume(hung);
    for replica in replicas {
        replica.await.unwrap();
    }
    context
}

fn expected(count: usize) -> BTreeSet<Stored> {
    (0..count)
        .map(|number| (format!("M{number}"), text(number).into_bytes()))
        .collect()
}

async fn each_is_there_once(dedupe: Dedupe) {
    let setup = NatsSetup {
        is_synced: true,
        ..NatsSetup::default()
    };
    let Some(mut nats) = Nats::cluster(&setup) else {
        return;
    };
    let context = run(&mut nats, dedupe, count()).await;
    let told = format!("{dedupe:?}");
    assert_each_once(&context, STREAM, &expected(count()), &told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_share_a_window_deliver_each_notification_once() {
    each_is_there_once(Dedupe::Window).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_share_a_subject_for_each_deliver_it_once() {
    each_is_there_once(Dedupe::Subject).await;
}

/// A leader without a majority counts a subject as taken by a message that it has only proposed. If
/// that leader is lost, so is the proposal.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_subject_is_taken_by_a_proposal_is_not_delivered() {
    let Some(nats) = Nats::cluster(&NatsSetup::default()) else {
        return;
    };
    let first = start(&replica(&nats, Dedupe::Subject));
    deliver(first, 1, Arc::default()).await;
    let leads = elected(&admin(&nats).await, STREAM).await;
    let at_leader = NatsOptions {
        servers: vec![nats.urls()[leads].clone()],
        ..replica(&nats, Dedupe::Subject)
    };
    let sink = start(&at_leader);
    until("it is connected", async || sink.is_connected()).await;
    let client = async_nats::connect(&at_leader.servers[0]).await.unwrap();
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    others.into_iter().for_each(|place| nats.pause(place));
    // Publish without an id, so that the duplicate window does not recognise the two as the same.
    let subject = "mns.1269128356620446.T.1269128356620446/T/S/M1";
    client.publish(subject, "proposed".into()).await.unwrap();
    client.flush().await.unwrap();
    let failure = sink.send(&message("M1", &text(1))).await.unwrap_err();
    assert_eq!(failure.reason(), Reason::InProcess, "{failure:?}");
    others.into_iter().for_each(|place| nats.resume(place));
    until("the proposal is stored", async || {
        sink.send(&message("M1", &text(1))).await.is_ok()
    })
    .await;
}

/// The servers to which a sink of this name is connected.
fn places(nats: &Nats, name: &str) -> Vec<usize> {
    let is_there = |place: &usize| {
        let connections = nats.json(*place, "/connz")["connections"].clone();
        let all = connections.as_array().cloned().unwrap_or_default();
        all.iter().any(|connection| connection["name"] == name)
    };
    (0..3).filter(is_there).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_servers_the_leader_of_the_stream_is_preferred() {
    const SINKS: usize = 12;
    let Some(nats) = Nats::cluster(&NatsSetup::default()) else {
        return;
    };
    deliver(start(&replica(&nats, Dedupe::Window)), 1, Arc::default()).await;
    let leads = elected(&admin(&nats).await, STREAM).await;
    let mut preferred = 0;
    for _ in 0..SINKS {
        let sink = start(&replica(&nats, Dedupe::Window));
        until("it is connected", async || sink.is_connected()).await;
        // The others were closed, which takes a while.
        until("one is left", async || places(&nats, NAME).len() == 1).await;
        preferred += usize::from(places(&nats, NAME) == [leads]);
        sink.close().await;
        until("none is left", async || places(&nats, NAME).is_empty()).await;
    }
    // Each begins at any of the three. On a busy machine one may give up the search.
    assert!(preferred >= 9, "{preferred} of {SINKS}");
}

/// Control: a stream that acknowledges a message and drops it for the next one makes the check
/// fail.
#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "lacks messages")]
async fn a_stream_that_acknowledges_what_it_does_not_keep_is_noticed() {
    let setup = NatsSetup::default();
    let Some(nats) = Nats::cluster(&setup) else {
        panic!("nothing lacks messages, as there is no server");
    };
    let context = admin(&nats).await;
    let forgetful = Config {
        name: STREAM.to_owned(),
        subjects: vec!["mns.>".to_owned()],
        discard: DiscardPolicy::Old,
        max_messages: 90,
        num_replicas: 3,
        ..Config::default()
    };
    context.create_stream(forgetful).await.unwrap();
    let delivered = Arc::new(AtomicUsize::new(0));
    deliver(start(&replica(&nats, Dedupe::Window)), 100, delivered).await;
    assert_each_once(&context, STREAM, &expected(100), "control").await;
}
