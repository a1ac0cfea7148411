//! `topic create|show|list|delete`: the manual's scripts for topics.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::{Client, Created};
use crate::command::client::existing::{Existing, IfThere};
use crate::command::client::existing_topic::settle;
use crate::command::client::service::{self, Output, Service, Session, code, fail, name};
use crate::mns::api::TopicAttributes;

/// The manual's topic.
pub(crate) const DEFAULT_TOPIC: &str = "MySampleTopic";

/// Create, show, list and delete topics.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint topic create MyTopic1
  mns-endpoint topic show MyTopic1 --output json
  mns-endpoint topic list --endpoint http://127.0.0.1:9000")]
pub(crate) struct TopicCommand {
    #[command(subcommand)]
    action: TopicAction,
}

#[derive(Debug, Subcommand)]
enum TopicAction {
    /// Create a topic.
    ///
    /// If the topic exists with other attributes, exits with 1, but exits with 3 if
    /// --if-not-exists is given.
    #[command(after_help = "Examples:
  mns-endpoint topic create MyTopic1 --if-not-exists
  mns-endpoint topic create MyTopic1 --maximum-message-size 1024 --if-not-exists --apply")]
    Create {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        #[command(flatten)]
        if_there: IfThere,
        /// The largest message, in bytes: 1024 to 65536 [default: the service's, 65536].
        #[arg(
            long,
            value_name = "BYTES",
            value_parser = clap::value_parser!(u32).range(1024..=65536),
        )]
        maximum_message_size: Option<u32>,
        /// Let the service log its operations on the topic.
        #[arg(long)]
        logging: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Show a topic's attributes and its subscriptions.
    #[command(after_help = "Example:\n  mns-endpoint topic show MyTopic1")]
    Show {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        #[command(flatten)]
        service: Service,
    },
    /// List topics.
    #[command(after_help = "Example:\n  mns-endpoint topic list --prefix My")]
    List {
        /// List only topics whose names start with this.
        #[arg(long, default_value = "")]
        prefix: String,
        #[command(flatten)]
        service: Service,
    },
    /// Delete a topic with its messages and subscriptions.
    #[command(after_help = "Example:\n  mns-endpoint topic delete MyTopic1")]
    Delete {
        /// The topic's name.
        #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
        topic: String,
        #[command(flatten)]
        service: Service,
    },
}

impl TopicCommand {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let service = self.action.service();
        let session = service.open()?;
        session.named(self.action.run(&session, service.output).await)
    }
}

impl TopicAction {
    fn service(&self) -> &Service {
        match self {
            Self::Create { service, .. }
            | Self::Show { service, .. }
            | Self::List { service, .. }
            | Self::Delete { service, .. } => service,
        }
    }

    async fn run(
        &self,
        Session { client, .. }: &Session,
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create {
                topic,
                if_there,
                maximum_message_size,
                logging,
                ..
            } => {
                let attributes = TopicAttributes {
                    maximum_message_size: *maximum_message_size,
                    logging_enabled: logging.then_some(true),
                };
                create(client, output, topic, &attributes, if_there.decided()).await?;
            }
            Self::Show { topic, .. } => show(client, output, topic).await?,
            Self::List { prefix, .. } => list(client, output, prefix).await?,
            Self::Delete { topic, .. } => delete(client, output, topic).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Creates a topic, unless it exists.
///
/// # Errors
/// `DiffersError` if it exists with other attributes and `existing` does not allow a change.
pub(crate) async fn create(
    client: &Client,
    output: Output,
    topic: &str,
    asked: &TopicAttributes,
    existing: Existing,
) -> anyhow::Result<()> {
    let created = match (client.create_topic(topic, asked).await, existing) {
        (Ok(Created::New), _) => true,
        // The service claims that it has the same attributes.
        (Ok(Created::Unchanged), Existing::Refuse) => false,
        (Ok(Created::Unchanged), Existing::Compare | Existing::Change) => {
            return settle(client, output, topic, asked, existing).await;
        }
        (Err(error), _) if code(&error) == "TopicAlreadyExist" => {
            return settle(client, output, topic, asked, existing).await;
        }
        (Err(error), _) => return fail("Create Topic Fail!", error),
    };
    let line = format!("Create Topic Succeed! TopicName:{topic}");
    let object = json!({
        "TopicName": topic,
        // Null means the service's default.
        "MaximumMessageSize": asked.maximum_message_size,
        "LoggingEnabled": asked.logging_enabled,
        "Created": created,
        "Changed": [],
        "Differences": [],
    });
    service::print_done(output, &line, &object)
}

async fn show(client: &Client, output: Output, topic: &str) -> anyhow::Result<()> {
    let shown = match client.topic(topic).await {
        Ok(shown) => shown,
        Err(error) => return fail("Show Topic Fail!", error),
    };
    let subscriptions = match client.subscriptions(topic, "").await {
        Ok(subscriptions) => subscriptions,
        Err(error) => return fail("List Subscriptions Fail!", error),
    };
    let object = json!({
        "TopicName": shown.name,
        "CreateTime": shown.create_time,
        "LastModifyTime": shown.last_modify_time,
        "MaximumMessageSize": shown.maximum_message_size,
        "MessageRetentionPeriod": shown.message_retention_period,
        "MessageCount": shown.message_count,
        "LoggingEnabled": shown.logging_enabled,
        "Subscriptions": subscriptions,
    });
    service::print(output, &object)
}

async fn list(client: &Client, output: Output, prefix: &str) -> anyhow::Result<()> {
    match client.topics(prefix).await {
        Ok(topics) => service::print_names(output, "Topics", &topics),
        Err(error) => fail("List Topics Fail!", error),
    }
}

pub(crate) async fn delete(client: &Client, output: Output, topic: &str) -> anyhow::Result<()> {
    if let Err(error) = client.delete_topic(topic).await {
        return fail("Delete Topic Fail!", error);
    }
    let line = format!("Delete Topic Succeed! TopicName:{topic}");
    service::print_done(
        output,
        &line,
        &json!({ "TopicName": topic, "Deleted": true }),
    )
}
