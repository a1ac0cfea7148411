//! `subscription create|show|list|update|delete`: the manual's scripts for subscriptions.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::client::Client;
use crate::command::client::existing::IfThere;
use crate::command::client::service::{self, Output, Service, Session, fail, name};
use crate::command::client::subscribe;
use crate::command::client::topic::DEFAULT_TOPIC;
use crate::command::format::NotifyFormat;
use crate::mns::api::{NotifyStrategy, SubscriptionAttributes, SubscriptionChange};

pub(crate) const DEFAULT_SUBSCRIPTION: &str = "MySampleTopic-Sub";

/// Create, show, list, change and delete subscriptions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint subscription create http://mns.example.com:8080 MyTopic1 MyTopic1-Sub1
  mns-endpoint subscription show MyTopic1 MyTopic1-Sub1
  mns-endpoint subscription list MyTopic1")]
pub(crate) struct SubscriptionCommand {
    #[command(subcommand)]
    action: SubscriptionAction,
}

#[derive(Debug, Subcommand)]
enum SubscriptionAction {
    /// Subscribe an endpoint to a topic.
    ///
    /// By default the strategy is EXPONENTIAL_DECAY_RETRY, with which MNS retries for a day. With
    /// BACKOFF_RETRY, the default of MNS itself, MNS gives up after three retries, which take 30 to
    /// 60 seconds in all, and the message is lost.
    ///
    /// If the subscription exists with other attributes, exits with 1, but exits with 3 if
    /// --if-not-exists is given.
    #[command(after_help = "Examples:
  mns-endpoint subscription create http://mns.example.com MyTopic1 Sub1 --format simplified
  mns-endpoint subscription create http://mns.example.com MyTopic1 Sub1 --if-not-exists --apply")]
    Create {
        /// The URL that messages are pushed to: the address that serve prints.
        endpoint: String,
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        /// The subscription's name.
        #[arg(default_value = DEFAULT_SUBSCRIPTION, value_parser = name)]
        subscription: String,
        /// The format of pushes (NotifyContentFormat).
        #[arg(long, value_enum, default_value_t = NotifyFormat::Xml, ignore_case = true)]
        format: NotifyFormat,
        /// The retry strategy (NotifyStrategy).
        #[arg(
            long,
            value_enum,
            default_value_t = Strategy::ExponentialDecayRetry,
            ignore_case = true,
        )]
        strategy: Strategy,
        /// Receive only messages with this tag.
        #[arg(long, default_value = "", value_name = "TAG")]
        filter_tag: String,
        /// The queue for messages that could not be delivered (DlqPolicy).
        #[arg(long, value_name = "QUEUE", value_parser = name)]
        dlq: Option<String>,
        #[command(flatten)]
        if_there: IfThere,
        /// Subscribe even an address that the service cannot reach.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Show a subscription's attributes.
    #[command(after_help = "Example:\n  mns-endpoint subscription show MyTopic1 MyTopic1-Sub1")]
    Show {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        /// The subscription's name.
        #[arg(default_value = DEFAULT_SUBSCRIPTION, value_parser = name)]
        subscription: String,
        #[command(flatten)]
        service: Service,
    },
    /// List a topic's subscriptions.
    #[command(after_help = "Example:\n  mns-endpoint subscription list MyTopic1")]
    List {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        /// List only subscriptions whose names start with this.
        #[arg(long, default_value = "")]
        prefix: String,
        #[command(flatten)]
        service: Service,
    },
    /// Change the retry strategy or the dead-letter queue of a subscription.
    #[command(after_help = "Example:
  mns-endpoint subscription update MyTopic1 MyTopic1-Sub1 --strategy EXPONENTIAL_DECAY_RETRY")]
    Update {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        /// The subscription's name.
        #[arg(default_value = DEFAULT_SUBSCRIPTION, value_parser = name)]
        subscription: String,
        /// The retry strategy (NotifyStrategy).
        #[arg(long, value_enum, ignore_case = true, required_unless_present = "dlq")]
        strategy: Option<Strategy>,
        /// The queue for messages that could not be delivered (DlqPolicy).
        #[arg(long, value_name = "QUEUE", value_parser = name)]
        dlq: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Delete a subscription.
    #[command(after_help = "Example:\n  mns-endpoint subscription delete MyTopic1 MyTopic1-Sub1")]
    Delete {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        /// The subscription's name.
        #[arg(default_value = DEFAULT_SUBSCRIPTION, value_parser = name)]
        subscription: String,
        #[command(flatten)]
        service: Service,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
enum Strategy {
    BackoffRetry,
    ExponentialDecayRetry,
}

impl SubscriptionCommand {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let service = self.action.service();
        let session = service.open()?;
        session.named(self.action.run(&session, service.output).await)
    }
}

impl SubscriptionAction {
    fn service(&self) -> &Service {
        match self {
            Self::Create { service, .. }
            | Self::Show { service, .. }
            | Self::List { service, .. }
            | Self::Update { service, .. }
            | Self::Delete { service, .. } => service,
        }
    }

    async fn run(
        &self,
        Session {
            client, is_local, ..
        }: &Session,
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create {
                endpoint,
                topic,
                subscription,
                format,
                strategy,
                filter_tag,
                dlq,
                if_there,
                force,
                service: _,
            } => {
                // A service on this machine reaches private addresses, too.
                subscribe::refuse_unreachable(endpoint, *force || *is_local)?;
                let attributes = SubscriptionAttributes {
                    endpoint: endpoint.clone(),
                    filter_tag: filter_tag.clone(),
                    notify_strategy: (*strategy).into(),
                    notify_content_format: (*format).into(),
                    dead_letter_queue: dlq.clone(),
                };
                subscribe::create(
                    client,
                    output,
                    (topic, subscription),
                    &attributes,
                    if_there.decided(),
                )
                .await?;
            }
            Self::Show {
                topic,
                subscription,
                ..
            } => show(client, output, topic, subscription).await?,
            Self::List { topic, prefix, .. } => match client.subscriptions(topic, prefix).await {
                Ok(names) => service::print_names(output, "Subscriptions", &names)?,
                Err(error) => return fail("List Subscriptions Fail!", error),
            },
            Self::Update {
                topic,
                subscription,
                strategy,
                dlq,
                ..
            } => {
                let notify_strategy = strategy.map(NotifyStrategy::from);
                let change = SubscriptionChange {
                    notify_strategy,
                    dead_letter_queue: dlq.clone(),
                };
                update(client, output, (topic, subscription), &change).await?;
            }
            Self::Delete {
                topic,
                subscription,
                ..
            } => delete(client, output, topic, subscription).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl From<Strategy> for NotifyStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::BackoffRetry => Self::BackoffRetry,
            Strategy::ExponentialDecayRetry => Self::ExponentialDecayRetry,
        }
    }
}

async fn show(
    client: &Client,
    output: Output,
    topic: &str,
    subscription: &str,
) -> anyhow::Result<()> {
    let shown = match client.subscription(topic, subscription).await {
        Ok(shown) => shown,
        Err(error) => return fail("Show Subscription Fail!", error),
    };
    let object = json!({
        "SubscriptionName": shown.name,
        "TopicName": shown.topic_name,
        "TopicOwner": shown.topic_owner,
        "Subscriber": shown.subscriber,
        "Endpoint": shown.attributes.endpoint,
        "FilterTag": shown.attributes.filter_tag,
        "NotifyStrategy": shown.attributes.notify_strategy.to_string(),
        "NotifyContentFormat": shown.attributes.notify_content_format.to_string(),
        "DeadLetterTargetQueue": shown.attributes.dead_letter_queue,
        "CreateTime": shown.create_time,
        "LastModifyTime": shown.last_modify_time,
    });
    service::print(output, &object)
}

async fn update(
    client: &Client,
    output: Output,
    (topic, subscription): (&str, &str),
    change: &SubscriptionChange,
) -> anyhow::Result<()> {
    if let Err(error) = client.set_subscription(topic, subscription, change).await {
        return fail("Update Subscription Fail!", error);
    }
    let line = format!("Update Subscription Succeed! TopicName:{topic} SubName:{subscription}");
    service::print_done(
        output,
        &line,
        &json!({ "TopicName": topic, "SubscriptionName": subscription, "Updated": true }),
    )
}

async fn delete(
    client: &Client,
    output: Output,
    topic: &str,
    subscription: &str,
) -> anyhow::Result<()> {
    if let Err(error) = client.unsubscribe(topic, subscription).await {
        return fail("Delete Subscription Fail!", error);
    }
    let line = format!("Delete Subscription Succeed! TopicName:{topic} SubName:{subscription}");
    service::print_done(
        output,
        &line,
        &json!({ "TopicName": topic, "SubscriptionName": subscription, "Deleted": true }),
    )
}
