//! The body of a push: its format, one of three, and the notification in it.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Request};

use crate::mns::content_format::ContentFormat;
use crate::mns::content_md5::ContentMd5;
use crate::mns::envelope::Envelope;
use crate::mns::header;
use crate::mns::json;
use crate::mns::notification::{InvalidNotification, Notification};
use crate::mns::surrogates;
use crate::mns::xml;

/// The content types of a body that MNS wrote. Real XML pushes have the first; that of JSON pushes
/// is unknown.
const ENVELOPE_TYPES: [&str; 4] = [
    "text/xml",
    "application/xml",
    "application/json",
    "text/json",
];

impl<'a> Notification<'a> {
    /// Reads a push in any of the formats.
    ///
    /// Without `x-mns-message-id` the body is XML (`<`) or JSON (`{`). With it, the body is an
    /// envelope only if three conditions are met: it decodes as one with the `MessageId` of the
    /// header, no other header contradicts it, and the signed headers either show that MNS wrote it
    /// or repeat what it says of its origin. Any other body is SIMPLIFIED.
    ///
    /// # Errors
    /// An [`InvalidNotification`]; never for SIMPLIFIED.
    pub fn decode(request: &'a Request<Bytes>) -> Result<Self, InvalidNotification> {
        let body = request.body();
        match request.headers().get(header::MESSAGE_ID) {
            // Only pushes with the format SIMPLIFIED need this header, so the body must be an
            // envelope.
            None => Self::decode_envelope(body),
            Some(_) => match Self::decode_envelope(body) {
                Ok(envelope) if envelope.is_confirmed_by(request.headers()) => Ok(envelope),
                // An error refuses nothing: a SIMPLIFIED message may look like broken XML or JSON.
                Ok(_) | Err(_) => Ok(Self::simplified(request.headers(), body)),
            },
        }
    }

    /// Whether the headers confirm the envelope. MNS signs them, and no publisher writes them.
    ///
    /// The body of a SIMPLIFIED push is the publisher's own text. The message id does not prove
    /// that MNS wrote an envelope: ids before 2019 contain a time and a counter, so a publisher can
    /// guess one. The proof is either `Content-Type`, which follows from the format of the
    /// subscription, or a header for each attribute.
    fn is_confirmed_by(&self, headers: &HeaderMap) -> bool {
        let origin = [
            (header::MESSAGE_ID, &self.message_id),
            (header::TOPIC_OWNER, &self.topic_owner),
            (header::TOPIC_NAME, &self.topic_name),
            (header::SUBSCRIBER, &self.subscriber),
            (header::SUBSCRIPTION_NAME, &self.subscription_name),
        ];
        let may_be_absent = is_type_of_envelope(headers);
        origin.into_iter().all(|(name, value)| {
            headers
                .get(name)
                .map_or(may_be_absent, |header| header.as_bytes() == value.as_ref())
        })
    }

    /// Reads what is readable of an envelope that [`decode`](Self::decode) rejects. The message is
    /// the whole body, as it was signed.
    ///
    /// The other attributes are read around the message. If one of them is duplicated or
    /// unreadable, all are left empty: a reader that guesses could be made to guess an owner.
    #[must_use]
    pub fn decode_as_raw(body: &[u8]) -> Notification<'static> {
        let text = String::from_utf8_lossy(without_byte_order_mark(body));
        let around = match EnvelopeKind::of(text.as_bytes()) {
            Some(EnvelopeKind::Xml) => xml::decode_around_message(&text)
                .map(|read| read.into_partial(ContentFormat::Xml).into_owned()),
            Some(EnvelopeKind::Json) => json::decode_around_message(&text),
            None => Err(InvalidNotification::NotRecognised),
        };
        // Invalid UTF-8 was replaced above, so a value with a replacement is not the one that was
        // sent.
        let is_replaced = |value: &[u8]| {
            value
                .utf8_chunks()
                .any(|chunk| chunk.valid().contains(char::REPLACEMENT_CHARACTER))
        };
        let around = around.ok().filter(|around| {
            !around
                .attributes()
                .iter()
                .any(|(_, value)| is_replaced(value))
        });
        let none = || Envelope::default().into_partial(ContentFormat::Simplified);
        Notification {
            message: Cow::Owned(body.to_vec()),
            ..around.unwrap_or_else(none)
        }
    }

    fn decode_envelope(body: &'a [u8]) -> Result<Self, InvalidNotification> {
        let body = without_byte_order_mark(body);
        let kind = EnvelopeKind::of(body).ok_or(InvalidNotification::NotRecognised)?;
        match std::str::from_utf8(body) {
            Ok(text) => kind.decode(text),
            Err(_) => {
                // CESU-8 encodes a character beyond U+FFFF as two halves of 3 bytes each.
                let text = surrogates::from_cesu_8(body).ok_or(InvalidNotification::NotUtf8)?;
                kind.decode(&text).map(Notification::into_owned)
            }
        }
    }

    fn simplified(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        let value = |name: HeaderName| {
            Cow::Borrowed(headers.get(name).map_or(&b""[..], |value| value.as_bytes()))
        };
        Self {
            format: ContentFormat::Simplified,
            // Computed, because no header states it (protocol.md 1.2).
            message_md5: Cow::Owned(ContentMd5::of(body).upper_hex().into_bytes()),
            topic_owner: value(header::TOPIC_OWNER),
            publish_time: value(header::PUBLISH_TIME),
            subscriber: value(header::SUBSCRIBER),
            message_tag: value(header::MESSAGE_TAG),
            subscription_name: value(header::SUBSCRIPTION_NAME),
            message_id: value(header::MESSAGE_ID),
            message: Cow::Borrowed(body),
            topic_name: value(header::TOPIC_NAME),
        }
    }

    /// Encodes the notification in its format, laid out as MNS does.
    ///
    /// In XML and JSON every value must be UTF-8; other bytes are replaced. A SIMPLIFIED body is
    /// the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.format {
            ContentFormat::Xml => xml::encode(self).into_bytes(),
            ContentFormat::Json => json::encode(self).into_bytes(),
            ContentFormat::Simplified => self.message.to_vec(),
        }
    }
}

/// Whether `Content-Type` names XML or JSON. That of a SIMPLIFIED push is `text/plain` (2023,
/// 2024).
fn is_type_of_envelope(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    ENVELOPE_TYPES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(essence))
}

/// The kind of an envelope, by its first character.
#[derive(Clone, Copy)]
enum EnvelopeKind {
    Xml,
    Json,
}

impl EnvelopeKind {
    fn of(body: &[u8]) -> Option<Self> {
        // JSON allows blanks in front (RFC 8259, 2), and so does XML without a declaration.
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'<') => Some(Self::Xml),
            Some(b'{') => Some(Self::Json),
            Some(_) | None => None,
        }
    }

    fn decode(self, text: &str) -> Result<Notification<'_>, InvalidNotification> {
        match self {
            Self::Xml => xml::decode(text),
            Self::Json => json::decode(text),
        }
    }
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mns::notification::samples::notification;

    fn request(body: Vec<u8>, id: Option<&str>) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from(body));
        if let Some(id) = id {
            request
                .headers_mut()
                .insert(header::MESSAGE_ID, id.parse().unwrap());
        }
        request
    }

    const ID: &str = "F6EA56633844DBFC-1-154BDFB8059-200000004";
    /// The headers that state the origin of a notification, with the values of [`notification`].
    const ORIGIN: [(&str, &str); 4] = [
        ("x-mns-topic-owner", "1269128356620446"),
        ("x-mns-topic-name", "MyTopic1"),
        ("x-mns-subscriber", "1269128356620446"),
        ("x-mns-subscription-name", "MyTopic1-Sub1"),
    ];

    fn with(mut request: Request<Bytes>, headers: &[(&'static str, &str)]) -> Request<Bytes> {
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_simplified_body_never_defines_its_origin_whatever_id_its_publisher_guessed() {
        for format in [ContentFormat::Xml, ContentFormat::Json] {
            let body = notification(format, "hello", "").encode();
            // All headers but one: the publisher could choose what the missing one states.
            for left_out in 0..ORIGIN.len() {
                let mut some = ORIGIN.to_vec();
                some.remove(left_out);
                for content_type in [
                    None,
                    Some("text/plain;charset=utf-8"),
                    Some("application/octet-stream"),
                    Some(""),
                ] {
                    let mut guessed = with(request(body.clone(), Some(ID)), &some);
                    if let Some(content_type) = content_type {
                        guessed = with(guessed, &[("content-type", content_type)]);
                    }
                    let decoded = Notification::decode(&guessed).unwrap();
                    assert_eq!(
                        decoded.format,
                        ContentFormat::Simplified,
                        "{content_type:?} {some:?}"
                    );
                    assert_eq!(decoded.message.as_ref(), body);
                }
            }
            let alone = request(body.clone(), Some(ID));
            let decoded = Notification::decode(&alone).unwrap();
            assert_eq!(
                (decoded.topic_owner.as_ref(), decoded.topic_name.as_ref()),
                (&b""[..], &b""[..])
            );
        }
    }

    #[test]
    fn an_envelope_with_a_message_id_header_is_one_if_mns_wrote_it_or_the_headers_say_the_same() {
        for (format, kind) in [
            (ContentFormat::Xml, "text/xml;charset=utf-8"),
            (ContentFormat::Xml, "Application/XML"),
            (ContentFormat::Json, "application/json ; charset=utf-8"),
            (ContentFormat::Json, "text/json"),
        ] {
            let inner = notification(format, "hello", "");
            let typed = with(request(inner.encode(), Some(ID)), &[("content-type", kind)]);
            assert_eq!(Notification::decode(&typed).as_ref(), Ok(&inner), "{kind}");
            let named = with(request(inner.encode(), Some(ID)), &ORIGIN);
            assert_eq!(Notification::decode(&named).as_ref(), Ok(&inner));
            // Another id, or another value in any header, makes it a message.
            let foreign = with(
                request(inner.encode(), Some("0000")),
                &[("content-type", kind)],
            );
            let decoded = Notification::decode(&foreign).unwrap();
            assert_eq!(
                (decoded.format, decoded.message.as_ref()),
                (ContentFormat::Simplified, &inner.encode()[..])
            );
            for (name, _) in ORIGIN {
                for base in [&typed, &named] {
                    let contradicted = with(base.clone(), &[(name, "666")]);
                    assert_eq!(
                        Notification::decode(&contradicted).unwrap().format,
                        ContentFormat::Simplified,
                        "{name}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_unknown_body_is_rejected_without_the_header_and_a_message_with_it() {
        for body in ["", " ", "hello", "[]", "\u{feff}"] {
            let body = body.as_bytes().to_vec();
            assert_eq!(
                Notification::decode(&request(body.clone(), None)),
                Err(InvalidNotification::NotRecognised)
            );
            let with_id = request(body.clone(), Some("1"));
            assert_eq!(
                Notification::decode(&with_id).unwrap().message.as_ref(),
                body
            );
        }
    }

    #[test]
    fn attributes_around_a_message_are_read_unambiguously_or_not_at_all() {
        let xml = String::from_utf8(notification(ContentFormat::Xml, "&#;", "t").encode()).unwrap();
        let json = String::from_utf8(notification(ContentFormat::Json, "m", "t").encode()).unwrap();
        let replaced = |text: &str, from: &str, to: &[u8]| {
            let (before, after) = text.split_once(from).unwrap();
            [before.as_bytes(), to, after.as_bytes()].concat()
        };
        let rest = "1269128356620446 1463476256857 1269128356620446 t MyTopic1-Sub1 \
            F6EA56633844DBFC-1-154BDFB8059-200000004";
        for body in [
            replaced(&xml, "&amp;#;", b"&#xd83d;"),
            replaced(&xml, "&amp;#;", b"<b>&none;</b>\xff"),
            replaced(&json, "\"m\"", b"{\"a\":[null,\"\\ud83d\"]}"),
            replaced(&json, "\"m\"", b"\"\xed\xa0\xbd\t\""),
        ] {
            let read = Notification::decode_as_raw(&body);
            assert_eq!(read.message, body);
            assert_eq!(
                read.topic_name.as_ref(),
                b"MyTopic1",
                "{}",
                body.escape_ascii()
            );
            let values = [
                &read.topic_owner,
                &read.publish_time,
                &read.subscriber,
                &read.message_tag,
            ];
            let values = values
                .into_iter()
                .chain([&read.subscription_name, &read.message_id]);
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value)).collect();
            assert_eq!(values.join(" "), rest);
        }
        for body in [
            replaced(&xml, "MyTopic1<", b"MyTopic\xff<"),
            replaced(
                &xml,
                "&amp;#;",
                b"</Message><TopicOwner>1</TopicOwner><Message>",
            ),
            replaced(&xml, "&amp;#;", b"</Message><Message>"),
            replaced(&xml, "UTF-8", b"GBK"),
            replaced(&json, "\"m\"", b"{},\"TopicOwner\":\"1\""),
            replaced(&json, "\"m\"", b"{"),
            b"hello".to_vec(),
            Vec::new(),
        ] {
            let read = Notification::decode_as_raw(&body);
            let known = read
                .attributes()
                .into_iter()
                .filter(|(_, value)| !value.is_empty());
            let expected: &[&str] = if body.is_empty() { &[] } else { &["Message"] };
            assert_eq!(
                known.map(|(name, _)| name).collect::<Vec<_>>(),
                expected,
                "{}",
                body.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn every_notification_survives_a_round_trip(
            message in any::<String>(),
            tag in "[^\0]{0,16}",
            json in any::<bool>(),
        ) {
            let format = if json { ContentFormat::Json } else { ContentFormat::Xml };
            let original = notification(format, &message, &tag);
            let request = request(original.encode(), None);
            prop_assert_eq!(Notification::decode(&request).unwrap(), original);
        }

        #[test]
        fn no_body_panics(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            start in "(<Notification>|\\{\"Message|)",
        ) {
            let body = [start.as_bytes(), &body].concat();
            drop(Notification::decode(&request(body, None)));
        }
    }
}
