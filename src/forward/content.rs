//! What is sent of a notification, whatever carries it: headers of ASCII, and a body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS};
use serde_json::{Map, Value};

use crate::forward::identity::{ENCODED, encoded};
use crate::forward::{Body, Outgoing};
use crate::journal::LoggedNotification;

/// What is encoded in the value of a header: all but printable ASCII without blank, quotation mark
/// and percent sign, as the bindings of CloudEvents have it.
const IN_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
const SPEC_VERSION: &str = "1.0";
const EVENT_TYPE: &str = "mns:Topic:Notification";

/// The headers of a notification whose id is `id`, sent from the replica `endpoint`. The sink adds
/// the header with the id, because its name depends on the protocol.
pub(super) fn headers(
    outgoing: &Outgoing,
    body: Body,
    id: &str,
    endpoint: &str,
) -> Vec<(&'static str, String)> {
    let notification = &*outgoing.notification;
    let [owner, topic, subscription, message_id] = notification.key.parts();
    let encoded = |value| encoded(value, IN_HEADER).into_owned();
    let mut headers = vec![
        ("Mns-Topic-Owner", encoded(owner)),
        ("Mns-Topic-Name", encoded(topic)),
        ("Mns-Subscription-Name", encoded(subscription)),
        ("Mns-Subscriber", encoded(&notification.subscriber)),
        ("Mns-Message-Id", encoded(message_id)),
        ("Mns-Message-Tag", encoded(&notification.message_tag)),
        ("Mns-Message-MD5", encoded(&notification.message_md5)),
        ("Mns-Publish-Time", encoded(&notification.publish_time)),
        ("Mns-Endpoint", encoded(endpoint.as_bytes())),
        ("Mns-Sequence", outgoing.sequence.to_string()),
    ];
    if let Some(request_id) = &notification.request_id {
        headers.push(("Mns-Request-Id", encoded(request_id)));
    }
    if let Some(received) = outgoing.received {
        headers.push(("Mns-Received-At", received.to_string()));
    }
    if body == Body::CloudEvent {
        cloud_event(&mut headers, notification, id);
    }
    headers
}

/// The attributes of a CloudEvent whose data is the message: its source is the topic, and its
/// subject, which cannot be empty, the tag.
fn cloud_event(
    headers: &mut Vec<(&'static str, String)>,
    notification: &LoggedNotification,
    id: &str,
) {
    let [owner, topic, _subscription, _message_id] = notification.key.parts();
    // A source is a URI, so its parts are encoded, and its percent signs once more as in any
    // header.
    let (owner, topic) = (encoded(owner, ENCODED), encoded(topic, ENCODED));
    let source = format!("acs:mns::{owner}:topics/{topic}");
    let in_header = |value| encoded(value, IN_HEADER).into_owned();
    headers.extend([
        ("ce-specversion", SPEC_VERSION.to_owned()),
        ("ce-type", EVENT_TYPE.to_owned()),
        ("ce-id", in_header(id.as_bytes())),
        ("ce-source", in_header(source.as_bytes())),
    ]);
    // CloudEvents: `time` is optional and must be RFC 3339, so a publish time that is not a number
    // is left out.
    if let Some(time) = published(notification) {
        headers.push(("ce-time", time.to_string()));
    }
    // CloudEvents: `subject` is optional and must not be empty.
    if !notification.message_tag.is_empty() {
        headers.push(("ce-subject", in_header(&notification.message_tag)));
    }
}

fn published(notification: &LoggedNotification) -> Option<Timestamp> {
    let text = std::str::from_utf8(&notification.publish_time).ok()?;
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}

/// The body of a notification.
pub(super) fn body(outgoing: &Outgoing, body: Body) -> Bytes {
    let notification = &*outgoing.notification;
    match body {
        // The binary mode of CloudEvents leaves the body as it is. A clone of `Bytes` copies
        // nothing.
        Body::Message | Body::CloudEvent => notification.message.clone(),
        Body::Json => json(notification),
    }
}

/// The nine attributes as a JSON object. A value that is not UTF-8 becomes `NAMEBase64`, so that no
/// byte is lost.
fn json(notification: &LoggedNotification) -> Bytes {
    let [owner, topic, subscription, message_id] = notification.key.parts();
    let attributes: [(&str, &[u8]); 9] = [
        ("TopicOwner", owner),
        ("TopicName", topic),
        ("Subscriber", &notification.subscriber),
        ("SubscriptionName", subscription),
        ("MessageId", message_id),
        ("Message", &notification.message),
        ("MessageMD5", &notification.message_md5),
        ("MessageTag", &notification.message_tag),
        ("PublishTime", &notification.publish_time),
    ];
    let mut object = Map::new();
    for (name, value) in attributes {
        let (name, value) = match std::str::from_utf8(value) {
            Ok(text) => (name.to_owned(), text.to_owned()),
            Err(_binary) => (format!("{name}Base64"), STANDARD.encode(value)),
        };
        object.insert(name, Value::String(value));
    }
    Value::Object(object).to_string().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::identity::samples::{changed, outgoing, usual};

    fn lines(outgoing: &Outgoing, body: Body) -> Vec<String> {
        let headers = headers(outgoing, body, "a/b", "host:8080");
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    const USUAL: [&str; 12] = [
        "Mns-Topic-Owner: 1269128356620446",
        "Mns-Topic-Name: MyTopic1",
        "Mns-Subscription-Name: MyTopic1-Sub1",
        "Mns-Subscriber: 1269128356620446",
        "Mns-Message-Id: F6EA56633844DBFC-1-154BDFB8059-200000004",
        "Mns-Message-Tag: blue",
        "Mns-Message-MD5: 075C3D4AEB2D2F2D6A4C17C9D6DBBEBB",
        "Mns-Publish-Time: 1463476256857",
        "Mns-Endpoint: host:8080",
        "Mns-Sequence: 42",
        "Mns-Request-Id: 573AE020B2B71CFC6801A6EF",
        "Mns-Received-At: 2016-05-17T09:10:56Z",
    ];

    #[test]
    fn each_attribute_is_a_header() {
        assert_eq!(lines(&usual(), Body::Message), USUAL);
        assert_eq!(lines(&usual(), Body::Json), USUAL);
    }

    #[test]
    fn what_is_not_known_has_no_header() {
        let mut bare = changed(usual(), |it| it.request_id = None);
        bare.received = None;
        assert_eq!(lines(&bare, Body::Message), USUAL[..10]);
    }

    #[test]
    fn a_cloud_event_has_the_message_as_its_data() {
        let lines = lines(&usual(), Body::CloudEvent);
        assert_eq!(lines[..12], USUAL);
        let event = [
            "ce-specversion: 1.0",
            "ce-type: mns:Topic:Notification",
            "ce-id: a/b",
            "ce-source: acs:mns::1269128356620446:topics/MyTopic1",
            "ce-time: 2016-05-17T09:10:56.857Z",
            "ce-subject: blue",
        ];
        assert_eq!(lines[12..], event);
        assert_eq!(body(&usual(), Body::CloudEvent), "I am test message 0.");
    }

    #[test]
    fn a_cloud_event_leaves_out_what_it_must_not_have_empty() {
        let odd = changed(outgoing([b"1", b"a b", b"S", b"M"]), |it| {
            it.message_tag = Bytes::new();
            it.publish_time = Bytes::from_static(b"yesterday");
        });
        let lines = lines(&odd, Body::CloudEvent);
        assert_eq!(lines[12..].len(), 4);
        assert_eq!(lines[15], "ce-source: acs:mns::1:topics/a%2520b");
    }

    #[test]
    fn the_body_is_the_message_or_all_nine_attributes() {
        assert_eq!(body(&usual(), Body::Message), "I am test message 0.");
        let json = r#"{"TopicOwner":"1269128356620446","TopicName":"MyTopic1","#.to_owned()
            + r#""Subscriber":"1269128356620446","SubscriptionName":"MyTopic1-Sub1","#
            + r#""MessageId":"F6EA56633844DBFC-1-154BDFB8059-200000004","#
            + r#""Message":"I am test message 0.","#
            + r#""MessageMD5":"075C3D4AEB2D2F2D6A4C17C9D6DBBEBB","MessageTag":"blue","#
            + r#""PublishTime":"1463476256857"}"#;
        assert_eq!(body(&usual(), Body::Json), json);
        let binary = changed(usual(), |it| it.message = Bytes::from_static(b"\xff\x00"));
        let json: Value = serde_json::from_slice(&body(&binary, Body::Json)).unwrap();
        assert_eq!(json["MessageBase64"], "/wA=");
        assert_eq!(json.get("Message"), None);
        assert_eq!(body(&binary, Body::Message), &b"\xff\x00"[..]);
    }

    proptest! {
        #[test]
        fn no_value_ends_a_header_or_begins_another(
            values in proptest::array::uniform5(proptest::collection::vec(any::<u8>(), 0..40)),
        ) {
            let outgoing = outgoing([&values[0], &values[1], &values[2], &values[3]]);
            let outgoing = changed(outgoing, |it| {
                it.message_tag = values[4].clone().into();
                it.request_id = Some(values[4].clone().into());
            });
            for (name, value) in headers(&outgoing, Body::CloudEvent, "id", "host") {
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{}", name);
            }
            let tag = headers(&outgoing, Body::Message, "id", "host")[5].1.clone();
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(&tag).collect();
            prop_assert_eq!(decoded, values[4].clone());
        }
    }
}
