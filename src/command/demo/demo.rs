//! `demo`: the whole manual on one machine, in one process.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::sleep;

use crate::client::Client;
use crate::command::client::existing::Existing;
use crate::command::client::service::Output;
use crate::command::client::subscription::DEFAULT_SUBSCRIPTION;
use crate::command::client::topic::DEFAULT_TOPIC;
use crate::command::client::{publish, subscribe, topic};
use crate::command::demo::proof::Proof;
use crate::command::demo::stage::{Scheme, Stage};
use crate::command::emulator::{CHAOS_DEFAULT, tell_chaos};
use crate::command::stdout::printer;
use crate::emulator::{Chaos, Status};
use crate::mns::ContentFormat;
use crate::mns::api::{NotifyStrategy, SubscriptionAttributes, TopicAttributes};

/// The manual's messages.
const MESSAGES: u32 = 3;
/// The messages of a run with chaos.
const CHAOS_MESSAGES: u32 = 2000;
/// How much faster than MNS a run with chaos tries again.
const CHAOS_TIME_WARP: u32 = 20;
/// How long all messages may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a run with chaos says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Show the whole manual on this machine: no account, no network, nothing to set up.
///
/// Starts a local MNS and an endpoint in this process, creates a topic, subscribes, publishes three
/// messages, shows both logs, deletes the topic and stops. Ends with 0 only if every message
/// arrived in both logs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint demo
  mns-endpoint demo --tls
  mns-endpoint demo --chaos --seed 7    (2,000 messages through everything that can go wrong)")]
pub(crate) struct Demo {
    /// Let things go wrong, and prove that nothing is lost: a list of KIND=RATE as for the
    /// emulator, or nothing for a little of everything.
    #[arg(long, value_name = "LIST", num_args = 0..=1, default_missing_value = CHAOS_DEFAULT)]
    chaos: Option<Chaos>,
    /// The dice of --chaos: the same number gives the same chaos.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "chaos")]
    seed: u64,
    /// How many messages [default: 3; with --chaos 2000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: Option<u32>,
    /// Push over https, with a certificate that is made for this run.
    #[arg(long)]
    tls: bool,
    /// Keep both logs in DIR [default: a temporary directory, which goes with the demo].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("mns-endpoint-demo.")
                    .tempdir()?,
            ),
        };
        let dir = match (&self.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => bail!("there is no directory for the logs"),
        };
        let time_warp = if self.chaos.is_some() {
            CHAOS_TIME_WARP
        } else {
            1
        };
        let chaos = self
            .chaos
            .clone()
            .unwrap_or_else(Chaos::none)
            .with_seed(self.seed);
        let scheme = if self.tls {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let stage = Stage::set(&dir, chaos, time_warp, scheme).await?;
        let shown = match self.chaos {
            Some(_) => self.show_chaos(&stage).await,
            None => self.show_manual(&stage).await,
        };
        stage.clear().await?;
        if shown.is_err()
            && let Some(temporary) = temporary
        {
            writeln!(printer(), "The logs stay in {}", temporary.keep().display())?;
        }
        shown.map(|()| ExitCode::SUCCESS)
    }

    /// The seven steps of the manual, each with the command that does it.
    #[expect(clippy::too_many_lines, reason = "until it is split")]
    async fn show_manual(&self, stage: &Stage) -> anyhow::Result<()> {
        let client = stage.client()?;
        let (mns, endpoint) = (stage.emulator_url(), stage.endpoint_url());
        let self_signed = if self.tls { " --self-signed" } else { "" };
        let mut out = printer();
        writeln!(
            out,
            "A local MNS and an endpoint, both in this process. Nothing leaves this machine.\n"
        )?;
        step(
            1,
            "an endpoint",
            &format!("mns-endpoint serve --trust {mns}/{self_signed}"),
        )?;
        writeln!(out, "Start Endpoint! Address: {endpoint}\n")?;
        step(
            2,
            "a topic",
            &format!("mns-endpoint topic create {DEFAULT_TOPIC}"),
        )?;
        topic::create(
            &client,
            Output::Text,
            DEFAULT_TOPIC,
            &TopicAttributes::default(),
            Existing::Refuse,
        )
        .await?;
        let place = (DEFAULT_TOPIC, DEFAULT_SUBSCRIPTION);
        step(
            3,
            "a subscription",
            &format!(
                "mns-endpoint subscription create {endpoint} {} {}",
                place.0, place.1
            ),
        )?;
        subscribe::create(
            &client,
            Output::Text,
            place,
            &to(endpoint, ContentFormat::Xml),
            Existing::Refuse,
        )
        .await?;
        step(
            4,
            "messages",
            &format!("mns-endpoint publish {DEFAULT_TOPIC}"),
        )?;
        let messages = publish::test_messages(self.count.unwrap_or(MESSAGES));
        let published =
            publish::publish(&client, Output::Text, DEFAULT_TOPIC, &messages, "").await?;
        let published: Vec<String> = published
            .into_iter()
            .map(|published| published.message_id)
            .collect();
        writeln!(out)?;
        wait_for_all(stage).await?;
        step(
            5,
            "the access log",
            &format!("cat {}", stage.log("access_log").display()),
        )?;
        out.write_all(&std::fs::read(stage.log("access_log"))?)?;
        writeln!(out)?;
        step(
            6,
            "the endpoint log",
            &format!("cat {}", stage.log("endpoint_log").display()),
        )?;
        out.write_all(&std::fs::read(stage.log("endpoint_log"))?)?;
        step(
            7,
            "the topic goes",
            &format!("mns-endpoint topic delete {DEFAULT_TOPIC}"),
        )?;
        topic::delete(&client, Output::Text, DEFAULT_TOPIC).await?;
        let proof = Proof::read(stage)?;
        proof.demand_all(&published)?;
        let count = published.len();
        writeln!(
            out,
            "{count} of {count} messages: signed, pushed, verified, on disk in both logs, answered \
             201."
        )?;
        Ok(())
    }

    /// A topic and a subscription for each format, and everything that can go wrong with them.
    async fn show_chaos(&self, stage: &Stage) -> anyhow::Result<()> {
        let count = self.count.unwrap_or(CHAOS_MESSAGES);
        let mut out = printer();
        writeln!(
            out,
            "{count} messages in three formats through a local MNS whose network is bad, seed {}.",
            self.seed
        )?;
        let began = Instant::now();
        let (published, status) = tokio::select! {
            arrived = publish_and_wait(stage, count) => arrived?,
            failed = tell_progress(stage, count, began) => match failed? {},
        };
        tell_chaos(&mut out, &status)?;
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
            bail!(
                "{believed} forgeries were answered with a 2xx, {given_up} messages were given up"
            );
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
}

async fn publish_and_wait(stage: &Stage, count: u32) -> anyhow::Result<(Vec<String>, Status)> {
    let published = publish_in_three_formats(stage, count).await?;
    Ok((published, wait_for_all(stage).await?))
}

/// Says every second how far it is, until it is dropped.
async fn tell_progress(stage: &Stage, count: u32, began: Instant) -> anyhow::Result<Infallible> {
    loop {
        sleep(TELL_EVERY).await;
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

/// One topic for each format, each filled in order, so that every message has the same number in
/// every run.
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
        let attributes = to(stage.endpoint_url(), format);
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

fn to(endpoint: String, format: ContentFormat) -> SubscriptionAttributes {
    SubscriptionAttributes {
        endpoint,
        filter_tag: String::new(),
        notify_strategy: NotifyStrategy::ExponentialDecayRetry,
        notify_content_format: format,
        dead_letter_queue: None,
    }
}

/// Waits until the local MNS has nothing left to deliver.
async fn wait_for_all(stage: &Stage) -> anyhow::Result<Status> {
    let began = Instant::now();
    loop {
        let status = stage.status().await?;
        let undelivered: u64 = status.subscriptions.iter().map(|of| of.undelivered).sum();
        if undelivered == 0 {
            return Ok(status);
        }
        if began.elapsed() > ARRIVAL_TIMEOUT {
            let last = status
                .subscriptions
                .iter()
                .find_map(|of| of.last_failure.clone());
            let reason = last.unwrap_or_else(|| "no push failed".to_owned());
            bail!(
                "{undelivered} messages did not arrive within {ARRIVAL_TIMEOUT:?}; the last \
                 failure: {reason}"
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

fn step(number: usize, title: &str, command: &str) -> anyhow::Result<()> {
    writeln!(printer(), "==> {number}. {title}\n$ {command}").context("cannot write to stdout")
}
