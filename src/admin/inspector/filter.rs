//! Selects rows by words, names, outcomes and times.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::admin::inspector::logged::Logged;
use crate::admin::inspector::moment::moment;
use crate::admin::inspector::names::Names;
use crate::admin::inspector::query::{Query, wrong};
use crate::admin::inspector::request::Head;
use crate::admin::respond::ApiError;
use crate::journal::{self, Outcome};
use crate::mns::header;
use crate::server::{Paths, Summary};

/// The query parameters of a filter.
pub(super) const PARAMETERS: [&str; 9] = [
    "q",
    "outcome",
    "topic",
    "subscription",
    "tag",
    "reason",
    "message_id",
    "since",
    "until",
];
/// The most words in one search.
const WORDS_MAX: usize = 16;

/// Selects rows. All conditions must match.
#[derive(Debug, Default, Clone)]
pub(super) struct Filter {
    outcomes: Vec<Outcome>,
    /// A name or a key must start with one of these.
    names: Vec<(Name, String)>,
    words: Vec<Word>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Topic,
    Subscription,
    Tag,
    Reason,
    MessageId,
    RequestId,
    Status,
    Peer,
}

/// The fields that names and words are compared with.
struct Said<'a> {
    names: &'a Names,
    request_id: &'a [u8],
    peer: &'a [u8],
    status: &'a str,
    /// The keys, separated by commas.
    reason: &'a [u8],
    target: &'a [u8],
    message: &'a [u8],
    body: &'a [u8],
}

/// A word that a row must contain. Without upper-case letters it matches either case.
#[derive(Debug, Clone)]
struct Word {
    bytes: Vec<u8>,
    is_exact: bool,
}

impl Filter {
    /// Parses the parameters. `now` and the zone complete times without a date.
    pub(super) fn of(query: &Query, now: SystemTime, zone: &TimeZone) -> Result<Self, ApiError> {
        let mut filter = Self::default();
        let time = |text: &str| {
            moment(text, now, zone).ok_or_else(|| wrong(format!("{text:?} is no time")))
        };
        for outcome in query.get("outcome").unwrap_or_default().split(',') {
            if !outcome.is_empty() {
                let known = outcome.parse();
                let unknown = |_| wrong(format!("there is no outcome {outcome:?}"));
                filter.outcomes.push(known.map_err(unknown)?);
            }
        }
        for (parameter, name) in [
            ("topic", Name::Topic),
            ("subscription", Name::Subscription),
            ("tag", Name::Tag),
            ("reason", Name::Reason),
            ("message_id", Name::MessageId),
        ] {
            let value = query.get(parameter);
            filter
                .names
                .extend(value.map(|value| (name, value.to_lowercase())));
        }
        filter.since = query.get("since").map(time).transpose()?;
        filter.until = query.get("until").map(time).transpose()?;
        for word in query.get("q").unwrap_or_default().split_whitespace() {
            filter.add_word(word, time)?;
        }
        if filter.words.len() > WORDS_MAX {
            return Err(wrong("there are too many words to search for"));
        }
        Ok(filter)
    }

    fn add_word(
        &mut self,
        word: &str,
        time: impl Fn(&str) -> Result<Timestamp, ApiError>,
    ) -> Result<(), ApiError> {
        let name = match word.split_once(':') {
            Some(("topic", value)) => Some((Name::Topic, value)),
            Some(("sub" | "subscription", value)) => Some((Name::Subscription, value)),
            Some(("tag", value)) => Some((Name::Tag, value)),
            Some(("reason", value)) => Some((Name::Reason, value)),
            Some(("id", value)) => Some((Name::MessageId, value)),
            Some(("request", value)) => Some((Name::RequestId, value)),
            Some(("status", value)) => Some((Name::Status, value)),
            Some(("peer", value)) => Some((Name::Peer, value)),
            Some(("before" | "until", value)) if !value.is_empty() => {
                let until = time(value)?;
                self.until = Some(self.until.map_or(until, |known| known.min(until)));
                return Ok(());
            }
            Some(("after" | "since", value)) if !value.is_empty() => {
                let since = time(value)?;
                self.since = Some(self.since.map_or(since, |known| known.max(since)));
                return Ok(());
            }
            Some(_) | None => None,
        };
        match name {
            Some((name, value)) => self.names.push((name, value.to_lowercase())),
            None => self.words.push(Word {
                is_exact: word.chars().any(char::is_uppercase),
                bytes: word.as_bytes().to_vec(),
            }),
        }
        Ok(())
    }

    /// Whether a row matches.
    pub(super) fn fits(&self, summary: &Summary, names: &Names, paths: &Paths) -> bool {
        self.wants(summary.outcome) && self.fits_but_for_outcome(summary, names, paths)
    }

    pub(super) fn wants(&self, outcome: Outcome) -> bool {
        self.outcomes.is_empty() || self.outcomes.contains(&outcome)
    }

    pub(super) fn fits_but_for_outcome(
        &self,
        summary: &Summary,
        names: &Names,
        paths: &Paths,
    ) -> bool {
        self.fits_time(summary.came) && self.fits_text(summary, names, paths)
    }

    /// Whether a row that the search of the log files has found matches.
    pub(super) fn fits_logged(&self, logged: &Logged, names: &Names) -> bool {
        let row = &logged.row;
        let status = row.status().map(|status| status.as_u16().to_string());
        self.wants(logged.outcome)
            && self.fits_said(&Said {
                names,
                request_id: row.request_id().unwrap_or_default(),
                peer: row.peer().unwrap_or_default(),
                status: status.as_deref().unwrap_or_default(),
                reason: row.reason().unwrap_or_default(),
                target: row.target().unwrap_or_default(),
                message: row.message().unwrap_or(&names.preview),
                body: logged.body().unwrap_or_default(),
            })
    }

    /// The filter for the search of the log files. It finds all rows that match, and some more.
    pub(super) fn of_files(&self, zone: &TimeZone) -> journal::Filter {
        // In the log files a stranger's request is a refused one.
        let outcomes = self.outcomes.iter().map(|outcome| match outcome {
            Outcome::Other => Outcome::Refused,
            outcome => *outcome,
        });
        // The search compares bytes, so it does not know upper and lower case of non-ASCII letters.
        // Such names are compared later.
        let names = self.names.iter().filter(|(_, text)| text.is_ascii());
        let names = names.filter(|(name, _)| *name != Name::Status);
        let words = self.words.iter().map(|word| &word.bytes);
        let words = words.filter_map(|bytes| String::from_utf8(bytes.clone()).ok());
        journal::Filter {
            outcomes: outcomes.collect(),
            needles: names.map(|(_, text)| text.clone()).chain(words).collect(),
            since: self.since,
            until: self.until,
            zone: Some(zone.clone()),
            // `fits_logged` filters strangers, by a different rule.
            all: true,
            ..journal::Filter::default()
        }
    }

    fn fits_time(&self, came: SystemTime) -> bool {
        let Ok(came) = Timestamp::try_from(came) else {
            return false;
        };
        self.since.is_none_or(|since| came >= since) && self.until.is_none_or(|until| came < until)
    }

    fn fits_text(&self, summary: &Summary, names: &Names, paths: &Paths) -> bool {
        if self.names.is_empty() && self.words.is_empty() {
            return true;
        }
        let head = Head::of(summary.head(), paths);
        let request_id = head.header(header::REQUEST_ID.as_str()).unwrap_or_default();
        let (peer, status) = (summary.peer.to_string(), summary.status.to_string());
        let (_, target) = head.line();
        self.fits_said(&Said {
            names,
            request_id,
            peer: peer.as_bytes(),
            status: &status,
            reason: summary
                .reason
                .map_or("", crate::server::Reason::key)
                .as_bytes(),
            target: target.as_bytes(),
            message: &names.preview,
            body: summary.body().unwrap_or_default(),
        })
    }

    fn fits_said(&self, said: &Said<'_>) -> bool {
        let names = said.names;
        let begins = |(name, wanted): &(Name, String)| {
            let begins = |text: &[u8]| {
                let lower = String::from_utf8_lossy(text).to_lowercase();
                lower.starts_with(wanted.as_str())
            };
            match name {
                Name::Topic => begins(&names.topic),
                Name::Subscription => begins(&names.subscription),
                Name::Tag => begins(&names.tag),
                Name::Reason => said.reason.split(|byte| *byte == b',').any(begins),
                Name::MessageId => begins(&names.message_id),
                Name::RequestId => begins(said.request_id),
                Name::Status => begins(said.status.as_bytes()),
                Name::Peer => begins(said.peer),
            }
        };
        let places: [&[u8]; 10] = [
            &names.topic,
            &names.subscription,
            &names.tag,
            &names.message_id,
            said.message,
            said.request_id,
            said.target,
            said.peer,
            said.reason,
            said.body,
        ];
        let stands = |word: &Word| places.iter().any(|place| word.stands_in(place));
        self.names.iter().all(begins) && self.words.iter().all(stands)
    }
}

impl Word {
    fn stands_in(&self, text: &[u8]) -> bool {
        let mut windows = text.windows(self.bytes.len());
        if self.is_exact {
            return windows.any(|window| window == self.bytes);
        }
        windows.any(|window| window.eq_ignore_ascii_case(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_an_upper_case_letter_is_exact() {
        let word = |text: &str, is_exact| Word {
            bytes: text.as_bytes().to_vec(),
            is_exact,
        };
        assert!(word("paid", false).stands_in(b"order.PAID"));
        assert!(!word("Paid", true).stands_in(b"order.paid"));
        assert!(word("Paid", true).stands_in(b"Paid"));
        assert!(word("王", false).stands_in("小王".as_bytes()));
        assert!(!word("longer than the text", false).stands_in(b"text"));
    }
}
