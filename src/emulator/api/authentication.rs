//! Checks whether a request comes from the owner of the access key (`docs/emulator.md`).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, Request};

use crate::emulator::refusal::Refusal;
use crate::mns::{AccessKey, Authorization, ContentMd5, Scope, header, region_of};

/// How far a request's Date may differ from our clock.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Checks what the service checks of every request, in its order: version, digest, date, key,
/// signature. Without a `key` every request is allowed.
pub(super) fn authenticate(
    request: &Request<Bytes>,
    key: Option<&AccessKey>,
    now: SystemTime,
) -> Result<(), Refusal> {
    let text = |name: HeaderName| request.headers().get(name).map(http::HeaderValue::as_bytes);
    match text(header::VERSION) {
        None => return Err(Refusal::MissingVersionHeader),
        Some(b"2015-06-06") => {}
        Some(_) => return Err(Refusal::InvalidVersionHeader),
    }
    if let Some(digest) = text(header::CONTENT_MD5)
        && ContentMd5::parse(digest) != Some(ContentMd5::of(request.body()))
    {
        return Err(Refusal::InvalidDigest);
    }
    // Not earlier: `--no-auth` still checks the version and Content-MD5 (`docs/emulator.md`).
    let Some(key) = key else { return Ok(()) };
    let authorization = text(header::AUTHORIZATION).ok_or(Refusal::MissingAuthorizationHeader)?;
    let authorization =
        Authorization::parse(authorization).ok_or(Refusal::InvalidAuthorizationHeader)?;
    // Only a signed date limits how long a captured request can be sent again.
    let date = authorization
        .signed_date(request.headers())
        .ok_or(Refusal::MissingDateHeader)?;
    let date = date
        .to_str()
        .ok()
        .and_then(|date| httpdate::parse_http_date(date).ok());
    let date = date.ok_or(Refusal::InvalidDateHeader)?;
    let skew = now
        .duration_since(date)
        // A clock that is ahead is refused like one that is behind.
        .unwrap_or_else(|ahead| ahead.duration());
    if skew > SKEW_MAX {
        return Err(Refusal::TimeExpired);
    }
    if authorization.access_key_id != key.id {
        return Err(Refusal::InvalidAccessKeyId);
    }
    // The service signs for its own region. A Host without a region belongs to an emulator, which
    // accepts any region.
    let host = text(HOST)
        .and_then(|host| std::str::from_utf8(host).ok())
        .unwrap_or_default();
    let is_of_this_region =
        |scope: &Scope| region_of(host).is_none_or(|region| region == scope.region);
    let is_right_scope = authorization.scope.as_ref().is_none_or(is_of_this_region);
    if !is_right_scope || !key.authorized(request, &authorization) {
        return Err(Refusal::SignatureDoesNotMatch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mns::Notation;

    fn key(secret: &str) -> AccessKey {
        AccessKey {
            id: "emulator".to_owned(),
            secret: secret.to_owned(),
        }
    }

    // 2026-11-24: a signature of version 4 names the day.
    const NOW: u64 = 1_795_517_139;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .unwrap()
    }

    /// The result for a valid request that `change` modifies before it is signed.
    fn checked(change: impl FnOnce(&mut Request<Bytes>)) -> Result<(), Refusal> {
        let request = Request::put("/topics/T")
            .header("date", date(NOW))
            .header("x-mns-version", "2015-06-06")
            .body(Bytes::from_static(b"<Topic/>"));
        let mut request = request.unwrap();
        change(&mut request);
        let signed = key("emulator")
            .authorize(&request)
            .to_string()
            .parse()
            .unwrap();
        request
            .headers_mut()
            .entry("authorization")
            // Some tests set a wrong value, which must stay.
            .or_insert(signed);
        authenticate(&request, Some(&key("emulator")), at(NOW))
    }

    fn date(seconds: u64) -> String {
        httpdate::fmt_http_date(at(seconds))
    }

    fn set(name: &'static str, value: &str) -> impl FnOnce(&mut Request<Bytes>) {
        move |request| drop(request.headers_mut().insert(name, value.parse().unwrap()))
    }

    #[test]
    fn a_request_signed_by_the_owner_passes() {
        assert_eq!(checked(|_| {}), Ok(()));
        for notation in [Notation::Hex, Notation::Base64Hex, Notation::Base64] {
            assert_eq!(
                checked(set(
                    "content-md5",
                    &ContentMd5::of(b"<Topic/>").written(notation)
                )),
                Ok(())
            );
        }
        assert_eq!(checked(set("date", &date(NOW - 900))), Ok(()));
        assert_eq!(checked(set("date", &date(NOW + 900))), Ok(()));
    }

    #[test]
    fn each_check_has_its_code() {
        let without = |name: &'static str| {
            move |request: &mut Request<Bytes>| drop(request.headers_mut().remove(name))
        };
        assert_eq!(
            checked(without("x-mns-version")),
            Err(Refusal::MissingVersionHeader)
        );
        assert_eq!(
            checked(set("x-mns-version", "2014-07-08")),
            Err(Refusal::InvalidVersionHeader)
        );
        assert_eq!(
            checked(set("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")),
            Err(Refusal::InvalidDigest)
        );
        assert_eq!(
            checked(set("content-md5", "x")),
            Err(Refusal::InvalidDigest)
        );
        assert_eq!(
            checked(set("authorization", "Basic YTpi")),
            Err(Refusal::InvalidAuthorizationHeader)
        );
        assert_eq!(checked(without("date")), Err(Refusal::MissingDateHeader));
        assert_eq!(
            checked(set("date", "yesterday")),
            Err(Refusal::InvalidDateHeader)
        );
        assert_eq!(
            checked(set("date", &date(NOW - 901))),
            Err(Refusal::TimeExpired)
        );
        assert_eq!(
            checked(set("date", &date(NOW + 901))),
            Err(Refusal::TimeExpired)
        );
        assert_eq!(
            checked(set("authorization", "MNS other:YTpi")),
            Err(Refusal::InvalidAccessKeyId)
        );
        assert_eq!(
            checked(set("authorization", "MNS emulator:YTpi")),
            Err(Refusal::SignatureDoesNotMatch)
        );
        let foreign = |request: &mut Request<Bytes>| {
            let signed = key("other").authorize(request).to_string().parse().unwrap();
            request.headers_mut().insert("authorization", signed);
        };
        assert_eq!(checked(foreign), Err(Refusal::SignatureDoesNotMatch));
    }

    #[test]
    fn the_age_of_a_request_is_that_of_its_signed_date() {
        let both = |signed: u64, other: u64| {
            move |request: &mut Request<Bytes>| {
                set("x-mns-date", &date(signed))(request);
                set("date", &date(other))(request);
            }
        };
        assert_eq!(checked(both(NOW, NOW - 901)), Ok(()));
        assert_eq!(checked(both(NOW - 901, NOW)), Err(Refusal::TimeExpired));
        // Version 4 signs the time in Date, and x-mns-date as one of the headers.
        let ours_v4 = |date_at: u64, mns_date_at: u64| {
            checked(|request| {
                set("host", OURS)(request);
                both(mns_date_at, date_at)(request);
                let signed = key("emulator").authorize_v4(request, "cn-hangzhou", at(date_at));
                set("authorization", &signed.to_string())(request);
            })
        };
        assert_eq!(ours_v4(NOW, NOW - 901), Ok(()));
        assert_eq!(ours_v4(NOW - 901, NOW), Err(Refusal::TimeExpired));
    }

    /// The result for a valid request that `change` modifies, signed with version 4 for `region` at
    /// `signed_at` and sent to `host`.
    fn checked_v4(
        host: &'static str,
        region: &str,
        signed_at: u64,
        change: impl FnOnce(&mut Request<Bytes>),
    ) -> Result<(), Refusal> {
        checked(|request| {
            set("host", host)(request);
            let signed = key("emulator")
                .authorize_v4(request, region, at(signed_at))
                .to_string();
            set("authorization", &signed)(request);
            change(request);
        })
    }

    const OURS: &str = "1.mns.cn-hangzhou.aliyuncs.com:80";
    const WRONG: Result<(), Refusal> = Err(Refusal::SignatureDoesNotMatch);

    /// Like [`checked_v4`], but signed now for the region of [`OURS`] and sent there.
    fn checked_ours(change: impl FnOnce(&mut Request<Bytes>)) -> Result<(), Refusal> {
        checked_v4(OURS, "cn-hangzhou", NOW, change)
    }

    /// Replaces a part of the value of Authorization after it was signed.
    fn authorization(from: &'static str, to: &str) -> impl FnOnce(&mut Request<Bytes>) {
        move |request| {
            let value = request.headers()["authorization"].to_str().unwrap();
            assert!(value.contains(from), "{value}");
            let value = value.replace(from, to);
            set("authorization", &value)(request);
        }
    }

    #[test]
    fn version_4_passes_in_its_region_on_its_day_and_nowhere_else() {
        assert_eq!(
            checked_v4("127.0.0.1:9000", "anywhere", NOW, |_| {}),
            Ok(())
        );
        assert_eq!(checked_ours(|_| {}), Ok(()));
        assert_eq!(checked_v4(OURS, "cn-shanghai", NOW, |_| {}), WRONG);
        // Another second, another day, another Date than the signed one.
        assert_eq!(checked_v4(OURS, "cn-hangzhou", NOW + 1, |_| {}), WRONG);
        assert_eq!(checked_v4(OURS, "cn-hangzhou", NOW - 86_400, |_| {}), WRONG);
        assert_eq!(checked_ours(set("date", &date(NOW + 1))), WRONG);
        let day_before = authorization("/20261124/", "/20261123/");
        assert_eq!(checked_ours(day_before), WRONG);
    }

    #[test]
    fn version_4_covers_the_path_and_the_headers_of_mns() {
        assert_eq!(checked_ours(set("content-type", "text/xml")), WRONG);
        assert_eq!(checked_ours(set("x-mns-new", "1")), WRONG);
        assert_eq!(checked_ours(set("user-agent", "a")), Ok(()));
        let sent_to = |path: &'static str| {
            move |request: &mut Request<Bytes>| *request.uri_mut() = path.parse().unwrap()
        };
        assert_eq!(checked_ours(sent_to("/topics/U")), WRONG);
        // `%54` is `T`, and version 4 signs the decoded path.
        assert_eq!(checked_ours(sent_to("/topics/%54")), Ok(()));
    }

    #[test]
    fn the_other_checks_come_before_version_4_with_their_codes() {
        assert_eq!(
            checked_ours(set("date", &date(NOW - 901))),
            Err(Refusal::TimeExpired)
        );
        assert_eq!(
            checked_ours(|request| drop(request.headers_mut().remove("date"))),
            Err(Refusal::MissingDateHeader)
        );
        assert_eq!(
            checked_ours(authorization("=emulator/", "=other/")),
            Err(Refusal::InvalidAccessKeyId)
        );
        assert_eq!(
            checked_ours(authorization("/mns/", "/oss/")),
            Err(Refusal::InvalidAuthorizationHeader)
        );
    }

    #[test]
    fn without_a_key_every_request_is_allowed() {
        let request = Request::get("/topics")
            .header("x-mns-version", "2015-06-06")
            .body(Bytes::new())
            .unwrap();
        assert_eq!(authenticate(&request, None, at(NOW)), Ok(()));
        assert_eq!(
            authenticate(&request, Some(&key("emulator")), at(NOW)),
            Err(Refusal::MissingAuthorizationHeader)
        );
    }
}
