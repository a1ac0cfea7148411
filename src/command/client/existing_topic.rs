//! How `topic create` treats an existing topic.

use anyhow::bail;
use serde_json::json;

use crate::client::Client;
use crate::command::client::existing::{self, Change, Difference, DiffersError, Existing};
use crate::command::client::service::{Output, fail};
use crate::mns::api::{Topic as TopicShown, TopicAttributes};

/// The line of the manual's script.
const ALREADY_EXIST: &str =
    "Topic already exist, please delete it before creating or use it directly.";

/// Compares an existing topic with the requested one.
pub(super) async fn settle(
    client: &Client,
    output: Output,
    topic: &str,
    asked: &TopicAttributes,
    existing: Existing,
) -> anyhow::Result<()> {
    let mut found = read_back(client, topic, existing).await?;
    let mut differing = differences(asked, &found);
    if existing == Existing::Refuse {
        bail!("{ALREADY_EXIST}{}", existing::lines(&differing));
    }
    let mut changed = Vec::new();
    if existing == Existing::Change && !differing.is_empty() {
        // All of them, because the service does not document what happens to attributes that a
        // request omits.
        let all = TopicAttributes {
            maximum_message_size: asked
                .maximum_message_size
                .or(Some(found.maximum_message_size)),
            logging_enabled: asked.logging_enabled.or(Some(found.logging_enabled)),
        };
        if let Err(error) = client.set_topic(topic, &all).await {
            return fail(
                format!(
                    "Topic already there, but it could not be changed.{}\n",
                    existing::lines(&differing)
                ),
                error,
            );
        }
        found = read_back(client, topic, existing).await?;
        let before = std::mem::replace(&mut differing, differences(asked, &found));
        changed = existing::gone(before, &differing);
    }
    let place = format!("TopicName:{topic}");
    let object = json!({
        "TopicName": topic,
        "MaximumMessageSize": found.maximum_message_size,
        "LoggingEnabled": found.logging_enabled,
        "Created": false,
        "Changed": Difference::names(&changed, Change::Possible),
        "Differences": Difference::json(&differing),
    });
    let in_force = format!(
        "{place} MaximumMessageSize:{} LoggingEnabled:{}",
        found.maximum_message_size, found.logging_enabled
    );
    existing::print(output, "Topic", &in_force, &changed, &differing, &object)?;
    if differing.is_empty() {
        return Ok(());
    }
    let advice = match existing {
        Existing::Refuse | Existing::Compare => "\nTo change it, give --apply as well",
        Existing::Change => "\nThe service accepted the change, but it is not in force",
    };
    Err(DiffersError {
        what: "Topic",
        place,
        differences: differing,
        advice: advice.to_owned(),
    }
    .into())
}

async fn read_back(client: &Client, topic: &str, existing: Existing) -> anyhow::Result<TopicShown> {
    client
        .topic(topic)
        .await
        .or_else(|error| existing.fail_unread("Topic", ALREADY_EXIST, error))
}

/// The requested attributes that are not in force. Others are up to the service.
fn differences(asked: &TopicAttributes, found: &TopicShown) -> Vec<Difference> {
    let TopicAttributes {
        maximum_message_size,
        logging_enabled,
    } = *asked;
    let size = maximum_message_size.and_then(|asked| {
        Difference::between(
            "MaximumMessageSize",
            &found.maximum_message_size,
            &asked,
            Change::Possible,
        )
    });
    let logging = logging_enabled.and_then(|asked| {
        Difference::between(
            "LoggingEnabled",
            &found.logging_enabled,
            &asked,
            Change::Possible,
        )
    });
    size.into_iter().chain(logging).collect()
}
