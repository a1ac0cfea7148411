//! The proof from the logs that the messages have arrived.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use crate::command::demo::stage::Stage;
use crate::emulator::FORGED_MESSAGE;

/// The title of the record of an accepted message.
const SUCCEED: &str = "Notify Message Succeed!";
/// The title of the record of a duplicate.
const DUPLICATE: &str = "Notify Message Duplicate!";
/// The part of an access line that shows an accepted message.
const CREATED: &str = "\"POST\" \"201\" ";

/// The content of both logs.
pub(super) struct Proof {
    /// For each message id, the number of its records that are not marked as duplicates.
    arrived: BTreeMap<String, usize>,
    /// Records that are marked as duplicates.
    duplicates: usize,
    /// Records with a message that MNS never sent.
    forged: usize,
    /// Access lines with 201.
    created: usize,
}

impl Proof {
    /// Reads both logs.
    pub(super) fn read(stage: &Stage) -> anyhow::Result<Self> {
        let read = |name| {
            let path = stage.log(name);
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        Self::of(&read("access_log")?, &read("endpoint_log")?)
    }

    fn of(access_log: &str, endpoint_log: &str) -> anyhow::Result<Self> {
        let created = access_log
            .lines()
            .filter(|line| line.contains(CREATED))
            .count();
        let mut proof = Self {
            arrived: BTreeMap::new(),
            duplicates: 0,
            forged: 0,
            created,
        };
        for record in endpoint_log.split("\n\n") {
            let title = record.lines().next().unwrap_or_default();
            if title.ends_with(DUPLICATE) {
                proof.duplicates = proof.duplicates.saturating_add(1);
            } else if title.ends_with(SUCCEED) {
                let message_id =
                    attribute(record, "MessageId").context("a record without a MessageId")?;
                let count = proof.arrived.entry(message_id.to_owned()).or_default();
                *count = count.saturating_add(1);
            } else {
                continue;
            }
            if attribute(record, "Message") == Some(FORGED_MESSAGE) {
                proof.forged = proof.forged.saturating_add(1);
            }
        }
        Ok(proof)
    }

    /// Checks that every one of these messages is in both logs, and in the endpoint log exactly
    /// once, not counting duplicates.
    pub(super) fn demand_all(&self, published: &[String]) -> anyhow::Result<()> {
        let missing: Vec<&str> = published
            .iter()
            .filter(|id| !self.arrived.contains_key(*id))
            .map(String::as_str)
            .collect();
        if let Some(first) = missing.first() {
            bail!(
                "{} of {} messages are not in the endpoint log; one is {first}",
                missing.len(),
                published.len()
            );
        }
        if let Some((id, count)) = self.arrived.iter().find(|(_, count)| **count > 1) {
            bail!("{id} is in the endpoint log {count} times without being marked as a duplicate");
        }
        if self.created < published.len() {
            bail!(
                "the access log has {} lines that say 201, for {} messages",
                self.created,
                published.len()
            );
        }
        Ok(())
    }

    /// Checks that no record contains a stranger's message.
    pub(super) fn demand_nothing_forged(&self) -> anyhow::Result<()> {
        if self.forged > 0 {
            bail!("{} records hold a message that is forged", self.forged);
        }
        Ok(())
    }

    /// The number of records that are marked as duplicates.
    pub(super) fn duplicates(&self) -> usize {
        self.duplicates
    }
}

/// The value of a line `Name      : value`.
fn attribute<'r>(record: &'r str, name: &str) -> Option<&'r str> {
    record
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "[24/Nov/2026 13:42:37]\"POST\" \"201\" \"/notifications\"\n";

    fn record(title: &str, id: &str, message: &str) -> String {
        format!(
            "[t] [root] [INFO] [p] [1] {title}\n{:<30}: {id}\n{:<30}: {message}\n\n",
            "MessageId", "Message"
        )
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn messages_missing_in_either_log_are_reported() {
        let log = [
            record(SUCCEED, "A", "m"),
            // A refusal may name a message as well, which proves nothing.
            record("Access Forbidden!", "C", "m"),
            record(DUPLICATE, "A", "m"),
        ]
        .concat();
        let proof = Proof::of(&LINE.repeat(2), &log).unwrap();
        assert!(proof.demand_all(&ids(&["A"])).is_ok());
        assert_eq!(proof.duplicates(), 1);
        let twice = [record(SUCCEED, "A", "m"), record(SUCCEED, "A", "m")].concat();
        let twice = Proof::of(&LINE.repeat(2), &twice)
            .unwrap()
            .demand_all(&ids(&["A"]))
            .unwrap_err()
            .to_string();
        assert_eq!(
            twice,
            "A is in the endpoint log 2 times without being marked as a duplicate"
        );
        let missing = proof.demand_all(&ids(&["A", "C"])).unwrap_err().to_string();
        assert_eq!(
            missing,
            "1 of 2 messages are not in the endpoint log; one is C"
        );
        let short = Proof::of("", &log)
            .unwrap()
            .demand_all(&ids(&["A"]))
            .unwrap_err()
            .to_string();
        assert!(
            short.contains("0 lines that say 201, for 1 messages"),
            "{short}"
        );
    }

    #[test]
    fn forged_messages_are_reported() {
        assert!(
            Proof::of("", &record(SUCCEED, "A", "m"))
                .unwrap()
                .demand_nothing_forged()
                .is_ok()
        );
        assert!(
            Proof::of("", &record("Access Forbidden!", "A", FORGED_MESSAGE))
                .unwrap()
                // A refusal also logs the message of a forgery.
                .demand_nothing_forged()
                .is_ok()
        );
        assert!(
            Proof::of("", &record(SUCCEED, "A", FORGED_MESSAGE))
                .unwrap()
                .demand_nothing_forged()
                .is_err()
        );
    }
}
