//! When and where a record was made, as each log writes it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Time and thread of a record, formatted once a second for each thread.
#[derive(Debug)]
pub struct Stamp {
    second: i64,
    /// `17/May/2016 17:10:56`
    pub(super) access: String,
    /// `2016-05-17 17:10:56`
    pub(super) endpoint: String,
    /// `2016-05-17T17:10:56+08:00`
    pub(super) rfc3339: String,
    pub(super) thread: String,
}

impl Stamp {
    /// Now is `time`, local time is that of `zone`.
    ///
    /// One thread must use one zone: the last second's text is kept for the next record.
    #[must_use]
    pub fn new(time: SystemTime, zone: &TimeZone) -> Arc<Self> {
        thread_local! {
            static LAST: RefCell<Option<Arc<Stamp>>> = const { RefCell::new(None) };
        }
        let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        LAST.with_borrow_mut(|last| match last {
            Some(stamp) if stamp.second == timestamp.as_second() => stamp.clone(),
            Some(_) | None => last.insert(Arc::new(Self::format(timestamp, zone))).clone(),
        })
    }

    fn format(timestamp: Timestamp, zone: &TimeZone) -> Self {
        let local = timestamp.to_zoned_datetime(zone.clone());
        Self {
            second: timestamp.as_second(),
            access: local.strftime("%d/%b/%Y %H:%M:%S").to_string(),
            endpoint: local.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            rfc3339: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            thread: rustix::thread::gettid().as_raw_nonzero().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn local_time_is_that_of_the_zone() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_463_476_256_857);
        let stamp = Stamp::format(
            Timestamp::try_from(time).unwrap(),
            &TimeZone::get("Asia/Shanghai").unwrap(),
        );
        assert_eq!(stamp.access, "17/May/2016 17:10:56");
        assert_eq!(stamp.endpoint, "2016-05-17 17:10:56");
        assert_eq!(stamp.rfc3339, "2016-05-17T17:10:56+08:00");
    }

    #[test]
    fn the_next_second_is_another_stamp() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_463_476_256);
        let zone = TimeZone::UTC;
        assert_eq!(Stamp::new(time, &zone).endpoint, "2016-05-17 09:10:56");
        assert_eq!(
            Stamp::new(time + Duration::from_millis(999), &zone).endpoint,
            "2016-05-17 09:10:56"
        );
        assert_eq!(
            Stamp::new(time + Duration::from_secs(1), &zone).endpoint,
            "2016-05-17 09:10:57"
        );
    }
}
