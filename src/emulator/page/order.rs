//! The commands of the page to the emulator.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::emulator::account::{AccountError, Key, NewMessage};
use crate::emulator::emulator::Emulator;
use crate::emulator::refusal::Refusal;

#[derive(Deserialize)]
// A misspelt `tag` is an error. Otherwise the message would be published without a tag.
#[serde(deny_unknown_fields)]
struct Publish {
    topic: String,
    message: String,
    #[serde(default)]
    tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliver {
    topic: String,
    subscription: String,
}

/// The rate of each fault. Faults that are left out do not occur.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    rates: BTreeMap<String, f64>,
}

/// Publishes a message.
pub(super) async fn publish(emulator: &Arc<Emulator>, body: &[u8]) -> Result<Value, AccountError> {
    let Publish {
        topic,
        message: body,
        tag,
    } = read(body)?;
    let queued = emulator.publish(topic, NewMessage { body, tag }).await?;
    Ok(json!({ "message_id": queued.message_id, "subscriptions": queued.subscriptions }))
}

/// Delivers now what waits for a retry.
pub(super) async fn deliver(emulator: &Arc<Emulator>, body: &[u8]) -> Result<Value, AccountError> {
    let Deliver {
        topic,
        subscription: name,
    } = read(body)?;
    let messages = emulator.deliver_now(Key { topic, name }).await?;
    Ok(json!({ "messages": messages }))
}

/// Changes the rates of the faults.
pub(super) fn set_chaos(emulator: &Arc<Emulator>, body: &[u8]) -> Result<Value, AccountError> {
    let Rates { rates } = read(body)?;
    let rates = rates.iter().map(|(kind, rate)| (kind.as_str(), *rate));
    let set = emulator.sender.set_chaos(rates);
    set.map_err(|error| Refusal::InvalidArgument(error.to_string()))?;
    Ok(json!({}))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::InvalidArgument(format!("The JSON is not valid: {error}.")))
}
