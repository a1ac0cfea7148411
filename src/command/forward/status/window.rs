//! How long the oldest notification can still be sent again without being stored twice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What is left of the stream's duplicate window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WindowLeft {
    /// The duplicate window.
    pub(super) window: Duration,
    /// For how many seconds the stream still drops a repeat of the oldest notification. Negative if
    /// it does not any more.
    pub(super) seconds: i64,
    /// When that ends or has ended. `None` if nothing waits.
    pub(super) end: Option<Timestamp>,
}

impl WindowLeft {
    /// `oldest` is when the oldest notification that is not acknowledged was received. The stream
    /// got it later, if at all, so at least this much is left.
    pub(super) fn of(window: Duration, oldest: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let whole = SignedDuration::try_from(window).ok()?;
        let end = match oldest {
            Some(oldest) => Some(oldest.checked_add(whole).ok()?),
            None => None,
        };
        // More than all of it after the clock was set back.
        let left = end.map_or(whole, |end| end.duration_since(now).min(whole));
        // Rounded down, so that a window that has just ended is not one with 0 s left.
        let seconds = left.as_millis().div_euclid(1000);
        Some(Self {
            window,
            seconds: i64::try_from(seconds).ok()?,
            end,
        })
    }

    /// `8m 30s of 10m`
    pub(super) fn text(&self) -> String {
        let window = humantime::format_duration(self.window);
        match (u64::try_from(self.seconds), self.end) {
            (Ok(seconds), _) => {
                let left = humantime::format_duration(Duration::from_secs(seconds));
                format!("{left} of {window}")
            }
            (Err(_negative), end) => {
                // To the second, as the other times.
                let end = end.and_then(|end| Timestamp::from_second(end.as_second()).ok());
                let since = end.map_or_else(String::new, |end| format!(" since {end}"));
                format!(
                    "none: beyond the stream's duplicate window of {window}{since}: repeats may \
                     be stored twice"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn left(oldest: Option<&str>, now: &str) -> (i64, String) {
        let oldest = oldest.map(|time| time.parse().unwrap());
        let left = WindowLeft::of(WINDOW, oldest, now.parse().unwrap()).unwrap();
        (left.seconds, left.text())
    }

    #[test]
    fn what_is_left_counts_from_the_oldest_notification_and_becomes_negative() {
        let oldest = Some("2026-11-24T10:00:00Z");
        let beyond = "none: beyond the stream's duplicate window of 10m since \
            2026-11-24T10:10:00Z: repeats may be stored twice";
        for (now, seconds, text) in [
            ("2026-11-24T10:00:00Z", 600, "10m of 10m"),
            ("2026-11-24T10:01:30Z", 510, "8m 30s of 10m"),
            ("2026-11-24T10:10:00Z", 0, "0s of 10m"),
            ("2026-11-24T10:10:00.001Z", -1, beyond),
            ("2026-11-24T12:00:00Z", -6600, beyond),
            // The clock was set back.
            ("2026-11-24T09:00:00Z", 600, "10m of 10m"),
        ] {
            assert_eq!(left(oldest, now), (seconds, text.to_owned()), "{now}");
        }
        let nothing_waits = left(None, "2026-11-24T12:00:00Z");
        assert_eq!(nothing_waits, (600, "10m of 10m".to_owned()));
    }

    #[test]
    fn a_window_without_an_end_in_the_calendar_is_not_shown() {
        let oldest = Some(Timestamp::MAX);
        assert_eq!(WindowLeft::of(WINDOW, oldest, Timestamp::MIN), None);
        assert_eq!(WindowLeft::of(Duration::MAX, None, Timestamp::MIN), None);
    }
}
