//! `subscription create`, also for an existing subscription.

use anyhow::bail;
use serde_json::{Value, json};

use crate::client::{Client, Created};
use crate::command::client::existing::{self, Change, Difference, DiffersError, Existing};
use crate::command::client::service::{self, Output, code, fail};
use crate::emulator::Target;
use crate::mns::api::{SubscriptionAttributes, SubscriptionChange};
use crate::net;

/// The line of the manual's script.
const ALREADY_EXIST: &str = "Subscription already exist, please unsubscribe or use it directly.";

/// Creates a subscription, unless it exists.
///
/// # Errors
/// [`DiffersError`] if it exists with other attributes and `existing` does not allow a change, or
/// the service cannot make it.
pub(crate) async fn create(
    client: &Client,
    output: Output,
    place: (&str, &str),
    asked: &SubscriptionAttributes,
    existing: Existing,
) -> anyhow::Result<()> {
    let created = match (client.subscribe(place.0, place.1, asked).await, existing) {
        (Ok(created @ Created::New), _) => created,
        // The service claims that it has the same attributes.
        (Ok(created @ Created::Unchanged), Existing::Refuse) => created,
        (Ok(Created::Unchanged), Existing::Compare | Existing::Change) => {
            return settle(client, output, place, asked, existing).await;
        }
        (Err(error), _) if code(&error) == "SubscriptionAlreadyExist" => {
            return settle(client, output, place, asked, existing).await;
        }
        (Err(error), _) if code(&error) == "TopicNotExist" => {
            bail!("Topic not exist, please create topic.")
        }
        (Err(error), _) => return fail("Create Subscription Fail!", error),
    };
    let (topic, subscription) = place;
    let endpoint = &asked.endpoint;
    let line = format!(
        "Create Subscription Succeed! TopicName:{topic} SubName:{subscription} Endpoint:{endpoint}"
    );
    service::print_done(output, &line, &json_of(place, asked, created, [&[], &[]]))
}

/// Compares an existing subscription with the requested one.
async fn settle(
    client: &Client,
    output: Output,
    place: (&str, &str),
    asked: &SubscriptionAttributes,
    existing: Existing,
) -> anyhow::Result<()> {
    let mut found = read_back(client, place, existing).await?;
    let mut differing = differences(asked, &found);
    if existing == Existing::Refuse {
        bail!("{ALREADY_EXIST}{}", existing::lines(&differing));
    }
    let mut changed = Vec::new();
    if existing == Existing::Change
        && differing
            .iter()
            .any(|difference| difference.change == Change::Possible)
    {
        let change = change(asked, &found);
        if let Err(error) = client.set_subscription(place.0, place.1, &change).await {
            let lines = existing::lines(&differing);
            return fail(
                format!("Subscription already there, but it could not be changed.{lines}\n"),
                error,
            );
        }
        found = read_back(client, place, existing).await?;
        let before = std::mem::replace(&mut differing, differences(asked, &found));
        changed = existing::gone(before, &differing);
    }
    let object = json_of(place, &found, Created::Unchanged, [&changed, &differing]);
    existing::print(
        output,
        "Subscription",
        &line_of(place, &found),
        &changed,
        &differing,
        &object,
    )?;
    if differing.is_empty() {
        return Ok(());
    }
    let advice = advice(place, asked, existing, &differing);
    let place = format!("TopicName:{} SubName:{}", place.0, place.1);
    Err(DiffersError {
        what: "Subscription",
        place,
        differences: differing,
        advice,
    }
    .into())
}

async fn read_back(
    client: &Client,
    (topic, subscription): (&str, &str),
    existing: Existing,
) -> anyhow::Result<SubscriptionAttributes> {
    match client.subscription(topic, subscription).await {
        Ok(found) => Ok(found.attributes),
        Err(error) => existing.fail_unread("Subscription", ALREADY_EXIST, error),
    }
}

fn differences(asked: &SubscriptionAttributes, found: &SubscriptionAttributes) -> Vec<Difference> {
    let SubscriptionAttributes {
        endpoint,
        filter_tag,
        notify_strategy,
        notify_content_format,
        dead_letter_queue,
    } = asked;
    let queue = dead_letter_queue.as_ref().and_then(|queue| {
        let found = found.dead_letter_queue.as_deref().unwrap_or_default();
        Difference::between("DeadLetterTargetQueue", &found, queue, Change::Possible)
    });
    let format = &found.notify_content_format;
    [
        Difference::between("Endpoint", &found.endpoint, endpoint, Change::Impossible),
        Difference::between(
            "FilterTag",
            &found.filter_tag,
            filter_tag,
            Change::Impossible,
        ),
        Difference::between(
            "NotifyContentFormat",
            format,
            notify_content_format,
            Change::Impossible,
        ),
        Difference::between(
            "NotifyStrategy",
            &found.notify_strategy,
            notify_strategy,
            Change::Possible,
        ),
        queue,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The differences that the service can change.
fn change(asked: &SubscriptionAttributes, found: &SubscriptionAttributes) -> SubscriptionChange {
    let strategy = asked.notify_strategy;
    let queue = asked.dead_letter_queue.clone();
    SubscriptionChange {
        notify_strategy: (strategy != found.notify_strategy).then_some(strategy),
        dead_letter_queue: queue.filter(|queue| found.dead_letter_queue.as_ref() != Some(queue)),
    }
}

/// What to do about the remaining differences.
fn advice(
    (topic, subscription): (&str, &str),
    asked: &SubscriptionAttributes,
    existing: Existing,
    differing: &[Difference],
) -> String {
    let mut advice = String::new();
    let possible = Difference::names(differing, Change::Possible);
    if !possible.is_empty() && existing == Existing::Change {
        advice.push_str(&format!(
            "\nThe service accepted the change of {}, but it is not in force",
            possible.join(", ")
        ));
    } else if !possible.is_empty() {
        let mut flags = String::new();
        if possible.contains(&"NotifyStrategy") {
            flags.push_str(&format!(" --strategy {}", asked.notify_strategy));
        }
        if let Some(queue) = asked
            .dead_letter_queue
            .as_ref()
            .filter(|_| possible.contains(&"DeadLetterTargetQueue"))
        {
            flags.push_str(&format!(" --dlq {queue}"));
        }
        let names = possible.join(", ");
        advice.push_str(&format!(
            "\nTo change {names}: mns-endpoint subscription update {topic} {subscription}{flags}, \
             with the service and the key of this command, or --apply with this command"
        ));
    }
    let impossible = Difference::names(differing, Change::Impossible);
    if !impossible.is_empty() {
        let names = impossible.join(", ");
        advice.push_str(&format!(
            "\nNeither --apply nor subscription update can change {names}: mns-endpoint \
             subscription delete {topic} \
             {subscription}, with the service and the key of this command, and create it again. \
             Messages that are published in between, or not delivered yet, are lost"
        ));
    }
    advice
}

/// A subscription, what was changed of it, and what still differs from the request.
fn json_of(
    (topic, subscription): (&str, &str),
    attributes: &SubscriptionAttributes,
    created: Created,
    [changed, differing]: [&[Difference]; 2],
) -> Value {
    json!({
        "TopicName": topic,
        "SubscriptionName": subscription,
        "Endpoint": attributes.endpoint,
        "FilterTag": attributes.filter_tag,
        "NotifyStrategy": attributes.notify_strategy.to_string(),
        "NotifyContentFormat": attributes.notify_content_format.to_string(),
        "DeadLetterTargetQueue": attributes.dead_letter_queue,
        "Created": created == Created::New,
        "Changed": Difference::names(changed, Change::Possible),
        "Differences": Difference::json(differing),
    })
}

fn line_of((topic, subscription): (&str, &str), attributes: &SubscriptionAttributes) -> String {
    let endpoint = service::one_line(&attributes.endpoint);
    let (strategy, format) = (attributes.notify_strategy, attributes.notify_content_format);
    let mut line = format!(
        "TopicName:{topic} SubName:{subscription} Endpoint:{endpoint} NotifyStrategy:{strategy} \
         NotifyContentFormat:{format}"
    );
    for (name, value) in [
        ("FilterTag", Some(&attributes.filter_tag)),
        (
            "DeadLetterTargetQueue",
            attributes.dead_letter_queue.as_ref(),
        ),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.push_str(&format!(" {name}:{}", service::one_line(value)));
        }
    }
    line
}

/// MNS pushes over the internet, so it cannot reach a private address.
pub(super) fn refuse_unreachable(endpoint: &str, is_meant: bool) -> anyhow::Result<()> {
    // Queues, mail and text messages are endpoints too, but not ours.
    let is_other_kind = ["acs:", "mail:", "sms:"]
        .iter()
        .any(|scheme| endpoint.starts_with(scheme));
    if is_meant || is_other_kind {
        return Ok(());
    }
    let target = Target::parse(endpoint)?;
    if net::is_private_host(target.host()) {
        bail!(
            "{endpoint} is an address that MNS cannot reach, so nothing would ever arrive: give \
                the public one, or --force to subscribe it anyway"
        );
    }
    Ok(())
}
