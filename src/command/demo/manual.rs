//! `demo` without chaos: the seven steps of the manual, each with its command.

use std::io::Write as _;

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
    prepare(stage)?;
    create_topic(&client).await?;
    start_endpoint(stage, is_tls)?;
    subscribe_endpoint(&client, stage).await?;
    let published = publish_messages(&client, count).await?;
    stage.wait_for_all().await?;
    show_logs(stage)?;
    if !stays {
        step(
            7,
            "Delete the topic",
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

/// Step 1, for a user without credentials: the stage has the emulator and its key already.
fn prepare(stage: &Stage) -> anyhow::Result<()> {
    writeln!(
        printer(),
        "A local MNS and an endpoint, both in this process. Nothing leaves this machine.\n"
    )?;
    let mns = stage.emulator_url();
    step(
        1,
        "Prepare",
        &format!(
            "printf '%s\\n' '[Base]' 'AccessKeyId = emulator' 'AccessKeySecret = emulator' \
             'Endpoint = {mns}' > sample.cfg\n"
        ),
    )
}

/// Step 2.
async fn create_topic(client: &Client) -> anyhow::Result<()> {
    step(
        2,
        "Create a topic",
        &format!("mns-endpoint topic create {DEFAULT_TOPIC}"),
    )?;
    topic::create(
        client,
        Output::Text,
        DEFAULT_TOPIC,
        &TopicAttributes::default(),
        Existing::Refuse,
    )
    .await
}

/// Step 3, which the stage has already carried out.
fn start_endpoint(stage: &Stage, is_tls: bool) -> anyhow::Result<()> {
    let (mns, endpoint) = (stage.emulator_url(), stage.endpoint_url());
    let self_signed = if is_tls { " --self-signed" } else { "" };
    step(
        3,
        "Start the endpoint",
        &format!("mns-endpoint serve --trust {mns}/{self_signed}"),
    )?;
    writeln!(printer(), "Start Endpoint! Address: {endpoint}\n")?;
    Ok(())
}

/// Step 4.
async fn subscribe_endpoint(client: &Client, stage: &Stage) -> anyhow::Result<()> {
    let endpoint = stage.endpoint_url();
    step(
        4,
        "Subscribe",
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

/// Step 5. Returns the ids of the messages.
async fn publish_messages(client: &Client, count: u32) -> anyhow::Result<Vec<String>> {
    step(
        5,
        "Publish",
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

/// Step 6.
fn show_logs(stage: &Stage) -> anyhow::Result<()> {
    let [access, endpoint] = ["access_log", "endpoint_log"].map(|name| stage.log(name));
    step(6, "Look", &format!("cat {}", access.display()))?;
    // Not escaped for the terminal, because the escape sequences of a peer never reach a log as
    // such.
    printer().write_all(&std::fs::read(access)?)?;
    writeln!(printer(), "\n$ cat {}", endpoint.display())?;
    printer().write_all(&std::fs::read(endpoint)?)?;
    Ok(())
}

fn step(number: usize, title: &str, command: &str) -> anyhow::Result<()> {
    writeln!(printer(), "==> {number}. {title}\n$ {command}").context("cannot write to stdout")
}
