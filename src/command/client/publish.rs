//! `publish`: the manual's three messages, or one of your own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::client::{Client, Published};
use crate::command::client::service::{Output, Service, code, fail, name, one_line};
use crate::command::client::topic::DEFAULT_TOPIC;
use crate::command::input;
use crate::command::stdout::printer;
use crate::journal::json_text;

/// Publish messages to a topic.
///
/// Publishes the three messages "I am test message N." of the manual, or one message from --body or
/// --body-file. After a broken connection, a message is not sent again, because it may have
/// arrived, and a second attempt could duplicate it. With --output json, prints one object per line
/// for each message.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mns-endpoint publish MyTopic1
  mns-endpoint publish MyTopic1 --body 'hello' --tag important
  echo hello | mns-endpoint publish MyTopic1 --body-file -")]
pub(crate) struct Publish {
    /// The topic's name.
    #[arg(default_value = DEFAULT_TOPIC, value_parser = name)]
    topic: String,
    /// How many of the manual's messages to publish [default: 3].
    #[arg(
        long,
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["body", "body_file"],
    )]
    count: Option<u32>,
    /// The text of the message.
    #[arg(long, conflicts_with = "body_file")]
    body: Option<String>,
    /// A file with the message, UTF-8; - reads stdin, and drops the line end that echo adds.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The message's tag, at most 16 characters.
    #[arg(long, default_value = "")]
    tag: String,
    #[command(flatten)]
    service: Service,
}

/// How many messages the manual publishes.
const DEFAULT_COUNT: u32 = 3;

impl Publish {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let session = self.service.open()?;
        // After the key, so that a command that cannot run consumes no stdin.
        let messages = self.messages()?;
        session.named(
            publish(
                &session.client,
                self.service.output,
                &self.topic,
                &messages,
                &self.tag,
            )
            .await,
        )?;
        Ok(ExitCode::SUCCESS)
    }

    fn messages(&self) -> anyhow::Result<Vec<String>> {
        match (&self.body, &self.body_file) {
            (Some(body), _) => Ok(vec![body.clone()]),
            (None, Some(file)) => Ok(vec![input::read_message(file)?]),
            (None, None) => Ok(test_messages(self.count.unwrap_or(DEFAULT_COUNT))),
        }
    }
}

/// The manual's messages.
pub(crate) fn test_messages(count: u32) -> Vec<String> {
    (0..count)
        .map(|number| format!("I am test message {number}."))
        .collect()
}

/// Publishes messages one after another. Prints and returns the result of each.
pub(crate) async fn publish(
    client: &Client,
    output: Output,
    topic: &str,
    messages: &[String],
    tag: &str,
) -> anyhow::Result<Vec<Published>> {
    let mut out = printer();
    if output == Output::Text {
        let count = messages.len();
        writeln!(
            out,
            "==========Publish Message To \
             Topic==========\nTopicName:{topic}\nMessageCount:{count}\n"
        )?;
    }
    let mut all = Vec::new();
    for message in messages {
        let published = match client.publish(topic, message, tag).await {
            Ok(published) => published,
            Err(error) if code(&error) == "TopicNotExist" => {
                bail!("Topic not exist, please create it.")
            }
            Err(error) => return fail("Publish Message Fail.", error),
        };
        let id = &published.message_id;
        match output {
            Output::Text => {
                // A message may have several lines; what is printed of it has one.
                let (body, id) = (one_line(message), one_line(id));
                writeln!(
                    out,
                    "Publish Message Succeed. MessageBody:{body} MessageID:{id}"
                )?;
            }
            Output::Json => {
                let object = json!({
                    "TopicName": topic,
                    "MessageId": id,
                    "MessageBodyMD5": published.body_md5,
                });
                writeln!(out, "{}", json_text(&object))?;
            }
        }
        all.push(published);
    }
    Ok(all)
}
