//! All tables: their names, the keys that every destination has, and the checks across tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::checks::is_name;
use crate::config::error::impossible;
use crate::config::forward::http::check_http;
use crate::config::forward::nats::check_nats;
use crate::config::forward::table::{Table, bytes};
use crate::config::values::OrOff;
use crate::config::{ConfigError, raw};
use crate::forward::{Ack, Destination, Settings, WhenFull};
use crate::journal::Duplicates;

/// The longest name of a destination, in bytes. The name is a part of file names.
const NAME_MAX: usize = 32;
/// The budget of a whole push. The wait for a destination must end before it.
const ANSWER_TIMEOUT_MAX: Duration = Duration::from_secs(3);
/// The least that fits a notification of 512 KiB.
const IN_FLIGHT_BYTES_MIN: usize = 1024 * 1024;
/// The least that fits a notification of 512 KiB with its record in the log.
const BACKLOG_BYTES_MIN: u64 = 1024 * 1024;
/// How long a delivery to an HTTP destination is retried by default.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// Checks the name of a destination, which becomes a part of file names, labels and variables.
pub(in crate::config) fn check_name(name: &str) -> Result<(), ConfigError> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_allowed = |byte: u8| is_letter(byte) || byte.is_ascii_digit() || b"-_".contains(&byte);
    let is_good = name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(is_allowed)
        // `__` separates the levels of a key in the name of a variable.
        && !name.contains("__");
    if is_good {
        return Ok(());
    }
    let allowed = "the name of a destination has a to z, 0 to 9, - and _ only, begins with a \
        letter, has no __ and at most 32 characters";
    Err(impossible("forward", name, allowed))
}

/// Checks all destinations. `set` has the keys that a layer above the defaults sets.
pub(in crate::config) fn check(
    raw: &BTreeMap<String, raw::Forward>,
    set: &BTreeSet<String>,
    duplicates: Duplicates,
) -> Result<Vec<Settings>, ConfigError> {
    let all = raw.iter().map(|(name, raw)| {
        let table = Table { name, raw, set };
        table.check(duplicates)
    });
    let all: Vec<Settings> = all.collect::<Result<_, _>>()?;
    check_together(&all)?;
    Ok(all)
}

/// At most one destination may delay the 201: two would need the time of both.
fn check_together(all: &[Settings]) -> Result<(), ConfigError> {
    let is_waited_for = |settings: &&Settings| matches!(settings.ack, Ack::Forward { .. });
    let mut waited_for = all.iter().filter(is_waited_for);
    match (waited_for.next(), waited_for.next()) {
        (Some(first), Some(second)) => Err(impossible(
            format!("forward.{}.ack", second.name),
            "forward",
            &format!(
                "a push waits for one destination at most, and forward.{}.ack says so too",
                first.name
            ),
        )),
        _ => Ok(()),
    }
}

impl Table<'_> {
    fn check(&self, duplicates: Duplicates) -> Result<Settings, ConfigError> {
        let raw = self.raw;
        let (destination, give_up) = match raw.to.as_str() {
            // JetStream says if it can never store a notification, so time decides nothing. A 4xx
            // of a service does not say so.
            "nats" => (Destination::Nats(check_nats(*self)?), None),
            "http" => (Destination::Http(check_http(*self)?), Some(GIVE_UP)),
            other => return Err(self.impossible("to", other, "nats and http are possible")),
        };
        let topics = &raw.topics.0;
        if let Some(topic) = topics.iter().find(|topic| !is_name(topic)) {
            let allowed =
                "a topic's name has letters, digits, - and _ only; nothing for all topics";
            return Err(self.impossible("topics", topic, allowed));
        }
        if raw.in_flight == 0 {
            return Err(self.impossible("in_flight", "0", "must be at least 1"));
        }
        Ok(Settings {
            name: self.name.to_owned(),
            ack: self.check_ack(duplicates)?,
            start: raw.start,
            topics: topics.clone(),
            in_flight: raw.in_flight,
            in_flight_bytes: self.check_in_flight_bytes()?,
            max_backlog_bytes: self.check_backlog()?,
            max_backlog_age: self.check_backlog_age()?,
            when_full: raw.when_full,
            give_up: self.check_give_up(give_up)?,
            dead_letters_bytes_max: bytes(raw.dead_letters_max.0),
            body: raw.body,
            destination,
        })
    }

    fn check_ack(&self, duplicates: Duplicates) -> Result<Ack, ConfigError> {
        let timeout = self.raw.answer_timeout.0;
        match self.raw.ack {
            raw::AckOf::Journal if self.is_set("answer_timeout") => Err(self.impossible(
                "answer_timeout",
                &format!("{timeout:?}"),
                "only a push that waits has it: set ack = \"forward\" too, or leave it out",
            )),
            raw::AckOf::Journal => Ok(Ack::Journal),
            raw::AckOf::Forward => {
                if self.raw.when_full == WhenFull::Skip {
                    let problem = "a 201 would not be true of what is skipped: leave out \
                        when_full = \"skip\"";
                    return Err(self.impossible("ack", "forward", problem));
                }
                if duplicates == Duplicates::Drop {
                    let problem = "a repeat may be the first that the destination gets, and \
                        accept.duplicates = \"drop\" leaves no record of it to forward";
                    return Err(self.impossible("ack", "forward", problem));
                }
                if timeout.is_zero() || timeout >= ANSWER_TIMEOUT_MAX {
                    let problem = "must be greater than zero and less than 3s: MNS waits 5 s, and \
                        the push was read, verified and written before";
                    let value = format!("{timeout:?}");
                    return Err(self.impossible("answer_timeout", &value, problem));
                }
                Ok(Ack::Forward { timeout })
            }
        }
    }

    fn check_in_flight_bytes(&self) -> Result<usize, ConfigError> {
        let size = self.raw.in_flight_bytes.0;
        if size < IN_FLIGHT_BYTES_MIN {
            let problem = "must be at least 1MiB, so that a message of 512KiB has room";
            return Err(self.impossible("in_flight_bytes", &size.to_string(), problem));
        }
        Ok(size)
    }

    fn check_backlog(&self) -> Result<Option<u64>, ConfigError> {
        let size = self.raw.max_backlog.0.map(|size| bytes(size.0));
        match size {
            Some(size) if size < BACKLOG_BYTES_MIN => Err(self.impossible(
                "max_backlog",
                &size.to_string(),
                "must be at least 1MiB, or \"off\"",
            )),
            size => Ok(size),
        }
    }

    fn check_backlog_age(&self) -> Result<Option<Duration>, ConfigError> {
        match self.raw.max_backlog_age.0 {
            // Records have times in whole seconds, so a shorter age could not be measured.
            Some(age) if age < Duration::from_secs(10) => Err(self.impossible(
                "max_backlog_age",
                &format!("{age:?}"),
                "must be at least 10s, or \"off\"",
            )),
            age => Ok(age),
        }
    }

    fn check_give_up(&self, default: Option<Duration>) -> Result<Option<Duration>, ConfigError> {
        let text = self.raw.give_up.as_str();
        if text.is_empty() {
            return Ok(default);
        }
        let OrOff(span): OrOff<Duration> = text
            .parse()
            .map_err(|problem: String| self.impossible("give_up", text, &problem))?;
        if span.is_some_and(|span| span.is_zero()) {
            let problem = "must be greater than zero, or \"off\"";
            return Err(self.impossible("give_up", text, problem));
        }
        Ok(span)
    }
}
