//! Collects what the endpoint log has about one message: each arrival, its outcome, and the
//! message.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::command::counted::counted;
use crate::command::logs::line::one_line;
use crate::command::logs::pretty::Pretty;
use crate::command::logs::request::{missing, quarantine_file};
use crate::command::logs::source::Source;
use crate::journal::{
    Budget, Filter, Horizon, Lookup, Outcome, Position, Progress, Row, Search, SearchStart, look_up,
};
use crate::span::Span;

/// All rows about one message, oldest first.
pub(super) struct Story {
    rows: Vec<Row>,
}

impl Story {
    /// Finds the rows by a message id, a request id or a position. Returns `None` if no row
    /// matches.
    pub(super) fn of(
        id: &str,
        source: &Source,
        mut is_cancelled: impl FnMut(&Progress) -> bool,
    ) -> anyhow::Result<Option<Self>> {
        let row = match id.parse::<Position>() {
            Ok(position) => match look_up(&source.chain, &Horizon::FileEnd, &position)
                .with_context(|| source.cannot_read())?
            {
                Lookup::Found(row) => Some(*row),
                Lookup::Gone => None,
            },
            Err(_no_position) => None,
        };
        if let Some(row) = row {
            let id = String::from_utf8_lossy(&row.labels.message_id).into_owned();
            if id.is_empty() {
                return Ok(Some(Self { rows: vec![row] }));
            }
            return Self::with(&id, source, &mut is_cancelled);
        }
        let story = Self::with(id, source, &mut is_cancelled)?;
        // A request id leads to its message, and so to the other arrivals of that message.
        let message = story.as_ref().and_then(|story| {
            let row = story.rows.last()?;
            let other = (row.labels.message_id != id.as_bytes()).then_some(row)?;
            String::from_utf8(other.labels.message_id.clone()).ok()
        });
        match message.filter(|message| !message.is_empty()) {
            Some(message) => Self::with(&message, source, &mut is_cancelled),
            None => Ok(story),
        }
    }

    fn with(
        id: &str,
        source: &Source,
        is_cancelled: impl FnMut(&Progress) -> bool,
    ) -> anyhow::Result<Option<Self>> {
        let filter = Filter {
            text: vec![id.to_owned()],
            zone: Some(source.zone.clone()),
            all: true,
            ..Filter::default()
        };
        let chain = source.chain.clone();
        let search = Search::new(chain, Horizon::FileEnd, filter, SearchStart::Newest);
        let Some(mut search) = search.with_context(|| source.cannot_read())? else {
            return Ok(None);
        };
        let page = search.page(&Budget::UNBOUNDED, is_cancelled);
        let mut rows = page.with_context(|| source.cannot_read())?.rows;
        // The text search also finds rows that only quote the id, as in a message.
        rows.retain(|row| {
            row.labels.message_id == id.as_bytes() || row.request_id() == Some(id.as_bytes())
        });
        rows.reverse();
        Ok((!rows.is_empty()).then_some(Self { rows }))
    }

    /// The most informative row: the newest with the message, otherwise the newest.
    pub(super) fn main(&self) -> Option<&Row> {
        let mut newest = self.rows.iter().rev();
        newest
            .find(|row| row.message().is_some() && row.request().is_some())
            .or_else(|| self.rows.iter().rev().find(|row| row.message().is_some()))
            .or(self.rows.last())
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn write(&self, source: &Source, out: &mut impl Write) -> io::Result<()> {
        let Some(main) = self.main() else {
            return Ok(());
        };
        let claimed = if main.labels.is_claimed {
            " (claimed, not verified)"
        } else {
            ""
        };
        let mut line = |name: &str, value: &str| writeln!(out, "{name:<13} {value}");
        let text = |bytes: &[u8]| one_line(bytes);
        line("MessageId", &(text(&main.labels.message_id) + claimed))?;
        let owner = main.record.attribute("TopicOwner").map(text);
        let owner = owner.map_or_else(String::new, |owner| format!(" (owner {owner})"));
        line("Topic", &(text(&main.labels.topic) + &owner))?;
        line("Subscription", &self.subscriptions().join(", "))?;
        line("Tag", &text(&main.labels.tag))?;
        if let Some(published) = self.published(main, &source.zone) {
            line("Published", &published)?;
        }
        for (number, row) in self.rows.iter().enumerate() {
            let name = if number == 0 { "Deliveries" } else { "" };
            line(name, &self.delivery(row, source)?)?;
        }
        for file in self.rows.iter().filter_map(quarantine_file) {
            let gone = if file.exists() { "" } else { " (deleted)" };
            line(
                "Quarantine",
                &format!("{}{gone}", one_line(file.as_os_str().as_encoded_bytes())),
            )?;
        }
        let is_accepted = main.status() == Some(StatusCode::CREATED);
        if let Some(missing) = missing(main).filter(|_| is_accepted) {
            line("Request", &missing)?;
        }
        if let Some(message) = main.message() {
            let pretty = Pretty::of(message);
            line(
                "Message",
                &format!("{}, {}", pretty.kind, counted(message.len(), "byte")),
            )?;
            for shown in pretty.lines {
                writeln!(out, "  {shown}")?;
            }
        }
        Ok(())
    }

    fn subscriptions(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for row in &self.rows {
            let name = one_line(&row.labels.subscription);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// When it was published, and how long before the first arrival. Times in text logs are whole
    /// seconds.
    fn published(&self, main: &Row, zone: &TimeZone) -> Option<String> {
        let published = main.record.attribute("PublishTime")?;
        let published: i64 = std::str::from_utf8(published).ok()?.parse().ok()?;
        let published = Timestamp::from_millisecond(published).ok()?;
        let local = zone
            .to_datetime(published)
            .strftime("%Y-%m-%d %H:%M:%S%.3f");
        let (arrived, _) = self.rows.first()?.time()?.moments(zone)?;
        let ago = Duration::try_from(arrived.duration_since(published)).ok();
        let ago = ago
            .filter(|ago| ago.as_secs() > 0)
            .map_or_else(String::new, |ago| {
                format!(", {} before the first arrival", Span(ago))
            });
        Some(format!("{local}{ago}"))
    }

    fn delivery(&self, row: &Row, source: &Source) -> io::Result<String> {
        let time = row.time().map(ToString::to_string).unwrap_or_default();
        let status = row.status().map(|status| status.as_u16().to_string());
        let status = status.unwrap_or_else(|| "---".to_owned());
        let reason = || one_line(row.reason().unwrap_or_default());
        let what = match row.outcome() {
            Outcome::Refused | Outcome::Deferred => reason(),
            Outcome::Remark => format!("accepted ({})", reason()),
            Outcome::Other => one_line(row.record.event.as_bytes()),
            outcome @ (Outcome::Accepted | Outcome::Duplicate | Outcome::Recovered) => {
                outcome.to_string()
            }
        };
        let subscription = if self.subscriptions().len() > 1 {
            format!("  {}", one_line(&row.labels.subscription))
        } else {
            String::new()
        };
        let place = match source.chain.file_name(&row.position)? {
            Some(file) => format!("  {file} at {}", row.position.offset()),
            None => String::new(),
        };
        Ok(format!("{time}  {status}  {what:<24}{subscription}{place}"))
    }
}
