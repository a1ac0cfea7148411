//! The id of a notification at a destination: the same from every replica and on every retry, so
//! that a repeat can be dropped.
//!
//! `OWNER/TOPIC/SUBSCRIPTION/MESSAGEID`, each part percent-encoded. It contains nothing random and
//! no time, and no two notifications share one. A long id is cut, and ends in a digest of the
//! whole.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};

use crate::forward::Outgoing;

/// The longest id, in bytes.
pub(super) const ID_BYTES_MAX: usize = 255;
/// How many bytes of a longer id are kept. With a tilde and 32 digits of the digest it has 223.
const KEPT_BYTES: usize = 190;
/// What is encoded in a part of an id and in a token of a subject: all but letters, digits, hyphen
/// and underscore. A slash separates the parts and a tilde precedes a digest, so both are encoded.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The id of a notification at its destination. A resend that must not be dropped has `/rN` at the
/// end.
#[must_use]
pub fn identity(outgoing: &Outgoing) -> String {
    let parts = outgoing.notification.key.parts();
    let mut id = parts.map(|part| encoded(part, ENCODED)).join("/");
    // After four parts whose own slashes are encoded, so that no message id can look like a resend.
    if let Some(number) = outgoing.again {
        let _always_fits = write!(id, "/r{number}");
    }
    shortened(id, ID_BYTES_MAX, KEPT_BYTES)
}

/// Percent-encodes what is in a set. A value without any of it, as most are, is not copied.
pub(super) fn encoded<'v>(value: &'v [u8], set: &'static AsciiSet) -> Cow<'v, str> {
    percent_encode(value, set).into()
}

/// Returns a text of ASCII as it is. If it is longer than `max`, returns its first `kept` bytes, a
/// tilde and the digest of the whole.
pub(super) fn shortened(mut text: String, max: usize, kept: usize) -> String {
    if text.len() > max {
        let digest = digest(text.as_bytes());
        text.truncate(kept);
        let _always_fits = write!(text, "~{digest:032x}");
    }
    text
}

/// The first 128 bits of SHA-256, so that nobody can find two texts with one digest.
pub(super) fn digest(bytes: &[u8]) -> u128 {
    let whole: [u8; 32] = Sha256::digest(bytes).into();
    let (first, _rest) = whole.split_first_chunk().unwrap_or((&[0; 16], &[]));
    u128::from_be_bytes(*first)
}

/// A notification that the tests of this module share.
#[cfg(test)]
pub(super) mod samples {
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::forward::Outgoing;
    use crate::journal::{LoggedNotification, NotificationKey};

    pub(crate) fn outgoing(parts: [&[u8]; 4]) -> Outgoing {
        let notification = LoggedNotification {
            key: NotificationKey::of(parts),
            message: Bytes::from_static(b"I am test message 0."),
            message_md5: Bytes::from_static(b"075C3D4AEB2D2F2D6A4C17C9D6DBBEBB"),
            message_tag: Bytes::from_static(b"blue"),
            publish_time: Bytes::from_static(b"1463476256857"),
            subscriber: Bytes::from_static(b"1269128356620446"),
            request_id: Some(Bytes::from_static(b"573AE020B2B71CFC6801A6EF")),
            time: None,
        };
        Outgoing {
            notification: Arc::new(notification),
            received: Some("2016-05-17T09:10:56Z".parse().unwrap()),
            position: "1-2-3".parse().unwrap(),
            sequence: 42,
            again: None,
        }
    }

    /// The same with other values.
    pub(crate) fn changed(
        mut outgoing: Outgoing,
        change: impl FnOnce(&mut LoggedNotification),
    ) -> Outgoing {
        change(Arc::make_mut(&mut outgoing.notification));
        outgoing
    }

    pub(crate) fn usual() -> Outgoing {
        outgoing([
            b"1269128356620446",
            b"MyTopic1",
            b"MyTopic1-Sub1",
            b"F6EA56633844DBFC-1-154BDFB8059-200000004",
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::samples::{outgoing, usual};
    use super::*;

    #[track_caller]
    fn check(parts: [&[u8]; 4], again: Option<u64>, expected: &str) {
        let outgoing = Outgoing {
            again,
            ..outgoing(parts)
        };
        assert_eq!(identity(&outgoing), expected);
    }

    /// A changed id would let every message that was ever sent through once more.
    #[test]
    fn ids_are_what_they_have_always_been() {
        assert_eq!(
            identity(&usual()),
            "1269128356620446/MyTopic1/MyTopic1-Sub1/F6EA56633844DBFC-1-154BDFB8059-200000004"
        );
        check([b"1", b"T", b"S", b"M"], Some(2), "1/T/S/M/r2");
        check(
            [b"", b"a/b", b"a.b", b"~%_-"],
            None,
            "/a%2Fb/a%2Eb/%7E%25_-",
        );
        check(
            [b"\xff\n", "\u{1f600}".as_bytes(), b" ", b""],
            None,
            "%FF%0A/%F0%9F%98%80/%20/",
        );
        let long = [b'a'; 255];
        check(
            [b"1269128356620446", &long, &long, b"M"],
            None,
            &format!(
                "1269128356620446/{}~f2a6db1970865f038b2cb0b44b850cbe",
                "a".repeat(173)
            ),
        );
        // One byte less than what is shortened.
        check(
            [&long[..249], b"", b"", b"123"],
            None,
            &format!("{}///123", "a".repeat(249)),
        );
    }

    fn part() -> impl Strategy<Value = Vec<u8>> {
        // Few letters, so that a wrong join makes two ids alike.
        let letters = proptest::sample::select(b"ab/%~r1\xff".to_vec());
        let short = proptest::collection::vec(letters.clone(), 0..4);
        prop_oneof![4 => short, 1 => proptest::collection::vec(letters, 80..300)]
    }

    proptest! {
        #[test]
        fn two_notifications_never_have_one_id(
            first in ([part(), part(), part(), part()], proptest::option::of(0_u64..3)),
            second in ([part(), part(), part(), part()], proptest::option::of(0_u64..3)),
        ) {
            let id = |(parts, again): &([Vec<u8>; 4], Option<u64>)| {
                let [a, b, c, d] = parts;
                identity(&Outgoing { again: *again, ..outgoing([a, b, c, d]) })
            };
            prop_assert_eq!(id(&first) == id(&second), first == second);
            let id = id(&first);
            prop_assert!(id.len() <= ID_BYTES_MAX);
            let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_%/~".contains(&byte);
            prop_assert!(id.bytes().all(is_kept), "{}", id);
        }
    }
}
