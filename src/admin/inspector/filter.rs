//! Which rows are asked for: words, names, outcomes and times.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::admin::inspector::query::{Query, wrong};
use crate::admin::inspector::request::Head;
use crate::admin::inspector::row::Names;
use crate::admin::respond::ApiError;
use crate::journal::Outcome;
use crate::mns::header;
use crate::server::{Paths, Summary};

/// The parameters that a filter is read from.
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
/// The longest search, in words.
const WORDS_MAX: usize = 16;

/// Which rows are asked for. All of it must fit.
#[derive(Debug, Default, Clone)]
pub(super) struct Filter {
    outcomes: Vec<Outcome>,
    /// What must be the beginning of a name or key.
    names: Vec<(Name, String)>,
    words: Vec<Word>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What a name is of.
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

/// A word that must stand somewhere. One without upper-case letters fits either case.
#[derive(Debug, Clone)]
struct Word {
    bytes: Vec<u8>,
    is_exact: bool,
}

impl Filter {
    /// Reads the parameters. `now` and the zone are those of times without a date.
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
                self.until = Some(time(value)?);
                return Ok(());
            }
            Some(("after" | "since", value)) if !value.is_empty() => {
                self.since = Some(time(value)?);
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

    /// Whether a row fits.
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
        let head = Head::of(summary, paths);
        let request_id = head.header(header::REQUEST_ID.as_str()).unwrap_or_default();
        let (peer, status) = (summary.peer.to_string(), summary.status.to_string());
        let reason = summary.reason.map_or("", crate::server::Reason::key);
        let begins = |(name, wanted): &(Name, String)| {
            let text = match name {
                Name::Topic => names.topic.as_slice(),
                Name::Subscription => &names.subscription,
                Name::Tag => &names.tag,
                Name::Reason => reason.as_bytes(),
                Name::MessageId => &names.message_id,
                Name::RequestId => request_id,
                Name::Status => status.as_bytes(),
                Name::Peer => peer.as_bytes(),
            };
            let lower = String::from_utf8_lossy(text).to_lowercase();
            lower.starts_with(wanted.as_str())
        };
        let (_, target) = head.line();
        let places: [&[u8]; 10] = [
            &names.topic,
            &names.subscription,
            &names.tag,
            &names.message_id,
            &names.preview,
            request_id,
            target.as_bytes(),
            peer.as_bytes(),
            reason.as_bytes(),
            summary.body().unwrap_or_default(),
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

/// A time as people write it: `18:40`, `18:40:36`, a date, both with T between, or RFC 3339. A time
/// alone is the last one that was.
fn moment(text: &str, now: SystemTime, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let now = Timestamp::try_from(now).ok()?;
    let local = |time: DateTime| zone.to_timestamp(time).ok();
    if let Ok(time) = text.parse::<Time>() {
        let today = now.to_zoned_datetime(zone.clone()).date();
        let at = local(today.to_datetime(time))?;
        if at <= now {
            return Some(at);
        }
        return local(today.yesterday().ok()?.to_datetime(time));
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return local(time);
    }
    local(text.parse::<Date>().ok()?.to_datetime(Time::midnight()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now: Timestamp = "2026-11-24T18:40:36+08:00".parse().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_second().cast_unsigned());
        for (text, expected) in [
            ("18:40", "2026-11-24T10:40:00Z"),
            ("18:41", "2026-11-23T10:41:00Z"),
            ("09:00:01", "2026-11-24T01:00:01Z"),
            ("2026-11-24", "2026-11-23T16:00:00Z"),
            ("2026-11-24T18:40", "2026-11-24T10:40:00Z"),
            ("2026-11-24T18:40:36+00:00", "2026-11-24T18:40:36Z"),
        ] {
            let found = moment(text, now, &zone).map(|time| time.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
        assert_eq!(moment("25:00", now, &zone), None);
    }

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
