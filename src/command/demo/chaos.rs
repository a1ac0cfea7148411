//! `demo --chaos`: many messages with all kinds of faults, and none is lost.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::time::sleep;

use crate::client::Client;
use crate::command::chaos::print_counts;
use crate::command::client::publish;
use crate::command::demo::proof::Proof;
use crate::command::demo::stage::Stage;
use crate::command::stdout::printer;
use crate::emulator::Status;
use crate::mns::ContentFormat;
use crate::mns::api::{SubscriptionAttributes, TopicAttributes};

/// The number of messages of a run with chaos.
pub(super) const MESSAGES: u32 = 2000;
/// How often a run with chaos reports its progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Creates a topic and a subscription for each format, and injects all kinds of faults.
pub(super) async fn show(stage: &Stage, count: u32, seed: u64) -> anyhow::Result<()> {
    let mut out = printer();
    writeln!(
        out,
        "{count} messages in three formats through a local MNS whose network is bad, seed {seed}."
    )?;
    let began = Instant::now();
    // The progress ends only with an error.
    let (published, status) = tokio::select! {
        arrived = publish_and_wait(stage, count) => arrived?,
        failed = report_progress(stage, count, began) => match failed? {},
    };
    print_counts(&mut out, &status)?;
    let proof = Proof::read(stage)?;
    let (all, duplicates) = (published.len(), proof.duplicates());
    proof.demand_all(&published)?;
    proof.demand_nothing_forged()?;
    let believed = status
        .forgeries
        .get("believed")
        .copied()
        .unwrap_or_default();
    let given_up: u64 = status.subscriptions.iter().map(|of| of.given_up).sum();
    if believed > 0 || given_up > 0 {
        bail!("{believed} forgeries were answered with a 2xx, {given_up} messages were given up");
    }
    writeln!(
        out,
        "Endpoint log: {all} of {all} messages, each once; {duplicates} marked as duplicates; \
         nothing forged."
    )?;
    writeln!(
        out,
        "Nothing is lost, in {:.1} s.",
        began.elapsed().as_secs_f64()
    )?;
    Ok(())
}

async fn publish_and_wait(stage: &Stage, count: u32) -> anyhow::Result<(Vec<String>, Status)> {
    let published = publish_in_three_formats(stage, count).await?;
    Ok((published, stage.wait_for_all().await?))
}

/// Reports the progress every second, until it is dropped.
async fn report_progress(stage: &Stage, count: u32, began: Instant) -> anyhow::Result<Infallible> {
    loop {
        sleep(PROGRESS_EVERY).await;
        let delivered: u64 = stage
            .status()
            .await?
            .subscriptions
            .iter()
            .map(|of| of.delivered)
            .sum();
        writeln!(
            printer(),
            "{:>5.1} s  {delivered} of {count} delivered",
            began.elapsed().as_secs_f64()
        )?;
    }
}

/// Publishes to one topic for each format, each in order, so that every message has the same number
/// in every run.
async fn publish_in_three_formats(stage: &Stage, count: u32) -> anyhow::Result<Vec<String>> {
    let mut publishers = tokio::task::JoinSet::new();
    for (index, format) in [
        ContentFormat::Xml,
        ContentFormat::Json,
        ContentFormat::Simplified,
    ]
    .into_iter()
    .enumerate()
    {
        let client = stage.client()?;
        let attributes = stage.subscription(format);
        // Each publisher takes every third message.
        let messages = publish::test_messages(count)
            .into_iter()
            .skip(index)
            .step_by(3);
        publishers.spawn(async move { fill(&client, &attributes, messages).await });
    }
    let mut published = Vec::new();
    while let Some(filled) = publishers.join_next().await {
        published.extend(filled??);
    }
    Ok(published)
}

async fn fill(
    client: &Client,
    attributes: &SubscriptionAttributes,
    messages: impl Iterator<Item = String>,
) -> anyhow::Result<Vec<String>> {
    let topic = format!("Demo-{}", attributes.notify_content_format);
    client
        .create_topic(&topic, &TopicAttributes::default())
        .await?;
    client
        .subscribe(&topic, &format!("{topic}-Sub"), attributes)
        .await?;
    let mut published = Vec::new();
    for message in messages {
        published.push(client.publish(&topic, &message, "").await?.message_id);
    }
    Ok(published)
}
