//! A notification: what a push says, whichever of the three formats says it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};

use crate::mns::ContentMd5;
use crate::mns::header;
use crate::mns::json;
use crate::mns::xml;

/// The nine attributes, in the order in which the manual's endpoint prints them.
pub const ATTRIBUTES: [&str; 9] = [
    "MessageMD5",
    "TopicOwner",
    "PublishTime",
    "Subscriber",
    "MessageTag",
    "SubscriptionName",
    "MessageId",
    "Message",
    "TopicName",
];

/// `NotifyContentFormat` of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFormat {
    /// The body is a `<Notification>`.
    Xml,
    /// The body is a JSON object with the same names.
    Json,
    /// The body is the message; everything else stands in headers.
    Simplified,
}

/// The attributes of a notification, each as it was published: decoded once, never trimmed.
///
/// Values are bytes, because the message of a SIMPLIFIED push and the values of its headers may be
/// any bytes. An absent optional attribute is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<'a> {
    /// How it was written.
    pub format: ContentFormat,
    /// Upper-case hex MD5 of the message, as MNS states it; of a SIMPLIFIED body, as it is.
    pub message_md5: Cow<'a, [u8]>,
    /// Account id of the topic's owner.
    pub topic_owner: Cow<'a, [u8]>,
    /// Milliseconds since 1970, as text.
    pub publish_time: Cow<'a, [u8]>,
    /// Account id of the subscription's owner.
    pub subscriber: Cow<'a, [u8]>,
    /// The tag that the publisher gave, or nothing.
    pub message_tag: Cow<'a, [u8]>,
    /// The subscription's name.
    pub subscription_name: Cow<'a, [u8]>,
    /// Opaque; the same on every retry.
    pub message_id: Cow<'a, [u8]>,
    /// The message. Base64 stays base64: nothing on the wire says which is meant.
    pub message: Cow<'a, [u8]>,
    /// The topic's name.
    pub topic_name: Cow<'a, [u8]>,
}

/// A body that is no notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNotification {
    /// Neither XML nor JSON, and no `x-mns-message-id` that would make it SIMPLIFIED.
    #[error("the body is neither XML nor JSON, and there is no x-mns-message-id header")]
    NotRecognised,
    /// Not well-formed, or not a notification at its root.
    #[error("the body is malformed: {0}")]
    Malformed(String),
    /// An XML or JSON body that is not UTF-8, or that declares another encoding.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// A document type: MNS never sends one, and entity bombs need one.
    #[error("the body has a document type declaration")]
    DocumentType,
    /// A required element is absent.
    #[error("the element {0} is missing")]
    ElementMissing(&'static str),
    /// An element stands there twice.
    #[error("the element {0} is there more than once")]
    ElementDoubled(&'static str),
}

impl<'a> Notification<'a> {
    /// Reads a push, and tells the formats apart.
    ///
    /// Without `x-mns-message-id` the body is XML (`<`) or JSON (`{`). With it, the body is an envelope
    /// only if it decodes as one whose `MessageId` is that of the header, which no publisher can
    /// know beforehand, and if no other header contradicts it; anything else is SIMPLIFIED.
    ///
    /// # Errors
    /// An [`InvalidNotification`]; never for SIMPLIFIED.
    pub fn decode(request: &'a Request<Bytes>) -> Result<Self, InvalidNotification> {
        let body = request.body();
        match request.headers().get(header::MESSAGE_ID) {
            None => Self::decode_envelope(body),
            Some(_) => match Self::decode_envelope(body) {
                Ok(envelope) if envelope.agrees_with(request.headers()) => Ok(envelope),
                Ok(_) | Err(_) => Ok(Self::simplified(request.headers(), body)),
            },
        }
    }

    /// Whether each attribute that stands in a header has the same value there.
    fn agrees_with(&self, headers: &HeaderMap) -> bool {
        [
            (header::MESSAGE_ID, &self.message_id),
            (header::TOPIC_OWNER, &self.topic_owner),
            (header::TOPIC_NAME, &self.topic_name),
            (header::SUBSCRIBER, &self.subscriber),
            (header::SUBSCRIPTION_NAME, &self.subscription_name),
        ]
        .into_iter()
        .all(|(name, value)| headers.get(name).is_none_or(|header| header.as_bytes() == value.as_ref()))
    }

    fn decode_envelope(body: &'a [u8]) -> Result<Self, InvalidNotification> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let text = || std::str::from_utf8(body).map_err(|_invalid| InvalidNotification::NotUtf8);
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'<') => xml::decode(text()?),
            Some(b'{') => json::decode(text()?),
            Some(_) | None => Err(InvalidNotification::NotRecognised),
        }
    }

    fn simplified(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        let value = |name: HeaderName| Cow::Borrowed(headers.get(name).map_or(&b""[..], |value| value.as_bytes()));
        Self {
            format: ContentFormat::Simplified,
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

    /// What makes two deliveries one notification: owner, topic, subscription and message id.
    #[must_use]
    pub fn identity(&self) -> [&[u8]; 4] {
        [&self.topic_owner, &self.topic_name, &self.subscription_name, &self.message_id]
    }

    /// The attributes with their names, in the order of [`ATTRIBUTES`].
    #[must_use]
    pub fn attributes(&self) -> [(&'static str, &[u8]); 9] {
        let values: [&[u8]; 9] = [
            &self.message_md5,
            &self.topic_owner,
            &self.publish_time,
            &self.subscriber,
            &self.message_tag,
            &self.subscription_name,
            &self.message_id,
            &self.message,
            &self.topic_name,
        ];
        std::array::from_fn(|place| match (ATTRIBUTES.get(place), values.get(place)) {
            (Some(name), Some(value)) => (*name, *value),
            (None, _) | (_, None) => ("", &[][..]),
        })
    }

    /// Whether `MessageMD5` is the digest of the message, whatever the case of its digits.
    #[must_use]
    pub fn message_md5_holds(&self) -> bool {
        self.format == ContentFormat::Simplified
            || ContentMd5::of(&self.message).upper_hex().as_bytes().eq_ignore_ascii_case(&self.message_md5)
    }

    /// The body of a push of this notification in its format, as MNS lays it out.
    ///
    /// In XML and JSON every value must be UTF-8; what is not is replaced. The SIMPLIFIED body is the
    /// message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.format {
            ContentFormat::Xml => xml::encode(self).into_bytes(),
            ContentFormat::Json => json::encode(self).into_bytes(),
            ContentFormat::Simplified => self.message.to_vec(),
        }
    }
}

impl fmt::Display for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::Simplified => "SIMPLIFIED",
        })
    }
}

impl FromStr for ContentFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "XML" => Ok(Self::Xml),
            "JSON" => Ok(Self::Json),
            "SIMPLIFIED" => Ok(Self::Simplified),
            _ => Err(()),
        }
    }
}

/// The values of an envelope while it is read, by name.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    values: [Option<Cow<'a, str>>; ATTRIBUTES.len()],
}

impl<'a> Envelope<'a> {
    /// Sets a value. Names that are no attributes are ignored, as unknown elements are.
    pub(super) fn set(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), InvalidNotification> {
        for (known, slot) in ATTRIBUTES.iter().zip(&mut self.values) {
            if *known == name {
                return match slot.replace(value) {
                    None => Ok(()),
                    Some(_) => Err(InvalidNotification::ElementDoubled(known)),
                };
            }
        }
        Ok(())
    }

    /// All eight required elements are there: present but empty counts as present.
    pub(super) fn into_notification(self, format: ContentFormat) -> Result<Notification<'a>, InvalidNotification> {
        let [md5, owner, time, subscriber, tag, subscription, id, message, topic] = self.values;
        let needed =
            |value: Option<Cow<'a, str>>, name| value.map(into_bytes).ok_or(InvalidNotification::ElementMissing(name));
        Ok(Notification {
            format,
            topic_owner: needed(owner, "TopicOwner")?,
            topic_name: needed(topic, "TopicName")?,
            subscriber: needed(subscriber, "Subscriber")?,
            subscription_name: needed(subscription, "SubscriptionName")?,
            message_id: needed(id, "MessageId")?,
            message_md5: needed(md5, "MessageMD5")?,
            message: needed(message, "Message")?,
            publish_time: needed(time, "PublishTime")?,
            message_tag: tag.map(into_bytes).unwrap_or_default(),
        })
    }
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notification(format: ContentFormat, message: &str, tag: &str) -> Notification<'static> {
        let owned = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        Notification {
            format,
            message_md5: owned(&ContentMd5::of(message.as_bytes()).upper_hex()),
            topic_owner: owned("1269128356620446"),
            publish_time: owned("1463476256857"),
            subscriber: owned("1269128356620446"),
            message_tag: owned(tag),
            subscription_name: owned("MyTopic1-Sub1"),
            message_id: owned("F6EA56633844DBFC-1-154BDFB8059-200000004"),
            message: owned(message),
            topic_name: owned("MyTopic1"),
        }
    }

    fn request(body: Vec<u8>, id: Option<&str>) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from(body));
        if let Some(id) = id {
            request.headers_mut().insert(header::MESSAGE_ID, id.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_simplified_body_that_is_an_envelope_is_a_message_unless_its_id_is_the_headers() {
        let inner = notification(ContentFormat::Xml, "hello", "");
        let foreign = request(inner.encode(), Some("0000"));
        let decoded = Notification::decode(&foreign).unwrap();
        assert_eq!(decoded.format, ContentFormat::Simplified);
        assert_eq!(decoded.message.as_ref(), inner.encode());
        let own = request(inner.encode(), Some("F6EA56633844DBFC-1-154BDFB8059-200000004"));
        assert_eq!(Notification::decode(&own).unwrap(), inner);
        // Whoever guesses the id still cannot speak for another owner or topic than the signed headers name.
        for name in ["x-mns-topic-owner", "x-mns-topic-name", "x-mns-subscriber", "x-mns-subscription-name"] {
            let mut guessed = request(inner.encode(), Some("F6EA56633844DBFC-1-154BDFB8059-200000004"));
            guessed.headers_mut().insert(name, "666".parse().unwrap());
            assert_eq!(Notification::decode(&guessed).unwrap().format, ContentFormat::Simplified, "{name}");
        }
    }

    #[test]
    fn a_body_that_is_neither_is_refused_without_the_header_and_a_message_with_it() {
        for body in ["", " ", "hello", "[]", "\u{feff}"] {
            let body = body.as_bytes().to_vec();
            assert_eq!(Notification::decode(&request(body.clone(), None)), Err(InvalidNotification::NotRecognised));
            let with_id = request(body.clone(), Some("1"));
            assert_eq!(Notification::decode(&with_id).unwrap().message.as_ref(), body);
        }
    }

    #[test]
    fn a_wrong_message_md5_is_noticed() {
        let mut notification = notification(ContentFormat::Xml, "hello", "");
        assert!(notification.message_md5_holds());
        notification.message_md5 = Cow::Borrowed(b"00000000000000000000000000000000");
        assert!(!notification.message_md5_holds());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
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
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300), start in "(<Notification>|\\{\"Message|)") {
            let body = [start.as_bytes(), &body].concat();
            drop(Notification::decode(&request(body, None)));
        }
    }
}
