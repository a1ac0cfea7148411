//! `demo` without chaos: the seven steps of the manual, each with its command.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::client::Client;
use crate::command::client::existing::Existing;
use crate::command::client::service::Output;
use crate::command::client::subscription::DEFAULT_SUBSCRIPTION;
use crate::command::client::topic::DEFAULT_TOPIC;
use crate::command::client::{publish, subscribe, topic};
use crate::command::demo::proof::Proof;
use crate::command::demo::stage::Stage;
use crate::command::stdout::printer;
use crate::mns::ContentFormat;
use crate::mns::api::TopicAttributes;

/// The number of the manual's messages.
pub(super) const MESSAGES: u32 = 3;

/// With `stays` the topic is not deleted, so that the user can continue.
pub(super) async fn show(
    stage: &Stage,
    count: u32,
    is_tls: bool,
    stays: bool,
) -> anyhow::Result<()> {
    let client = stage.client()?;
    start_endpoint(stage, is_tls)?;
    subscribe_endpoint(&client, stage).await?;
    let published = publish_messages(&client, count).await?;
    stage.wait_for_all().await?;
    show_log(5, "the access log", &stage.log("access_log"))?;
    writeln!(printer())?;
    show_log(6, "the endpoint log", &stage.log("endpoint_log"))?;
    if !stays {
        step(
            7,
            "the topic goes",
            &format!("mns-endpoint topic delete {DEFAULT_TOPIC}"),
        )?;
        topic::delete(&client, Output::Text, DEFAULT_TOPIC).await?;
    }
    let proof = Proof::read(stage)?;
    proof.demand_all(&published)?;
    let count = published.len();
    writeln!(
        printer(),
        "{count} of {count} messages: signed, pushed, verified, on disk in both logs, answered 201."
    )?;
    Ok(())
}

/// Step 1, which the stage has already carried out.
fn start_endpoint(stage: &Stage, is_tls: bool) -> anyhow::Result<()> {
    let (mns, endpoint) = (stage.emulator_url(), stage.endpoint_url());
    let self_signed = if is_tls { " --self-signed" } else { "" };
    writeln!(
        printer(),
        "A local MNS and an endpoint, both in this process. Nothing leaves this machine.\n"
    )?;
    step(
        1,
        "an endpoint",
        &format!("mns-endpoint serve --trust {mns}/{self_signed}"),
    )?;
    writeln!(printer(), "Start Endpoint! Address: {endpoint}\n")?;
    Ok(())
}

/// Steps 2 and 3.
async fn subscribe_endpoint(client: &Client, stage: &Stage) -> anyhow::Result<()> {
    step(
        2,
        "a topic",
        &format!("mns-endpoint topic create {DEFAULT_TOPIC}"),
    )?;
    topic::create(
        client,
        Output::Text,
        DEFAULT_TOPIC,
        &TopicAttributes::default(),
        Existing::Refuse,
    )
    .await?;
    let endpoint = stage.endpoint_url();
    step(
        3,
        "a subscription",
        &format!(
            "mns-endpoint subscription create {endpoint} {DEFAULT_TOPIC} {DEFAULT_SUBSCRIPTION}"
        ),
    )?;
    subscribe::create(
        client,
        Output::Text,
        (DEFAULT_TOPIC, DEFAULT_SUBSCRIPTION),
        &stage.subscription(ContentFormat::Xml),
        Existing::Refuse,
    )
    .await
}

/// Step 4. Returns the ids of the messages.
async fn publish_messages(client: &Client, count: u32) -> anyhow::Result<Vec<String>> {
    step(
        4,
        "messages",
        &format!("mns-endpoint publish {DEFAULT_TOPIC}"),
    )?;
    let messages = publish::test_messages(count);
    let published = publish::publish(client, Output::Text, DEFAULT_TOPIC, &messages, "").await?;
    writeln!(printer())?;
    Ok(published
        .into_iter()
        .map(|published| published.message_id)
        .collect())
}

fn show_log(number: usize, title: &str, log: &Path) -> anyhow::Result<()> {
    step(number, title, &format!("cat {}", log.display()))?;
    printer().write_all(&std::fs::read(log)?)?;
    Ok(())
}

fn step(number: usize, title: &str, command: &str) -> anyhow::Result<()> {
    writeln!(printer(), "==> {number}. {title}\n$ {command}").context("cannot write to stdout")
}
