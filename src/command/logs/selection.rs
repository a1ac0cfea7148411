//! The filters that commands on rows share.

use std::str::FromStr as _;

use anyhow::bail;
use clap::Args;
use ipnet::IpNet;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strum::VariantNames as _;

use crate::journal::{Filter, Outcome};

/// Selects rows. A row must match every filter; a repeated filter matches any of its values.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Selection {
    /// The name of a topic; may be repeated, like every filter but --since, --until and --all.
    #[arg(long, value_name = "NAME")]
    pub(super) topic: Vec<String>,
    /// The name of a subscription.
    #[arg(long, value_name = "NAME")]
    pub(super) subscription: Vec<String>,
    /// The tag of a message.
    #[arg(long)]
    pub(super) tag: Vec<String>,
    /// The id of a message.
    #[arg(long, value_name = "ID")]
    pub(super) message_id: Vec<String>,
    /// The id of a request (x-mns-request-id).
    #[arg(long, value_name = "ID")]
    pub(super) request_id: Vec<String>,
    /// The outcome: accepted, duplicate (the log had the notification already), remark (accepted,
    /// but something was unusual), refused (4xx), deferred (503: it could not be verified or stored
    /// at that time), recovered (by logs recover) or other (not about a push). For logs replay only
    /// accepted, remark and recovered, which are its default.
    #[arg(long, value_parser = outcome)]
    pub(super) outcome: Vec<Outcome>,
    /// The key of a refusal or a remark. docs/errors.md lists the keys.
    #[arg(long, value_name = "KEY")]
    pub(super) reason: Vec<String>,
    /// The address or network of the sender.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(super) peer: Vec<IpNet>,
    /// A text in any value, including headers and body. Ignores case unless the text has an
    /// upper-case letter.
    #[arg(long, value_name = "TEXT")]
    pub(super) contains: Vec<String>,
    /// Leave out rows before this time: how long ago (15m, 3d), a time of today (18:40),
    /// 2026-11-24, '2026-11-24 18:40', or RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Leave out rows from this time on, in the formats of --since.
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Include refused requests without any x-mns header, such as those of scanners, and records
    /// that are not about a push, such as a start. Of no effect in logs replay.
    #[arg(long)]
    pub(super) all: bool,
}

impl Selection {
    /// Builds the filter. Times without a zone are in `zone`.
    pub(super) fn filter(&self, zone: &TimeZone, now: Timestamp) -> anyhow::Result<Filter> {
        let moment = |flag: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            match moment(text, zone, now) {
                Some(moment) => Ok(Some(moment)),
                None => bail!(
                    "{flag} {text}: write a span as in 15m or 3d, a time as in 18:40, \
                     2026-11-24 or '2026-11-24 18:40', or RFC 3339"
                ),
            }
        };
        Ok(Filter {
            topics: self.topic.clone(),
            subscriptions: self.subscription.clone(),
            tags: self.tag.clone(),
            message_ids: self.message_id.clone(),
            request_ids: self.request_id.clone(),
            outcomes: self.outcome.clone(),
            reasons: self.reason.clone(),
            peers: self.peer.clone(),
            contains: self.contains.clone(),
            text: Vec::new(),
            needles: Vec::new(),
            since: moment("--since", &self.since)?,
            until: moment("--until", &self.until)?,
            zone: Some(zone.clone()),
            // Selecting an outcome selects every row that has it.
            all: self.all || self.outcome.contains(&Outcome::Other),
        })
    }
}

/// A time as people write it: a span back from now, a time of day, a date, or both.
pub(in crate::command) fn moment(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(span) = humantime::parse_duration(text) {
        return now.checked_sub(SignedDuration::try_from(span).ok()?).ok();
    }
    let of = |local: DateTime| zone.to_timestamp(local).ok();
    let time = |text: &str| {
        let time = Time::strptime("%H:%M", text);
        time.or_else(|_| Time::strptime("%H:%M:%S", text)).ok()
    };
    if let Some((date, of_day)) = text.split_once([' ', 'T']) {
        return of(date.parse::<Date>().ok()?.to_datetime(time(of_day)?));
    }
    // Tried last, because `Date` also accepts a text with a time behind it, and ignores the time.
    if let Ok(date) = text.parse::<Date>() {
        return of(date.to_datetime(Time::midnight()));
    }
    let today = zone.to_datetime(now).date();
    let time = time(text)?;
    let moment = of(today.to_datetime(time))?;
    if moment <= now {
        return Some(moment);
    }
    // A time that has not come yet today means yesterday's.
    of(today.yesterday().ok()?.to_datetime(time))
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::from_str(text).map_err(|_unknown| format!("write {}", Outcome::VARIANTS.join(", ")))
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = text
        .parse()
        .map(|address: std::net::IpAddr| IpNet::from(address));
    text.parse()
        .or(address)
        .map_err(|_no_address| "write 10.0.0.0/8, or an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now: Timestamp = "2026-11-24T10:40:38Z".parse().unwrap();
        for (text, expected) in [
            ("15m", Some("2026-11-24T10:25:38Z")),
            ("3d", Some("2026-11-21T10:40:38Z")),
            ("18:40", Some("2026-11-24T10:40:00Z")),
            ("18:40:38", Some("2026-11-24T10:40:38Z")),
            // It has not come yet today.
            ("18:41", Some("2026-11-23T10:41:00Z")),
            ("2026-11-24", Some("2026-11-23T16:00:00Z")),
            ("2026-11-24 18:40", Some("2026-11-24T10:40:00Z")),
            ("2026-11-24T18:40:01", Some("2026-11-24T10:40:01Z")),
            ("2026-11-24T18:40:00+02:00", Some("2026-11-24T16:40:00Z")),
            ("yesterday", None),
            ("25:00", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(moment(text, &zone, now), expected, "{text}");
        }
    }

    #[test]
    fn a_network_may_be_an_address() {
        assert_eq!(network("10.1.2.3"), network("10.1.2.3/32"));
        assert!(network("10.1.2.3/33").is_err() && outcome("odd").is_err());
        assert_eq!(outcome("deferred"), Ok(Outcome::Deferred));
    }
}
