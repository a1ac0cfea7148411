//! The time in a request id.

use std::time::{Duration, SystemTime};

/// The number of digits that contain the time.
const TIME_DIGITS: usize = 8;

/// When MNS made the request. `None` if its id does not begin with hex digits.
///
/// The first eight of the 24 digits of `x-mns-request-id` are seconds of Unix time. In the captures
/// of 2016 they equal Date. It is not documented whether a retry has a new Date or a new id; the
/// log has both, so that this can be observed.
#[must_use]
pub fn request_time(id: &[u8]) -> Option<SystemTime> {
    let digits = std::str::from_utf8(id.get(..TIME_DIGITS)?).ok()?;
    // `from_str_radix` would accept a sign.
    let digits =
        Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let seconds = u64::from_str_radix(digits, 16).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_captures() {
        // The request of the manual, with Date: Tue, 17 May 2016 09:10:56 GMT.
        let time = request_time(b"573AE020B2B71CFC6801A6EF").unwrap();
        assert_eq!(
            httpdate::fmt_http_date(time),
            "Tue, 17 May 2016 09:10:56 GMT"
        );
        for id in [
            &b""[..],
            b"573AE02",
            b"573AE02G0000",
            b"+73AE0200000",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(request_time(id), None);
        }
    }
}
