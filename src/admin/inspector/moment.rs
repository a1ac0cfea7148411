//! Converts times between the forms that people write and those of the clock.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Parses `18:40`, `18:40:36`, a date, both joined by T, or RFC 3339. A time without a date is its
/// most recent occurrence.
pub(super) fn moment(text: &str, now: SystemTime, zone: &TimeZone) -> Option<Timestamp> {
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

/// Converts a timestamp. One before 1970 becomes the start of 1970.
pub(super) fn system_time(moment: Timestamp) -> SystemTime {
    let since = Duration::try_from(moment.as_duration()).unwrap_or_default();
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
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
}
