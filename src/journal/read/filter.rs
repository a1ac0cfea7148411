//! Selects rows. A row must match every condition. It matches a condition if it has one of the
//! values that the condition lists.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::journal::read::needle::{Case, Needle};
use crate::journal::read::row::{Outcome, Row};
use crate::journal::record::{DUPLICATE, RECOVERED, SUCCEED};

/// Selects rows. The default selects every row that came from MNS.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Names of topics. A name matches even if an unverified request only claims it.
    pub topics: Vec<String>,
    /// Names of subscriptions. A name matches even if an unverified request only claims it.
    pub subscriptions: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Ids of messages.
    pub message_ids: Vec<String>,
    /// Ids of requests.
    pub request_ids: Vec<String>,
    /// The outcomes.
    pub outcomes: Vec<Outcome>,
    /// Keys of reasons: why a push was refused, or what was unusual about an accepted one.
    pub reasons: Vec<String>,
    /// Networks of the senders.
    pub peers: Vec<IpNet>,
    /// Texts in any value: attributes, headers, the body. A text without an upper-case letter
    /// matches ASCII letters of either case.
    pub contains: Vec<String>,
    /// The same as `contains`, but a separate condition: the argument of `logs find`.
    pub text: Vec<String>,
    /// Texts that the bytes of a row must contain. A text without an upper-case letter matches
    /// ASCII letters of either case, as in `contains`. [`matches`](Self::matches) ignores them:
    /// they only narrow a search before rows are parsed.
    pub needles: Vec<String>,
    /// Rows that were logged at this time or later.
    pub since: Option<Timestamp>,
    /// Rows that were logged before this time.
    pub until: Option<Timestamp>,
    /// The zone of the times in text logs: such times have no offset.
    pub zone: Option<TimeZone>,
    /// Also select requests that did not come from MNS, and records that answer no push.
    pub all: bool,
}

/// What the bytes of a row must contain to match: one needle (a text to search for) of each group.
#[derive(Debug, Clone)]
pub(super) struct Prefilter {
    groups: Vec<Vec<Needle>>,
}

impl Filter {
    /// Whether a row matches.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        let outcome = row.outcome();
        let is_one = |wanted: &[String], value: Option<&[u8]>| {
            wanted.is_empty() || wanted.iter().any(|wanted| value == Some(wanted.as_bytes()))
        };
        let labels = &row.labels;
        (self.all || (outcome != Outcome::Other && !row.is_foreign()))
            && (self.outcomes.is_empty() || self.outcomes.contains(&outcome))
            && is_one(&self.topics, Some(&labels.topic))
            && is_one(&self.subscriptions, Some(&labels.subscription))
            && is_one(&self.tags, Some(&labels.tag))
            && is_one(&self.message_ids, Some(&labels.message_id))
            && is_one(&self.request_ids, row.request_id())
            && self.has_reason(row)
            && self.has_peer(row)
            && self.is_in_time(row)
            && [&self.contains, &self.text]
                .into_iter()
                .all(|wanted| wanted.is_empty() || wanted.iter().any(|text| contains(row, text)))
    }

    fn has_reason(&self, row: &Row) -> bool {
        // If no reason is wanted, every row matches, even a row without a reason.
        let Some(reasons) = row.reason().filter(|_| !self.reasons.is_empty()) else {
            return self.reasons.is_empty();
        };
        // Several keys are in one field, separated by commas.
        let mut reasons = reasons.split(|byte| *byte == b',');
        reasons.any(|reason| {
            let mut wanted = self.reasons.iter();
            wanted.any(|wanted| wanted.as_bytes() == reason)
        })
    }

    fn has_peer(&self, row: &Row) -> bool {
        if self.peers.is_empty() {
            return true;
        }
        let peer = row.peer().and_then(|peer| std::str::from_utf8(peer).ok());
        let address = peer.and_then(|peer| {
            let with_port = peer.parse().map(|peer: SocketAddr| peer.ip());
            with_port.or_else(|_| peer.parse::<IpAddr>()).ok()
        });
        address.is_some_and(|address| self.peers.iter().any(|net| net.contains(&address)))
    }

    fn is_in_time(&self, row: &Row) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let zone = self.zone();
        // A local time may occur twice when summer time ends. Include the row if either time
        // matches.
        row.time()
            .and_then(|time| time.moments(&zone))
            .is_some_and(|(first, last)| {
                self.since.is_none_or(|since| last >= since)
                    && self.until.is_none_or(|until| first < until)
            })
    }

    pub(super) fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }

    pub(super) fn prefilter(&self) -> Prefilter {
        let exact = [
            &self.topics,
            &self.subscriptions,
            &self.tags,
            &self.message_ids,
            &self.request_ids,
            &self.reasons,
        ];
        let exact = exact.map(|wanted| group(wanted, |_| Case::Kept));
        // An outcome that has no title, or several, gives an empty text, which has no needle. The
        // group of titles then excludes nothing.
        let titles: Vec<String> = self
            .outcomes
            .iter()
            .map(|outcome| title(*outcome).unwrap_or_default().to_owned())
            .collect();
        let groups = exact.into_iter().chain([
            group(&self.contains, case),
            group(&self.text, case),
            group(&titles, |_| Case::Kept),
        ]);
        // Each needle is a separate group, because a row must contain all of them.
        let needles = self.needles.chunks(1).map(|one| group(one, case));
        Prefilter {
            groups: groups.chain(needles).flatten().collect(),
        }
    }
}

impl Prefilter {
    /// Whether the prefilter admits all rows.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether the bytes contain a needle of each group.
    pub(super) fn admits(&self, bytes: &[u8]) -> bool {
        let has_one = |group: &Vec<Needle>| group.iter().any(|needle| needle.is_in(bytes));
        self.groups.iter().all(has_one)
    }
}

/// The needles of one condition. `None` if nothing is wanted, or if one of the wanted texts has no
/// needle: the group then cannot exclude any bytes.
fn group(wanted: &[String], case: impl Fn(&str) -> Case) -> Option<Vec<Needle>> {
    let needles: Option<Vec<Needle>> = wanted
        .iter()
        .map(|text| Needle::in_log(text, case(text)))
        .collect();
    needles.filter(|needles| !needles.is_empty())
}

fn case(text: &str) -> Case {
    if text.chars().any(char::is_uppercase) {
        Case::Kept
    } else {
        Case::Folded
    }
}

/// The text that the record of an outcome begins with, if there is exactly one.
fn title(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Accepted | Outcome::Remark => Some(SUCCEED),
        Outcome::Duplicate => Some(DUPLICATE),
        Outcome::Recovered => Some(RECOVERED),
        Outcome::Refused | Outcome::Deferred | Outcome::Other => None,
    }
}

fn contains(row: &Row, text: &str) -> bool {
    let needle = Needle::new(text.as_bytes(), case(text));
    let parts = row.request().into_iter().chain([&row.record]);
    let mut values = parts.flat_map(|parts| {
        let named = parts.attributes.iter().chain(&parts.headers);
        named.map(|(_, value)| value).chain(&parts.body)
    });
    values.any(|value| needle.is_in(value))
}
