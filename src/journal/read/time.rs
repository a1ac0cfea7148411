//! The time of a record: whole seconds of local time in text, with an offset in JSON.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};

use crate::journal::record::{Format, Stamp};

/// When a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTime {
    local: DateTime,
    /// `None` in text logs, where the reader has to know the zone.
    offset: Option<Offset>,
}

impl RecordTime {
    /// The time that a reader finds in a record with this stamp.
    #[must_use]
    pub fn of(stamp: &Stamp, format: Format) -> Self {
        let local = stamp.local();
        match format {
            Format::Text => Self {
                local,
                offset: None,
            },
            Format::Json => Self {
                local: local
                    .with()
                    .subsec_nanosecond(stamp.milliseconds().saturating_mul(1_000_000))
                    .build()
                    .unwrap_or(local),
                offset: Some(stamp.utc_offset()),
            },
        }
    }

    /// Parses the time of a text record: `2026-11-24 18:40:36`.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        Some(Self {
            local,
            offset: None,
        })
    }

    /// Parses the time of a JSON record: `2026-11-24T18:40:36+08:00`.
    pub(super) fn of_json(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok()?;
        Some(Self {
            local: pieces.date().to_datetime(pieces.time()?),
            offset: Some(pieces.to_numeric_offset()?),
        })
    }

    /// The first and the last instant that this time may mean. They differ only if the time has no
    /// offset and, because the clocks of the zone change, occurs twice or never.
    #[must_use]
    pub fn moments(&self, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if let Some(offset) = self.offset {
            let moment = offset.to_timestamp(self.local).ok()?;
            return Some((moment, moment));
        }
        let moment = zone.to_ambiguous_timestamp(self.local);
        let (one, other) = (moment.earlier().ok()?, moment.later().ok()?);
        Some((one.min(other), one.max(other)))
    }

    /// The local time of the record, whatever the zone of the reader.
    #[must_use]
    pub fn local(&self) -> DateTime {
        self.local
    }

    /// Formats the time with the offset of the record or, if the record has no offset, with that of
    /// `zone`.
    #[must_use]
    pub fn rfc3339(&self, zone: &TimeZone) -> String {
        let offset = self.offset.or_else(|| {
            let (moment, _) = self.moments(zone)?;
            Some(zone.to_offset(moment))
        });
        let seconds = offset.unwrap_or(Offset::UTC).seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.unsigned_abs() / 60;
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let milliseconds = match self.local.subsec_nanosecond() / 1_000_000 {
            0 => String::new(),
            milliseconds => format!(".{milliseconds:03}"),
        };
        let local = self.local.strftime("%Y-%m-%dT%H:%M:%S");
        format!("{local}{milliseconds}{sign}{hours:02}:{minutes:02}")
    }
}

/// `2026-11-24 18:40:36`
impl fmt::Display for RecordTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.local.strftime("%Y-%m-%d %H:%M:%S"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_moment_and_an_hour_that_comes_twice_is_two() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let text = RecordTime::of_text("2026-11-24 11:40:36").unwrap();
        let json = RecordTime::of_json("2026-11-24T18:40:36+08:00").unwrap();
        assert_eq!(text.moments(&zone), json.moments(&TimeZone::UTC));
        assert_eq!(text.rfc3339(&zone), "2026-11-24T11:40:36+01:00");
        assert_eq!(json.rfc3339(&zone), "2026-11-24T18:40:36+08:00");
        assert_eq!(json.to_string(), "2026-11-24 18:40:36");
        let fine = RecordTime::of_json("2026-11-24T18:40:36.512-03:30").unwrap();
        assert_eq!(fine.rfc3339(&zone), "2026-11-24T18:40:36.512-03:30");
        // When summer time ends, 02:30 occurs twice. When it begins, 02:30 does not occur.
        for twice in ["2026-10-25 02:30:00", "2026-03-29 02:30:00"] {
            let (first, last) = RecordTime::of_text(twice).unwrap().moments(&zone).unwrap();
            assert_eq!(last.as_second() - first.as_second(), 3600, "{twice}");
        }
        assert_eq!(RecordTime::of_text("2026-11-24 10:00:99"), None);
        assert_eq!(RecordTime::of_json("2026-11-24 10:00:00"), None);
    }
}
