//! The stamp of a record: its time and thread, as each log writes them.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// The time and the thread of a record.
#[derive(Debug)]
pub struct Stamp {
    // A clone of the `Arc` would change a reference count that all threads share. A guard does not.
    second: Guard<Arc<Second>>,
    milliseconds: i32,
    thread: Arc<str>,
}

/// Makes stamps with the local time of one zone. Caches the texts of the last second.
#[derive(Debug)]
pub struct Stamps {
    zone: TimeZone,
    last: ArcSwap<Second>,
}

/// A second of local time.
#[derive(Debug)]
struct Second {
    since_1970: i64,
    local: DateTime,
    utc_offset: Offset,
    access: String,
    endpoint: String,
    /// `2016-05-17T17:10:56`, the first half of RFC 3339.
    date_time: String,
    /// `+08:00`, the second half.
    offset: String,
}

impl Stamps {
    /// Stamps with the local time of `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        let last = ArcSwap::from_pointee(Second::format(Timestamp::UNIX_EPOCH, &zone));
        Self { zone, last }
    }

    /// The stamp of a record that the calling thread makes at `time`.
    ///
    /// Takes no lock. Two threads that reach a new second may both format it. The texts are equal,
    /// so either may be cached.
    #[must_use]
    pub fn at(&self, time: SystemTime) -> Stamp {
        // If the time is outside of the years that `jiff` supports, the clock is wrong anyway, and
        // a record must still be written.
        let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut second = self.last.load();
        if second.since_1970 != timestamp.as_second() {
            let new = Arc::new(Second::format(timestamp, &self.zone));
            self.last.store(new.clone());
            second = Guard::from_inner(new);
        }
        Stamp {
            second,
            milliseconds: timestamp.subsec_millisecond(),
            thread: thread_id(),
        }
    }
}

impl Stamp {
    /// `17/May/2016 17:10:56`
    pub(super) fn access(&self) -> &str {
        &self.second.access
    }

    /// `2016-05-17 17:10:56`
    pub(super) fn endpoint(&self) -> &str {
        &self.second.endpoint
    }

    /// `2016-05-17T17:10:56.857+08:00`
    pub(super) fn rfc3339(&self) -> String {
        let Second {
            date_time, offset, ..
        } = &**self.second;
        format!("{date_time}.{:03}{offset}", self.milliseconds)
    }

    /// The local time, in whole seconds.
    pub(in crate::journal) fn local(&self) -> DateTime {
        let local = self.second.local;
        local.with().subsec_nanosecond(0).build().unwrap_or(local)
    }

    /// The milliseconds of the second.
    pub(in crate::journal) fn milliseconds(&self) -> i32 {
        self.milliseconds
    }

    /// The offset of the local time.
    pub(in crate::journal) fn utc_offset(&self) -> Offset {
        self.second.utc_offset
    }

    /// The thread's id.
    pub(super) fn thread(&self) -> &str {
        &self.thread
    }
}

impl Second {
    fn format(timestamp: Timestamp, zone: &TimeZone) -> Self {
        let local = timestamp.to_zoned_datetime(zone.clone());
        Self {
            since_1970: timestamp.as_second(),
            local: local.datetime(),
            utc_offset: local.offset(),
            access: local.strftime("%d/%b/%Y %H:%M:%S").to_string(),
            endpoint: local.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            date_time: local.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            offset: local.strftime("%:z").to_string(),
        }
    }
}

/// The id of the calling thread. It never changes, so it is cached: asking for it with each record
/// would cost a system call.
fn thread_id() -> Arc<str> {
    thread_local! {
        static ID: Arc<str> = rustix::thread::gettid().as_raw_nonzero().to_string().into();
    }
    ID.with(Arc::clone)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1_463_476_256);

    fn shanghai() -> Stamps {
        Stamps::new(TimeZone::get("Asia/Shanghai").unwrap())
    }

    #[test]
    fn local_time_is_that_of_the_zone() {
        let time = SystemTime::UNIX_EPOCH + SECOND + Duration::from_millis(857);
        let stamp = shanghai().at(time);
        assert_eq!(stamp.access(), "17/May/2016 17:10:56");
        assert_eq!(stamp.endpoint(), "2016-05-17 17:10:56");
        assert_eq!(stamp.rfc3339(), "2016-05-17T17:10:56.857+08:00");
    }

    #[test]
    fn the_next_second_is_another_stamp() {
        let time = SystemTime::UNIX_EPOCH + SECOND;
        let stamps = Stamps::new(TimeZone::UTC);
        assert_eq!(stamps.at(time).endpoint(), "2016-05-17 09:10:56");
        assert_eq!(
            stamps.at(time + Duration::from_millis(999)).endpoint(),
            "2016-05-17 09:10:56"
        );
        assert_eq!(
            stamps.at(time + Duration::from_secs(1)).endpoint(),
            "2016-05-17 09:10:57"
        );
    }

    #[test]
    fn two_zones_on_one_thread_each_have_their_own_time() {
        let time = SystemTime::UNIX_EPOCH + SECOND;
        let (utc, shanghai) = (Stamps::new(TimeZone::UTC), shanghai());
        for _ in 0..2 {
            assert_eq!(utc.at(time).endpoint(), "2016-05-17 09:10:56");
            assert_eq!(shanghai.at(time).endpoint(), "2016-05-17 17:10:56");
        }
    }

    #[test]
    fn two_threads_with_one_writer_each_have_their_own_id() {
        let (time, stamps) = (SystemTime::UNIX_EPOCH + SECOND, shanghai());
        let here = stamps.at(time).thread().to_owned();
        let there = std::thread::scope(|scope| {
            let there = scope.spawn(|| stamps.at(time).thread().to_owned());
            there.join().unwrap()
        });
        assert_ne!(here, there);
    }
}
